//! What there is: the files of the repository, and the programs of the machine that a test cannot do without.

#![allow(dead_code, reason = "each test file is a program of its own and uses its own part of the house")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A path of the repository.
pub fn path(inside: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// A file of the repository.
#[track_caller]
pub fn read(inside: impl AsRef<Path>) -> String {
    let path = path(inside);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A program on the PATH.
pub fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps servers where only root's PATH leads.
    let directories = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    directories.map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// A program on the PATH; `called` is how a person would ask for it. Where it is missing, the test is passed over.
#[track_caller]
pub fn program(name: &str, called: &str) -> Option<PathBuf> {
    let found = on_path(name);
    if found.is_none() {
        pass_over(&format!("it needs {called}"));
    }
    found
}

/// The same for one that a variable may name.
#[track_caller]
pub fn program_or(variable: &str, name: &str, called: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).filter(|path| !path.is_empty());
    named.map_or_else(|| program(name, called), |path| Some(path.into()))
}

/// Envoy, or what is called so: pip's `envoy` is a script that starts it.
#[track_caller]
pub fn envoy() -> Option<PathBuf> {
    program_or("ENVOY", "envoy", "Envoy (examples/envoy/run.sh says where to get it; ENVOY names one)")
}

/// Says past libtest's capture that the test is passed over, and why; fails where nothing may be.
#[track_caller]
pub fn pass_over(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let off = |value: &std::ffi::OsStr| matches!(value.to_str(), Some("" | "0" | "false" | "no" | "off"));
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !off(&value));
    assert!(!set("CI") && !set("EXEUNT_REQUIRE_ENGINES"), "{test} may not be skipped here: {reason}");
    // Not eprintln!: libtest swallows what a passing test prints by the macros.
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
}

/// A test binary begins as if an attended terminal had started it, whoever has: before libtest's first thread, dispositions
/// that nohup, `&` or a runner has set to "ignore" are the default again, nothing is masked, no descriptor of the caller
/// reaches a program under test, and there is room for those of a test. exeunt hands on what it inherits, and a test of
/// that sets it by itself.
#[used]
// SAFETY: a function in this section is called once, before main, by the C library's start-up.
#[unsafe(link_section = ".init_array")]
static BEGIN_AS_ANYWHERE: extern "C" fn() = {
    extern "C" fn begin() {
        // A role is a program under test itself: what it inherits is what its test looks at.
        if std::env::var_os("HOUSE_ROLE").is_some() {
            return;
        }
        // SAFETY: system calls on values of our own; one thread runs, and no handler has been set yet.
        unsafe {
            for signal in 1..=libc::SIGRTMAX() {
                let mut action: libc::sigaction = std::mem::zeroed();
                let known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
                // SIGPIPE is Rust's own affair: std sets it after us, and resets it in what it starts.
                if known && action.sa_sigaction == libc::SIG_IGN {
                    libc::signal(signal, libc::SIG_DFL);
                }
            }
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
            let mut limit: libc::rlimit = std::mem::zeroed();
            if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && limit.rlim_cur < 1024 {
                limit.rlim_cur = limit.rlim_max.min(1024);
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
            }
        }
    }
    begin
};
