//! The shared directory: what is published there, what is believed of it, and what it survives.

mod house;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

use house::scene::{Events, FOREIGN, HELPER, JOB, STUBBORN, boot_id, is_locked, listing, record};
use house::{House, PATIENCE, Process, proc, wait_for, wait_until};
use serde_json::Value;

#[track_caller]
fn helper(house: &House, options: &[&str]) -> Process {
    let mut sidecar = house.sidecar().args(options).command(HELPER).start();
    sidecar.ready();
    sidecar
}

#[track_caller]
fn job(house: &House, options: &[&str]) -> Process {
    let mut main = house.main().args(options).command(JOB).start();
    main.ready();
    main
}

fn touch(house: &House, name: &str) {
    File::create(house.pod(name)).expect("a file");
}

// ---- what is published ----

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
    let mut main = job(&house, &["--run-id", "run \"1\""]);
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
    let mut main = job(&house, &[]);
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
        ["delete main-job-ready", "modify main-job-running", "from main-job-running", "to main-job-terminated"]
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

// ---- stale files, and two for one name ----

#[test]
fn the_files_of_an_earlier_life_do_not_count_for_the_next() {
    for content in ["", "garbage", "{\"attempt\":41,\"final\":true,\"exit_code\":9}"] {
        let house = House::new();
        for name in ["main-job-running", "main-job-ready", "main-job-terminated", ".main-job-running.new"] {
            fs::write(house.pod(name), content).expect("a stale file");
        }
        let mut events = Events::of(house.pod(""));
        let mut main = job(&house, &[]);
        house.appears("main-job-ready");
        assert_eq!(house.listing(), ["main-job-ready", "main-job-running"]);
        let seen = events.so_far();
        let place = |event: &str| seen.iter().position(|other| other == event);
        assert!(place("delete main-job-terminated").is_some(), "{seen:?}");
        assert!(
            place("delete main-job-ready") < place("to main-job-ready").or(place("create main-job-ready")),
            "{seen:?}"
        );
        let attempt = if content.starts_with('{') { 42 } else { 1 };
        assert_eq!(house.record("main-job-running")["attempt"], attempt);
        let mut sidecar = helper(&house, &["--exit-with", "main"]);
        house.cue(2);
        assert_eq!((main.code(), sidecar.code()), (2, 2));
    }
}

#[test]
fn a_name_that_another_holds_is_waited_for_and_then_taken() {
    let house = House::new();
    let mut first = job(&house, &[]);
    fs::create_dir(house.path("second")).expect("a directory");
    house::scene::mkfifo(&house.path("second/cue"));
    let mut second = house.main().env("CUE", house.path("second/cue")).command(JOB).start();
    wait_until("the second to have its handlers", || proc::mask(second.pid, "SigCgt") != 0);
    assert_eq!(house.record("main-job-running")["attempt"], 1);
    house.cue(0);
    assert_eq!(first.code(), 0);
    second.ready();
    assert_eq!(house.record("main-job-running")["attempt"], 2);
    house.cue_at("second/cue", 5);
    assert_eq!(second.code(), 5);
}

#[test]
fn a_name_that_another_goes_on_holding_is_given_up_after_ten_seconds() {
    let house = House::new();
    let _life = house.life("main-job", |_| {});
    let before = fs::read(house.pod("main-job-running")).expect("the record");
    let began = Instant::now();
    let mut main = house.main().command("touch \"$CUE.started\"").start();
    let code = main.ended_within(Duration::from_secs(30)).code();
    let waited = began.elapsed();
    assert_eq!(code, Some(125), "{}", main.err());
    assert!((Duration::from_millis(9900)..Duration::from_secs(20)).contains(&waited), "gave up after {waited:?}");
    assert_eq!(main.err().lines().count(), 1, "{}", main.err());
    assert!(main.err().contains(house.pod("main-job-running").to_str().expect("a plain path")), "{}", main.err());
    assert!(!house.path("cue.started").exists());
    assert_eq!(fs::read(house.pod("main-job-running")).expect("the record"), before, "it was not ours to touch");
    assert_eq!(house.listing(), ["main-job-running"]);
}

