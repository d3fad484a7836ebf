//! Which signals reach us, and how: all are blocked from the first instruction on, except inside the one wait.
//!
//! The kernel drops a signal to a PID 1 that has no handler for it and does not block it (signal(7), pid_namespaces(7)),
//! so blocking comes first. Handlers only note the number. They run inside the one wait alone (ppoll(2), or what takes its
//! place where a filter refuses it), one a call: each blocks everything else (`sa_mask`), and what it returns to is the full
//! mask again. So no number can be noted twice before it is read, and a queue of real-time signals is taken one by one, none
//! lost. No pipe is needed, and no descriptor.
#![allow(
    unsafe_code,
    reason = "signal masks, dispositions and ppoll with raw 64-bit sets; each call says why it is sound"
)]

use crate::signal::MAX;
pub use crate::signal::name;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

const SET_BYTES: usize = 8;

static NOTED: AtomicU64 = AtomicU64::new(0);

/// Set of signals, bit n-1 for signal n: the kernel's own form, which unlike libc's leaves none out.
pub type Set = u64;

/// The bit of one signal.
pub const fn bit(signal: u8) -> Set {
    1 << (signal - 1)
}

/// The signals of a set, the lowest first.
pub fn members(set: Set) -> impl Iterator<Item = u8> {
    (1..=MAX).filter(move |signal| set & bit(*signal) != 0)
}

/// Holds back every signal of the calling thread, those that libc keeps for itself included. Whether that is allowed.
///
/// A raw system call: sigfillset(3) leaves out signals 32 to 34 with musl and 32, 33 with glibc.
pub fn block_all() -> bool {
    let all: Set = !0;
    // SAFETY: reads 8 bytes from a live local; nothing but a filter could make it fail.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, 0usize, SET_BYTES) == 0 }
}

/// Waits so long, whatever is pending. By futex(2), which no filter refuses to a program that lives: std's own sleep ends the
/// process where clock_nanosleep(2) is refused.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// Lets every signal through. For a child between its last preparation and exec(2): async-signal-safe.
pub fn unblock_all() {
    let none: Set = 0;
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, 0usize, SET_BYTES) };
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the kernel's `struct sigaction` is written down here for x86_64 and aarch64 alone");

/// The kernel's `struct sigaction` on 64-bit x86 and ARM: handler, flags, restorer, mask.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct KernelAction {
    words: [u64; 4],
}

fn kernel_action(signal: u8, new: Option<&KernelAction>) -> Option<KernelAction> {
    let mut old = KernelAction::default();
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: both structures are as large as the kernel's.
    let result =
        unsafe { libc::syscall(libc::SYS_rt_sigaction, libc::c_int::from(signal), new, &raw mut old, SET_BYTES) };
    (result == 0).then_some(old)
}

/// The handlers: whoever has this may ask what they have noted, and what was ignored before them.
#[derive(Debug)]
pub struct Signals {
    child: Arc<AtomicBool>,
    /// What is held back during a wait.
    shut: Set,
}

/// What one wait brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// Signals that were sent to us and are to be passed on.
    pub signals: Set,
    /// A child has changed its state: go and look, to the end of the list.
    pub children: bool,
    /// The descriptor that was waited for can be read.
    pub readable: bool,
}

