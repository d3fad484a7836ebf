//! docs/design.md shows the machine as a table of states and events, printed from the code; `EXEUNT_RENEW=1` writes it.

#[macro_use]
#[path = "model/every.rs"]
mod every;
#[path = "house/here.rs"]
mod here;
#[allow(dead_code, reason = "the model asks for more of them")]
#[path = "model/policies.rs"]
mod policies;
#[path = "house/policy.rs"]
mod policy;

use exeunt::machine::{Action, Policy, State, step};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Debug;
use std::fs;
use std::mem::{Discriminant, discriminant};

/// From the start to the end.
const ORDER: [&str; 14] = [
    "New",
    "Claiming",
    "Unclaimed",
    "Looking",
    "Gated",
    "Starting",
    "Running",
    "Holding",
    "Lingering",
    "Stopping",
    "Killing",
    "BackingOff",
    "Publishing",
    "Leaving",
];

const HEAD: &str = "| state | event | what follows |\n|---|---|---|\n";

#[test]
fn the_table_of_states_is_the_machine() {
    let table = format!("{HEAD}{}", rows().concat());
    let page = here::read("docs/design.md");
    let start = page.find(HEAD).expect("the table of states");
    let end = page[start..].find("\n\n").map_or(page.len(), |end| start + end + 1);
    if std::env::var_os("EXEUNT_RENEW").is_some_and(|value| value == "1") {
        let whole = format!("{}{table}{}", &page[..start], &page[end..]);
        fs::write(here::path("docs/design.md"), whole).expect("the page");
        return;
    }
    assert_eq!(&page[start..end], table, "EXEUNT_RENEW=1 cargo test --test state_table writes the table anew");
}

/// Everything that follows from anything that can be reached, by the kind of the state and of the event.
fn rows() -> Vec<String> {
    let mut follows: BTreeMap<(usize, String), BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    let mut known = HashSet::new();
    for policy in policies::policies() {
        explore(&policy, &mut known, |from, event, to, actions| {
            let place =
                ORDER.iter().position(|state| *state == from).unwrap_or_else(|| panic!("{from} is not in ORDER"));
            let outcome = if actions.is_empty() { to } else { format!("{to}: {actions}") };
            follows.entry((place, from)).or_default().entry(outcome).or_default().insert(event);
        });
    }
    assert_eq!(follows.len(), ORDER.len(), "a state of ORDER leads nowhere");
    let mut rows = Vec::new();
    for ((_, state), outcomes) in follows {
        // What the same events lead to stands in one row, the events that lead to the same in one cell.
        let mut by_event: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (outcome, events) in outcomes {
            for event in events {
                by_event.entry(event).or_default().insert(outcome.clone());
            }
        }
        let mut merged: BTreeMap<BTreeSet<String>, Vec<String>> = BTreeMap::new();
        for (event, outcomes) in by_event {
            merged.entry(outcomes).or_default().push(event);
        }
        let mut of_state: Vec<String> = merged
            .into_iter()
            .map(|(outcomes, events)| {
                let outcomes: Vec<String> = outcomes.into_iter().collect();
                format!("| {state} | {} | {} |\n", events.join(", "), outcomes.join("; or "))
            })
            .collect();
        of_state.sort();
        rows.extend(of_state);
    }
    rows
}

/// Kind of the state before, event, kind of the state after, actions: what has been said already.
type Known = HashSet<(Discriminant<State>, usize, Discriminant<State>, [Option<Action>; 4])>;

/// Visits everything that can be reached; says what changes something.
fn explore(policy: &Policy, known: &mut Known, mut say: impl FnMut(String, String, String, String)) {
    let events = policies::events();
    let (mut seen, mut left) = (HashSet::from([State::New]), vec![State::New]);
    while let Some(from) = left.pop() {
        for (index, event) in events.iter().enumerate() {
            let (to, actions) = step(from, policy, *event);
            let mut list = [None; 4];
            list.iter_mut().zip(actions.iter()).for_each(|(slot, action)| *slot = Some(action));
            if to == from && list == [None; 4] {
                continue;
            }
            if seen.insert(to) {
                left.push(to);
            }
            if known.insert((discriminant(&from), index, discriminant(&to), list)) {
                let stays = discriminant(&from) == discriminant(&to);
                let to = if stays { "stays".to_owned() } else { format!("**{}**", name(to)) };
                let actions: Vec<String> = actions.iter().map(name).collect();
                say(name(from), name(*event), to, actions.join(", "));
            }
        }
    }
}

/// The kind, and within a kind what it says, without its contents: `Seen Over`, `Arm Grace`, `Forward`.
fn name(value: impl Debug) -> String {
    let text = format!("{value:?}");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let is_kind = |word: &&str| word.starts_with(|c: char| c.is_ascii_uppercase());
    let depth = if text.contains(" {") { 1 } else { 2 };
    words.take(depth).filter(is_kind).collect::<Vec<_>>().join(" ")
}
