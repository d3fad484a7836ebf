//! A tracer (ptrace(2)) that stops exeunt at every system call, counts it, and may make it fail or kill exeunt there.
//!
//! strace can inject both, but counts for each set of calls and each thread on its own, and would trace the command as
//! well. Here one number counts every system call of exeunt's own process: of all its threads, and of the child between
//! clone(2) and exec(2), which runs exeunt's code in exeunt's memory. A child that has become another program is let go.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::collections::HashMap;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

pub mod cases;
pub mod errors;
mod registers;

/// One system call at its entry: nothing of it has been done yet.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// 1 for the first after exec(2).
    pub index: u64,
    /// The thread, or the child, that makes it.
    pub pid: i32,
    pub number: i64,
    pub arguments: [u64; 6],
    /// Whether it is made by the child that is about to become the command.
    pub child: bool,
    /// Whether exeunt's own code has begun. What comes before is the loader of the C library. exeunt's first act is to
    /// block all signals, which no loader does.
    pub ours: bool,
}

/// What is to become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// exeunt, the whole process, is killed before the call has any effect.
    Kill,
    /// It is not carried out and returns this errno.
    Fail(i32),
    /// It is carried out, and this errno is returned all the same: so it is with close(2), whose descriptor is gone.
    FailAfter(i32),
}

/// What became of a traced run.
#[derive(Clone, Debug)]
pub struct End {
    pub status: ExitStatus,
    pub at: Instant,
    /// How many system calls were entered.
    pub calls: u64,
    /// The last child that became another program: the command.
    pub command: Option<i32>,
    /// Where it was killed, or failed first.
    pub struck: Option<Call>,
}

/// A traced run that goes on in a thread of its own: ptrace answers only the thread that started the process.
pub struct Traced {
    pub pid: i32,
    end: mpsc::Receiver<End>,
    over: Arc<AtomicBool>,
}

impl Traced {
    /// Starts `command` and asks `decide` about each system call.
    pub fn start(mut command: Command, decide: impl FnMut(&Call) -> Verdict + Send + 'static) -> Self {
        let (say, end) = mpsc::channel();
        let (say_pid, pid) = mpsc::channel();
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        std::thread::spawn(move || {
            // SAFETY: one system call without memory.
            unsafe { command.pre_exec(|| check(libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0))) };
            #[allow(clippy::zombie_processes, reason = "reaped by number, through waitpid")]
            let child = command.spawn().expect("the traced program is started");
            let root = i32::try_from(child.id()).expect("a pid");
            let _ = say_pid.send(root);
            let _ = say.send(Tracer::new(root, decide).run());
            told.store(true, SeqCst);
        });
        Self { pid: pid.recv().expect("the traced program is started"), end, over }
    }

    /// Whether its end has come.
    pub fn has_ended(&self) -> bool {
        self.over.load(SeqCst)
    }

    /// Its end; a run that hangs is killed, and that is a failure.
    pub fn ended_within(&self, within: Duration) -> Result<End, String> {
        self.end.recv_timeout(within).map_err(|_| {
            // SAFETY: no memory. Its tracer has not reaped it yet, so the number is still its own.
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
            let how = if self.end.recv_timeout(Duration::from_secs(5)).is_ok() { "" } else { ", even by SIGKILL" };
            format!("exeunt has not ended within {within:?}{how}")
        })
    }
}

struct Thread {
    child: bool,
    inside: bool,
    result: Option<i32>,
}

struct Tracer<F> {
    root: i32,
    decide: F,
    threads: HashMap<i32, Thread>,
    /// A child that waits for exeunt's death to be complete, so that what it finds does not depend on who is faster.
    held: Option<i32>,
    ours: bool,
    calls: u64,
    command: Option<i32>,
    struck: Option<Call>,
    end: Option<(ExitStatus, Instant)>,
}

impl<F: FnMut(&Call) -> Verdict> Tracer<F> {
    fn new(root: i32, decide: F) -> Self {
        let threads = HashMap::new();
        Self { root, decide, threads, held: None, ours: false, calls: 0, command: None, struck: None, end: None }
    }

