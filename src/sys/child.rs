//! The door to processes: start one with a clean slate, signal it, reap whoever has died.
#![allow(
    unsafe_code,
    reason = "clone(2) with a shared address space, and the few calls a child may make before exec(2)"
)]

use super::environment::{self, Entry};
use super::{signals, terminal};
use crate::machine::Status;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::ffi::{CString, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// How a child is to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    /// Signals that the child finds ignored, as we found them.
    pub ignored: signals::Set,
    /// Whether the child leads a process group of its own.
    pub own_group: bool,
    /// Whether that group becomes the terminal's foreground group.
    pub foreground: bool,
    /// Where the child starts; `None`: where we are.
    pub directory: Option<CString>,
    /// What becomes its standard error; `None`: ours.
    pub stderr: Option<RawFd>,
    /// What becomes its standard input and output; `None`: ours.
    pub stdio: Option<RawFd>,
}

impl Refused {
    /// Whether it may be otherwise in a moment: no room for a process, no memory.
    pub fn passes(self) -> bool {
        matches!(
            self,
            Refused::NoProcess(Errno::EAGAIN | Errno::ENOMEM) | Refused::NotExecutable(Errno::ENOMEM | Errno::ETXTBSY)
        )
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (Refused::NotFound(errno) | Refused::NotExecutable(errno) | Refused::NoProcess(errno)) = self;
        out.write_str(&crate::words::errno(*errno))
    }
}

/// Why a command did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such file (ENOENT, ENOTDIR).
    NotFound(Errno),
    /// There is one and it cannot be executed.
    NotExecutable(Errno),
    /// The system had no room for one more process.
    NoProcess(Errno),
}

/// What every program for Linux begins with (elf(5)).
pub const ELF: &[u8; 4] = b"\x7fELF";
/// Who runs a script without `#!` (execvp(3)).
const SHELL: &std::ffi::CStr = c"/bin/sh";

/// The default search path of execvp(3) with musl.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/bin:/usr/bin";

