//! The lock of a life: a process that is killed cannot say goodbye, and a free lock proves a death only where it is shared.

mod house;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::time::{Duration, Instant};

use house::scene::{HELPER, JOB, boot_id, is_locked, mkfifo};
use house::{House, proc, wait_until};

#[test]
fn a_wrapper_killed_before_the_sidecar_starts_was_the_end_of_the_job() {
    let house = House::new();
    let mut main = house.job(&[]);
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
        let main = house.job(&[]);
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
    let main = house.job(&[]);
    let mut sidecar = house.helper(&[]);
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
    let mut main = house.job(&policy);
    let mut early = house.helper(&["--exit-with", "main"]);
    main.signal(libc::SIGKILL);
    main.ended();
    wait_until("the lock to be free", || !is_locked(&house.pod("main-job-running")));
    let mut late = house.helper(&["--exit-with", "main"]);
    assert_eq!(early.try_ended(), None);

    let mut main = house.job(&policy);
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
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    for code in [3, 4] {
        let mut main = house.job(&policy);
        house.cue(code);
        assert_eq!(main.code(), i32::from(code));
        // A sidecar that comes between two attempts starts its command.
        drop(house.helper(&[]));
        assert_eq!(sidecar.try_ended(), None);
    }
    let mut main = house.job(&policy);
    house.cue(0);
    assert_eq!(main.code(), 0);
    assert_eq!(sidecar.code(), 0, "3 or 4 if it had left after an attempt");
    sidecar.expect("term");
}

#[test]
fn a_wrapper_that_is_only_stopped_is_not_dead() {
    let house = House::new();
    let mut main = house.job(&[]);
    let mut early = house.helper(&["--exit-with", "main"]);
    main.signal(libc::SIGSTOP);
    wait_until("the wrapper to be stopped", || proc::state(main.pid) == Some('T'));
    let mut late = house.helper(&["--exit-with", "main"]);
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
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    early.unlock().expect("the lock let go of");
    // Between two attempts still: one that starts now starts its command.
    drop(house.helper(&[]));
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

/// Starts a sidecar on a life whose lock proves nothing, lets it see the end by a bare sentinel, and gives it back.
#[track_caller]
fn does_not_trust(change: impl FnOnce(&mut serde_json::Value)) {
    let house = House::new();
    drop(house.life("main-job", change));
    let mut sidecar = house.helper(&["--exit-with", "main", "--watch", "poll"]);
    sidecar.says("trusted");
    let looks = proc::wake_ups(sidecar.pid);
    wait_until("three more looks", || proc::wake_ups(sidecar.pid) >= looks + 3);
    house.touch("main-job-terminated");
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

/// The life of another user that is closed to us: that it is there is known, and neither its lock nor its record.
#[test]
fn a_life_that_cannot_be_opened_is_neither_absent_nor_dead_and_it_is_said_once() {
    // SAFETY: a system call that cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not run: only root can be another user");
        return;
    }
    let house = House::new();
    fs::set_permissions(house.path(""), fs::Permissions::from_mode(0o755)).expect("a mode");
    let life = house.life("main-job", |_| {});
    fs::set_permissions(house.pod("main-job-running"), fs::Permissions::from_mode(0o000)).expect("a mode");
    let sidecar =
        house.sidecar().command(HELPER).behind(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    let mut sidecar = sidecar.start();
    sidecar.ready();
    wait_until("the warning", || sidecar.err().contains("main-job-running is there and cannot be opened"));
    drop(life);
    house.touch("another");
    assert_eq!(sidecar.try_ended(), None, "a free lock that nobody has seen is no death");
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    assert_eq!(sidecar.err().matches("warning").count(), 1, "{}", sidecar.err());
}

#[test]
fn a_free_lock_with_no_record_at_all_is_not_trusted() {
    let house = House::new();
    fs::write(house.pod("main-job-running"), "").expect("a file");
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0);
}

#[test]
fn a_lock_that_was_seen_held_is_trusted_whatever_the_record_says() {
    let house = House::new();
    let life = house.life("main-job", |record| record["boot_id"] = "another kernel".into());
    let mut sidecar = house.helper(&["--exit-with", "main"]);
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
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    let looks = || proc::wake_ups_of_thread(sidecar.pid, sidecar.pid);
    let before = looks();
    // Slow looks would take longer than the patience of this wait.
    drop(File::options().append(true).open(house.pod("main-job-running")).expect("the life"));
    wait_until("five more looks", || looks() >= before + 5);
    assert_eq!(sidecar.try_ended(), None);
    life.unlock().expect("the lock let go of");
    assert_eq!(sidecar.code(), 137);
}

/// Main writes how it ended, renames, and only then lets go of its lock: what was read at its start is not what counts.
#[test]
fn a_life_that_is_renamed_and_still_locked_says_how_it_ended() {
    let house = House::new();
    let mut record = serde_json::Value::Null;
    let life = house.life("main-job", |written| record = written.clone());
    let mut sidecar = house.helper(&["--exit-with", "main"]);
    record["exit_code"] = 6.into();
    record["final"] = true.into();
    life.write_all_at(format!("{record:<2047}\n").as_bytes(), 0).expect("its last record");
    fs::rename(house.pod("main-job-running"), house.pod("main-job-terminated")).expect("the sentinel");
    assert_eq!(sidecar.code(), 6);
    sidecar.expect("term");
    assert!(is_locked(&house.pod("main-job-terminated")));
}

/// A kill is an end like any other where several are waited for: one of two that is killed is not the end of both, and the
/// sidecar leaves when the other has gone, in whichever way.
#[test]
fn of_several_mains_the_one_that_is_killed_is_over_and_the_other_is_waited_for() {
    for any in [false, true] {
        let house = House::new();
        mkfifo(&house.path("other"));
        let mut first = house.job(&["--name=first"]);
        let mut second = house.main().arg("--name=second").env("CUE", house.path("other")).command(JOB).start();
        second.ready();
        let options = ["--until=first,second", "--exit-with=main", "--until-any"];
        let options = if any { &options[..] } else { &options[..2] };
        let mut sidecar = house.helper(options);
        first.signal(libc::SIGKILL);
        first.ended();
        if any {
            assert_eq!(sidecar.code(), 137);
            assert_eq!(second.try_ended(), None);
            continue;
        }
        wait_until("the lock to be free", || !is_locked(&house.pod("first-running")));
        // One that comes now waits for the second, too, and by its start the first one has looked.
        drop(house.helper(options));
        assert_eq!(sidecar.try_ended(), None);
        house.cue_at("other", 0);
        assert_eq!((second.code(), sidecar.code()), (0, 137), "the first that failed counts");
    }
}
