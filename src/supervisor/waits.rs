//! What is waited for, and how that is said. When it is said, `patience.rs` decides.

use super::Supervisor;
use super::audience::{Audience, Awaited};
use super::messages::describe;
use super::patience::Patience;
use crate::condition::Condition;
use crate::machine::{State, Told, Verdict};
use crate::plan::program;
use crate::stage::names;
use crate::sys::{child, signals};
use humantime::format_duration;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// A wait that is given up within this is spoken of by its end alone, or both would be said in one breath.
const BRIEF: Duration = Duration::from_secs(2);
/// How many processes of a group are named.
const NAMED: usize = 5;
/// How many entries are gone through in search of a misspelt name, and how many names are shown.
const ENTRIES: usize = 1000;
pub(super) const NAMES_SHOWN: usize = 10;
/// How much of a word that somebody else wrote is shown.
const SHOWN: usize = 64;

/// What a person may be waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The conditions before the start.
    Conditions,
    /// The condition of being ready.
    Ready,
    /// The name, while another live process holds it.
    Name,
    /// A job of which nothing is there yet.
    Job,
    /// The next attempt, after one that ended so.
    Attempt(Verdict),
    /// The rest of a group whose leader has ended.
    Group,
    /// The end of the job, with a SIGTERM in hand.
    Hold,
    /// The end of a command that we have asked to end.
    Stop,
    /// The answers to the requests of the goodbye.
    Goodbye,
    /// The shared directory, which does not answer.
    Volume,
}

impl Supervisor {
    /// Whatever is waited for longer than a second is spoken of.
    pub(super) fn mind_the_wait(&mut self, now: Instant) {
        let Some(waited) = self.waited() else {
            self.patience = None;
            return;
        };
        let mut patience = match self.patience.take() {
            Some(patience) if patience.is_for(&waited) => patience,
            _ => Patience::begin(waited, now),
        };
        if matches!(waited, Waited::Conditions | Waited::Ready) {
            patience.hear(&self.last_answer);
        } else if let Some(audience) = self.audience.as_ref().filter(|_| waited != Waited::Group) {
            // To whoever waits for the job to come, what may be wrong is news, too; and so is that nothing is, after a while.
            let news = if waited == Waited::Job && audience.has_no_hint() { " yet" } else { "" };
            patience.hear(&format!("{}{news}", audience.answer()));
        }
        if waited == Waited::Group {
            // Whoever has started a build in the background has new processes all the time; that there are fewer is news.
            let least = patience.answer().parse().unwrap_or(usize::MAX);
            patience.hear(&self.rest_of_group().len().min(least).to_string());
        }
        if patience.speaks(now) {
            self.report.info(&self.say_waited(waited));
        }
        self.patience = Some(patience);
    }

    fn waited(&self) -> Option<Waited> {
        if self.command.as_ref().is_some_and(|command| command.leader.is_some() && self.plan.group) {
            return Some(Waited::Group);
        }
        if self.door.hangs() && !matches!(self.state, State::Publishing { .. } | State::Leaving { .. } | State::Done) {
            return Some(Waited::Volume);
        }
        match self.state {
            State::Claiming { held: true, .. } => Some(Waited::Name),
            State::Gated { .. } => (self.plan.wait_timeout > BRIEF).then_some(Waited::Conditions),
            State::Holding => Some(Waited::Hold),
            State::Stopping { .. } => (self.plan.grace > BRIEF).then_some(Waited::Stop),
            State::Leaving { .. } => Some(Waited::Goodbye),
            State::Running { .. } if self.vigil.is_some() => Some(Waited::Ready),
            State::Running { told: Told::Nothing } | State::BackingOff { .. } => {
                match self.audience.as_ref().and_then(Audience::awaits)? {
                    Awaited::Job => Some(Waited::Job),
                    Awaited::Attempt(verdict) => Some(Waited::Attempt(verdict)),
                }
            }
            _ => None,
        }
    }

