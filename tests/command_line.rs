//! What a command line is answered that is nearly right; and that the sidecars of a main that is wrong do not wait for ever.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{EXEUNT, House, wait_for};
use init::said_one_line;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

/// A typing error is the commonest failure of all: the only one whose Job hung.
#[test]
fn a_main_with_a_wrong_option_ends_its_sidecars_and_keeps_125() {
    let wrong: [&[&str]; 9] = [
        &["--wait-timeout", "5min."],
        &["--graces", "5s"],
        &["--grace"],
        &["--until", "x"],
        &["--name=main-job", "--wait-for", "db:5432"],
        &["--nonsense=x", "--restart-policy", "Never"],
        &["-x"],
        &["--on-exit", "https://a/"],
        &["--group=perhaps"],
    ];
    for options in wrong {
        let house = House::new();
        let sidecar = house.mode("sidecar").args(["--", "sleep", "1000"]).start();
        let mut main = house.run(EXEUNT).args(["--mode", "main"]).args(options).arg("--dir").arg(house.pod(""));
        main = main.args(["--", "touch"]).arg(house.path("started"));
        let mut main = main.finish();
        assert_eq!(main.code(), 125, "{options:?}: {}", main.err());
        said_one_line(&main, &[]);
        assert_eq!(house.record("main-job-terminated")["exit_code"], 125, "{options:?}");
        let mut sidecar = sidecar;
        assert_eq!(sidecar.code(), 0, "{options:?}: {}", sidecar.err());
        assert!(!house.path("started").exists());
    }
}

#[test]
fn what_could_be_untrue_is_not_published() {
    let wrong: [&[&str]; 9] = [
        &["\u{2013}restart-policy", "on-failure"],
        &["--restart-policy", "sometimes"],
        &["--restart-polcy", "on-failure"],
        &["--graces", "5s", "--restart-policy"],
        &["--graces", "5s", "--name", "a/b"],
        &["--nmae", "other"],
        &["--name", "--grace", "5s"],
        &["--moed", "main"],
        &["--run-id", "--graces", "5s"],
    ];
    for options in wrong {
        let house = House::new();
        let mut main = house.run(EXEUNT).args(["--mode", "main"]).arg("--dir").arg(house.pod("")).args(options);
        main = main.args(["--", "true"]);
        let mut main = main.finish();
        assert_eq!(main.code(), 125, "{options:?}: {}", main.err());
        assert_eq!(house.listing(), [""; 0], "{options:?}");
    }
    // An end that is repeated is none.
    let house = House::new();
    let mut main = house.main().args(["--restart-policy", "OnFailure", "--graces", "5s", "--", "true"]).finish();
    assert_eq!(main.code(), 125);
    assert_eq!(house.listing(), ["main-job-running"]);
    // The name is another's, who lives.
    let house = House::new();
    let job = house.job(&[]);
    let before = fs::read(house.pod("main-job-running")).unwrap();
    let mut main = house.main().args(["--graces", "5s", "--", "true"]).finish();
    assert_eq!(main.code(), 125);
    assert_eq!(fs::read(house.pod("main-job-running")).unwrap(), before);
    assert!(!house.pod("main-job-terminated").exists());
    drop(job);
}

#[test]
fn what_is_misspelt_gets_the_nearest() {
    let house = House::new();
    for (words, names) in [
        (&["--mode", "sidecar", "--graces", "5s", "--", "x"][..], &["--graces", "did you mean --grace?"][..]),
        (&["--mode", "sidecar", "--lgo-level=info", "--", "x"], &["did you mean --log-level?"]),
        (&["status", "--jsn"], &["did you mean --json?"]),
        (&["staus"], &["staus", "did you mean exeunt status?"]),
        (&["intsall", "/x"], &["did you mean exeunt install?"]),
        (&["main", "--", "x"], &["did you mean exeunt --mode main -- COMMAND?"]),
        (&["help"], &["did you mean exeunt --help?"]),
        (&["nginx"], &["nginx", "--mode"]),
    ] {
        let mut run = house.run(EXEUNT).args(words).finish();
        assert_eq!(run.code(), 125, "{words:?}: {}", run.err());
        said_one_line(&run, names);
    }
}

/// Each is answered in one line that says what to write.
#[test]
fn what_is_nearly_right_is_answered_with_what_is() {
    let house = House::new();
    for (words, names) in [
        (&["-grace", "5s", "--", "true"][..], &["'-grace'", "did you mean --grace?"][..]),
        (&["-name=x", "--", "true"], &["'-name'", "did you mean --name?"]),
        (&["--group=true", "--", "true"], &["--group takes no value", "'true'", "write --group alone"]),
        (&["--grace", "5", "s", "--", "true"], &["\"s\"", "write 5s in one word"]),
        (&["--wait-timeout", "10", "min", "true"], &["write 10min in one word"]),
        (&["--wait-for", "/tmp/x", "--", "true"], &["is a path", "write file:///tmp/x"]),
        (&["--wait-for", "file:/x", "--", "true"], &["file:/x", "no condition", "file:///"]),
        (&["--wait-for", "tcp:db:1", "--", "true"], &["tcp:db:1", "no condition", "tcp://"]),
        (&["--wait-for", "10.0.0.7", "--", "true"], &["10.0.0.7", "without a port", "tcp://HOST:PORT"]),
        (&["--wait-for", "exec://", "--", "true"], &["names no command", "write exec:COMMAND"]),
        (&["--wait-for", "", "--", "true"], &["--wait-for", "is empty", "leave the option out"]),
        (&["--name=", "--", "true"], &["--name", "is empty", "leave the option out"]),
        (&["--stop-with", "main-job", "--", "true"], &["own name", "name another"]),
    ] {
        let mut run = house.main().args(words).finish();
        assert_eq!(run.code(), 125, "{words:?}: {}", run.err());
        said_one_line(&run, names);
    }
    // A unit is a command like any other behind --, and behind a word that is no number.
    let mut run = house.main().args(["--grace", "5", "--", "s"]).finish();
    assert_eq!(run.code(), 127, "{}", run.err());
}

