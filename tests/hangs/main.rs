//! A volume that hangs, at each thing that exeunt does there: the init goes on being one.
//!
//! The volume is FUSE, and its daemon a process of this file. It has read the request that it does not answer, which is the
//! worst case: not even SIGKILL takes it back.

#[path = "../house/mod.rs"]
#[macro_use]
mod house;

mod daemon;

use std::fs;
use std::ops::{Deref, DerefMut};

use house::filter::Filtered;
use house::here::pass_over;
use house::{House, Process, Run, proc, role, wait_until};

roles! {
    fn daemon() {
        daemon::run();
    }
}

/// A command that says what it is sent, and ends with 3 at SIGTERM.
const TOLD: &str = "trap 'echo term; exit 3' TERM; echo ready; while :; do sleep 0.02; done";
/// The same, and it ends with 7 when it is told to by a file.
const JOB: &str = "trap 'echo term; exit 3' TERM; echo ready; until [ -e \"$CUE.go\" ]; do sleep 0.02; done; exit 7";

/// A shared directory on a volume that can be made to hang.
struct Volume<'a> {
    house: &'a House,
    daemon: Process,
}

/// A process on the volume. However the test ends, the daemon is gone before the process is waited for: until then it may be
/// in the kernel's hands.
struct Player {
    process: Process,
    daemon: i32,
}

impl Deref for Player {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Player {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        if self.process.try_ended().is_none() {
            // Not reaped by anybody: `Volume` has its handle, and outlives us.
            proc::signal(self.daemon, libc::SIGKILL);
        }
    }
}

impl<'a> Volume<'a> {
    /// `None`: there is no FUSE here, and the test is passed over.
    fn mounted(house: &'a House) -> Option<Self> {
        if let Err(error) = fs::File::options().read(true).write(true).open("/dev/fuse") {
            pass_over(&format!("it needs FUSE (/dev/fuse: {error})"));
            return None;
        }
        let run = role::role(house, "daemon").env(daemon::TARGET, house.pod(""));
        let mut daemon = run.env(daemon::ORDER, house.path("order")).unshare(["--mount"]).start();
        daemon.ready();
        Some(Volume { house, daemon })
    }

    /// Starts it where it sees the volume.
    fn start(&self, run: Run) -> Player {
        Player { process: run.inside(&self.daemon, &["--mount"]).start(), daemon: self.daemon.pid }
    }

    /// The same, with a filter.
    fn start_under(&self, run: Run, under: impl Fn(Run) -> Run) -> Player {
        Player { process: under(run.inside(&self.daemon, &["--mount"])).start(), daemon: self.daemon.pid }
    }

    /// From now on requests that are so described are not answered.
    fn hang_at(&self, what: &str) {
        fs::write(self.house.path("order.new"), what).expect("an order");
        fs::rename(self.house.path("order.new"), self.house.path("order")).expect("an order");
    }

    /// Somebody waits for an answer.
    #[track_caller]
    fn hangs(&mut self, what: &str) {
        self.daemon.expect(&format!("hangs {what}"));
    }

    fn answer(&self) {
        fs::remove_file(self.house.path("order")).expect("an order");
    }
}

/// The command is sent what exeunt is sent, and is reaped when it ends, while the volume hangs.
#[track_caller]
fn is_an_init(process: &mut Player) {
    let command = *proc::children(process.pid).first().expect("the command");
    process.signal(libc::SIGTERM);
    process.expect("term");
    wait_until("the command to be reaped", || !proc::alive(command) && proc::state(command).is_none());
}

#[test]
fn a_look_that_hangs_keeps_no_signal_from_the_command_and_its_end_from_nobody() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    let mut sidecar = volume.start(house.sidecar().args(["--watch=poll"]).command(TOLD));
    sidecar.ready();
    volume.hang_at("LOOKUP main-job-terminated");
    volume.hangs("LOOKUP main-job-terminated");
    sidecar.says("does not answer; waiting for it");
    is_an_init(&mut sidecar);
    volume.answer();
    assert_eq!(sidecar.code(), 3);
}

