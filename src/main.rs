//! The entry point, and the only place that ends the process.
//!
//! There is no `fn main`, because std's runtime does things before it that an init must not do: it opens /dev/null where
//! standard input, output or error is closed, ignores SIGPIPE, and takes 40 µs in which a SIGTERM to PID 1 is lost.
#![no_main]
#![allow(unsafe_code, reason = "the C entry point, with argv as the kernel gave it")]

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

/// # Safety
/// Called by the C runtime: `argv` has `argc` strings that end in NUL.
#[unsafe(no_mangle)]
unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    exeunt::sys::signals::block_all();
    let words = (0..usize::try_from(argc).unwrap_or(0)).map(|index| {
        // SAFETY: see above.
        let word = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    });
    let code = exeunt::run(words.collect::<Vec<OsString>>());
    // SAFETY: a plain system call. Not exit(3): nothing is registered with it, and nothing is to be waited for.
    unsafe { libc::_exit(c_int::from(code)) }
}
