//! Readiness: `NAME-ready` says that its owner can serve now, and only while its owner lives.

mod house;
mod stand_in;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use house::scene::{Events, HELPER, JOB};
use house::{EXEUNT, House, Process, proc, wait_until};
use stand_in::{Answer, Server};

const READY: &str = "proxy-ready";

/// A sidecar called "proxy", which says "ready" when its command runs.
fn proxy(house: &House, options: &[&str]) -> Process {
    let mut proxy = house.sidecar().args(["--name", "proxy"]).args(options).command(HELPER).start();
    proxy.ready();
    proxy
}

/// Whether the mark counts, as a third one sees it.
fn counts(house: &House) -> bool {
    house.run(EXEUNT).args(["probe", "--dir"]).arg(house.pod("")).arg("proxy").finish().code() == 0
}

fn condition(house: &House) -> (String, PathBuf) {
    let path = house.path("serves");
    (format!("file://{}", path.display()), path)
}

fn is_there(house: &House) -> bool {
    house.pod(READY).exists()
}

#[test]
fn without_a_condition_the_mark_is_published_when_the_command_has_been_started() {
    for mode in ["main", "sidecar"] {
        let house = House::new();
        let mut process = house.mode(mode).args(["--name", "proxy"]).command(JOB).start();
        process.ready();
        house.appears(READY);
        assert!(counts(&house), "{mode}");
        house.cue(0);
        assert_eq!(process.code(), 0, "{}", process.err());
        assert!(!is_there(&house), "{mode}: the mark has outlived its owner");
    }
}

#[test]
fn the_mark_can_be_read_by_every_user_and_is_a_record() {
    let house = House::new();
    let mut process = house.sidecar().args(["--name", "proxy", "--run-id", "17"]).umask(0o077).command(HELPER).start();
    process.ready();
    house.appears(READY);
    let file = fs::metadata(house.pod(READY)).unwrap();
    assert_eq!((file.permissions().mode() & 0o7777, file.size()), (0o644, 2048));
    let record = house.record(READY);
    assert_eq!((record["name"].as_str(), record["run_id"].as_str()), (Some("proxy"), Some("17")), "{record}");
}

#[test]
fn with_a_condition_the_mark_is_published_when_it_first_holds() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(503, ""));
    let _proxy = proxy(&house, &["--ready-when", &server.url("/ready")]);
    wait_until("three probes", || server.asked().len() >= 3);
    assert!(!is_there(&house), "the mark was published before the condition held");
    server.answers(|_| Answer::Status(200, ""));
    house.appears(READY);
    assert!(counts(&house));
    // What has held once is not asked again.
    let asked = server.asked().len();
    server.answers(|_| Answer::Status(503, ""));
    assert!(counts(&house));
    assert_eq!(server.asked().len(), asked);
}

#[test]
fn a_condition_that_is_watched_publishes_the_mark_without_a_probe() {
    let house = House::new();
    let (condition, path) = condition(&house);
    let _proxy = proxy(&house, &["--ready-when", &condition]);
    assert!(!is_there(&house));
    fs::write(path, "").unwrap();
    house.appears(READY);
}

/// The command has changed nothing of where the condition is tested: where exeunt was started.
#[test]
fn an_exec_condition_is_tested_where_exeunt_was_started() {
    let house = House::new();
    let run = house.sidecar().args(["--name", "proxy", "--ready-when", "exec:test -e here"]);
    let mut process = run.current_dir(house.path("")).command(HELPER).start();
    process.ready();
    fs::write(house.path("here"), "").unwrap();
    house.appears(READY);
}

#[test]
fn every_end_of_its_owner_takes_the_mark_away_and_the_sentinel_does_not_wait_for_it() {
    for end in ["itself", "signal", "job"] {
        let house = House::new();
        // Whom a signal ends need not be told; and a shell that is told by a FIFO may be interrupted while it opens it.
        let command = if end == "itself" { JOB } else { HELPER };
        let mut process = house.sidecar().args(["--name", "proxy"]).command(command).start();
        process.ready();
        house.appears(READY);
        let mut events = Events::of(house.pod(""));
        match end {
            "itself" => house.cue(0),
            "signal" => process.signal(libc::SIGTERM),
            _ => fs::write(house.pod("main-job-terminated"), "").unwrap(),
        }
        process.ended();
        let events = events.so_far();
        let at =
            |event: &str| events.iter().position(|one| one == event).unwrap_or_else(|| panic!("{event}: {events:?}"));
        assert!(at("to proxy-terminated") < at("delete proxy-ready"), "{end}: {events:?}");
    }
}

#[test]
fn the_mark_of_a_killed_owner_does_not_count_and_goes_when_the_next_begins() {
    let house = House::new();
    let mut first = proxy(&house, &[]);
    house.appears(READY);
    first.signal(libc::SIGKILL);
    first.killed_by();
    assert!(is_there(&house) && !counts(&house), "a stale mark is believed");
    let (condition, path) = condition(&house);
    let _second = proxy(&house, &["--ready-when", &condition]);
    assert!(!is_there(&house) && !counts(&house), "the mark of the first life stands for the second");
    fs::write(path, "").unwrap();
    house.appears(READY);
    assert!(counts(&house));
}

