//! The one place that speaks with exeunt's machine: its orders are carried out in the world of the rehearsal.

use exeunt::machine::{self, Action, Event, Policy, Status, Timer};
use exeunt::stage::observe::{self, Conclusion, Running, Sighting};

/// An exeunt in front of a command, as its own parser has read it.
#[derive(Clone, Debug)]
pub struct Wrapped {
    /// What its machine needs.
    pub policy: Policy,
    /// Which volume, and which directory of it, is the shared one. Containers with the same text meet there.
    pub stage: String,
    /// The name of its own life there.
    pub name: Option<String>,
    /// Whom it waits for.
    pub until: Vec<String>,
    /// One of them is enough.
    pub until_any: bool,
    /// The lives that must be ready before the command is started.
    pub wait_for: Vec<String>,
    /// The sidecar that the job cannot do without.
    pub stop_with: Option<String>,
}

/// What the shared directory holds of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Life {
    terminated: Option<Status>,
    running: Option<Record>,
    pub(super) ready: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Record {
    locked: bool,
    policy: Policy,
    ended: Option<Status>,
}

impl Life {
    pub(super) fn claim(&mut self, policy: Policy) {
        *self = Life { running: Some(Record { locked: true, policy, ended: None }), ..Life::default() };
    }

    pub(super) fn publish(&mut self, status: Status, last: bool) {
        self.ready = false;
        if last {
            (self.terminated, self.running) = (Some(status), None);
        } else if let Some(record) = &mut self.running {
            record.ended = Some(status);
        }
    }

    /// Its process is gone, whatever it has said before.
    pub(super) fn release(&mut self) {
        self.ready = false;
        if let Some(record) = &mut self.running {
            record.locked = false;
        }
    }

    pub(super) fn conclude(&self) -> Conclusion {
        observe::conclude(Sighting {
            terminated: self.terminated.map(Some),
            running: self.running.as_ref().map(|record| Running {
                locked: record.locked,
                lock_proves: true,
                restarts: record.policy.restart_policy == machine::RestartPolicy::OnFailure,
                ended: record.ended,
                last: false,
            }),
        })
    }
}

pub(super) use exeunt::machine::State;

/// What an order means here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Claim,
    Look,
    OpenGate,
    CloseGate,
    Start,
    Ready(bool),
    AwaitReady,
    Ask,
    Nothing,
    Kill,
    Arm(Clock),
    Disarm,
    StopWatching,
    Publish(Status, bool),
    Goodbye,
    Exit(u8),
}

/// The one deadline of a wrapper, as far as it matters which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Clock(Timer);

impl Clock {
    /// A wait for others is the longest there is: every other deadline passes before it.
    pub(super) fn is_long(self) -> bool {
        self.0 == Timer::Gate
    }

    /// Only one is set at a time, and the machine knows which.
    fn passed(self) -> Event {
        let Clock(_) = self;
        Event::DeadlineElapsed
    }
}

/// What can be told to a machine.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fact {
    Begun,
    Claimed,
    On,
    Paused(machine::Verdict),
    Over(machine::Verdict),
    PartnerGone,
    GateOpened,
    Started,
    ReadyHeld,
    Ended(Status),
    Term,
    Elapsed(Clock),
    Published,
    GoodbyeSaid,
}

/// One decision of exeunt's own.
pub(super) fn decide(state: State, policy: &Policy, fact: Fact) -> (State, Vec<Order>) {
    let event = match fact {
        Fact::Begun => Event::Begun,
        Fact::Claimed => Event::Claimed,
        Fact::On => Event::JobOn,
        Fact::Paused(verdict) => Event::JobPaused(verdict),
        Fact::Over(verdict) => Event::JobOver(verdict),
        Fact::PartnerGone => Event::PartnerGone,
        Fact::GateOpened => Event::GateOpened,
        Fact::Started => Event::Started,
        Fact::ReadyHeld => Event::ReadyHeld,
        Fact::Ended(status) => Event::ChildExited(status),
        Fact::Term => Event::Signal(15),
        Fact::Elapsed(clock) => clock.passed(),
        Fact::Published => Event::Published,
        Fact::GoodbyeSaid => Event::GoodbyeSaid,
    };
    let (state, actions) = machine::step(state, policy, event);
    let orders = actions.iter().map(|action| match action {
        Action::Claim => Order::Claim,
        Action::Look => Order::Look,
        Action::OpenGate => Order::OpenGate,
        Action::CloseGate => Order::CloseGate,
        Action::Start => Order::Start,
        Action::PublishReady => Order::Ready(true),
        Action::WithdrawReady => Order::Ready(false),
        Action::AwaitReady => Order::AwaitReady,
        Action::Forward(signal) if signal == 15 || signal == policy.stop_signal => Order::Ask,
        Action::Forward(_) => Order::Nothing,
        Action::ForwardKept(_) => Order::Ask,
        Action::Kill => Order::Kill,
        Action::Arm(timer) => Order::Arm(Clock(timer)),
        Action::Disarm => Order::Disarm,
        Action::StopWatching => Order::StopWatching,
        Action::Publish { status, last } => Order::Publish(status, last),
        Action::SayGoodbye => Order::Goodbye,
        Action::Exit(code) => Order::Exit(code),
    });
    (state, orders.collect())
}
