//! The timelines of docs/reference.md, each as a list: what happens, and what is done about it.
//!
//! The machine is deterministic, and what `--log-level debug` prints is such a list, in words: a bug report can be played here.

use exeunt::machine::{
    Action, Codes, Command, Event, ExitWith, Gate, Name, Policy, Readiness, Restart, Seen, State, Status, Timer,
    Verdict, Word, step,
};
use policy::{MAIN, SIDECAR};
use {Action::*, Event::*, Status::*};

#[path = "house/policy.rs"]
mod policy;

const HUP: u8 = 1;
const INT: u8 = 2;
const KILL: u8 = 9;
const TERM: u8 = 15;
const WINCH: u8 = 28;

const JOB_SUCCEEDED: Event = Seen(Seen::Over(Verdict::Told(Exited(0))));

/// Plays events from the beginning and compares what is done at each of them.
#[track_caller]
fn plays(policy: Policy, timeline: &[(Event, &[Action])]) {
    let mut state = State::New;
    for (place, (event, expected)) in timeline.iter().enumerate() {
        let (next, actions) = step(state, &policy, *event);
        let actions: Vec<_> = actions.iter().collect();
        assert_eq!(&actions, expected, "line {place}: {event:?} in {state:?}");
        state = next;
    }
    let left = matches!(timeline.last(), Some((_, [.., Exit(_)])));
    assert_eq!(state == State::Done, left, "the timeline ends in {state:?}");
}

/// The lines up to the running command of a main, then the rest.
#[track_caller]
fn main_plays(policy: Policy, then: &[(Event, &[Action])]) {
    let start: [(Event, &[Action]); 3] =
        [(Begun, &[Claim]), (Name(Name::Ours), &[Start]), (Command(Command::Started), &[PublishReady])];
    plays(policy, &[&start, then].concat());
}

/// The lines up to the running command of a sidecar without a name, then the rest.
#[track_caller]
fn sidecar_plays(policy: Policy, then: &[(Event, &[Action])]) {
    let start: [(Event, &[Action]); 4] =
        [(Begun, &[Claim]), (Name(Name::Ours), &[Look]), (Seen(Seen::On), &[Start]), (Command(Command::Started), &[])];
    plays(policy, &[&start, then].concat());
}

const fn published(status: Status, last: bool) -> Action {
    Publish { status, last }
}

#[path = "scenarios/deletion.rs"]
mod deletion;
#[path = "scenarios/lives.rs"]
mod lives;
#[path = "scenarios/starts.rs"]
mod starts;
