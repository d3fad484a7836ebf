//! Every wait ends, and the good ends are there.

use super::history::{Child, Claim, Errand};
use super::machine::{Pair, follow, search};
use super::policies::{MAIN, SIDECAR, TERM, events, policies, statuses};
use super::search::Graph;
use exeunt::machine::{
    Action, Codes, Command, Event, ExitWith, Gate, Name, Policy, Readiness, Restart, Role, Seen, State, Status, Timer,
    Verdict, Word, step,
};
use std::collections::{BTreeSet, HashMap};

/// What makes it end, at the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urge {
    /// The job is over. In main: its command ends.
    JobIsOver,
    /// Somebody sends SIGTERM, and once more, and the command ends.
    Told,
}

/// What the driver and the kernel owe in a state: one of these comes.
fn owed(policy: &Policy, (state, history): &Pair, urge: Urge) -> Vec<Event> {
    let looks = policy.role == Role::Sidecar && history.watch == Errand::Asked;
    match history.child {
        _ if *state == State::New => vec![Event::Begun],
        _ if matches!(history.claim, Claim::Asked | Claim::Held) => {
            vec![Event::Name(Name::Ours), Event::Name(Name::Refused)]
        }
        Child::Asked => vec![Event::Command(Command::Started), Event::Command(Command::Failed(127))],
        _ if history.goodbye == Errand::Asked => vec![Event::Said(Word::Goodbye), Event::Elapsed(Timer::Goodbye)],
        _ if history.publication == Errand::Asked => vec![Event::Said(Word::End), Event::Elapsed(Timer::Publish)],
        _ if looks && urge == Urge::JobIsOver => {
            vec![Event::Seen(Seen::Over(Verdict::Lost)), Event::Seen(Seen::Over(Verdict::Told(Status::Exited(5))))]
        }
        _ if history.gate == Errand::Asked => {
            vec![Event::Gate(Gate::Opened), Event::Gate(Gate::Hopeless), Event::Elapsed(Timer::Gate)]
        }
        Child::Alive => {
            let mut owed: Vec<_> = statuses().into_iter().map(|it| Event::Command(Command::Ended(it))).collect();
            owed.extend(history.deadline.map(Event::Elapsed));
            owed
        }
        Child::Dead(_) => vec![Event::Elapsed(Timer::BackOff)],
        Child::None => vec![Event::Seen(Seen::On)],
    }
}

/// Whether the exit comes from here, whichever of what is owed comes first.
fn ends(policy: &Policy, pair: Pair, urge: Urge, known: &mut HashMap<Pair, bool>) -> Result<(), String> {
    if pair.1.exited || known.get(&pair) == Some(&true) {
        return Ok(());
    }
    if known.insert(pair, false).is_some() {
        return Err(format!("goes round in a circle: {pair:?} of {policy:?}"));
    }
    for event in owed(policy, &pair, urge) {
        let next = follow(step, policy, pair, event)?;
        if next == pair {
            return Err(format!("{event:?} does not lead on from {pair:?} of {policy:?}"));
        }
        ends(policy, next, urge, known).map_err(|rule| format!("{rule}\n  before: {event:?}"))?;
    }
    known.insert(pair, true);
    Ok(())
}

/// One of each kind: every value of every field that has to do with waiting.
fn patient() -> Vec<Policy> {
    let mut patient = policies();
    patient.retain(|policy| policy.exit_with == ExitWith::Zero && policy.stop_signal == TERM);
    patient
}

#[test]
fn from_every_state_the_end_of_the_job_leads_to_the_exit() {
    for policy in patient() {
        let graph = search(step, &policy).expect("the rules hold");
        let mut known = HashMap::new();
        for (place, pair) in graph.states.iter().enumerate() {
            if let Err(rule) = ends(&policy, *pair, Urge::JobIsOver, &mut known) {
                panic!("{rule}\nafter {:?}", graph.history(place));
            }
        }
    }
}

