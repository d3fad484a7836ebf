//! What is done at the shared directory, and nothing of when: the few operations, each of which may hang where the file
//! system is not local. Who calls them, the loop itself or a thread beside it, is the business of `door.rs`.

use super::waits::{NAMES_SHOWN, lives, short};
use crate::condition::{Condition, Kind};
use crate::machine::{Role, Status, Verdict};
use crate::options::How;
use crate::plan::Plan;
use crate::report::Report;
use crate::stage::alarm;
use crate::stage::conclude::{Conclusion, together};
use crate::stage::observe::Observer;
use crate::stage::publish::{Claim, Life, Turn, publish_bare, publish_bare_unopened};
use crate::stage::record::Record;
use crate::stage::watch::{Bell, Meaning, Remains, Watch};
use crate::stage::{Directory, running, stat, terminated};
use crate::sys::signals;
use crate::words;
use anyhow::{Context, Result};
use nix::errno::Errno;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One wish.
#[derive(Debug)]
pub enum Request {
    /// To take the name. Answered by `Claimed`.
    Claim(Turn),
    /// To put the mark of readiness there, or to take it away. Answered by `Done`.
    Mark(bool),
    /// To keep an eye on these conditions. Answered by `Awaited`.
    Await(Await),
    /// To keep an eye on no conditions any more. Answered by `Done`.
    Cease,
    /// To look. Answered by `Looked`.
    Look(Look),
    /// To watch the job no more, and only to look. Answered by `Done`.
    Unwatch,
    /// To look at the job no more. Answered by `Done`.
    Leave,
    /// To write how it ended. Answered by `Ended`.
    End {
        /// How the command ended.
        status: Status,
        /// Whether that is the end for good.
        last: bool,
    },
}

/// Which conditions are waited for.
#[derive(Debug)]
pub struct Await {
    /// Which wait this is, for its answers.
    pub wait: u32,
    /// The conditions that are looked at.
    pub conditions: Vec<Condition>,
    /// What a watch rings.
    pub bell: Option<Bell>,
}

/// One look. The conditions come first, and then the job, so that one that holds is believed only of a job that is not over.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// A look is answered by this number, or by a later one.
    pub number: u64,
    /// What a watch rings.
    pub bell: Option<Bell>,
    /// At the job, or at the partner.
    pub job: Option<Glance>,
    /// At the conditions.
    pub conditions: Option<Conditions>,
}

impl Look {
    /// One look for both.
    #[must_use]
    pub fn and(self, later: Look) -> Look {
        let job = match (self.job, later.job) {
            (Some(one), Some(other)) => Some(Glance {
                begin: one.begin | other.begin,
                slow: one.slow | other.slow,
                alarm: one.alarm & other.alarm,
            }),
            (one, other) => one.or(other),
        };
        Look { number: later.number, bell: later.bell, job, conditions: later.conditions.or(self.conditions) }
    }
}

/// How the job is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance {
    /// For the first time: a watch is set up.
    pub begin: bool,
    /// More slowly: is it still the same directory, is there a misspelt name?
    pub slow: bool,
    /// With the locks to tell of the end, where nothing else does. Not before the command runs, whose place the threads could
    /// take.
    pub alarm: bool,
}

/// How the conditions are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    /// Which wait it is for.
    pub wait: u32,
    /// Whether all those hold that are not looked at but asked.
    pub others_hold: bool,
    /// Whether the job is looked at as well once the wait is over.
    pub then_job: bool,
}

/// What came of a wish.
#[derive(Debug)]
pub enum Answer {
    /// Of opening it: whether it answers at once, or never.
    Opened(Result<bool>),
    /// Of taking the name.
    Claimed(Result<Claimed>),
    /// The conditions are looked at from now on.
    Awaited {
        /// Which wait it is for.
        wait: u32,
        /// Whether each of them is watched.
        watched: bool,
    },
    /// What a look has seen.
    Looked {
        /// Which look.
        number: u64,
        /// Of the job.
        job: Option<Sight>,
        /// Of the conditions of this wait.
        conditions: Option<(u32, Local)>,
    },
    /// There is nothing to say.
    Done,
    /// Of writing the end.
    Ended(Result<()>),
}

