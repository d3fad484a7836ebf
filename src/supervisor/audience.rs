//! Whom we observe: the watch, the looks and when the next one is due.

use super::waits::{NAMES_SHOWN, lives, short};
use crate::machine::{Role, Seen, Verdict};
use crate::options::How;
use crate::plan::Plan;
use crate::report::Report;
use crate::stage::conclude::{Conclusion, together};
use crate::stage::observe::Observer;
use crate::stage::watch::{Bell, Watch};
use crate::stage::{Directory, running, terminated};
use crate::words;
use anyhow::Context;
use std::time::{Duration, Instant};

/// One look in this time whatever the watch says: some sandboxes and network file systems lose events
/// (google/gvisor#11326, kata-containers#10411).
const SLOW_LOOK: Duration = Duration::from_secs(5);
/// One look in this time where there is no watch.
const POLL: Duration = Duration::from_secs(1);
/// After the event of a closed `-running` the lock goes "in a moment": these are the moments. Then back to sleep.
const SOON: [Duration; 8] = [
    Duration::from_micros(100),
    Duration::from_micros(200),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(50),
];

/// What of a job is awaited that a person may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// That it comes.
    Job,
    /// Its next attempt, after one that ended so.
    Attempt(Verdict),
}

/// The observers of one process and their watch.
pub struct Audience {
    own_name: Option<String>,
    /// Whether only the records of one run count.
    one_run: bool,
    observers: Vec<Observer>,
    any: bool,
    partner: bool,
    how: How,
    watch: Option<Watch>,
    /// When the next slow look is due. Moved by slow looks alone: whatever rings, and however often, they come.
    next_slow: Instant,
    /// When the next of a series of quick looks is due, and its place in the series.
    next_soon: Option<Instant>,
    soon: usize,
    /// Since when nothing of the job is there, and how long that may be.
    absent: Option<Instant>,
    absence: Option<Duration>,
    begun: bool,
    /// Whether there was a slow look, some time after the first.
    waited: bool,
    conclusion: Conclusion,
    said: Said,
}

/// What is said once.
#[derive(Default)]
struct Said {
    /// What is there instead of the job.
    hint: Option<String>,
    unproven: bool,
    vanished: bool,
    trouble: bool,
}

impl Audience {
    /// The observers that a plan asks for: of the job in a sidecar, of the partner in main.
    pub fn new(plan: &Plan) -> Audience {
        let (names, any, partner) = match plan.policy.role {
            Role::Sidecar => (plan.until.iter(), plan.until_any, false),
            Role::Main => (plan.stop_with.as_slice().iter(), true, true),
        };
        Audience {
            own_name: plan.name.clone(),
            one_run: plan.run_id.is_some(),
            observers: names.map(|name| Observer::new(name, plan.run_id.as_deref())).collect(),
            any,
            partner,
            how: plan.watch,
            watch: None,
            next_slow: Instant::now(),
            next_soon: None,
            soon: SOON.len(),
            absent: None,
            absence: plan.absence,
            begun: false,
            waited: false,
            conclusion: Conclusion::NotStarted,
            said: Said::default(),
        }
    }

    /// Whether there is a watch.
    pub fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// When the next look is due.
    pub fn next_look(&self) -> Instant {
        let missing = self.absent.zip(self.absence).and_then(|(since, most)| since.checked_add(most));
        [self.next_soon, missing].into_iter().flatten().fold(self.next_slow, Instant::min)
    }

    /// Whether the job was alive at the last look, so that its end may be a moment away.
    pub fn sees_it_alive(&self) -> bool {
        self.conclusion == Conclusion::Running
    }

    /// What somebody waits for: that the job comes, or its next attempt.
    pub fn awaits(&self) -> Option<Awaited> {
        if self.partner || !self.begun {
            return None;
        }
        match self.conclusion {
            Conclusion::BetweenAttempts(verdict) => Some(Awaited::Attempt(verdict)),
            // Where one of several is enough, those that are there will do.
            Conclusion::NotStarted | Conclusion::Running | Conclusion::Unproven => {
                let mut missing = self.observers.iter().map(|one| one.conclusion == Conclusion::NotStarted);
                let missing = if self.any { missing.all(|missing| missing) } else { missing.any(|missing| missing) };
                missing.then_some(Awaited::Job)
            }
            Conclusion::Over(_) => None,
        }
    }

    /// The names of which nothing is there.
    pub fn missing(&self) -> String {
        let missing = self.observers.iter().filter(|one| one.conclusion == Conclusion::NotStarted);
        missing.map(Observer::name).collect::<Vec<_>>().join(", ")
    }

