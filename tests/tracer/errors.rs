//! Which errors a system call can return to exeunt: what its manual page gives, without what only a mistake in the
//! program could cause (EBADF, EFAULT, EINVAL…), and with what volumes, limits and cgroups really do.

#![allow(non_upper_case_globals, reason = "the names of the system calls are libc's")]

use super::Call;
use libc::*;

/// What can go wrong with a call.
pub enum Errors {
    /// The call is not carried out and returns one of these.
    Of(&'static [i32]),
    /// It is carried out and returns one of these all the same.
    After(&'static [i32]),
    /// Nothing that could be met outside a mistake of our own.
    None,
}

/// What a descriptor is open on: the errors of a volume are not those of an eventfd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file or a pipe: the shared directory, standard error.
    File,
    /// A directory: has nothing to write back when it is closed.
    Directory,
    /// Below /proc.
    Proc,
    /// eventfd, epoll, inotify, socket: in memory, and never full, broken or stale.
    Anonymous,
}

/// What the first argument of a call is open on.
pub fn kind(call: &Call) -> Kind {
    let link = format!("/proc/{}/fd/{}", call.pid, call.arguments[0]);
    let target = std::fs::read_link(&link).unwrap_or_default();
    match target.to_string_lossy() {
        text if text.starts_with("/proc/") => Kind::Proc,
        text if text.starts_with("anon_inode:") || text.starts_with("socket:") => Kind::Anonymous,
        _ if std::fs::metadata(&link).is_ok_and(|it| it.is_dir()) => Kind::Directory,
        _ => Kind::File,
    }
}

/// What can go wrong with this call. None at all if nobody has thought about it: then the test fails.
pub fn of(call: &Call) -> Option<Errors> {
    use Errors::{After, None as Nothing, Of};
    let creates = call.number == SYS_openat && call.arguments[2] & (O_CREAT as u64) != 0;
    let waits = || call.arguments[2] & (WNOHANG as u64) == 0;
    Some(match call.number {
        SYS_openat if creates => Of(&[EACCES, EDQUOT, EINTR, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EROFS, ESTALE]),
        number if [SYS_openat, OPEN].contains(&number) => {
            Of(&[EACCES, EINTR, EIO, EMFILE, ENFILE, ENOENT, ENOMEM, ESTALE])
        }
        SYS_newfstatat => Of(&[EACCES, EIO, ENOENT, ENOMEM, ESTALE]),
        SYS_fstat => Of(&[EIO, ENOMEM, ESTALE]),
        // Forbidden by the seccomp profiles of old engines, unknown to old kernels.
        SYS_statx => Of(&[EACCES, EIO, ENOMEM, ENOSYS, EPERM]),
        SYS_openat2 => Of(&[EACCES, EAGAIN, EINVAL, EIO, EMFILE, ENFILE, ENOENT, ENOMEM, ENOSYS, EPERM, ESTALE]),
        STATMOUNT => Of(&[ENOENT, ENOMEM, ENOSYS, EPERM]),
        SYS_unshare => Of(&[ENOMEM, ENOSYS, EPERM]),
        SYS_fstatfs | SYS_statfs => Of(&[EINTR, EIO, ENOMEM, ENOSYS]),
        SYS_unlinkat => Of(&[EACCES, EBUSY, EIO, ENOMEM, EPERM, EROFS, ESTALE]),
        SYS_renameat | SYS_renameat2 => Of(&[EACCES, EBUSY, EDQUOT, EIO, ENOENT, ENOMEM, ENOSPC, EPERM, EROFS, ESTALE]),
        SYS_fchmod => Of(&[EIO, EPERM, EROFS, ESTALE]),
        SYS_flock => Of(&[EINTR, EIO, ENOLCK, ENOMEM, ENOSYS, EOPNOTSUPP, ESTALE, EWOULDBLOCK]),
        // A counter or a queue in memory, non-blocking: at most it is empty or full, and that is no error.
        SYS_read | SYS_write if kind(call) == Kind::Anonymous => Nothing,
        SYS_read if kind(call) == Kind::Proc => Of(&[EINTR, ENOMEM]),
        SYS_read | SYS_pread64 => Of(&[EINTR, EIO, ENOMEM, ESTALE]),
        SYS_write | SYS_pwrite64 | SYS_pwritev2 => {
            Of(&[EAGAIN, EDQUOT, EFBIG, EINTR, EIO, ENOMEM, ENOSPC, EPIPE, EROFS, ESTALE])
        }
        SYS_sendto => Of(&[EAGAIN, ENOBUFS, ENOMEM, ENOTSOCK, EPIPE]),
        SYS_sendmsg => Of(&[EAGAIN, ENOBUFS, ENOMEM, ETOOMANYREFS]),
        SYS_socketpair => Of(&[EMFILE, ENFILE, ENOMEM]),
        SYS_getdents64 => Of(&[EIO, ENOENT, ENOMEM]),
        SYS_readlinkat | SYS_readlink => Of(&[EACCES, EIO, ENOENT, ENOMEM]),
        SYS_chdir | SYS_getcwd => Of(&[EACCES, EIO, ENOENT, ENOMEM]),
        // The descriptor is gone whatever close(2) says. Only a file has something to write back (NFS, quotas).
        SYS_close if kind(call) != Kind::File => After(&[EINTR]),
        SYS_close => After(&[EDQUOT, EINTR, EIO, ENOSPC]),
        // Forbidden by the seccomp profiles of old engines, unknown before Linux 5.9.
        SYS_close_range => Of(&[ENOMEM, ENOSYS, EPERM]),
        SYS_fcntl if call.arguments[1] == F_DUPFD_CLOEXEC as u64 => Of(&[EMFILE, ENOMEM]),
        // F_GETFD: says EBADF for a number that is not open, and the test would not say the truth with it.
        SYS_fcntl => Nothing,
        SYS_ioctl => Of(&[EIO, ENOTTY]),
        // EBUSY is a race with an open(2) of the same number, and musl asks again until it is over.
        number if [SYS_dup3, DUP].contains(&number) => Of(&[EINTR, EMFILE]),
        SYS_inotify_init1 => Of(&[EMFILE, ENFILE, ENOMEM, ENOSYS]),
        SYS_inotify_add_watch => Of(&[EACCES, ENOENT, ENOMEM, ENOSPC]),
        SYS_inotify_rm_watch => Nothing,
        SYS_eventfd2 | SYS_epoll_create1 | SYS_pipe2 => Of(&[EMFILE, ENFILE, ENOMEM]),
        SYS_epoll_ctl => Of(&[ENOMEM, ENOSPC]),
        SYS_epoll_wait | SYS_epoll_pwait => Of(&[EINTR]),
        // ENOMEM comes with more than nine descriptors (N_INLINE_POLL_ENTRIES); we wait for one.
        SYS_ppoll | SYS_poll => Of(&[EINTR]),
        // In a pid cgroup, in a pid namespace whose init is dying, without memory.
        SYS_clone | SYS_clone3 | SYS_vfork | SYS_fork => Of(&[EAGAIN, ENOMEM, ENOSPC, EPERM]),
        SYS_execve => Of(&[E2BIG, EACCES, EAGAIN, EIO, EMFILE, ENFILE, ENOENT, ENOEXEC, ENOMEM, EPERM, ETXTBSY]),
        // ECHILD is only said when it is true: SIGCHLD has a handler before there is a child.
        SYS_wait4 if waits() => Of(&[EINTR]),
        SYS_wait4 => Nothing,
        // ESRCH is only said when it is true: whom we signal has not been reaped.
        // Signal 0 asks whether there is anybody, and EPERM then says "yes".
        SYS_kill if call.arguments[1] == 0 => Nothing,
        SYS_kill => Of(&[EPERM]),
        SYS_tgkill => Nothing,
        // Says no to session leaders and for children that have become another program. A new child is neither.
        SYS_setpgid => Nothing,
        SYS_prctl => Of(&[EINVAL, EPERM]),
        // The stack of a thread, or the allocator's next piece, under a limit (RLIMIT_AS, vm.overcommit_memory=2). A memory
        // cgroup does not fail: it kills, and that is the other test's.
        SYS_mmap => Of(&[EAGAIN, ENOMEM]),
        SYS_mprotect => Of(&[ENOMEM]),
        // The kernel says no by returning the old end; libc then takes mmap(2).
        SYS_brk => Nothing,
        // To give memory back can fail when a mapping would be split at the limit of mappings. Nobody needs it to work.
        SYS_munmap | SYS_madvise => Of(&[ENOMEM]),
        // A waiter may be sent back at any time; to wake somebody cannot fail.
        SYS_futex if [FUTEX_WAIT, FUTEX_WAIT_BITSET].contains(&(call.arguments[1] as i32 & FUTEX_CMD_MASK)) => {
            Of(&[EAGAIN, EINTR])
        }
        SYS_futex => Nothing,
        // EAGAIN is for those who did not say that anything will do (GRND_INSECURE, 4): libc itself, which copes.
        SYS_getrandom if call.arguments[2] & 4 != 0 => Of(&[EINTR, ENOSYS]),
        SYS_getrandom => Of(&[EAGAIN, EINTR, ENOSYS]),
        // Nothing that these ask for can be refused: no memory, no limit and no right is in the way.
        SYS_rt_sigaction | SYS_rt_sigpending | SYS_rt_sigprocmask | SYS_rt_sigreturn | SYS_sigaltstack => Nothing,
        SYS_getpid | SYS_getppid | SYS_gettid | SYS_getuid | SYS_geteuid | SYS_uname | SYS_sched_yield => Nothing,
        SYS_set_robust_list | SYS_set_tid_address | SYS_rseq | SYS_prlimit64 | SYS_sched_getaffinity => Nothing,
        SYS_restart_syscall | SYS_exit | SYS_exit_group => Nothing,
        _ => return Option::None,
    })
}

/// musl opens files by the older call where there is one.
#[cfg(target_arch = "x86_64")]
const OPEN: i64 = SYS_open;
#[cfg(not(target_arch = "x86_64"))]
const OPEN: i64 = SYS_openat;

/// And duplicates descriptors by the older one.
#[cfg(target_arch = "x86_64")]
const DUP: i64 = SYS_dup2;
#[cfg(not(target_arch = "x86_64"))]
const DUP: i64 = SYS_dup3;

/// Linux 6.8, and libc has no name for it yet.
const STATMOUNT: i64 = 457;

/// Whether an error can last. The others are about one moment.
///
/// A process that is never given memory again cannot go on, in no language; and Rust ends it with SIGABRT. For the others
/// that is a kill like any other. So memory is refused once at each call that asks for it.
pub fn can_last(call: &Call, errno: i32) -> bool {
    // Somebody has removed what was to be renamed: the claim begins anew, for ten seconds at most, and nobody removes it
    // each time.
    let removed = errno == ENOENT && call.number == SYS_renameat;
    ![EINTR, EAGAIN, ETXTBSY].contains(&errno) && ![SYS_mmap, SYS_mprotect].contains(&call.number) && !removed
}

/// The name of an errno for people.
pub fn name(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}