#[test]
fn a_mark_made_by_touch_counts_while_the_owner_s_lock_is_held_and_not_otherwise() {
    let house = House::new();
    fs::write(house.pod(READY), "").unwrap();
    assert!(!counts(&house), "a mark without an owner");
    let (condition, _) = condition(&house);
    let mut process = proxy(&house, &["--ready-when", &condition]);
    fs::write(house.pod(READY), "").unwrap();
    assert!(counts(&house), "the program may say for itself that it is ready");
    process.signal(libc::SIGTERM);
    process.ended();
    assert!(!counts(&house), "a mark whose owner is over");
}

#[test]
fn with_a_run_id_only_a_mark_of_this_run_counts() {
    let house = House::new();
    let mut process = house.sidecar().args(["--name", "proxy", "--run-id", "1"]).command(HELPER).start();
    process.ready();
    house.appears(READY);
    for (run, code) in [("1", 0), ("2", 1)] {
        let mut probe =
            house.run(EXEUNT).args(["probe", "--run-id", run, "--dir"]).arg(house.pod("")).arg("proxy").finish();
        assert_eq!(probe.code(), code, "{}", probe.err());
    }
}

/// The child dies, is missed for a moment, and serves again: nobody may be told "ready" in between.
#[test]
fn a_restart_takes_the_mark_away_until_the_condition_holds_again() {
    let house = House::new();
    let (condition, path) = condition(&house);
    fs::write(&path, "").unwrap();
    let options = ["--name", "proxy", "--restart", "always", "--ready-when", &condition];
    let mut process = house.sidecar().args(options).command(JOB).start();
    process.ready();
    house.appears(READY);
    fs::remove_file(&path).unwrap();
    house.cue(1);
    process.ready();
    assert!(!is_there(&house) && !counts(&house), "the mark of the dead child stands for the new one");
    fs::write(path, "").unwrap();
    house.appears(READY);
}

#[test]
fn a_restart_without_a_condition_publishes_the_mark_anew() {
    let house = House::new();
    let mut process = house.sidecar().args(["--name", "proxy", "--restart", "on-failure"]).command(JOB).start();
    process.ready();
    house.appears(READY);
    let first = fs::metadata(house.pod(READY)).unwrap().ino();
    let mut events = Events::of(house.pod(""));
    house.cue(1);
    process.ready();
    house.appears(READY);
    let events = events.so_far();
    assert!(events.contains(&"delete proxy-ready".to_owned()), "{events:?}, and the first inode {first}");
}

/// A probe that hangs belongs to its owner's life.
#[test]
fn the_probe_of_readiness_goes_with_the_command() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    let mut process = house.sidecar().args(["--name", "proxy", "--ready-when", &server.url("/")]).command(JOB).start();
    process.ready();
    wait_until("a probe", || !server.asked().is_empty());
    let others: Vec<_> = proc::children(process.pid)
        .into_iter()
        .filter(|pid| proc::exe(*pid).is_some_and(|exe| exe.ends_with("exeunt")))
        .collect();
    assert_eq!(others.len(), 1);
    house.cue(3);
    assert_eq!(process.code(), 3, "{}", process.err());
    wait_until("the end of the probe", || !proc::alive(others[0]));
    assert!(!is_there(&house));
}

#[test]
fn a_volume_on_which_the_mark_cannot_be_written_is_a_warning_and_the_command_goes_on() {
    let house = House::new();
    fs::create_dir(house.pod(".proxy-ready.new")).unwrap();
    fs::write(house.pod(".proxy-ready.new/file"), "").unwrap();
    let mut process = house.sidecar().args(["--name", "proxy"]).command(JOB).start();
    process.ready();
    process.says("exeunt sidecar: warning: ");
    assert!(process.err().contains("proxy-ready"), "{}", process.err());
    house.cue(4);
    assert_eq!(process.code(), 4);
}

#[test]
fn a_condition_without_a_name_to_publish_is_refused() {
    let house = House::new();
    let run = house.sidecar().args(["--ready-when", "tcp://127.0.0.1:1", "--", "touch"]);
    let mut process = run.arg(house.path("started")).finish();
    assert_eq!((process.code(), process.err().lines().count()), (125, 1), "{}", process.err());
    assert!(process.err().contains("--ready-when") && process.err().contains("--name"), "{}", process.err());
    assert!(!house.path("started").exists());
}

#[test]
fn who_would_wait_for_himself_is_told_so_with_the_option_s_name() {
    let house = House::new();
    for (mode, options) in [
        ("main", vec!["--wait-for", "main-job"]),
        ("sidecar", vec!["--name", "proxy", "--wait-for", "proxy"]),
        ("sidecar", vec!["--name", "proxy", "--ready-when", "proxy"]),
        ("sidecar", vec!["--name", "proxy", "--until", "proxy"]),
        ("main", vec!["--name", "job", "--stop-with", "job"]),
    ] {
        let mut process = house.mode(mode).args(&options).args(["--", "touch"]).arg(house.path("started")).finish();
        let option = options[options.len() - 2];
        assert_eq!((process.code(), process.err().lines().count()), (125, 1), "{options:?}: {}", process.err());
        let start = format!("exeunt {mode}: {option}: ");
        assert!(process.err().starts_with(&start), "not {start:?}: {}", process.err());
        assert!(process.err().contains("own") && !process.err().contains("Some("), "{}", process.err());
    }
    assert!(!house.path("started").exists());
}
