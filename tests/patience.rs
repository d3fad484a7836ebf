//! When a wait is spoken of, with a clock that the test turns; and what is then said, by real processes.

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../src/supervisor/patience.rs"]
mod patience;

mod house;

use house::{House, wait_until};
use patience::Patience;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The seconds at which a wait is spoken of, with the answers that come at their seconds.
fn spoken(until: u64, answers: &[(u64, &str)]) -> Vec<u64> {
    let start = Instant::now();
    let mut wait = Patience::begin("it", start);
    let mut seconds = Vec::new();
    for second in 0..=until {
        for (_, answer) in answers.iter().filter(|(at, _)| *at == second) {
            wait.hear(answer);
        }
        if wait.speaks(start + Duration::from_secs(second)) {
            seconds.push(second);
        }
    }
    seconds
}

#[test]
fn a_wait_is_spoken_of_after_a_second_then_at_1_5_and_15_minutes_and_each_hour() {
    assert_eq!(spoken(3 * 3600, &[(0, "refused")]), [1, 60, 300, 900, 4500, 8100]);
    assert_eq!(spoken(59, &[]), [1], "what is over within a second is nobody's concern");
}

#[test]
fn an_answer_that_changes_is_spoken_of_but_not_twice_a_second() {
    assert_eq!(spoken(59, &[(0, "refused"), (10, "503"), (20, "503"), (30, "refused")]), [1, 10, 30]);
    assert_eq!(spoken(59, &[(0, "refused"), (1, "503"), (2, "refused")]), [1, 2]);
    let flaps: Vec<_> = (0..20).map(|second| (second, if second % 2 == 0 { "a" } else { "b" })).collect();
    assert_eq!(spoken(59, &flaps).len(), 19);
}

#[test]
fn a_stall_makes_one_line_and_not_all_that_were_missed() {
    let start = Instant::now();
    let mut wait = Patience::begin("it", start);
    assert!(wait.speaks(start + Duration::from_secs(1200)));
    assert!(!wait.speaks(start + Duration::from_secs(1201)));
    assert_eq!(wait.next(), Some(start + Duration::from_secs(1200 + 3600)));
}

#[test]
fn a_condition_that_does_not_hold_is_named_with_its_answer_and_the_time_to_the_end() {
    let house = House::new();
    let missing = format!("file://{}", house.path("missing").display());
    let mut main = house.main().args(["--wait-for", &missing, "--wait-timeout", "60s"]).command("exit 3").start();
    main.says(&format!("waiting for {missing}: "));
    main.says("; gives up after 1m (--wait-timeout)");
    assert_eq!(main.err().lines().count(), 1, "{}", main.err());
    std::fs::write(house.path("missing"), "").unwrap();
    assert_eq!(main.code(), 3);
}

/// Both lines came in one breath where the time was a second, or one of them did not.
#[test]
fn a_wait_that_is_soon_given_up_is_spoken_of_by_its_end_alone() {
    let house = House::new();
    for (time, said) in [("1s", "1s"), ("1800ms", "1s 800ms")] {
        house.anew();
        let run = house.main().args(["--wait-for", "file:///nowhere/at/all", "--wait-timeout", time]);
        let mut main = run.command("exit 3").finish();
        assert_eq!((main.code(), main.err().lines().count()), (124, 1), "{}", main.err());
        assert!(main.err().contains(&format!("after {said} (--wait-timeout)")), "{}", main.err());
    }
}

#[test]
fn a_signal_that_ends_a_wait_says_what_was_waited_for() {
    for mode in ["main", "sidecar"] {
        let house = House::new();
        let mut run = house.mode(mode).args(["--wait-for", "file:///nowhere/x"]).command("true").start();
        run.says("waiting for file:///nowhere/x: ");
        run.signal(libc::SIGTERM);
        assert_eq!(run.code(), 128 + libc::SIGTERM);
        run.says("SIGTERM while waiting for file:///nowhere/x");
        run.says("; sh is not started");
    }
}

#[test]
fn a_name_that_another_holds_is_waited_for_aloud() {
    let house = House::new();
    let mut first = house.main().command("echo ready; exec sleep 100").start();
    first.ready();
    let mut second = house.main().command("exit 4").start();
    second.says("waiting for the name main-job: ");
    second.says("main-job-running is held by another live process");
    first.signal(libc::SIGTERM);
    first.ended();
    assert_eq!(second.code(), 4);
}

#[test]
fn a_job_that_has_not_come_and_one_between_two_attempts_are_waited_for_aloud() {
    let house = House::new();
    let mut sidecar = house.sidecar().command("trap 'exit 0' TERM; while :; do sleep 0.01; done").start();
    let begun = Instant::now();
    sidecar.says("waiting for the job main-job: nothing of it is in ");
    assert!(begun.elapsed() < Duration::from_secs(4), "a second is what it takes, and a stall: {:?}", begun.elapsed());
    sidecar.says(" yet; without limit (--absence-timeout sets one)\n");
    sidecar.says("; if main runs, do both mount the same volume there, without another subPath?\n");
    assert_eq!(house.main().args(["--restart-policy", "on-failure"]).command("exit 7").finish().code(), 7);
    sidecar.says("an attempt of the job main-job has ended (exit code 7); waiting for the next");
    assert_eq!(house.main().args(["--restart-policy", "on-failure"]).command("exit 0").finish().code(), 0);
    assert_eq!(sidecar.code(), 0);
}

