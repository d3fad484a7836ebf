//! `--restart`: the child is started again while the job runs, whatever the Pod's policy, and never after that.

mod house;
mod tracer;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use house::scene::JOB;
use house::{House, Process, proc, wait_until};
use tracer::{Traced, Verdict, cases};

/// A helper that says its pid, ends with the code of its cue, and with 7 when it is asked to end.
const HELPER: &str =
    r#"trap 'echo term; exit 7' TERM; echo ready $$; until read code <"$CUE"; do :; done; exit "$code""#;

fn helper(house: &House, when: &str) -> (Process, i32) {
    let mut process = house.sidecar().args(["--restart", when]).command(HELPER).start();
    let pid = pid(&mut process);
    (process, pid)
}

/// The pid of a child that has just begun.
fn pid(process: &mut Process) -> i32 {
    let line = process.line();
    line.strip_prefix("ready ").and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("not a beginning: {line}"))
}

fn job_is_over(house: &House) {
    fs::write(house.pod("main-job-terminated"), "").unwrap();
}

#[test]
fn the_first_end_is_the_end_unless_it_is_asked_otherwise() {
    for options in [vec![], vec!["--restart", "never"]] {
        let house = House::new();
        let mut process = house.sidecar().args(options).command(HELPER).start();
        pid(&mut process);
        house.cue(1);
        assert_eq!((process.code(), process.out().lines().count()), (1, 1), "{}", process.err());
    }
}

#[test]
fn on_failure_starts_again_after_a_code_and_after_a_signal_and_not_after_0() {
    let house = House::new();
    let (mut process, first) = helper(&house, "on-failure");
    house.cue(1);
    let second = pid(&mut process);
    assert_ne!(first, second);
    proc::signal(second, libc::SIGKILL);
    let third = pid(&mut process);
    assert!(!proc::alive(first) && !proc::alive(second) && proc::alive(third));
    house.cue(0);
    assert_eq!(process.code(), 0, "{}", process.err());
    assert_eq!(process.out().lines().count(), 3, "{}", process.out());
}

#[test]
fn always_starts_again_after_0_too() {
    let house = House::new();
    let (mut process, _) = helper(&house, "always");
    house.cue(0);
    pid(&mut process);
    house.cue(0);
    pid(&mut process);
    job_is_over(&house);
    process.expect("term");
    assert_eq!(process.code(), 0, "{}", process.err());
}

#[test]
fn the_pauses_double_and_are_said() {
    let house = House::new();
    let process = house.sidecar().args(["--restart", "always", "--", "false"]).start();
    for pause in ["100ms", "200ms", "400ms", "800ms"] {
        process.says(&format!(
            "exeunt sidecar: false has ended while the job runs; starting it again in {pause} (--restart)\n"
        ));
    }
    // In this order, and none of them twice.
    let said = process.err();
    let pauses: Vec<_> = said.lines().filter_map(|line| line.split(" in ").nth(1)).collect();
    assert!(
        pauses.starts_with(&["100ms (--restart)", "200ms (--restart)", "400ms (--restart)", "800ms (--restart)"]),
        "{said}"
    );
}

#[test]
fn each_start_is_like_the_first() {
    let house = House::new();
    let line = r#"pwd; echo "$WORD"; umask; echo "$@"; while read -r key mask; do [ $key != SigBlk: ] || echo $mask; done </proc/self/status; read code <"$CUE"; exit "$code""#;
    let run = house.sidecar().args(["--restart", "on-failure"]).env("WORD", "said").umask(0o027);
    let mut process = run.current_dir(house.path("")).command(line).args(["sh", "a b"]).start();
    let mut starts = Vec::new();
    for _ in 0..3 {
        starts.push([(); 5].map(|()| process.line()));
        house.cue(1);
    }
    assert_eq!(starts[0], starts[1]);
    assert_eq!(starts[0], starts[2]);
    assert_eq!(&starts[0][1..], ["said", "0027", "a b", "0000000000000000"]);
}

