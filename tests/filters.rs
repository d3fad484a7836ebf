//! Filters of system calls (seccomp(2)): an engine's own, a hardened host's, or one that was recorded from another program.
//! Whatever one of them refuses, by EPERM or by ENOSYS, no message is lost, nothing hangs, and nobody is told an untruth.

#[macro_use]
mod house;
#[path = "house/init.rs"]
mod init;
mod stand_in;
mod tracer;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use house::filter::{Filtered, Refused};
use house::{House, Process, Run, proc};
use init::{check, read_to_end, say};
use stand_in::{Answer, Server};
use tracer::Traced;

/// What is refused without harm: all is as ever, perhaps with a warning of what is done instead. The calls that came after
/// others first, each of which containerd's, Docker's or systemd's filter has refused at one time, and then all others that
/// exeunt makes: a profile that was recorded from another program knows only what that one needed.
const SPARED: &[Refused] = &[
    ("pwritev2", libc::SYS_pwritev2, &[]),
    ("preadv2", libc::SYS_preadv2, &[]),
    ("close_range", libc::SYS_close_range, &[]),
    ("statx", libc::SYS_statx, &[]),
    ("faccessat2", libc::SYS_faccessat2, &[]),
    ("openat2", libc::SYS_openat2, &[]),
    ("statmount", 457, &[]),
    ("epoll_pwait2", libc::SYS_epoll_pwait2, &[]),
    ("clone3", libc::SYS_clone3, &[]),
    ("renameat2", libc::SYS_renameat2, &[]),
    ("copy_file_range", libc::SYS_copy_file_range, &[]),
    ("getrandom", libc::SYS_getrandom, &[]),
    ("pidfd_open", libc::SYS_pidfd_open, &[]),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal, &[]),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, &[]),
    ("memfd_create", libc::SYS_memfd_create, &[]),
    ("rseq", libc::SYS_rseq, &[]),
    ("membarrier", libc::SYS_membarrier, &[]),
    ("kcmp", libc::SYS_kcmp, &[]),
    ("unshare", libc::SYS_unshare, &[]),
    ("setns", libc::SYS_setns, &[]),
    ("inotify_init1", libc::SYS_inotify_init1, &[]),
    ("inotify_add_watch", libc::SYS_inotify_add_watch, &[]),
    ("inotify_rm_watch", libc::SYS_inotify_rm_watch, &[]),
    ("eventfd2", libc::SYS_eventfd2, &[]),
    ("epoll_create1", libc::SYS_epoll_create1, &[]),
    ("epoll_ctl", libc::SYS_epoll_ctl, &[]),
    ("epoll_pwait", libc::SYS_epoll_pwait, &[]),
    ("signalfd4", libc::SYS_signalfd4, &[]),
    ("timerfd_create", libc::SYS_timerfd_create, &[]),
    ("timer_create", libc::SYS_timer_create, &[]),
    ("setitimer", libc::SYS_setitimer, &[]),
    ("clock_nanosleep", libc::SYS_clock_nanosleep, &[]),
    ("nanosleep", libc::SYS_nanosleep, &[]),
    ("ppoll", libc::SYS_ppoll, &[]),
    ("pselect6", libc::SYS_pselect6, &[]),
    ("madvise", libc::SYS_madvise, &[]),
    ("madvise(MADV_POPULATE_READ or _WRITE)", libc::SYS_madvise, &[22, 23]),
    ("waitid", libc::SYS_waitid, &[]),
    ("wait4", libc::SYS_wait4, &[]),
    ("tgkill", libc::SYS_tgkill, &[]),
    ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait, &[]),
    ("rt_sigpending", libc::SYS_rt_sigpending, &[]),
    ("sigaltstack", libc::SYS_sigaltstack, &[]),
    ("setpgid", libc::SYS_setpgid, &[]),
    ("getpgid", libc::SYS_getpgid, &[]),
    ("getsid", libc::SYS_getsid, &[]),
    ("getppid", libc::SYS_getppid, &[]),
    ("gettid", libc::SYS_gettid, &[]),
    ("getuid", libc::SYS_getuid, &[]),
    ("geteuid", libc::SYS_geteuid, &[]),
    ("prctl", libc::SYS_prctl, &[]),
    ("prlimit64", libc::SYS_prlimit64, &[]),
    ("sched_getaffinity", libc::SYS_sched_getaffinity, &[]),
    ("sched_yield", libc::SYS_sched_yield, &[]),
    ("set_robust_list", libc::SYS_set_robust_list, &[]),
    ("fcntl", libc::SYS_fcntl, &[]),
    ("pipe2", libc::SYS_pipe2, &[]),
    ("dup", libc::SYS_dup, &[]),
    ("dup3", libc::SYS_dup3, &[]),
    ("socketpair", libc::SYS_socketpair, &[]),
    ("sendmsg", libc::SYS_sendmsg, &[]),
    ("recvmsg", libc::SYS_recvmsg, &[]),
    ("getsockopt", libc::SYS_getsockopt, &[]),
    ("fchmod", libc::SYS_fchmod, &[]),
    ("fsync", libc::SYS_fsync, &[]),
    ("statfs", libc::SYS_statfs, &[]),
    ("fstatfs", libc::SYS_fstatfs, &[]),
    ("faccessat", libc::SYS_faccessat, &[]),
    ("readlinkat", libc::SYS_readlinkat, &[]),
    ("unlinkat", libc::SYS_unlinkat, &[]),
    ("getdents64", libc::SYS_getdents64, &[]),
    ("getcwd", libc::SYS_getcwd, &[]),
    ("chdir", libc::SYS_chdir, &[]),
    ("umask", libc::SYS_umask, &[]),
    ("uname", libc::SYS_uname, &[]),
    ("sendfile", libc::SYS_sendfile, &[]),
    ("clock_gettime", libc::SYS_clock_gettime, &[]),
    ("gettimeofday", libc::SYS_gettimeofday, &[]),
    ("kill", libc::SYS_kill, &[]),
    ("getpid", libc::SYS_getpid, &[]),
    ("fstat", libc::SYS_fstat, &[]),
    // As exeunt makes them; glibc's loader makes them otherwise.
    ("newfstatat(AT_SYMLINK_NOFOLLOW or AT_NO_AUTOMOUNT)", libc::SYS_newfstatat, &[0x100, 0x800]),
    ("pread64(a record)", libc::SYS_pread64, &[2 * exeunt::stage::record::RESERVED as u32]),
];

