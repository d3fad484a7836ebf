//! What the tests of the init need beyond the house: raw signal calls, fixture children, and a pseudo-terminal.
//!
//! Raw, because the C libraries keep signals 32 and 33 (musl 34, too) for themselves and leave them out of every set.

// Each test file is a program of its own and uses its own part.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::io::{self, PipeReader, Read};
use std::os::fd::AsRawFd;

#[path = "pty.rs"]
pub mod pty;

use crate::house::role::{ROLE, role};
use crate::house::{EXEUNT, House, Process, Run, wait_until};

/// The highest signal number (signal(7)).
pub const LAST: i32 = 64;
const SET_BYTES: usize = 8;

/// The bit of a signal in the kernel's sets, as /proc/PID/status shows them.
pub const fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}

/// Every signal that can be passed on: not KILL and STOP, which nobody can catch, and not CHLD, which is news for the
/// init itself.
pub fn forwardable() -> impl Iterator<Item = i32> {
    (1..=LAST).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD].contains(signal))
}

/// Sets the blocked signals of this thread: all 64 bits of them.
pub fn block(mask: u64) {
    // SAFETY: the kernel reads 8 bytes of a live local.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, 0usize, SET_BYTES) };
    assert_eq!(result, 0, "rt_sigprocmask");
}

/// Ignores exactly the signals of this set; all others get their default action.
pub fn ignore_only(set: u64) {
    for signal in forwardable().chain([libc::SIGCHLD]) {
        // The kernel's struct sigaction: handler, flags, restorer where there is one, mask.
        let mut action = [0u64; 4];
        if set & bit(signal) != 0 {
            action[0] = libc::SIG_IGN as u64;
        }
        // SAFETY: the kernel reads at most the 32 bytes of a live local.
        let result = unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, action.as_ptr(), 0usize, SET_BYTES) };
        assert_eq!(result, 0, "rt_sigaction of {signal}");
    }
}

/// Sends a real-time signal, which queues.
pub fn queue(pid: i32, signal: i32) {
    let value = libc::sigval { sival_ptr: std::ptr::null_mut() };
    // SAFETY: a system call without memory. libc's sigqueue takes every number.
    let result = unsafe { libc::sigqueue(pid, signal, value) };
    assert_eq!(result, 0, "signal {signal} for {pid}: {}", io::Error::last_os_error());
}

/// What the C libraries cannot agree upon.
#[cfg(target_env = "gnu")]
pub type Resource = libc::__rlimit_resource_t;
#[cfg(not(target_env = "gnu"))]
pub type Resource = libc::c_int;

impl Run {
    /// With default dispositions but for `ignored`, and with `blocked` blocked: what a test inherits from cargo, or
    /// glibc's posix_spawn from itself (it starts children with 32 and 33 ignored), says nothing about exeunt then.
    pub fn signals(self, ignored: u64, blocked: u64) -> Self {
        self.hook(move || {
            ignore_only(ignored);
            block(blocked);
            Ok(())
        })
    }

    /// Puts `-- ROLE` at the end: this test binary, as one of its roles, is the command.
    pub fn playing(self, name: &str) -> Self {
        let binary = std::env::current_exe().expect("the test binary");
        self.arg("--").arg(binary).env(ROLE, name)
    }

    /// Without core files, whatever dies in the test.
    pub fn without_cores(self) -> Self {
        self.limit(libc::RLIMIT_CORE, 0, 0)
    }

    pub fn limit(self, what: Resource, soft: u64, hard: u64) -> Self {
        self.hook(move || {
            let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
            // SAFETY: reads a live local.
            check(unsafe { libc::setrlimit(what, &raw const limit) })
        })
    }

    /// With these descriptors closed.
    pub fn without(self, descriptors: Vec<i32>) -> Self {
        self.hook(move || {
            for descriptor in &descriptors {
                // SAFETY: between fork and exec nobody else uses them.
                check(unsafe { libc::close(*descriptor) })?;
            }
            Ok(())
        })
    }

