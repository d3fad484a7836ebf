//! The world of a rehearsal: what is the case, what can happen next, and what the kubelet makes of it.
//!
//! A wrapper carries out what it has decided at once; everything between two containers (who starts first, who looks
//! first, which command answers first) comes in every order. What nobody causes (a deadline, the end of a job that is
//! not in a hurry) comes when nothing else can, so a life is told as far as it goes by itself.

use super::actor::{Clock, Fact, Life, Order, State, decide};
use super::scenario::{Again, Container, Often, Part, Restart, Scenario, Seat, Way};
use exeunt::machine::Status;
use exeunt::stage::conclude::{Conclusion, together};
use std::collections::VecDeque;

/// What sets a life apart from the others: the one thing that befalls the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// This job ends with this code.
    Exits(usize, u8),
    /// This container is killed with everything in it.
    Killed(usize),
    /// This helper ends by itself, with code 1.
    HelperFails(usize),
    /// Somebody deletes the Pod.
    Deleted,
    /// This container never starts: its image cannot be pulled, say.
    NeverStarts(usize),
    /// What may be a job is a helper, and serves.
    Serves(usize),
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Waiting,
    Up,
    Ended(u8),
    /// Started again and again; it is not followed any further.
    Loops,
}

/// What the command of a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Child {
    None,
    Runs,
    Asked,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Cast {
    pub(super) phase: Phase,
    pub(super) starts: u8,
    /// The code of the last end, of this attempt or an earlier one.
    pub(super) last: Option<u8>,
    /// It ended because it was asked to, or killed.
    pub(super) stopped: bool,
    /// The kubelet has asked it to end.
    asked: bool,
    /// The file that it looks for is there.
    told: bool,
    state: State,
    child: Child,
    watches: bool,
    seen: Conclusion,
    gate: bool,
    clock: Option<Clock>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) cast: Vec<Cast>,
    lives: Vec<Life>,
    /// What was to befall has befallen.
    pub(super) befallen: bool,
    /// The Pod is being deleted.
    pub(super) deleted: bool,
    /// A deadline was what ended it.
    pub(super) late: bool,
    /// The Job has given up.
    pub(super) given_up: bool,
    /// A helper has ended by itself.
    pub(super) helper_failed: bool,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The kubelet starts it.
    Starts(usize),
    /// It sees that something has changed in the shared directory.
    Sees(usize),
    /// What it has waited for is there.
    GateOpens(usize),
    /// It finds the file that it looks for.
    Finds(usize),
    /// Its script exits with this code, on a way on which it does not make its calls.
    Leaves(usize, u8),
    /// Its command ends because it was asked to.
    Answers(usize),
    /// What the life is about.
    Befalls,
    /// A job ends by itself, with 0.
    Passes(usize),
    /// A deadline of its own has passed.
    Elapses(usize),
    /// It has waited for a job that is not there as long as it may.
    Misses(usize),
    /// The kubelet asks it to end: the Pod is deleted, or it is a sidecar of Kubernetes' own.
    Stops(usize),
    /// The grace period is used up.
    GraceOver,
    /// `activeDeadlineSeconds` have passed.
    DeadlinePasses,
    /// `backoffLimit` restarts have failed: the Job deletes its Pod.
    GivenUp,
}

/// What exeunt exits with where it cannot do what it is for.
const CANNOT: u8 = 125;

/// More starts than this say nothing new.
const STARTS: u8 = 3;

/// The scenario with what is looked up often.
pub(super) struct Stage<'a> {
    pub(super) scenario: &'a Scenario,
    names: Vec<(String, String)>,
    pub(super) fate: Fate,
}

