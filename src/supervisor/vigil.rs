//! Waiting for conditions without ceasing to be an init: what can be watched is looked at, everything else is asked by a
//! probe, a child process of ours that runs this binary.

use crate::condition::{Condition, Kind};
use crate::machine::Verdict;
use crate::plan::Plan;
use crate::probe;
use crate::report::Report;
use crate::stage::Directory;
use crate::stage::conclude::Conclusion;
use crate::stage::observe::Observer;
use crate::stage::watch::{Bell, Meaning, Watch};
use crate::sys::child::{self, Launch};
use crate::sys::descriptors::Pipe;
use crate::sys::signals;
use crate::words;
use nix::unistd::Pid;
use std::ffi::{CString, OsString};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Between two probes: gently at first, for most proxies are up within the second, and then once a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// When a probe is ended that has not ended itself within its own limit.
const PROBE_PATIENCE: Duration = Duration::from_secs(7);

/// Conditions that are waited for, all of them.
pub struct Vigil {
    local: Vec<Local>,
    remote: Vec<Condition>,
    remote_holds: bool,
    probe: Option<Probe>,
    next: Instant,
    pause: Duration,
    watches: Vec<Watch>,
    /// The last answer, for the message when time runs out.
    pub last_answer: String,
}

enum Local {
    File(Condition, PathBuf),
    /// With whether it has been seen alive.
    Name(Condition, Box<Observer>, bool),
}

struct Probe {
    pid: Pid,
    answer: Option<Pipe>,
    /// When it is killed; `None`: it has been.
    until: Option<Instant>,
}

/// What has become of the conditions.
#[derive(Debug, PartialEq, Eq)]
pub enum Outlook {
    /// All of them hold.
    Hold,
    /// Not yet.
    Open,
    /// One of them never will: this life is over, and so it ended.
    Hopeless(String, Verdict),
}

impl Vigil {
    /// Begins to wait: watch first, look afterwards.
    pub fn new(conditions: &[Condition], plan: &Plan, bell: Option<&Bell>, report: &Report) -> Vigil {
        let local: Vec<Local> = conditions
            .iter()
            .filter_map(|condition| match &condition.kind {
                Kind::File(path) => Some(Local::File(condition.clone(), path.clone())),
                Kind::Name(name) => {
                    Some(Local::Name(condition.clone(), Box::new(Observer::new(name, plan.run_id.as_deref())), false))
                }
                Kind::Http(_) | Kind::Tcp(_) | Kind::Unix(_) | Kind::Exec(_) => None,
            })
            .collect();
        let remote: Vec<Condition> = conditions.iter().filter(|condition| !condition.is_local()).cloned().collect();
        let mut watches = Vec::new();
        for one in &local {
            let watch = bell.and_then(|bell| one.watch(plan, bell, report));
            watches.extend(watch);
        }
        Vigil {
            remote_holds: remote.is_empty(),
            local,
            remote,
            probe: None,
            next: Instant::now(),
            pause: FIRST_PAUSE,
            watches,
            last_answer: conditions.first().map_or(String::new(), |condition| format!("{condition}: no answer yet")),
        }
    }

    /// When something is to be done without anything having happened. Nothing is, once the probe has been killed and not
    /// yet reaped: its end will be heard of.
    pub fn next(&self) -> Option<Instant> {
        self.probe.as_ref().map_or(Some(self.next), |probe| probe.until)
    }

    /// Looks, and starts a probe if one is due.
    pub fn look(&mut self, dir: &Directory, plan: &Plan, signals: signals::Set) -> Outlook {
        let now = Instant::now();
        if let Some(probe) = &mut self.probe
            && probe.until.is_some_and(|until| until <= now)
        {
            probe.until = None;
            let _ = child::send(probe.pid, true, libc::SIGKILL as u8);
        }
        let waiting = self.local.iter_mut().find_map(|one| (!one.holds(dir)).then(|| one.describe()));
        if let Some(text) = &waiting {
            self.last_answer.clone_from(text);
        }
        if waiting.is_none() && self.remote_holds {
            return Outlook::Hold;
        }
        let over = self.local.iter().find_map(Local::over);
        if let Some((name, verdict)) = over {
            return Outlook::Hopeless(name.to_owned(), verdict);
        }
        if self.probe.is_none() && now >= self.next {
            if !self.remote_holds {
                self.start_probe(plan, signals);
            }
            self.next = now + self.pause;
            // Where all that is left is watched, the looks in between are for events that were lost.
            let watched = self.remote_holds && !self.watches.is_empty() && self.watches.len() == self.local.len();
            self.pause = if watched { LONGEST_PAUSE } else { (self.pause * 2).min(LONGEST_PAUSE) };
        }
        Outlook::Open
    }

