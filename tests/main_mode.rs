//! Main mode: it runs the job, and whatever way the job goes, the others learn of it.

mod house;

use std::fs;
use std::os::unix::fs::MetadataExt;

use house::scene::{Events, JOB, is_locked};
use house::{House, proc, wait_until};
use serde_json::Value;

#[test]
fn the_job_s_code_is_the_exit_code_and_stands_in_the_sentinel() {
    for code in [0, 1, 3, 125, 143, 255] {
        let house = House::new();
        let mut main = house.main().command(&format!("exit {code}")).finish();
        assert_eq!(main.code(), code);
        let record = house.record("main-job-terminated");
        assert_eq!(record["exit_code"], code);
        assert_eq!(record["final"], true);
        assert_eq!(record["signal"], Value::Null);
        assert_eq!(house.listing(), ["main-job-terminated"], "after exit {code}");
        assert_eq!(main.err(), "", "a job that ends by itself is nothing to talk about");
    }
}

#[test]
fn a_job_killed_by_a_signal_gives_128_and_the_signal_and_the_sentinel_names_the_signal() {
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGSEGV, libc::SIGHUP] {
        let house = House::new();
        let mut main = house.main().command(&format!("kill -{signal} $$")).finish();
        assert_eq!(main.code(), 128 + signal);
        let record = house.record("main-job-terminated");
        assert_eq!(record["signal"], signal);
        assert_eq!(record["exit_code"], Value::Null);
        assert_eq!(record["final"], true);
        assert_eq!(main.err().lines().count(), 1, "a killed command is worth one line: {}", main.err());
        assert!(main.err().starts_with("exeunt main: "), "{}", main.err());
    }
}

#[test]
fn a_command_that_is_not_found_publishes_127_and_never_was_ready() {
    let house = House::new();
    let mut events = Events::of(house.pod(""));
    let mut main = house.main().args(["--", "/nowhere/job"]).finish();
    assert_eq!(main.code(), 127);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 127);
    assert!(main.err().contains("/nowhere/job"), "{}", main.err());
    assert_eq!(main.err().lines().count(), 1, "{}", main.err());
    let events = events.so_far();
    assert!(events.contains(&"to main-job-running".into()), "it was published before it was tried: {events:?}");
    assert!(!events.iter().any(|event| event.ends_with(" main-job-ready")), "{events:?}");
}

#[test]
fn a_command_that_is_not_executable_publishes_126() {
    let house = House::new();
    fs::write(house.path("job"), "no program\n").expect("a file");
    for path in [house.path("job"), house.path("")] {
        house.anew();
        let mut main = house.main().arg("--").arg(path).finish();
        assert_eq!(main.code(), 126);
        assert_eq!(house.record("main-job-terminated")["exit_code"], 126);
        assert_eq!(main.err().lines().count(), 1, "{}", main.err());
    }
}

#[test]
fn a_signal_before_the_command_was_started_publishes_and_the_command_is_never_started() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGUSR1] {
        let house = House::new();
        // A pending signal survives exec(2), and so it is there before exeunt's first instruction.
        let mut main = house
            .main()
            .command("touch \"$CUE.started\"")
            .hook(move || {
                // SAFETY: plain system calls on a set of our own, safe between fork and exec.
                unsafe {
                    let mut set = std::mem::zeroed();
                    libc::sigemptyset(&mut set);
                    libc::sigaddset(&mut set, signal);
                    libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
                    libc::kill(libc::getpid(), signal);
                }
                Ok(())
            })
            .finish();
        assert_eq!(main.code(), 128 + signal, "{}", main.err());
        assert!(!house.path("cue.started").exists(), "the command was started after signal {signal}");
        let record = house.record("main-job-terminated");
        assert_eq!(record["final"], true);
        let told = record["exit_code"].as_i64().or(record["signal"].as_i64().map(|signal| 128 + signal));
        assert_eq!(told, Some(i64::from(128 + signal)), "{record}");
        assert_eq!(house.listing(), ["main-job-terminated"]);
    }
}

/// A wait that times out leaves no marker: karlkfi/kubexit#11.
#[test]
fn a_gate_that_timed_out_publishes_124_and_the_command_is_never_started() {
    let house = House::new();
    let main = house.main().args(["--wait-for", "file:///nowhere/at/all", "--wait-timeout", "50ms"]);
    let mut main = main.command("touch \"$CUE.started\"").finish();
    assert_eq!(main.code(), 124, "{}", main.err());
    assert!(!house.path("cue.started").exists());
    assert_eq!(house.listing(), ["main-job-terminated"]);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 124);
    assert_eq!(main.err().lines().count(), 1, "{}", main.err());
}

