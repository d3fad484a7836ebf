//! The watch on the shared directory: it tells at once, it costs nothing, and there is a way without it.

mod house;

use std::fs;
use std::time::{Duration, Instant};

use house::scene::{HELPER, STUBBORN, is_locked};
use house::{House, Process, proc, wait_for, wait_until};

/// How long after its start a sidecar that was not told by an event finds the end by its first slow look. Whoever has
/// left before was told.
const FIRST_SLOW_LOOK: Duration = Duration::from_secs(5);

#[track_caller]
fn is_told_at_once(what: &str, end: impl Fn(&House, &mut Process)) {
    // On a machine that is very busy one of them may be slow; a watch that does not tell is slow every time.
    let slow = (0..3).all(|_| {
        let house = House::new();
        let mut main = house.job(&[]);
        let began = Instant::now();
        let mut sidecar = house.helper(&[]);
        end(&house, &mut main);
        assert_eq!(sidecar.code(), 0, "{what}");
        began.elapsed() > FIRST_SLOW_LOOK
    });
    assert!(!slow, "{what}: it was the slow look that found it");
}

#[test]
fn every_kind_of_end_is_told_at_once() {
    is_told_at_once("the job ends", |house, main| {
        house.cue(0);
        main.code();
    });
    is_told_at_once("its wrapper is killed", |_, main| main.signal(libc::SIGKILL));
    is_told_at_once("a sentinel is created", |house, _| house.touch("main-job-terminated"));
    is_told_at_once("a sentinel is moved there", |house, _| {
        house.touch("made");
        fs::rename(house.pod("made"), house.pod("main-job-terminated")).expect("the sentinel");
    });
    is_told_at_once("a sentinel is linked there", |house, _| {
        house.touch("made");
        fs::hard_link(house.pod("made"), house.pod("main-job-terminated")).expect("the sentinel");
    });
    is_told_at_once("the job empties the directory and ends", |house, main| {
        fs::remove_file(house.pod("main-job-running")).expect("a file removed");
        house.cue(0);
        main.code();
    });
}

#[test]
fn a_job_that_ends_is_never_taken_for_one_that_was_killed() {
    // Rename, then release: an observer that believes the free lock without a second look for the sentinel says 137.
    for round in 0..100u64 {
        let house = House::new();
        let mut sidecar = house.sidecar().args(["--exit-with=main"]).command("echo ready; exec sleep 1000").start();
        if round % 2 == 0 {
            sidecar.ready();
        }
        assert_eq!(house.main().command("exit 3").finish().code(), 3);
        let code = sidecar.code();
        // 0 when it was over already as the sidecar began to look.
        assert!(code == 3 || round % 2 == 1 && code == 0, "round {round}: {code}");
    }
}

#[test]
fn the_watch_is_given_up_while_the_child_shuts_down() {
    let house = House::new();
    let mut sidecar = house.sidecar().command(STUBBORN).start();
    sidecar.ready();
    assert!(proc::watches(sidecar.pid), "{:?}", proc::descriptors(sidecar.pid));
    house.touch("main-job-terminated");
    sidecar.expect("term");
    wait_until("the inotify instance to be closed", || !proc::watches(sidecar.pid));
    assert!(proc::alive(sidecar.pid) && sidecar.try_ended().is_none(), "it was given up by the exit");
}

/// Of all that a user may have on a node there is one instance, in a user namespace: whoever has given it up does not keep it
/// from others for as long as its helper takes to end. (On a kernel before Linux 6.9 as well: there its own thread collects.)
#[test]
fn an_instance_that_is_given_up_is_another_s_while_the_child_shuts_down() {
    let house = House::new();
    let line = "echo 1 >/proc/sys/user/max_inotify_instances; echo ready; exec sleep 1000";
    let mut node = house.run("sh").args(["-c", line]).behind(["unshare", "--user", "--map-root-user", "--"]).start();
    node.ready();
    let target = node.pid.to_string();
    let on_node = |job: &str, command: &str| {
        let run = house.sidecar().args(["--until", job]).command(command);
        let run = run.behind(["nsenter", "--user", "--preserve-credentials", "--target", &target, "--"]);
        let mut sidecar = run.start();
        sidecar.ready();
        sidecar
    };
    let mut first = on_node("first", STUBBORN);
    assert!(proc::watches(first.pid), "{}", first.err());
    let second = on_node("second", HELPER);
    assert!(!proc::watches(second.pid), "there is more than one");
    house.touch("first-terminated");
    first.expect("term");
    let third = wait_for("an instance for another", house::PATIENCE, || {
        Some(on_node("third", HELPER)).filter(|third| proc::watches(third.pid))
    });
    assert_eq!(third.err(), "");
    assert!(proc::alive(first.pid) && first.try_ended().is_none(), "it was given back by the exit");
}

