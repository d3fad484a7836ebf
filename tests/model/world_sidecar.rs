//! A sidecar and its looks.

use super::policies::{SIDECAR, TERM};
use super::search::Outcome;
use super::settings::{Fault, Locks, Mains, Setting, Watch};
use super::world::{Container, FRESH_SIDECAR, Judged, Label, Look, Sidecar, Steps, World};
use super::world_look::Lock;
use exeunt::machine::{
    Action, Codes, Command, Event, ExitWith, Name, Policy, Seen, State, Status, Timer, Verdict, step,
};

const SIDECARS: [&str; 2] = ["sidecar", "second sidecar"];
const SIGTERM: &str = "SIGTERM";
const CHILD_ENDS: &str = "its child ends";
const TIME_IS_UP: &str = "the time is up";
const HELD_LONG_ENOUGH: &str = "the signal has been held long enough";
const DEATH_COUNTS: &str = "its death counts";
const KILLED: Status = Status::Killed(9);
const FAILED: Status = Status::Exited(7);

/// Whatever may happen to one sidecar.
pub fn steps(setting: &Setting, world: &World, place: usize, steps: &mut Steps) {
    let sidecar = world.sidecars[place];
    let mut add = |what: &'static str, next: Outcome<World>| steps.push((Label(SIDECARS[place], what), next));
    match sidecar.container {
        Container::Gone(_) => {}
        Container::Waiting => {
            if !setting.main_first || world.mains[0].staged {
                let mut next = *world;
                next.sidecars[place] = Sidecar { container: Container::Up, ..FRESH_SIDECAR };
                let begun = next.told(setting, place, Event::Begun);
                add(
                    "the kubelet starts the container",
                    begun.and_then(|next| next.told(setting, place, Event::Name(Name::Ours))),
                );
            }
        }
        Container::Up => {
            let mut killed = *world;
            killed.sidecars[place] = Sidecar { container: world.after_exit(setting, 137), ..FRESH_SIDECAR };
            add("SIGKILL", Ok(killed));
            if sidecar.child && sidecar.asked.is_none() && sidecar.dead.is_none() {
                add("its child fails by itself", world.dies(setting, place, FAILED));
                // A helper that knows the volume, as the shell recipe does: it ends because the job has ended.
                let counts = |file: usize| world.files[file].record.ours || !setting.run_id;
                let over = world.names[0].terminated.is_some_and(counts) && setting.mains == Mains::One;
                if over && !world.deleted && !setting.repeats_in_vain {
                    let mut next = *world;
                    next.sidecars[place].late = true;
                    add("its child sees the sentinel, and ends", next.dies(setting, place, FAILED));
                }
            }
            own_steps(setting, world, place, steps);
            if setting.locks == Locks::SometimesRefused && matches!(sidecar.look, Look::Lock { .. }) {
                let (_, next) = world.look(setting, place, Lock::Unknown);
                steps.push((Label(SIDECARS[place], "cannot ask for the lock"), next));
            }
            steps.extend(world.lie(setting, place));
        }
    }
}

/// What a sidecar does by itself: what must be enough to bring it to its end.
fn own_steps(setting: &Setting, world: &World, place: usize, steps: &mut Steps) {
    let sidecar = world.sidecars[place];
    let mut add = |what: &'static str, next: Outcome<World>| steps.push((Label(SIDECARS[place], what), next));
    if sidecar.term && sidecar.dead.is_none() {
        let mut next = *world;
        next.sidecars[place].term = false;
        add(SIGTERM, next.told(setting, place, Event::Signal(TERM)));
    }
    match sidecar.dead {
        None => {
            if let Some(status) = sidecar.asked.filter(|_| sidecar.child) {
                add(CHILD_ENDS, world.dies(setting, place, status));
            }
        }
        Some((status, Judged::Looked)) => {
            add(DEATH_COUNTS, world.told(setting, place, Event::Command(Command::Ended(status))));
        }
        Some((status, _)) if !sidecar.watching => {
            add(DEATH_COUNTS, world.told(setting, place, Event::Command(Command::Ended(status))));
        }
        Some(_) => {}
    }
    if let Some(timer) = sidecar.deadline.filter(|_| sidecar.dead.is_none()) {
        let what = if timer == Timer::Outlive { HELD_LONG_ENOUGH } else { TIME_IS_UP };
        add(what, world.told(setting, place, Event::Elapsed(timer)));
    }
    let looking = sidecar.look != Look::Idle;
    if looking || (sidecar.watching && (sidecar.due || setting.fault != Fault::OnlyTheWatch)) {
        let (what, next) = world.look(setting, place, world.lock(setting, place));
        add(what, next);
    }
    if looking && sidecar.due && setting.fault == Fault::BeginsAnewAtEachEvent {
        let mut next = *world;
        (next.sidecars[place].due, next.sidecars[place].look, next.sidecars[place].at) = (false, Look::Idle, 0);
        add("begins anew", next.look(setting, place, Lock::Unknown).1);
    }
}