    fn say_waited(&self, waited: Waited) -> String {
        let name = program(&self.plan.command).display();
        let job = self.plan.until.join(", ");
        match waited {
            Waited::Conditions => {
                let most = format_duration(self.plan.wait_timeout);
                format!("waiting for {}{}; gives up after {most} (--wait-timeout)", self.last_answer, self.misspelt())
            }
            Waited::Ready => {
                format!("{name} is not ready yet: {}; it is asked until it is (--ready-when)", self.last_answer)
            }
            Waited::Name => {
                let own = self.plan.name.as_deref().unwrap_or_default();
                let most = format_duration(super::CLAIM_PATIENCE);
                format!("waiting for the name {own}: {}; gives up after {most}", self.held_by)
            }
            Waited::Job => {
                let job = self.audience.as_ref().map(Audience::missing).unwrap_or_default();
                let dir = self.plan.dir.display();
                format!("waiting for the job {job}: nothing of it is in {dir} yet{}{}", self.limit(), self.hint())
            }
            Waited::Attempt(verdict) => format!(
                "an attempt of the job {job} has ended ({}); waiting for the next, as main was told (--restart-policy, \
                 --restart-on){}",
                describe(verdict),
                self.limit()
            ),
            Waited::Group => {
                let members = self.rest_of_group();
                let shown = members.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                let more = if members.len() > NAMED { ", ..." } else { "" };
                let what = if members.len() == 1 { "process" } else { "processes" };
                let limit = match self.state {
                    State::Stopping { .. } => {
                        format!("; SIGKILL after {} (--grace)", format_duration(self.plan.grace))
                    }
                    _ => "; without limit".to_owned(),
                };
                format!(
                    "waiting for the rest of {name}'s process group (--group): {} {what} ({shown}{more}){limit}",
                    members.len()
                )
            }
            Waited::Hold => {
                let most = format_duration(self.plan.outlive_main);
                let answer = self.audience.as_ref().map_or("", Audience::answer);
                format!("SIGTERM is held back until the job {job} is over ({answer}), at most {most} (--outlive-main)")
            }
            Waited::Stop => {
                let grace = format_duration(self.plan.grace);
                format!("waiting for {name} to end; SIGKILL after {grace} (--grace)")
            }
            Waited::Volume => {
                let dir = self.plan.dir.display();
                let most = if self.plan.failed {
                    format!("; gives up after {}", format_duration(super::PUBLISH_PATIENCE))
                } else {
                    String::new()
                };
                format!("the shared directory {dir} does not answer; waiting for it{most}")
            }
            Waited::Goodbye => {
                let most = format_duration(super::GOODBYE_PATIENCE);
                format!("waiting for the answers to --on-exit; gives up after {most}")
            }
        }
    }

    /// For a name of which nothing is there: who is. A volume that may hang is not looked at for a hint.
    pub(super) fn misspelt(&self) -> String {
        let awaited = self.plan.wait_for.iter().filter_map(Condition::name);
        let awaited: Vec<_> = awaited.filter(|name| self.last_answer.starts_with(&format!("{name}: "))).collect();
        if awaited.is_empty() || !self.is_local() {
            return String::new();
        }
        let mut others = lives(&self.plan.dir);
        if others.iter().any(|other| awaited.contains(&other.as_str())) {
            return String::new();
        }
        others.retain(|other| self.plan.name.as_deref() != Some(other));
        others.truncate(NAMES_SHOWN);
        if others.is_empty() {
            return " (nothing of it is there: has the other container this --name?)".to_owned();
        }
        format!(" (nothing of it is there, but {} is: a misspelt name?)", others.join(", "))
    }

    fn is_local(&self) -> bool {
        self.door.is_local()
    }

    /// Why the job may not come.
    fn hint(&self) -> String {
        // Only in a container: elsewhere the root file system is everybody's.
        if self.is_local() && is_in_a_container() && is_on_root(&self.plan.dir) {
            return "; the directory lies on this container's own root file system, which no other container sees: mount the shared \
                    volume there"
                .to_owned();
        }
        let Some(audience) = &self.audience else { return String::new() };
        match audience.hinted() {
            Some(hint) => format!("; {hint}"),
            None if audience.has_waited() => {
                "; if main runs, do both mount the same volume there, without another subPath?".to_owned()
            }
            None => String::new(),
        }
    }

    fn limit(&self) -> String {
        self.plan.absence.map_or_else(
            || "; without limit (--absence-timeout sets one)".to_owned(),
            |most| format!("; gives up after {} (--absence-timeout)", format_duration(most)),
        )
    }

    fn rest_of_group(&self) -> Vec<String> {
        let members = self.command.as_ref().and_then(|command| child::members(command.pid).ok());
        members.unwrap_or_default().into_iter().map(|member| member.name).collect()
    }

    /// What a signal has ended the wait for.
    pub(super) fn say_interrupted(&self, signal: u8, what: &str) {
        let name = program(&self.plan.command).display();
        self.report.info(&format!("{} while waiting for {what}; {name} is not started", signals::name(signal)));
    }
}

/// The names of the lives in a directory.
pub(super) fn lives(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .take(ENTRIES)
        .filter_map(|entry| {
            let file = entry.ok()?.file_name().into_string().ok()?;
            let is_life = file.ends_with("-running") || file.ends_with("-terminated");
            names::name_of(&file).filter(|_| is_life).map(str::to_owned)
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// A word that somebody else wrote, no longer than a person reads.
pub(super) fn short(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

fn is_in_a_container() -> bool {
    std::process::id() == 1 || statfs("/").is_ok_and(|root| root.filesystem_type() == OVERLAYFS_SUPER_MAGIC)
}

fn is_on_root(dir: &Path) -> bool {
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    device(dir).is_some_and(|own| device(Path::new("/")) == Some(own))
}
