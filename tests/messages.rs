//! What exeunt says: the forms of a line, the levels, and the termination log.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{EXEUNT, House, Process, Run};
use init::{both_modes, said_one_line};
use std::fs;

#[test]
fn a_message_is_one_line_and_moves_no_cursor_whatever_it_quotes() {
    let house = House::new();
    let odd = "odd\nexeunt main: all is well\r\x1b[2J\x07\u{9b}31m\u{202e}\u{2066}\u{200b}";
    let dir = house.path(odd).display().to_string();
    let words: [&[&str]; 5] = [
        &["--dir", &dir, "--", "true"],
        &["--no-such\x1b[2J\noption", "--", "true"],
        &["--log-level", odd, "--", "true"],
        &["--name", odd, "--", "true"],
        &["--", odd],
    ];
    for words in words {
        for run in both_modes(&house) {
            let mut run = run.args(words).start();
            run.ended();
            said_one_line(&run, &[]);
            let turns = |c| char::is_control(c) || ['\u{202e}', '\u{2066}', '\u{200b}'].contains(&c);
            assert!(!run.err().trim_end().contains(turns), "{:?}", run.err());
        }
    }
}

/// Whatever is too long for a line stands in its middle; what is wrong with it, at its end.
#[test]
fn a_message_that_is_too_long_keeps_its_end() {
    let house = House::new();
    let long = "\u{e9}".repeat(3000);
    let pod = house.pod("").display().to_string();
    let words: [(&[&str], &str); 2] = [
        (&["--dir", &long, "--", "true"], "name it with --dir: File name too long (ENAMETOOLONG)"),
        (&["--dir", &pod, "--", &long], "cannot be executed: File name too long (ENAMETOOLONG)"),
    ];
    for (words, end) in words {
        for format in ["text", "json"] {
            house.anew();
            let mut run = house.run(EXEUNT).args(["--mode", "main", "--log-format", format]).args(words).start();
            run.ended();
            let told = run.err();
            let whole = told.len() <= 4096 && told.contains(" [...] ") && told.contains(end);
            assert!(whole && told.matches("[...]").count() == told.lines().count(), "{told}");
        }
    }
}

/// The lines on standard error, as JSON.
fn json(run: &Process) -> Vec<serde_json::Value> {
    run.err().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn as_json_each_message_is_one_object_a_line() {
    let house = House::new();
    for (run, mode) in both_modes(&house).into_iter().zip(["main", "sidecar"]) {
        let mut run = run.without_cores().args(["--log-format", "json"]).command("kill -9 $$").start();
        assert_eq!(run.code(), 137);
        let lines = json(&run);
        assert_eq!(lines.len(), 1, "{}", run.err());
        let mut keys: Vec<_> = lines[0].as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["level", "message", "mode", "time"]);
        assert_eq!((&lines[0]["level"], &lines[0]["mode"]), (&"info".into(), &mode.into()));
        assert!(lines[0]["message"].as_str().unwrap().contains("SIGKILL"));
        let time = lines[0]["time"].as_str().unwrap();
        assert!(
            time.len() == 24 && time.as_bytes()[10] == b'T' && time.ends_with('Z'),
            "RFC 3339, UTC, milliseconds: {time}"
        );
    }
    for run in both_modes(&house) {
        // Quotes, line breaks and escapes in what is quoted stay inside the text.
        let run = run.env("PATH", "/usr/bin:/bin").args(["--log-format", "json", "--", "no\"such\ncommand\\\x1b"]);
        let mut run = run.start();
        assert_eq!(run.code(), 127);
        let lines = json(&run);
        assert_eq!((lines.len(), &lines[0]["level"]), (1, &"error".into()));
    }
    for run in both_modes(&house) {
        // A mistake in another option is already told in the form that was asked for.
        let mut run = run.env("EXEUNT_LOG_FORMAT", "json").args(["--grace", "soon", "--", "true"]).start();
        assert_eq!(run.code(), 125);
        assert_eq!(json(&run).len(), 1);
    }
}