impl World {
    /// The watch rings without a cause.
    fn lie(&self, setting: &Setting, place: usize) -> Option<(Label, Outcome<World>)> {
        let sidecar = &self.sidecars[place];
        (setting.watch == Watch::Lies && sidecar.watching && !sidecar.due).then(|| {
            let mut next = *self;
            next.sidecars[place].due = true;
            let next = match setting.fault {
                Fault::TakesAnEventForTheEnd => next.told(setting, place, Event::Seen(Seen::Over(Verdict::Lost))),
                _ => Ok(next),
            };
            (Label(SIDECARS[place], "its watch reports what has not happened"), next)
        })
    }

    /// Its child ends. That counts once a look that begins now has told whether the job ended before.
    fn dies(mut self, setting: &Setting, place: usize, status: Status) -> Outcome<World> {
        let sidecar = &mut self.sidecars[place];
        if sidecar.watching && setting.fault != Fault::JudgesADeathAtOnce {
            sidecar.dead = Some((status, Judged::NotYet));
            return Ok(self);
        }
        self.told(setting, place, Event::Command(Command::Ended(status)))
    }

    /// One event of a sidecar's machine, and what its driver does about it.
    pub fn told(mut self, setting: &Setting, place: usize, event: Event) -> Outcome<World> {
        let policy = Policy {
            outlive_main: setting.outlives,
            restart_on: setting.restart_on,
            exit_with: ExitWith::Main,
            restart: setting.restart,
            ..SIDECAR
        };
        let before = self.sidecars[place].state;
        let (state, actions) = step(before, &policy, event);
        self.judge(setting, place, event, before, state)?;
        let sidecar = &mut self.sidecars[place];
        sidecar.state = state;
        match event {
            Event::Command(Command::Ended(_)) => {
                (sidecar.child, sidecar.dead, sidecar.asked, sidecar.deadline) = (false, None, None, None);
            }
            Event::Elapsed(_) => sidecar.deadline = None,
            _ => {}
        }
        for action in actions.iter() {
            let sidecar = &mut self.sidecars[place];
            match action {
                Action::Look => (sidecar.watching, sidecar.due) = (true, true),
                Action::StopWatching => {
                    (sidecar.watching, sidecar.due, sidecar.look, sidecar.at) = (false, false, Look::Idle, 0);
                    (sidecar.first, sidecar.held, sidecar.saw) = Default::default();
                }
                Action::Start => {
                    sidecar.child = true;
                    return self.told(setting, place, Event::Command(Command::Started));
                }
                Action::Forward(_) => sidecar.asked = Some(Status::Killed(TERM)),
                Action::Kill => sidecar.asked = Some(KILLED),
                Action::Arm(timer) => {
                    sidecar.deadline = Some(timer);
                    if timer == Timer::BackOff && setting.fault == Fault::LooksAwayInTheBackOff {
                        (sidecar.watching, sidecar.due, sidecar.look) = (false, false, Look::Idle);
                    }
                }
                Action::Disarm => sidecar.deadline = None,
                Action::Exit(code) => {
                    if sidecar.late && code == FAILED.code() && !self.deleted {
                        let rule = "4. Facts are judged in the order in which they happened";
                        return Err(format!("{rule}: the job ended, then its helper, and the code is the helper's"));
                    }
                    let container = self.after_exit(setting, code);
                    self.sidecars[place] = Sidecar { container, ..FRESH_SIDECAR };
                }
                _ => {}
            }
        }
        Ok(self)
    }

