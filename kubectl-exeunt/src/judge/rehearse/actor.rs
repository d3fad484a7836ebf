//! The one place that speaks with exeunt's machine: its orders are carried out in the world of the rehearsal.

use exeunt::machine::{self, Action, Event, Policy, Seen, Status, Timer};
use exeunt::stage::conclude::{self, Conclusion, Running, Sighting};

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
    /// It cannot write the shared directory, so it exits 125 where it has a name to publish.
    pub read_only: bool,
    /// It gives up a job that is not there (`--absence-timeout`).
    pub gives_up: bool,
}

/// What the shared directory holds of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Life {
    /// The sentinel is there, and says how the command ended, or is a bare file.
    terminated: Option<Option<Status>>,
    running: Option<Record>,
    pub(super) ready: bool,
}

/// What the kubelet sees of one who was killed together with its exeunt.
const KILLED: u8 = 137;

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
            (self.terminated, self.running) = (Some(Some(status)), None);
        } else if let Some(record) = &mut self.running {
            record.ended = Some(status);
        }
    }

    /// A script has made the file that says so.
    pub(super) fn mark(&mut self) {
        if self.terminated.is_none() {
            self.terminated = Some(None);
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
        conclude::conclude(Sighting {
            terminated: self.terminated,
            running: self.running.as_ref().map(|record| Running {
                locked: record.locked,
                lock_proves: true,
                ended: record.ended,
                repeated: record.ended.is_some() || record.policy.restart_on.contains(KILLED),
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

    fn passed(self) -> Event {
        Event::Elapsed(self.0)
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
    Missing,
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
        Fact::Claimed => Event::Name(machine::Name::Ours),
        Fact::On => Event::Seen(Seen::On),
        Fact::Paused(verdict) => Event::Seen(Seen::Paused(verdict)),
        Fact::Over(verdict) => Event::Seen(Seen::Over(verdict)),
        Fact::PartnerGone => Event::Seen(Seen::PartnerGone),
        Fact::Missing => Event::Seen(Seen::Missing),
        Fact::GateOpened => Event::Gate(machine::Gate::Opened),
        Fact::Started => Event::Command(machine::Command::Started),
        Fact::ReadyHeld => Event::ReadyHeld,
        Fact::Ended(status) => Event::Command(machine::Command::Ended(status)),
        Fact::Term => Event::Signal(15),
        Fact::Elapsed(clock) => clock.passed(),
        Fact::Published => Event::Said(machine::Word::End),
        Fact::GoodbyeSaid => Event::Said(machine::Word::Goodbye),
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
