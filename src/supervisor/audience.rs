//! Whom we observe: when the next look is due, and what is made of the last.

use super::volume::{Glance, Sight};
use crate::machine::{Role, Seen, Verdict};
use crate::options::How;
use crate::plan::Plan;
use crate::report::Report;
use crate::stage::conclude::Conclusion;
use std::time::{Duration, Instant};

/// One look in this time whatever the watch says: some sandboxes and network file systems lose events
/// (google/gvisor#11326, kata-containers#10411).
const SLOW_LOOK: Duration = Duration::from_secs(5);
/// One look in this time where there is no watch.
const POLL: Duration = Duration::from_secs(1);
/// After the event of a closed `-running` the lock goes "in a moment": these are the moments, in microseconds. Then back to sleep.
const SOON: [u16; 8] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000];

/// What of a job is awaited that a person may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// That it comes.
    Job,
    /// Its next attempt, after one that ended so.
    Attempt(Verdict),
}

/// What is known of those whom one process observes.
pub struct Audience {
    partner: bool,
    how: How,
    watching: bool,
    /// A look has been asked for and is not answered yet.
    asked: bool,
    /// When the next slow look is due. Moved by slow looks alone: whatever rings, and however often, they come.
    next_slow: Instant,
    /// When the next of a series of quick looks is due, and its place in the series.
    next_soon: Option<Instant>,
    soon: usize,
    /// Since when nothing of the job is there, and how long that may be.
    absent: Option<Instant>,
    absence: Option<Duration>,
    /// How many lives have been seen.
    lives: u32,
    begun: bool,
    conclusion: Option<Conclusion>,
    /// Whether there was a slow look, some time after the first.
    waited: bool,
    missing: Option<String>,
    hint: Option<String>,
    vanished: bool,
}

impl Audience {
    /// The observation that a plan asks for: of the job in a sidecar, of the partner in main.
    pub fn new(plan: &Plan) -> Audience {
        Audience {
            partner: plan.policy.role == Role::Main,
            how: plan.watch,
            watching: false,
            asked: false,
            next_slow: Instant::now(),
            next_soon: None,
            soon: SOON.len(),
            absent: None,
            absence: plan.absence,
            lives: 0,
            begun: false,
            conclusion: None,
            waited: false,
            missing: None,
            hint: None,
            vanished: false,
        }
    }

    /// When the next look is due. None is, while one is under way.
    pub fn next_look(&self) -> Option<Instant> {
        let missing = self.absent.zip(self.absence).and_then(|(since, most)| since.checked_add(most));
        let next = [self.next_soon, missing].into_iter().flatten().fold(self.next_slow, Instant::min);
        (!self.asked).then_some(next)
    }

    /// Whether the job was alive at the last look, so that its end may be a moment away.
    pub fn sees_it_alive(&self) -> bool {
        self.conclusion == Some(Conclusion::Running)
    }

    /// What somebody waits for: that the job comes, or its next attempt.
    pub fn awaits(&self) -> Option<Awaited> {
        if self.partner {
            return None;
        }
        match self.conclusion? {
            Conclusion::BetweenAttempts(verdict) => Some(Awaited::Attempt(verdict)),
            Conclusion::NotStarted | Conclusion::Running | Conclusion::Unproven => {
                self.missing.is_some().then_some(Awaited::Job)
            }
            Conclusion::Over(_) => None,
        }
    }

    /// The names of which nothing is there.
    pub fn missing(&self) -> String {
        self.missing.clone().unwrap_or_default()
    }

    /// What the last look has found, in a few words that change when something else is found.
    pub fn answer(&self) -> &'static str {
        match self.conclusion {
            None | Some(Conclusion::NotStarted) => "nothing of it is there",
            Some(Conclusion::Running) => "it runs",
            Some(Conclusion::Unproven) => "its lock proves nothing here",
            Some(Conclusion::BetweenAttempts(_)) => "an attempt has ended",
            Some(Conclusion::Over(_)) => "it is over",
        }
    }

    /// What is there instead of the job, or why nothing can be seen, once that has been said.
    pub fn hinted(&self) -> Option<&str> {
        if self.vanished { Some("the directory itself has vanished") } else { self.hint.as_deref() }
    }

    /// Whether some time has passed since the first look.
    pub fn has_waited(&self) -> bool {
        self.waited
    }

    /// Whether it can be said by now that there is nothing to hint at.
    pub fn has_no_hint(&self) -> bool {
        self.waited && self.hint.is_none()
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
        self.next_soon = SOON.get(self.soon).map(|pause| now + Duration::from_micros((*pause).into()));
        self.soon = self.soon.saturating_add(1);
    }

    fn slow_pause(&self) -> Duration {
        match self.how {
            How::Inotify => SLOW_LOOK,
            How::Poll => POLL,
        }
    }

    /// Gives the watch up, where its thread is one too many.
    pub fn poll_instead(&mut self, report: &Report) -> bool {
        let watched = std::mem::replace(&mut self.watching, false);
        if watched {
            self.how = How::Poll;
            self.next_slow = Instant::now() + POLL;
            report
                .warning("there is no room for a process and a watch; the shared directory is looked at once a second");
        }
        watched
    }

    /// The look that begins the observation, and any that begins it anew.
    pub fn begin(&mut self) -> Glance {
        self.asked = true;
        Glance { begin: !std::mem::replace(&mut self.begun, true), slow: false, alarm: false }
    }

    /// One look. `closed`: and again in a moment. `runs`: the command does.
    pub fn look(&mut self, closed: bool, runs: bool) -> Glance {
        if closed {
            self.soon = 0;
        }
        self.asked = true;
        Glance { begin: false, slow: self.next_slow <= Instant::now(), alarm: runs }
    }

    /// Whether a look at all makes sense: the first has been asked for.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Makes something of what a look has seen, and says when the next is due.
    pub fn see(&mut self, sight: Sight) -> Option<Seen> {
        let now = Instant::now();
        let first = self.conclusion.is_none();
        let lost = self.how == How::Inotify && sight.how == How::Poll;
        self.asked = false;
        self.how = sight.how;
        self.watching = sight.watching;
        self.waited |= sight.slow;
        self.missing = sight.missing;
        self.hint = sight.hint;
        self.vanished = sight.vanished;
        self.conclusion = Some(sight.conclusion);
        // Whoever has come meanwhile was there, if only for a moment.
        if std::mem::replace(&mut self.lives, sight.lives) != sight.lives {
            self.absent = None;
        }
        self.plan_next(now);
        if first || lost || sight.slow {
            self.next_slow = now + self.slow_pause();
        }
        if self.is_missing(now, sight.conclusion) {
            return Some(Seen::Missing);
        }
        match sight.conclusion {
            Conclusion::Over(_) if self.partner => Some(Seen::PartnerGone),
            _ if self.partner => None,
            Conclusion::Over(verdict) => Some(Seen::Over(verdict)),
            Conclusion::BetweenAttempts(verdict) => Some(Seen::Paused(verdict)),
            Conclusion::Unproven | Conclusion::NotStarted | Conclusion::Running => Some(Seen::On),
        }
    }

    /// Whether the job, or its next attempt, has been away for too long.
    fn is_missing(&mut self, now: Instant, conclusion: Conclusion) -> bool {
        if self.partner || !matches!(conclusion, Conclusion::NotStarted | Conclusion::BetweenAttempts(_)) {
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
}