    /// The promises, where a sidecar takes the job for over.
    fn judge(&self, setting: &Setting, place: usize, event: Event, before: State, after: State) -> Result<(), String> {
        let sidecar = &self.sidecars[place];
        let (Event::Seen(Seen::Over(verdict)) | Event::Seen(Seen::Paused(verdict))) = event else { return Ok(()) };
        let stops = before != after && !matches!(after, State::Running { .. } | State::Starting { .. });
        if !stops {
            return Ok(());
        }
        // In a Pod that is deleted, an attempt may begin while somebody looks: what counts is what ran when he began to.
        let open = self.job_is_open(setting) && (!self.deleted || sidecar.ran);
        if open {
            return Err(format!("2. A sidecar never leaves early: {event:?} while the job is not over"));
        }
        let names = setting.mains.count();
        let truth = (0..names).any(|of| self.is_true(of, verdict));
        // Of several, the first that failed counts.
        let good = |of: usize| self.mains[of].ended.is_none_or(|ended| ended.code() == 0);
        let hidden = setting.mains == Mains::All && verdict.code() == 0 && !(0..names).all(good);
        if truth && !hidden {
            Ok(())
        } else {
            Err(format!("3. The exit code is the truth: {event:?} is not what has happened"))
        }
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

    /// What comes where nothing comes from outside: what a sidecar does by itself, and what its watch makes up. Where every
    /// end is final, nothing relies on the bound of what is held.
    pub fn without_help(&self, setting: &Setting, place: usize) -> Vec<(Agent, Outcome<World>)> {
        let mut steps = Vec::new();
        own_steps(setting, self, place, &mut steps);
        steps.retain(|(what, _)| setting.restart_on != Codes::NONE || what.1 != HELD_LONG_ENOUGH);
        let whose = |what: &'static str| match what {
            SIGTERM => Agent::Signal,
            CHILD_ENDS | DEATH_COUNTS => Agent::Child,
            HELD_LONG_ENOUGH | TIME_IS_UP => Agent::Time,
            _ => Agent::Looks,
        };
        let mut owned: Vec<_> = steps.into_iter().map(|(what, next)| (whose(what.1), next)).collect();
        owned.extend(self.lie(setting, place).map(|(_, next)| (Agent::Watch, next)));
        owned
    }

    /// Whether a sidecar has to go now. Not where nothing is left to be seen: a job that emptied the directory, was killed
    /// and was never seen alive; nor, without its sentinel, where locks prove nothing.
    pub fn must_end(&self, setting: &Setting, place: usize) -> bool {
        let sidecar = &self.sidecars[place];
        let visible = |of: usize| {
            let by_sentinel = self.names[of].terminated.is_some();
            let by_lock = match setting.locks {
                Locks::Shared | Locks::SometimesRefused => self.names[of].running.is_some() || sidecar.saw[of],
                Locks::Elsewhere => sidecar.saw[of],
                Locks::Apart | Locks::Refused => false,
            };
            // A limit: an attempt that is killed before it has its name leaves what the one before it has left, which may
            // be a code that is repeated where 137 is not.
            let announced = |file: usize| self.files[file].record.ended.is_some() && !self.files[file].record.last;
            let held = sidecar.held[of].map(|held| held.file);
            let by_lock = by_lock && !self.names[of].running.or(held).is_some_and(announced);
            let main = &self.mains[of];
            matches!(main.container, Container::Gone(_)) && main.staged && (by_sentinel || by_lock)
        };
        let mut names = 0..setting.mains.count();
        let over = if setting.mains == Mains::Any { names.any(visible) } else { names.all(visible) };
        over && sidecar.container == Container::Up
    }

    pub fn is_holding(&self, place: usize) -> bool {
        self.sidecars[place].deadline == Some(Timer::Outlive)
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    Looks,
    Child,
    Signal,
    Time,
    Watch,
}
