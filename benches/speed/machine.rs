//! The machine: what it is, and what is asked of it.

use std::path::Path;

/// The machine and what it is busy with, in a line.
pub fn describe() -> String {
    let processor = read("/proc/cpuinfo");
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let hypervisor = if processor.contains(" hypervisor") { ", virtual" } else { "" };
    let memory = number(&read("/proc/meminfo"), "MemTotal:") as f64 / 1024.0 / 1024.0;
    format!(
        "{}{hypervisor}, {cores} processors, {memory:.0} GiB, Linux {}, load {}, {}",
        model.map_or("unknown processor", |(_, model)| model),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" "),
        humantime::format_rfc3339_seconds(std::time::SystemTime::now()),
    )
}

/// A file of /proc; empty if it is not there.
pub fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number behind a key, as in the status files of /proc; 0 without it.
pub fn number(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A thousand sidecars of one user on one machine are more than the kernel's usual 128 instances: all of them would look
/// once a second instead, and something else would be measured. Root may raise the limit; it is put back afterwards.
pub fn with_more_inotify_instances<T>(run: impl FnOnce() -> T) -> T {
    const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
    const ENOUGH: u64 = 4096;
    let usual = read(LIMIT);
    let is_enough = usual.trim().parse::<u64>().is_ok_and(|limit| limit >= ENOUGH);
    let raised = !is_enough && std::fs::write(LIMIT, ENOUGH.to_string()).is_ok();
    if !is_enough && !raised {
        println!("MISSING: {LIMIT} is {} and cannot be raised; the sidecars above it poll\n", usual.trim());
    }
    // More descriptors than the usual 1,024, for as many wrappers.
    // SAFETY: plain system calls, with a live local.
    unsafe {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
    }
    let result = run();
    if raised {
        std::fs::write(LIMIT, usual).expect("the limit that was there before");
    }
    result
}

/// Lets the caller and whatever it starts have no more inotify instances than this, as the kernel does with a user: in a user
/// namespace of their own, so that nobody else has fewer. `again`: in a further one below, because the kernel still counts
/// instances for a while that nobody has any more; the limit of the one above is lifted.
///
/// # Errors
/// If this machine lets nobody have one.
pub fn watch_no_more_than(instances: usize, again: bool) -> std::io::Result<()> {
    const LIMIT: &str = "/proc/sys/user/max_inotify_instances";
    if again {
        std::fs::write(LIMIT, i32::MAX.to_string())?;
    }
    // SAFETY: plain system calls; the caller has one thread.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    // SAFETY: as above.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER) } == -1 {
        return Err(std::io::Error::last_os_error());
    }
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    std::fs::write(LIMIT, instances.to_string())
}

/// Binds a process (0: the caller) to the first or the second processor, where there is a second.
pub fn put_on(processor: usize, pid: libc::pid_t) {
    // SAFETY: plain system calls with live locals; a set of processors is a row of bits.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(processor, &mut set);
        libc::sched_setaffinity(pid, size_of_val(&set), &raw const set);
    }
}

/// Lets nobody with an ordinary priority take the processor from the caller or from its children, if that is allowed.
pub fn before_all_others() {
    let priority: libc::c_int = 1;
    // SAFETY: a plain system call with a live local. musl has a function of its name that always fails.
    if unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_FIFO, &raw const priority) } == -1 {
        println!("MISSING: no real-time priority; on a busy machine the last moments are later than they are");
    }
}

/// The CPU time that all threads of a process have used, in microseconds.
pub fn cpu_us(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = |text: &str| text.split_whitespace().next()?.parse::<f64>().ok();
    threads.filter_map(|thread| nanoseconds(&read(thread.path().join("schedstat")))).sum::<f64>() / 1000.0
}

/// Waits for a child, and returns the CPU time that it and all that it has waited for have used, in microseconds.
pub fn cpu_us_at_the_end(child: &std::process::Child) -> f64 {
    let usage = usage_at_the_end(child.id());
    microseconds(usage.ru_utime) + microseconds(usage.ru_stime)
}

/// Waits for a child and returns what it and all that it has waited for have used.
pub fn usage_at_the_end(pid: u32) -> libc::rusage {
    // SAFETY: plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: writes into a live local. The child is nobody else's to wait for.
    let waited = unsafe { libc::wait4(pid.cast_signed(), std::ptr::null_mut(), 0, &raw mut usage) };
    assert_eq!(waited, pid.cast_signed(), "the process that was started");
    usage
}

pub fn microseconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 * 1e6 + time.tv_usec as f64
}