/// A temporary file in the watched directory upsets the watch: kubernetes/test-infra#18278.
#[test]
fn what_others_do_in_the_directory_does_not_wake_the_sidecar() {
    let house = House::new();
    let mut main = house.job(&[]);
    house.appears("main-job-ready");
    let mut sidecar = house.sidecar().command(STUBBORN).start();
    sidecar.ready();
    let (all, own) = (proc::wake_ups(sidecar.pid), proc::wake_ups_of_thread(sidecar.pid, sidecar.pid));
    // Reading a record and testing its lock opens the file: two observers that reacted to that would keep each other
    // awake for ever.
    for _ in 0..1000 {
        assert!(is_locked(&house.pod("main-job-running")));
    }
    // Events come in their order: what wakes it now comes after all the others.
    fs::remove_file(house.pod("main-job-ready")).expect("a file removed");
    wait_until("a wake-up", || proc::wake_ups_of_thread(sidecar.pid, sidecar.pid) > own);
    let woken = proc::wake_ups(sidecar.pid) - all;
    assert!(woken < 50, "woken {woken} times by 1000 looks of others");

    // Files of the job wake the thread of the watch at most, for the kernel knows no names; never the loop.
    let own = proc::wake_ups_of_thread(sidecar.pid, sidecar.pid);
    for _ in 0..1000 {
        fs::write(house.pod("data"), "x").expect("a file of the job");
    }
    house.cue(0);
    main.code();
    sidecar.expect("term");
    let woken = proc::wake_ups_of_thread(sidecar.pid, sidecar.pid) - own;
    assert!(woken < 50, "woken {woken} times by 1000 files of the job");
}

#[test]
fn a_sidecar_at_rest_makes_no_wake_up_but_the_slow_look() {
    let house = House::new();
    let _main = house.job(&[]);
    let sidecar = house.helper(&[]);
    let mut last = (proc::wake_ups(sidecar.pid), Instant::now());
    // Between two looks there is nothing: a pause of nearly five seconds from one wake-up to the next.
    wait_until("two wake-ups with five seconds between them", || {
        let woken = proc::wake_ups(sidecar.pid);
        if woken == last.0 {
            return false;
        }
        let pause = last.1.elapsed();
        last = (woken, Instant::now());
        pause > FIRST_SLOW_LOOK - Duration::from_millis(100)
    });
}

/// A helper that gets no inotify instance, by the limit of a user namespace of its own: the same refusal as that of a node
/// whose instances are used up.
#[track_caller]
fn without_inotify(house: &House, options: &[&str]) -> Process {
    let line = "echo 0 >/proc/sys/user/max_inotify_instances; exec \"$@\"";
    let sidecar = house.sidecar().args(options).command(HELPER).behind(["sh", "-c", line, "sh"]);
    let mut sidecar = sidecar.behind(["unshare", "--user", "--map-root-user", "--"]).start();
    sidecar.ready();
    sidecar
}

/// No inotify instance is left on the node: argoproj/argo-workflows#15941, containerd/containerd#10309,
/// kubernetes/kops#2913.
#[test]
fn without_an_inotify_instance_it_says_so_once_and_stays_until_the_end() {
    let house = House::new();
    let mut sidecar = without_inotify(&house, &["--exit-with=main"]);
    assert!(!proc::watches(sidecar.pid));
    assert_eq!(sidecar.err().matches("warning").count(), 1, "{}", sidecar.err());
    for (attempt, code) in [(1, 3), (2, 0)] {
        let mut main = house.job(&["--restart-policy=on-failure"]);
        assert_eq!(house.record("main-job-running")["attempt"], attempt);
        house.cue(code);
        main.code();
    }
    assert_eq!(sidecar.code(), 0);
    assert_eq!(sidecar.err().matches("warning").count(), 1, "once: {}", sidecar.err());
}

/// Whether a sidecar that cannot be told by events finds the end later than by looking every second, each time of three:
/// on a machine that is very busy one of them may be slow.
fn is_slow(sidecar: impl Fn(&House) -> Process) -> bool {
    (0..3).all(|_| {
        let house = House::new();
        let mut sidecar = sidecar(&house);
        assert!(!proc::watches(sidecar.pid));
        assert_eq!(sidecar.err().lines().count(), 1, "it says so: {}", sidecar.err());
        // Directly after a look at rest, so that the next one is as far away as it ever is.
        let looks = proc::wake_ups(sidecar.pid);
        wait_until("two looks", || proc::wake_ups(sidecar.pid) >= looks + 2);
        let began = Instant::now();
        house.touch("main-job-terminated");
        assert_eq!(sidecar.code(), 0);
        sidecar.expect("term");
        began.elapsed() > Duration::from_secs(3)
    })
}

#[test]
fn without_an_inotify_instance_it_looks_every_second() {
    assert!(!is_slow(|house| without_inotify(house, &[])), "it was the slow look that found it");
}

#[test]
fn with_watch_poll_there_is_no_inotify_instance_and_it_looks_every_second() {
    assert!(!is_slow(|house| house.helper(&["--watch", "poll"])), "it was the slow look that found it");
}

#[test]
fn without_an_inotify_instance_a_killed_wrapper_is_noticed_too() {
    let house = House::new();
    let main = house.job(&[]);
    let mut sidecar = without_inotify(&house, &["--exit-with=main"]);
    main.signal(libc::SIGKILL);
    assert_eq!(sidecar.code(), 137);
}