impl Signals {
    /// Installs a handler for every signal that can have one. Every signal must be blocked already, so none that comes
    /// meanwhile is lost.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn catch() -> std::io::Result<Signals> {
        LOOP_THREAD.store(nix::unistd::gettid().as_raw(), Relaxed);
        OURSELVES.store(nix::unistd::getpid().as_raw(), Relaxed);
        let child = Arc::new(AtomicBool::new(false));
        let mut ignored = if is_ignored(kernel_action(CHILD, None)) { bit(CHILD) } else { 0 };
        let held = hold_what_libc_lets_through();
        signal_hook::flag::register(libc::SIGCHLD, Arc::clone(&child))?;
        // With the first handler, musl's sigaction(3) has unblocked the signals of its own thread business, 33 and 34. Where
        // nothing can be blocked, what comes between a look and the wait wakes nobody: an end would be missed.
        if !block_all() {
            return Err(std::io::Error::last_os_error());
        }
        let action = block_while_handling()?;
        for signal in (1..=MAX).filter(|signal| *signal != CHILD) {
            if is_ignored(kernel_action(signal, Some(&action))) {
                ignored |= bit(signal);
            }
        }
        IGNORED.store(ignored & !held, Relaxed);
        Ok(Signals { child, shut: 0 })
    }

    /// For a run that only tells how it ended, where no handler is to be had: every signal stays blocked, none is heard of.
    pub fn none() -> Signals {
        Signals { child: Arc::default(), shut: !0 }
    }

    /// The signals that were ignored when we were started; a child gets them ignored, as from nohup(1).
    pub fn ignored(&self) -> Set {
        IGNORED.load(Relaxed)
    }

    /// Waits until a signal comes, `descriptor` can be read, or the time is over (`None`: no limit).
    pub fn wait(&self, descriptor: Option<BorrowedFd<'_>>, limit: Option<Duration>) -> Woken {
        let fd = descriptor.map_or(-1, |descriptor| descriptor.as_raw_fd());
        let time = limit.map(|limit| libc::timespec {
            // No wait is longer than a year.
            tv_sec: limit.as_secs().cast_signed(),
            tv_nsec: libc::c_long::from(limit.subsec_nanos().cast_signed()),
        });
        let shut = self.shut;
        let readable = poll(fd, time, shut).or_else(|| select(fd, time, shut)).unwrap_or_else(|| glance(shut));
        if readable {
            // Neither call looks at signals when a descriptor is ready: a bell that never falls silent would make us deaf.
            // With nothing else to look at it does.
            let now = Some(libc::timespec { tv_sec: 0, tv_nsec: 0 });
            let _nothing = poll(-1, now, shut).or_else(|| select(-1, now, shut));
        }
        Woken { signals: NOTED.swap(0, Relaxed), children: self.child.swap(false, Relaxed), readable }
    }
}

/// Waits with ppoll(2), all signals open but those that are `shut`: whether the descriptor can be read. `None`: the call is
/// refused (a filter; EINVAL where no descriptor at all is allowed, RLIMIT_NOFILE).
fn poll(fd: libc::c_int, mut time: Option<libc::timespec>, shut: Set) -> Option<bool> {
    let mut one = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let count = usize::from(fd >= 0);
    let time = time.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: all pointers are to live locals; the kernel writes `revents` and, being raw, perhaps the time left into
    // `time`, which is not read again.
    let ready = unsafe { libc::syscall(libc::SYS_ppoll, &raw mut one, count, time, &raw const shut, SET_BYTES) };
    waited(ready, one.revents != 0)
}

/// The same with pselect(2), for where the first is refused.
fn select(fd: libc::c_int, mut time: Option<libc::timespec>, shut: Set) -> Option<bool> {
    /// As much as the kernel itself looks at (`__FD_SETSIZE`).
    const WORDS: usize = 16;
    let mut words = [0u64; WORDS];
    let mut count: libc::c_int = 0;
    if fd >= 0 {
        // A number beyond what the call knows: it is not for us.
        *words.get_mut(usize::try_from(fd / 64).ok()?)? |= 1 << (fd % 64);
        count = fd.saturating_add(1);
    }
    // The call has six arguments, and so takes the last, a set and its size, from memory.
    let mask = [(&raw const shut).addr(), SET_BYTES];
    let (empty, time) = (std::ptr::null_mut::<u64>(), time.as_mut().map_or(std::ptr::null_mut(), std::ptr::from_mut));
    // SAFETY: the set has room for `count` numbers; all other pointers are null or to live locals.
    let ready =
        unsafe { libc::syscall(libc::SYS_pselect6, count, words.as_mut_ptr(), empty, empty, time, mask.as_ptr()) };
    waited(ready, words.iter().any(|word| *word != 0))
}

/// What a wait has told. A signal ends it as well (EINTR), and nothing can be read then.
fn waited(ready: libc::c_long, readable: bool) -> Option<bool> {
    match ready {
        0.. => Some(ready > 0 && readable),
        _ => (std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)).then_some(false),
    }
}

