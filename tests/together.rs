//! Job and sidecar look after each other: `--stop-with`, `--outlive-main`; and what cannot be asked for.

mod house;

use std::fs;
use std::time::{Duration, Instant};

use house::scene::{HELPER, JOB, STUBBORN};
use house::{House, Process, proc};

/// A job that says "ready", ends with the code of its cue, and says "term" and ends with 9 when it is asked to end.
const STOPPABLE: &str = r#"trap 'echo term; exit 9' TERM; echo ready; sleep 1000 & wait"#;

/// A helper that also says "usr1", by which the order of signals is seen.
const TALKER: &str = "trap 'echo term; exit 7' TERM; trap 'echo usr1' USR1; trap 'echo int; exit 8' INT; echo ready; while :; do sleep 1000 & wait $!; done";

fn proxy(house: &House, line: &str) -> Process {
    let mut proxy = house.sidecar().args(["--name", "proxy"]).command(line).start();
    proxy.ready();
    proxy
}

fn job(house: &House, options: &[&str], line: &str) -> Process {
    let mut job = house.main().args(options).command(line).start();
    job.ready();
    job
}

/// A sidecar that holds SIGTERM, with a signal sent to it that it now holds.
fn holding(house: &House, options: &[&str]) -> Process {
    let mut process = house.sidecar().args(options).command(TALKER).start();
    process.ready();
    process.signal(libc::SIGTERM);
    still_serves(&mut process);
    process
}

/// That SIGTERM has not arrived is shown by what was sent after it and arrives. Twice, because signals that are pending
/// together are taken in the order of their numbers.
fn still_serves(process: &mut Process) {
    for _ in 0..2 {
        process.signal(libc::SIGUSR1);
        process.expect("usr1");
    }
}

fn touch(house: &House, name: &str) {
    fs::write(house.pod(name), "").unwrap();
}

// --- --stop-with

#[test]
fn a_partner_that_ends_stops_the_job_whose_own_code_is_the_exit_code() {
    for code in [0, 3] {
        let house = House::new();
        let mut partner = proxy(&house, JOB);
        let mut job = job(&house, &["--stop-with", "proxy"], STOPPABLE);
        house.cue(code);
        assert_eq!(partner.code(), i32::from(code));
        job.expect("term");
        assert_eq!(job.code(), 9, "{}", job.err());
        let said = "exeunt main: the sidecar proxy has ended (--stop-with); stopping sh with SIGTERM\n";
        assert_eq!(job.err(), said);
        assert_eq!(house.record("main-job-terminated")["exit_code"].as_u64(), Some(9));
    }
}

#[test]
fn a_partner_that_is_killed_without_a_word_stops_the_job() {
    let house = House::new();
    let mut partner = proxy(&house, HELPER);
    let mut job = job(&house, &["--stop-with", "proxy"], STOPPABLE);
    partner.signal(libc::SIGKILL);
    partner.killed_by();
    job.expect("term");
    assert_eq!(job.code(), 9, "{}", job.err());
}

#[test]
fn a_partner_that_was_gone_before_the_job_began_stops_it_too() {
    let house = House::new();
    touch(&house, "proxy-terminated");
    let mut job = house.main().args(["--stop-with", "proxy", "--", "sleep", "1000"]).finish();
    assert_eq!(job.code(), 143, "{}", job.err());
    assert!(job.err().contains("--stop-with"), "{}", job.err());
}

#[test]
fn a_partner_that_has_not_come_yet_is_no_reason_to_stop() {
    let house = House::new();
    let mut job = job(&house, &["--stop-with", "proxy"], JOB);
    let mut partner = proxy(&house, HELPER);
    house.cue(5);
    assert_eq!(job.code(), 5, "{}", job.err());
    partner.expect("term");
    assert_eq!(partner.code(), 0);
}