#[test]
fn a_signal_ends_the_wait_for_a_name_and_leaves_the_other_s_files_alone() {
    let house = House::new();
    let life = house.life("main-job", |_| {});
    let before = fs::read(house.pod("main-job-running")).expect("the record");
    let mut main = house.main().command("touch \"$CUE.started\"").start();
    wait_until("its handlers", || proc::mask(main.pid, "SigCgt") != 0);
    main.signal(libc::SIGTERM);
    assert_eq!(main.ended_within(Duration::from_secs(5)).code(), Some(143));
    assert!(!house.path("cue.started").exists());
    assert_eq!(fs::read(house.pod("main-job-running")).expect("the record"), before);
    assert_eq!(house.listing(), ["main-job-running"]);
    drop(life);
}

#[test]
fn a_lock_that_somebody_else_holds_on_the_directory_itself_keeps_nobody_out() {
    // `flock /tmp/pod COMMAND` in a job's script is not our business, whatever we ourselves lock there for a moment.
    let house = House::new();
    let directory = File::open(house.pod("")).expect("the directory");
    directory.lock().expect("its lock");
    let mut main = house.main().command("exit 3").finish();
    assert_eq!(main.code(), 3, "{}", main.err());
    assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
}

#[test]
fn of_many_that_race_for_one_name_there_is_only_ever_one() {
    let house = House::new();
    // `mkdir` fails where another is still inside.
    let line = "mkdir \"$CUE.inside\" || echo two at once; rmdir \"$CUE.inside\"; echo done";
    let mut mains: Vec<_> = (0..8).map(|_| house.main().command(line).start()).collect();
    for main in &mut mains {
        assert_eq!(main.code(), 0, "{}", main.err());
        assert_eq!(main.out(), "done\n");
    }
    assert_eq!(house.record("main-job-terminated")["attempt"], 8, "each was an attempt of its own");
    assert_eq!(house.listing(), ["main-job-terminated"]);
}

// ---- full, read-only, gone ----

/// A job on a tmpfs of its own: it runs `fill` in the shared directory and ends with 5; then the sentinel is shown.
fn on_a_small_disk(house: &House, options: &str, fill: &str) -> Process {
    let pod = house.pod("");
    // Not before everything is there that exeunt makes at the start: a disk that is full already is another test.
    let line = format!("cd \"$1\" || exit 1; until [ -e main-job-ready ]; do :; done; {fill}; exit 5");
    let main = house.main().args(["--", "sh", "-c", &line, "sh"]).arg(&pod);
    // The shell around it stays in the mount namespace and shows what is left there.
    let show = "\"$@\"; echo \"code $?\"; cat main-job-terminated; ls -a";
    let main = main.behind(["sh", "-c", &format!("cd '{}'; {show}", pod.display()), "sh"]);
    let mut main = main.after(&format!("mount -t tmpfs -o {options} none \"$1\""), &pod).finish();
    main.code();
    main
}

#[test]
fn the_end_is_told_on_a_volume_without_a_free_block() {
    let house = House::new();
    let main =
        on_a_small_disk(&house, "size=64k", "cat /dev/zero >fill 2>error; echo full >>fill || echo no block left");
    assert!(main.out().starts_with("no block left\ncode 5\n"), "{}", main.out());
    let record: Value = serde_json::from_str(main.out().lines().nth(2).expect("the record")).expect("the record");
    assert_eq!((&record["exit_code"], &record["final"]), (&5.into(), &true.into()));
    assert!(!main.out().contains("main-job-running"), "{}", main.out());
    assert!(!main.err().contains("exeunt"), "{}", main.err());
}