/// The older calls, which other architectures do not have, and musl makes in the place of newer ones.
#[cfg(target_arch = "x86_64")]
const OLDER: &[Refused] = &[
    ("open", libc::SYS_open, &[]),
    ("stat", libc::SYS_stat, &[]),
    ("lstat", libc::SYS_lstat, &[]),
    ("access", libc::SYS_access, &[]),
    ("dup2", libc::SYS_dup2, &[]),
    ("pipe", libc::SYS_pipe, &[]),
    ("poll", libc::SYS_poll, &[]),
    ("select", libc::SYS_select, &[]),
    ("epoll_wait", libc::SYS_epoll_wait, &[]),
    ("epoll_create", libc::SYS_epoll_create, &[]),
    ("fork", libc::SYS_fork, &[]),
    ("vfork", libc::SYS_vfork, &[]),
    ("readlink", libc::SYS_readlink, &[]),
    ("rename", libc::SYS_rename, &[]),
    ("unlink", libc::SYS_unlink, &[]),
    ("alarm", libc::SYS_alarm, &[]),
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[Refused] = &[];

/// What only a condition or a goodbye over the network needs. It does not hold, with the reason; the goodbye is a warning.
const NETWORK: &[Refused] = &[
    ("socket", libc::SYS_socket, &[]),
    ("connect", libc::SYS_connect, &[]),
    ("sendto", libc::SYS_sendto, &[]),
    ("recvfrom", libc::SYS_recvfrom, &[]),
    ("setsockopt", libc::SYS_setsockopt, &[]),
    ("ioctl", libc::SYS_ioctl, &[]),
];

/// What a name cannot be taken without, or a process started: one line, 125, and the others are told.
const NEEDED: &[Refused] = &[
    ("flock", libc::SYS_flock, &[]),
    ("renameat", libc::SYS_renameat, &[]),
    ("pwrite64", libc::SYS_pwrite64, &[]),
    ("clone", libc::SYS_clone, &[]),
    ("rt_sigaction", libc::SYS_rt_sigaction, &[]),
    ("rt_sigprocmask", libc::SYS_rt_sigprocmask, &[]),
    // Without it glibc's loader loads nothing.
    #[cfg(target_env = "musl")]
    ("openat", libc::SYS_openat, &[]),
];

/// What no program can do without, whoever wrote it: its loader, its C library and its end are made of these. A profile that
/// refuses one of them runs nothing (`docs/reliability.md`, limits).
const VITAL: &[libc::c_long] = &[
    libc::SYS_execve,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_brk,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_openat,
    libc::SYS_futex,
    libc::SYS_set_tid_address,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigreturn,
];
#[cfg(target_arch = "x86_64")]
const VITAL_HERE: &[libc::c_long] = &[libc::SYS_arch_prctl];
#[cfg(not(target_arch = "x86_64"))]
const VITAL_HERE: &[libc::c_long] = &[];

const REFUSALS: [(i32, &str); 2] = [(libc::EPERM, "EPERM"), (libc::ENOSYS, "ENOSYS")];

roles! {
    // Commands that need next to nothing of the system, so that it is exeunt that is tried.
    fn job() {
        say("ready");
        let mut code = [0u8];
        // SAFETY: one byte into a live local.
        unsafe { libc::read(0, code.as_mut_ptr().cast(), 1) };
        // SAFETY: ends the process.
        unsafe { libc::_exit(i32::from(code[0])) };
    }
    // Leaves somebody behind in its group, who does not end by himself.
    fn leaver() {
        // SAFETY: plain system calls; the child goes on in a copy.
        match unsafe { libc::fork() } {
            // SAFETY: waits for a signal.
            0 => unsafe { libc::pause() },
            child => {
                say(&child.to_string());
                // SAFETY: ends the process.
                unsafe { libc::_exit(6) }
            }
        };
    }
    fn helper() {
        extern "C" fn told(_: libc::c_int) {
            say("term");
            // SAFETY: ends the process.
            unsafe { libc::_exit(7) };
        }
        // SAFETY: a handler that makes system calls alone; waits for a signal.
        unsafe {
            libc::signal(libc::SIGTERM, told as *const () as libc::sighandler_t);
            say("ready");
            libc::pause();
        }
    }
}

/// The filter is one: a call that it names has failed, and others have not.
#[test]
fn the_filter_of_these_tests_refuses_what_it_names_and_nothing_else() {
    let house = House::new();
    let calls: [Refused; 1] = [("mkdir", libc::SYS_mkdirat, &[])];
    #[cfg(target_arch = "x86_64")]
    let calls: [Refused; 2] = [calls[0], ("mkdir", libc::SYS_mkdir, &[])];
    let run = |errno| house.run("mkdir").arg(house.path("made")).env("LC_ALL", "C").filtered(&calls, errno).finish();
    for (errno, text) in [(libc::EPERM, "Operation not permitted"), (libc::ENOSYS, "Function not implemented")] {
        let mut refused = run(errno);
        assert_eq!(refused.code(), 1);
        assert!(refused.err().contains(text), "{}", refused.err());
        assert!(!house.path("made").exists());
    }
    // By a value of the third argument: F_SETFD to one, and not to another.
    let close_on_exec = |mode: u32| {
        let run = house.run("true").filtered(&[("fcntl", libc::SYS_fcntl, &[77, 78])], libc::EPERM);
        let run = run.hook(move || {
            // SAFETY: a flag of a standard descriptor; unknown bits of it are not looked at.
            check(unsafe { libc::fcntl(0, libc::F_SETFD, mode & !1) })
        });
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.finish().code())).ok()
    };
    assert_eq!(close_on_exec(76), Some(0));
    assert_eq!(close_on_exec(78), None);
}

