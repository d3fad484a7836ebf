//! What is read from given words and given variables is what the program itself makes of them: in the same words.

mod house;

use exeunt::machine::Role;
use exeunt::reading::{self, Reading, Scene, Wanted};
use exeunt::settings::Variables;
use house::{EXEUNT, House};
use std::ffi::OsString;
use std::process::Command;

fn read(words: &[&str], variables: &[(&str, &str)], has_directory: bool) -> Reading {
    read_where(words, variables, has_directory, true)
}

fn read_where(words: &[&str], variables: &[(&str, &str)], has_directory: bool, filled_in: bool) -> Reading {
    let words: Vec<OsString> = ["exeunt"].iter().chain(words).map(OsString::from).collect();
    let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let scene = Scene {
        variables: Variables::among(variables),
        working_directory: Some("/here".into()),
        filled_in,
        has_directory: &|_| has_directory,
    };
    reading::read(&words, &scene)
}

type Line = (&'static [&'static str], &'static [(&'static str, &'static str)]);

/// Words, variables: each is refused.
const REFUSED: [Line; 22] = [
    (&[], &[]),
    (&["--", "true"], &[]),
    (&["nginx"], &[]),
    (&["staus"], &[]),
    (&["--mode", "main"], &[]),
    (&["--mode", "boss", "--", "true"], &[]),
    (&["--mode", "main", "--graces", "5s", "--", "true"], &[]),
    (&["--mode", "main", "--grace", "--", "true"], &[]),
    (&["--mode", "main", "--until", "x", "--", "true"], &[]),
    (&["--mode", "sidecar", "--on-exit", "http://a/", "--", "true"], &[]),
    (&["--mode", "sidecar", "--outlive-main", "20s", "--", "true"], &[]),
    (&["--mode", "sidecar", "--until", "a,a/b", "--", "true"], &[]),
    (&["--mode", "sidecar", "--name", "main-job", "--", "true"], &[]),
    (&["--mode", "sidecar", "--ready-when", "file:///x", "--", "true"], &[]),
    (&["--", "true"], &[("EXEUNT_MODE", "boss")]),
    (&["--", "true"], &[("EXEUNT_MODE", "main"), ("EXEUNT_GRACE", "soon")]),
    (&["--", "true"], &[("EXEUNT_MODE", "main"), ("EXEUNT_WAIT_FOR", "a\nhttps://b/")]),
    (&["--", "true"], &[("EXEUNT_MODE", "sidecar"), ("EXEUNT_UNTIL_ANY", "perhaps")]),
    (&["--", "true"], &[("EXEUNT_MODE", "main"), ("EXEUNT_RESTART_POLICY", "Always")]),
    (&["--", "true"], &[("EXEUNT_MODE", "main"), ("EXEUNT_STOP_SIGNAL", "SIGKILL")]),
    (&["--", "true"], &[("EXEUNT_MODE", "main"), ("EXEUNT_LOG_LEVEL", "loud")]),
    (&["--dir", "", "--mode", "main", "--", "true"], &[]),
];

#[test]
fn the_program_refuses_in_the_same_words() {
    for (words, variables) in REFUSED {
        let house = House::new();
        let mut command = Command::new(EXEUNT);
        command.args(words).env_clear().env("EXEUNT_DIR", house.pod("")).envs(variables.iter().copied());
        let output = command.output().expect("exeunt");
        assert_eq!(output.status.code(), Some(125), "{words:?} {variables:?}");
        let said = String::from_utf8(output.stderr).expect("text");
        let reading = read(words, variables, false);
        let complaint = reading.wanted.expect_err("refused");
        let blank = if reading.mode.is_empty() { "" } else { " " };
        assert_eq!(said, format!("exeunt{blank}{}: {complaint:#}\n", reading.mode), "{words:?} {variables:?}");
    }
}

#[test]
fn a_plan_comes_of_given_words_and_given_variables_alone() {
    let variables = [("EXEUNT_MODE", "sidecar"), ("EXEUNT_GRACE", "7s"), ("EXEUNT_ON_EXIT", "no URL"), ("GRACE", "1s")];
    let reading = read(&["--dir", "pod", "--until=a,b", "--", "envoy", "-c"], &variables, true);
    let Ok(Wanted::Run(plan)) = reading.wanted else { panic!("{:?}", reading.wanted) };
    assert_eq!((reading.mode, plan.policy.role), ("sidecar", Role::Sidecar));
    assert_eq!(plan.dir.to_str(), Some("/here/pod"));
    assert_eq!(plan.grace.as_secs(), 7);
    assert_eq!(plan.until, ["a", "b"]);
    assert_eq!(plan.command, ["envoy", "-c"]);
    assert_eq!(reading.warnings, [""; 0]);
}

/// What is asked of the file system, and what of the variables, is what was handed in.
#[test]
fn the_surroundings_are_those_that_were_handed_in() {
    let words = ["--mode", "main", "sh", "--dir", "/x"];
    assert!(read(&words, &[], true).wanted.is_ok());
    let complaint = read(&words, &[], false).wanted.expect_err("no directory, and one is named behind the command");
    assert!(complaint.to_string().contains("stands behind the command"), "{complaint}");
    let warned = read(&["--mode", "main", "--", "x"], &[("EXEUNT_GRACES", "5s"), ("EXEUNT_PORT_1", "")], true).warnings;
    assert_eq!(warned, ["EXEUNT_GRACES is no variable of exeunt; EXEUNT_GRACE is"]);
    // Of two with one name the first counts, as for getenv(3).
    let twice = [("EXEUNT_MODE", "main"), ("EXEUNT_MODE", "sidecar")];
    assert_eq!(read(&["--", "x"], &twice, true).mode, "main");

    assert!(read(&["--", "x"], &[], true).wanted.is_err());
}

/// What Kubernetes has still to fill in is a mistake in a process, and none in a manifest.
#[test]
fn a_variable_that_is_to_be_filled_in_is_a_mistake_of_those_alone_who_are_started_with_it() {
    let words = ["--mode", "main", "--run-id=$(POD_UID)", "--", "sh", "-c", "echo $(date) ${HOME}"];
    assert!(read_where(&words, &[("EXEUNT_DIR", "/x/$(POD_UID)")], true, false).wanted.is_ok());
    let complaint = read(&words, &[], true).wanted.expect_err("it is as good as no id").to_string();
    assert!(complaint.starts_with("--run-id: the variable $(POD_UID) was not filled in"), "{complaint}");
    let shell = ["--mode", "main", "--wait-for", "exec:sh -c 'test -n \"${HOME}\"'", "--", "sh", "-c", "echo $(date)"];
    assert!(read(&shell, &[], true).wanted.is_ok());
    // In a variable, too, over two lines.
    let lines = [("EXEUNT_READY_WHEN", "exec:sh -c '\n  test -n \"${READY_FILE}\"'")];
    assert!(read(&["--mode", "sidecar", "--name", "x", "--", "x"], &lines, true).wanted.is_ok());
}
