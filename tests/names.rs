//! Whose a name is: one life at a time, after another, and of the same run.

mod house;

use std::fs::{self, File};
use std::time::{Duration, Instant};

use house::scene::{Events, JOB};
use house::{House, proc, wait_until};

/// A container that is started again finds the markers of its earlier life: tektoncd/pipeline#2813.
#[test]
fn the_files_of_an_earlier_life_do_not_count_for_the_next() {
    for content in ["", "garbage", "{\"attempt\":41,\"final\":true,\"exit_code\":9}"] {
        let house = House::new();
        for name in ["main-job-running", "main-job-ready", "main-job-terminated", ".main-job-running.new"] {
            fs::write(house.pod(name), content).expect("a stale file");
        }
        let mut events = Events::of(house.pod(""));
        let mut main = house.job(&[]);
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
        let mut sidecar = house.helper(&["--exit-with", "main"]);
        house.cue(2);
        assert_eq!((main.code(), sidecar.code()), (2, 2));
    }
}

#[test]
fn a_name_that_another_holds_is_waited_for_and_then_taken() {
    let house = House::new();
    let mut first = house.job(&[]);
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
    assert_eq!(main.err().lines().count(), 2, "{}", main.err());
    assert!(main.err().contains("waiting for the name main-job: "), "{}", main.err());
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
    // `mkdir` fails where another is still inside. Each stays for a while, so that the others have waited for long.
    let line = "mkdir \"$CUE.inside\" || echo two at once; sleep 0.05; rmdir \"$CUE.inside\"; echo done";
    let mut mains: Vec<_> = (0..8).map(|_| house.main().command(line).start()).collect();
    for main in &mut mains {
        assert_eq!(main.code(), 0, "{}", main.err());
        assert_eq!(main.out(), "done\n");
    }
    assert_eq!(house.record("main-job-terminated")["attempt"], 8, "each was an attempt of its own");
    assert_eq!(house.listing(), ["main-job-terminated"]);
}

#[test]
fn with_a_run_id_only_the_records_of_this_run_count() {
    let house = House::new();
    // An earlier run: over, and a life that was killed. And a bare sentinel.
    house.main().args(["--run-id", "yesterday"]).command("exit 9").finish().code();
    drop(house.life("other", |record| record["run_id"] = "yesterday".into()));
    house.touch("third-terminated");
    let until = ["--until=main-job,other,third", "--until-any", "--exit-with=main"];
    let mut sidecar = house.helper(&[&until[..], &["--run-id=today"]].concat());
    // Now while it runs: a bare sentinel, one without an id, and a run of another id from beginning to end.
    fs::remove_file(house.pod("third-terminated")).expect("a file removed");
    house.touch("third-terminated");
    house.main().args(["--name=other"]).command("exit 8").finish().code();
    house.main().args(["--name=third", "--run-id=tomorrow"]).command("exit 7").finish().code();
    let mut main = house.main().env("EXEUNT_RUN_ID", "today").command(JOB).start();
    main.ready();
    assert_eq!(house.record("main-job-running")["attempt"], 1, "the first of this run");
    assert_eq!(sidecar.try_ended(), None);
    house.cue(4);
    assert_eq!((main.code(), sidecar.code()), (4, 4), "7, 8, 9 or 0 if another run had counted");
}

/// kata-containers#12218: one side has the id of the Pod, the other none, and each waits for the other without a word.
#[test]
fn a_life_of_another_run_that_is_awaited_is_named_with_its_reason() {
    let house = House::new();
    let mut job = house.job(&[]);
    let sidecar = house.helper(&["--run-id=today"]);
    sidecar.says("main-job is in");
    assert!(sidecar.err().contains("with another run id, or none"), "{}", sidecar.err());
    assert!(!sidecar.err().contains("spelt right"), "{}", sidecar.err());
    house.cue(0);
    assert_eq!(job.code(), 0);
}

#[test]
fn with_a_run_id_a_killed_wrapper_of_this_run_is_the_end_too() {
    let house = House::new();
    let main = house.job(&["--run-id=today"]);
    let mut sidecar = house.helper(&["--run-id=today", "--exit-with=main"]);
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

/// A volume that outlives the Pod, without a run id: what is no end by itself (a life of another boot, an attempt that was to
/// be followed by another, a mark of readiness) ends no sidecar that is there before its job.
#[test]
fn what_an_earlier_pod_has_left_that_is_no_end_ends_no_sidecar_that_comes_before_its_job() {
    let another_boot = |record: &mut serde_json::Value| record["boot_id"] = "another boot".into();
    let attempt = |record: &mut serde_json::Value| {
        record["restart_policy"] = "on-failure".into();
        record["exit_code"] = 9.into();
        record["final"] = false.into();
    };
    let lefts: [&dyn Fn(&mut serde_json::Value); 2] = [&another_boot, &attempt];
    for left in lefts {
        let house = House::new();
        drop(house.life("main-job", left));
        house.touch("main-job-ready");
        let mut sidecar = house.helper(&["--exit-with", "main"]);
        let mut waiting = house.sidecar().args(["--wait-for", "main-job"]).command(house::scene::HELPER).start();
        wait_until("its handlers", || proc::mask(waiting.pid, "SigCgt") != 0);
        // Their looks at what was left come before those at the job, which must be the first to open the gate.
        let mut main = house.job(&["--ready-when", &format!("file://{}", house.path("serves").display())]);
        assert_eq!(waiting.out(), "", "the mark of an earlier Pod has opened the gate");
        fs::write(house.path("serves"), "").expect("a file");
        waiting.ready();
        assert_eq!(sidecar.try_ended(), None);
        house.cue(4);
        assert_eq!((main.code(), sidecar.code(), waiting.code()), (4, 4, 0));
    }
}
