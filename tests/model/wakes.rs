//! The driver's queue: one wake-up may bring several events, and the first of them may change what the later ones mean.

use super::history::NOTHING;
use super::machine::{Pair, follow};
use super::policies::{MAIN, SIDECAR, TERM};
use super::search::{Broken, Outcome, explore};
use exeunt::machine::{Action, Event, Policy, Restart, State, Status, Timer, Verdict, step};

/// The machine, its history, and what waits in the queue, a deadline with the timer that it was armed for.
type Waking = (Pair, Vec<(Event, Option<Timer>)>);

/// In the order in which the driver finds out about them.
const ORDER: [Event; 12] = [
    Event::Signal(TERM),
    Event::ChildExited(Status::Exited(3)),
    Event::Published,
    Event::GoodbyeSaid,
    Event::JobOn,
    Event::JobOver(Verdict::Told(Status::Exited(0))),
    Event::GateOpened,
    Event::Begun,
    Event::Claimed,
    Event::Started,
    Event::KillRefused,
    Event::DeadlineElapsed,
];

/// Whether `Arm` and `Disarm` also take a deadline that has elapsed out of the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Elapsed {
    Forgotten,
    Kept,
}

fn wakes(policy: &Policy, ((state, history), queue): &Waking, elapsed: Elapsed) -> Vec<(String, Outcome<Waking>)> {
    let pair = (*state, *history);
    if let Some((event, timer)) = queue.first() {
        let rest = queue[1..].to_vec();
        if timer.is_some() && *timer != history.deadline && history.possible(policy, *event) {
            let rule = format!("the end of {timer:?} is counted for {:?}", history.deadline);
            return vec![(format!("{event:?}"), Err(rule))];
        }
        // What has become impossible meanwhile changes nothing: that, too, is a rule.
        let outcome = follow(step, policy, pair, *event).map(|next| {
            let (_, actions) = step(*state, policy, *event);
            let moved = actions.iter().any(|action| matches!(action, Action::Arm(_) | Action::Disarm));
            let forgets = moved && elapsed == Elapsed::Forgotten;
            (next, rest.into_iter().filter(|(event, _)| !forgets || *event != Event::DeadlineElapsed).collect())
        });
        return vec![(format!("{event:?}"), outcome)];
    }
    // Any one event, or any two of one wake-up.
    let possible: Vec<_> = ORDER
        .into_iter()
        .filter(|event| history.possible(policy, *event))
        .map(|event| (event, history.deadline.filter(|_| event == Event::DeadlineElapsed)))
        .collect();
    let mut wakes = Vec::new();
    for (place, first) in possible.iter().enumerate() {
        wakes.push(vec![*first]);
        wakes.extend(possible[place + 1..].iter().map(|second| vec![*first, *second]));
    }
    wakes.into_iter().map(|queue| (format!("wakes for {}", queue.len()), Ok((pair, queue)))).collect()
}

fn search(policy: &Policy, elapsed: Elapsed) -> Result<usize, Broken> {
    let first = ((State::New, NOTHING), Vec::new());
    explore(first, |waking| wakes(policy, waking, elapsed)).map(|graph| graph.states.len())
}

const POLICIES: [Policy; 4] = [
    Policy { gated: true, goodbye: true, ..MAIN },
    Policy { stop_with: true, goodbye: true, ..MAIN },
    Policy { gated: true, named: true, outlive_main: true, ..SIDECAR },
    Policy { named: true, restart: Restart::Always, ..SIDECAR },
];

#[test]
fn the_end_of_one_time_is_never_counted_for_another() {
    for policy in POLICIES {
        let states = search(&policy, Elapsed::Forgotten).unwrap_or_else(|broken| panic!("{}", broken.tell()));
        println!("{:?}: {states} states with a queue", policy.role);
    }
}

/// It was so: a sidecar was killed without grace when the job ended as its SIGTERM had been held long enough.
#[test]
fn a_deadline_that_stays_in_the_queue_is_found() {
    for policy in POLICIES {
        let Err(broken) = search(&policy, Elapsed::Kept) else { panic!("not found: {policy:?}") };
        println!("{}", broken.tell());
        assert!(broken.rule.contains("is counted for"), "{}", broken.tell());
    }
}