impl Launch {
    /// Prepares `command` (at least one word): everything that needs memory is done here, before there is a child.
    ///
    /// # Errors
    /// If a word holds a NUL byte, which cannot come from a command line.
    pub fn new(command: &[impl AsRef<OsStr>], ignored: signals::Set) -> anyhow::Result<Launch> {
        let arguments =
            command.iter().map(|word| CString::new(word.as_ref().as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let program = command.first().map(|word| word.as_ref().as_bytes()).unwrap_or_default();
        Ok(Launch {
            candidates: candidates(program)?,
            arguments,
            ignored,
            own_group: false,
            foreground: false,
            directory: None,
            stderr: None,
            stdio: None,
        })
    }

    /// The same for our own program.
    ///
    /// # Errors
    /// As for [`Launch::new`].
    pub fn of_ourselves(
        words: &[impl AsRef<OsStr>],
        ignored: signals::Set,
        started_in: &std::path::Path,
    ) -> anyhow::Result<Launch> {
        let paths = super::ourselves::paths(started_in).map(|path| CString::new(path.into_os_string().into_vec()));
        let candidates = paths.into_iter().collect::<Result<_, _>>()?;
        Ok(Launch { candidates, ..Launch::new(words, ignored)? })
    }

    /// Starts the child and returns when it has become the command: it cannot be signalled too early, and the reason
    /// of a failure is the kernel's own.
    ///
    /// # Errors
    /// See [`Refused`].
    pub fn start(&self) -> Result<Started, Refused> {
        /// For a few small frames, and for that of a signal handler, which holds all registers (11 KiB at most).
        const STACK: usize = 32 * 1024;
        let argv: Vec<_> = self.arguments.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        // The same for the shell: its own name, and a place for the script.
        let words = argv.iter().skip(1).copied();
        let mut by_shell: Vec<_> = [SHELL.as_ptr(), std::ptr::null()].into_iter().chain(words).collect();
        // "LISTEN_PID=", at most ten digits, and the end. Socket activation (sd_listen_fds(3)) names the process that is
        // to take the sockets: us. It is the command that will, and its number is known only in the child.
        let mut listen_pid = *b"LISTEN_PID=\0\0\0\0\0\0\0\0\0\0\0";
        let envp = environment(&mut listen_pid);
        let mut start = Start {
            launch: self,
            argv: &argv,
            by_shell: &mut by_shell,
            envp: &envp,
            digits: listen_pid[11..].as_mut_ptr(),
            parent: nix::unistd::getpid(),
            failure: 0,
            shared: false,
        };
        // Not zeroed: that would touch every page of it.
        let mut stack: Vec<MaybeUninit<u8>> = Vec::with_capacity(STACK);
        let top = stack.spare_capacity_mut().as_mut_ptr_range().end;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: the stack grows down from its end. With CLONE_VFORK we run on only after the child has replaced or ended
        // itself, so the stack and all that it borrows stay alive. Signals are blocked in both.
        let pid = unsafe { libc::clone(Start::run, top.cast(), flags, (&raw mut start).cast()) };
        let pid = Errno::result(pid).map(Pid::from_raw).map_err(Refused::NoProcess)?;
        // SAFETY: written by the child before it ended itself, read after.
        let (failure, shared) = unsafe {
            (std::ptr::read_volatile(&raw const start.failure), std::ptr::read_volatile(&raw const start.shared))
        };
        if failure == 0 {
            return Ok(Started { pid, seen: shared });
        }
        // The child has ended without becoming the command: reap it here, nobody else shall hear of it.
        let _ = status_of(pid.as_raw(), 0);
        Err(match Errno::from_raw(failure) {
            errno @ (Errno::ENOENT | Errno::ENOTDIR) => Refused::NotFound(errno),
            errno => Refused::NotExecutable(errno),
        })
    }

    /// In the child: async-signal-safe, and nothing here can stop the start.
    fn prepare(&self, pid: Pid, parent: Pid) {
        if self.own_group {
            let _ = nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0));
        }
        if self.foreground {
            terminal::give_to(pid);
        }
        // If exeunt is killed, its child does not go on alone (prctl(2), PR_SET_PDEATHSIG): a job that went on would have
        // been declared dead. The parent may have died before the call, so it is asked for again afterwards.
        // SAFETY: plain system calls.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // 0 is no dead parent, but one in another namespace (unshare --pid without --fork); less is none that may be asked
            // for, be it by us or by the parent itself.
            let above = nix::unistd::getppid();
            if above != parent && above.as_raw() > 0 && parent.as_raw() > 0 {
                libc::_exit(127);
            }
            if let Some(directory) = &self.directory {
                libc::chdir(directory.as_ptr());
            }
            if let Some(stdio) = self.stdio {
                libc::dup2(stdio, 0);
                libc::dup2(stdio, 1);
            }
            if let Some(stderr) = self.stderr {
                libc::dup2(stderr, 2);
            }
        }
        signals::ignore(self.ignored);
        signals::unblock_all();
    }

    /// In the child: tries each candidate as execvp(3) does and returns the most telling error.
    ///
    /// # Safety
    /// Both lists end in a null pointer.
    unsafe fn exec(
        &self,
        argv: &[*const libc::c_char],
        by_shell: &mut [*const libc::c_char],
        envp: &[*const libc::c_char],
    ) -> Errno {
        let mut answer = None;
        for candidate in &self.candidates {
            // SAFETY: the caller's promise.
            unsafe { libc::execve(candidate.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
            match Errno::last() {
                missing @ (Errno::ENOENT | Errno::ENOTDIR) => answer = answer.or(Some(missing)),
                // A later directory may hold one that we may execute.
                Errno::EACCES => answer = Some(Errno::EACCES),
                // No #! line, or another architecture: as execvp(3) does, and the other inits with it.
                Errno::ENOEXEC => {
                    // SAFETY: the caller's promise.
                    return unsafe { Launch::exec_by_shell(candidate, by_shell, envp) };
                }
                errno => return errno,
            }
        }
        answer.unwrap_or(Errno::ENOENT)
    }

    /// In the child: a file that the kernel cannot execute is a script without `#!`, unless it is a program of another kind of
    /// machine. Returns if there is no shell.
    ///
    /// # Safety
    /// As for [`Launch::exec`]; `by_shell` has a place for the candidate behind its first word.
    unsafe fn exec_by_shell(
        candidate: &std::ffi::CStr,
        by_shell: &mut [*const libc::c_char],
        envp: &[*const libc::c_char],
    ) -> Errno {
        let mut magic = [0u8; 4];
        // SAFETY: plain system calls on a string, a live local and the caller's lists.
        unsafe {
            let file = libc::open(candidate.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            libc::read(file, magic.as_mut_ptr().cast(), magic.len());
            libc::close(file);
            if &magic != ELF
                && let Some(place) = by_shell.get_mut(1)
            {
                *place = candidate.as_ptr();
                libc::execve(SHELL.as_ptr(), by_shell.as_ptr(), envp.as_ptr());
            }
        }
        Errno::ENOEXEC
    }

    /// The file that the search has found, whatever became of it then.
    pub fn found(&self) -> Option<&std::path::Path> {
        let paths = self.candidates.iter().map(|path| std::path::Path::new(OsStr::from_bytes(path.as_bytes())));
        paths.into_iter().find(|path| path.is_file())
    }
}

/// What the child needs of us while it is on its way to exec(2).
struct Start<'a> {
    launch: &'a Launch,
    argv: &'a [*const libc::c_char],
    by_shell: &'a mut [*const libc::c_char],
    envp: &'a [*const libc::c_char],
    /// Room for ten digits in the child's environment.
    digits: *mut u8,
    parent: Pid,
    /// Why exec(2) failed; 0 if it did not.
    failure: i32,
    /// Set by the child: seen by us if the memory is one.
    shared: bool,
}

/// A child that was started.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// Its number.
    pub pid: Pid,
    /// Whether it was seen to become the command. Not where an emulator makes a copy of our memory for it (QEMU's vfork is a
    /// fork): then its code is all we hear of, should that fail.
    pub seen: bool,
}

