//! Faults that are planted in the machine, one at a time: the search must find each of them, and by the rule that names it.

use super::machine::search;
use super::policies::{MAIN, SIDECAR, TERM};
use exeunt::machine::{
    Action, Actions, Cause, Command, Event, ExitWith, Name, Policy, Restart, Seen, State, Status, Timer, Told, Verdict,
    Word, step,
};

type Found = (State, Actions);

fn actions<const N: usize>(state: State, actions: [Action; N]) -> Found {
    (state, actions.into())
}

/// A fault: what the machine does in its place, where it does something else at all.
type Fault = fn(State, &Policy, Event) -> Option<Found>;

/// Under which policy, what is wrong, and the rule that must say so.
const FAULTS: [(&str, Policy, Fault, &str); 16] = [
    (
        "a signal is forwarded to a child that was reaped",
        MAIN,
        |state, _, event| match (state, event) {
            (State::Publishing { .. }, Event::Signal(signal)) => Some(actions(state, [Action::Forward(signal)])),
            _ => None,
        },
        "nothing is sent to a child that is not there",
    ),
    (
        "no sentinel after a kill",
        MAIN,
        |state, _, event| match (state, event) {
            (State::Running { .. }, Event::Command(Command::Ended(Status::Killed(signal)))) => {
                Some(actions(State::Done, [Action::Exit(128 + signal)]))
            }
            _ => None,
        },
        "a named process never leaves without a publication",
    ),
    (
        "the sentinel tells another death",
        MAIN,
        |state, _, event| match (state, event) {
            (State::Running { .. }, Event::Command(Command::Ended(Status::Killed(_)))) => Some(actions(
                State::Publishing { code: 0, goodbye: false },
                [Action::Arm(Timer::Publish), Action::Publish { status: Status::Exited(0), last: true }],
            )),
            _ => None,
        },
        "the publication tells that death",
    ),
    (
        "a sidecar without a name publishes",
        SIDECAR,
        |state, _, event| match (state, event) {
            (State::Running { .. }, Event::Command(Command::Ended(status))) => Some(actions(
                State::Publishing { code: status.code(), goodbye: false },
                [Action::Arm(Timer::Publish), Action::Publish { status, last: true }],
            )),
            _ => None,
        },
        "a process without a name never publishes an end",
    ),
    (
        "a second signal moves the deadline",
        SIDECAR,
        |state, _, event| match (state, event) {
            (State::Stopping { .. }, Event::Signal(signal)) => {
                Some(actions(state, [Action::Forward(signal), Action::Arm(Timer::Grace)]))
            }
            _ => None,
        },
        "a deadline that runs is not moved",
    ),
    (
        "a time that is up for nobody kills a healthy child",
        SIDECAR,
        |state, _, event| match (state, event) {
            (State::Running { .. }, Event::Elapsed(_)) => {
                Some(actions(State::Killing { cause: Cause::Missing }, [Action::Kill]))
            }
            _ => None,
        },
        "an event that cannot come, or comes too late, changes nothing",
    ),
    (
        "the deadline is ignored",
        SIDECAR,
        |state, _, event| match (state, event) {
            (State::Stopping { .. }, Event::Elapsed(_)) => Some((state, Actions::NONE)),
            _ => None,
        },
        "whoever does not end in time is killed, once",
    ),
    (
        "no grace is given",
        SIDECAR,
        |state, policy, event| match (state, event) {
            (State::Running { told: Told::Nothing }, Event::Seen(Seen::Over(verdict))) => Some(actions(
                State::Killing { cause: Cause::JobOver(verdict) },
                [Action::Forward(policy.stop_signal), Action::Kill, Action::StopWatching],
            )),
            _ => None,
        },
        "killed only after the grace period",
    ),
    (
        "a late look revives what is being stopped",
        SIDECAR,
        |state, _, event| match (state, event) {
            (State::Stopping { .. }, Event::Seen(Seen::On)) => {
                Some((State::Running { told: Told::Nothing }, Actions::NONE))
            }
            _ => None,
        },
        "an event that cannot come, or comes too late, changes nothing",
    ),
    (
        "the command is started although a signal came first",
        SIDECAR,
        |state, _, event| match (state, event) {
            (State::Looking { .. }, Event::Signal(_)) => Some((state, Actions::NONE)),
            _ => None,
        },
        "every reason to leave leads out",
    ),
    (
        "a child that was told to end is started again",
        Policy { restart: Restart::Always, ..SIDECAR },
        |state, _, event| match (state, event) {
            (State::Running { .. }, Event::Command(Command::Ended(last))) => {
                Some(actions(State::BackingOff { last, kept: 0 }, [Action::WithdrawReady, Action::Arm(Timer::BackOff)]))
            }
            _ => None,
        },
        "every reason to leave leads out",
    ),
    (
        "readiness outlives the child",
        Policy { restart: Restart::Always, named: true, ..SIDECAR },
        |state, policy, event| match (state, event, step(state, policy, event)) {
            (State::Running { .. }, Event::Command(Command::Ended(_)), (next @ State::BackingOff { .. }, _)) => {
                Some(actions(next, [Action::Arm(Timer::BackOff)]))
            }
            _ => None,
        },
        "readiness is withdrawn when the child is gone",
    ),
    (
        "the job fails by its sidecar's 143",
        SIDECAR,
        |state, _, event| match (state, event) {
            (State::Stopping { .. }, Event::Command(Command::Ended(status))) => {
                Some(actions(State::Done, [Action::Exit(status.code())]))
            }
            _ => None,
        },
        "the exit code is the truth",
    ),
    (
        "a SIGTERM that is held is lost",
        Policy { outlive_main: true, ..SIDECAR },
        |state, _, event| match (state, event) {
            (State::Holding, Event::Elapsed(Timer::Outlive)) => {
                Some((State::Running { told: Told::Nothing }, Actions::NONE))
            }
            _ => None,
        },
        "a child gets every signal once, and the stop signal once",
    ),
    (
        "goodbye before the sentinel",
        Policy { goodbye: true, ..MAIN },
        |state, _, event| match (state, event) {
            (State::Running { .. }, Event::Command(Command::Ended(status))) => {
                Some(actions(State::Leaving { code: status.code() }, [Action::Arm(Timer::Goodbye), Action::SayGoodbye]))
            }
            _ => None,
        },
        "goodbye comes after a final sentinel",
    ),
    (
        "it leaves twice",
        MAIN,
        |state, _, event| match (state, event) {
            (State::Done, Event::Said(Word::End)) => Some(actions(state, [Action::Exit(0)])),
            _ => None,
        },
        "nothing is done after Exit",
    ),
];

