//! Several of a kind: mains, sidecars, and what one means to the other.

use crate::pod::{
    BOTH, FAILED, LIMIT, SERVER, TOLD, container, main_job, main_with, plays, sidecar, sidecar_with, spec,
};

const TOO: &str = "until [ -e /tmp/pod/serving-too ]; do sleep 0.1; done;";

#[test]
fn two_sidecars_leave() {
    let slow = SERVER.replace("echo", "sleep 1; echo").replace("serving", "serving-too");
    let second = container("second", &["--mode", "sidecar"], &slow);
    let main = main_job(&format!("{BOTH} {TOO} exit 0"));
    plays(
        &spec(&[main, sidecar(), second]),
        &["Complete", "job: 0 Completed", TOLD, "second: 0 Completed: told to stop"],
    );
}

/// The names are those of people: with digits, a dash, a dot.
#[test]
fn a_sidecar_of_two_mains_stays_until_both_are_over() {
    let one = container("one", &["--mode", "main", "--name", "load.1"], &format!("{BOTH} exit 0"));
    let over = "until [ -e /tmp/pod/load.1-terminated ]; do sleep 0.1; done; sleep 1; exit 0";
    let two = container("two", &["--mode", "main", "--name", "load_2-b"], over);
    let sidecar = sidecar_with(&["--until", "load.1,load_2-b"]);
    plays(&spec(&[one, two, sidecar]), &["Complete", "one: 0 Completed", "two: 0 Completed", TOLD]);
}

#[test]
fn a_sidecar_of_any_of_two_mains() {
    let one = container("one", &["--mode", "main", "--name", "one"], &format!("{BOTH} exit 0"));
    let two = container("two", &["--mode", "main", "--name", "two"], "until [ -e /tmp/pod/left ]; do sleep 0.1; done");
    let line = SERVER.replace("exit 0", "touch /tmp/pod/left; exit 0");
    let sidecar = container("sidecar", &["--mode", "sidecar", "--until", "one,two", "--until-any"], &line);
    plays(&spec(&[one, two, sidecar]), &["Complete", "one: 0 Completed", TOLD, "two: 0 Completed"]);
}

/// The job cannot go on without it.
#[test]
fn a_sidecar_that_fails_and_stops_the_job() {
    let main = main_with(
        &["--stop-with", "sidecar"],
        "trap 'echo given up >&2; exit 4' TERM; touch /tmp/pod/up; while :; do sleep 60 & wait; done",
    );
    let sidecar = container(
        "sidecar",
        &["--mode", "sidecar", "--name", "sidecar"],
        "until [ -e /tmp/pod/up ]; do sleep 0.1; done; exit 5",
    );
    plays(&spec(&[main, sidecar]), &[FAILED, "sidecar: 5 Error*", "job: 4 Error: given up", LIMIT]);
}

/// The job goes on, and the Job fails all the same: a native sidecar would have hidden it.
#[test]
fn a_sidecar_that_fails_by_itself() {
    let main = main_job("until [ -e /tmp/pod/gone ]; do sleep 0.1; done; sleep 1; exit 0");
    let sidecar = container("sidecar", &["--mode", "sidecar"], "touch /tmp/pod/gone; exit 5");
    plays(&spec(&[main, sidecar]), &[FAILED, "sidecar: 5 Error*", "job: 0 Completed", LIMIT]);
}

#[test]
fn a_sidecar_that_is_started_again_in_its_container() {
    let line = "[ -e /tmp/pod/tried ] || { touch /tmp/pod/tried; exit 5; };".to_owned() + SERVER;
    let sidecar = container("sidecar", &["--mode", "sidecar", "--restart", "on-failure"], &line);
    plays(&spec(&[main_job(&format!("{BOTH} exit 0")), sidecar]), &["Complete", "job: 0 Completed", TOLD]);
}

#[test]
fn a_sidecar_that_is_deaf_is_killed_after_its_grace() {
    let deaf = SERVER.replace("echo told to stop >&2; exit 0", "");
    let sidecar = container("sidecar", &["--mode", "sidecar", "--grace", "1s"], &deaf);
    plays(
        &spec(&[main_job(&format!("{BOTH} exit 0")), sidecar]),
        &["Complete", "job: 0 Completed", "sidecar: 0 Completed*"],
    );
}

#[test]
fn the_code_of_the_sidecar_may_be_its_own() {
    let line = SERVER.replace("exit 0", "exit 8");
    let sidecar = container("sidecar", &["--mode", "sidecar", "--exit-with", "child"], &line);
    let expected = [FAILED, "job: 0 Completed", "sidecar: 8 Error: told to stop", LIMIT];
    plays(&spec(&[main_job(&format!("{BOTH} exit 0")), sidecar]), &expected);
}

#[test]
fn the_code_of_the_sidecar_may_be_that_of_the_job() {
    let expected = [FAILED, "job: 7 Error", "sidecar: 7 Error: told to stop", LIMIT];
    plays(&spec(&[main_job(&format!("{BOTH} exit 7")), sidecar_with(&["--exit-with", "main"])]), &expected);
}

#[test]
fn the_job_waits_until_the_sidecar_is_ready() {
    let main = main_with(&["--wait-for", "sidecar"], "[ -e /tmp/pod/serving ] && echo it serves >&2");
    let line = "sleep 2;".to_owned() + SERVER;
    let options = ["--mode", "sidecar", "--name", "sidecar", "--ready-when", "file:///tmp/pod/serving"];
    let sidecar = container("sidecar", &options, &line);
    plays(&spec(&[main, sidecar]), &["Complete", "job: 0 Completed: it serves", TOLD]);
}

/// What the job has said last is to be shipped.
#[test]
fn a_sidecar_that_lingers() {
    let expected = ["Complete", "job: 0 Completed", "second: 0 Completed: told to stop", TOLD];
    let second = container("second", &["--mode", "sidecar"], &SERVER.replace("serving", "serving-too"));
    let main = main_job(&format!("{BOTH} {TOO} exit 0"));
    plays(&spec(&[main, sidecar_with(&["--linger", "3s"]), second]), &expected);
}

#[test]
fn another_signal_is_its_stop() {
    let line = "trap 'echo told by INT >&2; exit 0' INT; touch /tmp/pod/serving; while :; do sleep 60 & wait; done";
    let sidecar = container("sidecar", &["--mode", "sidecar", "--stop-signal", "INT"], line);
    let expected = ["Complete", "job: 0 Completed", "sidecar: 0 Completed: told by INT"];
    plays(&spec(&[main_job(&format!("{BOTH} exit 0")), sidecar]), &expected);
}
