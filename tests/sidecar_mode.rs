//! Sidecar mode: it stays while the job lives and leaves when the job is over, however that came about.

mod house;

use house::scene::{STUBBORN, is_locked};
use house::{House, proc, wait_until};

/// A marker that is written before the sidecar watches is never seen; the Pod hangs: karlkfi/kubexit#8,
/// cortexlabs/cortex#2217.
#[test]
fn a_job_that_is_over_at_the_start_means_that_the_command_is_never_started() {
    for exit_with in ["zero", "child", "main"] {
        let house = House::new();
        house.main().command("exit 3").finish().code();
        let mut sidecar = house.sidecar().args(["--exit-with", exit_with]).command("echo started; exit 9").finish();
        assert_eq!(sidecar.code(), 0, "--exit-with {exit_with}");
        assert_eq!(sidecar.out(), "");
    }
}

#[test]
fn a_sentinel_made_by_touch_counts_before_the_start_and_while_the_command_runs() {
    let house = House::new();
    let mut sidecar = house.helper(&[]);
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
    let mut late = house.sidecar().command("echo started").finish();
    assert_eq!((late.code(), late.out()), (0, String::new()));
}

#[test]
fn when_the_job_ends_the_child_gets_sigterm_and_the_exit_code_is_as_asked() {
    for (exit_with, code) in [(None, 0), (Some("zero"), 0), (Some("child"), 7), (Some("main"), 3)] {
        let house = House::new();
        let mut main = house.job(&[]);
        let options = exit_with.map(|whose| vec!["--exit-with", whose]).unwrap_or_default();
        let mut sidecar = house.helper(&options);
        house.cue(3);
        assert_eq!(main.code(), 3);
        assert_eq!(sidecar.code(), code, "--exit-with {exit_with:?}");
        sidecar.expect("term");
        assert_eq!(sidecar.err().lines().count(), 1, "one line that says why: {}", sidecar.err());
        assert!(sidecar.err().starts_with("exeunt sidecar: "), "{}", sidecar.err());
        assert!(sidecar.err().contains("main-job"), "{}", sidecar.err());
    }
}

#[test]
fn exit_with_main_knows_a_job_that_was_killed_by_a_signal_and_one_that_left_no_code() {
    let house = House::new();
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    house.main().command("kill -SEGV $$").finish().code();
    assert_eq!(sidecar.code(), 128 + libc::SIGSEGV);

    let house = House::new();
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0, "the sentinel gives no code");

    let house = House::new();
    let main = house.job(&[]);
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    main.signal(libc::SIGKILL);
    assert_eq!(sidecar.code(), 137, "it died without a word");
}

#[test]
fn a_child_that_ends_by_the_stop_signal_itself_still_gives_0() {
    let house = House::new();
    let mut sidecar = house.sidecar().command("echo ready; exec sleep 1000").start();
    sidecar.ready();
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);

    let house = House::new();
    let mut sidecar = house.sidecar().args(["--exit-with=child"]).command("echo ready; exec sleep 1000").start();
    sidecar.ready();
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 143);
}

/// A sidecar that takes no notice of SIGTERM hangs the Pod: argoproj/argo-workflows#6402.
#[test]
fn a_child_that_does_not_end_within_the_grace_period_is_killed_with_a_warning() {
    for (exit_with, code) in [("zero", 0), ("child", 137), ("main", 3)] {
        let house = House::new();
        let sidecar = house.sidecar().args(["--grace", "100ms", "--exit-with", exit_with]);
        let mut sidecar = sidecar.command(STUBBORN).start();
        sidecar.ready();
        house.main().command("exit 3").finish().code();
        assert_eq!(sidecar.code(), code, "--exit-with {exit_with}");
        sidecar.expect("term");
        assert!(sidecar.err().contains("exeunt sidecar: warning: "), "{}", sidecar.err());
    }
}

