//! The commands in the containers, as lines of a shell. Each notes what it does: `begin PID`, `end CODE`.

use super::script::{Attempt, Helper, Job};
use std::path::Path;
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
    let (log, hold) = (log.display(), dir.join("hold"));
    let (begin, hold) = (format!("echo begin $$ >> {log}"), format!("read x < {}", hold.display()));
    let there = |job: &String| format!("[ -e {}/pod/{job}-terminated ]", dir.display());
    let over = jobs.iter().map(there).collect::<Vec<_>>().join(" && ");
    let seconds = |ms| format!("{:.3}", Duration::from_millis(ms).as_secs_f64());
    shell(match helper {
        Helper::Plain => format!("{begin}; exec sleep 1000"),
        Helper::Tidy => format!("trap 'exit 0' TERM; {begin}; {hold}"),
        Helper::IgnoresTerm => format!("trap '' TERM; {begin}; {hold}"),
        Helper::SeesTheSentinel(code) => {
            format!("trap '' TERM; {begin}; until {over}; do :; done; exit {code}")
        }
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

fn shell(line: String) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
}
