//! Every policy that a plan can make, and every event.

pub use super::policy::{MAIN, SIDECAR};
use exeunt::machine::{
    Codes, Command, Event, ExitWith, Gate, Name, Policy, Readiness, Restart, RestartPolicy, Role, Seen, Status, Timer,
    Verdict, Word,
};

pub const HUP: u8 = 1;
pub const INT: u8 = 2;
pub const QUIT: u8 = 3;
pub const TERM: u8 = 15;
pub const WINCH: u8 = 28;
pub const KILL: u8 = 9;
/// Two that ask for the end, one that only ends by default, one that does neither, and a real-time signal.
pub const SIGNALS: [u8; 6] = [TERM, INT, QUIT, HUP, WINCH, 34];
/// Of the last, WINCH is the one of httpd: it asks for the end, and would not end us before the start.
const STOP_SIGNALS: [u8; 3] = [TERM, QUIT, WINCH];

every!(statuses: Status { Exited([0, 3]), Killed([TERM]) });
every!(verdicts: Verdict { Told([Status::Exited(0), Status::Exited(5)]), Silent, Lost });
every!(readinesses: Readiness { AtOnce, WhenHeld });
every!(roles: Role { Main, Sidecar });
every!(timers: Timer { Gate, Linger, Grace, Kill, BackOff, Outlive, Publish, Goodbye });
every!(names: Name { Ours, Refused, Held });
every!(sights: Seen {
    On,
    Paused([Verdict::Told(Status::Exited(5)), Verdict::Lost]),
    PartnerGone,
    Missing,
    Over(verdicts()),
});
every!(gates: Gate { Opened, Hopeless });
every!(fates: Command { Started, Failed([127]), Deferred, Unkillable, Ended(statuses()) });
every!(words: Word { End, Goodbye });
every!(events: Event {
    Begun,
    Name(names()),
    Seen(sights()),
    Gate(gates()),
    Command(fates()),
    ReadyHeld,
    Said(words()),
    Elapsed(timers()),
    Signal(SIGNALS),
});

/// What the kubelet repeats: what a policy says (nothing, every failure), or one code by a rule of its own.
pub fn codes() -> Vec<Codes> {
    let policies = RestartPolicy::ALL.iter().map(|(_, policy)| policy.codes());
    policies.chain([Codes::NONE.with(3)]).collect()
}

/// A new field of the policy does not compile before somebody has thought of what it is to be varied by.
fn is_varied_below(policy: &Policy) {
    let Policy {
        role: _,
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
    assert_eq!([MAIN.role, SIDECAR.role].as_slice(), roles());
    let mut main = vary(vec![MAIN], &both, |policy, value| policy.stop_with = value);
    main = vary(main, &both, |policy, value| policy.goodbye = value);
    let mut sidecar = vary(vec![SIDECAR], &both, |policy, value| policy.named = value);
    sidecar = vary(sidecar, &both, |policy, value| policy.outlive_main = value);
    sidecar = vary(sidecar, &both, |policy, value| policy.lingers = value);
    sidecar = vary(sidecar, Restart::ALL, |policy, (_, value)| policy.restart = value);
    sidecar = vary(sidecar, ExitWith::ALL, |policy, (_, value)| policy.exit_with = value);
    let mut all = [main, sidecar].concat();
    all = vary(all, &both, |policy, value| policy.gated = value);
    all = vary(all, &readinesses(), |policy, value| policy.readiness = value);
    all = vary(all, &codes(), |policy, value| policy.restart_on = value);
    all = vary(all, &STOP_SIGNALS, |policy, value| policy.stop_signal = value);
    // Without a name there is nothing to publish: a plan refuses the one, and the other makes no difference.
    all.retain(|policy| policy.named || (policy.readiness == Readiness::AtOnce && policy.restart_on == Codes::NONE));
    all
}