/// For where a filter refuses every way to wait: opens the signals for an instant, 50 times a second, and says that the
/// descriptor may have something to read.
fn glance(shut: Set) -> bool {
    pause(Duration::from_millis(20));
    for set in [shut, !0] {
        // SAFETY: reads 8 bytes of a live local.
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const set, 0usize, SET_BYTES) };
    }
    true
}

/// The process whose signals are to be noted, and what it found ignored at its start.
static OURSELVES: AtomicI32 = AtomicI32::new(0);
static IGNORED: AtomicU64 = AtomicU64::new(0);

/// The thread of the one loop, the only one that waits for signals.
static LOOP_THREAD: AtomicI32 = AtomicI32::new(0);

/// The first call of musl's sigaction(3) unblocks 33 and 34 for its own business. If one of them is pending already it would
/// end us there, before there is a handler: it is noted by hand, and ignored until there is one.
fn hold_what_libc_lets_through() -> Set {
    let (mut pending, mut held): (Set, Set) = (0, 0);
    // SAFETY: writes 8 bytes into a live local.
    unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut pending, SET_BYTES) };
    for signal in (32..=34).filter(|signal| pending & bit(*signal) != 0) {
        NOTED.fetch_or(bit(signal), Relaxed);
        set_simple(signal, libc::SIG_IGN);
        held |= bit(signal);
    }
    held
}

const CHILD: u8 = libc::SIGCHLD as u8;

fn is_ignored(action: Option<KernelAction>) -> bool {
    action.is_some_and(|action| action.words[0] == libc::SIG_IGN as u64)
}

/// Gives the handler of SIGCHLD a full mask, and returns the like of it for all other signals.
///
/// Without the mask the kernel runs one handler on top of the other for all that is pending, the innermost first, and a
/// queued signal comes again before its number has been read. The kernel's own record of the handler that signal-hook has
/// set gives the flags and the restorer that this architecture needs. The others are not set by signal-hook: it would
/// refuse those that a fault raises, libc those that it keeps for itself, and each would cost a copy of the list of all.
/// A real fault comes while its signal is blocked, and then the kernel ends the process in spite of the handler.
fn block_while_handling() -> std::io::Result<KernelAction> {
    let mut action = kernel_action(CHILD, None).ok_or_else(std::io::Error::last_os_error)?;
    action.words[3] = !0;
    kernel_action(CHILD, Some(&action)).ok_or_else(std::io::Error::last_os_error)?;
    action.words[0] = note as *const () as u64;
    Ok(action)
}

/// Takes the real-time signals back from glibc, which unblocks 32 and 33 when the first thread is started and puts a
/// handler of its own on 33 (musl does so only for pthread_cancel(3), which nobody calls here). To be called after that.
pub fn catch_again() {
    block_all();
    if cfg!(target_env = "gnu")
        && let Some(action) = kernel_action(libc::SIGUSR1 as u8, None)
    {
        for signal in 32..=MAX {
            kernel_action(signal, Some(&action));
        }
    }
}

/// The handler of every signal but SIGCHLD: async-signal-safe.
///
/// # Safety
/// The kernel calls it, with the record of the signal (SA_SIGINFO).
unsafe extern "C" fn note(signal: libc::c_int, info: *const libc::siginfo_t, _context: *const libc::c_void) {
    /// `si_code` of a signal that the kernel itself made (sigaction(2)).
    const SI_KERNEL: libc::c_int = 0x80;
    // SAFETY: the kernel's own record, which lives as long as the handler runs.
    let (Ok(number @ 1..=MAX), Some(info)) = (u8::try_from(signal), unsafe { info.as_ref() }) else { return };
    let loop_thread = LOOP_THREAD.load(Relaxed);
    if nix::unistd::gettid().as_raw() != loop_thread {
        if nix::unistd::getpid().as_raw() != OURSELVES.load(Relaxed) {
            return take_as_the_command_would(number);
        }
        // Every libc leaves the signal of its own thread business (33) open in every thread it starts, whatever mask it
        // should inherit, so the thread of the watch may be given one that is meant for the process: it goes on to the loop's.
        // SAFETY: a plain system call.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), loop_thread, signal) };
        return;
    }
    // Our own CPU time, never the command's: it has a limit of its own.
    if info.si_code == SI_KERNEL && signal == libc::SIGXCPU {
        return;
    }
    // A write of our own into a broken pipe, or past RLIMIT_FSIZE, is no message for the command. The kernel names the writer
    // as the sender.
    // SAFETY: `si_pid` is there for what kill(2) or the kernel on behalf of a process sends; else it is some number.
    if matches!(signal, libc::SIGPIPE | libc::SIGXFSZ) && unsafe { info.si_pid() } == nix::unistd::getpid().as_raw() {
        return;
    }
    NOTED.fetch_or(bit(number), Relaxed);
}