#[test]
fn orphans_of_an_earlier_start_are_reaped() {
    let house = House::new();
    house::scene::mkfifo(&house.path("other"));
    let line = r#"(read end <"$OTHER") & echo ready $!; read code <"$CUE"; exit "$code""#;
    let run = house.sidecar().args(["--restart", "always"]).env("OTHER", house.path("other")).command(line);
    let mut process = run.start();
    let orphan = pid(&mut process);
    house.cue(1);
    pid(&mut process);
    assert_eq!(proc::parent(orphan), Some(process.pid));
    proc::signal(orphan, libc::SIGKILL);
    wait_until("the orphan to be reaped", || proc::state(orphan).is_none());
}

#[test]
fn after_a_signal_that_asks_it_to_end_the_child_is_not_started_again() {
    for (signal, code) in [(libc::SIGTERM, 7), (libc::SIGINT, 130), (libc::SIGQUIT, 131)] {
        let house = House::new();
        let (mut process, _) = helper(&house, "always");
        process.signal(signal);
        assert_eq!(process.code(), code, "{}", process.err());
        assert_eq!(process.out().matches("ready").count(), 1, "{}", process.out());
    }
}

#[test]
fn after_the_stop_signal_that_was_chosen_the_child_is_not_started_again() {
    let house = House::new();
    let line = HELPER.replace("TERM", "USR2");
    let mut process = house.sidecar().args(["--restart", "always", "--stop-signal", "USR2"]).command(&line).start();
    pid(&mut process);
    process.signal(libc::SIGUSR2);
    assert_eq!(process.code(), 7, "{}", process.err());
    assert_eq!(process.out().matches("ready").count(), 1, "{}", process.out());
}

#[test]
fn once_the_job_is_over_the_child_is_not_started_again() {
    for when in ["on-failure", "always"] {
        let house = House::new();
        let (mut process, _) = helper(&house, when);
        job_is_over(&house);
        process.expect("term");
        assert_eq!(process.code(), 0, "{}", process.err());
        assert_eq!(process.out().matches("ready").count(), 1, "{}", process.out());
    }
}

#[test]
fn a_job_that_ends_during_the_pause_ends_the_sidecar_at_once_by_its_rule() {
    for (exit_with, code) in [("zero", 0), ("child", 1), ("main", 5)] {
        let house = House::new();
        let mut job = house.main().command(JOB).start();
        job.ready();
        let run = house.sidecar().args(["--restart", "always", "--exit-with", exit_with, "--", "false"]);
        let mut process = run.start();
        // The pause after this one is long enough for what follows, and its start would be said.
        process.says("in 3s 200ms");
        let starts = process.err().matches("starting it again").count();
        house.cue(5);
        assert_eq!(process.code(), code, "{}", process.err());
        assert_eq!(process.err().matches("starting it again").count(), starts, "{}", process.err());
        job.ended();
    }
}

/// The end of the pause and the end of the job in the same instant. Which is heard first is chance, hence the rounds.
#[test]
fn of_the_job_s_end_and_the_end_of_the_pause_in_the_same_instant_the_job_s_end_counts() {
    for round in 0..8 {
        let house = House::new();
        let mut process = house.sidecar().args(["--restart", "always", "--", "false"]).start();
        process.says("in 400ms");
        let clock = Instant::now();
        process.signal(libc::SIGSTOP);
        wait_until("exeunt to be stopped", || proc::state(process.pid) == Some('T'));
        wait_until("the pause to be over", || clock.elapsed() > Duration::from_millis(500));
        let pauses = process.err().matches("starting it again").count();
        job_is_over(&house);
        process.signal(libc::SIGCONT);
        assert_eq!(process.code(), 0, "round {round}: {}", process.err());
        // One that had been started again would be stopped, or have ended again, with a line for it.
        let said = process.err();
        assert_eq!(said.matches("starting it again").count(), pauses, "round {round}: {said}");
        assert!(!said.contains("stopping"), "round {round}: {said}");
    }
}