/// What came of an attempt to take the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// It is ours; which attempt this is, if the one before it failed.
    Ours(Option<u32>),
    /// Another live process holds it: who, and what to do about it.
    Held(String),
    /// Somebody is taking a name at this very moment.
    Contested,
}

/// What was seen of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// What is concluded from it.
    pub conclusion: Conclusion,
    /// How many lives have been seen so far: one may have come and gone between two looks.
    pub lives: u32,
    /// Whether the look was a slow one.
    pub slow: bool,
    /// How the directory is watched from now on.
    pub how: How,
    /// Whether there is a watch.
    pub watching: bool,
    /// The names of which nothing is there, where that keeps the job from being there.
    pub missing: Option<String>,
    /// What is there instead of the job, or why nothing can be seen, once that has been said.
    pub hint: Option<String>,
    /// Whether the directory itself has vanished.
    pub vanished: bool,
}

/// What was seen of the conditions that are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Local {
    /// All of them hold.
    Hold,
    /// One of them does not hold yet, in words.
    Waiting(String),
    /// One of them never will, in words; this life is over, and so it ended.
    Hopeless(String, String, Verdict),
}

/// The shared directory, and all that we have there.
pub struct Volume {
    plan: Arc<Plan>,
    report: Report,
    dir: Directory,
    life: Option<Life>,
    observers: Vec<Observer>,
    watch: Option<Watch>,
    /// Of a watch that was given up for a lock. Whether that was of use is seen, and said, when they are gone.
    remains: Option<Remains>,
    how: How,
    /// It answers at once, or never.
    local: bool,
    /// There is no watch, although one was wanted: the locks tell, as far as they can.
    alarms: bool,
    said: Said,
    awaited: Vec<Awaited>,
    watches: Vec<Watch>,
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

/// A condition that is looked at.
enum Awaited {
    File(Condition, PathBuf),
    /// With whether it has been seen alive.
    Name(Condition, Box<Observer>, bool),
}

impl Volume {
    /// The directory of a plan. `local`: it is known to be on a file system that answers at once, or never.
    ///
    /// # Errors
    /// One line that says which volume is missing.
    pub fn open(plan: Arc<Plan>, report: Report, local: bool) -> Result<Volume> {
        let dir = Directory::open(&plan.dir).inspect_err(|_| {
            // The others must not wait for us, as far as it can be told without looking.
            if let Some(name) = plan.name.as_deref().filter(|_| tells_by_existing(&plan))
                && let Err(errno) = publish_bare_unopened(&plan.dir, name)
            {
                report.debug(|| format!("no sentinel is made: {}", words::errno(errno)));
            }
        })?;
        Ok(Volume {
            local: local || dir.is_local(),
            alarms: false,
            how: plan.watch,
            plan,
            report,
            dir,
            life: None,
            observers: Vec::new(),
            watch: None,
            remains: None,
            said: Said::default(),
            awaited: Vec::new(),
            watches: Vec::new(),
        })
    }

    /// Whether it answers at once, or never.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Does what is asked for.
    pub fn serve(&mut self, request: Request) -> Answer {
        match request {
            Request::Claim(turn) => Answer::Claimed(self.claim(turn)),
            Request::Mark(ready) => {
                self.mark(ready);
                Answer::Done
            }
            Request::Await(wanted) => self.keep_an_eye_on(wanted),
            Request::Cease => {
                self.awaited.clear();
                self.watches.clear();
                Answer::Done
            }
            Request::Look(look) => self.look(&look),
            Request::Unwatch => {
                self.watch = None;
                self.how = How::Poll;
                self.alarms = false;
                Answer::Done
            }
            Request::Leave => {
                if let Some(watch) = self.watch.take() {
                    watch.leave();
                }
                self.observers.clear();
                Answer::Done
            }
            Request::End { status, last } => {
                Answer::Ended(self.life.take().map_or(Ok(()), |life| life.end(&self.dir, status, last)))
            }
        }
    }