impl Start<'_> {
    /// The child's first function, which does not return. It runs in our memory while we are suspended: only system calls,
    /// no allocation.
    extern "C" fn run(start: *mut libc::c_void) -> libc::c_int {
        let pid = nix::unistd::getpid();
        // SAFETY: it is the `Start` that clone(2) was given, and the child has the memory to itself until exec or exit;
        // `digits` has room for ten digits, and a pid has at most seven (PID_MAX_LIMIT); both lists end in null.
        unsafe {
            let start = &mut *start.cast::<Start<'_>>();
            std::ptr::write_volatile(&raw mut start.shared, true);
            write_decimal(start.digits, pid.as_raw().unsigned_abs());
            start.launch.prepare(pid, start.parent);
            let errno = start.launch.exec(start.argv, start.by_shell, start.envp);
            start.failure = errno as i32;
            // Where the memory is a copy, the code is all that is heard of it.
            libc::_exit(if matches!(errno, Errno::ENOENT | Errno::ENOTDIR) { 127 } else { 126 })
        }
    }
}

/// The environment as it was given to us, but for `LISTEN_PID` where it names us.
fn environment(listen_pid: &mut [u8; 22]) -> Vec<*const libc::c_char> {
    let own = format!("LISTEN_PID={}\0", nix::unistd::getpid());
    let listen_pid = listen_pid.as_mut_ptr().cast();
    let entries = environment::entries();
    let given = |entry: Entry| if entry.starts_with(own.as_bytes()) { listen_pid } else { entry.as_ptr() };
    entries.map(given).chain([std::ptr::null()]).collect()
}

/// The files that execvp(3) would try, in its order.
fn candidates(program: &[u8]) -> anyhow::Result<Vec<CString>> {
    if program.is_empty() || program.contains(&b'/') {
        return Ok(vec![CString::new(program)?]);
    }
    let path = std::env::var_os("PATH");
    let path = path.as_ref().map_or(DEFAULT_PATH, |path| path.as_bytes());
    let joined = path.split(|byte| *byte == b':').map(|directory| {
        let directory = if directory.is_empty() { b"." } else { directory };
        CString::new([directory, b"/", program].concat())
    });
    Ok(joined.collect::<Result<_, _>>()?)
}