#[test]
fn the_end_is_told_on_a_volume_without_a_free_inode() {
    let fill = "i=0; while mkdir d$i 2>/dev/null; do i=$((i+1)); done; mkdir more 2>/dev/null || echo no inode left";
    let house = House::new();
    let main = on_a_small_disk(&house, "size=1m,nr_inodes=8", fill);
    assert!(main.out().starts_with("no inode left\ncode 5\n"), "{}", main.out());
    let record: Value = serde_json::from_str(main.out().lines().nth(2).expect("the record")).expect("the record");
    assert_eq!((&record["exit_code"], &record["final"]), (&5.into(), &true.into()));
    assert!(!main.err().contains("exeunt"), "{}", main.err());
}

#[test]
fn when_the_end_cannot_be_told_the_job_s_code_still_is_and_the_lock_tells_the_sidecar() {
    let house = House::new();
    let pod = house.pod("");
    let mount = "mount -t tmpfs -o size=1m,nr_inodes=6 none \"$1\"";
    let mut stage = house.sh("echo ready; exec sleep 1000").after(mount, &pod).start();
    stage.ready();
    // The life loses its name, and no inode is left for another.
    let line =
        "cd \"$1\"; echo ready; read code <\"$CUE\"; rm main-job-*; i=0; while mkdir d$i; do i=$((i+1)); done; exit 5";
    let main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(&pod);
    let mut main = main.inside(&stage, &["--mount"]).start();
    main.ready();
    let sidecar = house.sidecar().args(["--exit-with", "main"]).command(HELPER);
    let mut sidecar = sidecar.inside(&stage, &["--mount"]).start();
    sidecar.ready();
    house.cue(0);
    assert_eq!(main.code(), 5);
    assert!(main.err().contains("exeunt main: warning: "), "{}", main.err());
    assert!(main.err().contains("main-job-terminated"), "{}", main.err());
    assert!(!stage.root(house.pod("main-job-terminated")).exists());
    // How it ended nobody can know; that it did, the lock has told.
    sidecar.ended();
    sidecar.expect("term");
}

#[test]
fn a_volume_that_is_full_at_the_start_is_named_and_nothing_is_run() {
    for options in ["size=4k", "size=1m,nr_inodes=1"] {
        let house = House::new();
        let mount = format!("mount -t tmpfs -o {options} none \"$1\"; echo x >\"$1/fill\" || true");
        let mut main = house.main().command("touch \"$CUE.started\"").after(&mount, house.pod("")).finish();
        assert_eq!(main.code(), 125, "{}", main.err());
        let ours: Vec<_> = main.err().lines().filter(|line| line.starts_with("exeunt")).map(str::to_owned).collect();
        assert_eq!(ours.len(), 1, "{}", main.err());
        assert!(ours[0].contains(house.pod("").to_str().expect("a plain path")), "{}", main.err());
        assert!(!house.path("cue.started").exists());
    }
}

#[test]
fn a_directory_that_may_not_be_written_is_named_and_nothing_is_run() {
    let house = House::new();
    let program = house.path("exeunt");
    fs::copy(house::EXEUNT, &program).expect("a copy that everybody may run");
    fs::set_permissions(house.pod(""), PermissionsExt::from_mode(0o555)).expect("a mode");
    let main = house.run(&program).args(["--mode=main", "--dir"]).arg(house.pod("")).command("touch \"$CUE.started\"");
    // Root may write everywhere; anybody else is stopped by the mode.
    // SAFETY: a system call that cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let drop: &[&str] = if root { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] } else { &["env"] };
    let mut main = main.behind(drop).finish();
    assert_eq!(main.code(), 125, "{}", main.err());
    assert!(main.err().contains(house.pod("").to_str().expect("a plain path")), "{}", main.err());
    assert_eq!(main.err().lines().count(), 1, "{}", main.err());
    assert!(!house.path("cue.started").exists());
}

#[test]
fn a_job_that_empties_the_directory_still_has_its_sentinel_and_its_code() {
    let house = House::new();
    let line = "echo ready; read code <\"$CUE\"; rm -rf \"$1\"/* \"$1\"/.main*; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    house.cue(3);
    assert_eq!(main.code(), 3);
    assert_eq!(house.listing(), ["main-job-terminated"]);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
    assert_eq!(sidecar.code(), 3);
    assert_eq!(main.err(), "");
}