/// A call that is added to the program is thought about on the day it is written.
#[test]
fn every_system_call_of_both_modes_is_in_one_of_the_lists() {
    let listed: BTreeSet<_> = SPARED.iter().chain(OLDER).chain(NETWORK).chain(NEEDED).map(|call| call.1).collect();
    let listed: BTreeSet<_> = listed.into_iter().chain(VITAL.iter().chain(VITAL_HERE).copied()).collect();
    let mut made = BTreeSet::new();
    let server = Server::new(|_| Answer::Status(200, ""));
    let (ready, quit) = (server.url("/ready"), server.url("/quit"));
    let main = ["--mode", "main", "--group", "--wait-for", &ready, "--wait-for", "exec:true", "--on-exit", &quit];
    let sidecar = ["--mode", "sidecar", "--name", "proxy", "--ready-when", "file:///etc", "--until", "main-job"];
    for (words, line) in [(&main[..], "exit 3"), (&sidecar[..], "sleep 0.2; exit 3")] {
        let house = House::new();
        let words = words.iter().copied().chain(["--", "sh", "-c", line]);
        let (tell, told) = mpsc::channel();
        let traced = Traced::start(tracer::cases::exeunt(&house, "traced", words), move |call| {
            let _ = tell.send(call.number);
            tracer::Verdict::Pass
        });
        let end = traced.ended_within(6 * house::PATIENCE).expect("its end");
        assert_eq!(end.status.code(), Some(3), "{}", tracer::cases::text(&house, "traced.err"));
        made.extend(told);
    }
    assert!(made.len() > 30, "only {} calls", made.len());
    let unknown: Vec<_> = made.difference(&listed).collect();
    assert!(unknown.is_empty(), "nobody has thought about these being refused: {unknown:?}");
    // Whoever writes a filter that kills is told of those that came with Linux 4.6 and later.
    let page = house::here::read("SECURITY.md");
    let newer = SPARED.iter().filter(|call| call.1 >= libc::SYS_preadv2 && made.contains(&call.1));
    let untold: Vec<_> = newer.map(|call| call.0).filter(|call| !page.contains(&format!("`{call}`"))).collect();
    assert!(untold.is_empty(), "SECURITY.md does not name {untold:?}");
}