/// With one dash an option is nothing to the parser, and what follows it is no command.
#[test]
fn an_option_with_one_dash_makes_nothing_untrue() {
    let house = House::new();
    for words in [&["-name", "other"][..], &["-name=other"], &["-restart-policy", "on-failure"]] {
        let mut run = house.main().args(words).args(["--", "true"]).finish();
        assert_eq!(run.code(), 125, "{words:?}: {}", run.err());
        assert_eq!(house.listing(), [""; 0], "{words:?}");
    }
    let mut run = house.main().args(["-grace", "5s", "--name", "other", "--", "true"]).finish();
    assert_eq!(run.code(), 125, "{}", run.err());
    assert_eq!(house.listing(), ["other-terminated"]);
}

/// An item of a list in a manifest that holds an option and its value is one word, and a long dash begins no option. The
/// parser refuses both; what they say of the end that is published counts all the same, or nothing is published.
#[test]
fn an_option_that_is_not_cut_into_words_or_has_a_long_dash_makes_nothing_untrue() {
    for (words, listing) in [
        (&["--grace 5s"][..], &["main-job-terminated"][..]),
        (&["--restart-policy on-failure"], &["main-job-running"]),
        (&["--restart-on  1-255"], &["main-job-running"]),
        (&["--name other"], &["other-terminated"]),
        (&["--name other --grace 5s"], &[]),
        (&["--restart-policy on-failure --grace 5s"], &[]),
        (&["--grace 5s --name other"], &[]),
        (&["--grace 5s --restart-policy=on-failure"], &[]),
        (&["—name", "other"], &[]),
        (&["–restart-policy=on-failure"], &[]),
        (&["—grace", "5s"], &["main-job-terminated"]),
    ] {
        let house = House::new();
        let mut run = house.main().args(words).args(["--", "true"]).finish();
        assert_eq!(run.code(), 125, "{words:?}: {}", run.err());
        assert_eq!(house.listing(), listing, "{words:?}");
    }
    let house = House::new();
    let mut run = house.run(EXEUNT).arg("--mode main").arg("--dir").arg(house.pod("")).args(["--", "true"]).finish();
    assert_eq!((run.code(), house.listing()), (125, vec!["main-job-terminated".to_owned()]), "{}", run.err());
    // Behind -- a dash is anybody's.
    house.anew();
    assert_eq!(house.main().args(["--", "—name"]).finish().code(), 127);
}

#[test]
fn two_dashes_are_no_value_and_a_time_is_no_command() {
    let house = House::new();
    for option in ["--name", "--until", "--run-id", "--grace", "--dir"] {
        let mut run = house.run(EXEUNT).args(["--mode", "sidecar", option, "--", "true"]).finish();
        assert_eq!(run.code(), 125);
        said_one_line(&run, &[option, "value"]);
    }
    for command in [&["5s", "--", "true"][..], &["20", "true"]] {
        let mut run = house.mode("sidecar").arg("--outlive-main").args(command).finish();
        assert_eq!(run.code(), 125, "{}", run.err());
        said_one_line(&run, &[&format!("write --outlive-main={}", command[0])]);
    }
    // Behind -- it is what it is.
    assert_eq!(house.mode("sidecar").args(["--until", "nobody", "--", "5s"]).finish().code(), 127);
}

#[test]
fn a_variable_that_is_none_is_named_with_the_nearest() {
    let house = House::new();
    let mut run =
        house.main().env("EXEUNT_GRACES", "5s").env("EXEUNT_SERVICE_HOST", "1").env("EXEUNT_PORT_80_TCP", "1");
    run = run.env("EXEUNT_TIMEOUT", "1s").args(["--", "true"]);
    let mut run = run.finish();
    assert_eq!(run.code(), 0);
    said_one_line(&run, &["warning", "EXEUNT_GRACES is no variable of exeunt; EXEUNT_GRACE is"]);
}

/// Reported as opencontainers/runc#1773.
#[test]
fn a_script_without_a_first_line_for_the_kernel_is_the_shell_s() {
    let house = House::new();
    let script = house.path("job");
    fs::write(&script, "echo $1 $2; exit 3\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    // Another thread of this process may have the file open for writing for a moment in what it starts.
    let ran = wait_for("the script", Duration::from_secs(10), || {
        let mut run = house.main().arg("--").arg(&script).args(["a b", "c"]).finish();
        (run.code() == 3).then(|| run.out())
    });
    assert_eq!(ran, "a b c\n");
}

/// The name is found by the search, and what it names is not there.
#[test]
fn the_interpreter_that_is_missing_is_named_and_so_are_its_line_ends() {
    let house = House::new();
    let script = house.path("entry.sh");
    fs::write(&script, "#!/bin/no-such-shell\r\nexit 3\r\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut run = house.main().env("PATH", house.path("").to_str().unwrap()).args(["--", "entry.sh"]).finish();
    assert_eq!(run.code(), 127);
    said_one_line(&run, &["is there", "/bin/no-such-shell", "CRLF"]);
    house.anew();
    let mut run = house.main().args(["--", "echo hello world"]).finish();
    assert_eq!(run.code(), 127);
    said_one_line(&run, &["one word", "sh -c"]);
}