#[test]
fn a_signal_during_the_pause_ends_it_and_nothing_is_started() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
        let house = House::new();
        let mut process = house.sidecar().args(["--restart", "always", "--name", "x", "--", "false"]).start();
        process.says("in 800ms");
        // A reload or a rotation of logs was meant for a command that is not there: it ends nothing.
        process.signal(libc::SIGHUP);
        process.signal(signal);
        assert_eq!(process.code(), 128 + signal, "{}", process.err());
        process.says(" while waiting for its next start (--restart); false is not started");
        assert_eq!(house.record("x-terminated")["exit_code"].as_u64(), Some(128 + signal as u64));
    }
}

/// A rotation of logs, a reload: meant for a child that is not there, and the next one begins afresh anyway.
#[test]
fn a_signal_that_asks_nobody_to_end_does_not_end_the_restarts() {
    let house = House::new();
    let process = house.sidecar().args(["--restart", "always", "--", "false"]).start();
    process.says("in 400ms");
    process.signal(libc::SIGHUP);
    process.signal(libc::SIGUSR1);
    process.says("in 800ms");
}

#[test]
fn a_command_that_cannot_be_started_again_is_the_end() {
    let house = House::new();
    let program = house.path("program");
    fs::write(&program, "#!/bin/sh\necho ready $$\nread code <\"$CUE\"\nexit \"$code\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut process = house.sidecar().args(["--restart", "always", "--"]).arg(&program).start();
    pid(&mut process);
    fs::remove_file(&program).unwrap();
    house.cue(1);
    assert_eq!(process.code(), 127, "{}", process.err());
}

#[test]
fn a_relative_command_and_working_directory_are_found_at_each_start() {
    let house = House::new();
    let program = house.path("program");
    fs::write(&program, "#!/bin/sh\necho ready $$\nread code <\"$CUE\"\nexit \"$code\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let run = house.sidecar().args(["--restart", "always", "--", "./program"]).current_dir(house.path(""));
    let mut process = run.start();
    pid(&mut process);
    house.cue(1);
    pid(&mut process);
}

/// The Pod's policy is about the container; this is about the child.
#[test]
fn a_failed_attempt_of_the_job_is_not_the_end_and_the_child_is_still_started_again() {
    let house = House::new();
    house::scene::mkfifo(&house.path("job"));
    let job = || house.main().args(["--restart-policy", "on-failure"]).env("CUE", house.path("job")).command(JOB);
    let mut first = job().start();
    first.ready();
    let (mut process, _) = helper(&house, "on-failure");
    house.cue_at("job", 1);
    assert_eq!(first.code(), 1);
    house.cue(1);
    pid(&mut process);
    let mut second = job().start();
    second.ready();
    house.cue_at("job", 0);
    process.expect("term");
    assert_eq!((second.code(), process.code()), (0, 0), "{}", process.err());
}

/// A deployment that writes its program in place, or an image layer that is being unpacked: busy now, and not in a moment.
#[test]
fn a_program_that_is_being_written_is_started_when_it_has_been() {
    let house = House::new();
    let program = house.path("program");
    let text = "#!/bin/sh\necho ready $$\nread code <\"$CUE\"\nexit \"$code\"\n";
    // By another process: one of ours could be started with the descriptor open, and keep the file busy.
    assert_eq!(house.sh("printf %s \"$1\" >\"$2\"; chmod 755 \"$2\"").arg(text).arg(&program).finish().code(), 0);
    let mut process = house.sidecar().args(["--restart", "always", "--"]).arg(&program).start();
    let first = pid(&mut process);
    let mut writer = house.sh("exec 3>>\"$1\"; echo open; read line").arg(&program);
    let (reader, release) = std::io::pipe().unwrap();
    writer = writer.stdin(reader);
    let mut writer = writer.start();
    writer.expect("open");
    house.cue(1);
    process.says("cannot be started just now: Text file busy (ETXTBSY); trying again");
    drop(release);
    writer.ended();
    assert_ne!(pid(&mut process), first);
    job_is_over(&house);
    assert_eq!(process.code(), 0, "{}", process.err());
}

/// A dump or a rotation that is asked for between two lives is the next one's: it was dropped.
#[test]
fn a_signal_between_two_lives_is_the_next_life_s() {
    let house = House::new();
    let line = "[ -e \"$0\" ] || exit 1; echo stays; exec sleep 1000";
    let go = house.path("go");
    let run = house.sidecar().args(["--restart", "always", "--", "sh", "-c", line]).arg(&go);
    let mut process = run.start();
    process.says("in 800ms");
    fs::write(&go, "").unwrap();
    process.signal(libc::SIGUSR1);
    // Its default is the end, so that it is seen to arrive.
    process.says("was killed by SIGUSR1");
    process.expect("stays");
    job_is_over(&house);
    assert_eq!(process.code(), 0, "{}", process.err());
}

/// The same where the next life is over before we come to it: nothing is sent to the dead. It was lost on a slow volume, where
/// readiness is published first, and on a busy node.
#[test]
fn a_signal_for_a_life_that_is_over_already_is_the_next_life_s() {
    let house = House::new();
    let lives = house.path("lives");
    let begun = lives.clone();
    let line = "echo >>\"$0\"; [ $(wc -l <\"$0\") -ge 3 ] || exit 1; exec sleep 1000";
    let words = ["--mode", "sidecar", "--name", "helper", "--restart", "always", "--", "sh", "-c", line];
    let mut command = cases::exeunt(&house, "sidecar", words);
    command.arg(&lives);
    let (mut asked, mut awaited) = (false, false);
    let traced = Traced::start(command, move |call| {
        let lives = fs::read_to_string(&begun).unwrap_or_default().lines().count();
        if !call.child && lives == 1 && !asked && proc::children(call.pid).is_empty() {
            asked = true;
            proc::signal(call.pid, libc::SIGUSR1);
        }
        // Readiness is published as soon as the second has been started.
        if !call.child && asked && !awaited && call.number == libc::SYS_renameat {
            awaited = true;
            let is_dead = |child: &i32| proc::state(*child) == Some('Z');
            wait_until("the second life is over", || proc::children(call.pid).iter().any(is_dead));
        }
        Verdict::Pass
    });
    // Its default is the end, so that it is seen to arrive.
    wait_until("the third has it", || cases::text(&house, "sidecar.err").contains("was killed by SIGUSR1"));
    job_is_over(&house);
    assert_eq!(traced.ended_within(Duration::from_secs(20)).expect("its end").status.code(), Some(0));
}

/// The same where a stall brings both at once: what comes after the death is not sent to the dead.
#[test]
fn a_signal_that_came_after_the_death_of_a_child_is_the_next_life_s() {
    for runs in [false, true] {
        let house = House::new();
        let mut job = runs.then(|| house.main().command(JOB).start());
        let line = "echo ready $$; exec sleep 1000";
        let mut process = house.sidecar().args(["--restart", "always"]).command(line).start();
        if let Some(job) = &mut job {
            job.ready();
        }
        let child = pid(&mut process);
        let exeunt = process.pid;
        process.signal(libc::SIGSTOP);
        wait_until("it is stopped", || proc::state(exeunt) == Some('T'));
        proc::signal(child, libc::SIGKILL);
        wait_until("the child is dead", || proc::state(child) == Some('Z'));
        process.signal(libc::SIGHUP);
        process.signal(libc::SIGCONT);
        // Its default is the end, so that it is seen to arrive.
        process.says("was killed by SIGHUP");
    }
}