    fn claim(&mut self, turn: Turn) -> Result<Claimed> {
        let Some(name) = &self.plan.name else { return Ok(Claimed::Ours(None)) };
        let policy = &self.plan.policy;
        match Life::claim(&self.dir, name, self.plan.run_id.as_deref(), policy.restart_on, turn) {
            Ok(Claim::Taken(life)) => {
                let attempt = life.attempt_after_failure();
                self.life = Some(*life);
                Ok(Claimed::Ours(attempt))
            }
            Ok(Claim::Held) => Ok(Claimed::Held(self.say_held(name))),
            Ok(Claim::Contested) => Ok(Claimed::Contested),
            Err(error) => {
                // Nobody holds it, and the others must not wait for us.
                if tells_by_existing(&self.plan)
                    && let Err(error) = publish_bare(&self.dir, name)
                {
                    self.report.debug(|| words::chain(&error));
                }
                Err(error)
            }
        }
    }

    /// Who holds a name, and what to do about it: another container of this Pod, or another run on the same volume.
    fn say_held(&self, own: &str) -> String {
        let file = running(own);
        let path = self.plan.dir.join(&file);
        let record = self.dir.open_file(&file).as_ref().and_then(Record::read);
        let host = nix::unistd::gethostname().map(|host| host.to_string_lossy().into_owned()).unwrap_or_default();
        match record {
            Some(Record { run_id: Some(run), .. }) if Some(&run) != self.plan.run_id.as_ref() => format!(
                "{} is held by a live process of another run ({}): two runs at once in one directory; give each its own \
                 (subPath)",
                path.display(),
                short(&run)
            ),
            Some(record) if !record.hostname.is_empty() && record.hostname != host => format!(
                "{} is held by another live process, on {}: two runs at once in one directory? give each its own \
                 (subPath), or each container its own --name",
                path.display(),
                short(&record.hostname)
            ),
            _ => format!(
                "{} is held by another live process; give each container of the Pod its own --name",
                path.display()
            ),
        }
    }

    fn mark(&mut self, ready: bool) {
        let Some(life) = &mut self.life else { return };
        if !ready {
            life.withdraw_ready(&self.dir);
        } else if let Err(error) = life.publish_ready(&self.dir) {
            self.report.warning(&words::chain(&error));
        }
    }

    fn look(&mut self, look: &Look) -> Answer {
        let conditions = look.conditions.map(|asked| (asked, self.look_at_conditions()));
        let decided = conditions.as_ref().is_some_and(|(asked, local)| {
            asked.then_job
                && match local {
                    Local::Hold => asked.others_hold,
                    Local::Waiting(_) => false,
                    Local::Hopeless(..) => true,
                }
        });
        let glance = look.job.or(decided.then(Glance::default));
        let job = glance.map(|glance| self.look_at_job(glance, look.bell.as_ref()));
        let conditions = conditions.map(|(asked, local)| (asked.wait, local));
        Answer::Looked { number: look.number, job, conditions }
    }

