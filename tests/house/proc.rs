//! What /proc says about processes, and the means to end those that a test has left behind.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use super::{PATIENCE, wait_for};

/// The environment variable that marks everything a test has started, down to the last orphan.
pub const MARK: &str = "HOUSE_RUN";

pub fn signal(pid: i32, signal: i32) {
    assert!(pid > 1, "{pid} is not a process of a test");
    // SAFETY: kill touches no memory. That the process is gone already is no failure.
    unsafe { libc::kill(pid, signal) };
}

/// One field of /proc/PID/status, "SigCgt" or "State"; none when there is no such process.
pub fn status(pid: i32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// A field that is a mask of signals, as a number: bit n - 1 is signal n.
pub fn mask(pid: i32, field: &str) -> u64 {
    status(pid, field).and_then(|hex| u64::from_str_radix(&hex, 16).ok()).unwrap_or_else(|| panic!("{field} of {pid}"))
}

/// R, S, D, T, Z...; none when there is no such process.
pub fn state(pid: i32) -> Option<char> {
    status(pid, "State")?.chars().next()
}

/// Whether it is there and not just waiting to be reaped.
pub fn alive(pid: i32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}

pub fn exe(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

pub fn parent(pid: i32) -> Option<i32> {
    status(pid, "PPid")?.parse().ok()
}

/// In the order of their pids.
pub fn children(pid: i32) -> Vec<i32> {
    all().into_iter().filter(|child| parent(*child) == Some(pid)).collect()
}

pub fn descendants(pid: i32) -> Vec<i32> {
    let family: Vec<_> = all().into_iter().map(|pid| (pid, parent(pid))).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        found.extend(family.iter().filter(|(_, of)| *of == Some(parent)).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

/// How often all threads of a process together have gone to sleep.
pub fn wake_ups(pid: i32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let threads = tasks.filter_map(|task| task.file_name().to_str()?.parse().ok());
    threads.map(|thread| wake_ups_of_thread(pid, thread)).sum()
}

/// How often one thread has; the first thread of a process has its pid.
pub fn wake_ups_of_thread(pid: i32, thread: i32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")).unwrap_or_default();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

/// What its descriptors are open on: "/dev/null", "anon_inode:inotify", "pipe:[123]".
pub fn descriptors(pid: i32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some(fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned())).collect()
}

/// Whether one of its threads has an inotify instance: on a volume that may hang, the worker has a table of its own.
pub fn watches(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let descriptors = threads.flat_map(|thread| fs::read_dir(thread.path().join("fd")).into_iter().flatten().flatten());
    descriptors.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|it| it.to_string_lossy().contains("inotify"))
}

/// Kills every process whose environment was marked by a run of this test, until none is left. Orphans count: they
/// hang below whoever adopted them, where a walk from parent to child does not find them.
pub fn kill_marked(mark: &OsStr) {
    let mark = [MARK.as_bytes(), b"=", mark.as_encoded_bytes()].concat();
    let marked = |pid: &i32| {
        // A zombie has no environment any more and so is not found again.
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| {
            // Of one run, or, for the directory of a house, of any run in it.
            variable.strip_prefix(&mark[..]).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        })
    };
    let none_left = || {
        let left: Vec<_> = all().into_iter().filter(marked).collect();
        left.iter().for_each(|pid| signal(*pid, libc::SIGKILL));
        left.is_empty().then_some(())
    };
    if std::thread::panicking() {
        // A second panic would hide the first.
        none_left();
    } else {
        wait_for("the processes that the test has left to be gone", PATIENCE, none_left);
    }
}

fn all() -> Vec<i32> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let mut pids: Vec<i32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids
}