#[test]
fn a_first_look_that_hangs_is_ended_by_a_signal() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    volume.hang_at("LOOKUP main-job-terminated");
    let mut sidecar = volume.start(house.sidecar().command("echo started"));
    volume.hangs("LOOKUP main-job-terminated");
    sidecar.says("does not answer; waiting for it");
    sidecar.signal(libc::SIGTERM);
    wait_until("its own thread to have ended", || proc::state(sidecar.pid) == Some('Z'));
    volume.answer();
    assert_eq!((sidecar.code(), sidecar.out()), (143, String::new()));
}

/// What waits for a look that is slow is pending all the same: the answer that comes first must not start the command.
#[test]
fn a_signal_that_comes_during_a_slow_first_look_keeps_the_command_from_being_started() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    volume.hang_at("LOOKUP main-job-terminated");
    let mut sidecar = volume.start(house.sidecar().arg("--log-level=debug").command("exec sleep 1000"));
    volume.hangs("LOOKUP main-job-terminated");
    sidecar.signal(libc::SIGTERM);
    notices(&sidecar);
    volume.answer();
    assert_eq!(sidecar.code(), 143);
    assert!(!sidecar.err().contains("the command has started"), "{}", sidecar.err());
}

/// The same where the look finds the job over: it was so before the signal.
#[test]
fn a_signal_that_comes_during_a_slow_first_look_at_a_job_that_is_over_changes_nothing() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    let mut main = volume.start(house.main().command("exit 7"));
    assert_eq!(main.code(), 7);
    volume.hang_at("LOOKUP main-job-terminated");
    let mut sidecar = volume.start(house.sidecar().command("echo started"));
    volume.hangs("LOOKUP main-job-terminated");
    sidecar.signal(libc::SIGTERM);
    notices(&sidecar);
    volume.answer();
    assert_eq!((sidecar.code(), sidecar.out()), (0, String::new()), "{}", sidecar.err());
}

/// Waits until nothing is pending: what was sent has been taken.
#[track_caller]
fn notices(process: &Process) {
    let status = format!("/proc/{}/status", process.pid);
    wait_until("the signal to be noticed", || {
        let status = fs::read_to_string(&status).unwrap_or_default();
        status
            .lines()
            .any(|line| line.strip_prefix("ShdPnd:").is_some_and(|set| set.trim().trim_matches('0').is_empty()))
    });
}

#[test]
fn a_watch_that_hangs_while_it_is_set_up_is_ended_by_a_signal() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    volume.hang_at("LOOKUP main-job-terminated");
    let sidecar = house.run(house::EXEUNT).args(["--mode=sidecar", "--dir"]).arg(house.pod(daemon::BELOW));
    let mut sidecar = volume.start(sidecar.command("echo started"));
    volume.hangs("LOOKUP main-job-terminated");
    // What has been opened and looked at is looked up once more to be watched.
    volume.hang_at(&format!("LOOKUP {}", daemon::BELOW));
    volume.hangs(&format!("LOOKUP {}", daemon::BELOW));
    // The loop, the worker, and the thread of the watch, which is the one that asks.
    let threads = || fs::read_dir(format!("/proc/{}/task", sidecar.pid)).map_or(0, Iterator::count);
    wait_until("the watch's thread", || threads() == 3);
    sidecar.signal(libc::SIGTERM);
    wait_until("its own thread to have ended", || proc::state(sidecar.pid) == Some('Z'));
    volume.answer();
    assert_eq!((sidecar.code(), sidecar.out()), (143, String::new()));
}

#[test]
fn a_watch_that_hangs_while_it_is_set_up_anew_keeps_no_signal_from_the_command() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    let mut sidecar = volume.start(house.sidecar().command(TOLD));
    sidecar.ready();
    // The second opening, which comes with the slow look, begins with the question whether it is the same directory.
    volume.hang_at("GETATTR /");
    volume.hangs("GETATTR /");
    is_an_init(&mut sidecar);
    volume.answer();
    assert_eq!(sidecar.code(), 3);
}

/// Nothing is known of the volume yet, and it hangs as it is opened, or asked what it is, or on the way there.
#[test]
fn an_opening_that_hangs_is_said_and_ended_by_a_signal() {
    for (what, below) in [("OPENDIR /", ""), ("STATFS /", ""), ("LOOKUP below", daemon::BELOW)] {
        for mode in ["--mode=main", "--mode=sidecar"] {
            let house = House::new();
            let Some(mut volume) = Volume::mounted(&house) else { return };
            volume.hang_at(what);
            let run = house.run(house::EXEUNT).args([mode, "--dir"]).arg(house.pod(below));
            let mut process = volume.start(run.command("echo started"));
            volume.hangs(what);
            process.says("does not answer; waiting for it");
            process.signal(libc::SIGTERM);
            process.says("told to end while the shared directory");
            wait_until("its own thread to have ended", || proc::state(process.pid) == Some('Z'));
            volume.answer();
            assert_eq!((process.code(), process.out()), (143, String::new()), "{what} {mode}");
        }
    }
}