fn threads(pid: i32) -> usize {
    fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count)
}

/// Where no event tells, the lock does: a thread waits for it. It is started by a look, and the next look is a second away.
#[test]
fn without_an_inotify_instance_the_lock_of_a_life_tells_of_its_end_at_once() {
    for kill in [false, true] {
        let slow = (0..3).all(|_| {
            let house = House::new();
            let mut main = house.job(&[]);
            let mut sidecar = without_inotify(&house, &["--exit-with=main"]);
            wait_until("a thread that waits for the lock", || threads(sidecar.pid) == 2);
            let began = Instant::now();
            if kill {
                main.signal(libc::SIGKILL);
            } else {
                house.cue(3);
            }
            sidecar.expect("term");
            let slow = began.elapsed() > Duration::from_millis(700);
            assert_eq!(sidecar.code(), if kill { 137 } else { main.code() });
            slow
        });
        assert!(!slow, "kill: {kill}: it was a look that found it");
    }
}

/// Whoever waits for a lock is in nobody's way: the next attempt takes its name at once, and an exit is an exit.
#[test]
fn an_alarm_keeps_no_attempt_from_its_name_and_no_exit_from_its_end() {
    let house = House::new();
    let mut sidecar = without_inotify(&house, &["--exit-with=main"]);
    for attempt in 1..=5 {
        let mut main = house.job(&["--restart-policy=on-failure"]);
        assert_eq!(house.record("main-job-running")["attempt"], attempt);
        wait_until("a thread that waits for the lock", || threads(sidecar.pid) == 2);
        main.signal(libc::SIGKILL);
        main.ended();
    }
    let _main = house.job(&["--restart-policy=on-failure"]);
    wait_until("a thread that waits for the lock", || threads(sidecar.pid) == 2);
    sidecar.signal(libc::SIGTERM);
    sidecar.expect("term");
    let began = Instant::now();
    assert_eq!(sidecar.code(), 7);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// With two tasks allowed (pids.max, RLIMIT_NPROC) the thread of the watch takes the place of the command: it gives way.
#[test]
fn where_two_tasks_are_allowed_the_command_runs_and_the_watch_gives_way() {
    // SAFETY: a system call that cannot fail.
    if unsafe { libc::geteuid() } != 0 || house::here::on_path("setpriv").is_none() {
        house::here::pass_over("it needs root and setpriv, to become a user with a limit of its own");
        return;
    }
    let house = House::new();
    let user = 700_000 + std::process::id() % 100_000;
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let two = || {
        let limit = libc::rlimit { rlim_cur: 2, rlim_max: 2 };
        // SAFETY: reads a live local.
        let set = unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) };
        if set == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    let run = house.sidecar().args(["--", "sleep", "1000"]).behind(["setpriv", &uid, &gid, "--clear-groups", "--"]);
    let mut sidecar = run.hook(two).start();
    sidecar.says("there is no room for a process and a watch");
    wait_until("the command", || !proc::children(sidecar.pid).is_empty());
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0, "{}", sidecar.err());
}

/// Events do not arrive: google/gvisor#11326, google/gvisor#8089, kata-containers/runtime#1505,
/// kata-containers/kata-containers#10411.
#[test]
fn the_slow_look_finds_what_no_event_has_told() {
    // The kernel's own entries in sysfs come and go without an event: a network interface that is renamed to
    // "x-terminated" is a sentinel in /sys/class/net that no watch sees.
    let house = House::new();
    let line = "mount -t sysfs none /sys; exec \"$@\"";
    let stage = house.run("sh").args(["-c", line, "sh", "sh", "-c", "echo ready; read code <\"$CUE\"; \"$@\"", "sh"]);
    let rename = std::env::current_exe().expect("this binary");
    let stage = stage.arg(rename).env(house::role::ROLE, "rename_lo").unshare(["--mount", "--net"]);
    let mut stage = stage.start();
    stage.ready();
    let sidecar = house.run(house::EXEUNT).args(["--mode=sidecar", "--until=x", "--dir=/sys/class/net"]);
    let mut sidecar = sidecar.command(HELPER).inside(&stage, &["--mount", "--net"]).start();
    sidecar.ready();
    assert!(proc::watches(sidecar.pid), "a poll would find it, too: {}", sidecar.err());
    house.cue(0);
    assert_eq!(stage.code(), 0, "{}", stage.err());
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
}

roles! {
    fn rename_lo() {
        // SAFETY: an ioctl on a structure of its own, with names that are shorter than its fields.
        unsafe {
            let mut request: libc::ifreq = std::mem::zeroed();
            request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
            let name = b"x-terminated".map(|byte| byte as libc::c_char);
            request.ifr_ifru.ifru_newname[..12].copy_from_slice(&name);
            let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM, 0);
            // The type of a request is another one for each libc.
            const RENAME: u16 = libc::SIOCSIFNAME as u16;
            let done = libc::ioctl(socket, RENAME.into(), &request);
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        }
    }
}
