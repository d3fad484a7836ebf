//! The entry point, and the only place that ends the process.
//!
//! There is no `fn main`, because std's runtime does things before it that an init must not do: it opens /dev/null where
//! standard input, output or error is closed, ignores SIGPIPE, and takes 40 µs in which a SIGTERM to PID 1 is lost.
#![no_main]
#![allow(unsafe_code, reason = "the C entry point, with argv as the kernel gave it")]

#[cfg(not(target_os = "linux"))]
compile_error!("exeunt is for Linux: it is built on inotify, flock, pid namespaces and signals as Linux has them");

use std::ffi::{CStr, OsStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStrExt;

#[global_allocator]
static MEMORY: exeunt::sys::memory::Memory = exeunt::sys::memory::Memory::new();

/// # Safety
/// Called by the C runtime: `argv` has `argc` strings that end in NUL.
#[unsafe(no_mangle)]
unsafe extern "C" fn main(argc: c_int, argv: *const *const c_char) -> c_int {
    // Where it is refused, that is said as the handlers are installed.
    let _ = exeunt::sys::signals::block_all();
    MEMORY.prepare();
    let words = (0..usize::try_from(argc).unwrap_or(0)).map(|index| {
        // SAFETY: see above.
        let word = unsafe { CStr::from_ptr(*argv.add(index)) };
        OsStr::from_bytes(word.to_bytes()).to_owned()
    });
    let code = exeunt::run(words.collect::<Vec<OsString>>());
    // SAFETY: a plain system call. Not exit(3): nothing is registered with it, and nothing is to be waited for.
    unsafe { libc::_exit(c_int::from(code)) }
}

/// The unwinder that std would call, emptied where nothing ever unwinds: a panic ends the process at once
/// (`panic = "abort"`), and in a stripped binary a backtrace would name no function. The linker takes these instead of
/// libunwind, and link-time optimisation finds that the reader of debug information, which std brings along for
/// backtraces, is called by nobody: a quarter of the binary.
#[cfg(all(panic = "abort", target_env = "musl", not(debug_assertions)))]
mod unwinder {
    use std::ffi::{c_int, c_void};

    /// `_URC_END_OF_STACK`: there is no frame to be seen.
    const END_OF_STACK: c_int = 5;

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_Backtrace(_each: *const c_void, _data: *mut c_void) -> c_int {
        END_OF_STACK
    }

    #[unsafe(no_mangle)]
    extern "C" fn _Unwind_GetIP(_context: *mut c_void) -> usize {
        0
    }

    /// Each can be called from the inside of an unwinding only.
    macro_rules! never {
        ($($name:ident)*) => {$(
            #[unsafe(no_mangle)]
            extern "C" fn $name() -> ! {
                std::process::abort()
            }
        )*};
    }

    never! {
        _Unwind_DeleteException _Unwind_FindEnclosingFunction _Unwind_GetCFA _Unwind_GetDataRelBase _Unwind_GetIPInfo
        _Unwind_GetLanguageSpecificData _Unwind_GetRegionStart _Unwind_GetTextRelBase _Unwind_RaiseException
        _Unwind_Resume _Unwind_SetGR _Unwind_SetIP
    }
}
