//! The entry point of the plugin.
//!
//! There is no `fn main`, because std's runtime opens /dev/null where standard output is closed: what is written there would
//! count as written, and a manifest that nobody has got as success.
#![no_main]
#![allow(unsafe_code, reason = "the C entry point, with argv as the system gave it")]

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt as _;

/// # Safety
/// Called by the C runtime: `argv` has `argc` strings that end in NUL.
#[unsafe(no_mangle)]
unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    let words = (0..usize::try_from(argc).unwrap_or(0)).map(|index| {
        // SAFETY: see above.
        let word = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    });
    kubectl_exeunt::command::fill_in_standard_files();
    c_int::from(kubectl_exeunt::command::run(words.collect::<Vec<OsString>>()))
}
