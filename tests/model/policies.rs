//! Every policy that a plan can make, and every event.

pub use super::policy::{MAIN, SIDECAR};
use exeunt::machine::{Event, ExitWith, Policy, Readiness, Restart, RestartPolicy, Status, Verdict};

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
    let mut main = vary(vec![MAIN], &both, |policy, value| policy.stop_with = value);
    main = vary(main, &both, |policy, value| policy.goodbye = value);
    let mut sidecar = vary(vec![SIDECAR], &both, |policy, value| policy.named = value);
    sidecar = vary(sidecar, &both, |policy, value| policy.outlive_main = value);
    sidecar = vary(sidecar, &[Restart::Never, Restart::OnFailure, Restart::Always], |policy, value| {
        policy.restart = value;
    });
    sidecar = vary(sidecar, &[ExitWith::Zero, ExitWith::Child, ExitWith::Main], |policy, value| {
        policy.exit_with = value;
    });
    let mut all = [main, sidecar].concat();
    all = vary(all, &both, |policy, value| policy.gated = value);
    all = vary(all, &[Readiness::AtOnce, Readiness::WhenHeld], |policy, value| policy.readiness = value);
    all = vary(all, &[RestartPolicy::Never, RestartPolicy::OnFailure], |policy, value| policy.restart_policy = value);
    all = vary(all, &STOP_SIGNALS, |policy, value| policy.stop_signal = value);
    // Without a name there is nothing to publish: a plan refuses the one, and the other makes no difference.
    all.retain(|policy| {
        policy.named || (policy.readiness == Readiness::AtOnce && policy.restart_policy == RestartPolicy::Never)
    });
    all
}

/// Every event, each with every content that could make a difference.
pub fn events() -> Vec<Event> {
    let mut events = vec![
        Event::Begun,
        Event::Claimed,
        Event::NotClaimed,
        Event::NameHeld,
        Event::JobOn,
        Event::JobPaused(Verdict::Told(Status::Exited(5))),
        Event::JobPaused(Verdict::Lost),
        Event::PartnerGone,
        Event::GateOpened,
        Event::Started,
        Event::StartFailed(127),
        Event::ReadyHeld,
        Event::DeadlineElapsed,
        Event::KillRefused,
        Event::Published,
        Event::GoodbyeSaid,
    ];
    events.extend(VERDICTS.map(Event::JobOver));
    events.extend(STATUSES.map(Event::ChildExited));
    events.extend(SIGNALS.map(Event::Signal));
    events
}