impl<'a> Stage<'a> {
    pub(super) fn new(scenario: &'a Scenario, fate: Fate) -> Stage<'a> {
        let mut names: Vec<(String, String)> = Vec::new();
        for wrapped in scenario.containers.iter().filter_map(|container| container.wrapped.as_ref()) {
            let all = wrapped.name.iter().chain(&wrapped.until).chain(&wrapped.wait_for).chain(&wrapped.stop_with);
            for name in all {
                let key = (wrapped.stage.clone(), name.clone());
                if !names.contains(&key) {
                    names.push(key);
                }
            }
        }
        Stage { scenario, names, fate }
    }

    pub(super) fn first(&self) -> World {
        let cast = Cast {
            phase: Phase::Waiting,
            starts: 0,
            last: None,
            stopped: false,
            asked: false,
            told: false,
            state: State::New,
            child: Child::None,
            watches: false,
            seen: Conclusion::NotStarted,
            gate: false,
            clock: None,
        };
        World {
            cast: vec![cast; self.scenario.containers.len()],
            lives: vec![Life::default(); self.names.len()],
            befallen: false,
            deleted: false,
            late: false,
            given_up: false,
            helper_failed: false,
        }
    }

    fn life(&self, stage: &str, name: &str) -> Option<usize> {
        self.names.iter().position(|(its, known)| its == stage && known == name)
    }

    /// All that can happen now.
    pub(super) fn moves(&self, world: &World) -> Vec<Move> {
        let mut moves = Vec::new();
        for (index, (cast, container)) in world.cast.iter().zip(&self.scenario.containers).enumerate() {
            match cast.phase {
                Phase::Waiting if self.may_start(world, index) => moves.push(Move::Starts(index)),
                Phase::Up => {
                    if cast.child == Child::Asked && container.answer.is_some() {
                        moves.push(Move::Answers(index));
                    }
                    // Each has a SIGTERM of its own, and one may have left before the other is asked.
                    if world.deleted && !cast.asked && container.seat != Seat::Native {
                        moves.push(Move::Stops(index));
                    }
                    if cast.told && container.wrapped.is_none() {
                        moves.push(Move::Finds(index));
                    }
                    if cast.watches && self.look(world, index) != cast.seen {
                        moves.push(Move::Sees(index));
                    }
                    if cast.gate && self.gate_holds(world, index) {
                        moves.push(Move::GateOpens(index));
                    }
                }
                _ => {}
            }
        }
        if !world.befallen && self.can_befall(world) {
            moves.push(Move::Befalls);
            if let Fate::Exits(index, code) = self.fate {
                moves.extend(self.leaves(index, code));
            }
        }
        moves.extend(self.next_native(world).map(Move::Stops));
        if moves.is_empty() {
            moves = self.when_all_is_quiet(world);
        }
        moves
    }

    /// What comes only when nothing else can.
    fn when_all_is_quiet(&self, world: &World) -> Vec<Move> {
        if self.over(world) {
            return Vec::new();
        }
        let mut moves = Vec::new();
        let up = || world.cast.iter().zip(&self.scenario.containers).enumerate();
        for (index, (cast, container)) in up().filter(|(_, (cast, _))| cast.phase == Phase::Up) {
            let passes = container.part == Part::Job && cast.child == Child::Runs && !world.deleted;
            if passes && self.fate != Fate::Serves(index) && self.is_heard(world, index, 0) {
                moves.push(Move::Passes(index));
                moves.extend(self.leaves(index, 0));
            }
            if cast.clock.is_some() {
                moves.push(Move::Elapses(index));
            }
        }
        // A command that was asked to end and is deaf is waited for by its own wrapper first.
        let long = |index: usize| world.cast.get(index).and_then(|cast| cast.clock).is_some_and(Clock::is_long);
        let short = moves.iter().any(|next| matches!(next, Move::Elapses(index) if !long(*index)));
        let any = moves.iter().any(|next| matches!(next, Move::Elapses(_)));
        moves.retain(|next| match next {
            Move::Elapses(index) => !short || !long(*index),
            _ => !any,
        });
        if !moves.is_empty() {
            return moves;
        }
        for (index, (cast, container)) in up().filter(|(_, (cast, _))| cast.phase == Phase::Up && cast.watches) {
            let away = matches!(cast.seen, Conclusion::NotStarted | Conclusion::BetweenAttempts(_));
            if away && container.wrapped.as_ref().is_some_and(|wrapped| wrapped.gives_up) {
                moves.push(Move::Misses(index));
            }
        }
        if !moves.is_empty() {
            return moves;
        }
        if world.deleted || self.regulars_over(world) {
            return vec![Move::GraceOver];
        }
        let fails = |cast: &Cast| cast.phase == Phase::Loops && cast.last != Some(0);
        if self.scenario.job.is_some() && world.cast.iter().any(fails) {
            return vec![Move::GivenUp];
        }
        let deadline = self.deadline();
        if deadline.is_some() { vec![Move::DeadlinePasses] } else { Vec::new() }
    }

    /// Whoever needs a helper is not over before that helper runs, unless it never does: a request has somebody to hear it.
    fn is_heard(&self, world: &World, index: usize, code: u8) -> bool {
        let calls = self.scenario.containers.get(index).map_or(&[][..], |one| one.calls.as_slice());
        let now = calls.iter().filter(|call| matches!(call.way, Way::Now(_)) && call.when.at(code) != Often::Never);
        now.map(|call| call.helper).all(|helper| {
            let waits = world.cast.get(helper).is_some_and(|cast| cast.phase == Phase::Waiting);
            !waits || self.fate == Fate::NeverStarts(helper)
        })
    }

    /// The same exit, without the calls that are made on some ways only.
    fn leaves(&self, index: usize, code: u8) -> Option<Move> {
        let container = self.scenario.containers.get(index).filter(|one| one.wrapped.is_none())?;
        let mut all = container.calls.iter().map(|call| call.when).chain(container.marks.iter().map(|mark| mark.when));
        all.any(|when| when.at(code) == Often::Sometimes).then_some(Move::Leaves(index, code))
    }

    /// The bound on the Pod's time, in seconds, if there is one.
    pub(super) fn deadline(&self) -> Option<u64> {
        let of_job = self.scenario.job.as_ref().and_then(|job| job.deadline);
        [self.scenario.deadline, of_job].into_iter().flatten().min()
    }

    fn may_start(&self, world: &World, index: usize) -> bool {
        if world.deleted || self.fate == Fate::NeverStarts(index) {
            return false;
        }
        let seat = self.scenario.containers.get(index).map(|container| container.seat);
        world.cast.iter().zip(&self.scenario.containers).take(index).all(|(cast, container)| match container.seat {
            Seat::Init => cast.phase == Phase::Ended(0),
            Seat::Native => cast.starts > 0,
            Seat::Regular => true,
        }) && !(seat == Some(Seat::Native) && self.regulars_over(world))
    }

    fn can_befall(&self, world: &World) -> bool {
        let runs = |index: usize| {
            world.cast.get(index).is_some_and(|cast| cast.phase == Phase::Up && cast.child != Child::None)
        };
        match self.fate {
            Fate::Exits(index, _) | Fate::HelperFails(index) => {
                let heard = !matches!(self.fate, Fate::Exits(_, code) if !self.is_heard(world, index, code));
                heard && runs(index) && world.cast.get(index).is_some_and(|cast| cast.child == Child::Runs)
            }
            Fate::Killed(index) => runs(index),
            // At its start there is nothing to be told; it is the running Pod that a person deletes.
            Fate::Deleted => {
                let jobs = || self.scenario.containers.iter().enumerate().filter(|(_, one)| one.part == Part::Job);
                jobs().filter(|(_, one)| one.seat == Seat::Regular).all(|(index, _)| runs(index))
            }
            Fate::NeverStarts(_) | Fate::Serves(_) => false,
        }
    }

    /// Whether an end with this code is the last one of this container.
    pub(super) fn again(&self, world: &World, index: usize, code: u8) -> Option<Again> {
        let container = self.scenario.containers.get(index)?;
        if world.deleted {
            return None;
        }
        if container.seat == Seat::Native {
            return (!self.regulars_over(world)).then_some(Again::Container);
        }
        if let Some(rule) = container.rules.iter().find(|rule| rule.matches(code)) {
            return Some(rule.again);
        }
        let restart = container.restart.unwrap_or(self.scenario.restart);
        // An init container that succeeded is not repeated, whatever the Pod's policy.
        let restart =
            if container.seat == Seat::Init && restart == Restart::Always { Restart::OnFailure } else { restart };
        restart.after(code).then_some(Again::Container)
    }

    /// Every container that counts has ended for good, or will never start because an init container has failed.
    pub(super) fn regulars_over(&self, world: &World) -> bool {
        let mut all = world.cast.iter().zip(&self.scenario.containers);
        let failed_before = world.cast.iter().zip(&self.scenario.containers).any(|(cast, container)| {
            container.seat == Seat::Init && matches!(cast.phase, Phase::Ended(code) if code != 0)
        });
        all.all(|(cast, container)| match (container.seat, cast.phase) {
            (Seat::Native, _) | (_, Phase::Ended(_)) => true,
            (_, Phase::Waiting) => failed_before || (world.deleted),
            (_, Phase::Up | Phase::Loops) => false,
        })
    }

    /// Nothing of the Pod runs any more, and nothing of it will.
    pub(super) fn over(&self, world: &World) -> bool {
        self.regulars_over(world) && world.cast.iter().all(|cast| cast.phase != Phase::Up)
    }

    /// The last native sidecar that still runs once the others are over.
    fn next_native(&self, world: &World) -> Option<usize> {
        if !self.regulars_over(world) {
            return None;
        }
        let mut natives = world.cast.iter().zip(&self.scenario.containers).enumerate().rev();
        let (index, (cast, _)) =
            natives.find(|(_, (cast, one))| one.seat == Seat::Native && cast.phase == Phase::Up)?;
        (cast.child != Child::Asked && !cast.stopped).then_some(index)
    }

    fn look(&self, world: &World, index: usize) -> Conclusion {
        let Some(wrapped) = self.scenario.containers.get(index).and_then(|one| one.wrapped.as_ref()) else {
            return Conclusion::NotStarted;
        };
        let of = |name: &String| {
            let life = self.life(&wrapped.stage, name).and_then(|life| world.lives.get(life));
            life.map_or(Conclusion::NotStarted, Life::conclude)
        };
        match &wrapped.stop_with {
            Some(partner) => of(partner),
            None => together(wrapped.until.iter().map(of), wrapped.until_any),
        }
    }

    fn gate_holds(&self, world: &World, index: usize) -> bool {
        let Some(container) = self.scenario.containers.get(index) else { return false };
        // Whoever says goodbye to a helper waits for that helper.
        let answers =
            |helper: &usize| world.cast.get(*helper).is_some_and(|cast| !matches!(cast.phase, Phase::Waiting));
        container.goodbyes.iter().all(answers)
            && container.wrapped.as_ref().is_some_and(|wrapped| {
                wrapped.wait_for.iter().all(|name| {
                    self.life(&wrapped.stage, name)
                        .and_then(|life| world.lives.get(life))
                        .is_some_and(|life| life.ready)
                })
            })
    }

    /// What the world is after this.
    pub(super) fn after(&self, world: &World, this: Move) -> World {
        let mut next = world.clone();
        match this {
            Move::Starts(index) => self.start(&mut next, index),
            Move::Sees(index) => self.sees(&mut next, index),
            Move::GateOpens(index) => self.tell(&mut next, index, Fact::GateOpened),
            Move::Finds(index) => self.quit(&mut next, index, 0),
            Move::Leaves(index, code) => {
                next.befallen |= self.fate == Fate::Exits(index, code);
                self.container_ends(&mut next, index, code);
                self.says(&mut next, index, code, &[Often::Always]);
            }
            Move::Answers(index) => {
                if let Some(status) = self.scenario.containers.get(index).and_then(|one| one.answer) {
                    self.command_ends(&mut next, index, status);
                }
            }
            Move::Passes(index) => self.command_ends(&mut next, index, Status::Exited(0)),
            Move::Elapses(index) => {
                if let Some(clock) = next.cast.get_mut(index).and_then(|cast| cast.clock.take()) {
                    self.tell(&mut next, index, Fact::Elapsed(clock));
                }
            }
            Move::Misses(index) => self.tell(&mut next, index, Fact::Missing),
            Move::Stops(index) => {
                if let Some(cast) = next.cast.get_mut(index) {
                    cast.asked = true;
                }
                self.ask(&mut next, index);
            }
            Move::GraceOver => self.kill_all(&mut next),
            Move::DeadlinePasses => {
                next.late = true;
                self.delete(&mut next);
            }
            Move::GivenUp => {
                next.given_up = true;
                self.delete(&mut next);
            }
            Move::Befalls => {
                next.befallen = true;
                match self.fate {
                    Fate::Exits(index, code) => self.command_ends(&mut next, index, Status::Exited(code)),
                    Fate::HelperFails(index) => {
                        next.helper_failed = true;
                        self.command_ends(&mut next, index, Status::Exited(1));
                    }
                    Fate::Killed(index) => self.container_ends(&mut next, index, 137),
                    Fate::Deleted => self.delete(&mut next),
                    Fate::NeverStarts(_) | Fate::Serves(_) => {}
                }
            }
        }
        next
    }

    fn start(&self, world: &mut World, index: usize) {
        let Some(container) = self.scenario.containers.get(index) else { return };
        if let Some(cast) = world.cast.get_mut(index) {
            cast.phase = Phase::Up;
            cast.starts = cast.starts.saturating_add(1).min(STARTS);
            cast.stopped = false;
            cast.state = State::New;
            cast.child = if container.wrapped.is_some() { Child::None } else { Child::Runs };
            (cast.watches, cast.gate, cast.clock) = (false, false, None);
            cast.seen = Conclusion::NotStarted;
        }
        if container.resets {
            let free = |life: &Life| life.conclude() != Conclusion::Running;
            world.lives.iter_mut().filter(|life| free(life)).for_each(|life| *life = Life::default());
        }
        if container.wrapped.is_some() {
            self.tell(world, index, Fact::Begun);
        } else if container.seat == Seat::Init && container.part == Part::Job {
            // An init container of no interest; what becomes of one that fails is a life of its own.
            let fails = matches!(self.fate, Fate::Exits(fate, _) | Fate::Killed(fate) if fate == index);
            if !fails || world.befallen {
                self.container_ends(world, index, 0);
            }
        }
    }

    fn sees(&self, world: &mut World, index: usize) {
        let found = self.look(world, index);
        let partner = self.scenario.containers.get(index).and_then(|one| one.wrapped.as_ref());
        let has_partner = partner.is_some_and(|wrapped| wrapped.stop_with.is_some());
        if let Some(cast) = world.cast.get_mut(index) {
            cast.seen = found;
        }
        let fact = match (found, has_partner) {
            (Conclusion::Over(_), true) => Fact::PartnerGone,
            (_, true) => return,
            (Conclusion::Over(verdict), false) => Fact::Over(verdict),
            (Conclusion::BetweenAttempts(verdict), false) => Fact::Paused(verdict),
            (_, false) => Fact::On,
        };
        self.tell(world, index, fact);
    }

    fn command_ends(&self, world: &mut World, index: usize, status: Status) {
        let Some(container) = self.scenario.containers.get(index) else { return };
        if container.wrapped.is_some() {
            if let Some(cast) = world.cast.get_mut(index) {
                cast.child = Child::None;
            }
            self.tell(world, index, Fact::Ended(status));
        } else {
            self.container_ends(world, index, status.code());
            if let Status::Exited(code) = status {
                self.says(world, index, code, &[Often::Always, Often::Sometimes]);
            }
        }
    }

    /// SIGTERM, or a call that means the same.
    fn ask(&self, world: &mut World, index: usize) {
        let wrapped = self.scenario.containers.get(index).is_some_and(|one| one.wrapped.is_some());
        let Some(cast) = world.cast.get_mut(index).filter(|cast| cast.phase == Phase::Up) else { return };
        cast.stopped = true;
        if wrapped {
            self.tell(world, index, Fact::Term);
        } else {
            cast.child = Child::Asked;
        }
    }

    /// What a script does to others before this exit, as far as it is done as often as that.
    fn says(&self, world: &mut World, index: usize, code: u8, often: &[Often]) {
        let Some(Container { calls, marks, .. }) = self.scenario.containers.get(index) else { return };
        for call in calls.iter().filter(|call| often.contains(&call.when.at(code))) {
            match call.way {
                Way::Now(code) => self.quit(world, call.helper, code),
                Way::File => {
                    if let Some(cast) = world.cast.get_mut(call.helper) {
                        cast.told = true;
                    }
                }
            }
        }
        for mark in marks.iter().filter(|mark| often.contains(&mark.when.at(code))) {
            if let Some(life) = self.life(&mark.stage, &mark.name).and_then(|life| world.lives.get_mut(life)) {
                life.mark();
            }
        }
    }

    /// A bare helper is ended from outside. One that does not run hears nothing.
    fn quit(&self, world: &mut World, index: usize, code: u8) {
        if let Some(cast) = world.cast.get_mut(index).filter(|cast| cast.phase == Phase::Up) {
            cast.stopped = true;
            self.container_ends(world, index, code);
        }
    }

    fn delete(&self, world: &mut World) {
        world.deleted = true;
        for cast in &mut world.cast {
            if let (Phase::Loops, Some(code)) = (cast.phase, cast.last) {
                cast.phase = Phase::Ended(code);
            }
        }
    }

    fn kill_all(&self, world: &mut World) {
        for index in 0..world.cast.len() {
            if world.cast.get(index).is_some_and(|cast| cast.phase == Phase::Up) {
                if let Some(cast) = world.cast.get_mut(index) {
                    cast.stopped = true;
                }
                self.container_ends(world, index, 137);
            }
        }
    }

    fn release(&self, world: &mut World, index: usize) {
        let wrapped = self.scenario.containers.get(index).and_then(|one| one.wrapped.as_ref());
        let life = wrapped.and_then(|its| its.name.as_ref().and_then(|name| self.life(&its.stage, name)));
        // One that has not claimed the name yet holds no lock.
        let claimed = world.cast.get(index).is_some_and(|cast| cast.state != State::New);
        if let Some(life) = life.filter(|_| claimed).and_then(|life| world.lives.get_mut(life)) {
            life.release();
        }
    }

    fn container_ends(&self, world: &mut World, index: usize, code: u8) {
        self.release(world, index);
        if let Some(cast) = world.cast.get_mut(index) {
            cast.last = Some(code);
            cast.phase = Phase::Ended(code);
            cast.child = Child::None;
            (cast.watches, cast.gate, cast.clock) = (false, false, None);
        }
        match self.again(world, index, code) {
            None => {}
            Some(Again::Container) => self.once_more(world, index),
            Some(Again::Pod) => {
                for other in 0..world.cast.len() {
                    self.release(world, other);
                    self.once_more(world, other);
                }
            }
        }
    }

    fn once_more(&self, world: &mut World, index: usize) {
        if let Some(cast) = world.cast.get_mut(index) {
            let waiting = cast.starts < STARTS;
            cast.phase = if waiting { Phase::Waiting } else { Phase::Loops };
            cast.child = Child::None;
            (cast.watches, cast.gate, cast.clock) = (false, false, None);
            cast.state = State::New;
        }
    }

    /// Tells a wrapper, carries out what it decides, and so on until it waits for something.
    fn tell(&self, world: &mut World, index: usize, fact: Fact) {
        let Some(wrapped) = self.scenario.containers.get(index).and_then(|one| one.wrapped.as_ref()) else { return };
        let own = wrapped.name.as_ref().and_then(|name| self.life(&wrapped.stage, name));
        let mut facts = VecDeque::from([fact]);
        while let Some(fact) = facts.pop_front() {
            let Some(cast) = world.cast.get_mut(index) else { return };
            let (state, orders) = decide(cast.state, &wrapped.policy, fact);
            cast.state = state;
            for order in orders {
                let Some(cast) = world.cast.get_mut(index) else { return };
                let life = own.and_then(|own| world.lives.get_mut(own));
                match order {
                    Order::Claim if wrapped.read_only && own.is_some() => {
                        self.container_ends(world, index, CANNOT);
                        return;
                    }
                    Order::Claim => {
                        if let Some(life) = life {
                            life.claim(wrapped.policy);
                        }
                        facts.push_back(Fact::Claimed);
                    }
                    Order::Look => {
                        cast.watches = true;
                        self.first_look(world, index, &mut facts);
                    }
                    Order::OpenGate => cast.gate = true,
                    Order::CloseGate => cast.gate = false,
                    Order::Start => {
                        cast.child = Child::Runs;
                        facts.push_back(Fact::Started);
                    }
                    Order::Ready(ready) => {
                        if let Some(life) = life {
                            life.ready = ready;
                        }
                    }
                    Order::AwaitReady => facts.push_back(Fact::ReadyHeld),
                    Order::Ask => {
                        if cast.child == Child::Runs {
                            cast.child = Child::Asked;
                        }
                        cast.stopped = true;
                    }
                    Order::Nothing => {}
                    Order::Kill => {
                        cast.child = Child::None;
                        facts.push_back(Fact::Ended(Status::Killed(9)));
                    }
                    Order::Arm(clock) => cast.clock = Some(clock),
                    Order::Disarm => cast.clock = None,
                    Order::StopWatching => cast.watches = false,
                    Order::Publish(status, last) => {
                        if let Some(life) = life {
                            life.publish(status, last);
                        }
                        facts.push_back(Fact::Published);
                    }
                    Order::Goodbye => {
                        let helpers = self.scenario.containers.get(index).map(|one| one.goodbyes.clone());
                        for helper in helpers.unwrap_or_default() {
                            self.quit(world, helper, 0);
                        }
                        facts.push_back(Fact::GoodbyeSaid);
                    }
                    Order::Exit(code) => {
                        self.container_ends(world, index, code);
                        return;
                    }
                }
            }
        }
    }

    fn first_look(&self, world: &mut World, index: usize, facts: &mut VecDeque<Fact>) {
        let found = self.look(world, index);
        let partner = self.scenario.containers.get(index).and_then(|one| one.wrapped.as_ref());
        let has_partner = partner.is_some_and(|wrapped| wrapped.stop_with.is_some());
        if let Some(cast) = world.cast.get_mut(index) {
            cast.seen = found;
        }
        facts.push_back(match (found, has_partner) {
            (Conclusion::Over(_), true) => Fact::PartnerGone,
            (_, true) => Fact::On,
            (Conclusion::Over(verdict), false) => Fact::Over(verdict),
            (Conclusion::BetweenAttempts(verdict), false) => Fact::Paused(verdict),
            (_, false) => Fact::On,
        });
    }
}