#[test]
fn the_grace_period_is_given() {
    // The child needs longer than the stop signal takes and less than the grace period.
    let house = House::new();
    let line = "trap 'echo term; read code <\"$CUE\"; exit \"$code\"' TERM; echo ready; sleep 1000 & wait";
    let mut sidecar = house.sidecar().args(["--exit-with=child", "--grace=5m"]).command(line).start();
    sidecar.ready();
    house.touch("main-job-terminated");
    sidecar.expect("term");
    // One that has next to no grace period, begun later and used up, is the clock.
    let clock = House::new();
    let mut other = clock.sidecar().args(["--grace=50ms"]).command(STUBBORN).start();
    other.ready();
    clock.touch("main-job-terminated");
    other.ended();
    house.cue(9);
    assert_eq!(sidecar.code(), 9);
    assert!(!sidecar.err().contains("warning"), "{}", sidecar.err());
}

#[test]
fn the_stop_signal_is_the_one_that_was_asked_for() {
    for (signal, name) in [("SIGQUIT", "QUIT"), ("usr2", "USR2"), ("2", "INT")] {
        let house = House::new();
        let line = format!("trap 'echo {name}; exit 7' {name}; trap 'exit 1' TERM; echo ready; sleep 1000 & wait");
        let sidecar = house.sidecar().args(["--exit-with=child", "--stop-signal", signal]);
        let mut sidecar = sidecar.command(&line).start();
        sidecar.ready();
        house.touch("main-job-terminated");
        assert_eq!(sidecar.code(), 7);
        sidecar.expect(name);
    }
}

/// Whatever the stop has made of it: argoproj/argo-workflows#1053, GoogleCloudPlatform/cloud-sql-proxy#1529,
/// GoogleCloudPlatform/cloud-sql-proxy#2372, openkruise/kruise#1285, Netflix/titus-executor#871.
#[test]
fn a_helper_that_answers_its_stop_with_143_137_or_2_fails_nobody() {
    for (line, code) in [
        ("echo ready; exec sleep 1000", 143),
        (STUBBORN, 137),
        ("trap 'exit 2' TERM; echo ready; sleep 1000 & wait", 2),
    ] {
        for (exit_with, expected) in [(&[][..], 0), (&["--exit-with", "child"], code)] {
            let house = House::new();
            let mut sidecar = house.sidecar().args(["--grace", "200ms"]).args(exit_with).command(line).start();
            sidecar.ready();
            assert_eq!(house.main().command("exit 0").finish().code(), 0);
            assert_eq!(sidecar.code(), expected, "{line}, {exit_with:?}: {}", sidecar.err());
        }
    }
}

/// Who ignores the 137 of a sidecar hides a sidecar that ran out of memory: argoproj/argo-workflows#15153.
#[test]
fn a_child_that_ends_first_gives_its_own_code_whatever_exit_with_says() {
    for exit_with in ["zero", "child", "main"] {
        for (line, code) in [("exit 0", 0), ("exit 9", 9), ("kill -KILL $$", 137)] {
            let house = House::new();
            let mut main = house.job(&[]);
            let mut sidecar = house.sidecar().args(["--exit-with", exit_with]).command(line).finish();
            assert_eq!(sidecar.code(), code, "{line}, --exit-with {exit_with}");
            house.cue(0);
            assert_eq!(main.code(), 0, "the job goes on without it");
        }
    }
}

#[test]
fn a_signal_is_forwarded_and_the_child_s_code_is_the_exit_code() {
    for (signal, name) in [(libc::SIGTERM, "TERM"), (libc::SIGINT, "INT"), (libc::SIGHUP, "HUP")] {
        let house = House::new();
        let line = format!("trap 'echo {name}; exit 5' {name}; echo ready; sleep 1000 & wait");
        let mut sidecar = house.sidecar().command(&line).start();
        sidecar.ready();
        sidecar.signal(signal);
        assert_eq!(sidecar.code(), 5);
        sidecar.expect(name);
    }
}

