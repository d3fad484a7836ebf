//! What this program becomes when it starts itself: the process of one part, and the commands below the wrappers.

use super::{now, part, reap};
use std::path::PathBuf;

/// The first word that makes this program play a role.
pub const FLAG: &str = "--role";

pub fn play(words: &[String]) -> ! {
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["part", name, runs, memory, disk] => part::play(name, runs, memory, disk),
        ["job"] => job(),
        ["helper"] => helper(),
        ["member"] => member(),
        ["stamp"] => stamp(),
        ["echo"] => echo(),
        ["parent", orphans] => reap::parent(orphans.parse().expect("a number")),
        _ => panic!("there is no role {words:?}"),
    }
}

pub fn program() -> PathBuf {
    std::env::current_exe().expect("this program")
}

/// Says that it is there, waits until its standard input ends, says when that was and ends.
fn job() -> ! {
    say(b"r");
    wait_for_the_end_of_input();
    say(&now().to_ne_bytes());
    leave()
}

/// Says when it began, and ends with its standard input.
fn stamp() -> ! {
    say(&now().to_ne_bytes());
    wait_for_the_end_of_input();
    leave()
}

/// Says that it is there, and says when SIGTERM has reached its handler.
fn helper() -> ! {
    extern "C" fn terminated(_signal: libc::c_int) {
        say(&now().to_ne_bytes());
        leave()
    }
    handle(libc::SIGTERM, terminated);
    say(b"r");
    rest()
}

/// As [`helper`], one of many who write into one pipe: says below whom it runs, and when.
fn member() -> ! {
    extern "C" fn terminated(_signal: libc::c_int) {
        // SAFETY: a plain system call, which a handler may make.
        let above = unsafe { libc::getppid() }.unsigned_abs();
        let mut word = [0; 16];
        word[..8].copy_from_slice(&u64::from(above).to_ne_bytes());
        word[8..].copy_from_slice(&now().to_ne_bytes());
        // In one piece, as the kernel writes whatever is so short.
        say(&word);
        leave()
    }
    handle(libc::SIGTERM, terminated);
    say(b"r");
    rest()
}

/// Says that it is there, and then when each SIGUSR1 has reached its handler.
fn echo() -> ! {
    extern "C" fn heard(_signal: libc::c_int) {
        say(&now().to_ne_bytes());
    }
    handle(libc::SIGUSR1, heard);
    say(b"r");
    rest()
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    // SAFETY: the handlers above do only what a handler may.
    unsafe { libc::signal(signal, handler as *const () as libc::sighandler_t) };
}

pub fn wait_for_the_end_of_input() {
    let mut byte = 0u8;
    // SAFETY: one byte, into a live local.
    unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
}

fn rest() -> ! {
    loop {
        // SAFETY: a plain system call.
        unsafe { libc::pause() };
    }
}

/// Async-signal-safe.
pub fn leave() -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(0) }
}

/// Async-signal-safe.
pub fn say(bytes: &[u8]) {
    // SAFETY: reads live memory.
    unsafe { libc::write(1, bytes.as_ptr().cast(), bytes.len()) };
}