#[test]
fn a_job_that_empties_the_directory_and_goes_on_does_not_lose_its_sidecar() {
    let house = House::new();
    let line = "echo ready; rm -rf \"$1\"/*; echo emptied; read code <\"$CUE\"; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    main.ready();
    main.expect("emptied");
    // A second sidecar is started on the empty directory, so that time passes for the first.
    let mut late = helper(&house, &["--exit-with", "main"]);
    assert_eq!(sidecar.try_ended(), None);
    house.cue(4);
    assert_eq!((main.code(), sidecar.code(), late.code()), (4, 4, 4));
}

#[test]
fn a_job_that_removes_the_directory_keeps_its_code_and_the_sidecar_ends() {
    let house = House::new();
    let line = "echo ready; read code <\"$CUE\"; rm -rf \"$1\"; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    let mut sidecar = helper(&house, &[]);
    house.cue(3);
    assert_eq!(main.code(), 3);
    assert!(main.err().contains("exeunt main: warning: "), "{}", main.err());
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
}

#[test]
fn a_job_that_makes_the_directory_anew_has_its_sentinel_in_the_new_one() {
    let house = House::new();
    let line = "echo ready; read code <\"$CUE\"; rm -rf \"$1\"; mkdir \"$1\"; exit \"$code\"";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    let mut sidecar = helper(&house, &[]);
    house.cue(3);
    assert_eq!(main.code(), 3);
    assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
    assert_eq!(sidecar.code(), 0);
}

#[test]
fn a_wrapper_killed_after_the_job_emptied_the_directory_is_noticed_by_a_sidecar_that_knew_it() {
    let house = House::new();
    let line = "echo ready; read code <\"$CUE\"; rm -rf \"$1\"/*; echo emptied; exec sleep 1000";
    let mut main = house.main().args(["--", "sh", "-c", line, "sh"]).arg(house.pod("")).start();
    main.ready();
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    house.cue(0);
    main.expect("emptied");
    main.signal(libc::SIGKILL);
    assert_eq!(sidecar.code(), 137);
}

/// The inode numbers that the inotify instances of a process watch.
fn watched(pid: i32) -> Vec<u64> {
    let infos = fs::read_dir(format!("/proc/{pid}/fdinfo")).into_iter().flatten().flatten();
    let text: String = infos.filter_map(|entry| fs::read_to_string(entry.path()).ok()).collect();
    let inodes =
        text.lines().filter_map(|line| line.strip_prefix("inotify wd:")?.split(" ino:").nth(1)?.split(' ').next());
    inodes.filter_map(|inode| u64::from_str_radix(inode, 16).ok()).collect()
}

#[test]
fn a_directory_that_vanishes_and_comes_back_is_watched_again() {
    let house = House::new();
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    for round in 0..2 {
        // Moved and not removed: so the new one cannot have the same inode number.
        fs::rename(house.pod(""), house.path(format!("old-{round}"))).expect("the directory gone");
        sidecar.says("vanished");
        fs::create_dir(house.pod("")).expect("the directory back");
        let inode = fs::metadata(house.pod("")).expect("the directory").ino();
        wait_until("the watch to be set on the new directory", || watched(sidecar.pid).contains(&inode));
        assert_eq!(sidecar.try_ended(), None);
    }
    // What happens in the old one is nothing to it any more.
    File::create(house.path("old-0/main-job-terminated")).expect("a file");
    house.main().command("exit 3").finish().code();
    assert_eq!(sidecar.code(), 3);
}

