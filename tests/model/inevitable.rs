//! Whether a sidecar leaves in the end: there is no world in which nothing can be done, and no way round in a circle on which
//! everybody gets his turn.

use super::search::{Known, circles};
use super::settings::Setting;
use super::world::{Container, World};
use super::world_sidecar::Agent;

/// One step: whose it is, and where it leads, unless out.
type Way = (Agent, Option<usize>);

/// Where a sidecar stays, and how.
#[derive(Debug)]
pub struct Stuck {
    pub world: World,
    pub how: String,
}

impl Stuck {
    fn new(world: &World, how: &str) -> Box<Stuck> {
        Box::new(Stuck { world: *world, how: how.to_owned() })
    }
}

/// Follows what one sidecar does by itself from each of these worlds. Fairness is asked for in its weakest form: whoever
/// can go on all the time (its driver, a child that was asked to end, the time) does so some time. A watch
/// that makes things up may do so, but need not, and a lock that cannot be asked for can be asked for some time.
pub fn leaves<'a>(setting: &Setting, place: usize, from: impl Iterator<Item = &'a World>) -> Result<(), Box<Stuck>> {
    let (mut worlds, mut numbers) = (Vec::new(), Known::default());
    for world in from {
        numbers.place(&mut worlds, *world);
    }
    let mut ways: Vec<Vec<Way>> = Vec::new();
    while let Some(world) = worlds.get(ways.len()).copied() {
        let steps = world.without_help(setting, place);
        if steps.is_empty() {
            return Err(Stuck::new(&world, "it waits for ever"));
        }
        let mut from_here = Vec::new();
        for (agent, next) in steps {
            let next = next.map_err(|rule| Stuck::new(&world, &rule))?.tidy();
            let inside = next.sidecars[place].container == Container::Up;
            let number = inside.then(|| numbers.place(&mut worlds, next).0);
            from_here.push((agent, number));
        }
        ways.push(from_here);
    }
    let edges: Vec<Vec<usize>> = ways.iter().map(|ways| ways.iter().filter_map(|(_, to)| *to).collect()).collect();
    for circle in circles(&edges) {
        let waits_for_ever = |agent: Agent| {
            circle.iter().all(|number| {
                let mut own = ways[*number].iter().filter(|(whose, _)| *whose == agent).peekable();
                own.peek().is_some() && own.all(|(_, to)| to.is_none_or(|to| !circle.contains(&to)))
            })
        };
        if ![Agent::Driver, Agent::Child, Agent::Time].into_iter().any(waits_for_ever) {
            return Err(Stuck::new(&worlds[circle[0]], "it goes round in a circle"));
        }
    }
    Ok(())
}
