//! What is published in the shared directory, and that a shell script can read and write it as well.

mod house;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Instant;

use house::scene::{Events, JOB, boot_id, is_locked, listing, record};
use house::{House, PATIENCE, wait_for};
use serde_json::Value;

/// Whether this is RFC 3339, UTC, with milliseconds, in this century.
fn is_time(value: &Value) -> bool {
    let form = "20dd-dd-ddTdd:dd:dd.dddZ";
    value.as_str().is_some_and(|text| {
        text.len() == form.len()
            && text
                .chars()
                .zip(form.chars())
                .all(|(is, should)| if should == 'd' { is.is_ascii_digit() } else { is == should })
    })
}

#[test]
fn the_record_has_every_field_and_fills_its_room() {
    let house = House::new();
    let mut main = house.job(&["--run-id", "run \"1\""]);
    let path = house.pod("main-job-running");
    let bytes = fs::read(&path).expect("the record");
    assert_eq!(bytes.len(), 2048);
    assert_eq!(bytes.iter().position(|byte| *byte == b'\n'), Some(2047), "one line");
    assert!(bytes[..2047].ends_with(b"  "), "padded with spaces");
    let running = record(&path);
    let keys: Vec<_> = running.as_object().expect("an object").keys().cloned().collect();
    let mut expected = [
        "protocol",
        "name",
        "run_id",
        "hostname",
        "started",
        "attempt",
        "restart_policy",
        "boot_id",
        "device",
        "inode",
    ];
    expected.sort_unstable();
    assert_eq!(keys, expected);
    let place = fs::metadata(&path).expect("the file");
    assert_eq!(running["protocol"], 1);
    assert_eq!(running["name"], "main-job");
    assert_eq!(running["run_id"], "run \"1\"");
    assert_eq!(running["hostname"], fs::read_to_string("/proc/sys/kernel/hostname").expect("a name").trim());
    assert!(is_time(&running["started"]), "{running}");
    assert_eq!(running["attempt"], 1);
    assert_eq!(running["restart_policy"], "never");
    assert_eq!(running["boot_id"], boot_id());
    assert_eq!((&running["device"], &running["inode"]), (&place.dev().into(), &place.ino().into()));

    house.cue(3);
    assert_eq!(main.code(), 3);
    let path = house.pod("main-job-terminated");
    let over = record(&path);
    assert_eq!(fs::metadata(&path).expect("the file").len(), 2048);
    assert!(is_time(&over["ended"]) && over["ended"].as_str() >= over["started"].as_str(), "{over}");
    assert_eq!((&over["exit_code"], &over["final"]), (&3.into(), &true.into()));
    for (key, value) in running.as_object().expect("an object") {
        assert_eq!(&over[key], value, "{key} is as it was");
    }
}

#[test]
fn running_and_terminated_are_one_inode_by_rename_and_nothing_else_is_left() {
    let house = House::new();
    let mut events = Events::of(house.pod(""));
    let mut main = house.job(&[]);
    house.appears("main-job-ready");
    assert_eq!(house.listing(), ["main-job-ready", "main-job-running"]);
    let inode = fs::metadata(house.pod("main-job-running")).expect("the life").ino();
    let start = events.so_far();
    assert!(start.contains(&"to main-job-running".into()), "it came complete: {start:?}");
    assert!(!start.contains(&"create main-job-running".into()), "it was seen incomplete: {start:?}");
    let place = |event: &str| start.iter().position(|other| other == event);
    assert!(
        place("to main-job-running") < place("to main-job-ready").or(place("create main-job-ready")),
        "ready before running: {start:?}"
    );
    house.cue(0);
    assert_eq!(main.code(), 0);
    // Nothing is written any more when the sentinel is there: whoever sees it sees how the job ended.
    assert_eq!(
        events.so_far(),
        ["modify main-job-running", "from main-job-running", "to main-job-terminated", "delete main-job-ready"]
    );
    assert_eq!(fs::metadata(house.pod("main-job-terminated")).expect("the sentinel").ino(), inode);
    assert_eq!(house.listing(), ["main-job-terminated"]);
}

#[test]
fn nobody_ever_sees_the_running_file_unlocked_while_its_owner_lives() {
    for _ in 0..40 {
        let house = House::new();
        let path = house.pod("main-job-running");
        let mut main = house.main().command(JOB).start();
        let deadline = Instant::now() + PATIENCE;
        // Without a pause between the looks: this is a race for the first instant in which the name is there.
        let seen = loop {
            if let Ok(file) = File::open(&path) {
                break file.try_lock_shared();
            }
            assert!(Instant::now() < deadline, "waited in vain for main-job-running");
            std::hint::spin_loop();
        };
        assert!(matches!(seen, Err(fs::TryLockError::WouldBlock)), "{seen:?}");
        main.ready();
        assert!(is_locked(&path));
        house.cue(0);
        main.code();
        assert!(!is_locked(&house.pod("main-job-terminated")));
    }
}

