//! A sidecar and its driver: what comes to it, what it notices of that, and what it does then, in the order of `supervisor.rs`.

use super::policies::{HUP, INT, SIDECAR, TERM};
use super::search::Outcome;
use super::settings::{Fault, Locks, Setting, Watch};
use super::world::{
    Absent, Container, FRESH_SIDECAR, Facts, Label, Look, ORDER, SENT, Sidecar, Steps, UNTRUE, When, World, bit,
};
use super::world_look::Lock;
use exeunt::machine::{
    Action, Actions, Cause, Codes, Command, Event, ExitWith, Name, Policy, Restart, Seen, State, Status, Timer, Told,
    Verdict, step,
};

const SIDECARS: [&str; 2] = ["sidecar", "second sidecar"];
const CHILD_ENDS: &str = "its child ends";
const TIME_IS_UP: &str = "the time is up";
const HELD_LONG_ENOUGH: &str = "the signal has been held long enough";
const AWAY_TOO_LONG: &str = "the job has been away for too long";
const KILLED: Status = Status::Killed(9);
pub const FAILED: Status = Status::Exited(7);

/// Whatever may happen to one sidecar.
pub fn steps(setting: &Setting, world: &World, place: usize, steps: &mut Steps) {
    let sidecar = world.sidecars[place];
    let mut add = |what: &'static str, next: Outcome<World>| steps.push((Label(SIDECARS[place], what), next));
    match sidecar.container {
        Container::Gone(_) => {}
        Container::Waiting => {
            if (!setting.main_first || world.mains[0].staged) && !world.is_resetting() {
                let mut next = *world;
                next.sidecars[place] = Sidecar { container: Container::Up, ..FRESH_SIDECAR };
                let begun = next.told(setting, place, Event::Begun);
                // Where no signal comes, nothing comes in between.
                let named = match setting.sent {
                    [] => begun.and_then(|next| next.told(setting, place, Event::Name(Name::Ours))),
                    _ => begun,
                };
                add("the kubelet starts the container", named);
            }
        }
        Container::Up => {
            let mut killed = *world;
            killed.sidecars[place] = Sidecar { container: world.after_exit(setting, 137), ..FRESH_SIDECAR };
            add("SIGKILL", Ok(killed));
            if sidecar.child && sidecar.asked.is_none() && !sidecar.is_dead() {
                let when = world.when(setting);
                let mut next = *world;
                next.sidecars[place].came.dead = Some(FAILED);
                next.sidecars[place].first.get_or_insert(when);
                // A helper that knows the volume, as the shell recipe does, ends because the job has ended.
                let sees = when == When::After;
                add(if sees { "its child sees the sentinel, and ends" } else { "its child fails by itself" }, Ok(next));
            }
            for (at, signal) in world.unsent(setting) {
                let mut next = *world;
                next.sent |= 1 << at;
                next.is_sent(setting, place, signal);
                let what = match signal {
                    TERM => "somebody sends it SIGTERM",
                    INT => "somebody sends it SIGINT",
                    _ => "somebody sends it SIGHUP",
                };
                add(what, Ok(next));
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
    if let Some(status) = sidecar.asked.filter(|_| sidecar.child && !sidecar.is_dead()) {
        let mut next = *world;
        next.sidecars[place].came.dead = Some(status);
        add(CHILD_ENDS, Ok(next));
    }
    if let Some(timer) = sidecar.deadline {
        let mut next = *world;
        (next.sidecars[place].deadline, next.sidecars[place].came.elapsed) = (None, Some(timer));
        add(if timer == Timer::Outlive { HELD_LONG_ENOUGH } else { TIME_IS_UP }, Ok(next));
    }
    if sidecar.absent == Absent::Since {
        let mut next = *world;
        next.sidecars[place].absent = Absent::TooLong;
        add(AWAY_TOO_LONG, Ok(next));
    }
    let came = sidecar.came != Facts::default();
    let looking = sidecar.look != Look::Idle;
    let unstarted = matches!(sidecar.state, State::Claiming { .. } | State::Looking { .. });
    // While nothing has been started, a signal goes before everything else.
    if unstarted && came && setting.fault != Fault::HoldsAnEarlySignal {
        add("is told of a signal before it has started anything", world.is_told_early(setting, place));
        return;
    }
    if matches!(sidecar.state, State::Claiming { .. }) {
        add("has its name", world.told(setting, place, Event::Name(Name::Ours)));
        return;
    }
    // Whoever starts a child is answered before he does anything else.
    if matches!(sidecar.state, State::Starting { .. }) {
        add("starts its next child", world.starts(setting, place));
        add("finds no room for its next child", world.told(setting, place, Event::Command(Command::Deferred)));
        return;
    }
    // A wake-up brings one fact, or several that have piled up.
    if came && (!looking || setting.slow) {
        for taken in sidecar.came.that_may_be_noticed() {
            add(taken.in_words(), world.wakes(setting, place, taken));
        }
    }
    // Nobody begins to look, nor sleeps, with something before him.
    if came && !looking {
        return;
    }
    let rings = sidecar.due || sidecar.noticed != Facts::default() || setting.fault != Fault::OnlyTheWatch;
    if looking || (sidecar.watching && rings) {
        let (what, next) = world.look(setting, place, world.lock(setting, place));
        add(what, next);
    }
    if looking && sidecar.due && setting.fault == Fault::BeginsAnewAtEachEvent {
        let mut next = *world;
        (next.sidecars[place].due, next.sidecars[place].look, next.sidecars[place].at) = (false, Look::Idle, 0);
        add("begins anew", next.look(setting, place, Lock::Unknown).1);
    }
}

/// A fault in the machine: what it does not know afterwards.
fn plant(fault: Fault, state: &mut State) {
    match (fault, state) {
        (Fault::TakesSigtermForTheOrder, State::Running { told: told @ Told::Terminated }) => *told = Told::Ordered,
        (Fault::LosesWhatIsKept, State::Starting { kept, .. }) => *kept = 0,
        _ => {}
    }
}

/// The same: what it does in place of what it should do, where that is something else.
fn instead(fault: Fault, state: State, policy: &Policy, event: Event) -> Option<(State, Actions)> {
    use Event::{Elapsed, Seen as Saw, Signal};
    use State::{BackingOff, Holding, Killing, Lingering, Running, Starting, Stopping};
    let Policy { lingers, stop_signal, .. } = *policy;
    let (other, again) = (stop_signal != TERM, policy.restart != Restart::Never);
    let lingering = |verdict| (Lingering { verdict }, [Action::Arm(Timer::Linger), Action::StopWatching].into());
    let stopping = |cause, told| (Stopping { cause, told }, [Action::Arm(Timer::Grace), Action::StopWatching].into());
    let quiet = |state| (state, Actions::NONE);
    Some(match (fault, state, event) {
        (Fault::TakesSigtermForTheOrderInALinger, Lingering { verdict }, Signal(TERM)) if other => {
            stopping(Cause::JobOver(verdict), false)
        }
        (Fault::RunsOnAfterALinger, Lingering { .. }, Signal(HUP)) => {
            (Running { told: Told::Nothing }, [Action::Forward(HUP)].into())
        }
        (Fault::LingersThoughTold, Holding, Saw(Seen::Over(verdict))) if lingers => lingering(verdict),
        (Fault::LingersForAnAttempt, Holding, Saw(Seen::Paused(verdict))) if lingers => lingering(verdict),
        (Fault::StopsACancelledOneAtOnce, Running { told: Told::Asked }, Saw(Seen::Over(verdict))) => {
            let actions = [Action::Forward(stop_signal), Action::Arm(Timer::Grace), Action::StopWatching];
            (Stopping { cause: Cause::JobOver(verdict), told: false }, actions.into())
        }
        (Fault::LingersForTheMissing, Running { .. }, Saw(Seen::Missing)) if lingers => lingering(Verdict::Lost),
        (Fault::TakesWhatWasHeldForTheOrder, Holding, Elapsed(Timer::Outlive)) => {
            (Running { told: Told::Ordered }, [Action::Disarm, Action::Forward(TERM)].into())
        }
        (Fault::HoldsTheSecondToo, Holding, Signal(TERM)) => quiet(state),
        (Fault::TakesACancelForTheFirst, Running { told: Told::Asked }, Signal(TERM)) => {
            (Running { told: Told::Ordered }, [Action::Forward(TERM)].into())
        }
        (Fault::HoldsForTheMissing, Holding, Saw(Seen::Missing)) => quiet(state),
        (Fault::StartsAgainWhileHolding, Holding, Event::Command(Command::Ended(last))) if again => {
            (BackingOff { last, kept: 0 }, [Action::WithdrawReady, Action::Arm(Timer::BackOff)].into())
        }
        (Fault::TakesTheMissingForTheLost, BackingOff { .. }, Saw(Seen::Missing)) => {
            step(state, policy, Saw(Seen::Over(Verdict::Lost)))
        }
        (Fault::MissesWithoutTheOrder, Running { told: Told::Terminated }, Saw(Seen::Missing)) => {
            stopping(Cause::Missing, true)
        }
        (Fault::LetsTheKillDecide, Stopping { cause: Cause::Missing, told: true }, Elapsed(Timer::Grace)) => {
            (Killing { cause: Cause::PartnerGone }, [Action::Kill, Action::Arm(Timer::Kill)].into())
        }
        (Fault::KeepsSigtermForTheNext, BackingOff { last, kept }, Signal(TERM)) if other => {
            quiet(BackingOff { last, kept: kept | u64::from(bit(TERM)) })
        }
        (Fault::KeepsAllWithWhatIsKept, BackingOff { last, kept }, Signal(TERM)) if kept != 0 => {
            quiet(BackingOff { last, kept: kept | u64::from(bit(TERM)) })
        }
        (Fault::TakesACancelForNothing, Running { told: Told::Nothing }, Signal(INT)) => {
            (state, [Action::Forward(INT)].into())
        }
        (Fault::LosesWhatIsKeptInACrowd, Starting { last: Some(last), .. }, Event::Command(Command::Deferred)) => {
            (BackingOff { last, kept: 0 }, [Action::Arm(Timer::BackOff)].into())
        }
        _ => return None,
    })
}

impl Facts {
    /// Handlers run one a call, so a wake-up brings a signal or all that has come; where a time is up, all. Whoever has died is
    /// always looked for.
    fn that_may_be_noticed(self) -> Vec<Facts> {
        let dead = Facts { dead: self.dead, ..Facts::default() };
        let one = self.members().map(|signal| Facts { signals: bit(signal), ..dead });
        let mut sets = vec![self];
        if self.elapsed.is_none() {
            sets.extend(one.filter(|one| *one != self));
        }
        sets
    }

    fn in_words(self) -> &'static str {
        let Facts { signals, dead, elapsed } = self;
        match (signals != 0, dead.is_some(), elapsed.is_some()) {
            (true, false, false) => "notices a signal",
            (false, true, false) => "notices the death of its child",
            (false, false, true) => "notices that a time is up",
            _ => "notices several things at once",
        }
    }
}

impl Sidecar {
    /// Its child has ended, whether or not that has been noticed.
    fn is_dead(&self) -> bool {
        self.came.dead.or(self.noticed.dead).is_some()
    }

    /// The time that was armed before is of no account once another is, or none.
    fn forget_the_time(&mut self) {
        (self.deadline, self.came.elapsed, self.noticed.elapsed, self.late) = (None, None, None, false);
    }
}

impl World {
    /// A signal comes.
    pub fn is_sent(&mut self, setting: &Setting, place: usize, signal: u8) {
        let when = self.when(setting);
        let sidecar = &mut self.sidecars[place];
        let between = sidecar.is_dead() || matches!(sidecar.state, State::BackingOff { .. } | State::Starting { .. });
        if signal == TERM {
            // Of two that nobody has noticed, the kernel makes one.
            sidecar.again |= sidecar.ordered && !sidecar.came.has(TERM);
            sidecar.ordered = true;
        }
        // Held, it ends nobody yet.
        let held = signal == TERM && setting.outlives && !sidecar.again;
        if signal == HUP {
            sidecar.owed = between;
        } else if (sidecar.child || between) && !held {
            sidecar.first.get_or_insert(when);
        }
        sidecar.came.signals |= bit(signal);
        sidecar.early |= matches!(sidecar.state, State::Claiming { .. } | State::Looking { .. });
    }

    /// What comes while nothing has been started waits for no look.
    pub fn is_told_early(mut self, setting: &Setting, place: usize) -> Outcome<World> {
        let came = std::mem::take(&mut self.sidecars[place].came);
        if setting.fault == Fault::DropsAnEarlySignal {
            return Ok(self);
        }
        // The last that the driver finds it puts first.
        for signal in came.members().rev() {
            self = self.told(setting, place, Event::Signal(signal))?;
        }
        Ok(self)
    }

    /// The driver finds out about these, and looks before it acts on them, where there is anything to be looked at.
    fn wakes(mut self, setting: &Setting, place: usize, taken: Facts) -> Outcome<World> {
        let late = self.when(setting) == When::After;
        let sidecar = &mut self.sidecars[place];
        let Facts { signals, dead, elapsed } = taken;
        let (came, noticed) = (&mut sidecar.came, &mut sidecar.noticed);
        (came.signals, noticed.signals) = (came.signals & !signals, noticed.signals | signals);
        noticed.dead = noticed.dead.or(std::mem::take(&mut came.dead));
        if elapsed.is_some() {
            (came.elapsed, noticed.elapsed, sidecar.late) = (None, elapsed, late);
        }
        let at_once = match setting.fault {
            Fault::JudgesADeathAtOnce => dead.is_some(),
            Fault::JudgesASignalAtOnce => taken.has(TERM),
            Fault::JudgesATimeAtOnce => elapsed.is_some(),
            _ => false,
        };
        if at_once || !sidecar.watching {
            return self.settles(setting, place);
        }
        sidecar.judged = false;
        if sidecar.look == Look::Idle { self.look(setting, place, Lock::Unknown).1 } else { Ok(self) }
    }

    /// A look has been answered: first what it has seen, then what has waited for it.
    pub fn looked(mut self, setting: &Setting, place: usize, seen: Seen) -> Outcome<World> {
        let sidecar = &self.sidecars[place];
        let early = matches!(sidecar.state, State::Looking { .. }) && sidecar.came != Facts::default();
        if early && setting.fault != Fault::HoldsAnEarlySignal {
            self = self.is_told_early(setting, place)?;
        }
        self = self.told(setting, place, Event::Seen(seen))?;
        let sidecar = &self.sidecars[place];
        if sidecar.judged || !sidecar.watching { self.settles(setting, place) } else { Ok(self) }
    }

    /// Acts on all that has been noticed.
    fn settles(mut self, setting: &Setting, place: usize) -> Outcome<World> {
        while let Some(event) = self.next_event(setting, place) {
            self = self.told(setting, place, event)?;
        }
        Ok(self)
    }

    fn next_event(&mut self, setting: &Setting, place: usize) -> Option<Event> {
        let between = matches!(self.sidecars[place].state, State::BackingOff { .. });
        let noticed = &mut self.sidecars[place].noticed;
        if setting.fault == Fault::TimeBeforeSignals
            && let Some(timer) = noticed.elapsed.take()
        {
            return Some(Event::Elapsed(timer));
        }
        // Signals before deaths: a command that ends because it was told to is not one that ended by itself.
        let drops = setting.fault == Fault::DropsAnEarlySignal && between;
        if drops {
            noticed.signals = 0;
        }
        if let Some(signal) = noticed.members().next() {
            noticed.signals &= !bit(signal);
            return Some(Event::Signal(signal));
        }
        let death = noticed.dead.map(|status| Event::Command(Command::Ended(status)));
        death.or_else(|| noticed.elapsed.take().map(Event::Elapsed))
    }

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

    /// One event of a sidecar's machine, and what its driver does about it.
    pub fn told(mut self, setting: &Setting, place: usize, event: Event) -> Outcome<World> {
        let policy = Policy {
            outlive_main: setting.outlives,
            restart_on: setting.restart_on,
            exit_with: ExitWith::Main,
            restart: setting.restart,
            lingers: setting.lingers,
            stop_signal: setting.stop_signal,
            ..SIDECAR
        };
        let before = self.sidecars[place].state;
        let faulty = instead(setting.fault, before, &policy, event);
        let (mut state, actions) = faulty.unwrap_or_else(|| step(before, &policy, event));
        self.judge(setting, place, event, before, state)?;
        self.obey(setting, place, event, before, state)?;
        plant(setting.fault, &mut state);
        let sidecar = &mut self.sidecars[place];
        sidecar.state = state;
        match event {
            Event::Command(Command::Ended(_)) => {
                (sidecar.child, sidecar.asked, sidecar.deadline) = (false, None, None);
                sidecar.noticed.dead = None;
            }
            // It is passed on now; that this is not too late has been judged.
            Event::Elapsed(Timer::Outlive) => {
                sidecar.first.get_or_insert(When::Before);
            }
            Event::Seen(Seen::Over(_)) if matches!(before, State::Lingering { .. }) => sidecar.forget_the_time(),
            _ => {}
        }
        for action in actions.iter() {
            let sidecar = &mut self.sidecars[place];
            match action {
                Action::Look => (sidecar.watching, sidecar.due) = (true, true),
                Action::StopWatching => {
                    if setting.fault == Fault::ForgetsTheLinger && matches!(state, State::Lingering { .. }) {
                        continue;
                    }
                    (sidecar.watching, sidecar.due, sidecar.look, sidecar.at) = (false, false, Look::Idle, 0);
                    (sidecar.first_seen, sidecar.held, sidecar.saw) = Default::default();
                    (sidecar.absent, sidecar.came_now, sidecar.came_since) = (Absent::No, false, false);
                }
                Action::Start => {
                    if sidecar.early || sidecar.noticed.has(TERM) || sidecar.told != 0 {
                        return Err(format!("{SENT}: a signal to end came first, and a child is started all the same"));
                    }
                    let again = matches!(state, State::Starting { last: Some(_), .. });
                    return if setting.crowded && again { Ok(self) } else { self.starts(setting, place) };
                }
                Action::Forward(signal) if sidecar.noticed.dead.is_some() => {
                    // There is nobody any more: it is kept for the next, if one comes.
                    let lost = setting.fault == Fault::LosesWhatComesAtADeath || setting.restart == Restart::Never;
                    if signal == HUP && !lost {
                        sidecar.came.signals |= bit(HUP);
                    }
                }
                Action::Forward(HUP) => sidecar.owed = false,
                // A child heeds its stop signal.
                Action::Forward(signal) if signal == setting.stop_signal && !sidecar.is_dead() => {
                    sidecar.asked = Some(Status::Killed(signal));
                }
                Action::ForwardKept(_) => sidecar.owed = false,
                Action::Kill => {
                    if sidecar.asked.is_none() && !sidecar.is_dead() {
                        return Err(format!("{SENT}: a child is killed that was never sent its stop signal"));
                    }
                    sidecar.asked = Some(KILLED);
                }
                Action::Arm(timer) => {
                    sidecar.forget_the_time();
                    sidecar.deadline = Some(timer);
                    if timer == Timer::BackOff && setting.fault == Fault::LooksAwayInTheBackOff {
                        (sidecar.watching, sidecar.due, sidecar.look) = (false, false, Look::Idle);
                    }
                }
                Action::Disarm => sidecar.forget_the_time(),
                Action::Exit(code) => {
                    let killed = matches!(before, State::Killing { .. });
                    if let Some((due, only_if_killed)) = sidecar.owes
                        && due != code
                        && (killed || !only_if_killed)
                    {
                        return Err(format!("{UNTRUE}: it was stopped for a job with {due}, and leaves with {code}"));
                    }
                    if sidecar.first == Some(When::After) && self.is_own(setting, code) && !self.deleted {
                        return Err(format!(
                            "{ORDER}: the job ended before all else, and the code is the helper's: {code}"
                        ));
                    }
                    let container = self.after_exit(setting, code);
                    self.sidecars[place] = Sidecar { container, ..FRESH_SIDECAR };
                }
                _ => {}
            }
        }
        let Sidecar { owed, came, noticed, .. } = self.sidecars[place];
        let under_way = came.has(HUP) || noticed.has(HUP);
        if event == Event::Command(Command::Started) && owed && !under_way {
            return Err(format!("{SENT}: SIGHUP came between two lives of the child, and the next does not get it"));
        }
        Ok(self)
    }

    fn starts(mut self, setting: &Setting, place: usize) -> Outcome<World> {
        let sidecar = &mut self.sidecars[place];
        sidecar.child = true;
        // What is on its way is the next child's.
        if !sidecar.came.has(TERM) && !sidecar.came.has(INT) {
            sidecar.first = None;
        }
        self.told(setting, place, Event::Command(Command::Started))
    }

    /// What comes where nothing comes from outside: what a sidecar does by itself, and what its watch makes up. Where every
    /// end is final, nothing relies on the bound of what is held.
    pub fn without_help(&self, setting: &Setting, place: usize) -> Vec<(Agent, Outcome<World>)> {
        let mut steps = Vec::new();
        own_steps(setting, self, place, &mut steps);
        steps.retain(|(what, _)| setting.restart_on != Codes::NONE || what.1 != HELD_LONG_ENOUGH);
        let whose = |what: &'static str| match what {
            CHILD_ENDS => Agent::Child,
            HELD_LONG_ENOUGH | TIME_IS_UP | AWAY_TOO_LONG => Agent::Time,
            _ => Agent::Driver,
        };
        let mut owned: Vec<_> = steps.into_iter().map(|(what, next)| (whose(what.1), next)).collect();
        owned.extend(self.lie(setting, place).map(|(_, next)| (Agent::Watch, next)));
        owned
    }

    pub fn is_holding(&self, place: usize) -> bool {
        self.sidecars[place].deadline == Some(Timer::Outlive)
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    Driver,
    Child,
    Time,
    Watch,
}
