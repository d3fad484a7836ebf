//! Every policy that a plan can make, and every event.

pub use super::policy::{MAIN, SIDECAR};
use exeunt::machine::{
    Codes, Command, Event, ExitWith, Gate, Name, Policy, Readiness, Restart, RestartPolicy, Role, Seen, Status, Timer,
    Verdict, Word,
};

pub const INT: u8 = 2;
pub const QUIT: u8 = 3;
pub const TERM: u8 = 15;
pub const WINCH: u8 = 28;
pub const KILL: u8 = 9;
/// Two that ask for the end, one that only ends by default, one that does neither, and a real-time signal.
pub const SIGNALS: [u8; 6] = [TERM, INT, QUIT, 1, WINCH, 34];
/// Of the last, WINCH is the one of httpd: it asks for the end, and would not end us before the start.
const STOP_SIGNALS: [u8; 3] = [TERM, QUIT, WINCH];

pub const STATUSES: [Status; 3] = [Status::Exited(0), Status::Exited(3), Status::Killed(TERM)];
pub const VERDICTS: [Verdict; 4] =
    [Verdict::Told(Status::Exited(0)), Verdict::Told(Status::Exited(5)), Verdict::Silent, Verdict::Lost];

/// What the kubelet repeats: what a policy says (nothing, every failure), or one code by a rule of its own.
fn codes() -> Vec<Codes> {
    let policies = RestartPolicy::ALL.iter().map(|(_, policy)| policy.codes());
    policies.chain([Codes::NONE.with(3)]).collect()
}

/// A new field of the policy, or a new role, does not compile before somebody has thought of what it is to be varied by.
fn is_varied_below(policy: &Policy) {
    let Policy {
        role: Role::Main | Role::Sidecar,
        named: _,
        restart_on: _,
        exit_with: _,
        stop_signal: _,
        gated: _,
        readiness: _,
        outlive_main: _,
        lingers: _,
        restart: _,
        stop_with: _,
        goodbye: _,
    } = policy;
}

/// One policy for each value of a field.
fn vary<T: Copy>(policies: Vec<Policy>, values: &[T], set: impl Fn(&mut Policy, T)) -> Vec<Policy> {
    let mut varied = Vec::new();
    for policy in policies {
        for value in values {
            let mut policy = policy;
            set(&mut policy, *value);
            varied.push(policy);
        }
    }
    varied
}

/// Every policy of both roles. What belongs to the other mode stays at its default, as in a plan.
pub fn policies() -> Vec<Policy> {
    let both = [false, true];
    [MAIN, SIDECAR].iter().for_each(is_varied_below);
    let mut main = vary(vec![MAIN], &both, |policy, value| policy.stop_with = value);
    main = vary(main, &both, |policy, value| policy.goodbye = value);
    let mut sidecar = vary(vec![SIDECAR], &both, |policy, value| policy.named = value);
    sidecar = vary(sidecar, &both, |policy, value| policy.outlive_main = value);
    sidecar = vary(sidecar, &both, |policy, value| policy.lingers = value);
    sidecar = vary(sidecar, Restart::ALL, |policy, (_, value)| policy.restart = value);
    sidecar = vary(sidecar, ExitWith::ALL, |policy, (_, value)| policy.exit_with = value);
    let mut all = [main, sidecar].concat();
    all = vary(all, &both, |policy, value| policy.gated = value);
    all = vary(all, Readiness::ALL, |policy, value| policy.readiness = value);
    all = vary(all, &codes(), |policy, value| policy.restart_on = value);
    all = vary(all, &STOP_SIGNALS, |policy, value| policy.stop_signal = value);
    // Without a name there is nothing to publish: a plan refuses the one, and the other makes no difference.
    all.retain(|policy| policy.named || (policy.readiness == Readiness::AtOnce && policy.restart_on == Codes::NONE));
    all
}

pub const TIMERS: [Timer; 8] = [
    Timer::Gate,
    Timer::Linger,
    Timer::Grace,
    Timer::Kill,
    Timer::BackOff,
    Timer::Outlive,
    Timer::Publish,
    Timer::Goodbye,
];

/// Every event, each with every content that could make a difference.
pub fn events() -> Vec<Event> {
    let mut events = vec![
        Event::Begun,
        Event::Name(Name::Ours),
        Event::Name(Name::Refused),
        Event::Name(Name::Held),
        Event::Seen(Seen::On),
        Event::Seen(Seen::Paused(Verdict::Told(Status::Exited(5)))),
        Event::Seen(Seen::Paused(Verdict::Lost)),
        Event::Seen(Seen::PartnerGone),
        Event::Gate(Gate::Opened),
        Event::Command(Command::Started),
        Event::Command(Command::Failed(127)),
        Event::ReadyHeld,
        Event::Seen(Seen::Missing),
        Event::Gate(Gate::Hopeless),
        Event::Command(Command::Deferred),
        Event::Command(Command::Unkillable),
        Event::Said(Word::End),
        Event::Said(Word::Goodbye),
    ];
    events.extend(VERDICTS.map(|it| Event::Seen(Seen::Over(it))));
    events.extend(STATUSES.map(|it| Event::Command(Command::Ended(it))));
    events.extend(TIMERS.map(Event::Elapsed));
    events.extend(SIGNALS.map(Event::Signal));
    events
}