/// # Safety
/// `to` has room for ten bytes.
unsafe fn write_decimal(to: *mut u8, number: u32) {
    let mut divisor = 1_000_000_000;
    let mut at = to;
    while divisor > 0 {
        let digit = number / divisor % 10;
        if digit != 0 || at != to || divisor == 1 {
            // SAFETY: the caller's promise; a number of 32 bits has at most ten digits.
            unsafe {
                at.write(b'0' + u8::try_from(digit).unwrap_or(0));
                at = at.add(1);
            }
        }
        divisor /= 10;
    }
}

/// Why a signal was not sent. None of it is a reason to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsent {
    /// There is nobody any more.
    Gone,
    /// He is another user's, and we lack CAP_KILL.
    Anothers,
    /// A filter refuses the call, and every other way.
    Filtered(Errno),
}

/// Sends a signal to a process, or to its whole group. With the number 0 only asks whether it could be sent.
///
/// # Errors
/// See [`Unsent`].
pub fn send(pid: Pid, group: bool, signal: u8) -> Result<(), Unsent> {
    // To kill(2) such a number is many.
    if pid.as_raw() < 1 {
        return Err(Unsent::Gone);
    }
    let target = if group { -pid.as_raw() } else { pid.as_raw() };
    // libc and not nix, whose `Signal` knows no real-time signals.
    // SAFETY: a plain system call.
    let kill = |target, signal: u8| Errno::result(unsafe { libc::kill(target, i32::from(signal)) });
    match kill(target, signal) {
        Ok(_) => Ok(()),
        Err(Errno::ESRCH) => Err(Unsent::Gone),
        // Whoever may not even ask whether he could signal himself is refused the call.
        Err(refused) if kill(nix::unistd::getpid().as_raw(), 0).is_err() => {
            let sent = if group { queue_for_all(pid, signal) } else { queue(pid, signal) };
            sent.unwrap_or(Err(Unsent::Filtered(refused)))
        }
        Err(_) => Err(Unsent::Anothers),
    }
}

/// The second way to send a signal to a process: rt_sigqueueinfo(2). `None` if that is refused as well.
fn queue(pid: Pid, signal: u8) -> Option<Result<(), Unsent>> {
    let own = nix::unistd::getpid().as_raw();
    let ask = |pid: libc::pid_t, signal: u8| {
        let mut info = [0i32; 32];
        let user = nix::unistd::getuid().as_raw().cast_signed();
        // `si_signo`, `si_code`, `si_pid` and `si_uid` of the kernel's `siginfo_t` on 64 bits.
        [info[0], info[2], info[4], info[5]] = [signal.into(), libc::SI_QUEUE, own, user];
        // SAFETY: reads the 128 bytes of a live local.
        let sent = unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, pid, libc::c_int::from(signal), &raw const info) };
        Errno::result(sent)
    };
    match ask(pid.as_raw(), signal) {
        Ok(_) => Some(Ok(())),
        Err(Errno::ESRCH) => Some(Err(Unsent::Gone)),
        Err(_) if ask(own, 0).is_err() => None,
        Err(_) => Some(Err(Unsent::Anothers)),
    }
}

/// The same for a group, one by one, as far as /proc tells who is in it.
fn queue_for_all(group: Pid, signal: u8) -> Option<Result<(), Unsent>> {
    let mut answer = Err(Unsent::Gone);
    for member in members(group).ok()? {
        // As kill(2) has it: who can be reached decides.
        match queue(member.pid, signal)? {
            Ok(()) => answer = Ok(()),
            Err(Unsent::Gone) => {}
            Err(unsent) => answer = answer.or(Err(unsent)),
        }
    }
    Some(answer)
}

/// One of a process group.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its number.
    pub pid: Pid,
    /// The first letters of its name.
    pub name: String,
}

/// Those in a process group that are not zombies.
///
/// # Errors
/// Where there is no /proc, or only that of another PID namespace.
pub fn members(group: Pid) -> std::io::Result<Vec<Member>> {
    let one = |entry: std::fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok().map(Pid::from_raw)?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // Anything may stand in the parentheses, but the last one ends the name.
        let (head, tail) = stat.rsplit_once(')')?;
        let mut fields = tail.split_whitespace();
        let state = fields.next()?;
        let own: i32 = fields.nth(1)?.parse().ok()?;
        let (_, name) = head.split_once('(')?;
        (own == group.as_raw() && state != "Z" && state != "X").then(|| Member { pid, name: name.to_owned() })
    };
    // Where it is another namespace's, its numbers are others' as well.
    if std::fs::read_link("/proc/self")?.to_str() != Some(&*std::process::id().to_string()) {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    Ok(std::fs::read_dir("/proc")?.flatten().filter_map(one).collect())
}