/// Writes to a descriptor that others have given us. A pipe that nobody reads and a file at its limit (RLIMIT_FSIZE) answer
/// with a signal as well, whose default is the end: a probe and a goodbye, which have no handlers, do not hear of it. An
/// init, which blocks all signals, tells its own from those of others in its handler.
pub fn undisturbed(write: impl FnOnce()) {
    let ours = bit(libc::SIGPIPE as u8) | bit(libc::SIGXFSZ as u8);
    let mut before: Set = 0;
    // SAFETY: reads and writes 8 bytes of live locals.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const ours, &raw mut before, SET_BYTES) };
    write();
    if before & ours == ours {
        return;
    }
    let (now, none) = (libc::timespec { tv_sec: 0, tv_nsec: 0 }, std::ptr::null::<libc::siginfo_t>());
    // SAFETY: reads live locals; nobody wants to know more than the number.
    let take = || unsafe { libc::syscall(libc::SYS_rt_sigtimedwait, &raw const ours, none, &raw const now, SET_BYTES) };
    while take() > 0 {}
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const before, 0usize, SET_BYTES) };
}

/// Gives SIGCHLD its default action, for a process without handlers that waits for its child.
pub fn hear_of_children() {
    set_simple(CHILD, libc::SIG_DFL);
}

/// Has SIGALRM end this process after this time, in which it may hang wherever it likes. For a process without handlers.
pub fn end_after(limit: std::time::Duration) {
    set_simple(libc::SIGALRM as u8, libc::SIG_DFL);
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let after = libc::timeval {
        tv_sec: limit.as_secs().cast_signed(),
        // A timer of nothing would never ring.
        tv_usec: limit.subsec_micros().max(1).cast_signed().into(),
    };
    let timer = libc::itimerval { it_interval: never, it_value: after };
    // SAFETY: reads a live local. Where it is refused nobody watches the clock, and the tests' own limits are left.
    unsafe { libc::syscall(libc::SYS_setitimer, libc::ITIMER_REAL, &raw const timer, 0usize) };
}

/// Ignores these signals again. For a child before exec(2): async-signal-safe.
///
/// The others keep our handlers until exec(2) takes them away: what comes before that is seen by [`note`].
pub fn ignore(signals: Set) {
    for signal in members(signals) {
        set_simple(signal, libc::SIG_IGN);
    }
}

/// A signal has come to a child of ours between its unblocking and exec(2), where our handlers still stand. To the command
/// it would have done what its default is: that is set, and the signal sent once more. It comes when the handler returns,
/// for until then all are blocked. (To give all of them their defaults beforehand would be sixty system calls.)
fn take_as_the_command_would(signal: u8) {
    let ignored = IGNORED.load(Relaxed) & bit(signal) != 0;
    set_simple(signal, if ignored { libc::SIG_IGN } else { libc::SIG_DFL });
    let (own, signal) = (nix::unistd::getpid().as_raw(), libc::c_int::from(signal));
    // Two ways, for a filter that refuses the first, or our number; in here there is one thread.
    // SAFETY: plain system calls.
    unsafe {
        if own < 1 || libc::kill(own, signal) != 0 {
            libc::syscall(libc::SYS_tkill, libc::gettid(), signal);
        }
    }
}

fn set_simple(signal: u8, disposition: libc::sighandler_t) {
    let mut action = KernelAction::default();
    action.words[0] = disposition as u64;
    kernel_action(signal, Some(&action));
}
