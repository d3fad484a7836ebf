//! Breadth-first search over a finite set of states. It closes, so what it says holds for histories of any length; and it
//! goes by length, so the history it prints is a shortest one.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// Everything that can be reached.
pub struct Graph<S, E> {
    pub states: Vec<S>,
    pub transitions: usize,
    /// From where, and by what, each state was reached first.
    origins: Vec<Option<(usize, E)>>,
}

/// The number of everything that has been found: its place in the list of states. The list alone holds them, for there are
/// millions; here are their hashes. Of two with one hash the second stands under the next number that is free.
#[derive(Default)]
pub struct Known(HashMap<u64, u32, BuildHasherDefault<Quick>>);

impl Known {
    /// The place of a state; with whether it is new, and then it is put at the end of the list.
    pub fn place<S: Eq + Hash>(&mut self, states: &mut Vec<S>, state: S) -> (usize, bool) {
        let mut hash = BuildHasherDefault::<Quick>::default().hash_one(&state);
        while let Some(place) = self.0.get(&hash) {
            let place = *place as usize;
            if states.get(place) == Some(&state) {
                return (place, false);
            }
            hash = hash.wrapping_add(1);
        }
        self.0.insert(hash, u32::try_from(states.len()).expect("four thousand million states are enough"));
        states.push(state);
        (states.len() - 1, true)
    }
}

/// The states are ours, so nobody makes them collide: a hash that is made for speed, like that of rustc, saves more than half
/// of the time.
#[derive(Default)]
pub struct Quick(u64);

impl Quick {
    fn add(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.add(u64::from(*byte)));
    }

    fn write_u8(&mut self, number: u8) {
        self.add(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.add(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.add(number as u64);
    }

    /// The upper bits are the good ones, and the table looks at both ends.
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

/// A rule that is broken, and how to get there.
#[derive(Debug)]
pub struct Broken {
    pub rule: String,
    pub history: Vec<String>,
}

/// What one step leads to: a state, or a broken rule.
pub type Outcome<S> = Result<S, String>;

/// Visits everything that `steps` can reach from `first`. Stops at the first broken rule.
pub fn explore<S, E>(first: S, mut steps: impl FnMut(&S) -> Vec<(E, Outcome<S>)>) -> Result<Graph<S, E>, Broken>
where
    S: Clone + Eq + Hash,
    E: Clone + Debug,
{
    let mut known = Known::default();
    let mut graph = Graph { states: Vec::new(), transitions: 0, origins: vec![None] };
    known.place(&mut graph.states, first);
    let mut place = 0;
    while let Some(state) = graph.states.get(place).cloned() {
        for (event, outcome) in steps(&state) {
            graph.transitions += 1;
            match outcome {
                Err(rule) => {
                    let mut history = graph.history(place);
                    history.push(format!("{event:?}"));
                    return Err(Broken { rule, history });
                }
                Ok(next) => {
                    let (_, new) = known.place(&mut graph.states, next);
                    if new {
                        graph.origins.push(Some((place, event)));
                    }
                }
            }
        }
        place += 1;
    }
    Ok(graph)
}

impl<S, E: Debug> Graph<S, E> {
    /// A shortest way to a state.
    pub fn history(&self, mut place: usize) -> Vec<String> {
        let mut history = Vec::new();
        while let Some((origin, event)) = &self.origins[place] {
            history.push(format!("{event:?}"));
            place = *origin;
        }
        history.reverse();
        history
    }

    /// A shortest way to a state of a kind, if there is one.
    pub fn reach(&self, wanted: impl Fn(&S) -> bool) -> Option<Vec<String>> {
        self.states.iter().position(wanted).map(|place| self.history(place))
    }
}

impl Broken {
    /// The rule and the numbered steps.
    pub fn tell(&self) -> String {
        let mut text = format!("{}\nshortest history:", self.rule);
        for (place, step) in self.history.iter().enumerate() {
            let _ = write!(text, "\n  {:2}. {step}", place + 1);
        }
        text
    }
}

/// The sets of places from each of which every other one of the same set can be reached, by at least one step (Kosaraju).
pub fn circles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut backwards = vec![Vec::new(); edges.len()];
    for (from, to) in edges.iter().enumerate().flat_map(|(from, all)| all.iter().map(move |to| (from, *to))) {
        backwards[to].push(from);
    }
    let mut order = Vec::new();
    let mut seen = vec![false; edges.len()];
    for start in 0..edges.len() {
        depth_first(edges, start, &mut seen, &mut order);
    }
    let mut circles = Vec::new();
    let mut seen = vec![false; edges.len()];
    for start in order.into_iter().rev() {
        let mut set = Vec::new();
        depth_first(&backwards, start, &mut seen, &mut set);
        if set.len() > 1 || set.iter().any(|place| edges[*place].contains(place)) {
            circles.push(set);
        }
    }
    circles
}

/// Adds what can be reached from `start` and has not been seen, each place after those that it leads to.
fn depth_first(edges: &[Vec<usize>], start: usize, seen: &mut [bool], order: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, 0)];
    while let Some((place, next)) = path.last_mut() {
        match edges[*place].get(*next) {
            Some(to) => {
                *next += 1;
                if !std::mem::replace(&mut seen[*to], true) {
                    path.push((*to, 0));
                }
            }
            None => {
                order.push(*place);
                path.pop();
            }
        }
    }
}

#[test]
fn a_circle_is_found_and_a_way_that_ends_is_none() {
    let mut found = circles(&[vec![1], vec![2, 3], vec![1], vec![4], vec![4], vec![0]]);
    found.iter_mut().for_each(|circle| circle.sort_unstable());
    found.sort();
    assert_eq!(found, [vec![1, 2], vec![4]]);
}