    fn start_probe(&mut self, plan: &Plan, ignored: signals::Set) {
        let mut words: Vec<OsString> = vec!["exeunt".into(), "probe".into(), "--timeout".into()];
        words.push(format!("{}ms", probe::LIMIT.as_millis()).into());
        // Its words are for us, and go into a message of ours.
        words.extend(["--log-level", "error", "--log-format", "text"].map(OsString::from));
        words.push("--".into());
        words.extend(self.remote.iter().map(|condition| OsString::from(condition.to_string())));
        let answer = Pipe::new().ok();
        let launch = Launch::of_ourselves(&words, ignored, &plan.working_directory);
        let started = launch.map_err(|error| error.to_string()).and_then(|mut launch| {
            launch.own_group = true;
            launch.stderr = answer.as_ref().map(Pipe::writer);
            launch.directory = CString::new(plan.working_directory.as_os_str().as_encoded_bytes()).ok();
            launch.start().map_err(|refused| refused.to_string())
        });
        match started {
            Ok(started) => {
                let pid = started.pid;
                let answer = answer.map(Pipe::reading);
                self.probe = Some(Probe { pid, answer, until: Some(Instant::now() + PROBE_PATIENCE) });
            }
            Err(error) => self.last_answer = format!("no probe can be started: {error}"),
        }
    }

    /// Takes note of a dead child, which may be the probe.
    pub fn ended(&mut self, pid: Pid, code: u8) {
        let Some(probe) = self.probe.take_if(|probe| probe.pid == pid) else { return };
        // What an `exec:` condition left behind, if anything. The number cannot be another group's as long as this one has
        // members, and has been free for a microsecond if it has none.
        let _ = child::send(pid, true, libc::SIGKILL as u8);
        let text = probe.answer.map(|pipe| pipe.read()).unwrap_or_default();
        let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let line = line.strip_prefix("exeunt probe: ").unwrap_or(line);
        if code == 0 {
            self.remote_holds = true;
            self.next = Instant::now();
        } else if line.is_empty() {
            self.last_answer = format!("the probe ended with {code}");
        } else {
            line.clone_into(&mut self.last_answer);
        }
    }
}

impl Drop for Vigil {
    /// Nobody waits any more: the probe and what it runs go. They are reaped as any other orphan is.
    fn drop(&mut self) {
        if let Some(probe) = &self.probe {
            let _ = child::send(probe.pid, true, libc::SIGKILL as u8);
        }
    }
}

impl Local {
    fn watch(&self, plan: &Plan, bell: &Bell, report: &Report) -> Option<Watch> {
        let set = match self {
            Local::File(_, path) => {
                let (directory, file) = (path.parent()?, path.file_name()?);
                Watch::set(directory, vec![(file.to_owned(), Meaning::Other)], bell)
            }
            Local::Name(_, observer, _) => Watch::set(&plan.dir, Watch::files_of_ready(observer.name()), bell),
        };
        set.map_err(|error| {
            report.debug(|| format!("{} is not watched, but looked at: {}", self.describe(), words::chain(&error)))
        })
        .ok()
    }

    /// The life that is awaited and is over.
    fn over(&self) -> Option<(&str, Verdict)> {
        match self {
            Local::Name(_, observer, seen) => match observer.conclusion {
                // A life that nobody has ended and nobody has seen may be a remnant, whose name is taken anew.
                Conclusion::Over(Verdict::Lost) if !*seen => None,
                Conclusion::Over(verdict) => Some((observer.name(), verdict)),
                _ => None,
            },
            Local::File(..) => None,
        }
    }

    fn holds(&mut self, dir: &Directory) -> bool {
        match self {
            Local::File(_, path) => std::fs::metadata(path).is_ok(),
            Local::Name(_, observer, seen) => {
                let ready = observer.is_ready(dir);
                *seen |= observer.conclusion == Conclusion::Running;
                ready
            }
        }
    }

    fn describe(&self) -> String {
        match self {
            Local::File(condition, _) => format!("{condition}: not there"),
            Local::Name(condition, ..) => format!("{condition}: not ready"),
        }
    }
}
