//! What has happened, as somebody beside the machine would note it down, and the rules that its orders must keep.
//!
//! Written from the contract, not from the machine: the two are compared at every step.

use super::policies::{KILL, QUIT, TERM, WINCH};
use exeunt::machine::{
    Action, Cause, Command, Event, ExitWith, Gate, Name, Policy, Readiness, Restart, Role, Seen, Status, Timer, Told,
    Verdict, Word,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Claim {
    No,
    Asked,
    Held,
    Ours,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Child {
    None,
    Asked,
    Alive,
    Dead(Status),
}

/// Something that is asked for once and then over: the gate, the watch, the publication, the goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Errand {
    No,
    Asked,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ready {
    No,
    Awaited,
    Published,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct History {
    pub begun: bool,
    pub claim: Claim,
    pub gate: Errand,
    pub gate_opened: bool,
    pub watch: Errand,
    pub child: Child,
    /// How the child before this one ended.
    pub past: Option<Status>,
    /// The job is over, and the child has a while left.
    pub lingering: Option<Verdict>,
    /// Signals for the child that is still to come.
    pub kept: u64,
    /// Signals that came before the name was ours and end us.
    pub heard: u64,
    pub told: Told,
    pub held: bool,
    pub cause: Option<Cause>,
    /// Before that, somebody had sent it a signal to end: as long as it is not killed, its own code counts.
    pub by_signal: bool,
    pub deadline: Option<Timer>,
    pub grace_over: bool,
    pub ready: Ready,
    pub publication: Errand,
    pub last: bool,
    pub goodbye: Errand,
    /// What to exit with, once that is settled.
    pub end: Option<u8>,
    pub exited: bool,
}

pub const NOTHING: History = History {
    begun: false,
    claim: Claim::No,
    gate: Errand::No,
    gate_opened: false,
    watch: Errand::No,
    child: Child::None,
    past: None,
    lingering: None,
    kept: 0,
    heard: 0,
    told: Told::Nothing,
    held: false,
    cause: None,
    by_signal: false,
    deadline: None,
    grace_over: false,
    ready: Ready::No,
    publication: Errand::No,
    last: false,
    goodbye: Errand::No,
    end: None,
    exited: false,
};

pub fn ends(signal: u8) -> bool {
    signal != WINCH
}

pub fn bit(signal: u8) -> u64 {
    1 << (signal - 1)
}

pub fn members(set: u64) -> impl Iterator<Item = u8> {
    (1..=64).filter(move |signal| set & bit(*signal) != 0)
}

pub fn tells(policy: &Policy, told: Told, signal: u8) -> Told {
    if told == Told::Ordered || signal == policy.stop_signal {
        Told::Ordered
    } else if signal == TERM || told == Told::Terminated {
        Told::Terminated
    } else if (signal == QUIT || signal == super::policies::INT) && told == Told::Nothing {
        Told::Asked
    } else {
        told
    }
}

impl History {
    /// Whether the driver can report this now.
    pub fn possible(&self, policy: &Policy, event: Event) -> bool {
        let watched = |role| self.watch == Errand::Asked && policy.role == role;
        !self.exited
            && match event {
                Event::Begun => !self.begun,
                Event::Name(_) => matches!(self.claim, Claim::Asked | Claim::Held),
                Event::Seen(Seen::PartnerGone) => watched(Role::Main),
                Event::Seen(_) => watched(Role::Sidecar),
                Event::Gate(_) => self.gate == Errand::Asked,
                Event::Command(Command::Started | Command::Failed(_) | Command::Deferred) => self.child == Child::Asked,
                Event::ReadyHeld => self.ready == Ready::Awaited,
                Event::Command(Command::Ended(_)) => self.child == Child::Alive,
                // Killed is who has had his time.
                Event::Command(Command::Unkillable) => self.child == Child::Alive && self.grace_over,
                // Handlers come first, but nobody looks at what they have caught before the name is asked for.
                Event::Signal(_) => self.begun,
                Event::Elapsed(timer) => self.deadline == Some(timer),
                Event::Said(Word::End) => self.publication == Errand::Asked,
                Event::Said(Word::Goodbye) => self.goodbye == Errand::Asked,
            }
    }

    /// Why one may leave at this event: what is told of the end, and the code.
    pub fn reasons(&self, policy: &Policy, event: Event) -> Vec<(Status, u8)> {
        let idle = matches!(self.child, Child::None | Child::Dead(_));
        let plain = |code: u8| (Status::Exited(code), code);
        if !self.possible(policy, event) || self.end.is_some() {
            return Vec::new();
        }
        match (event, self.child) {
            (Event::Command(Command::Ended(status)), _) if self.starts_again(policy, status) => Vec::new(),
            (Event::Command(Command::Ended(status)), _) => vec![(status, self.code(policy, status))],
            (Event::Command(Command::Unkillable) | Event::Elapsed(Timer::Kill), _) => {
                let status = Status::Killed(KILL);
                vec![(status, self.code(policy, status))]
            }
            (Event::Command(Command::Deferred), _) if self.past.is_none() => vec![plain(125)],
            (Event::Command(Command::Failed(code)), _) => vec![plain(code)],
            (Event::Elapsed(Timer::Gate) | Event::Gate(Gate::Hopeless), _) => vec![plain(124)],
            (Event::Seen(Seen::Over(verdict)), Child::Dead(last)) => {
                vec![(last, code(policy, Some(Cause::JobOver(verdict)), last))]
            }
            (Event::Seen(Seen::Over(_)), Child::None) => vec![plain(0)],
            (Event::Seen(Seen::Missing), Child::Dead(last)) => vec![(last, code(policy, Some(Cause::Missing), last))],
            (Event::Seen(Seen::Missing), Child::None) if self.claim != Claim::Refused => vec![plain(124)],
            (Event::Name(Name::Refused), _) if policy.role == Role::Sidecar => {
                members(self.heard).map(|signal| plain(128 + signal)).collect()
            }
            (Event::Name(Name::Refused), _) => vec![plain(125)],
            (Event::Seen(Seen::On | Seen::Paused(_) | Seen::Missing), Child::None) if self.claim == Claim::Refused => {
                vec![plain(125)]
            }
            (Event::Name(Name::Ours | Name::Held), _) => {
                members(self.heard).map(|signal| plain(128 + signal)).collect()
            }
            // A sidecar's child has run before: what is no request to end is for the next.
            (Event::Signal(signal), Child::Dead(_)) if tells(policy, Told::Nothing, signal) == Told::Nothing => {
                Vec::new()
            }
            (Event::Signal(signal), Child::Dead(_)) => vec![plain(128 + signal)],
            (Event::Signal(signal), _) if idle && ends(signal) && self.claim != Claim::Asked => {
                vec![plain(128 + signal)]
            }
            _ => Vec::new(),
        }
    }

    fn code(&self, policy: &Policy, status: Status) -> u8 {
        code(policy, self.why().filter(|_| !self.by_signal), status)
    }

    /// Why the child is to end, as far as somebody here wants it to.
    fn why(&self) -> Option<Cause> {
        self.cause.or(self.lingering.map(Cause::JobOver))
    }

    pub fn starts_again(&self, policy: &Policy, status: Status) -> bool {
        let wanted = match policy.restart {
            Restart::Never => false,
            Restart::OnFailure => status != Status::Exited(0),
            Restart::Always => true,
        };
        wanted && self.told == Told::Nothing && !self.held && self.why().is_none()
    }

    /// Notes the event, before anything is done about it. Says what has to be sent to the child.
    fn note(&mut self, policy: &Policy, event: Event, believed: bool) -> Option<u8> {
        if matches!(event, Event::Elapsed(_)) {
            self.deadline = None;
        }
        match event {
            Event::Begun => self.begun = true,
            Event::Name(Name::Ours) => self.claim = Claim::Ours,
            Event::Name(Name::Refused) => self.claim = Claim::Refused,
            Event::Name(Name::Held) => self.claim = Claim::Held,
            Event::Gate(Gate::Opened) => self.gate_opened = true,
            Event::Command(Command::Started) => {
                self.child = Child::Alive;
                self.told = members(self.kept).fold(Told::Nothing, |told, signal| tells(policy, told, signal));
            }
            Event::Command(Command::Deferred) => self.child = Child::Dead(self.past.unwrap_or(Status::Exited(125))),
            Event::Gate(Gate::Hopeless) => {}
            Event::Command(Command::Failed(code)) => self.child = Child::Dead(Status::Exited(code)),
            Event::Command(Command::Ended(status)) => self.child = Child::Dead(status),
            // It lives on, and nobody reaches it any more.
            Event::Command(Command::Unkillable) => self.child = Child::Dead(Status::Killed(KILL)),
            Event::Said(Word::End) => self.publication = Errand::Over,
            Event::Said(Word::Goodbye) => self.goodbye = Errand::Over,
            Event::Seen(Seen::Over(verdict)) if believed && self.may_linger(policy) => self.lingering = Some(verdict),
            Event::Seen(Seen::Missing) if believed => return self.stop(policy, Cause::Missing),
            Event::Seen(Seen::Over(verdict)) if believed => return self.stop(policy, Cause::JobOver(verdict)),
            Event::Seen(Seen::Paused(verdict)) if believed && self.held => {
                return self.stop(policy, Cause::JobOver(verdict));
            }
            Event::Seen(Seen::PartnerGone) if believed => return self.stop(policy, Cause::PartnerGone),
            Event::Elapsed(timer) => match timer {
                Timer::Grace => {
                    // The signal did not end it; what came after that does.
                    (self.grace_over, self.by_signal) = (true, false);
                }
                Timer::Publish => self.publication = Errand::Over,
                Timer::Goodbye => self.goodbye = Errand::Over,
                Timer::Kill => self.child = Child::Dead(Status::Killed(KILL)),
                Timer::Linger => {
                    let verdict = self.lingering.take()?;
                    return self.stop(policy, Cause::JobOver(verdict));
                }
                Timer::Outlive => {
                    self.held = false;
                    self.told = tells(policy, self.told, TERM);
                    return Some(TERM);
                }
                Timer::Gate | Timer::BackOff => {}
            },
            Event::Signal(signal) => return self.hear(policy, signal),
            Event::Seen(_) | Event::ReadyHeld => {}
        }
        None
    }

    fn hear(&mut self, policy: &Policy, signal: u8) -> Option<u8> {
        match self.child {
            Child::Alive => {
                if let Some(verdict) = self.lingering
                    && (signal == TERM || signal == policy.stop_signal)
                {
                    self.lingering = None;
                    return self.stop(policy, Cause::JobOver(verdict));
                }
                if self.lingering.is_some() {
                    return Some(signal);
                }
                let free = matches!(self.told, Told::Nothing | Told::Asked) && self.cause.is_none() && !self.held;
                if policy.outlive_main && signal == TERM && free {
                    self.held = true;
                    return None;
                }
                let lets_go = signal == TERM || signal == policy.stop_signal;
                if !self.held || lets_go {
                    self.told = tells(policy, self.told, signal);
                }
                // Once it is ordered to end, there is nothing to be held back any more.
                self.held &= !lets_go;
                return Some(signal);
            }
            Child::Asked => self.kept |= bit(signal),
            Child::None if !ends(signal) && self.end.is_none() => self.kept |= bit(signal),
            Child::None if self.claim == Claim::Asked => self.heard |= bit(signal),
            Child::Dead(_) if self.end.is_none() && tells(policy, Told::Nothing, signal) == Told::Nothing => {
                self.kept |= bit(signal);
            }
            Child::None | Child::Dead(_) => {}
        }
        if self.goodbye == Errand::Asked && ends(signal) {
            self.goodbye = Errand::Over;
        }
        None
    }

    /// Whether the child gets a while after the job's end: it is wanted, and nobody has sent SIGTERM.
    fn may_linger(&self, policy: &Policy) -> bool {
        let free = matches!(self.told, Told::Nothing | Told::Asked) && !self.held && self.cause.is_none();
        policy.lingers && self.child == Child::Alive && free
    }

    fn stop(&mut self, policy: &Policy, cause: Cause) -> Option<u8> {
        if self.child != Child::Alive || self.cause.is_some() {
            return None;
        }
        self.held = false;
        let sent = self.told == Told::Ordered;
        // The watch has nothing more to say: what it said last is kept, in case the child has to be killed for it.
        (self.cause, self.by_signal) = (Some(cause), matches!(self.told, Told::Terminated | Told::Ordered));
        self.told = Told::Ordered;
        (!sent).then_some(policy.stop_signal)
    }

    /// The time that must be running now, so that every wait ends.
    fn wanted_deadline(&self) -> Option<Timer> {
        match self.child {
            _ if self.goodbye == Errand::Asked => Some(Timer::Goodbye),
            _ if self.publication == Errand::Asked => Some(Timer::Publish),
            _ if self.gate == Errand::Asked => Some(Timer::Gate),
            Child::Alive if self.cause.is_some() && !self.grace_over => Some(Timer::Grace),
            Child::Alive if self.cause.is_some() => Some(Timer::Kill),
            Child::Alive if self.lingering.is_some() => Some(Timer::Linger),
            Child::Alive if self.held => Some(Timer::Outlive),
            Child::Dead(_) if self.end.is_none() => Some(Timer::BackOff),
            Child::None | Child::Asked | Child::Alive | Child::Dead(_) => None,
        }
    }
}

/// The exit code, which depends on the child's status and the first cause, and on nothing else.
fn code(policy: &Policy, cause: Option<Cause>, status: Status) -> u8 {
    let own = match status {
        Status::Exited(code) => code,
        Status::Killed(signal) => 128 + signal,
    };
    match (cause, policy.exit_with) {
        (Some(Cause::Missing), _) => 124,
        (None | Some(Cause::PartnerGone), _) | (Some(Cause::JobOver(_)), ExitWith::Child) => own,
        (Some(Cause::JobOver(_)), ExitWith::Zero) => 0,
        (Some(Cause::JobOver(verdict)), ExitWith::Main) => match verdict {
            Verdict::Told(Status::Exited(code)) => code,
            Verdict::Told(Status::Killed(signal)) => 128 + signal,
            Verdict::Silent => 0,
            Verdict::Lost => 137,
        },
    }
}

#[path = "rules.rs"]
mod rules;