#[test]
fn a_sentinel_in_a_directory_that_came_back_at_once_is_found() {
    let house = House::new();
    let mut sidecar = helper(&house, &[]);
    fs::rename(house.pod(""), house.path("old")).expect("the directory gone");
    fs::create_dir(house.pod("")).expect("the directory back");
    touch(&house, "main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
}

#[test]
fn a_relative_directory_means_the_same_all_the_time() {
    let house = House::new();
    let relative = |mode| house.run(house::EXEUNT).args(["--dir=pod", "--mode", mode]).current_dir(house.path(""));
    let mut sidecar = relative("sidecar").args(["--watch=poll", "--exit-with=main"]).command(HELPER).start();
    sidecar.ready();
    let mut main = relative("main").command(JOB).start();
    main.ready();
    // It looks whether the directory is still the same at each of its looks. A wake-up has one other cause: the child.
    let looks = || proc::wake_ups(sidecar.pid);
    let before = looks();
    wait_until("three more looks", || looks() >= before + 3);
    fs::remove_file(house.pod("main-job-running")).expect("a file removed");
    house.cue(3);
    assert_eq!((main.code(), sidecar.code()), (3, 3));
    assert!(!sidecar.err().contains("vanished"), "{}", sidecar.err());
    assert_eq!(main.err(), "");
}

// ---- the shell recipe on either side ----

#[test]
fn the_shell_recipe_s_loop_sees_our_sentinel() {
    let house = House::new();
    let recipe =
        "echo ready; while ! test -f \"$1/main-job-terminated\"; do sleep 0.02; done; cat \"$1/main-job-terminated\"";
    let mut main = job(&house, &[]);
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
    let mut sidecar = helper(&house, &[]);
    house.cue(3);
    assert_eq!((recipe.code(), sidecar.code()), (3, 0));
    sidecar.expect("term");
}

#[test]
fn flock_of_util_linux_agrees_with_us_about_who_lives() {
    let house = House::new();
    let mut main = job(&house, &["--restart-policy=on-failure"]);
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

// ---- the run id ----

#[test]
fn with_a_run_id_only_the_records_of_this_run_count() {
    let house = House::new();
    // An earlier run: over, and a life that was killed. And a bare sentinel.
    house.main().args(["--run-id", "yesterday"]).command("exit 9").finish().code();
    drop(house.life("other", |record| record["run_id"] = "yesterday".into()));
    touch(&house, "third-terminated");
    let until = ["--until=main-job,other,third", "--until-any", "--exit-with=main"];
    let mut sidecar = helper(&house, &[&until[..], &["--run-id=today"]].concat());
    // Now while it runs: a bare sentinel, one without an id, and a run of another id from beginning to end.
    fs::remove_file(house.pod("third-terminated")).expect("a file removed");
    touch(&house, "third-terminated");
    house.main().args(["--name=other"]).command("exit 8").finish().code();
    house.main().args(["--name=third", "--run-id=tomorrow"]).command("exit 7").finish().code();
    let mut main = house.main().env("EXEUNT_RUN_ID", "today").command(JOB).start();
    main.ready();
    assert_eq!(house.record("main-job-running")["attempt"], 1, "the first of this run");
    assert_eq!(sidecar.try_ended(), None);
    house.cue(4);
    assert_eq!((main.code(), sidecar.code()), (4, 4), "7, 8, 9 or 0 if another run had counted");
}

#[test]
fn with_a_run_id_a_killed_wrapper_of_this_run_is_the_end_too() {
    let house = House::new();
    let main = job(&house, &["--run-id=today"]);
    let mut sidecar = helper(&house, &["--run-id=today", "--exit-with=main"]);
    main.signal(libc::SIGKILL);
    assert_eq!(sidecar.code(), 137);
}

#[test]
fn without_a_run_id_every_record_counts() {
    let house = House::new();
    house.main().args(["--run-id", "yesterday"]).command("exit 9").finish().code();
    let mut sidecar = house.sidecar().command("echo started").finish();
    assert_eq!((sidecar.code(), sidecar.out()), (0, String::new()));
}

// ---- what others put there ----

/// Makes one of `FOREIGN` at a path.
#[track_caller]
fn make(house: &House, line: &str, name: &str) {
    assert_eq!(house.sh(line).arg(house.pod(name)).finish().code(), 0);
}

#[test]
fn whatever_kind_of_file_the_sentinel_is_it_is_there() {
    for (kind, line) in FOREIGN {
        let house = House::new();
        let mut sidecar = helper(&house, &["--exit-with", "main"]);
        make(&house, line, "main-job-terminated");
        assert_eq!(sidecar.code(), 0, "{kind}: over, code unknown");
        let mut late = house.sidecar().command("echo started").finish();
        assert_eq!((late.code(), late.out()), (0, String::new()), "{kind}");
    }
}

#[test]
fn a_socket_as_the_sentinel_or_the_life_is_no_danger() {
    let house = House::new();
    let _life = std::os::unix::net::UnixListener::bind(house.pod("main-job-running")).expect("a socket");
    let mut sidecar = helper(&house, &["--exit-with", "main"]);
    let _sentinel = std::os::unix::net::UnixListener::bind(house.pod("main-job-terminated")).expect("a socket");
    assert_eq!(sidecar.code(), 0);
}

#[test]
fn whatever_kind_of_file_the_life_is_it_neither_ends_nor_stops_the_sidecar() {
    for (kind, line) in FOREIGN {
        let house = House::new();
        make(&house, line, "main-job-running");
        let mut early = helper(&house, &["--exit-with", "main"]);
        fs::rename(house.pod("main-job-running"), house.path("away")).expect("a file moved");
        let mut late = helper(&house, &["--exit-with", "main"]);
        make(&house, line, "main-job-running");
        touch(&house, "main-job-terminated");
        assert_eq!((early.code(), late.code()), (0, 0), "{kind}");
    }
}

#[test]
fn whatever_kind_of_file_is_in_our_place_is_replaced_or_named_and_never_followed() {
    for (kind, line) in FOREIGN {
        for name in ["main-job-running", "main-job-terminated", "main-job-ready", ".main-job-running.new"] {
            let house = House::new();
            make(&house, line, name);
            let mut main = house.main().command("touch \"$CUE.started\"; exit 3").finish();
            let started = house.path("cue.started").exists();
            if kind.contains("directory") {
                // rename(2) does not put a file in the place of a directory, and whose it is we do not know.
                assert!(
                    main.code() == 125 && !started || main.code() == 3 && started,
                    "{kind} as {name}: {}",
                    main.err()
                );
                if main.code() == 125 {
                    assert!(main.err().contains(name), "{kind} as {name}: {}", main.err());
                    assert_eq!(main.err().lines().count(), 1, "{kind} as {name}: {}", main.err());
                }
            } else {
                assert_eq!((main.code(), started), (3, true), "{kind} as {name}: {}", main.err());
                assert_eq!(house.record("main-job-terminated")["exit_code"], 3);
                let sentinel = fs::symlink_metadata(house.pod("main-job-terminated")).expect("the sentinel");
                assert!(sentinel.is_file(), "{kind} as {name}");
            }
            if let Ok(precious) = fs::read_to_string(house.pod(format!("{name}.target"))) {
                assert_eq!(precious, "precious\n", "{kind} as {name} was followed");
            }
        }
    }
}

#[test]
fn what_the_job_puts_in_the_place_of_our_files_does_not_change_its_code_nor_keep_the_sidecar() {
    for (kind, line) in FOREIGN {
        for name in ["main-job-running", "main-job-terminated"] {
            let house = House::new();
            let script = format!("echo ready; read code <\"$CUE\"; rm -f \"$1\"; {line}; exit \"$code\"");
            let mut main = house.main().args(["--", "sh", "-c", &script, "sh"]).arg(house.pod(name)).start();
            main.ready();
            let mut sidecar = helper(&house, &[]);
            house.cue(3);
            assert_eq!(main.code(), 3, "{kind} as {name}: {}", main.err());
            assert_eq!(sidecar.code(), 0, "{kind} as {name}");
        }
    }
}

#[test]
fn a_link_to_a_life_that_is_over_is_not_that_life() {
    let house = House::new();
    drop(house.life("other", |record| record["name"] = "main-job".into()));
    for link in ["main-job-running", "third-running"] {
        std::os::unix::fs::symlink(house.pod("other-running"), house.pod(link)).expect("a link");
    }
    let mut sidecar = helper(&house, &["--until=main-job,third", "--until-any", "--exit-with=main"]);
    touch(&house, "third-terminated");
    // 137 if the link had been followed.
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
}

#[test]
fn the_name_of_a_foreign_file_cannot_put_a_line_or_a_colour_into_our_log() {
    let house = House::new();
    for name in ["a\nexeunt sidecar: all is well-running", "b\u{1b}[31m-running", "c\r-terminated", "plain-running"] {
        touch(&house, name);
    }
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"d\xff\x07-running");
    File::create(house.pod(bytes)).expect("a file");
    let mut sidecar = helper(&house, &["--watch=poll"]);
    sidecar.says("spelt");
    touch(&house, "main-job-terminated");
    assert_eq!(sidecar.code(), 0);
    let text = sidecar.err();
    assert!(text.contains("plain"), "{text:?}");
    assert!(!text.replace('\n', "").contains(char::is_control), "{text:?}");
    assert!(
        text.lines().all(|line| line.starts_with("exeunt sidecar: ") && !line.starts_with("exeunt sidecar: all")),
        "{text:?}"
    );
}

/// Contents that are no record of ours, or only nearly.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let long = "9".repeat(2000);
    let near = |change: &str| format!("{{\"protocol\":1,\"name\":\"main-job\",{change}}}\n").into_bytes();
    vec![
        ("nothing", vec![]),
        ("a newline", b"\n".to_vec()),
        ("NULs", vec![0; 4096]),
        ("garbage", (0..8192u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        (
            "no UTF-8",
            near("\"hostname\":\"\u{0}\"").into_iter().map(|byte| if byte == 0 { 0xff } else { byte }).collect(),
        ),
        ("deep arrays", vec![b'['; 4096]),
        ("deep objects", b"{\"a\":".repeat(4000)),
        ("deep in a field", near(&format!("\"more\":{}", "[".repeat(1900)))),
        ("an array", b"[1,\"main-job\",null]\n".to_vec()),
        ("a number", long.clone().into_bytes()),
        ("null", b"null\n".to_vec()),
        ("half a record", b"{\"protocol\":1,\"name\":\"main-".to_vec()),
        ("wrong types", near("\"attempt\":\"two\",\"exit_code\":[],\"final\":3,\"boot_id\":{},\"inode\":-1")),
        ("numbers out of range", near(&format!("\"attempt\":{long},\"exit_code\":300,\"signal\":-4,\"inode\":1e999"))),
        ("a later protocol", near("\"protocol\":4000000000,\"restart_policy\":\"sometimes\"")),
        ("two of everything", near("\"exit_code\":1,\"exit_code\":2")),
        ("a record with a tail", [near("\"exit_code\":9"), b"and more".to_vec()].concat()),
    ]
}

#[test]
fn hostile_content_of_a_life_ends_nobody_and_stops_nobody() {
    for (kind, content) in hostile() {
        let house = House::new();
        fs::write(house.pod("main-job-running"), &content).expect("a file");
        let mut sidecar = helper(&house, &["--exit-with", "main"]);
        fs::write(house.pod("main-job-running"), &content).expect("a file");
        // A job that starts on top of it.
        let mut main = job(&house, &[]);
        assert_eq!(house.record("main-job-running")["attempt"], 1, "{kind}");
        assert_eq!(sidecar.try_ended(), None, "{kind}");
        house.cue(3);
        assert_eq!((main.code(), sidecar.code()), (3, 3), "{kind}");
        assert!(!sidecar.err().contains("panicked"), "{kind}: {}", sidecar.err());
    }
}

#[test]
fn hostile_content_of_a_sentinel_is_the_end_with_an_unknown_code() {
    for (kind, content) in hostile() {
        let house = House::new();
        let mut sidecar = helper(&house, &["--exit-with", "main"]);
        fs::write(house.path("sentinel"), &content).expect("a file");
        fs::rename(house.path("sentinel"), house.pod("main-job-terminated")).expect("the sentinel");
        let code = sidecar.code();
        assert!(code == 0, "{kind}: {code}");
        let mut late = house.sidecar().command("echo started").finish();
        assert_eq!((late.code(), late.out()), (0, String::new()), "{kind}");
    }
}

#[test]
fn a_number_of_attempts_that_cannot_grow_does_not_stop_the_next() {
    for attempt in [u64::from(u32::MAX), u64::MAX] {
        let house = House::new();
        drop(house.life("main-job", |record| record["attempt"] = attempt.into()));
        assert_eq!(house.main().command("exit 3").finish().code(), 3);
    }
}

#[test]
fn a_file_without_end_is_read_no_further_than_a_record() {
    let house = House::new();
    for name in ["main-job-running", "main-job-terminated", "other-running"] {
        let file = File::create(house.pod(name)).expect("a file");
        file.set_len(1 << 40).expect("a file with holes");
    }
    let mut sidecar = house.sidecar().args(["--until", "main-job,other"]).command(STUBBORN).start();
    sidecar.ready();
    let most: u64 =
        proc::status(sidecar.pid, "VmHWM").expect("its memory").trim_end_matches(" kB").parse().expect("a number");
    assert!(most < 32 * 1024, "{most} kB");
    drop(sidecar);
    let mut main = house.main().command("exit 3").finish();
    assert_eq!(main.code(), 3);
}

// ---- the watch, and what is done without it ----

fn watches(pid: i32) -> bool {
    proc::descriptors(pid).iter().any(|target| target.contains("inotify"))
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

#[test]
fn without_an_inotify_instance_it_says_so_once_and_stays_until_the_end() {
    let house = House::new();
    let mut sidecar = without_inotify(&house, &["--exit-with=main"]);
    assert!(!watches(sidecar.pid));
    assert_eq!(sidecar.err().matches("warning").count(), 1, "{}", sidecar.err());
    for (attempt, code) in [(1, 3), (2, 0)] {
        let mut main = job(&house, &["--restart-policy=on-failure"]);
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
        let began = Instant::now();
        let mut sidecar = sidecar(&house);
        assert!(!watches(sidecar.pid));
        assert_eq!(sidecar.err().lines().count(), 1, "it says so: {}", sidecar.err());
        touch(&house, "main-job-terminated");
        assert_eq!(sidecar.code(), 0);
        sidecar.expect("term");
        began.elapsed() > Duration::from_secs(4)
    })
}

#[test]
fn without_an_inotify_instance_it_looks_every_second() {
    assert!(!is_slow(|house| without_inotify(house, &[])), "it was the slow look that found it");
}

#[test]
fn with_watch_poll_there_is_no_inotify_instance_and_it_looks_every_second() {
    assert!(!is_slow(|house| helper(house, &["--watch", "poll"])), "it was the slow look that found it");
}

#[test]
fn without_an_inotify_instance_a_killed_wrapper_is_noticed_too() {
    let house = House::new();
    let main = job(&house, &[]);
    let mut sidecar = without_inotify(&house, &["--exit-with=main"]);
    main.signal(libc::SIGKILL);
    assert_eq!(sidecar.code(), 137);
}

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
    assert!(watches(sidecar.pid), "a poll would find it, too: {}", sidecar.err());
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
            let done = libc::ioctl(socket, libc::SIOCSIFNAME, &request);
            assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        }
    }
}

#[test]
fn the_listing_of_a_foreign_directory_stays_as_it_is() {
    // exeunt makes files of its own names only.
    let house = House::new();
    fs::write(house.pod("data"), "x").expect("a file");
    let mut sidecar = helper(&house, &["--name", "proxy"]);
    house.main().command("exit 0").finish().code();
    assert_eq!(sidecar.code(), 0);
    assert_eq!(listing(&house.pod("")), ["data", "main-job-terminated", "proxy-terminated"]);
    wait_for("data", PATIENCE, || fs::read(house.pod("data")).ok().filter(|data| data == b"x"));
}