    fn look_at_job(&mut self, glance: Glance, bell: Option<&Bell>) -> Sight {
        if glance.begin {
            self.begin(bell);
        }
        if self.watch.take_if(|watch| watch.is_dead()).is_some() {
            self.how = How::Poll;
            self.alarms = true;
            self.report.warning("the watch on the shared directory has ended; it is looked at once a second instead");
        }
        if glance.slow {
            self.follow(bell);
        }
        // Before the look: whoever comes in between is seen by it.
        let others = if glance.slow { self.others() } else { Vec::new() };
        let room = self.remains.take_if(|remains| glance.slow || remains.are_gone()).is_some();
        let conclusion = self.conclude();
        self.make_room_for_a_lock();
        self.hint(others);
        if glance.alarm && self.alarms && self.local {
            self.set_alarms(bell);
        }
        self.say_trouble(conclusion);
        if self.remains.is_none() {
            self.say_unproven(conclusion, room);
        }
        Sight {
            conclusion,
            lives: self.observers.iter().map(|observer| observer.lives).sum(),
            slow: glance.slow,
            how: self.how,
            watching: self.watch.is_some(),
            missing: self.missing(),
            hint: self.said.hint.clone(),
            vanished: self.said.vanished,
        }
    }

    /// A life that cannot be opened for want of a descriptor (RLIMIT_NOFILE) cannot be seen to be killed. A watch has three of
    /// them: it is given up for the lock.
    fn make_room_for_a_lock(&mut self) {
        if !self.observers.iter().any(|observer| observer.closed == Some(Errno::EMFILE)) {
            return;
        }
        if let Some(watch) = self.watch.take() {
            self.remains = Some(watch.give_up());
            self.how = How::Poll;
            self.alarms = true;
        }
    }

    /// The first look. One before the watch, because a watch is not set up for nothing when the job is over already; the one
    /// after it follows, because what came in between makes no event.
    fn begin(&mut self, bell: Option<&Bell>) {
        let names = match self.plan.policy.role {
            Role::Sidecar => &self.plan.until[..],
            Role::Main => self.plan.stop_with.as_slice(),
        };
        self.observers = names.iter().map(|name| Observer::new(name, self.plan.run_id.as_deref())).collect();
        if matches!(self.conclude(), Conclusion::Over(_)) {
            return;
        }
        match self.how {
            How::Inotify => self.set_watch(bell),
            How::Poll => self.report.warning("the shared directory is looked at once a second (--watch poll)"),
        }
    }

    fn conclude(&mut self) -> Conclusion {
        let any = self.plan.policy.role == Role::Main || self.plan.until_any;
        together(self.observers.iter_mut().map(|observer| observer.look(&self.dir)), any)
    }

    fn set_watch(&mut self, bell: Option<&Bell>) {
        let names: Vec<_> = self.observers.iter().map(|observer| observer.name().to_owned()).collect();
        self.watch = None;
        let set = bell
            .context("no eventfd is to be had")
            .and_then(|bell| Watch::set(self.dir.path(), Watch::files_of(&names), bell));
        match set {
            Ok(watch) => self.watch = Some(watch),
            Err(error) => {
                self.how = How::Poll;
                self.alarms = true;
                self.report.warning(&format!(
                    "{} cannot be watched ({}); it is looked at once a second instead",
                    self.dir.path().display(),
                    words::chain(&error)
                ));
            }
        }
    }

    /// Has the locks of those that live tell of their end. What no lock can tell (a life that is not there yet, a sentinel that
    /// somebody else makes) is left to the looks.
    fn set_alarms(&mut self, bell: Option<&Bell>) {
        let Some(bell) = bell else { return };
        for life in self.observers.iter_mut().filter_map(|observer| observer.open_for_an_alarm(&self.dir)) {
            match alarm::set(life, bell.clone()) {
                Ok(()) => signals::catch_again(),
                Err(error) => self.report.debug(|| format!("no thread waits for the lock: {}", words::io(&error))),
            }
        }
    }

    /// The directory may have been removed, and made again: then all begins anew there.
    fn follow(&mut self, bell: Option<&Bell>) {
        if self.dir.is_current() {
            self.said.vanished = false;
            return;
        }
        match self.dir.reopen() {
            Ok(new) => {
                self.dir = new;
                self.said.vanished = false;
                if self.how == How::Inotify {
                    self.set_watch(bell);
                }
            }
            Err(_) if self.said.vanished => {}
            Err(_) => {
                self.said.vanished = true;
                let path = self.dir.path().display();
                self.report.warning(&format!("{path} has vanished; waiting for it to come back"));
            }
        }
    }