#[test]
fn a_partner_whose_child_is_started_again_has_not_ended() {
    let house = House::new();
    let mut partner = house.sidecar().args(["--name", "proxy", "--restart", "always"]).command(JOB).start();
    partner.ready();
    let mut job = job(&house, &["--stop-with", "proxy"], STOPPABLE);
    house.cue(1);
    partner.ready();
    // The job is still there to be told to end.
    job.signal(libc::SIGTERM);
    job.expect("term");
    assert_eq!((job.code(), job.err()), (9, String::new()));
}

#[test]
fn a_job_that_does_not_stop_with_its_partner_is_killed_after_the_grace_period() {
    let house = House::new();
    let mut partner = proxy(&house, JOB);
    let mut job = job(
        &house,
        &["--stop-with", "proxy", "--grace", "300ms", "--stop-signal", "USR2"],
        &STUBBORN.replace("TERM", "USR2"),
    );
    house.cue(0);
    partner.ended();
    job.expect("term");
    assert_eq!(job.code(), 137, "{}", job.err());
    assert!(job.err().contains("stopping sh with SIGUSR2"), "{}", job.err());
    assert!(job.err().contains("warning: ") && job.err().contains("(--grace)"), "{}", job.err());
}

#[test]
fn a_partner_whose_name_is_misspelt_is_hinted_at() {
    let house = House::new();
    let _partner = proxy(&house, HELPER);
    let job = job(&house, &["--stop-with", "porxy"], STOPPABLE);
    job.says("is --stop-with spelt right?");
    assert!(job.err().contains("porxy") && job.err().contains("proxy is there"), "{}", job.err());
}

// --- --outlive-main

/// When the Pod is deleted the sidecar acts before the job has ended: kubernetes/test-infra#8493,
/// kubernetes/test-infra#21167, istio/istio#6324, istio/istio#36631.
#[test]
fn sigterm_is_held_until_the_job_is_over_and_the_exit_code_is_that_of_a_stop() {
    for (options, code) in [(vec![], 0), (vec!["--exit-with", "child"], 7), (vec!["--exit-with", "main"], 5)] {
        let house = House::new();
        let mut job = job(&house, &[], JOB);
        let mut process = holding(&house, &[&["--outlive-main"][..], &options].concat());
        assert!(proc::alive(job.pid));
        house.cue(5);
        process.expect("term");
        assert_eq!(process.code(), code, "{}", process.err());
        assert_eq!(job.code(), 5);
    }
}

#[test]
fn without_the_option_sigterm_passes_at_once() {
    let house = House::new();
    let _job = job(&house, &[], JOB);
    let mut process = house.sidecar().command(TALKER).start();
    process.ready();
    process.signal(libc::SIGTERM);
    process.expect("term");
    assert_eq!(process.code(), 7);
}

#[test]
fn a_second_sigterm_passes_at_once_and_the_child_s_code_is_the_exit_code() {
    let house = House::new();
    let _job = job(&house, &[], JOB);
    let mut process = holding(&house, &["--outlive-main=1h"]);
    process.signal(libc::SIGTERM);
    process.expect("term");
    assert_eq!(process.code(), 7, "{}", process.err());
}

#[test]
fn sigterm_passes_when_the_duration_is_up() {
    let house = House::new();
    let _job = job(&house, &[], JOB);
    let begun = Instant::now();
    let mut process = house.sidecar().arg("--outlive-main=500ms").command(TALKER).start();
    process.ready();
    process.signal(libc::SIGTERM);
    process.expect("term");
    assert!(begun.elapsed() >= Duration::from_millis(500), "it was held for {:?} only", begun.elapsed());
    assert_eq!(process.code(), 7, "{}", process.err());
    let said = "exeunt sidecar: the job is not over 500ms after SIGTERM (--outlive-main); passing it on\n";
    assert_eq!(process.err(), said);
}