#[test]
fn a_signal_while_the_gate_is_closed_publishes_too() {
    let house = House::new();
    let main = house.main().args(["--wait-for", "file:///nowhere/at/all"]);
    let mut main = main.command("touch \"$CUE.started\"").start();
    house.appears("main-job-running");
    main.signal(libc::SIGTERM);
    assert_eq!(main.code(), 143, "{}", main.err());
    assert!(!house.path("cue.started").exists());
    assert_eq!(house.record("main-job-terminated")["final"], true);
}

#[test]
fn a_forwarded_signal_that_the_job_survives_changes_nothing() {
    let house = House::new();
    let mut main = house
        .main()
        .command("trap 'echo term' TERM; echo ready; while ! read code <\"$CUE\"; do :; done; exit \"$code\"")
        .start();
    main.ready();
    main.signal(libc::SIGTERM);
    assert_eq!(main.line(), "term");
    house.cue(4);
    assert_eq!(main.code(), 4);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 4);
}

#[test]
fn with_on_failure_a_failure_is_not_final_and_the_next_attempt_counts_on() {
    let house = House::new();
    let mut first = house.main().args(["--restart-policy", "on-failure"]).command("exit 3").finish();
    assert_eq!(first.code(), 3);
    assert_eq!(house.listing(), ["main-job-running"], "not renamed, and not ready any more");
    assert!(!is_locked(&house.pod("main-job-running")), "the lock is let go of");
    let record = house.record("main-job-running");
    assert_eq!(
        (&record["exit_code"], &record["final"], &record["attempt"], &record["restart_policy"]),
        (&3.into(), &false.into(), &1.into(), &"on-failure".into())
    );
    assert!(record["ended"].is_string());

    let mut second = house.main().env("EXEUNT_RESTART_POLICY", "on-failure").command(JOB).start();
    second.ready();
    let record = house.record("main-job-running");
    assert_eq!((&record["attempt"], &record["final"], &record["exit_code"]), (&2.into(), &Value::Null, &Value::Null));
    assert!(is_locked(&house.pod("main-job-running")));
    house.cue(0);
    assert_eq!(second.code(), 0);
    assert_eq!(house.listing(), ["main-job-terminated"]);
    let record = house.record("main-job-terminated");
    assert_eq!(
        (&record["exit_code"], &record["final"], &record["attempt"]),
        (&0.into(), &true.into(), &2.into()),
        "{record}"
    );
}

#[test]
fn with_on_failure_every_way_to_fail_is_followed_by_another_attempt() {
    let house = House::new();
    fs::write(house.path("job"), "no program\n").expect("a file");
    let not_executable = house.path("job");
    let ways: [(&[&str], i32); 4] = [
        (&["sh", "-c", "exit 1"], 1),
        (&["sh", "-c", "kill -9 $$"], 137),
        (&["/nowhere/job"], 127),
        (&[not_executable.to_str().expect("a plain path")], 126),
    ];
    for (attempt, (command, code)) in ways.into_iter().enumerate() {
        let mut main = house.main().args(["--restart-policy", "on-failure", "--"]).args(command).finish();
        assert_eq!(main.code(), code);
        assert_eq!(house.listing(), ["main-job-running"], "after {command:?}");
        let record = house.record("main-job-running");
        assert_eq!((&record["attempt"], &record["final"]), (&(attempt + 1).into(), &false.into()), "{record}");
    }
}

#[test]
fn the_attempt_is_counted_on_from_a_wrapper_that_was_killed_and_from_an_end_that_was_final() {
    let house = House::new();
    let mut first = house.main().command(JOB).start();
    first.ready();
    first.signal(libc::SIGKILL);
    first.ended();
    let mut second = house.main().command("exit 0").finish();
    second.code();
    assert_eq!(house.record("main-job-terminated")["attempt"], 2);
    house.main().command("exit 0").finish().code();
    assert_eq!(house.record("main-job-terminated")["attempt"], 3);
}

#[test]
fn a_killed_wrapper_takes_the_job_with_it_and_leaves_a_free_lock_and_no_sentinel() {
    let house = House::new();
    let mut main = house.main().command("echo ready; echo $$; exec sleep 1000").start();
    main.ready();
    let job: i32 = main.line().parse().expect("a pid");
    main.signal(libc::SIGKILL);
    assert_eq!(main.killed_by(), libc::SIGKILL);
    wait_until("the job to have died with its wrapper", || !proc::alive(job));
    wait_until("the lock to be free", || !is_locked(&house.pod("main-job-running")));
    assert!(!house.pod("main-job-terminated").exists());
    assert_eq!(house.record("main-job-running")["final"], Value::Null);
}

