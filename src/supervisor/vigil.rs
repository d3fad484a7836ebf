//! Waiting for conditions without ceasing to be an init: what can be watched is looked at (in `volume.rs`), everything else is
//! asked by a probe, a child process of ours that runs this binary.

use super::volume::{Conditions, Local};
use crate::condition::{Condition, Kind};
use crate::machine::Verdict;
use crate::plan::Plan;
use crate::probe;
use crate::sys::child::{self, Launch};
use crate::sys::descriptors::Pipe;
use crate::sys::{mounts, signals};
use nix::unistd::Pid;
use std::ffi::{CString, OsString};
use std::time::{Duration, Instant};

/// Between two probes: gently at first, for most proxies are up within the second, and then once a second.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// When a probe is ended that has not ended itself within its own limit.
const PROBE_PATIENCE: Duration = Duration::from_secs(7);

/// Conditions that are waited for, all of them.
pub struct Vigil {
    /// Which wait this is.
    pub number: u32,
    /// Whether some of them are looked at; and one such look has been asked for.
    pub looks: bool,
    asked: bool,
    remote: Vec<Condition>,
    remote_holds: bool,
    probe: Option<Probe>,
    next: Instant,
    pause: Duration,
    /// Each of those that are looked at is watched.
    watched: bool,
    /// The last answer, for the message when time runs out.
    pub last_answer: String,
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

/// Whether a condition is looked at, and not asked by a probe: a name, or a file where nothing hangs.
pub fn can_be_looked_at(condition: &Condition) -> bool {
    match &condition.kind {
        Kind::Name(_) => true,
        Kind::File(path) => path.parent().is_some_and(mounts::answers_at_once),
        Kind::Http(_) | Kind::Tcp(_) | Kind::Unix(_) | Kind::Exec(_) => false,
    }
}

impl Vigil {
    /// Begins to wait for these conditions, of which those that are `remote` are asked by a probe.
    pub fn new(number: u32, conditions: &[Condition], remote: Vec<Condition>) -> Vigil {
        Vigil {
            number,
            looks: remote.len() < conditions.len(),
            asked: false,
            remote_holds: remote.is_empty(),
            remote,
            probe: None,
            next: Instant::now(),
            pause: FIRST_PAUSE,
            watched: false,
            last_answer: conditions.first().map_or(String::new(), |condition| format!("{condition}: no answer yet")),
        }
    }

    /// Takes note of whether each of those that are looked at is watched.
    pub fn is_watched(&mut self, watched: bool) {
        self.watched = watched;
    }

    /// When something is to be done without anything having happened. Nothing is, once the probe has been killed and not
    /// yet reaped, or a look is under way: its end will be heard of.
    pub fn next(&self) -> Option<Instant> {
        match &self.probe {
            Some(probe) => probe.until,
            None => (!self.asked).then_some(self.next),
        }
    }

    /// What is asked of the volume: to look at those that can be looked at.
    pub fn ask(&mut self, then_job: bool) -> Conditions {
        self.asked = true;
        Conditions { wait: self.number, others_hold: self.remote_holds, then_job }
    }

    /// Ends a probe whose time is up.
    pub fn end_probe(&mut self) {
        if let Some(probe) = &mut self.probe
            && probe.until.is_some_and(|until| until <= Instant::now())
        {
            probe.until = None;
            let _ = child::send(probe.pid, true, libc::SIGKILL as u8);
        }
    }

    /// Makes something of what was seen of those that are looked at, and starts a probe of the others if one is due.
    pub fn see(&mut self, local: Local, plan: &Plan, signals: signals::Set) -> Outlook {
        let now = Instant::now();
        self.asked = false;
        let over = match local {
            Local::Hold if self.remote_holds => return Outlook::Hold,
            Local::Hold => None,
            Local::Waiting(text) => {
                self.last_answer = text;
                None
            }
            Local::Hopeless(text, name, verdict) => {
                self.last_answer = text;
                Some((name, verdict))
            }
        };
        if let Some((name, verdict)) = over {
            return Outlook::Hopeless(name, verdict);
        }
        if self.probe.is_none() && now >= self.next {
            if !self.remote_holds {
                self.start_probe(plan, signals);
            }
            self.next = now + self.pause;
            // Where all that is left is watched, the looks in between are for events that were lost.
            let watched = self.remote_holds && self.watched;
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
