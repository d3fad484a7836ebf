//! A sidecar and its looks.

use super::policies::{SIDECAR, TERM};
use super::search::Outcome;
use super::settings::{Fault, Setting};
use super::world::{Container, FRESH_SIDECAR, Held, Label, Look, Sidecar, Steps, World};
use exeunt::machine::{Action, Event, ExitWith, Policy, State, Status, Timer, Verdict, step};
use exeunt::stage::observe::{Conclusion, Running, Sighting, conclude, together};

const NAMES: [&str; 2] = ["sidecar", "second sidecar"];
const HELD_LONG_ENOUGH: &str = "the signal has been held long enough";
const KILLED: Status = Status::Killed(9);

/// Whatever may happen to one sidecar.
pub fn steps(setting: &Setting, world: &World, place: usize, steps: &mut Steps) {
    let sidecar = world.sidecars[place];
    let mut add = |what: &'static str, next: Outcome<World>| steps.push((Label(NAMES[place], what), next));
    match sidecar.container {
        Container::Gone(_) => {}
        Container::Waiting => {
            if !setting.main_first || world.main.staged {
                let mut next = *world;
                next.sidecars[place] = Sidecar { container: Container::Up, ..FRESH_SIDECAR };
                let begun = next.told(setting, place, Event::Begun);
                add(
                    "the kubelet starts the container",
                    begun.and_then(|next| next.told(setting, place, Event::Claimed)),
                );
            }
        }
        Container::Up => {
            let mut killed = *world;
            killed.sidecars[place] = Sidecar { container: world.after_exit(setting, 137), ..FRESH_SIDECAR };
            add("SIGKILL", Ok(killed));
            if sidecar.child && sidecar.asked.is_none() {
                let status = Status::Exited(7);
                add("its child fails by itself", world.told(setting, place, Event::ChildExited(status)));
            }
            own_steps(setting, world, place, steps);
        }
    }
}

/// What a sidecar does by itself: what must be enough to bring it to its end.
pub fn own_steps(setting: &Setting, world: &World, place: usize, steps: &mut Steps) {
    let sidecar = world.sidecars[place];
    let mut add = |what: &'static str, next: Outcome<World>| steps.push((Label(NAMES[place], what), next));
    if sidecar.term {
        let mut next = *world;
        next.sidecars[place].term = false;
        add("SIGTERM", next.told(setting, place, Event::Signal(TERM)));
    }
    if let Some(status) = sidecar.asked.filter(|_| sidecar.child) {
        add("its child ends", world.told(setting, place, Event::ChildExited(status)));
    }
    if let Some(timer) = sidecar.deadline {
        let what = if timer == Timer::Outlive { HELD_LONG_ENOUGH } else { "the time is up" };
        add(what, world.told(setting, place, Event::DeadlineElapsed));
    }
    if sidecar.look != Look::Idle || (sidecar.watching && (sidecar.due || setting.fault != Fault::OnlyTheWatch)) {
        let (what, next) = world.look(setting, place);
        add(what, next);
    }
}