#[test]
fn what_the_job_leaves_running_does_not_hold_the_lock() {
    // flock(2) belongs to the open file description: one descriptor that leaked into the job would keep it.
    let house = House::new();
    let mut main = house
        .main()
        .args(["--restart-policy", "on-failure"])
        .command("setsid sh -c 'echo ready; exec sleep 1000' & echo $!; read code <\"$CUE\"; exit \"$code\"")
        .start();
    let (one, other) = (main.line(), main.line());
    let left: i32 = if one == "ready" { other } else { one }.parse().expect("a pid");
    house.cue(3);
    assert_eq!(main.code(), 3);
    assert!(!is_locked(&house.pod("main-job-running")));
    assert!(proc::alive(left), "nothing was left running, so nothing was shown");
}

#[test]
fn the_name_and_its_files_are_what_the_option_says_and_a_flag_wins_over_the_environment() {
    let house = House::new();
    house.main().args(["--name", "other"]).command("exit 0").finish().code();
    assert_eq!(house.listing(), ["other-terminated"]);
    house.main().env("EXEUNT_NAME", "third").command("exit 0").finish().code();
    house.main().env("EXEUNT_NAME", "lost").args(["--name=fourth"]).command("exit 0").finish().code();
    house.main().env("EXEUNT_NAME", "").command("exit 0").finish().code();
    let all = ["fourth-terminated", "main-job-terminated", "other-terminated", "third-terminated"];
    assert_eq!(house.listing(), all);
    assert_eq!(house.record("third-terminated")["name"], "third");
}

#[test]
fn a_name_that_could_leave_the_directory_is_refused_before_anything_is_started() {
    let long = "n".repeat(129);
    for name in ["a/b", "/etc/passwd", "..", "../up", ".hidden", "a,b", "a b", "a\nb", "a\u{1}b", &long] {
        let house = House::new();
        let mut main = house.main().args(["--name", name]).command("touch \"$CUE.started\"").finish();
        assert_eq!(main.code(), 125, "{name:?}: {}", main.err());
        assert_eq!(main.err().lines().count(), 1, "{name:?}: {}", main.err());
        assert!(main.err().starts_with("exeunt"), "{name:?}: {}", main.err());
        assert!(house.listing().is_empty(), "{name:?}: {:?}", house.listing());
        assert!(!house.path("cue.started").exists(), "{name:?}");
    }
}

#[test]
fn the_longest_name_and_run_id_fit_into_the_reserved_room() {
    let house = House::new();
    // Quotes and backslashes take twice their room in JSON.
    let (name, id) = ("n".repeat(128), "\"\\".repeat(128));
    assert_eq!((name.len(), id.len()), (128, 256));
    let mut main = house.main().args(["--name", &name, "--run-id", &id]).command(JOB).start();
    main.ready();
    let before = fs::metadata(house.pod(format!("{name}-running"))).expect("the life");
    assert_eq!(before.len(), 2048);
    house.cue(0);
    assert_eq!(main.code(), 0);
    let after = fs::metadata(house.pod(format!("{name}-terminated"))).expect("the sentinel");
    assert_eq!((after.len(), after.ino()), (2048, before.ino()));
    let record = house.record(&format!("{name}-terminated"));
    assert_eq!((&record["name"], &record["run_id"]), (&name.as_str().into(), &id.as_str().into()));
}

#[test]
fn a_run_id_that_no_record_could_carry_is_refused() {
    let long = "i".repeat(257);
    for id in ["a\nb", "a\u{7f}b", &long] {
        let house = House::new();
        let mut main = house.main().args(["--run-id", id]).command("touch \"$CUE.started\"").finish();
        assert_eq!(main.code(), 125, "{id:?}: {}", main.err());
        assert!(house.listing().is_empty() && !house.path("cue.started").exists(), "{id:?}");
    }
}

#[test]
fn a_volume_that_is_missing_is_named_and_nothing_is_run() {
    let house = House::new();
    fs::write(house.path("file"), "").expect("a file");
    for dir in ["nowhere", "file", "file/below"] {
        let path = house.path(dir);
        let run = house.run(house::EXEUNT).args(["--mode", "main", "--dir"]).arg(&path);
        let mut main = run.command("touch \"$CUE.started\"").finish();
        assert_eq!(main.code(), 125);
        assert_eq!(main.err().lines().count(), 1, "{}", main.err());
        assert!(main.err().contains(path.to_str().expect("a plain path")), "{}", main.err());
        assert!(!house.path("cue.started").exists());
    }
}

#[test]
fn a_volume_that_cannot_be_written_is_named_and_nothing_is_run() {
    let house = House::new();
    let line = "mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"";
    let mut main = house.main().command("touch \"$CUE.started\"").after(line, house.pod("")).finish();
    assert_eq!(main.code(), 125, "{}", main.err());
    assert_eq!(main.err().lines().count(), 1, "{}", main.err());
    assert!(main.err().contains(house.pod("").to_str().expect("a plain path")), "{}", main.err());
    assert!(!house.path("cue.started").exists());
}
