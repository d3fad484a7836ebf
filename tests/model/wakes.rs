//! The driver's queue: one wake-up may bring several events, and the first of them may change what the later ones mean.

use super::history::NOTHING;
use super::machine::{Pair, follow};
use super::policies::{MAIN, SIDECAR, TERM, events};
use super::search::{Broken, Outcome, explore};
use exeunt::machine::{
    Actions, Command, Event, Gate, Name, Policy, Readiness, Restart, Seen, State, Status, Timer, Verdict, Word, step,
};
use std::mem::discriminant;

/// The machine, its history, and what waits in the queue.
type Waking = (Pair, Vec<Event>);

/// A machine, perhaps with a fault in it.
type Machine = fn(State, &Policy, Event) -> (State, Actions);

/// In the order in which the driver finds out about them.
const ORDER: [Event; 12] = [
    Event::Signal(TERM),
    Event::Command(Command::Ended(Status::Exited(3))),
    Event::Said(Word::End),
    Event::Said(Word::Goodbye),
    Event::Seen(Seen::On),
    Event::Seen(Seen::Over(Verdict::Told(Status::Exited(0)))),
    Event::Gate(Gate::Opened),
    Event::ReadyHeld,
    Event::Begun,
    Event::Name(Name::Ours),
    Event::Command(Command::Started),
    Event::Command(Command::Unkillable),
];

fn wakes(policy: &Policy, ((state, history), queue): &Waking, machine: Machine) -> Vec<(String, Outcome<Waking>)> {
    let pair = (*state, *history);
    if let Some(event) = queue.first() {
        // What has become impossible meanwhile changes nothing: that, too, is a rule.
        let outcome = follow(machine, policy, pair, *event).map(|next| (next, queue[1..].to_vec()));
        return vec![(format!("{event:?}"), outcome)];
    }
    // Any one event, or any two of one wake-up; the deadline is the last that the driver finds out about.
    let possible: Vec<_> = ORDER
        .into_iter()
        .filter(|event| history.possible(policy, *event))
        .chain(history.deadline.map(Event::Elapsed))
        .collect();
    let mut wakes = Vec::new();
    for (place, first) in possible.iter().enumerate() {
        wakes.push(vec![*first]);
        wakes.extend(possible[place + 1..].iter().map(|second| vec![*first, *second]));
    }
    wakes.into_iter().map(|queue| (format!("wakes for {}", queue.len()), Ok((pair, queue)))).collect()
}

fn search(policy: &Policy, machine: Machine) -> Result<usize, Broken> {
    let first = ((State::New, NOTHING), Vec::new());
    explore(first, |waking| wakes(policy, waking, machine)).map(|graph| graph.states.len())
}

const POLICIES: [Policy; 4] = [
    Policy { gated: true, goodbye: true, readiness: Readiness::WhenHeld, ..MAIN },
    Policy { stop_with: true, goodbye: true, ..MAIN },
    Policy { gated: true, named: true, outlive_main: true, ..SIDECAR },
    Policy { named: true, restart: Restart::Always, ..SIDECAR },
];

/// A new kind of event does not compile before it has a place in the order, or none, as a time that is up: it comes last.
fn has_a_place(event: Event) -> bool {
    match event {
        Event::Signal(_) | Event::Command(_) | Event::Said(_) | Event::Seen(_) | Event::Gate(_) => true,
        Event::ReadyHeld | Event::Begun | Event::Name(_) => true,
        Event::Elapsed(_) => false,
    }
}

#[test]
fn every_kind_of_event_has_its_place_in_the_order() {
    for event in events() {
        let kind = |one: &Event| discriminant(one) == discriminant(&event);
        assert_eq!(ORDER.iter().any(kind), has_a_place(event), "{event:?}");
    }
}

#[test]
fn the_end_of_one_time_is_never_counted_for_another() {
    for policy in POLICIES {
        let states = search(&policy, step).unwrap_or_else(|broken| panic!("{}", broken.tell()));
        println!("{:?}: {states} states with a queue", policy.role);
    }
}

/// It was so: a sidecar was killed without grace when the job ended as its SIGTERM had been held long enough.
#[test]
fn a_machine_that_takes_the_end_of_any_time_for_its_own_is_found() {
    fn any_time(state: State, policy: &Policy, event: Event) -> (State, Actions) {
        let own = match state {
            State::Gated { .. } => Some(Timer::Gate),
            State::Holding => Some(Timer::Outlive),
            State::Stopping { .. } => Some(Timer::Grace),
            State::Publishing { .. } => Some(Timer::Publish),
            State::Leaving { .. } => Some(Timer::Goodbye),
            State::BackingOff { .. } => Some(Timer::BackOff),
            _ => None,
        };
        match (event, own) {
            (Event::Elapsed(_), Some(own)) => step(state, policy, Event::Elapsed(own)),
            _ => step(state, policy, event),
        }
    }
    for policy in POLICIES {
        let Err(broken) = search(&policy, any_time) else { panic!("not found: {policy:?}") };
        println!("{}", broken.tell());
        assert!(broken.rule.contains("comes too late, changes nothing"), "{}", broken.tell());
    }
}