/// A main that has failed before it began has one thing left to do, and does not try for ever.
#[test]
fn a_main_with_a_wrong_option_gives_up_what_hangs_with_125() {
    for what in ["OPENDIR /", "CREATE .main-job-running.new"] {
        let house = House::new();
        let Some(mut volume) = Volume::mounted(&house) else { return };
        volume.hang_at(what);
        let mut main = volume.start(house.main().arg("--no-such-option").command("echo started"));
        volume.hangs(what);
        main.says("does not answer; waiting for it; gives up after 5s");
        main.says("leaving without a sentinel");
        wait_until("its own thread to have ended", || proc::state(main.pid) == Some('Z'));
        volume.answer();
        assert_eq!((main.code(), main.out()), (125, String::new()), "{what}");
    }
}

/// As PID 1, whom no signal ends that he does not take himself.
#[test]
fn pid_1_whose_opening_hangs_is_ended_by_a_signal() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    volume.hang_at("OPENDIR /");
    let mut main = volume.start(house.main().command("echo started").pid_1());
    volume.hangs("OPENDIR /");
    main.says("does not answer; waiting for it");
    proc::signal(main.inner(), libc::SIGTERM);
    main.says("told to end while the shared directory");
    volume.answer();
    assert_eq!((main.code(), main.out()), (143, String::new()));
}

/// It was only slow: all goes on from there.
#[test]
fn an_opening_that_took_its_time_is_an_opening() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    volume.hang_at("OPENDIR /");
    let mut main = volume.start(house.main().command("exit 7"));
    volume.hangs("OPENDIR /");
    main.says("does not answer; waiting for it");
    volume.answer();
    assert_eq!(main.code(), 7);
    let mut sidecar = volume.start(house.sidecar().args(["--exit-with=main"]).command("echo started"));
    assert_eq!((sidecar.code(), sidecar.out()), (0, String::new()), "{}", sidecar.err());
}

/// A file that is waited for on *another* volume: the shared one is local, and what is done there is done in the loop.
#[test]
fn a_file_that_is_awaited_on_another_volume_that_hangs_makes_nobody_deaf() {
    for (what, path) in [("LOOKUP flag", "flag"), ("LOOKUP below", "below/flag")] {
        for (option, told) in [("--wait-for", ""), ("--ready-when", "term")] {
            let house = House::new();
            let Some(mut volume) = Volume::mounted(&house) else { return };
            fs::create_dir(house.path("local")).expect("a directory");
            volume.hang_at(what);
            let condition = format!("file://{}", house.pod(path).display());
            let run = house.run(house::EXEUNT).args(["--mode=main", "--dir"]).arg(house.path("local"));
            let mut main = volume.start(run.args([option, &condition]).command(TOLD));
            volume.hangs(what);
            if told.is_empty() {
                main.signal(libc::SIGTERM);
            } else {
                main.ready();
                is_an_init(&mut main);
            }
            assert_eq!(main.code(), if told.is_empty() { 143 } else { 3 }, "{what} {option}: {}", main.err());
            volume.answer();
        }
    }
}

#[test]
fn a_claim_that_hangs_is_ended_by_a_signal_and_the_command_is_not_started() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    volume.hang_at("CREATE .main-job-running.new");
    let mut main = volume.start(house.main().command("echo started"));
    volume.hangs("CREATE .main-job-running.new");
    main.signal(libc::SIGTERM);
    main.says("told to end while the shared directory");
    wait_until("its own thread to have ended", || proc::state(main.pid) == Some('Z'));
    volume.answer();
    assert_eq!((main.code(), main.out()), (143, String::new()));
}

