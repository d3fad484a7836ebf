//! What this program becomes when it starts itself: the commands below the wrappers, and a bare pair of watcher and job,
//! which does with single system calls what the kernel allows to be done, and nothing else.

use super::now;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

/// The first word that makes this program play a role.
pub const FLAG: &str = "--role";

pub fn play(words: &[String]) -> ! {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["job"] => job(),
        ["helper"] => helper(),
        ["stamp"] => stamp(),
        ["bare-main", directory] => bare_main(Path::new(directory)),
        ["bare-sidecar", directory] => bare_sidecar(Path::new(directory)),
        _ => panic!("there is no role {words:?}"),
    }
}

/// This program in a role.
pub fn command(words: &[&OsStr]) -> Command {
    let mut command = Command::new(program());
    command.arg(FLAG).args(words);
    command
}

pub fn program() -> std::path::PathBuf {
    std::env::current_exe().expect("this program")
}

/// Says that it is there, waits until its standard input ends, says when that was and ends.
fn job() -> ! {
    say(b"r");
    let mut byte = 0u8;
    // SAFETY: one byte, into a live local.
    unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
    say(&now().to_ne_bytes());
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

/// Says when it began, and ends with its standard input.
fn stamp() -> ! {
    say(&now().to_ne_bytes());
    let mut byte = 0u8;
    // SAFETY: one byte, into a live local; ends the process.
    unsafe {
        libc::read(0, (&raw mut byte).cast(), 1);
        libc::_exit(0)
    }
}

/// Says that it is there, and says when SIGTERM has reached its handler.
fn helper() -> ! {
    extern "C" fn terminated(_signal: libc::c_int) {
        say(&now().to_ne_bytes());
        // SAFETY: ends the process; async-signal-safe.
        unsafe { libc::_exit(0) }
    }
    // SAFETY: the handler does only what a handler may.
    unsafe { libc::signal(libc::SIGTERM, terminated as *const () as libc::sighandler_t) };
    say(b"r");
    loop {
        // SAFETY: a plain system call.
        unsafe { libc::pause() };
    }
}

#[expect(clippy::zombie_processes, reason = "waited for by the system call itself")]
fn bare_main(directory: &Path) -> ! {
    let path = |name: &str| CString::new(directory.join(name).as_os_str().as_bytes()).expect("a path");
    let (running, terminated) = (path("main-job-running"), path("main-job-terminated"));
    std::fs::write(directory.join("main-job-running"), "").expect("a file");
    let job = command(&["job".as_ref()]).spawn().expect("a job");
    let pid = job.id().cast_signed();
    // SAFETY: plain system calls with strings that live.
    unsafe {
        libc::waitpid(pid, std::ptr::null_mut(), 0);
        libc::rename(running.as_ptr(), terminated.as_ptr());
        libc::_exit(0)
    }
}

fn bare_sidecar(directory: &Path) -> ! {
    let path = CString::new(directory.as_os_str().as_bytes()).expect("a path");
    let mut events = [0u8; 4096];
    // SAFETY: plain system calls with strings and memory that live.
    unsafe {
        let watch = libc::inotify_init1(libc::IN_CLOEXEC);
        libc::inotify_add_watch(watch, path.as_ptr(), libc::IN_MOVED_TO);
        let pid = command(&["helper".as_ref()]).spawn().expect("a helper").id().cast_signed();
        // Only the sentinel is ever moved to a name in there.
        libc::read(watch, events.as_mut_ptr().cast(), events.len());
        libc::kill(pid, libc::SIGTERM);
        libc::waitpid(pid, std::ptr::null_mut(), 0);
        libc::_exit(0)
    }
}

/// Async-signal-safe.
fn say(bytes: &[u8]) {
    // SAFETY: reads live memory.
    unsafe { libc::write(1, bytes.as_ptr().cast(), bytes.len()) };
}