impl World {
    /// One event of a sidecar's machine, and what its driver does about it.
    fn told(mut self, setting: &Setting, place: usize, event: Event) -> Outcome<World> {
        let policy = Policy {
            outlive_main: setting.outlives,
            restart_policy: setting.restart_policy,
            exit_with: ExitWith::Main,
            ..SIDECAR
        };
        let before = self.sidecars[place].state;
        let (state, actions) = step(before, &policy, event);
        self.judge(setting, place, event, before, state)?;
        let sidecar = &mut self.sidecars[place];
        sidecar.state = state;
        match event {
            Event::ChildExited(_) => (sidecar.child, sidecar.asked, sidecar.deadline) = (false, None, None),
            Event::DeadlineElapsed => sidecar.deadline = None,
            _ => {}
        }
        for action in actions.iter() {
            let sidecar = &mut self.sidecars[place];
            match action {
                Action::Look => (sidecar.watching, sidecar.due) = (true, true),
                Action::StopWatching => {
                    (sidecar.watching, sidecar.due, sidecar.look, sidecar.held) = (false, false, Look::Idle, None);
                    sidecar.saw = false;
                }
                Action::Start => {
                    sidecar.child = true;
                    return self.told(setting, place, Event::Started);
                }
                Action::Forward(_) => sidecar.asked = Some(Status::Killed(TERM)),
                Action::Kill => sidecar.asked = Some(KILLED),
                Action::Arm(timer) => sidecar.deadline = Some(timer),
                Action::Disarm => sidecar.deadline = None,
                Action::Exit(code) => {
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
        let (Event::JobOver(verdict) | Event::JobPaused(verdict)) = event else { return Ok(()) };
        let stops = before != after && !matches!(after, State::Running { .. } | State::Starting { .. });
        if !stops {
            return Ok(());
        }
        // In a Pod that is deleted, an attempt may begin while somebody looks: what counts is what ran when he began to.
        let open = self.job_is_open(setting) && (!self.deleted || sidecar.ran);
        if open {
            return Err(format!("2. A sidecar never leaves early: {event:?} while the job is not over"));
        }
        let truth = match verdict {
            _ if self.deleted => true,
            Verdict::Told(status) => [self.main.ended, self.main.over].contains(&Some(status)),
            // Where nothing at all could be written, the free lock is the last word.
            Verdict::Lost => {
                let speechless = self.main.unsaid && self.terminated.is_none();
                self.main.mute || (speechless && matches!(self.main.container, Container::Gone(_)))
            }
            Verdict::Silent => self.main.unsaid,
        };
        if truth { Ok(()) } else { Err(format!("3. The exit code is the truth: {event:?} is not what has happened")) }
    }

    /// One step of `Observer::look`.
    fn look(mut self, setting: &Setting, place: usize) -> (&'static str, Outcome<World>) {
        let (running, terminated) = (self.running, self.terminated);
        let ran = self.main.command;
        let sentinel_first = matches!(setting.fault, Fault::NoSecondLook | Fault::LooksInTheOtherOrder);
        let shared = setting.shared_locks;
        let files = self.files;
        let sidecar = &mut self.sidecars[place];
        let what = match sidecar.look {
            Look::Idle => {
                (sidecar.due, sidecar.ran) = (false, ran);
                sidecar.look = if sentinel_first {
                    Look::Sentinel { again: false, running: None }
                } else {
                    Look::Stat { again: false }
                };
                "begins to look"
            }
            Look::Stat { again } => {
                let held = sidecar.held.map(|held| held.file);
                let forgets = setting.fault == Fault::ForgetsTheLost;
                let lost = running.is_none() && sidecar.held.is_some_and(|held| held.seen_locked) && !forgets;
                let keep = lost || (running.is_some() && held == running);
                sidecar.held = sidecar.held.filter(|_| keep);
                sidecar.look = if keep || running.is_none() { Look::Lock { again } } else { Look::Open { again } };
                if running.is_some() { "sees -running" } else { "sees no -running" }
            }
            Look::Open { again } => {
                sidecar.held = running.map(|file| Held { file, seen_locked: false, record: files[file].record });
                sidecar.look = Look::Lock { again };
                "opens -running"
            }
            Look::Lock { again } => {
                let mut locked = false;
                let running = sidecar.held.as_mut().and_then(|held| {
                    locked = shared && files[held.file].locked;
                    held.seen_locked |= locked;
                    if !locked {
                        held.record = files[held.file].record;
                    }
                    let record = held.record;
                    let counts = record.ours || !setting.run_id;
                    counts.then_some(Running {
                        locked,
                        lock_proves: shared || held.seen_locked || setting.fault == Fault::BelievesEveryLock,
                        restarts: record.restarts && setting.fault != Fault::ForgetsThePolicy,
                        ended: record.ended,
                        last: record.last && setting.fault != Fault::ForgetsTheLastWord,
                    })
                });
                if setting.fault == Fault::LooksInTheOtherOrder && !locked && !again {
                    sidecar.look = Look::Sentinel { again: true, running: None };
                    return ("finds no lock held", Ok(self));
                }
                if sentinel_first {
                    return ("tests the lock", self.conclude(setting, place, Sighting { running, terminated: None }));
                }
                sidecar.saw |= locked;
                sidecar.look = Look::Sentinel { again, running };
                if locked { "finds the lock held" } else { "finds no lock held" }
            }
            Look::Sentinel { again, running } => {
                let counts = |file: &usize| files[*file].record.ours || !setting.run_id;
                let terminated = terminated.filter(counts).map(|file| files[file].record.ended);
                let held = running.is_some_and(|running| running.locked);
                let what = if terminated.is_some() { "sees the sentinel" } else { "sees no sentinel" };
                if terminated.is_none() && sentinel_first {
                    sidecar.look = Look::Stat { again };
                } else if terminated.is_none() && !held && !again {
                    sidecar.look = Look::Stat { again: true };
                } else {
                    return (what, self.conclude(setting, place, Sighting { running, terminated }));
                }
                what
            }
        };
        (what, Ok(self))
    }

    fn conclude(mut self, setting: &Setting, place: usize, seen: Sighting) -> Outcome<World> {
        self.sidecars[place].look = Look::Idle;
        let event = match together([conclude(seen)].into_iter(), false) {
            Conclusion::Over(verdict) => Event::JobOver(verdict),
            Conclusion::BetweenAttempts(verdict) => Event::JobPaused(verdict),
            Conclusion::NotStarted | Conclusion::Running | Conclusion::Unproven => Event::JobOn,
        };
        self.told(setting, place, event)
    }

    /// 1. A sidecar never outlives its job: what it does by itself brings it to its end, whatever comes first.
    pub fn leaves(&self, setting: &Setting, place: usize) -> Result<(), String> {
        let mut world = *self;
        // As many steps as two looks, a grace period and a kill have, and some more.
        for _ in 0..64 {
            if world.sidecars[place].container != Container::Up {
                return Ok(());
            }
            let mut steps = Vec::new();
            own_steps(setting, &world, place, &mut steps);
            // Time is up only when nothing else happens: nothing may rely on it but the kill and what is held.
            steps.sort_by_key(|(what, _)| what.1 == HELD_LONG_ENOUGH);
            let Some((_, next)) = steps.into_iter().next() else { break };
            world = next?;
        }
        Err("1. A sidecar never outlives its job: it is still there".to_owned())
    }

    /// Whether a sidecar has to go now. Not where nothing is left to be seen: a job that emptied the directory, was killed
    /// and was never seen alive; nor, without its sentinel, where locks prove nothing.
    pub fn must_end(&self, setting: &Setting, place: usize) -> bool {
        let by_sentinel = self.terminated.is_some();
        let by_lock = setting.shared_locks && (self.running.is_some() || self.sidecars[place].saw);
        matches!(self.main.container, Container::Gone(_)) && self.main.staged && (by_sentinel || by_lock)
    }

    pub fn is_holding(&self, place: usize) -> bool {
        self.sidecars[place].deadline == Some(Timer::Outlive)
    }
}