    /// What the last look has found, in a few words that change when something else is found.
    pub fn answer(&self) -> &'static str {
        match self.conclusion {
            Conclusion::NotStarted if self.said.hint.is_none() && self.waited => "nothing of it is there yet",
            Conclusion::NotStarted => "nothing of it is there",
            Conclusion::Running => "it runs",
            Conclusion::Unproven => "its lock proves nothing here",
            Conclusion::BetweenAttempts(_) => "an attempt has ended",
            Conclusion::Over(_) => "it is over",
        }
    }

    /// What is there instead of the job, or why nothing can be seen, once that has been said.
    pub fn hinted(&self) -> Option<&str> {
        if self.said.vanished { Some("the directory itself has vanished") } else { self.said.hint.as_deref() }
    }

    /// Whether some time has passed since the first look.
    pub fn has_waited(&self) -> bool {
        self.waited
    }

    /// Looks again, quickly, a few times: something has ended that may have ended with the job.
    pub fn look_closely(&mut self) {
        self.soon = 0;
        self.plan_next(Instant::now());
    }

    /// Whether there is no such series of looks under way.
    pub fn is_at_rest(&self) -> bool {
        self.next_soon.is_none()
    }

    fn plan_next(&mut self, now: Instant) {
        self.next_soon = SOON.get(self.soon).map(|pause| now + *pause);
        self.soon = self.soon.saturating_add(1);
    }

    /// Gives the watch up, where its thread is one too many.
    pub fn poll_instead(&mut self, report: &Report) -> bool {
        let watched = self.watch.take().is_some();
        if watched {
            self.how = How::Poll;
            self.next_slow = Instant::now() + POLL;
            report
                .warning("there is no room for a process and a watch; the shared directory is looked at once a second");
        }
        watched
    }

    /// The first look. One before the watch, because a watch is not set up for nothing when the job is over already; and
    /// one after it, because what came in between makes no event.
    pub fn begin(&mut self, dir: &mut Directory, bell: Option<&Bell>, report: &Report) -> Option<Seen> {
        if !std::mem::replace(&mut self.begun, true) && !matches!(self.conclude(dir), Conclusion::Over(_)) {
            match self.how {
                How::Inotify => self.set_watch(dir, bell, report),
                How::Poll => report.warning("the shared directory is looked at once a second (--watch poll)"),
            }
        }
        self.next_slow = Instant::now() + self.slow_pause();
        self.look(dir, bell, report, false)
    }

    fn slow_pause(&self) -> Duration {
        match self.how {
            How::Inotify => SLOW_LOOK,
            How::Poll => POLL,
        }
    }

    fn conclude(&mut self, dir: &Directory) -> Conclusion {
        let any = self.any;
        together(self.observers.iter_mut().map(|observer| observer.look(dir)), any)
    }

    fn set_watch(&mut self, dir: &Directory, bell: Option<&Bell>, report: &Report) {
        let names: Vec<_> = self.observers.iter().map(|observer| observer.name().to_owned()).collect();
        self.watch = None;
        let set = bell
            .context("no descriptor is left for it")
            .and_then(|bell| Watch::set(dir.path(), Watch::files_of(&names), bell));
        match set {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => {
                self.how = How::Poll;
                report.warning(&format!(
                    "{} cannot be watched ({}); it is looked at once a second instead",
                    dir.path().display(),
                    words::chain(&error)
                ));
            }
        }
    }

    /// One look, and when the next is due.
    pub fn look(&mut self, dir: &mut Directory, bell: Option<&Bell>, report: &Report, closed: bool) -> Option<Seen> {
        let now = Instant::now();
        let slow = self.next_slow <= now;
        if closed {
            self.soon = 0;
        }
        if self.watch.take_if(|watch| watch.is_dead()).is_some() {
            self.how = How::Poll;
            self.next_slow = now + POLL;
            report.warning("the watch on the shared directory has ended; it is looked at once a second instead");
        }
        if slow {
            self.follow(dir, bell, report);
        }
        let conclusion = self.conclude(dir);
        if slow {
            self.hint(dir, report);
            self.waited = true;
        }
        self.say_trouble(dir, report, conclusion);
        self.conclusion = conclusion;
        let now = Instant::now();
        self.plan_next(now);
        if slow {
            self.next_slow = now + self.slow_pause();
        }
        if self.is_missing(now) {
            return Some(Seen::Missing);
        }
        match conclusion {
            Conclusion::Over(_) if self.partner => Some(Seen::PartnerGone),
            _ if self.partner => None,
            Conclusion::Over(verdict) => Some(Seen::Over(verdict)),
            Conclusion::BetweenAttempts(verdict) => Some(Seen::Paused(verdict)),
            Conclusion::Unproven => {
                self.say_unproven(dir, report);
                Some(Seen::On)
            }
            Conclusion::NotStarted | Conclusion::Running => Some(Seen::On),
        }
    }

    fn say_unproven(&mut self, dir: &Directory, report: &Report) {
        if std::mem::replace(&mut self.said.unproven, true) {
            return;
        }
        let closed = self.observers.iter().find_map(|observer| Some((observer.name(), observer.closed?)));
        report.warning(&match closed {
            Some((name, errno)) => format!(
                "{} is there and cannot be opened ({}); relying on its sentinel, for a kill of {name} cannot be seen",
                dir.path().join(running(name)).display(),
                words::errno(errno)
            ),
            None => format!(
                "{} has a record whose lock cannot be trusted here (another kernel, or a file system that does not share \
                 locks); relying on its sentinel",
                self.names()
            ),
        });
    }

    /// Whether the job, or its next attempt, has been away for too long.
    fn is_missing(&mut self, now: Instant) -> bool {
        if self.partner || !matches!(self.conclusion, Conclusion::NotStarted | Conclusion::BetweenAttempts(_)) {
            self.absent = None;
            return false;
        }
        let since = *self.absent.get_or_insert(now);
        let missing = self.absence.is_some_and(|most| now.saturating_duration_since(since) >= most);
        if missing {
            self.absent = Some(now);
        }
        missing
    }

    /// The directory may have been removed, and made again: then all begins anew there.
    fn follow(&mut self, dir: &mut Directory, bell: Option<&Bell>, report: &Report) {
        if dir.is_current() {
            self.said.vanished = false;
            return;
        }
        match dir.reopen() {
            Ok(new) => {
                *dir = new;
                self.said.vanished = false;
                if self.how == How::Inotify {
                    self.set_watch(dir, bell, report);
                }
            }
            Err(_) if self.said.vanished => {}
            Err(_) => {
                self.said.vanished = true;
                report.warning(&format!("{} has vanished; waiting for it to come back", dir.path().display()));
            }
        }
    }

    /// "Not there" and "cannot be seen" are not the same to a person.
    fn say_trouble(&mut self, dir: &Directory, report: &Report, conclusion: Conclusion) {
        if self.said.trouble || conclusion != Conclusion::NotStarted {
            return;
        }
        let trouble = self.observers.iter().find_map(|observer| dir.trouble(&terminated(observer.name())));
        if let Some(errno) = trouble {
            self.said.trouble = true;
            self.said.hint = Some(format!("it cannot be looked into: {}", words::errno(errno)));
            report.warning(&format!("{} cannot be looked into: {}", dir.path().display(), words::errno(errno)));
        }
    }

    /// Lives of others and nothing of the one awaited: usually a misspelt name.
    fn hint(&mut self, dir: &Directory, report: &Report) {
        if self.said.hint.is_some()
            || !self.observers.iter().all(|observer| observer.conclusion == Conclusion::NotStarted)
        {
            return;
        }
        let mut others = lives(dir.path());
        others.retain(|other| self.own_name.as_deref() != Some(other));
        // With a run id a record of another run is as good as absent; without one every record counts.
        let awaited = |own: &&Observer| others.iter().any(|other| own.name() == other.as_str());
        if let Some(own) = self.observers.iter().find(awaited).filter(|_| self.one_run) {
            let (name, path) = (own.name(), dir.path().display());
            let (hint, message) = match own.stranger() {
                Some(run) => (
                    format!("it lives there under another run id ({})", short(run)),
                    format!(
                        "{name} lives in {path} under another run id ({}) and does not count: are two runs in one \
                         directory, give each its own (subPath); are they one, give both sides the same --run-id",
                        short(run)
                    ),
                ),
                None => (
                    "it is there with another run id, or none".to_owned(),
                    format!(
                        "{name} is in {path} with another run id, or none, and does not count; give both sides the same \
                         --run-id"
                    ),
                ),
            };
            self.said.hint = Some(hint);
            return report.warning(&message);
        }
        if !others.is_empty() {
            others.truncate(NAMES_SHOWN);
            let others = others.join(", ");
            report.warning(&format!(
                "nothing of {} is in {}, but {others} is there; is {} spelt right?",
                self.names(),
                dir.path().display(),
                if self.partner { "--stop-with" } else { "--until" }
            ));
            self.said.hint = Some(format!("{others} is there; is --until spelt right?"));
        }
    }

    fn names(&self) -> String {
        self.observers.iter().map(Observer::name).collect::<Vec<_>>().join(", ")
    }
}