#[test]
fn other_signals_are_not_held() {
    let house = House::new();
    let _job = job(&house, &[], JOB);
    let mut process = holding(&house, &["--outlive-main=1h"]);
    process.signal(libc::SIGINT);
    process.expect("int");
    assert_eq!(process.code(), 8, "{}", process.err());
}

#[test]
fn a_child_that_ends_while_sigterm_is_held_gives_its_own_code_and_is_not_started_again() {
    let house = House::new();
    let _job = job(&house, &[], r#"echo ready; sleep 1000 & wait"#);
    let options = ["--outlive-main=1h", "--restart", "always"];
    let line = r#"trap 'echo usr1' USR1; echo ready; until read code <"$CUE"; do :; done; exit "$code""#;
    let mut process = house.sidecar().args(options).command(line).start();
    process.ready();
    process.signal(libc::SIGTERM);
    house.cue(6);
    assert_eq!(process.code(), 6, "{}", process.err());
    assert_eq!(process.out(), "ready\n");
}

#[test]
fn a_killed_job_lets_the_held_sigterm_go() {
    let house = House::new();
    let mut job = job(&house, &[], JOB);
    let mut process = holding(&house, &["--outlive-main=1h"]);
    job.signal(libc::SIGKILL);
    process.expect("term");
    assert_eq!(process.code(), 0, "{}", process.err());
    job.killed_by();
}

/// The Pod is being deleted: an attempt that failed is not followed by another one.
#[test]
fn a_job_that_is_between_two_attempts_is_over_when_the_pod_is_deleted() {
    for first in ["the job", "the signal"] {
        let house = House::new();
        let mut job = job(&house, &["--restart-policy", "on-failure"], JOB);
        let mut process = house.sidecar().arg("--outlive-main=1h").command(TALKER).start();
        process.ready();
        if first == "the signal" {
            process.signal(libc::SIGTERM);
            still_serves(&mut process);
        }
        house.cue(1);
        assert_eq!(job.code(), 1);
        if first == "the job" {
            // Until then the sidecar stays for the next attempt.
            still_serves(&mut process);
            process.signal(libc::SIGTERM);
        }
        process.expect("term");
        assert_eq!(process.code(), 0, "{first}: {}", process.err());
    }
}

/// Main fails before its wrapper runs; the sidecar cannot know: argoproj/argo-workflows#14074.
#[test]
fn a_job_that_has_not_come_yet_is_waited_for() {
    let house = House::new();
    let mut process = holding(&house, &["--outlive-main=1h"]);
    let mut job = job(&house, &[], JOB);
    still_serves(&mut process);
    house.cue(0);
    process.expect("term");
    assert_eq!((process.code(), job.code()), (0, 0));
}

/// What it is for: at the deletion of a Pod every container gets SIGTERM in the same moment, and what the job says last is
/// said after that.
#[test]
fn a_log_shipper_that_outlives_the_job_has_its_last_line_and_one_that_does_not_has_not() {
    // Ships what is there, then waits for SIGTERM, then ships what has come.
    let shipper = r#"log=$1; sent() { cat "$log"; exit 0; }; trap sent TERM; : >>"$log"; echo ready; while :; do sleep 1000 & wait $!; done"#;
    let job = r#"log=$1; trap 'echo asked; read code <"$CUE"; echo "the last line" >>"$log"; exit 0' TERM; echo ready; sleep 1000 & wait"#;
    for (options, has_it) in [(vec!["--outlive-main"], true), (vec![], false)] {
        let house = House::new();
        let log = house.path("log");
        let mut main = house.main().command(job).arg("sh").arg(&log).start();
        let mut ships = house.sidecar().args(options).command(shipper).arg("sh").arg(&log).start();
        main.ready();
        ships.ready();
        ships.signal(libc::SIGTERM);
        main.signal(libc::SIGTERM);
        main.expect("asked");
        if !has_it {
            ships.ended();
        }
        house.cue(0);
        main.ended();
        ships.ended();
        assert_eq!(ships.out().contains("the last line"), has_it, "{}", ships.out());
    }
}

#[test]
fn in_the_environment_the_holding_is_switched_by_a_word_or_a_duration_and_main_passes_it_over() {
    for (value, held) in [("true", true), ("1h", true), ("on", true), ("false", false), ("off", false), ("", false)] {
        let house = House::new();
        let mut process = house.sidecar().env("EXEUNT_OUTLIVE_MAIN", value).command(TALKER).start();
        process.ready();
        process.signal(libc::SIGTERM);
        if held {
            still_serves(&mut process);
            touch(&house, "main-job-terminated");
        }
        process.expect("term");
        assert_eq!(process.code(), if held { 0 } else { 7 }, "{value:?}: {}", process.err());
        let mut main = house.main().env("EXEUNT_OUTLIVE_MAIN", value).command("echo ready; kill -TERM $$").finish();
        assert_eq!(main.code(), 143, "{value:?}: {}", main.err());
    }
}

/// A number is a time behind the flag. In the environment 1 and 0 are what they are for every switch there: on and off.
#[test]
fn in_the_environment_1_and_0_are_on_and_off_and_behind_the_flag_a_number_is_a_time() {
    let house = House::new();
    let sent = |run: house::Run| {
        let mut process = run.command(TALKER).start();
        process.ready();
        process.signal(libc::SIGTERM);
        process
    };
    let mut off = sent(house.sidecar().env("EXEUNT_OUTLIVE_MAIN", "0"));
    off.expect("term");
    assert_eq!(off.code(), 7);
    let mut second = sent(house.sidecar().arg("--outlive-main=1"));
    second.says("the job is not over 1s after SIGTERM");
    second.expect("term");
    assert_eq!(second.code(), 7);
    let mut on = sent(house.sidecar().env("EXEUNT_OUTLIVE_MAIN", "1"));
    on.says("at most 20s (--outlive-main)");
    still_serves(&mut on);
    touch(&house, "main-job-terminated");
    on.expect("term");
    assert_eq!(on.code(), 0);
}

// --- bad input

const WRONG: [(&str, &str, &str); 33] = [
    ("main", "--wait-timeout", "soon"),
    ("main", "--wait-timeout", "-1s"),
    ("main", "--wait-timeout", "2 fortnights"),
    ("main", "--wait-timeout", "99999999999999999999"),
    ("main", "--wait-timeout", "1000000000"),
    ("main", "--on-exit", "https://127.0.0.1/quit"),
    ("main", "--on-exit", "tcp://127.0.0.1:1"),
    ("main", "--on-exit", "127.0.0.1:15020/quitquitquit"),
    ("main", "--on-exit", "http://127.0.0.1:99999/"),
    ("main", "--on-exit", ""),
    ("main", "--mesh", "consul"),
    ("main", "--mesh", "Istio"),
    ("main", "--mesh", "istio,envoy"),
    ("main", "--stop-with", "a/b"),
    ("main", "--stop-with", "a,b"),
    ("main", "--stop-with", ""),
    ("sidecar", "--until", ""),
    ("sidecar", "--until", "a,,b"),
    ("sidecar", "--until", "a, b"),
    ("sidecar", "--until", "../a"),
    ("sidecar", "--outlive-main", "soon"),
    ("sidecar", "--outlive-main", "-3"),
    ("sidecar", "--restart", "sometimes"),
    ("sidecar", "--restart", "unless-stopped"),
    ("sidecar", "--exit-with", "one"),
    ("sidecar", "--stop-signal", "SIGKILL"),
    ("sidecar", "--stop-signal", "SIGCHLD"),
    ("sidecar", "--stop-signal", "0"),
    ("sidecar", "--grace", "forever"),
    ("main", "--restart-policy", "always"),
    ("main", "--watch", "closely"),
    ("main", "--log-level", "loud"),
    ("main", "--log-format", "yaml"),
];

#[test]
fn a_value_that_cannot_be_understood_is_one_line_that_names_the_option_and_nothing_is_started() {
    let house = House::new();
    for (mode, option, value) in WRONG {
        let mut flag =
            house.mode(mode).arg(format!("{option}={value}")).args(["--", "touch"]).arg(house.path("started")).finish();
        let variable = format!("EXEUNT_{}", option.trim_start_matches('-').to_uppercase().replace('-', "_"));
        assert_eq!(flag.code(), 125, "{option}={value}: {}", flag.err());
        assert_eq!(flag.err().lines().count(), 1, "{option}={value}: {}", flag.err());
        assert!(flag.err().starts_with("exeunt") && flag.err().contains(option), "{option}={value}: {}", flag.err());
        // Empty counts as unset there.
        if !value.is_empty() {
            let run = house.mode(mode).env(&variable, value).args(["--", "touch"]).arg(house.path("started"));
            let mut run = run.finish();
            assert_eq!((run.code(), run.err().lines().count()), (125, 1), "{variable}={value}: {}", run.err());
            assert!(run.err().contains(&variable), "{variable}={value}: {}", run.err());
        }
    }
    assert!(!house.path("started").exists(), "a command was started");
    // A main that cannot be understood is over all the same: its sidecars must not wait for it.
    assert_eq!(house.listing(), ["main-job-terminated"]);
}

#[test]
fn an_option_of_the_other_mode_is_refused_as_a_flag_and_passed_over_in_the_environment() {
    let house = House::new();
    touch(&house, "main-job-terminated");
    for (mode, other, option, value) in [
        ("main", "sidecar", "--until", Some("a")),
        ("main", "sidecar", "--until-any", None),
        ("main", "sidecar", "--exit-with", Some("zero")),
        ("main", "sidecar", "--outlive-main", None),
        ("main", "sidecar", "--restart", Some("always")),
        ("sidecar", "main", "--on-exit", Some("http://127.0.0.1:1/")),
        ("sidecar", "main", "--mesh", Some("istio")),
        ("sidecar", "main", "--stop-with", Some("a")),
    ] {
        let mut flag =
            house.mode(mode).arg(option).args(value).args(["--", "touch"]).arg(house.path("started")).finish();
        assert_eq!(flag.code(), 125, "{option}: {}", flag.err());
        assert_eq!(flag.err(), format!("exeunt {mode}: {option} belongs to --mode {other}\n"));
        assert!(!house.path("started").exists(), "{option}: a command was started");
        let variable = format!("EXEUNT_{}", option.trim_start_matches('-').to_uppercase().replace('-', "_"));
        let mut run = house.mode(mode).env(&variable, "what nobody reads").args(["--", "true"]).finish();
        assert_eq!(run.code(), 0, "{variable}: {}", run.err());
        touch(&house, "main-job-terminated");
    }
}

#[test]
fn options_without_their_value_are_refused() {
    let house = House::new();
    for option in
        ["--wait-for", "--ready-when", "--on-exit", "--mesh", "--stop-with", "--until", "--restart", "--wait-timeout"]
    {
        let mut process = house.mode("sidecar").arg(option).finish();
        assert_eq!((process.code(), process.err().lines().count()), (125, 1), "{option}: {}", process.err());
        assert!(process.err().contains(option), "{option}: {}", process.err());
    }
}

/// A job without a partner costs no inotify instance, of which a node has few.
#[test]
fn the_directory_is_watched_by_main_only_for_a_partner() {
    let watches = |job: &Process| proc::descriptors(job.pid).iter().any(|one| one.contains("inotify"));
    for (options, watched) in [(vec![], false), (vec!["--stop-with", "proxy"], true)] {
        let house = House::new();
        let mut job = job(&house, &options, TALKER);
        // What exeunt does at the start has been done when it passes a signal on.
        still_serves(&mut job);
        assert_eq!(watches(&job), watched, "{options:?}");
    }
}