/// A marker is read when half of it is written: kubernetes/test-infra#8509, kubernetes/test-infra#8510.
#[test]
fn nobody_ever_sees_a_sentinel_that_does_not_say_how_it_ended() {
    for _ in 0..40 {
        let house = House::new();
        let path = house.pod("main-job-terminated");
        let mut main = house.main().command("exit 3").start();
        let deadline = Instant::now() + PATIENCE;
        let seen = loop {
            if let Ok(seen) = fs::read(&path) {
                break seen;
            }
            assert!(Instant::now() < deadline, "waited in vain for main-job-terminated");
            std::hint::spin_loop();
        };
        let seen: Value = serde_json::from_slice(&seen).expect("a whole record");
        assert_eq!((&seen["exit_code"], &seen["final"]), (&3.into(), &true.into()), "{seen}");
        main.code();
    }
}

#[test]
fn the_files_are_0644_whatever_the_umask() {
    for umask in [0o077, 0o777, 0] {
        let house = House::new();
        let mode = |name: &str| fs::metadata(house.pod(name)).expect(name).permissions().mode() & 0o7777;
        let mut main = house.main().umask(umask).command(JOB).start();
        main.ready();
        house.appears("main-job-ready");
        assert_eq!((mode("main-job-running"), mode("main-job-ready")), (0o644, 0o644), "umask {umask:o}");
        house.cue(0);
        assert_eq!(main.code(), 0);
        assert_eq!(mode("main-job-terminated"), 0o644, "umask {umask:o}");
    }
}

#[test]
fn a_sentinel_created_afresh_is_0644_and_complete() {
    let house = House::new();
    let line = "rm -f \"$1\"/*; exit 6";
    let mut main = house.main().umask(0o077).args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).finish();
    assert_eq!(main.code(), 6);
    let path = house.pod("main-job-terminated");
    assert_eq!(fs::metadata(&path).expect("the sentinel").permissions().mode() & 0o777, 0o644);
    assert_eq!((&record(&path)["exit_code"], &record(&path)["final"]), (&6.into(), &true.into()));
}

#[test]
fn the_shell_recipe_s_loop_sees_our_sentinel() {
    let house = House::new();
    let recipe =
        "echo ready; while ! test -f \"$1/main-job-terminated\"; do sleep 0.02; done; cat \"$1/main-job-terminated\"";
    let mut main = house.job(&[]);
    let mut recipe = house.sh(recipe).arg(house.pod("")).start();
    recipe.ready();
    house.cue(3);
    assert_eq!((main.code(), recipe.code()), (3, 0));
    let record: Value = serde_json::from_str(&recipe.line()).expect("complete, whenever it is seen");
    assert_eq!(record["exit_code"], 3);
}

#[test]
fn the_shell_recipe_s_trap_ends_our_sidecar() {
    let house = House::new();
    let recipe = "trap 'touch \"$1/main-job-terminated\"' EXIT; echo ready; read code <\"$CUE\"; exit \"$code\"";
    let mut recipe = house.sh(recipe).arg(house.pod("")).start();
    recipe.ready();
    let mut sidecar = house.helper(&[]);
    house.cue(3);
    assert_eq!((recipe.code(), sidecar.code()), (3, 0));
    sidecar.expect("term");
}

#[test]
fn flock_of_util_linux_agrees_with_us_about_who_lives() {
    let house = House::new();
    let mut main = house.job(&["--restart-policy=on-failure"]);
    let probe = || {
        house
            .run("flock")
            .args(["--shared", "--nonblock"])
            .arg(house.pod("main-job-running"))
            .arg("true")
            .finish()
            .code()
    };
    assert_eq!(probe(), 1, "held");
    house.cue(3);
    main.code();
    assert_eq!(probe(), 0, "free");
}

#[test]
fn the_listing_of_a_foreign_directory_stays_as_it_is() {
    // exeunt makes files of its own names only.
    let house = House::new();
    fs::write(house.pod("data"), "x").expect("a file");
    let mut sidecar = house.helper(&["--name", "proxy"]);
    house.main().command("exit 0").finish().code();
    assert_eq!(sidecar.code(), 0);
    assert_eq!(listing(&house.pod("")), ["data", "main-job-terminated", "proxy-terminated"]);
    wait_for("data", PATIENCE, || fs::read(house.pod("data")).ok().filter(|data| data == b"x"));
}
