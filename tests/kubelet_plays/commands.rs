//! The commands in the containers, as lines of a shell. Each notes what it does: `begin PID`, `end CODE`.

use super::script::{Attempt, Helper, Job};
use crate::house::role::ROLE;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub fn job(attempt: &Attempt, dir: &Path, log: &Path) -> Vec<String> {
    let before = match attempt.job {
        Job::IsMissing => return vec!["/no/such/command".to_owned()],
        Job::Exits(_) | Job::Crashes => String::new(),
        Job::Forks(_) => "(sleep 0.03 &); ".to_owned(),
        Job::IgnoresTerm(_) => "trap '' TERM; ".to_owned(),
        Job::FillsTheVolume(_) => format!("head -c 300000 /dev/zero > {}/pod/fill 2>&-; ", dir.display()),
    };
    let after = match attempt.job {
        Job::Crashes => "kill -9 $$".to_owned(),
        _ => format!("exit {}", attempt.code()),
    };
    let (log, takes, code) = (log.display(), attempt.takes.as_secs_f64(), attempt.code());
    shell(format!("{before}echo begin $$ >> {log}; sleep {takes:.4}; echo end {code} >> {log}; {after}"))
}

pub fn help(helper: Helper, dir: &Path, log: &Path, jobs: &[String]) -> Vec<String> {
    let (path, log, hold) = (log, log.display(), dir.join("hold"));
    let (begin, hold) = (format!("echo begin $$ >> {log}"), format!("read x < {}", hold.display()));
    let there = |job: &String| format!("[ -e {}/pod/{job}-terminated ]", dir.display());
    let over = jobs.iter().map(there).collect::<Vec<_>>().join(" && ");
    let seconds = |ms| format!("{:.3}", Duration::from_millis(ms).as_secs_f64());
    shell(match helper {
        Helper::Plain => format!("{begin}; exec sleep 1000"),
        Helper::Tidy => format!("trap 'exit 0' TERM; {begin}; {hold}"),
        Helper::IgnoresTerm => format!("trap '' TERM; {begin}; {hold}"),
        Helper::SeesTheSentinel(code) => return sees_the_sentinels(code, dir, path, jobs),
        // Not by `hold`: a signal between the shell's last look and its read would wait for ever.
        Helper::StopsByInt => format!("trap '' TERM; trap 'exit 0' INT; {begin}; while :; do sleep 0.02; done"),
        Helper::Fails(code, ms) | Helper::FailsInTheFirstRound(code, ms) => {
            format!("{begin}; sleep {}; {over} && echo after the job >> {log}; exit {code}", seconds(ms))
        }
        Helper::Rotates(code, ms) => {
            let rotate = format!("echo rotated >> {log}");
            format!("trap '{rotate}' USR1; {begin}; sleep {}; echo end {code} >> {log}; exit {code}", seconds(ms))
        }
    })
}

/// A shell that looked all the time took nearly half of the time of all processors.
const BETWEEN_LOOKS: Duration = Duration::from_micros(20);
const LOG: &str = "HELPER_LOG";
const CODE: &str = "HELPER_CODE";
const SENTINELS: &str = "HELPER_SENTINELS";

fn sees_the_sentinels(code: u8, dir: &Path, log: &Path, jobs: &[String]) -> Vec<String> {
    let sentinels = jobs.iter().map(|job| dir.join(format!("pod/{job}-terminated")));
    let sentinels = std::env::join_paths(sentinels).expect("paths without colons");
    let this = std::env::current_exe().expect("the test itself");
    vec![
        "/usr/bin/env".to_owned(),
        format!("{ROLE}=sees_the_sentinels"),
        format!("{LOG}={}", log.display()),
        format!("{CODE}={code}"),
        format!("{SENTINELS}={}", sentinels.display()),
        this.display().to_string(),
    ]
}

/// The role of such a helper, in a process of its own.
pub fn play_one_that_sees_the_sentinels() {
    let told = |name| std::env::var_os(name).unwrap_or_else(|| panic!("{name} is not set"));
    // SAFETY: no handler is set, and no memory is touched.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
    let mut log = OpenOptions::new().append(true).create(true).open(told(LOG)).expect("the log");
    writeln!(log, "begin {}", std::process::id()).expect("a line in the log");
    let sentinels: Vec<PathBuf> = std::env::split_paths(&told(SENTINELS)).collect();
    while !sentinels.iter().all(|sentinel| sentinel.exists()) {
        std::thread::sleep(BETWEEN_LOOKS);
    }
    let code: Option<i32> = told(CODE).into_string().ok().and_then(|code| code.parse().ok());
    std::process::exit(code.expect("a code"));
}

fn shell(line: String) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
}
