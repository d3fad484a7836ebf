//! Bad input: one line that names what is wrong, code 125, nothing started, nothing created.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{EXEUNT, House, Process, Run};
use init::{both_modes, said_one_line};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Runs it and checks that it refuses with one line which contains all of `names`, has started no command and has left
/// the directory of the test as it was.
#[track_caller]
fn refuses(house: &House, run: Run, names: &[&str]) -> Process {
    let started = house.path("started");
    let before = tree(&house.pod(""));
    let mut run = run.args(["--", "touch"]).arg(&started).start();
    assert_eq!(run.code(), 125, "{}", run.err());
    said_one_line(&run, names);
    assert!(!started.exists(), "the command was started");
    assert_eq!(but_for_a_failed_main(tree(&house.pod(""))), but_for_a_failed_main(before), "something was created");
    run
}

/// The names in a directory and what they stand for.
fn tree(dir: &Path) -> Vec<(OsString, Vec<u8>)> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap());
    let mut tree: Vec<_> =
        entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap_or_default())).collect();
    tree.sort();
    tree
}

/// Without the one thing that a main leaves whose command line is wrong: the sentinel, so that its sidecars leave.
fn but_for_a_failed_main(mut tree: Vec<(OsString, Vec<u8>)>) -> Vec<(OsString, Vec<u8>)> {
    tree.retain(|(name, content)| {
        let failed = String::from_utf8_lossy(content).contains("\"exit_code\":125,\"final\":true");
        !(failed && name.to_string_lossy().ends_with("-terminated"))
    });
    tree
}

fn plain(house: &House) -> Run {
    house.run(EXEUNT)
}

#[test]
fn no_command_is_refused() {
    let house = House::new();
    let cases: [&[&str]; 4] = [&[], &["--"], &["--", ""], &["--", "", "an-argument"]];
    for words in cases {
        for run in both_modes(&house) {
            let mut run = run.args(words).start();
            assert_eq!(run.code(), 125);
            said_one_line(&run, &["command"]);
        }
    }
    assert_eq!(but_for_a_failed_main(tree(&house.pod(""))), []);
}

#[test]
fn no_mode_and_an_unknown_mode_are_refused() {
    let house = House::new();
    refuses(&house, plain(&house), &["--mode", "main", "sidecar"]);
    for mode in ["", "MAIN", "sidecars", "main,sidecar", "main "] {
        let names = if mode.is_empty() { vec!["mode"] } else { vec!["--mode", mode] };
        refuses(&house, plain(&house).args(["--mode", mode]), &names);
    }
    refuses(&house, plain(&house).env("EXEUNT_MODE", "helper"), &["EXEUNT_MODE", "helper"]);
}

#[test]
fn unknown_options_and_options_without_a_value_are_refused() {
    let house = House::new();
    for option in ["--no-such-option", "--until-all", "-x", "--mod"] {
        for run in both_modes(&house) {
            refuses(&house, run.arg(option), &[option]);
        }
    }
    for option in ["--name", "--grace", "--dir", "--log-level"] {
        for run in both_modes(&house) {
            // What comes after it is the next option, or nothing at all.
            let mut run = run.arg(option).start();
            assert_eq!(run.code(), 125);
            said_one_line(&run, &[option]);
        }
    }
    // A word that is no option begins no command without --.
    for run in both_modes(&house) {
        let mut run = run.args(["--group=perhaps", "--", "true"]).start();
        assert_eq!(run.code(), 125);
        said_one_line(&run, &["--group", "perhaps"]);
    }
}

#[test]
fn a_name_that_cannot_be_one_is_refused() {
    let house = House::new();
    let long = "n".repeat(129);
    for name in
        ["", "a/b", "/", "..", ".", "../escape", ".hidden", "a,b", "a b", "tab\there", "line\nbreak", "\x1b[2J", &long]
    {
        // What would change the terminal or break the line is not quoted as it is.
        let shown = if name.contains(char::is_control) || name.len() > 100 { "" } else { name };
        for run in both_modes(&house) {
            if name.is_empty() {
                // An empty flag is a value that is no name; an empty variable would count as unset.
                refuses(&house, run.args(["--name", name]), &["--name"]);
            } else {
                refuses(&house, run.args(["--name", name]), &["--name", shown]);
            }
        }
        if !name.contains(',') {
            let [_, sidecar] = both_modes(&house);
            refuses(&house, sidecar.args(["--until", name]), &["--until", shown]);
        }
        if !name.is_empty() {
            for run in both_modes(&house) {
                refuses(&house, run.env("EXEUNT_NAME", name), &["EXEUNT_NAME", shown]);
            }
        }
    }
    for list in ["main-job,", ",", ",main-job", "a,,b", "a,../b", "a, b"] {
        let [_, sidecar] = both_modes(&house);
        refuses(&house, sidecar.args(["--until", list]), &["--until"]);
    }
    let [_, sidecar] = both_modes(&house);
    refuses(&house, sidecar.args(["--name", "proxy", "--until", "proxy"]), &["--until", "proxy"]);
    // The longest that can be one is one.
    for run in both_modes(&house) {
        assert_eq!(run.args(["--name", &long[1..]]).command("exit 3").finish().code(), 3);
    }
}