/// Whether there are children of ours, dead or alive.
pub fn has_children() -> bool {
    let options = libc::WNOHANG | libc::WNOWAIT | libc::WEXITED;
    // SAFETY: plain data, and the kernel writes into a live local.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_ALL, 0, &raw mut info, options) == 0
    }
}

/// What waitpid(2) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This child is gone, and its number may be anybody's from now on.
    Ended(Pid, Status),
    /// This child was stopped by a signal.
    Stopped(Pid, u8),
    /// Nobody else has changed.
    Nobody,
    /// There are no children at all.
    NoChildren,
}

/// The number of a child that has changed, 0 if none has, and how, as wait(2) puts it. Two ways, for a filter that refuses the
/// first. Decoded by hand: nix's `WaitStatus` fails for a child that a real-time signal ended.
fn status_of(child: libc::pid_t, options: libc::c_int) -> Result<(libc::pid_t, libc::c_int), Errno> {
    let mut status = 0;
    // SAFETY: writes one int.
    match Errno::result(unsafe { libc::waitpid(child, &raw mut status, options) }) {
        Err(Errno::EPERM | Errno::ENOSYS) => {}
        answer => return answer.map(|pid| (pid, status)),
    }
    let (kind, id) = if child < 0 { (libc::P_ALL, 0) } else { (libc::P_PID, child.unsigned_abs()) };
    // SAFETY: plain data, the kernel writes into a live local, and what is read of it is there for a child.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        Errno::result(libc::waitid(kind, id, &raw mut info, options | libc::WEXITED))?;
        let value = info.si_status();
        let status = match info.si_code {
            libc::CLD_EXITED => value << 8,
            libc::CLD_STOPPED => value << 8 | 0x7f,
            _ => value,
        };
        Ok((info.si_pid(), status))
    }
}

/// Reaps one child, adopted ones included. SIGCHLD says nothing but "look": to be called until there is nobody left.
pub fn reap() -> Found {
    loop {
        return match status_of(-1, libc::WNOHANG | libc::WUNTRACED) {
            Ok((0, _)) => Found::Nobody,
            Ok((pid, status)) => {
                let pid = Pid::from_raw(pid);
                if libc::WIFEXITED(status) {
                    Found::Ended(pid, Status::Exited((libc::WEXITSTATUS(status) & 0xff) as u8))
                } else if libc::WIFSIGNALED(status) {
                    Found::Ended(pid, Status::Killed((libc::WTERMSIG(status) & 0x7f) as u8))
                } else if libc::WIFSTOPPED(status) {
                    Found::Stopped(pid, (libc::WSTOPSIG(status) & 0x7f) as u8)
                } else {
                    continue;
                }
            }
            Err(Errno::EINTR) => continue,
            Err(_) => Found::NoChildren,
        };
    }
}

/// Waits for one child. For a process that has nothing else to do; `None` if it is none of ours.
pub fn wait(child: Pid) -> Option<Status> {
    loop {
        match status_of(child.as_raw(), 0) {
            Ok((_, status)) if libc::WIFSIGNALED(status) => {
                return Some(Status::Killed((libc::WTERMSIG(status) & 0x7f) as u8));
            }
            Ok((_, status)) => return Some(Status::Exited((libc::WEXITSTATUS(status) & 0xff) as u8)),
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Makes orphans below us our children when we are not PID 1 (prctl(2), PR_SET_CHILD_SUBREAPER, Linux 3.4).
pub fn become_subreaper() {
    if nix::unistd::getpid() != Pid::from_raw(1) {
        // SAFETY: a plain system call. If it is refused, orphans go where they would have gone without us.
        unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    }
}

/// Stops ourselves until somebody continues us, as the shell above us expects of a job that was suspended.
pub fn stop_ourselves() {
    let _ = send(nix::unistd::getpid(), false, libc::SIGSTOP as u8);
}