    fn run(mut self) -> End {
        loop {
            let mut status = 0;
            // __WNOTHREAD: the children and tracees of this thread alone; other tests have tracers of their own.
            // SAFETY: writes one int.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
            if pid == -1 {
                break;
            }
            if libc::WIFSTOPPED(status) {
                self.stopped(pid, status);
            } else {
                self.threads.remove(&pid);
                if pid == self.root {
                    self.end = Some((ExitStatus::from_raw(status), Instant::now()));
                    self.held.take().into_iter().for_each(|held| go_on(held, 0));
                }
            }
        }
        let (status, at) = self.end.expect("the traced program was reaped by its tracer");
        End { status, at, calls: self.calls, command: self.command, struck: self.struck }
    }

    fn stopped(&mut self, pid: i32, status: i32) {
        let signal = libc::WSTOPSIG(status);
        if !self.threads.contains_key(&pid) {
            let child = thread_group(pid) != Some(self.root);
            self.threads.insert(pid, Thread { child, inside: false, result: None });
            if pid == self.root {
                let options = libc::PTRACE_O_TRACESYSGOOD
                    | libc::PTRACE_O_TRACECLONE
                    | libc::PTRACE_O_TRACEFORK
                    | libc::PTRACE_O_TRACEVFORK
                    | libc::PTRACE_O_TRACEEXEC
                    | libc::PTRACE_O_EXITKILL;
                // SAFETY: a stopped tracee of this thread.
                unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options) };
            }
            // The stop after exec(2), or the SIGSTOP with which the kernel presents a new tracee.
            return go_on(pid, 0);
        }
        match (signal, status >> 16) {
            (number, 0) if number == libc::SIGTRAP | 0x80 => self.system_call(pid),
            (libc::SIGTRAP, libc::PTRACE_EVENT_EXEC) => {
                self.threads.remove(&pid);
                self.command = Some(pid);
                // SAFETY: as above.
                unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) };
            }
            (_, 0) => go_on(pid, signal),
            (_, _) => go_on(pid, 0),
        }
    }

    fn system_call(&mut self, pid: i32) {
        let Some(thread) = self.threads.get_mut(&pid) else { return };
        thread.inside = !thread.inside;
        if !thread.inside {
            if let Some(errno) = thread.result.take() {
                registers::set_result(pid, -i64::from(errno));
            }
            return go_on(pid, 0);
        }
        let child = thread.child;
        // Killed from outside in the meantime: there is nothing left to decide.
        let Some((number, arguments)) = registers::call(pid) else { return go_on(pid, 0) };
        self.ours |= number == libc::SYS_rt_sigprocmask;
        self.calls += 1;
        let call = Call { index: self.calls, pid, number, arguments, child, ours: self.ours };
        let verdict = (self.decide)(&call);
        if verdict != Verdict::Pass {
            self.struck.get_or_insert(call);
        }
        match verdict {
            Verdict::Pass => {}
            Verdict::Kill => {
                // SAFETY: no memory. Not yet reaped, so the number is exeunt's.
                unsafe { libc::kill(self.root, libc::SIGKILL) };
                if child {
                    self.held = Some(pid);
                    return;
                }
            }
            Verdict::Fail(errno) => {
                registers::skip(pid);
                thread_result(&mut self.threads, pid, errno);
            }
            Verdict::FailAfter(errno) => thread_result(&mut self.threads, pid, errno),
        }
        go_on(pid, 0);
    }
}

fn thread_result(threads: &mut HashMap<i32, Thread>, pid: i32, errno: i32) {
    if let Some(thread) = threads.get_mut(&pid) {
        thread.result = Some(errno);
    }
}

/// To the next stop. That it has been killed meanwhile is no failure: its end is reported next.
fn go_on(pid: i32, signal: i32) {
    // SAFETY: a stopped tracee of this thread.
    unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, signal) };
}

fn thread_group(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:"))?.trim().parse().ok()
}

fn check(result: libc::c_long) -> std::io::Result<()> {
    if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}