#[test]
fn a_duration_that_is_none_is_refused() {
    let house = House::new();
    for text in [
        "",
        "soon",
        "-1",
        "-1s",
        "5 apples",
        "1e3",
        "0x10",
        "30ss",
        "s",
        "99999999999999999999",
        "600000000m",
        "inf",
        "1.5.2",
        "5M",
        "off",
    ] {
        for run in both_modes(&house) {
            refuses(&house, run.args(["--grace", text]), &["--grace", text]);
        }
    }
    for run in both_modes(&house) {
        refuses(&house, run.env("EXEUNT_GRACE", "tomorrow"), &["EXEUNT_GRACE", "tomorrow"]);
    }
    house.anew();
    let sidecar =
        house.sidecar().env("EXEUNT_ABSENCE_TIMEOUT", "0").args(["--absence-timeout", "off"]).command("exit 3");
    assert_eq!(sidecar.finish().code(), 3, "off is what it is called in the help");
    for text in ["0", "10", "500ms", "30s", "5m", "1h30m"] {
        for run in both_modes(&house) {
            assert_eq!(run.args(["--grace", text]).command("exit 3").finish().code(), 3, "{text}");
        }
    }
}

#[test]
fn a_word_that_is_none_of_the_choices_is_refused_with_the_choices() {
    let house = House::new();
    for (option, choice) in
        [("--restart-policy", "on-failure"), ("--log-level", "warning"), ("--log-format", "json"), ("--watch", "poll")]
    {
        for run in both_modes(&house) {
            refuses(&house, run.args([option, "nonsense"]), &[option, "nonsense", choice]);
        }
    }
    let [_, sidecar] = both_modes(&house);
    refuses(&house, sidecar.args(["--exit-with", "nonsense"]), &["--exit-with", "nonsense", "zero"]);
    for signal in ["", "SIGNONE", "0", "65", "-1", "KILL", "SIGSTOP", "17", "RTMIN+31"] {
        for run in both_modes(&house) {
            refuses(&house, run.args(["--stop-signal", signal]), &["--stop-signal", signal]);
        }
    }
    for run in both_modes(&house) {
        refuses(&house, run.env("EXEUNT_GROUP", "maybe"), &["EXEUNT_GROUP", "maybe"]);
    }
}

#[test]
fn an_option_of_the_other_mode_is_refused_as_a_flag_and_passed_over_as_a_variable() {
    let house = House::new();
    let [main, _] = both_modes(&house);
    refuses(&house, main.args(["--until", "main-job"]), &["--until", "sidecar"]);
    let [main, _] = both_modes(&house);
    refuses(&house, main.arg("--until-any"), &["--until-any", "sidecar"]);
    let [main, _] = both_modes(&house);
    refuses(&house, main.args(["--exit-with", "child"]), &["--exit-with", "sidecar"]);
    // A Pod may set it for all of its containers alike.
    let [main, _] = both_modes(&house);
    let main = main.env("EXEUNT_UNTIL", "../nonsense").env("EXEUNT_EXIT_WITH", "nonsense");
    assert_eq!(main.command("exit 3").finish().code(), 3);
}

#[test]
fn a_directory_that_is_missing_or_none_is_refused_with_its_path() {
    let house = House::new();
    fs::write(house.path("file"), "").unwrap();
    std::os::unix::fs::symlink("nowhere", house.path("dangling")).unwrap();
    for mode in ["main", "sidecar"] {
        for dir in ["missing", "missing/deeper", "file", "file/below", "dangling"] {
            let dir = house.path(dir);
            let run = plain(&house).args(["--mode", mode, "--dir"]).arg(&dir);
            refuses(&house, run, &[dir.to_str().unwrap()]);
            let run = plain(&house).args(["--mode", mode]).env("EXEUNT_DIR", &dir);
            refuses(&house, run, &[dir.to_str().unwrap()]);
        }
        assert!(!house.path("missing").exists() && !house.path("nowhere").exists(), "it was created");
    }
}

#[test]
fn what_is_not_utf_8_is_refused_where_text_is_needed() {
    let house = House::new();
    let odd = OsStr::from_bytes(b"n\xffame");
    for option in ["--name", "--grace", "--log-level", "--mode", "--stop-signal", "--run-id", "--watch"] {
        for run in both_modes(&house) {
            refuses(&house, run.arg(option).arg(odd), &[option]);
        }
    }
    for run in both_modes(&house) {
        refuses(&house, run.env("EXEUNT_NAME", odd), &["EXEUNT_NAME"]);
    }
    for run in both_modes(&house) {
        refuses(&house, run.arg(OsStr::from_bytes(b"--\xff")), &[]);
    }
    // A path is bytes, and so is a command.
    for mode in ["main", "sidecar"] {
        let dir = house.path(odd);
        fs::create_dir_all(&dir).unwrap();
        let mut run = plain(&house).args(["--mode", mode, "--dir"]).arg(&dir).command("exit 3").start();
        assert_eq!(run.code(), 3, "{}", run.err());
        fs::remove_dir_all(dir).unwrap();
    }
    for run in both_modes(&house) {
        let mut run = run.env("PATH", "/usr/bin:/bin").arg("--").arg(odd).start();
        assert_eq!(run.code(), 127);
        said_one_line(&run, &["was not found"]);
    }
}

#[test]
fn an_empty_variable_counts_as_unset_and_a_flag_wins_over_a_variable() {
    let house = House::new();
    for run in both_modes(&house) {
        let run = ["NAME", "GRACE", "LOG_LEVEL", "UNTIL", "RUN_ID", "GROUP", "DIR", "MODE"]
            .iter()
            .fold(run, |run, option| run.env(&format!("EXEUNT_{option}"), ""));
        assert_eq!(run.command("exit 3").finish().code(), 3);
    }
    for run in both_modes(&house) {
        let run = run.env("EXEUNT_GRACE", "nonsense").env("EXEUNT_MODE", "nonsense").args(["--grace", "1s"]);
        assert_eq!(run.command("exit 3").finish().code(), 3);
    }
    let run = plain(&house).env("EXEUNT_MODE", "main").env("EXEUNT_DIR", house.pod("")).env("EXEUNT_NAME", "job-7");
    assert_eq!(run.command("exit 3").finish().code(), 3);
    assert!(house.pod("job-7-terminated").exists());
}