    /// What cannot be told of the job. `room`: the watch was given up for a lock, and that has not been said yet. Where it was of
    /// no use, one line says both.
    fn say_unproven(&mut self, conclusion: Conclusion, room: bool) {
        let closed = self.observers.iter().find_map(|observer| Some((observer.name(), observer.closed?)));
        let unproven = conclusion == Conclusion::Unproven && self.plan.policy.role == Role::Sidecar;
        let news = unproven && !std::mem::replace(&mut self.said.unproven, true);
        if let Some((name, errno)) = closed.filter(|_| news) {
            return self.report.warning(&format!(
                "{} is there and cannot be opened ({}); relying on its sentinel, for a kill of {name} cannot be seen{}",
                self.dir.path().join(running(name)).display(),
                words::errno(errno),
                if room { "; it is looked at once a second, without a watch" } else { "" }
            ));
        }
        if room && !matches!(conclusion, Conclusion::Over(_)) {
            self.report.warning(
                "there is no descriptor for a lock beside those of the watch (RLIMIT_NOFILE); the shared directory is looked at \
                 once a second instead",
            );
        }
        if news {
            self.report.warning(&format!(
                "{} has a record whose lock cannot be trusted here (another kernel, or a file system that does not share \
                 locks); relying on its sentinel",
                self.names()
            ));
        }
    }

    /// "Not there" and "cannot be seen" are not the same to a person.
    fn say_trouble(&mut self, conclusion: Conclusion) {
        if self.said.trouble || conclusion != Conclusion::NotStarted {
            return;
        }
        let trouble = self.observers.iter().find_map(|observer| self.dir.trouble(&terminated(observer.name())));
        if let Some(errno) = trouble {
            self.said.trouble = true;
            let (path, reason) = (self.dir.path().display(), words::errno(errno));
            self.report.warning(&format!("{path} cannot be looked into: {reason}"));
            self.said.hint = Some(format!("it cannot be looked into: {reason}"));
        }
    }

    /// The names of which nothing is there. Where one of several is enough, those that are there will do.
    fn missing(&self) -> Option<String> {
        let is_missing = |one: &&Observer| one.conclusion == Conclusion::NotStarted;
        let missing = self.observers.iter().filter(is_missing);
        let few = self.plan.until_any && missing.clone().count() < self.observers.len();
        let names = missing.map(Observer::name).collect::<Vec<_>>().join(", ");
        (!few && !names.is_empty()).then_some(names)
    }

    fn nothing_is_there(&self) -> bool {
        self.observers.iter().all(|observer| observer.conclusion == Conclusion::NotStarted)
    }

    /// Whose names are in the directory, as long as there may be something to hint at. A path that leads elsewhere by now
    /// would show who is elsewhere.
    fn others(&self) -> Vec<String> {
        if self.said.hint.is_some() || self.said.vanished || !self.nothing_is_there() {
            return Vec::new();
        }
        let mut others = lives(self.dir.path());
        others.retain(|other| self.plan.name.as_deref() != Some(other));
        others
    }

    /// Lives of others and nothing of the one awaited: usually a misspelt name.
    fn hint(&mut self, mut others: Vec<String>) {
        if others.is_empty() || !self.nothing_is_there() {
            return;
        }
        let awaited = |own: &&Observer| others.iter().any(|other| own.name() == other.as_str());
        if let Some(own) = self.observers.iter().find(awaited) {
            // With a run id a record of another run is as good as absent. Without one every record counts, and what has the
            // name is none: nothing is misspelt.
            if self.plan.run_id.is_none() {
                return;
            }
            let (name, path) = (own.name(), self.dir.path().display());
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
            return self.report.warning(&message);
        }
        others.truncate(NAMES_SHOWN);
        let others = others.join(", ");
        self.report.warning(&format!(
            "nothing of {} is in {}, but {others} is there; is {} spelt right?",
            self.names(),
            self.dir.path().display(),
            if self.plan.policy.role == Role::Main { "--stop-with" } else { "--until" }
        ));
        self.said.hint = Some(format!("{others} is there; is --until spelt right?"));
    }

