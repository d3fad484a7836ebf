//! What has happened, as somebody beside the machine would note it down, and the rules that its orders must keep.
//!
//! Written from the contract, not from the machine: the two are compared at every step.

use super::policies::{KILL, QUIT, TERM, WINCH};
use exeunt::machine::{
    Action, Cause, Event, ExitWith, Policy, Readiness, Restart, RestartPolicy, Role, Status, Timer, Told, Verdict,
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
    /// Signals for the child that is still to come.
    pub kept: u64,
    /// Signals that came before the name was ours and end us.
    pub heard: u64,
    pub told: Told,
    pub held: bool,
    pub cause: Option<Cause>,
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
    kept: 0,
    heard: 0,
    told: Told::Nothing,
    held: false,
    cause: None,
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
    if signal == TERM || signal == policy.stop_signal {
        Told::Ordered
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
                Event::Claimed | Event::NotClaimed | Event::NameHeld => {
                    matches!(self.claim, Claim::Asked | Claim::Held)
                }
                Event::JobOn | Event::JobPaused(_) | Event::JobOver(_) => watched(Role::Sidecar),
                Event::PartnerGone => watched(Role::Main),
                Event::GateOpened => self.gate == Errand::Asked,
                Event::Started | Event::StartFailed(_) => self.child == Child::Asked,
                Event::ReadyHeld => self.ready == Ready::Awaited,
                Event::ChildExited(_) => self.child == Child::Alive,
                // Killed is who has had his time.
                Event::KillRefused => self.child == Child::Alive && self.grace_over,
                // Handlers come first, but nobody looks at what they have caught before the name is asked for.
                Event::Signal(_) => self.begun,
                Event::DeadlineElapsed => self.deadline.is_some(),
                Event::Published => self.publication == Errand::Asked,
                Event::GoodbyeSaid => self.goodbye == Errand::Asked,
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
            (Event::ChildExited(status), _) if self.starts_again(policy, status) => Vec::new(),
            (Event::ChildExited(status), _) => vec![(status, code(policy, self.cause, status))],
            (Event::KillRefused, _) => {
                let status = Status::Killed(KILL);
                vec![(status, code(policy, self.cause, status))]
            }
            (Event::StartFailed(code), _) => vec![plain(code)],
            (Event::DeadlineElapsed, _) if self.deadline == Some(Timer::Gate) => vec![plain(124)],
            (Event::JobOver(verdict), Child::Dead(last)) => {
                vec![(last, code(policy, Some(Cause::JobOver(verdict)), last))]
            }
            (Event::JobOver(_), Child::None) => vec![plain(0)],
            (Event::NotClaimed, _) if policy.role == Role::Sidecar => Vec::new(),
            (Event::NotClaimed, _) => vec![plain(125)],
            (Event::JobOn | Event::JobPaused(_), Child::None) if self.claim == Claim::Refused => vec![plain(125)],
            (Event::Claimed | Event::NameHeld, _) => members(self.heard).map(|signal| plain(128 + signal)).collect(),
            // A sidecar's child has run before: what is no request to end was meant for it, and is gone with it.
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

    pub fn starts_again(&self, policy: &Policy, status: Status) -> bool {
        let wanted = match policy.restart {
            Restart::Never => false,
            Restart::OnFailure => status != Status::Exited(0),
            Restart::Always => true,
        };
        wanted && self.told == Told::Nothing && !self.held && self.cause.is_none()
    }

    /// Notes the event, before anything is done about it. Says what has to be sent to the child.
    fn note(&mut self, policy: &Policy, event: Event, believed: bool) -> Option<u8> {
        let elapsed = if event == Event::DeadlineElapsed { self.deadline.take() } else { None };
        match event {
            Event::Begun => self.begun = true,
            Event::Claimed => self.claim = Claim::Ours,
            Event::NotClaimed => self.claim = Claim::Refused,
            Event::NameHeld => self.claim = Claim::Held,
            Event::GateOpened => self.gate_opened = true,
            Event::Started => {
                self.child = Child::Alive;
                self.told = members(self.kept).fold(Told::Nothing, |told, signal| tells(policy, told, signal));
            }
            Event::StartFailed(code) => self.child = Child::Dead(Status::Exited(code)),
            Event::ChildExited(status) => self.child = Child::Dead(status),
            // It lives on, and nobody reaches it any more.
            Event::KillRefused => self.child = Child::Dead(Status::Killed(KILL)),
            Event::Published => self.publication = Errand::Over,
            Event::GoodbyeSaid => self.goodbye = Errand::Over,
            Event::JobOver(verdict) if believed => return self.stop(policy, Cause::JobOver(verdict)),
            Event::JobPaused(verdict) if believed && self.held => return self.stop(policy, Cause::JobOver(verdict)),
            Event::PartnerGone if believed => return self.stop(policy, Cause::PartnerGone),
            Event::DeadlineElapsed => match elapsed {
                Some(Timer::Grace) => {
                    self.grace_over = true;
                    // The signal did not end it; that the job is over does.
                    if let Some(Cause::Told(Some(verdict))) = self.cause {
                        self.cause = Some(Cause::JobOver(verdict));
                    }
                }
                Some(Timer::Publish) => self.publication = Errand::Over,
                Some(Timer::Goodbye) => self.goodbye = Errand::Over,
                Some(Timer::Outlive) => {
                    self.held = false;
                    self.told = Told::Ordered;
                    return Some(TERM);
                }
                Some(Timer::Gate | Timer::BackOff) | None => {}
            },
            Event::Signal(signal) => return self.hear(policy, signal),
            Event::JobOn | Event::JobPaused(_) | Event::JobOver(_) | Event::PartnerGone | Event::ReadyHeld => {}
        }
        None
    }

    fn hear(&mut self, policy: &Policy, signal: u8) -> Option<u8> {
        match self.child {
            Child::Alive => {
                let free = self.told == Told::Nothing && self.cause.is_none() && !self.held;
                if policy.outlive_main && signal == TERM && free {
                    self.held = true;
                    return None;
                }
                self.told = tells(policy, self.told, signal);
                // Once it is ordered to end, there is nothing to be held back any more.
                self.held &= self.told != Told::Ordered;
                return Some(signal);
            }
            Child::Asked => self.kept |= bit(signal),
            Child::None if !ends(signal) && self.end.is_none() => self.kept |= bit(signal),
            Child::None if self.claim == Claim::Asked => self.heard |= bit(signal),
            Child::None | Child::Dead(_) => {}
        }
        if self.goodbye == Errand::Asked && ends(signal) {
            self.goodbye = Errand::Over;
        }
        None
    }

    fn stop(&mut self, policy: &Policy, cause: Cause) -> Option<u8> {
        if self.child != Child::Alive || self.cause.is_some() {
            return None;
        }
        self.held = false;
        if self.told == Told::Ordered {
            // The watch has nothing more to say: what it said last is kept, in case the child has to be killed for it.
            self.cause = Some(Cause::Told(if let Cause::JobOver(verdict) = cause { Some(verdict) } else { None }));
            return None;
        }
        self.cause = Some(cause);
        self.told = Told::Ordered;
        Some(policy.stop_signal)
    }

    /// The time that must be running now, so that every wait ends.
    fn wanted_deadline(&self) -> Option<Timer> {
        match self.child {
            _ if self.goodbye == Errand::Asked => Some(Timer::Goodbye),
            _ if self.publication == Errand::Asked => Some(Timer::Publish),
            _ if self.gate == Errand::Asked => Some(Timer::Gate),
            Child::Alive if self.cause.is_some() && !self.grace_over => Some(Timer::Grace),
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
        (None | Some(Cause::Told(_) | Cause::PartnerGone), _) | (Some(Cause::JobOver(_)), ExitWith::Child) => own,
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