#[test]
fn a_mark_of_readiness_that_hangs_keeps_no_signal_from_the_job_and_not_its_code() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    let flag = format!("file://{}", house.path("flag").display());
    let mut main = volume.start(house.main().args(["--ready-when", &flag]).command(TOLD));
    main.ready();
    volume.hang_at("CREATE .main-job-ready.new");
    fs::write(house.path("flag"), "").expect("a flag");
    volume.hangs("CREATE .main-job-ready.new");
    is_an_init(&mut main);
    main.says("leaving without a sentinel");
    volume.answer();
    assert_eq!(main.code(), 3);
}

#[test]
fn a_mark_that_hangs_as_it_is_taken_back_keeps_no_signal_from_the_next_command() {
    next_command_is_started(&House::new(), |run| run);
}

/// A child closes its copies of our descriptors in exec(2), and a volume that hangs is asked about each. The worker has a table of
/// its own for that, which engines' own filters refuse to whoever has no right to make namespaces: there is a second way to one.
#[test]
fn the_next_command_is_started_while_the_volume_hangs_where_unshare_is_refused() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        next_command_is_started(&House::new(), |run| run.filtered(&[("unshare", libc::SYS_unshare, &[])], errno));
    }
}

fn next_command_is_started(house: &House, under: impl Fn(Run) -> Run) {
    let Some(mut volume) = Volume::mounted(house) else { return };
    let line = format!("[ -e \"$CUE.again\" ] || {{ : >\"$CUE.again\"; exit 1; }}; {TOLD}");
    let run = house.sidecar().args(["--name=proxy", "--restart=on-failure", "--watch=poll"]).command(&line);
    volume.hang_at("UNLINK proxy-ready");
    let mut sidecar = volume.start_under(run, under);
    volume.hangs("UNLINK proxy-ready");
    sidecar.ready();
    is_an_init(&mut sidecar);
    sidecar.says("leaving without a sentinel");
    volume.answer();
    assert_eq!(sidecar.code(), 3);
}

#[test]
fn an_end_that_hangs_holds_the_code_no_longer_than_the_kernel_does() {
    for what in ["WRITE main-job-running", "RENAME main-job-running"] {
        let house = House::new();
        let Some(mut volume) = Volume::mounted(&house) else { return };
        let mut main = volume.start(house.main().command(JOB));
        main.ready();
        let command = *proc::children(main.pid).first().expect("the command");
        volume.hang_at(what);
        fs::write(house.path("cue.go"), "").expect("a cue");
        volume.hangs(what);
        wait_until("the job to be reaped", || proc::state(command).is_none());
        main.says("leaving without a sentinel; on FUSE, if it does not answer, this container cannot end either");
        // Only the kernel holds it now.
        wait_until("its own thread to have ended", || proc::state(main.pid) == Some('Z'));
        assert_eq!(main.try_ended(), None, "{what}");
        volume.answer();
        assert_eq!(main.code(), 7, "{what}");
    }
}

/// Where the daemon has not even read the request, the kernel takes it back from it, and the container ends. (Not main's: the
/// life that it holds open is flushed at the exit, and that waits for the daemon whatever it has read.)
#[test]
fn a_daemon_that_is_stopped_holds_no_sidecar_without_a_name() {
    let house = House::new();
    let Some(volume) = Volume::mounted(&house) else { return };
    let mut sidecar = volume.start(house.sidecar().args(["--watch=poll"]).command(TOLD));
    sidecar.ready();
    volume.daemon.signal(libc::SIGSTOP);
    sidecar.says("does not answer; waiting for it");
    sidecar.signal(libc::SIGTERM);
    assert_eq!(sidecar.code(), 3);
}