    fn names(&self) -> String {
        self.observers.iter().map(Observer::name).collect::<Vec<_>>().join(", ")
    }

    /// Watch first, look afterwards.
    fn keep_an_eye_on(&mut self, wanted: Await) -> Answer {
        let observer = |name: &str| Box::new(Observer::new(name, self.plan.run_id.as_deref()));
        let awaited = wanted.conditions.into_iter().filter_map(|condition| match &condition.kind {
            Kind::File(path) => Some(Awaited::File(condition.clone(), path.clone())),
            Kind::Name(name) => Some(Awaited::Name(condition.clone(), observer(name), false)),
            Kind::Http(_) | Kind::Tcp(_) | Kind::Unix(_) | Kind::Exec(_) => None,
        });
        self.awaited = awaited.collect();
        let bell = wanted.bell.as_ref();
        let watch = |one: &Awaited| one.watch(self.dir.path(), bell?, &self.report);
        self.watches = self.awaited.iter().filter_map(watch).collect();
        let watched = !self.watches.is_empty() && self.watches.len() == self.awaited.len();
        Answer::Awaited { wait: wanted.wait, watched }
    }

    fn look_at_conditions(&mut self) -> Local {
        let waiting = self.awaited.iter_mut().find_map(|one| (!one.holds(&self.dir)).then(|| one.describe()));
        let Some(waiting) = waiting else { return Local::Hold };
        match self.awaited.iter().find_map(Awaited::over) {
            Some((name, verdict)) => Local::Hopeless(waiting, name.to_owned(), verdict),
            None => Local::Waiting(waiting),
        }
    }
}

/// Whether an empty sentinel of ours is the truth should we fail before we have the name: with a run id it would count for nobody,
/// and where we shall be started again nothing is over.
fn tells_by_existing(plan: &Plan) -> bool {
    plan.run_id.is_none() && !plan.policy.restart_on.contains(crate::exit::OURS)
}

impl Awaited {
    fn watch(&self, dir: &Path, bell: &Bell, report: &Report) -> Option<Watch> {
        let set = match self {
            Awaited::File(_, path) => {
                let (directory, file) = (path.parent()?, path.file_name()?);
                Watch::set(directory, vec![(file.to_owned(), Meaning::Other)], bell)
            }
            Awaited::Name(_, observer, _) => Watch::set(dir, Watch::files_of_ready(observer.name()), bell),
        };
        set.map_err(|error| {
            report.debug(|| format!("{} is not watched, but looked at: {}", self.describe(), words::chain(&error)))
        })
        .ok()
    }

    /// The life that is awaited and is over.
    fn over(&self) -> Option<(&str, Verdict)> {
        match self {
            Awaited::Name(_, observer, seen) => match observer.conclusion {
                // A life that nobody has ended and nobody has seen may be a remnant, whose name is taken anew.
                Conclusion::Over(Verdict::Lost) if !*seen => None,
                Conclusion::Over(verdict) => Some((observer.name(), verdict)),
                _ => None,
            },
            Awaited::File(..) => None,
        }
    }

    fn holds(&mut self, dir: &Directory) -> bool {
        match self {
            Awaited::File(_, path) => stat(path).is_ok(),
            Awaited::Name(_, observer, seen) => {
                let ready = observer.is_ready(dir);
                *seen |= observer.conclusion == Conclusion::Running;
                ready
            }
        }
    }

    fn describe(&self) -> String {
        match self {
            Awaited::File(condition, _) => format!("{condition}: not there"),
            Awaited::Name(condition, ..) => format!("{condition}: not ready"),
        }
    }
}