#[test]
fn every_fault_that_is_planted_in_the_machine_is_found_by_its_rule() {
    for (what, policy, fault, rule) in FAULTS {
        let faulty = |state: State, policy: &Policy, event: Event| {
            fault(state, policy, event).unwrap_or_else(|| step(state, policy, event))
        };
        let Err(broken) = search(faulty, &policy) else { panic!("{what}: not found") };
        println!("{what}: {}", broken.history.join(", "));
        assert!(broken.rule.starts_with(rule), "{what}: found as something else:\n{}", broken.tell());
        let sound = search(step, &policy).map(|_| ()).map_err(|broken| broken.tell());
        assert_eq!(sound, Ok(()), "{what}: without the fault the same policy is sound");
    }
}

/// The one that was there: a SIGTERM from outside, then the end of the job, then a kill.
#[test]
fn a_child_that_was_told_and_had_to_be_killed_for_the_job_follows_exit_with() {
    let mut state = State::New;
    let policy = Policy { exit_with: ExitWith::Zero, ..SIDECAR };
    let events = [
        Event::Begun,
        Event::Name(Name::Ours),
        Event::Seen(Seen::On),
        Event::Command(Command::Started),
        Event::Signal(TERM),
        Event::Seen(Seen::Over(Verdict::Lost)),
        Event::Elapsed(Timer::Grace),
    ];
    for event in events {
        state = step(state, &policy, event).0;
    }
    let (_, last) = step(state, &policy, Event::Command(Command::Ended(Status::Killed(9))));
    assert_eq!(last, [Action::Exit(0)].into());
}
