//! Sidecar mode: it stays while the job lives and leaves when the job is over, however that came about.

mod house;

use std::fs::{self, File};
use std::time::{Duration, Instant};

use house::scene::{HELPER, JOB, STUBBORN, boot_id, is_locked};
use house::{House, Process, proc, wait_until};

/// A helper with options before its command, running and ready.
#[track_caller]
fn helper(house: &House, options: &[&str]) -> Process {
    let mut sidecar = house.sidecar().args(options).command(HELPER).start();
    sidecar.ready();
    sidecar
}

/// A job that waits for its cue, running and ready.
#[track_caller]
fn job(house: &House, options: &[&str]) -> Process {
    let mut main = house.main().args(options).command(JOB).start();
    main.ready();
    main
}

fn touch(house: &House, name: &str) {
    File::create(house.pod(name)).expect("a file");
}

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
    let mut sidecar = helper(&house, &[]);
    touch(&house, "main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
    let mut late = house.sidecar().command("echo started").finish();
    assert_eq!((late.code(), late.out()), (0, String::new()));
}

#[test]
fn when_the_job_ends_the_child_gets_sigterm_and_the_exit_code_is_as_asked() {
    for (exit_with, code) in [(None, 0), (Some("zero"), 0), (Some("child"), 7), (Some("main"), 3)] {
        let house = House::new();
        let mut main = job(&house, &[]);
        let options = exit_with.map(|whose| vec!["--exit-with", whose]).unwrap_or_default();
        let mut sidecar = helper(&house, &options);
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
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    house.main().command("kill -SEGV $$").finish().code();
    assert_eq!(sidecar.code(), 128 + libc::SIGSEGV);

    let house = House::new();
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    touch(&house, "main-job-terminated");
    assert_eq!(sidecar.code(), 0, "the sentinel gives no code");

    let house = House::new();
    let main = job(&house, &[]);
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    main.signal(libc::SIGKILL);
    assert_eq!(sidecar.code(), 137, "it died without a word");
}

#[test]
fn a_child_that_ends_by_the_stop_signal_itself_still_gives_0() {
    let house = House::new();
    let mut sidecar = house.sidecar().command("echo ready; exec sleep 1000").start();
    sidecar.ready();
    touch(&house, "main-job-terminated");
    assert_eq!(sidecar.code(), 0);

    let house = House::new();
    let mut sidecar = house.sidecar().args(["--exit-with=child"]).command("echo ready; exec sleep 1000").start();
    sidecar.ready();
    touch(&house, "main-job-terminated");
    assert_eq!(sidecar.code(), 143);
}

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
    touch(&house, "main-job-terminated");
    sidecar.expect("term");
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
        touch(&house, "main-job-terminated");
        assert_eq!(sidecar.code(), 7);
        sidecar.expect(name);
    }
}

