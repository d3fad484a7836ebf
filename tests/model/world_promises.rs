//! What is promised of a Pod, as far as one step or one world can tell.

use super::policies::{INT, TERM};
use super::settings::{Locks, Mains, Setting};
use super::world::{Container, EARLY, ORDER, SENT, UNTRUE, World, bit};
use super::world_sidecar::FAILED;
use exeunt::machine::{Event, Seen, State, Timer, Verdict};

impl World {
    /// The promises, where a sidecar takes the job for over.
    pub fn judge(
        &self,
        setting: &Setting,
        place: usize,
        event: Event,
        before: State,
        after: State,
    ) -> Result<(), String> {
        let sidecar = &self.sidecars[place];
        let decides = matches!(
            (before, event),
            (State::Holding, Event::Elapsed(Timer::Outlive))
                | (State::BackingOff { .. }, Event::Elapsed(Timer::BackOff))
        );
        if decides && sidecar.late && !self.deleted {
            return Err(format!("{ORDER}: the job ended, and then a time was up that decided: {event:?}"));
        }
        let stops = before != after && !matches!(after, State::Running { .. } | State::Starting { .. });
        if stops && event == Event::Seen(Seen::Missing) && sidecar.came_since {
            return Err(format!("{EARLY}: the job is missed, and has been there"));
        }
        let (Event::Seen(Seen::Over(verdict)) | Event::Seen(Seen::Paused(verdict))) = event else { return Ok(()) };
        if !stops {
            return Ok(());
        }
        // A limit: whoever holds SIGTERM back takes the Pod for deleted, where no attempt follows.
        if before == State::Holding && matches!(event, Event::Seen(Seen::Paused(_))) && !self.deleted {
            return Ok(());
        }
        // In a Pod that is deleted, an attempt may begin while somebody looks: what counts is what ran when he began to.
        let open = self.job_is_open(setting) && (!self.deleted || sidecar.ran);
        if open {
            return Err(format!("{EARLY}: {event:?} while the job is not over"));
        }
        let names = setting.mains.count();
        let truth = (0..names).any(|of| self.is_true(of, verdict));
        // Of several, the first that failed counts.
        let good = |of: usize| self.mains[of].ended.is_none_or(|ended| ended.code() == 0);
        let hidden = setting.mains == Mains::All && verdict.code() == 0 && !(0..names).all(good);
        if truth && !hidden { Ok(()) } else { Err(format!("{UNTRUE}: {event:?} is not what has happened")) }
    }

    /// What follows from signals that ask for the end, and from what else the sidecar is stopped for. Takes note of both.
    pub fn obey(
        &mut self,
        setting: &Setting,
        place: usize,
        event: Event,
        before: State,
        after: State,
    ) -> Result<(), String> {
        let sidecar = &mut self.sidecars[place];
        let orders = bit(TERM) | bit(setting.stop_signal);
        let first = sidecar.told & orders == 0;
        if let Event::Signal(signal @ (TERM | INT)) = event {
            sidecar.told |= bit(signal);
        }
        let ordered = sidecar.told & orders != 0;
        let running = matches!(before, State::Running { .. });
        let lingers = matches!(after, State::Lingering { .. });
        if setting.outlives && first && running && event == Event::Signal(TERM) && after != State::Holding {
            return Err(format!("{SENT}: SIGTERM is passed on at once, and was to be held back"));
        }
        if ordered && lingers {
            return Err(format!("{SENT}: whoever has been told to end is kept waiting"));
        }
        let over = matches!(event, Event::Seen(Seen::Over(_)));
        if setting.lingers && !ordered && running && over && !lingers {
            return Err(format!("{EARLY}: it is stopped at once, and was to have a while"));
        }
        let had_child = running || matches!(before, State::Holding | State::BackingOff { .. });
        let due = match event {
            Event::Seen(Seen::Missing) => Some(124),
            Event::Seen(Seen::Over(verdict) | Seen::Paused(verdict)) => Some(verdict.code()),
            _ => None,
        };
        if let Some(code) = due.filter(|_| had_child && before != after) {
            sidecar.owes = Some((code, ordered && running));
        }
        Ok(())
    }

    fn is_true(&self, of: usize, verdict: Verdict) -> bool {
        let main = &self.mains[of];
        match verdict {
            _ if self.deleted => true,
            Verdict::Told(status) => [main.ended, main.over].contains(&Some(status)),
            // Where nothing at all could be written, the free lock is the last word.
            Verdict::Lost => {
                let speechless = main.unsaid && self.names[of].terminated.is_none();
                main.mute || (speechless && matches!(main.container, Container::Gone(_)))
            }
            Verdict::Silent => main.unsaid,
        }
    }

    /// A code with which only a helper ends that nobody has stopped for the job.
    pub fn is_own(&self, setting: &Setting, code: u8) -> bool {
        let own = [FAILED.code(), 128 + TERM, 128 + INT, 128 + setting.stop_signal].contains(&code);
        own && !self.mains.iter().any(|main| main.over.is_some_and(|over| over.code() == code))
    }

    /// Whether a sidecar has to go now. Not where nothing is left to be seen: a job that emptied the directory, was killed
    /// and was never seen alive; nor, without its sentinel, where locks prove nothing.
    pub fn must_end(&self, setting: &Setting, place: usize) -> bool {
        let sidecar = &self.sidecars[place];
        let visible = |of: usize| {
            let by_sentinel = self.names[of].terminated.is_some();
            let by_lock = match setting.locks {
                // A life stays where it is, unless somebody empties the directory.
                Locks::Shared | Locks::SometimesRefused => {
                    !setting.cleans || self.names[of].running.is_some() || sidecar.saw[of]
                }
                Locks::Elsewhere => sidecar.saw[of],
                Locks::Apart | Locks::Refused => false,
            };
            // A limit: an attempt that is killed before it has its name leaves what the one before it has left, which may
            // be a code that is repeated where 137 is not.
            let announced = |file: usize| self.files[file].record.ended.is_some() && !self.files[file].record.last;
            let held = sidecar.held[of].map(|held| held.file);
            let by_lock = by_lock && !self.names[of].running.or(held).is_some_and(announced);
            let main = &self.mains[of];
            // Whoever does not come for too long is missed, whatever he has left.
            let seen = main.staged && (by_sentinel || by_lock);
            let missed = setting.absence && matches!(setting.locks, Locks::Shared | Locks::SometimesRefused);
            matches!(main.container, Container::Gone(_)) && (seen || missed)
        };
        let mut names = 0..setting.mains.count();
        let over = if setting.mains == Mains::Any { names.any(visible) } else { names.all(visible) };
        over && sidecar.container == Container::Up
    }

    /// Whether a sidecar has been asked to end, and nothing keeps it.
    pub fn must_obey(&self, setting: &Setting, place: usize) -> bool {
        let sidecar = &self.sidecars[place];
        // What is held back is passed on when it comes once more.
        let heeded = (!setting.outlives || sidecar.again) && setting.stop_signal == TERM;
        sidecar.container == Container::Up && sidecar.ordered && heeded
    }
}