/// A probe that hangs there cannot be killed either. That is waited for as anything else, and costs no time of the CPU, of which
/// there is a second.
#[test]
fn a_probe_that_cannot_be_killed_costs_no_cpu_time() {
    let house = House::new();
    let Some(mut volume) = Volume::mounted(&house) else { return };
    volume.hang_at("LOOKUP socket");
    let second = || {
        let limit = libc::rlimit { rlim_cur: 1, rlim_max: 1 };
        // SAFETY: reads a live local.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_CPU, &raw const limit) };
        if set == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    fs::create_dir(house.path("local")).expect("a directory");
    let run = house.run(house::EXEUNT).args(["--mode=main", "--dir"]).arg(house.path("local"));
    let condition = format!("unix://{}", house.pod("socket").display());
    // Its time is up after seven seconds.
    let run = run.args(["--ready-when", &condition, "--", "sh", "-c", "sleep 11; exit 7"]);
    let mut main = volume.start(run.hook(second));
    volume.hangs("LOOKUP socket");
    assert_eq!(main.code(), 7, "{}", main.err());
    volume.answer();
}

/// From now on no thread is started: clone3(2) is not known, and clone(2) with CLONE_THREAD finds no room.
fn no_threads() -> std::io::Result<()> {
    let statement = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = |offset| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset);
    let is = |call: libc::c_long, no| statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, no, call as u32);
    let answer = |value| statement(libc::BPF_RET | libc::BPF_K, 0, 0, value);
    let error = |errno: i32| answer(libc::SECCOMP_RET_ERRNO | errno as u32);
    let filter = [
        // The number of the call, and then the low half of its first argument (struct seccomp_data).
        load(0),
        is(libc::SYS_clone3, 1),
        error(libc::ENOSYS),
        is(libc::SYS_clone, 3),
        load(16),
        statement(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, 0, 1, libc::CLONE_THREAD as u32),
        error(libc::EAGAIN),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: plain system calls, on a program that lives until they are over.
    let set = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if set { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Where no thread can be started, what is wished for is done in the loop: nothing is left out.
#[test]
fn without_a_thread_the_end_is_written_all_the_same() {
    let house = House::new();
    let Some(volume) = Volume::mounted(&house) else { return };
    let mut main = volume.start(house.main().command(JOB).hook(no_threads));
    main.ready();
    let threads = fs::read_dir(format!("/proc/{}/task", main.pid)).map_or(0, Iterator::count);
    assert_eq!(threads, 1, "there is a worker");
    let mut sidecar = volume.start(house.sidecar().args(["--exit-with=main"]).command(TOLD).hook(no_threads));
    sidecar.ready();
    fs::write(house.path("cue.go"), "").expect("a cue");
    assert_eq!((main.code(), main.err()), (7, String::new()));
    assert_eq!(sidecar.code(), 7);
    assert!(sidecar.err().contains("exit code 7"), "{}", sidecar.err());
    // The mark of readiness has gone with it.
    let mut listed = volume.start(house.run("ls").arg(house.pod("")));
    assert_eq!((listed.code(), listed.out()), (0, "main-job-terminated\n".to_owned()), "{}", listed.err());
}

/// With two tasks allowed (pids.max, RLIMIT_NPROC) the worker would take the place of the command.
#[test]
fn where_two_tasks_are_allowed_the_command_runs_and_no_worker() {
    // SAFETY: a system call that cannot fail.
    if unsafe { libc::geteuid() } != 0 || house::here::on_path("setpriv").is_none() {
        pass_over("it needs root and setpriv, to become a user with a limit of its own");
        return;
    }
    let house = House::new();
    let Some(volume) = Volume::mounted(&house) else { return };
    let user = 800_000 + std::process::id() % 100_000;
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let two = || {
        let limit = libc::rlimit { rlim_cur: 2, rlim_max: 2 };
        // SAFETY: reads a live local.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) };
        if set == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    for mode in ["--mode=sidecar", "--mode=main"] {
        let run = house.run(house::EXEUNT).args([mode, "--dir"]).arg(house.pod("")).args(["--", "sleep", "1000"]);
        let mut process = volume.start(run.behind(["setpriv", &uid, &gid, "--clear-groups", "--"]).hook(two));
        wait_until("the command", || !proc::children(process.pid).is_empty());
        process.signal(libc::SIGTERM);
        assert_eq!(process.code(), 143, "{mode}: {}", process.err());
    }
}

/// The negative control, and that it works at all: with a volume that answers all is as ever.
#[test]
fn on_a_volume_that_answers_the_sidecar_leaves_with_its_job() {
    let house = House::new();
    let Some(volume) = Volume::mounted(&house) else { return };
    let mut main = volume.start(house.main().command(JOB));
    main.ready();
    let mut sidecar = volume.start(house.sidecar().args(["--name=proxy", "--exit-with=main"]).command(TOLD));
    sidecar.ready();
    fs::write(house.path("cue.go"), "").expect("a cue");
    assert_eq!(main.code(), 7);
    assert_eq!(sidecar.code(), 7);
    sidecar.expect("term");
    assert_eq!(main.err(), "");
    assert_eq!(sidecar.err().lines().count(), 1, "{}", sidecar.err());
}