/// Each of the calls alone, and all of them together, with EPERM and with ENOSYS.
#[track_caller]
fn for_every_filter(play: impl Fn(&House, &dyn Fn(Run) -> Run, &str) + Sync) {
    let alone = SPARED.iter().chain(OLDER).map(|call| (call.0, vec![*call]));
    // Of the two ways to hear of a child's end one has to be left.
    let newer = SPARED.iter().filter(|call| call.1 != libc::SYS_waitid).copied().collect();
    let filters = alone.chain([("all", newer), ("all older", OLDER.to_vec())]);
    let filters: Vec<_> =
        REFUSALS.iter().flat_map(|refusal| filters.clone().map(move |filter| (refusal, filter))).collect();
    let next = AtomicUsize::new(0);
    tracer::cases::in_parallel(|| {
        while let Some(((errno, name), (what, calls))) = filters.get(next.fetch_add(1, SeqCst)) {
            play(&House::new(), &|run| run.filtered(calls, *errno), &format!("{name} from {what}"));
        }
    });
}

/// Every line was lost under a profile that did not know pwritev2: containerd/containerd#4492, opencontainers/runc#2151.
/// Reported as canonical/snapd#15527, containers/crun#671.
#[test]
fn under_a_filter_that_refuses_newer_calls_every_message_comes_out() {
    for_every_filter(|house, under, what| {
        let mut into_a_file = under(house.main().arg("--no-such-option").command("true")).finish();
        assert_eq!(into_a_file.code(), 125, "{what}");
        assert!(into_a_file.err().contains("--no-such-option"), "{what}: {:?}", into_a_file.err());
        let (reader, writer) = std::io::pipe().unwrap();
        let mut into_a_pipe = under(house.main().stderr(writer).arg("--no-such-option").command("true")).finish();
        assert_eq!(into_a_pipe.code(), 125, "{what}");
        let said = read_to_end(reader);
        assert!(said.contains("--no-such-option") && said.ends_with('\n'), "{what}: {said:?}");
        let (mut ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut into_a_socket =
            under(house.main().stderr(OwnedFd::from(theirs)).arg("--no-such-option").command("true")).finish();
        assert_eq!(into_a_socket.code(), 125, "{what}");
        let mut said = String::new();
        ours.read_to_string(&mut said).unwrap();
        assert!(said.contains("--no-such-option") && said.ends_with('\n'), "{what}: {said:?}");
        // And what is said once a command runs.
        let other = House::new();
        let mut killed = under(other.main().without_cores().playing("helper")).start();
        killed.ready();
        let command = *proc::children(killed.pid).first().expect("the command");
        proc::signal(command, libc::SIGKILL);
        assert_eq!(killed.code(), 137, "{what}");
        assert!(killed.err().contains("SIGKILL"), "{what}: {:?}", killed.err());
    });
}

/// A job that ends with the code that it is sent.
struct Told {
    process: Process,
    order: std::io::PipeWriter,
}

impl Told {
    fn new(run: Run) -> Self {
        let (stdin, order) = std::io::pipe().unwrap();
        Self { process: run.stdin(stdin).playing("job").start(), order }
    }

    #[track_caller]
    fn ends(&mut self, code: u8) {
        self.order.write_all(&[code]).unwrap();
    }
}

/// notify's thread ended the process where it might not wait, and std's sleep a probe; a child that could not be waited for
/// ended a job without a word.
#[test]
fn under_a_filter_that_refuses_newer_calls_the_code_passes_the_goodbye_is_said_and_the_sidecar_leaves() {
    for_every_filter(|house, under, what| {
        let server = Server::new(|_| Answer::Status(200, ""));
        // The job's code stands in its record.
        let mut sidecar = under(house.sidecar().args(["--exit-with", "main"]).playing("helper")).start();
        sidecar.ready();
        let goodbyes = ["/a", "/b"].map(|path| format!("--on-exit={}", server.url(path)));
        // Whoever connects within a time waits by poll(2).
        let network = !what.ends_with(" older") && !what.ends_with(" poll");
        let main = if network { house.main().args(goodbyes) } else { house.main() };
        let mut main = Told::new(under(main.args(["--wait-for", "file:///etc", "--wait-for", "exec:/bin/true"])));
        main.process.ready();
        main.ends(5);
        assert_eq!(main.process.code(), 5, "{what}: {}", main.process.err());
        assert_eq!(sidecar.code(), 5, "{what}: {}", sidecar.err());
        sidecar.expect("term");
        let mut asked = server.asked();
        asked.sort();
        let all: &[&str] = if network { &["POST /a", "POST /b"] } else { &[] };
        assert_eq!(asked, all, "{what}: {}", main.process.err());
    });
}

/// A job that is killed is told by its lock, and a helper that does not listen is killed.
#[test]
fn under_a_filter_that_refuses_newer_calls_a_kill_is_noticed_and_a_signal_is_passed_on() {
    for_every_filter(|house, under, what| {
        let mut job = Told::new(under(house.main()));
        job.process.ready();
        let mut sidecar = under(house.sidecar().playing("helper")).start();
        sidecar.ready();
        job.process.signal(libc::SIGKILL);
        assert_eq!(sidecar.code(), 0, "{what}: {}", sidecar.err());
        sidecar.expect("term");
        let house = House::new();
        let mut told = under(house.main().playing("helper")).start();
        told.ready();
        told.signal(libc::SIGTERM);
        assert_eq!(told.code(), 7, "{what}: {}", told.err());
        told.expect("term");
    });
}

/// A whole group is signalled and awaited where kill(2) is refused, its members one by one; where the second way is refused as
/// well, that is said, and nobody is waited for who cannot be seen.
#[test]
fn under_a_filter_that_refuses_kill_a_group_is_stopped_and_whoever_cannot_be_is_told_of() {
    const KILL: Refused = ("kill", libc::SYS_kill, &[]);
    for (errno, name) in REFUSALS {
        let house = House::new();
        let mut sidecar = house.sidecar().arg("--group").filtered(&[KILL], errno).playing("helper").start();
        sidecar.ready();
        let mut main = house.main().arg("--group").filtered(&[KILL], errno).playing("leaver").start();
        let left: i32 = main.line().parse().expect("the number of a process that was left behind");
        assert_eq!(main.try_ended(), None, "{name}: the rest of the group has not been waited for");
        main.signal(libc::SIGTERM);
        assert_eq!(main.code(), 6, "{name}: {}", main.err());
        assert!(!proc::alive(left), "{name}");
        assert_eq!(sidecar.code(), 0, "{name}: {}", sidecar.err());
        sidecar.expect("term");
        // No way is left.
        for words in [&["--grace", "100ms"][..], &["--grace", "100ms", "--group"]] {
            house.anew();
            let both = [KILL, ("rt_sigqueueinfo", libc::SYS_rt_sigqueueinfo, &[])];
            let mut sidecar = house.sidecar().args(words).filtered(&both, errno).playing("helper").start();
            sidecar.ready();
            house.touch("main-job-terminated");
            assert_eq!(sidecar.code(), 0, "{name}: {}", sidecar.err());
            for line in ["SIGTERM cannot be passed on to ", "cannot be killed: "] {
                let said = sidecar.err();
                let said = said.lines().find(|said| said.contains(line)).unwrap_or_else(|| panic!("{name}: {said}"));
                assert!(said.contains(name) && said.contains("seccomp"), "{said}");
            }
            assert!(!sidecar.err().contains("CAP_KILL"), "{name}: {}", sidecar.err());
        }
    }
}

/// What cannot be done is one line that names the reason, and nobody waits for it.
#[test]
fn under_a_filter_that_refuses_what_is_needed_there_is_one_line_and_the_sidecar_leaves() {
    for (errno, name) in REFUSALS {
        for call in NEEDED.iter().copied() {
            let what = format!("{name} from {}", call.0);
            let house = House::new();
            let mut sidecar = house.sidecar().playing("helper").start();
            sidecar.ready();
            let mut main = house.main().filtered(&[call], errno).command("exit 7").finish();
            assert_eq!(main.code(), 125, "{what}");
            assert_eq!(main.err().lines().count(), 1, "{what}: {}", main.err());
            assert!(main.err().contains(name), "{what}: {}", main.err());
            assert_eq!(sidecar.code(), 0, "{what}: {}", sidecar.err());
            sidecar.expect("term");
        }
    }
}

/// A lock that may not be asked for proves nothing; the sentinel still tells.
#[test]
fn under_a_filter_that_refuses_locks_a_sidecar_relies_on_the_sentinel_and_says_so() {
    for (errno, name) in REFUSALS {
        let house = House::new();
        let mut main = Told::new(house.main());
        main.process.ready();
        let filtered = house.sidecar().filtered(&[("flock", libc::SYS_flock, &[])], errno);
        let mut sidecar = filtered.playing("helper").start();
        sidecar.ready();
        sidecar.says("relying on its sentinel");
        assert_eq!(sidecar.try_ended(), None, "{name}");
        main.ends(3);
        assert_eq!((main.process.code(), sidecar.code()), (3, 0), "{name}: {}", sidecar.err());
    }
}

/// Without the network's calls a condition does not hold and says why, a goodbye is a warning, and everything else is as ever.
#[test]
fn under_a_filter_that_refuses_the_network_that_is_said_and_the_code_is_the_jobs() {
    for (errno, name) in REFUSALS {
        for call in NETWORK.iter().copied() {
            let what = format!("{name} from {}", call.0);
            let house = House::new();
            let server = Server::new(|_| Answer::Status(200, ""));
            let asked = ["--wait-for", &server.url("/"), "--wait-timeout", "1s"];
            let mut waits = house.main().filtered(&[call], errno).args(asked).command("exit 7").finish();
            assert_eq!(waits.code(), 124, "{what}: {}", waits.err());
            assert!(waits.err().contains(name), "{what}: {}", waits.err());
            house.anew();
            let mut sidecar = house.sidecar().filtered(&[call], errno).playing("helper").start();
            sidecar.ready();
            let leaves = house.main().filtered(&[call], errno).args(["--on-exit", &server.url("/")]);
            let mut leaves = leaves.command("exit 7").finish();
            assert_eq!(leaves.code(), 7, "{what}: {}", leaves.err());
            assert!(leaves.err().contains(name), "{what}: {}", leaves.err());
            assert_eq!(sidecar.code(), 0, "{what}: {}", sidecar.err());
        }
    }
}

/// Longer than any of the waits of a probe that goes wrong.
const SOON: Duration = Duration::from_secs(4);

/// A probe and a goodbye wait by a way that no filter refuses.
#[test]
fn under_a_filter_that_refuses_sleep_a_probe_ends_when_its_time_is_up_and_a_goodbye_tries_again() {
    let sleeps: [Refused; 2] =
        [("clock_nanosleep", libc::SYS_clock_nanosleep, &[]), ("nanosleep", libc::SYS_nanosleep, &[])];
    for (errno, name) in REFUSALS {
        let house = House::new();
        let stays = std::env::current_exe().unwrap();
        let probe = house.run(house::EXEUNT).args(["probe", "--timeout", "300ms"]);
        let condition = format!("exec:'{}'", stays.display());
        let mut probe = probe.arg(&condition).env(house::role::ROLE, "helper").filtered(&sleeps, errno).start();
        probe.ended_within(SOON + house::PATIENCE);
        assert_eq!(probe.code(), 1, "{name}: {}", probe.err());
        assert!(probe.err().contains("no answer within 300ms"), "{name}: {}", probe.err());
        // Refused five times, with pauses that double from a tenth of a second.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let begun = std::time::Instant::now();
        let goodbye = house.run(house::EXEUNT).args(["goodbye", &format!("http://{nobody}/")]);
        let mut goodbye = goodbye.filtered(&sleeps, errno).finish();
        assert_eq!(goodbye.code(), 0, "{name}: {}", goodbye.err());
        assert!(goodbye.err().contains("ECONNREFUSED"), "{name}: {}", goodbye.err());
        assert!(begun.elapsed() > Duration::from_millis(1400), "{name}: it has not waited: {:?}", begun.elapsed());
    }
}