#[test]
fn a_sigterm_that_is_held_is_said_to_be() {
    let house = House::new();
    let mut sidecar = house.sidecar().args(["--outlive-main=60s"]).command("echo ready; exec sleep 100").start();
    sidecar.ready();
    let mut main = house.main().command("echo ready; read -r _ <\"$CUE\"").start();
    main.ready();
    sidecar.signal(libc::SIGTERM);
    sidecar.says("SIGTERM is held back until the job main-job is over (it runs), at most 1m (--outlive-main)");
    main.signal(libc::SIGTERM);
    main.ended();
    assert_eq!(sidecar.code(), 0);
}

/// The first slow look, after five seconds, had it said once more, in other words.
#[test]
fn a_sigterm_that_is_held_is_said_to_be_once_as_long_as_nothing_changes() {
    let house = House::new();
    let mut sidecar = house.helper(&["--outlive-main=1h"]);
    sidecar.signal(libc::SIGTERM);
    sidecar.says("SIGTERM is held back");
    // What only the slow look finds out.
    std::fs::remove_dir_all(house.pod("")).unwrap();
    sidecar.says("has vanished");
    sidecar.signal(libc::SIGTERM);
    assert_eq!(sidecar.code(), 7);
    let said = sidecar.err();
    assert_eq!(said.lines().filter(|line| line.contains("SIGTERM is held back")).count(), 1, "{said}");
}

#[test]
fn a_group_that_does_not_empty_is_counted_and_named() {
    let house = House::new();
    let mut main = house.main().arg("--group").command("sleep 300 & echo $!; exit 5").start();
    let left: i32 = main.line().parse().expect("a pid");
    main.says("waiting for the rest of sh's process group (--group): 1 process (sleep); without limit\n");
    house::proc::signal(left, libc::SIGKILL);
    assert_eq!(main.code(), 5);
}

/// It is no news every second what the job does meanwhile.
#[test]
fn a_group_of_a_sidecar_is_spoken_of_once_while_nothing_changes() {
    let house = House::new();
    let mut main = house.main().command("echo ready; exec sleep 100").start();
    main.ready();
    let sidecar = house.sidecar().arg("--group").command("sleep 300 & exit 0").start();
    sidecar.says("process group (--group): 1 process (sleep)");
    // Somebody else's time goes by meanwhile.
    let mut other =
        house.sidecar().args(["--until", "nobody", "--absence-timeout", "3s"]).command("exec sleep 100").finish();
    assert_eq!(other.code(), 124);
    assert_eq!(sidecar.err().matches("process group (--group)").count(), 1, "{}", sidecar.err());
    main.signal(libc::SIGTERM);
}

#[test]
fn a_second_attempt_under_a_policy_that_knows_none_is_told() {
    let house = House::new();
    assert_eq!(house.main().command("exit 1").finish().code(), 1);
    let second = house.main().command("exit 0").finish();
    wait_until("the word", || second.err().contains("this is attempt 2"));
    assert!(second.err().contains("--restart-policy on-failure"), "{}", second.err());
}

/// Reported as kata-containers/kata-containers#12218, kubernetes/kubernetes#93202.
#[test]
fn a_directory_on_the_container_s_own_root_is_told_from_a_volume() {
    const OWN: &str = "the directory lies on this container's own root file system, which no other container sees";
    // This machine's root, with nothing in between, as where a volume was forgotten; then a volume of its own.
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    let on_root =
        ["/tmp", "/var/tmp", "/root"].map(Path::new).into_iter().find(|path| device(path) == device(Path::new("/")));
    let on_root = on_root.expect("a directory on the root file system");
    for (volume, forgotten) in [(":", true), ("mount -t tmpfs none \"$1\"", false)] {
        let house = House::under(on_root);
        let sidecar = house.sidecar().command("exec sleep 100").after(volume, house.pod("")).pid_1().start();
        sidecar.says("waiting for the job main-job: nothing of it is in ");
        if !forgotten {
            sidecar.says("do both mount the same volume there");
        }
        assert_eq!(sidecar.err().contains(OWN), forgotten, "{}", sidecar.err());
    }
}

#[test]
fn two_runs_at_once_in_one_directory_are_told() {
    let house = House::new();
    let mut first = house.main().args(["--run-id", "monday"]).command("echo ready; exec sleep 100").start();
    first.ready();
    let second = house.main().args(["--run-id", "tuesday"]).command("exit 4").start();
    second.says("waiting for the name main-job: ");
    second.says(
        "is held by a live process of another run (monday): two runs at once in one directory; give each its own",
    );
    let sidecar = house.sidecar().args(["--run-id", "tuesday"]).command("exec sleep 100").start();
    sidecar.says("main-job lives in ");
    sidecar.says(" under another run id (monday) and does not count: are two runs in one directory, give each its own");
}

/// Without a run id the Pod's own name tells, which is its host name.
#[test]
fn a_name_that_another_pod_holds_is_said_to_be_another_pod_s() {
    let house = House::new();
    let mut first = house.main().command("echo ready; exec sleep 100").start();
    first.ready();
    let name = "hostname other-pod || echo other-pod >/proc/sys/kernel/hostname; exec \"$@\"";
    let second = house.main().command("exit 4").behind(["sh", "-c", name, "sh"]).unshare(["--uts"]).start();
    second.says("is held by another live process, on ");
    second.says(": two runs at once in one directory? give each its own (subPath)");
}

#[test]
fn a_command_that_takes_its_time_to_end_is_waited_for_aloud() {
    let house = House::new();
    let mut main = house.main().command("echo ready; exec sleep 100").start();
    main.ready();
    let deaf = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
    let mut sidecar = house.sidecar().args(["--grace", "2500ms"]).command(deaf).start();
    sidecar.ready();
    main.signal(libc::SIGTERM);
    sidecar.says("waiting for sh to end; SIGKILL after 2s 500ms (--grace)");
    assert_eq!(sidecar.code(), 0);
}
