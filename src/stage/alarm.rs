//! The lock of a life as an alarm: where there is no watch, a thread that waits for the lock wakes when the life ends,
//! however it ends. It only ever says "look now".

use super::watch::Bell;
use std::fs::File;
use std::io;
use std::thread::Builder;

/// What it does is not deep.
const STACK: usize = 64 * 1024;

/// Rings `bell` once nobody holds the lock of `life` alone any more. `life` must have been opened for this: the lock that is
/// asked for belongs to the opening.
///
/// It is a shared lock, and let go of at once. So whoever takes the name next, resets or looks is never kept waiting: they all
/// ask for shared ones, and the next life is locked on a file of its own. The wait ends with the process; only on a file system
/// that may hang could it hold up the exit, and there nobody waits.
///
/// # Errors
/// If no thread can be started.
pub fn set(life: File, bell: Bell) -> io::Result<()> {
    let wait = move || {
        while life.lock_shared().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {}
        // First of all: somebody waits for it.
        bell.ring();
        let _ = life.unlock();
        drop(life);
    };
    Builder::new().stack_size(STACK).spawn(wait).map(drop)
}
