//! One machine and its history.

use super::counts;
use super::history::{History, NOTHING};
use super::policies::{HUP, INT, MAIN, QUIT, SIDECAR, SIGNALS, TERM, WINCH, events, policies};
use super::search::{Broken, Graph, Outcome, explore};
use exeunt::machine::{Actions, Event, Policy, Restart, Role, State, ends_by_default, step};
use std::collections::{HashMap, HashSet};

pub type Pair = (State, History);

/// One step of the machine, or of one with a fault in it, held against the rules.
pub fn follow(
    machine: impl Fn(State, &Policy, Event) -> (State, Actions),
    policy: &Policy,
    (state, history): Pair,
    event: Event,
) -> Outcome<Pair> {
    let (next, actions) = machine(state, policy, event);
    let actions: Vec<_> = actions.iter().collect();
    let history = history.after(policy, event, &actions, next == state).map_err(|rule| {
        format!("{rule}\n  {policy:?}\n  {event:?} in {state:?} led to {next:?} and {actions:?}\n  {history:?}")
    })?;
    if history.exited != (next == State::Done) {
        return Err(format!("nothing is done after Exit, and Exit is in time: {next:?}, {history:?}"));
    }
    Ok((next, history))
}

/// Every state that this machine can reach under a policy.
pub fn search(
    machine: impl Fn(State, &Policy, Event) -> (State, Actions),
    policy: &Policy,
) -> Result<Graph<Pair, Event>, Broken> {
    let events = events();
    explore((State::New, NOTHING), |pair| {
        events.iter().map(|event| (*event, follow(&machine, policy, *pair, *event))).collect()
    })
}

#[test]
fn every_rule_holds_in_every_state_of_every_policy() {
    let policies = policies();
    let half = policies.len() / 2;
    // There is a lot of them: two threads, as machines have at least two processors.
    let count = |policies: &[Policy]| {
        let mut sum = HashMap::<Role, [usize; 3]>::new();
        for policy in policies {
            let graph = search(step, policy).unwrap_or_else(|broken| panic!("{}", broken.tell()));
            let [policies, states, transitions] = sum.entry(policy.role).or_default();
            *policies += 1;
            *states += graph.states.len();
            *transitions += graph.transitions;
        }
        sum
    };
    let sums = std::thread::scope(|scope| {
        let other = scope.spawn(|| count(&policies[half..]));
        [count(&policies[..half]), other.join().expect("the other half")]
    });
    let mut all = [0; 3];
    for role in [Role::Main, Role::Sidecar] {
        let of = |place: usize| sums.iter().filter_map(|sum| sum.get(&role)).map(|sum| sum[place]).sum::<usize>();
        println!("{role:?}: {} policies, {} states, {} transitions", of(0), of(1), of(2));
        assert!(of(1) > 1000, "a search that reaches so little does not search");
        all = [0, 1, 2].map(|place| all[place] + of(place) as u64);
    }
    counts::exactly("policies of one machine", all[0]);
    counts::exactly("states of one machine, with its history", all[1]);
    counts::exactly("transitions between its states", all[2]);
}

/// The signals that are tried stand for all: whatever is done about any other is done about one of them.
#[test]
fn every_signal_is_treated_as_one_of_those_that_are_tried() {
    const CHLD: u8 = 17;
    let policies = [
        Policy { gated: true, goodbye: true, ..MAIN },
        Policy { gated: true, restart: Restart::Always, ..SIDECAR },
        Policy { outlive_main: true, lingers: true, ..SIDECAR },
    ];
    let states = policies.map(|policy| -> HashSet<State> {
        let graph = search(step, &policy).expect("the rules hold");
        graph.states.into_iter().map(|(state, _)| state).collect()
    });
    for signal in (1..=64).filter(|signal| *signal != CHLD) {
        let like = match signal {
            TERM | INT | QUIT => signal,
            _ if ends_by_default(signal) => HUP,
            _ => WINCH,
        };
        assert!(SIGNALS.contains(&like), "{like} is not tried");
        for (policy, states) in policies.iter().zip(&states) {
            for state in states {
                let [ours, others] = [signal, like].map(|it| format!("{:?}", step(*state, policy, Event::Signal(it))));
                assert!(differ_in_the_signal_alone((signal, &ours), (like, &others)), "{state:?}: {ours}, {others}");
            }
        }
    }
}

/// Whether two texts are the same but for a signal in each: its number, its exit code, and its place in a set of signals.
fn differ_in_the_signal_alone((signal, text): (u8, &str), (like, other): (u8, &str)) -> bool {
    let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
    };
    let both = 1 << (signal - 1) | 1 << (like - 1);
    let same = |(one, two): (&u64, &u64)| {
        let of_the_signal = [0, 128].map(|more| (more + u64::from(signal), more + u64::from(like)));
        one == two || of_the_signal.contains(&(*one, *two)) || one | both == two | both
    };
    let (ones, twos) = (numbers(text), numbers(other));
    words(text) == words(other) && ones.len() == twos.len() && ones.iter().zip(&twos).all(same)
}