#[test]
fn the_level_decides_what_is_said() {
    let house = House::new();
    let err = |level: &str, line: &str| {
        house.anew();
        let mut run = house.main().without_cores().args(["--log-level", level]).command(line).start();
        run.ended();
        run.err()
    };
    for level in ["error", "warning"] {
        assert_eq!(err(level, "kill -9 $$"), "", "{level}");
    }
    assert_eq!(err("info", "kill -9 $$").lines().count(), 1);
    assert_eq!(err("info", "exit 3"), "");
    let debug = err("debug", "exit 3");
    assert!(debug.lines().all(|line| line.starts_with("exeunt main: debug: ")), "{debug}");
    for line in ["the command has started: starting -> running; publish that it is ready", "; exit with 3"] {
        assert!(debug.contains(line), "{line} in: {debug}");
    }
    // In words, and not as the program's source would write it.
    assert!(!debug.contains(['{', '}']) && !debug.contains("Exited"), "{debug}");
    // What ends exeunt is said on every level.
    for level in ["error", "warning", "info", "debug"] {
        let mut run = house
            .main()
            .args(["--log-level", level, "--", "no-such-command-anywhere"])
            .env("PATH", "/usr/bin:/bin")
            .start();
        assert_eq!(run.code(), 127);
        assert!(
            run.err().contains("exeunt main: the command \"no-such-command-anywhere\" was not found"),
            "{}",
            run.err()
        );
    }
}

/// With a file of this test as /dev/termination-log, in a /dev that only this run sees.
fn with_termination_log(house: &House, run: Run, make: &str) -> Run {
    fs::write(house.path("log"), old_log()).unwrap();
    let prepare = format!(
        "cd \"$1\"; mkdir -p dev; mount -t tmpfs none dev; : > dev/null; mount --bind /dev/null dev/null; {make}; \
         mkdir dev/shm; if [ -d /dev/shm ]; then mount --rbind /dev/shm dev/shm; fi; \
         mount --rbind dev /dev; cd /"
    );
    run.after(&prepare, house.path(""))
}

/// Longer than any message, so that a rest of it would show.
fn old_log() -> String {
    "from the time before\n".repeat(50)
}

const BOUND: &str = ": > dev/termination-log; mount --bind log dev/termination-log";

#[test]
fn why_exeunt_itself_failed_is_in_the_termination_log_too() {
    let house = House::new();
    for words in
        [&["--grace", "soon", "--", "true"][..], &["--no-such-option"], &["--dir", "/no/such/directory", "--", "true"]]
    {
        for run in both_modes(&house) {
            let mut run = with_termination_log(&house, run.args(words), BOUND).start();
            assert_eq!(run.code(), 125);
            // In place of what was there, and the same line.
            assert_eq!(fs::read_to_string(house.path("log")).unwrap(), run.err());
        }
    }
}

#[test]
fn the_termination_log_is_left_to_a_command_that_was_started() {
    let house = House::new();
    for line in ["exit 3", "kill -9 $$", "exit 0"] {
        for run in both_modes(&house) {
            with_termination_log(&house, run.without_cores().command(line), BOUND).finish();
            assert_eq!(fs::read_to_string(house.path("log")).unwrap(), old_log(), "{line}");
        }
    }
    for run in both_modes(&house) {
        let line = "echo from the command > /dev/termination-log; exit 9";
        assert_eq!(with_termination_log(&house, run.command(line), BOUND).finish().code(), 9);
        assert_eq!(fs::read_to_string(house.path("log")).unwrap(), "from the command\n");
    }
}

#[test]
fn a_termination_log_that_is_a_link_or_a_fifo_or_a_directory_is_neither_followed_nor_waited_for() {
    let house = House::new();
    let make = [
        "ln -s \"$1/log\" dev/termination-log",
        "mkfifo dev/termination-log",
        "mkdir dev/termination-log",
        "ln -s termination-log dev/termination-log",
        "true",
    ];
    for make in make {
        for run in both_modes(&house) {
            let run = run.args(["--grace", "soon", "--", "true"]);
            let mut run = with_termination_log(&house, run, make).start();
            assert_eq!(run.code(), 125, "{make}");
            said_one_line(&run, &["--grace"]);
            assert_eq!(fs::read_to_string(house.path("log")).unwrap(), old_log(), "{make}");
        }
    }
}

#[test]
fn what_the_system_says_has_one_form_whoever_brings_it() {
    use anyhow::Context;
    use exeunt::words;
    let form = "No space left on device (ENOSPC)";
    let by_std = || std::io::Error::from_raw_os_error(libc::ENOSPC);
    assert_eq!(words::errno(nix::errno::Errno::ENOSPC), form);
    assert_eq!(words::io(&by_std()), form);
    let chains = [
        Err::<(), _>(nix::errno::Errno::ENOSPC).context("it failed"),
        Err(by_std()).context("it failed"),
        Err(fs::TryLockError::Error(by_std())).context("it failed"),
    ];
    for error in chains {
        assert_eq!(words::chain(&error.unwrap_err()), format!("it failed: {form}"));
    }
    // ENOTSUPP, which the kernel lets out of some file systems and no C library knows.
    assert_eq!(words::io(&std::io::Error::from_raw_os_error(524)), "error 524 of the system");
    assert_eq!(words::io(&std::io::Error::other("a word of its own")), "a word of its own");
}