#[test]
fn a_signal_from_outside_starts_no_grace_period_but_the_end_of_the_job_then_does() {
    let house = House::new();
    let stubborn = || {
        let mut sidecar = house.sidecar().args(["--grace=100ms"]).command(STUBBORN).start();
        sidecar.ready();
        sidecar
    };
    let mut told = stubborn();
    told.signal(libc::SIGTERM);
    told.expect("term");
    // Another one with the same grace period, begun later and used up, is the clock.
    let clock = House::new();
    let mut other = clock.sidecar().args(["--grace=100ms"]).command(STUBBORN).start();
    other.ready();
    clock.touch("main-job-terminated");
    other.ended();
    assert_eq!((told.try_ended(), told.err()), (None, String::new()));
    house.touch("main-job-terminated");
    assert_eq!(told.code(), 0, "killed because the job ended, and so --exit-with says");
    assert!(told.err().contains("warning"), "{}", told.err());
}

#[test]
fn until_several_names_waits_for_all_of_them() {
    for order in [["a", "b"], ["b", "a"]] {
        let house = House::new();
        let mut sidecar = house.helper(&["--until", "a,b", "--exit-with", "main"]);
        house.main().args(["--name", order[0]]).command("exit 0").finish().code();
        // A second sidecar shows that one of them is not enough, and its start that time has passed for the first.
        drop(house.helper(&["--until", "a,b"]));
        assert_eq!(sidecar.try_ended(), None);
        house.main().args(["--name", order[1]]).command("exit 4").finish().code();
        assert_eq!(sidecar.code(), 4, "the code of the one that failed");
    }
}

#[test]
fn until_any_of_several_names_waits_for_one_of_them() {
    for first in ["a", "b"] {
        let house = House::new();
        let mut sidecar = house.helper(&["--until", "a,b", "--until-any", "--exit-with", "main"]);
        house.main().args(["--name", first]).command("exit 6").finish().code();
        assert_eq!(sidecar.code(), 6);
    }
}

/// Several sidecars, each of which waits for another sign: hashicorp/vault#11089.
#[test]
fn every_sidecar_of_a_job_leaves_with_it() {
    let house = House::new();
    let mut main = house.job(&[]);
    let mut sidecars: Vec<_> =
        (0..6).map(|number| house.helper(&["--exit-with=main", &format!("--name=helper-{number}")])).collect();
    house.cue(3);
    assert_eq!(main.code(), 3);
    for sidecar in &mut sidecars {
        assert_eq!(sidecar.code(), 3);
    }
    let all: Vec<_> =
        (0..6).map(|number| format!("helper-{number}-terminated")).chain(["main-job-terminated".into()]).collect();
    assert_eq!(house.listing(), all);
    assert_eq!(house.record("helper-0-terminated")["exit_code"], 7, "the child's own code, not that of the wrapper");
}

#[test]
fn a_sidecar_without_a_name_writes_nothing_and_one_with_a_name_publishes_its_life() {
    let house = House::new();
    let unnamed = house.helper(&[]);
    assert_eq!(house.listing(), [""; 0]);
    let named = house.helper(&["--name", "proxy"]);
    house.appears("proxy-ready");
    assert_eq!(house.listing(), ["proxy-ready", "proxy-running"]);
    assert!(is_locked(&house.pod("proxy-running")));
    drop((unnamed, named));
}

#[test]
fn the_lives_of_others_without_the_one_awaited_are_hinted_at_once() {
    for watch in ["inotify", "poll"] {
        let house = House::new();
        let mut main = house.job(&[]);
        let mut sidecar = house.helper(&["--until", "main-jbo", "--watch", watch]);
        // The hint may wait for a slow look, so that a job that is only late is not called misspelt.
        sidecar.says("main-jbo");
        sidecar.says("but main-job is there");
        if watch == "poll" {
            let looks = proc::wake_ups(sidecar.pid);
            wait_until("three more looks", || proc::wake_ups(sidecar.pid) >= looks + 3);
        }
        house.touch("main-jbo-terminated");
        assert_eq!(sidecar.code(), 0);
        assert_eq!(sidecar.err().matches("but main-job is there").count(), 1, "once: {}", sidecar.err());
        house.cue(0);
        main.code();
    }
}

