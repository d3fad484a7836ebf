//! Our own program: started once more for a probe or a goodbye, and copied by `install`.
#![allow(unsafe_code, reason = "getauxval(3), which answers with a string of the kernel's")]

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where it can be found: as the kernel has it open, whatever has become of its path; and, where there is no /proc, by that
/// path, which is relative to where we were started.
pub fn paths(started_in: &Path) -> [PathBuf; 2] {
    // SAFETY: the kernel has put the name that execve(2) was given above the stack of every process, and it ends in NUL.
    let name = unsafe {
        let name = libc::getauxval(libc::AT_EXECFN) as *const libc::c_char;
        if name.is_null() { c"" } else { CStr::from_ptr(name) }
    };
    [PathBuf::from("/proc/self/exe"), started_in.join(OsStr::from_bytes(name.to_bytes()))]
}
