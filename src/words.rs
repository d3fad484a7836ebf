//! How a reason is put: what the system says in one form wherever it is said.

use nix::errno::Errno;
use std::error::Error;
use std::fs::TryLockError;
use std::io;

/// A reason of the system: `Connection refused (ECONNREFUSED)`.
pub fn errno(errno: Errno) -> String {
    let both = errno.to_string();
    both.split_once(": ").map_or_else(|| both.clone(), |(name, words)| format!("{words} ({name})"))
}

/// The same of an error of std, which may have a reason of its own.
pub fn io(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) if Errno::from_raw(number) == Errno::UnknownErrno => format!("error {number} of the system"),
        Some(number) => errno(Errno::from_raw(number)),
        None => error.to_string(),
    }
}

/// An error with everything that it comes from, from the outside in.
pub fn chain(error: &anyhow::Error) -> String {
    error.chain().map(cause).collect::<Vec<_>>().join(": ")
}

/// The number of the system that an error comes from, if one does.
pub fn number(error: &anyhow::Error) -> Option<Errno> {
    error.chain().find_map(|cause| {
        let by_std = || cause.downcast_ref().and_then(io::Error::raw_os_error).map(Errno::from_raw);
        cause.downcast_ref().copied().or_else(by_std)
    })
}

fn cause(error: &(dyn Error + 'static)) -> String {
    if let Some(number) = error.downcast_ref() {
        errno(*number)
    } else if let Some(error) = error.downcast_ref() {
        io(error)
    } else if let Some(TryLockError::Error(error)) = error.downcast_ref() {
        io(error)
    } else {
        error.to_string()
    }
}