#[test]
fn a_directory_with_nothing_in_it_or_with_other_files_is_no_reason_for_a_hint() {
    let house = House::new();
    house.touch("data");
    house.touch(".hidden-running");
    let mut sidecar = house.helper(&["--watch", "poll", "--name", "proxy"]);
    let looks = proc::wake_ups(sidecar.pid);
    wait_until("three more looks", || proc::wake_ups(sidecar.pid) >= looks + 3);
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    assert!(!sidecar.err().contains("spelt"), "{}", sidecar.err());
}

/// What has the awaited name may be no life at all, and its name was called misspelt, with itself as the nearest.
#[test]
fn a_name_that_something_else_has_is_not_called_misspelt() {
    let house = House::new();
    std::fs::create_dir(house.pod("main-job-running")).expect("a directory");
    house.touch("other-terminated");
    let mut sidecar = house.helper(&["--watch", "poll"]);
    let looks = proc::wake_ups(sidecar.pid);
    wait_until("three more looks", || proc::wake_ups(sidecar.pid) >= looks + 3);
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    assert!(!sidecar.err().contains("spelt"), "{}", sidecar.err());
}

#[test]
fn every_option_of_a_sidecar_is_an_environment_variable_too() {
    let house = House::new();
    let line = "trap '' TERM; trap 'echo int' INT; echo ready; while :; do sleep 1000 & wait $!; done";
    let sidecar = house.run(house::EXEUNT).env("EXEUNT_MODE", "sidecar").env("EXEUNT_DIR", house.pod(""));
    let sidecar = sidecar.env("EXEUNT_UNTIL", "a,b").env("EXEUNT_UNTIL_ANY", "yes").env("EXEUNT_EXIT_WITH", "main");
    let sidecar = sidecar.env("EXEUNT_GRACE", "50ms").env("EXEUNT_STOP_SIGNAL", "INT").env("EXEUNT_WATCH", "poll");
    let sidecar = sidecar.env("EXEUNT_NAME", "proxy").env("EXEUNT_RUN_ID", "today").env("EXEUNT_LOG_FORMAT", "json");
    let mut sidecar = sidecar.command(line).start();
    sidecar.ready();
    house.appears("proxy-ready");
    assert_eq!(house.record("proxy-running")["run_id"], "today");
    assert!(!proc::watches(sidecar.pid));
    house.main().args(["--name=b", "--run-id=today"]).command("exit 6").finish().code();
    assert_eq!(sidecar.code(), 6);
    sidecar.expect("int");
    assert_eq!(house.record("proxy-terminated")["signal"], libc::SIGKILL);
    for line in sidecar.err().lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON in every line");
        assert_eq!(line["mode"], "sidecar");
    }
}

#[test]
fn a_value_that_makes_no_sense_is_refused_before_anything_is_started() {
    let wrong: [(&str, &[&str]); 5] = [
        ("--until", &["a/b", "../a", "a,", ",", "a,b c"]),
        ("--grace", &["soon", "-1s", "3 days and a bit", "99999999999999999999s"]),
        ("--exit-with", &["both", "Zero "]),
        ("--stop-signal", &["NOPE", "0", "65", "-9"]),
        ("--watch", &["closely"]),
    ];
    for (option, values) in wrong {
        for value in values {
            let house = House::new();
            let mut sidecar = house.sidecar().args([option, value]).command("echo started").finish();
            assert_eq!((sidecar.code(), sidecar.out()), (125, String::new()), "{option} {value}: {}", sidecar.err());
            assert_eq!(sidecar.err().lines().count(), 1, "{option} {value}: {}", sidecar.err());
            assert!(sidecar.err().contains(option), "{option} {value}: {}", sidecar.err());
        }
    }
}