    /// With no descriptor but 0, 1 and 2, whatever cargo and those who have started it have left open.
    pub fn without_others(self) -> Self {
        const CLOSE_ON_EXEC: u32 = 1 << 2;
        // SAFETY: sets a flag of descriptors, up to the highest number there is.
        self.hook(|| check(unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, CLOSE_ON_EXEC) } as i32))
    }

    /// With a copy of `from` as descriptor `to`, which exec does not close.
    pub fn with_descriptor(self, from: i32, to: i32) -> Self {
        // SAFETY: no memory is involved. dup2 of a descriptor onto itself would leave its flag as it is.
        self.hook(move || {
            check(unsafe { if from == to { libc::fcntl(to, libc::F_SETFD, 0) } else { libc::dup2(from, to) } })
        })
    }
}

/// All that comes through a pipe until its last writer has closed it. Read with a deadline: that there is no such writer any
/// more is what most callers want to know.
#[track_caller]
pub fn read_to_end(mut pipe: PipeReader) -> String {
    // SAFETY: a flag of a descriptor that is ours alone.
    check(unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })
        .expect("a pipe that does not block");
    let mut all = Vec::new();
    wait_until("the last writer of the pipe to close it", || pipe.read_to_end(&mut all).is_ok());
    String::from_utf8_lossy(&all).into_owned()
}

/// Exactly one line on standard error, with all of `names` in it, and nothing on standard output.
#[track_caller]
pub fn said_one_line(run: &Process, names: &[&str]) {
    let err = run.err();
    assert!(err.starts_with("exeunt") && err.ends_with('\n') && err.lines().count() == 1, "one line: {err:?}");
    assert!(err.len() < 4096, "{} bytes", err.len());
    for name in names {
        assert!(err.contains(name), "{name:?} in: {err}");
    }
    assert_eq!(run.out(), "");
}

/// -1 is an error, as the C library tells it.
pub fn check(result: i32) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Both modes, since the two run the same init: `for run in both_modes(&house)`. Each has a directory of its own: a
/// sidecar that finds the sentinel of an earlier job would not start its command, and a main that finds its own says so.
pub fn both_modes(house: &House) -> [Run; 2] {
    house.anew();
    let other = house.path("pod-without-job");
    std::fs::create_dir_all(&other).expect("a directory");
    [house.main(), house.run(EXEUNT).arg("--dir").arg(other).args(["--mode", "sidecar"])]
}

/// A line on standard output in one write, so that two writers do not mix.
pub fn say(line: &str) {
    let line = format!("{line}\n");
    // SAFETY: the buffer is live.
    let written = unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
    assert_eq!(written, line.len() as isize, "writing a line");
}

/// Role: says `ready` and then the number of every signal that comes, in the order of the kernel (the lowest first).
/// Nothing but SIGKILL ends it, and nothing stops it: all are blocked and taken one by one, so each queued one counts.
pub fn collector() {
    block(!0);
    say("ready");
    loop {
        say(&take_signal().to_string());
    }
}

/// Role: waits, and does not care for signals. (dash catches SIGINT, and one that comes while it forks waits until the
/// child has ended.)
pub fn be_patient() {
    say("ready");
    // SAFETY: waits for a signal.
    unsafe { libc::pause() };
}

/// Waits for one blocked signal.
pub fn take_signal() -> i32 {
    let all = !0u64;
    loop {
        // SAFETY: reads 8 bytes of a live local; no siginfo and no time limit are wanted.
        let signal = unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const all, 0usize, 0usize, SET_BYTES) };
        if signal > 0 {
            return signal as i32;
        }
    }
}

/// Role: the numbers of its open descriptors on one line, into the file that REPORT names (standard output may be among
/// those that are closed).
pub fn descriptors() {
    // SAFETY: asks about a number, whatever it stands for.
    let open = (0..1024).filter(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } != -1);
    let open: Vec<_> = open.map(|number| number.to_string()).collect();
    std::fs::write(std::env::var_os("REPORT").expect("REPORT"), open.join(" ")).expect("the report");
}

/// A process that is no init: role `name` below it, and no child but that one is ever waited for.
pub fn without_exeunt(house: &House) -> Run {
    role(house, "bystander")
}

/// The program, for shell lines of interactive shells.
pub fn exeunt(house: &House, mode: &str) -> String {
    format!("{EXEUNT} --mode {mode} --dir {}", house.pod("").display())
}
