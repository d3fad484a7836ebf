//! The first instants: a SIGTERM at every single system call of the start, until the command runs, is acted on.
//!
//! `docker kill` right after `docker start`, or a Pod that is deleted while it starts, hits exactly there. The tests hold
//! exeunt by ptrace(2) at one system call after the other, so that what is a race in life is a list here.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{House, Run, role};
use init::both_modes;
use std::ffi::CString;

roles! {
    fn at_each_call() { Trace::from_role().at_each_call() }
    fn between_fork_and_exec() { Trace::from_role().between_fork_and_exec() }
}

// 50 % of the signals are lost for up to 390 us by tini-static and catatonit, 550 by tini and dumb-init, 800 by pid1-rs.
#[test]
fn a_signal_at_any_system_call_of_the_start_is_acted_on_from_the_first_of_our_own() {
    let house = House::new();
    for run in both_modes(&house) {
        check_each_call(run, "child");
    }
}

#[test]
fn a_signal_to_pid_1_at_any_system_call_of_the_start_is_acted_on_from_the_first_of_our_own() {
    let house = House::new();
    for run in both_modes(&house) {
        check_each_call(run, "pid 1");
    }
}

fn check_each_call(run: Run, kind: &str) {
    let mut run = traced("at_each_call", run.args(["--", "sleep", "1000"]), kind).start();
    run.ended_within(PATIENCE_FOR_ALL);
    assert_eq!(run.code(), 0, "{}", run.out());
    let out = run.out();
    let lines: Vec<_> = out.lines().collect();
    let (last, calls) = lines.split_last().unwrap();
    assert_eq!(*last, "the command is started");
    assert!(calls.len() > 20, "only {} system calls were looked at:\n{out}", calls.len());
    for call in calls {
        assert!(call.ends_with(": 143"), "{call}");
    }
}

// dumb-init (with and without -c) and tini -g lose a SIGTERM that comes while the child is on its way to exec: the group does
// not exist yet, kill(2) says ESRCH, and that is ignored; or a do-nothing handler in the child eats it.
#[test]
fn a_signal_while_the_command_is_on_its_way_to_exec_is_not_lost() {
    let house = House::new();
    for group in [false, true] {
        for run in both_modes(&house) {
            let run = if group { run.arg("--group") } else { run };
            let mut run = traced("between_fork_and_exec", run.args(["--", "sleep", "1000"]), "child").start();
            run.ended_within(PATIENCE_FOR_ALL);
            assert_eq!(run.code(), 0, "{}", run.out());
            let out = run.out();
            let lines: Vec<_> = out.lines().collect();
            let (last, calls) = lines.split_last().unwrap();
            assert_eq!(*last, "the command runs");
            assert!(calls.len() > 10, "only {} system calls of the child were looked at", calls.len());
            for call in calls {
                assert!(call.ends_with(": 143"), "--group {group}: {call}");
            }
        }
    }
}

fn traced(how: &str, run: Run, kind: &str) -> Run {
    let binary = std::env::current_exe().unwrap();
    run.behind([binary]).env(role::ROLE, how).env("KIND", kind)
}

/// For some hundred starts one after the other.
const PATIENCE_FOR_ALL: std::time::Duration = house::PATIENCE.saturating_mul(6);

/// What one of the roles traces: its own arguments, again and again.
struct Trace {
    words: Vec<CString>,
    pid_1: bool,
}