#[test]
fn a_child_that_ends_first_gives_its_own_code_whatever_exit_with_says() {
    for exit_with in ["zero", "child", "main"] {
        for (line, code) in [("exit 0", 0), ("exit 9", 9), ("kill -KILL $$", 137)] {
            let house = House::new();
            let mut main = job(&house, &[]);
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
    touch(&clock, "main-job-terminated");
    other.ended();
    assert_eq!((told.try_ended(), told.err()), (None, String::new()));
    touch(&house, "main-job-terminated");
    told.ended();
    assert!(told.err().contains("warning"), "{}", told.err());
}

// ---- the watch tells at once ----

/// How long after its start a sidecar that was not told by an event finds the end by its first slow look. Whoever has
/// left before was told.
const FIRST_SLOW_LOOK: Duration = Duration::from_secs(5);

#[track_caller]
fn is_told_at_once(what: &str, end: impl Fn(&House, &mut Process)) {
    // On a machine that is very busy one of them may be slow; a watch that does not tell is slow every time.
    let slow = (0..3).all(|_| {
        let house = House::new();
        let mut main = job(&house, &[]);
        let began = Instant::now();
        let mut sidecar = helper(&house, &[]);
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
    is_told_at_once("a sentinel is created", |house, _| touch(house, "main-job-terminated"));
    is_told_at_once("a sentinel is moved there", |house, _| {
        touch(house, "made");
        fs::rename(house.pod("made"), house.pod("main-job-terminated")).expect("the sentinel");
    });
    is_told_at_once("a sentinel is linked there", |house, _| {
        touch(house, "made");
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

// ---- kill -9 of the wrapper: nobody is left to say goodbye ----

#[test]
fn a_wrapper_killed_before_the_sidecar_starts_was_the_end_of_the_job() {
    let house = House::new();
    let mut main = job(&house, &[]);
    main.signal(libc::SIGKILL);
    main.ended();
    wait_until("the lock to be free", || !is_locked(&house.pod("main-job-running")));
    let mut sidecar = house.sidecar().command("echo started").finish();
    assert_eq!((sidecar.code(), sidecar.out()), (0, String::new()));
}

#[test]
fn a_wrapper_killed_while_the_sidecar_starts_is_noticed_in_every_order() {
    // Wherever the kill falls between the sidecar's first look, its watch and its second look: it must end.
    for round in 0..40 {
        let house = House::new();
        let main = job(&house, &[]);
        let mut sidecar = house.sidecar().command(HELPER).start();
        // 0 to 4 ms: from before its first instruction to after its command has been started.
        let until = Instant::now() + Duration::from_micros(round * 100);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        main.signal(libc::SIGKILL);
        assert_eq!(sidecar.code(), 0, "round {round}");
    }
}

#[test]
fn a_wrapper_killed_after_the_sidecar_has_started_is_noticed_by_its_lock() {
    let house = House::new();
    let main = job(&house, &[]);
    let mut sidecar = helper(&house, &[]);
    main.signal(libc::SIGKILL);
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
    assert!(!house.pod("main-job-terminated").exists());
    assert_eq!(sidecar.err().lines().count(), 1, "{}", sidecar.err());
}

#[test]
fn with_on_failure_a_killed_wrapper_is_between_two_attempts_whenever_it_was_killed() {
    let policy = ["--restart-policy", "on-failure"];
    let house = House::new();
    let mut main = job(&house, &policy);
    let mut early = helper(&house, &["--exit-with", "main"]);
    main.signal(libc::SIGKILL);
    main.ended();
    wait_until("the lock to be free", || !is_locked(&house.pod("main-job-running")));
    let mut late = helper(&house, &["--exit-with", "main"]);
    assert_eq!(early.try_ended(), None);

    let mut main = job(&house, &policy);
    assert_eq!(house.record("main-job-running")["attempt"], 2);
    assert_eq!((early.try_ended(), late.try_ended()), (None, None));
    house.cue(0);
    assert_eq!(main.code(), 0);
    // Whoever had taken the kill for the end would have left with 137.
    assert_eq!((early.code(), late.code()), (0, 0));
}

#[test]
fn with_on_failure_a_failed_attempt_is_not_the_end_and_the_final_one_is() {
    let policy = ["--restart-policy", "on-failure"];
    let house = House::new();
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    for code in [3, 4] {
        let mut main = job(&house, &policy);
        house.cue(code);
        assert_eq!(main.code(), i32::from(code));
        // A sidecar that comes between two attempts starts its command.
        drop(helper(&house, &[]));
        assert_eq!(sidecar.try_ended(), None);
    }
    let mut main = job(&house, &policy);
    house.cue(0);
    assert_eq!(main.code(), 0);
    assert_eq!(sidecar.code(), 0, "3 or 4 if it had left after an attempt");
    sidecar.expect("term");
}

#[test]
fn a_wrapper_that_is_only_stopped_is_not_dead() {
    let house = House::new();
    let mut main = job(&house, &[]);
    let mut early = helper(&house, &["--exit-with", "main"]);
    main.signal(libc::SIGSTOP);
    wait_until("the wrapper to be stopped", || proc::state(main.pid) == Some('T'));
    let mut late = helper(&house, &["--exit-with", "main"]);
    assert_eq!((early.try_ended(), late.try_ended()), (None, None));
    main.signal(libc::SIGCONT);
    house.cue(3);
    assert_eq!((main.code(), early.code(), late.code()), (3, 3, 3));
}

#[test]
fn a_record_that_says_final_is_the_end_even_if_it_could_not_be_renamed() {
    let house = House::new();
    let mut early = house.life("main-job", |record| {
        record["restart_policy"] = "on-failure".into();
        record["exit_code"] = 4.into();
        record["final"] = false.into();
    });
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    early.unlock().expect("the lock let go of");
    // Between two attempts still: one that starts now starts its command.
    drop(helper(&house, &[]));
    assert_eq!(sidecar.try_ended(), None);
    // The next attempt ends for good.
    early = house.life("main-job", |record| {
        record["restart_policy"] = "on-failure".into();
        record["exit_code"] = 5.into();
        record["final"] = true.into();
    });
    drop(early);
    assert_eq!(sidecar.code(), 5);
}

// ---- where the lock is not shared ----

/// Starts a sidecar on a life whose lock proves nothing, lets it see the end by a bare sentinel, and gives it back.
#[track_caller]
fn does_not_trust(change: impl FnOnce(&mut serde_json::Value)) {
    let house = House::new();
    drop(house.life("main-job", change));
    let mut sidecar = helper(&house, &["--exit-with", "main", "--watch", "poll"]);
    sidecar.says("trusted");
    let looks = proc::wake_ups(sidecar.pid);
    wait_until("three more looks", || proc::wake_ups(sidecar.pid) >= looks + 3);
    touch(&house, "main-job-terminated");
    // 137 if it had believed the lock.
    assert_eq!(sidecar.code(), 0);
    assert_eq!(sidecar.err().matches("trusted").count(), 1, "warned once: {}", sidecar.err());
}

#[test]
fn a_free_lock_under_another_kernel_is_not_trusted() {
    does_not_trust(|record| record["boot_id"] = "00000000-0000-4000-8000-000000000000".into());
    does_not_trust(|record| record["boot_id"] = "".into());
}

#[test]
fn a_free_lock_on_another_inode_or_device_is_not_trusted() {
    does_not_trust(|record| record["inode"] = (record["inode"].as_u64().expect("a number") + 1).into());
    does_not_trust(|record| record["device"] = (record["device"].as_u64().expect("a number") + 1).into());
}

#[test]
fn a_free_lock_with_no_record_at_all_is_not_trusted() {
    let house = House::new();
    fs::write(house.pod("main-job-running"), "").expect("a file");
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    touch(&house, "main-job-terminated");
    assert_eq!(sidecar.code(), 0);
}

#[test]
fn a_lock_that_was_seen_held_is_trusted_whatever_the_record_says() {
    let house = House::new();
    let life = house.life("main-job", |record| record["boot_id"] = "another kernel".into());
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    drop(life);
    assert_eq!(sidecar.code(), 137);
    assert!(!sidecar.err().contains("warning"), "{}", sidecar.err());
}

#[test]
fn a_free_lock_in_the_same_place_is_a_death_at_the_first_look() {
    let house = House::new();
    drop(house.life("main-job", |record| assert_eq!(record["boot_id"], boot_id())));
    let mut sidecar = house.sidecar().command("echo started").finish();
    assert_eq!((sidecar.code(), sidecar.out()), (0, String::new()));
}

#[test]
fn a_close_with_the_lock_still_held_is_followed_by_a_few_more_looks() {
    // The kernel tells of the close of a dying process before it drops the lock. Here another writer closes the file, and
    // the lock goes by itself, which makes no event at all.
    let house = House::new();
    let life = house.life("main-job", |_| {});
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    let looks = || proc::wake_ups_of_thread(sidecar.pid, sidecar.pid);
    let before = looks();
    let began = Instant::now();
    drop(File::options().append(true).open(house.pod("main-job-running")).expect("the life"));
    wait_until("five more looks", || looks() >= before + 5);
    assert!(began.elapsed() < 4 * FIRST_SLOW_LOOK, "these were slow looks");
    assert_eq!(sidecar.try_ended(), None);
    life.unlock().expect("the lock let go of");
    assert_eq!(sidecar.code(), 137);
}

// ---- several names, several sidecars ----

#[test]
fn until_several_names_waits_for_all_of_them() {
    for order in [["a", "b"], ["b", "a"]] {
        let house = House::new();
        let mut sidecar = helper(&house, &["--until", "a,b", "--exit-with", "main"]);
        house.main().args(["--name", order[0]]).command("exit 0").finish().code();
        // A second sidecar shows that one of them is not enough, and its start that time has passed for the first.
        drop(helper(&house, &["--until", "a,b"]));
        assert_eq!(sidecar.try_ended(), None);
        house.main().args(["--name", order[1]]).command("exit 4").finish().code();
        assert_eq!(sidecar.code(), 4, "the code of the one that failed");
    }
}

#[test]
fn until_any_of_several_names_waits_for_one_of_them() {
    for first in ["a", "b"] {
        let house = House::new();
        let mut sidecar = helper(&house, &["--until", "a,b", "--until-any", "--exit-with", "main"]);
        house.main().args(["--name", first]).command("exit 6").finish().code();
        assert_eq!(sidecar.code(), 6);
    }
}

#[test]
fn every_sidecar_of_a_job_leaves_with_it() {
    let house = House::new();
    let mut main = job(&house, &[]);
    let mut sidecars: Vec<_> =
        (0..6).map(|number| helper(&house, &["--exit-with=main", &format!("--name=helper-{number}")])).collect();
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
    let unnamed = helper(&house, &[]);
    assert_eq!(house.listing(), [""; 0]);
    let named = helper(&house, &["--name", "proxy"]);
    house.appears("proxy-ready");
    assert_eq!(house.listing(), ["proxy-ready", "proxy-running"]);
    assert!(is_locked(&house.pod("proxy-running")));
    drop((unnamed, named));
}

#[test]
fn the_lives_of_others_without_the_one_awaited_are_hinted_at_once() {
    for watch in ["inotify", "poll"] {
        let house = House::new();
        let mut main = job(&house, &[]);
        let mut sidecar = helper(&house, &["--until", "main-jbo", "--watch", watch]);
        // The hint may wait for a slow look, so that a job that is only late is not called misspelt.
        sidecar.says("main-jbo");
        sidecar.says("but main-job is there");
        if watch == "poll" {
            let looks = proc::wake_ups(sidecar.pid);
            wait_until("three more looks", || proc::wake_ups(sidecar.pid) >= looks + 3);
        }
        touch(&house, "main-jbo-terminated");
        assert_eq!(sidecar.code(), 0);
        assert_eq!(sidecar.err().matches("but main-job is there").count(), 1, "once: {}", sidecar.err());
        house.cue(0);
        main.code();
    }
}

#[test]
fn a_directory_with_nothing_in_it_or_with_other_files_is_no_reason_for_a_hint() {
    let house = House::new();
    touch(&house, "data");
    touch(&house, ".hidden-running");
    let mut sidecar = helper(&house, &["--watch", "poll", "--name", "proxy"]);
    let looks = proc::wake_ups(sidecar.pid);
    wait_until("three more looks", || proc::wake_ups(sidecar.pid) >= looks + 3);
    touch(&house, "main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    assert!(!sidecar.err().contains("spelt"), "{}", sidecar.err());
}

// ---- the watch ----

fn watches(pid: i32) -> bool {
    proc::descriptors(pid).iter().any(|target| target.contains("inotify"))
}

#[test]
fn the_watch_is_given_up_while_the_child_shuts_down() {
    let house = House::new();
    let mut sidecar = house.sidecar().command(STUBBORN).start();
    sidecar.ready();
    assert!(watches(sidecar.pid), "{:?}", proc::descriptors(sidecar.pid));
    touch(&house, "main-job-terminated");
    sidecar.expect("term");
    wait_until("the inotify instance to be closed", || !watches(sidecar.pid));
    assert!(proc::alive(sidecar.pid) && sidecar.try_ended().is_none(), "it was given up by the exit");
}

#[test]
fn what_others_do_in_the_directory_does_not_wake_the_sidecar() {
    let house = House::new();
    let mut main = job(&house, &[]);
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
    let _main = job(&house, &[]);
    let sidecar = helper(&house, &[]);
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

// ---- other namespaces ----

#[test]
fn job_and_sidecar_in_mount_and_pid_namespaces_of_their_own_share_only_the_directory() {
    for kill in [false, true] {
        let house = House::new();
        // Two places for one file system, as in two containers: only the job has it at "pod".
        fs::create_dir(house.path("elsewhere")).expect("a directory");
        let mut main = house.main().command(JOB).pid_1().start();
        main.ready();
        let sidecar = house.run(house::EXEUNT).args(["--mode=sidecar", "--exit-with=main", "--dir"]);
        let sidecar = sidecar.arg(house.path("elsewhere")).command(HELPER).pid_1();
        let bind = format!("mount --bind '{}' \"$1\"", house.pod("").display());
        let mut sidecar = sidecar.after(&bind, house.path("elsewhere")).start();
        sidecar.ready();
        if kill {
            proc::signal(main.inner(), libc::SIGKILL);
            assert_eq!(sidecar.code(), 137);
        } else {
            house.cue(3);
            assert_eq!((main.code(), sidecar.code()), (3, 3));
        }
        sidecar.expect("term");
    }
}

#[test]
fn a_read_only_mount_is_enough_for_a_sidecar_without_a_name_and_not_for_one_with_a_name() {
    let read_only = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"";
    let house = House::new();
    let mut main = job(&house, &[]);
    let mut sidecar =
        house.sidecar().args(["--exit-with=main"]).command(HELPER).after(read_only, house.pod("")).start();
    sidecar.ready();
    let named = house.sidecar().args(["--name=proxy"]).command("echo started").after(read_only, house.pod(""));
    let mut named = named.finish();
    assert_eq!((named.code(), named.out()), (125, String::new()));
    assert!(named.err().contains(house.pod("").to_str().expect("a plain path")), "{}", named.err());
    house.cue(3);
    assert_eq!((main.code(), sidecar.code()), (3, 3));
    assert_eq!(sidecar.err().lines().count(), 1, "{}", sidecar.err());
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
    assert!(!watches(sidecar.pid));
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

#[test]
fn a_directory_that_is_missing_is_named_and_the_command_is_not_started() {
    let house = House::new();
    let path = house.path("nowhere");
    let sidecar = house.run(house::EXEUNT).args(["--mode=sidecar", "--dir"]).arg(&path);
    let mut sidecar = sidecar.command("echo started").finish();
    assert_eq!((sidecar.code(), sidecar.out()), (125, String::new()));
    assert!(sidecar.err().contains(path.to_str().expect("a plain path")), "{}", sidecar.err());
    assert_eq!(sidecar.err().lines().count(), 1, "{}", sidecar.err());
}
