//! The subcommand `status`: what the shared directory says, for people.

use crate::exit;
use crate::machine::{Status, Verdict};
use crate::report::Report;
use crate::signal;
use crate::stage::conclude::Conclusion;
use crate::stage::observe::Observer;
use crate::stage::record::{Policy, Record};
use crate::stage::{Directory, names, ready, running, terminated};
use crate::sys::signals;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How many names are shown, and how many files gone through in search of them. Who may write into the directory decides how
/// many there are, and `status` runs within the job's memory.
const NAMES: usize = 1000;
const ENTRIES: usize = 100_000;
/// How often `--watch` looks: a person reads it.
const PAUSE: Duration = Duration::from_millis(500);

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    state: &'static str,
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_policy: Option<Policy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
}

/// The table, or JSON: one object a name.
///
/// # Errors
/// If the directory cannot be read.
pub fn run(dir: &Path, run_id: Option<&str>, json: bool, report: &Report) -> Result<String> {
    let directory = Directory::open(dir)?;
    let mut found = BTreeSet::new();
    let entries = std::fs::read_dir(dir).with_context(|| format!("{} cannot be read", dir.display()))?;
    let mut more = false;
    for (count, entry) in entries.enumerate() {
        if count == ENTRIES || found.len() > NAMES {
            more = true;
            break;
        }
        let Ok(file) = entry?.file_name().into_string() else { continue };
        found.extend(names::name_of(&file).map(str::to_owned));
    }
    if more {
        report.warning(&format!("{} holds more than is shown here: at most {NAMES} names", dir.display()));
    }
    let lines: Vec<Line> = found.into_iter().take(NAMES).map(|name| line(&directory, name, run_id)).collect();
    if json {
        return Ok(serde_json::to_string(&lines)? + "\n");
    }
    if lines.is_empty() {
        return Ok(format!("nobody is on stage in {}\n", dir.display()));
    }
    Ok(table(&lines))
}

/// Shows it, and again whenever it has changed, until nobody reads it any more.
///
/// # Errors
/// If the directory cannot be read.
pub fn watch(show: impl Fn() -> Result<String>, print: impl Fn(&str) -> bool) -> Result<u8> {
    let mut shown = String::new();
    loop {
        let text = show()?;
        if text != shown {
            if !print(&text) {
                return Ok(exit::OURS);
            }
            shown = text;
        }
        signals::pause(PAUSE);
    }
}

fn line(directory: &Directory, name: String, run_id: Option<&str>) -> Line {
    let mut observer = Observer::new(&name, run_id);
    let conclusion = observer.look(directory);
    let is_ready = observer.is_ready(directory);
    let file = if directory.has(&terminated(&name)) { terminated(&name) } else { running(&name) };
    let record = directory.open_file(&file).as_ref().and_then(Record::read);
    let (state, verdict) = match conclusion {
        Conclusion::NotStarted if directory.has(&ready(&name)) => ("lost", None),
        Conclusion::NotStarted => ("not started", None),
        Conclusion::Running => ("running", None),
        Conclusion::Unproven => ("unknown", None),
        Conclusion::BetweenAttempts(verdict) => ("between attempts", Some(verdict)),
        Conclusion::Over(verdict @ Verdict::Lost) => ("dead", Some(verdict)),
        Conclusion::Over(verdict) => ("over", Some(verdict)),
    };
    let status = match verdict {
        Some(Verdict::Told(status)) => Some(status),
        _ => None,
    };
    Line {
        name,
        state,
        ready: is_ready,
        restart_policy: record.as_ref().map(|record| record.restart_policy),
        attempt: record.as_ref().map(|record| record.attempt),
        exit_code: status.and_then(|status| match status {
            Status::Exited(code) => Some(code),
            Status::Killed(_) => None,
        }),
        signal: status.and_then(|status| match status {
            Status::Killed(signal) => Some(signal),
            Status::Exited(_) => None,
        }),
        since: record.map(|record| record.ended.unwrap_or(record.started)).filter(|since| !since.is_empty()),
    }
}

fn table(lines: &[Line]) -> String {
    let mut rows = vec![["NAME", "STATE", "READY", "RESTARTS", "ATTEMPT", "CODE", "SINCE"].map(str::to_owned)];
    for line in lines {
        let code = match (line.exit_code, line.signal) {
            (Some(code), _) => code.to_string(),
            (None, Some(signal)) => signal::name(signal),
            (None, None) => "-".to_owned(),
        };
        rows.push([
            line.name.clone(),
            line.state.to_owned(),
            if line.ready { "yes" } else { "no" }.to_owned(),
            line.restart_policy.map_or("-", Policy::word).to_owned(),
            line.attempt.map_or("-".to_owned(), |attempt| attempt.to_string()),
            code,
            // Somebody else wrote it: no more than a time is long, and nothing that no time has in it.
            line.since
                .as_ref()
                .map_or("-".to_owned(), |since| since.chars().filter(char::is_ascii_graphic).take(30).collect()),
        ]);
    }
    let widths = rows.iter().fold([0; 7], |mut widths, row| {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
        widths
    });
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