impl Trace {
    fn from_role() -> Trace {
        let words = std::fs::read("/proc/self/cmdline").unwrap();
        let words = words[..words.len() - 1].split(|byte| *byte == 0).skip(1);
        let pid_1 = std::env::var("KIND").unwrap() == "pid 1";
        // SAFETY: cannot fail.
        if pid_1 && unsafe { libc::geteuid() } != 0 {
            // SAFETY: a role has one thread.
            init::check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }).unwrap();
        }
        Trace { words: words.map(|word| CString::new(word).unwrap()).collect(), pid_1 }
    }

    /// For each system call of exeunt after the one that holds the signals: goes there, sends SIGTERM, lets it run, and
    /// says how it ended. Before that one is the loader, and nobody can do anything about it.
    fn at_each_call(&self) {
        let traced = self.start(FORKS);
        let mut deaf = 0;
        while !traced.holds_sigterm() {
            traced.resume(libc::PTRACE_SYSCALL);
            deaf += 1;
        }
        // Blocking comes before everything else, handlers included: std's runtime, for one, sets some before main.
        let [blocked, caught] = ["SigBlk", "SigCgt"].map(|field| house::proc::mask(traced.pid, field));
        if (blocked, caught) != (!(init::bit(libc::SIGKILL) | init::bit(libc::SIGSTOP)), 0) {
            return init::say(&format!("the first thing was another: blocked {blocked:x}, caught {caught:x}"));
        }
        drop(traced);
        // Two steps are one call: to its exit, and to the entry of the next.
        for number in (deaf..).step_by(2) {
            let traced = self.start(FORKS);
            for _ in 0..number {
                if traced.resume(libc::PTRACE_SYSCALL).event() != 0 {
                    return init::say("the command is started");
                }
            }
            if !traced.holds_sigterm() {
                return init::say(&format!("{number}: deaf again"));
            }
            traced.signal(libc::SIGTERM);
            init::say(&format!("{number}: {}", traced.ended()));
        }
    }

    /// For each system call of exeunt's child before it becomes the command: goes there, sends SIGTERM to exeunt, which is
    /// suspended meanwhile, lets both run, and says how exeunt ended.
    fn between_fork_and_exec(&self) {
        for number in 0.. {
            let traced = self.start(FORKS);
            while traced.resume(libc::PTRACE_CONT).event() == 0 {}
            // A long, though it is a pid: into an int the kernel would write four zeros too many, and into our own counter.
            let mut child: libc::c_ulong = 0;
            // SAFETY: writes one long.
            unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, traced.pid, 0, &raw mut child) };
            // Not ours to kill or to reap when it runs free: it is exeunt's.
            let child = std::mem::ManuallyDrop::new(Traced { pid: child as i32 });
            child.wait();
            child.options(libc::PTRACE_O_TRACEEXEC);
            for _ in 0..number {
                if child.resume(libc::PTRACE_SYSCALL).event() == libc::PTRACE_EVENT_EXEC {
                    return init::say("the command runs");
                }
            }
            traced.signal(libc::SIGTERM);
            child.detach();
            init::say(&format!("{number}: {}", traced.ended()));
        }
    }

    fn start(&self, options: libc::c_int) -> Traced {
        let mut argv: Vec<_> = self.words.iter().map(|word| word.as_ptr()).collect();
        argv.push(std::ptr::null());
        let flags = libc::SIGCHLD | if self.pid_1 { libc::CLONE_NEWPID } else { 0 };
        // SAFETY: as fork(2), in a process with one thread; the child only makes system calls.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) } as i32;
        if pid == 0 {
            // SAFETY: plain system calls; argv ends in null.
            unsafe {
                libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
                libc::execv(argv[0], argv.as_ptr());
                libc::_exit(99);
            }
        }
        assert!(pid > 0, "{}", std::io::Error::last_os_error());
        let traced = Traced { pid };
        traced.wait();
        traced.options(options);
        traced
    }
}

#[cfg(target_env = "gnu")]
type Request = libc::c_uint;
#[cfg(not(target_env = "gnu"))]
type Request = libc::c_int;

/// A process that we trace. Killed when it is dropped.
struct Traced {
    pid: i32,
}

/// Stop where a process, not a thread, is cloned.
const FORKS: libc::c_int = libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACEFORK;

/// A status of waitpid(2).
struct Stop(i32);

impl Stop {
    /// Which of the events that were asked for (ptrace(2), PTRACE_O_...), or 0.
    fn event(&self) -> i32 {
        self.0 >> 16
    }
}

impl Traced {
    fn options(&self, options: libc::c_int) {
        self.request(libc::PTRACE_SETOPTIONS, options | libc::PTRACE_O_EXITKILL);
    }

    fn resume(&self, how: Request) -> Stop {
        self.request(how, 0);
        self.wait()
    }

    fn wait(&self) -> Stop {
        let mut status = 0;
        // SAFETY: writes one int.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        assert_eq!(pid, self.pid, "{}", std::io::Error::last_os_error());
        assert!(libc::WIFSTOPPED(status), "{pid} has ended: status {status:x}");
        Stop(status)
    }

    /// Whether a SIGTERM that comes now is neither lost nor deadly.
    fn holds_sigterm(&self) -> bool {
        ["SigBlk", "SigCgt"].iter().any(|field| house::proc::mask(self.pid, field) & init::bit(libc::SIGTERM) != 0)
    }

    fn signal(&self, signal: i32) {
        house::proc::signal(self.pid, signal);
    }

    fn detach(&self) {
        self.request(libc::PTRACE_DETACH, 0);
    }

    fn request(&self, request: Request, data: libc::c_int) {
        // SAFETY: none of the requests used here touches our memory.
        let result = unsafe { libc::ptrace(request, self.pid, 0, libc::c_long::from(data)) };
        assert_eq!(result, 0, "ptrace request {request}: {}", std::io::Error::last_os_error());
    }

    /// Lets it run free, and says its exit code, or `killed by` and the signal.
    fn ended(self) -> String {
        let traced = std::mem::ManuallyDrop::new(self);
        traced.detach();
        traced.code()
    }

    fn code(&self) -> String {
        let mut status = 0;
        // SAFETY: writes one int.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, 0) };
        assert_eq!(pid, self.pid, "{}", std::io::Error::last_os_error());
        if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status).to_string()
        } else {
            format!("killed by {}", libc::WTERMSIG(status))
        }
    }
}

impl Drop for Traced {
    /// Kills it and waits for its end. A PID 1 does not end before all of its namespace have been reaped, and who is traced
    /// is reaped by the tracer: hence -1. What may be left dies with us (PTRACE_O_EXITKILL).
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: the pid is that of a child of ours that was not reaped, or of nobody; waitpid writes one int.
        unsafe {
            if libc::kill(self.pid, libc::SIGKILL) == 0 {
                while libc::waitpid(-1, &raw mut status, libc::__WALL) != self.pid || libc::WIFSTOPPED(status) {}
            }
        }
    }
}