#[test]
fn from_every_state_sigterm_and_the_death_of_the_command_lead_to_the_exit() {
    for policy in patient() {
        let graph = search(step, &policy).expect("the rules hold");
        let mut known = HashMap::new();
        for (place, pair) in graph.states.iter().enumerate().filter(|(_, pair)| pair.1.begun) {
            // Two, for the first may be held back.
            let told = follow(step, &policy, *pair, Event::Signal(TERM))
                .and_then(|pair| follow(step, &policy, pair, Event::Signal(TERM)));
            let outcome = told.and_then(|pair| ends(&policy, pair, Urge::Told, &mut known));
            if let Err(rule) = outcome {
                panic!("{rule}\nafter {:?}", graph.history(place));
            }
        }
    }
}

const EVERYTHING: Policy = Policy { gated: true, readiness: Readiness::WhenHeld, ..MAIN };

#[test]
fn every_good_end_can_be_reached() {
    let failing = Policy { restart_on: Codes::FAILURES, goodbye: true, ..MAIN };
    let restarting = Policy { restart: Restart::OnFailure, named: true, ..SIDECAR };
    let outliving = Policy { outlive_main: true, ..SIDECAR };
    let lingering = Policy { lingers: true, ..SIDECAR };
    let exits = |code: u8| move |(_, history): &Pair| history.exited && history.end == Some(code);
    #[allow(clippy::type_complexity, reason = "a table, named where it stands")]
    let reached: [(&str, Policy, &dyn Fn(&Pair) -> bool); 16] = [
        ("the job's code", MAIN, &exits(3)),
        ("the job's signal", MAIN, &exits(143)),
        ("a command that is not found", MAIN, &exits(127)),
        ("a name that is held", MAIN, &exits(125)),
        ("conditions that never held", EVERYTHING, &exits(124)),
        ("readiness, by a condition", EVERYTHING, &|(_, history)| history.ready == super::history::Ready::Published),
        ("an attempt that is not the last", failing, &|(state, history)| {
            matches!(state, State::Publishing { goodbye: false, .. }) && !history.last
        }),
        ("a goodbye", failing, &|(state, _)| matches!(state, State::Leaving { .. })),
        ("a sidecar that was stopped", SIDECAR, &exits(0)),
        ("a sidecar that had to be killed", SIDECAR, &|(state, _)| matches!(state, State::Killing { .. })),
        ("a sidecar that failed by itself", SIDECAR, &exits(3)),
        ("the job's code from a sidecar", Policy { exit_with: ExitWith::Main, ..SIDECAR }, &exits(5)),
        ("a child that is started again", restarting, &|(state, _)| matches!(state, State::BackingOff { .. })),
        ("a while after the job's end", lingering, &|(state, _)| matches!(state, State::Lingering { .. })),
        ("a job that never came", SIDECAR, &exits(124)),
        ("a SIGTERM that is held", outliving, &|(state, _)| *state == State::Holding),
    ];
    for (what, policy, wanted) in reached {
        let graph = search(step, &policy).expect("the rules hold");
        let history = graph.reach(wanted).unwrap_or_else(|| panic!("{what} is never reached"));
        println!("{what}: {}", history.join(", "));
    }
}

/// The vocabulary: what is never said by anybody need not be there, and what is said has been thought of here.
#[test]
fn every_state_and_every_action_is_used_by_some_policy() {
    let first_word = |text: String| text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_owned();
    let (mut states, mut actions) = (BTreeSet::new(), BTreeSet::new());
    let events = events();
    for policy in patient() {
        let graph: Graph<Pair, Event> = search(step, &policy).expect("the rules hold");
        for (state, _) in graph.states {
            states.insert(first_word(format!("{state:?}")));
            for event in &events {
                for action in step(state, &policy, *event).1.iter() {
                    actions.insert(match action {
                        Action::Arm(timer) => format!("Arm({timer:?})"),
                        _ => first_word(format!("{action:?}")),
                    });
                }
            }
        }
    }
    let states: Vec<_> = states.iter().map(String::as_str).collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    assert_eq!(
        states.join(" "),
        "BackingOff Claiming Done Gated Holding Killing Leaving Lingering Looking New Publishing Running Starting Stopping Unclaimed"
    );
    assert_eq!(
        actions.join(" "),
        "Arm(BackOff) Arm(Gate) Arm(Goodbye) Arm(Grace) Arm(Kill) Arm(Linger) Arm(Outlive) Arm(Publish) AwaitReady Claim CloseGate Disarm Exit \
         Forward ForwardKept Kill Look OpenGate Publish PublishReady SayGoodbye Start StopWatching WithdrawReady"
    );
}
