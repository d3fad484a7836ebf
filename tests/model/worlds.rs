//! The promises, in every Pod that is worth telling apart; and what breaks them.

use super::search::{Broken, Graph, explore};
use super::settings::{Fault, Left, POD, Setting};
use super::world::{Container, Label, World, steps};
use exeunt::machine::{RestartPolicy, State};

const REPEATED: Setting = Setting { restart_policy: RestartPolicy::OnFailure, ..POD };

fn search(setting: &Setting) -> Result<Graph<World, Label>, Broken> {
    let graph = explore(World::new(setting), |world| steps(setting, world))?;
    for (place, world) in graph.states.iter().enumerate() {
        for sidecar in (0..world.sidecars.len()).filter(|sidecar| world.must_end(setting, *sidecar)) {
            world
                .leaves(setting, sidecar)
                .map_err(|rule| Broken { rule: format!("{rule}\n{world:?}"), history: graph.history(place) })?;
        }
    }
    Ok(graph)
}

/// Searches a Pod in which all promises hold.
#[track_caller]
fn holds(what: &str, setting: Setting) -> Graph<World, Label> {
    let graph = search(&setting).unwrap_or_else(|broken| panic!("{what}: {}", broken.tell()));
    println!("{what}: {} states, {} transitions", graph.states.len(), graph.transitions);
    graph
}

/// Searches a Pod in which a promise is broken: the negative control.
#[track_caller]
fn breaks(promise: &str, setting: Setting) -> Broken {
    let Err(broken) = search(&setting) else { panic!("{setting:?}: nothing was found") };
    println!("{:?}: {}", setting.fault, broken.tell());
    assert!(broken.rule.starts_with(promise), "{setting:?}: not {promise:?} but {}", broken.tell());
    broken
}

#[test]
fn the_promises_hold_whatever_is_killed_and_started_when() {
    let graph = holds("never", POD);
    holds("never, the job empties the directory", Setting { cleans: true, ..POD });
    holds("never, no sentinel can be made", Setting { refuses: true, cleans: true, ..POD });
    holds("never, the end cannot be written", Setting { unwritable: true, refuses: true, cleans: true, ..POD });
    let up = |world: &World| world.sidecars[0].container == Container::Up;
    let gone = |world: &World| world.sidecars[0].container != Container::Up && world.main.staged;
    for (what, reached) in [
        ("a sidecar that stays for the job", graph.reach(|world| up(world) && world.main.command)),
        ("a sidecar that is being stopped", graph.reach(|w| matches!(w.sidecars[0].state, State::Stopping { .. }))),
        (
            "both gone, the sidecar with the job's code",
            graph.reach(|world| {
                world.sidecars[0].container == Container::Gone(3) && world.main.container == Container::Gone(3)
            }),
        ),
        (
            "both gone after a kill",
            graph.reach(|world| {
                world.sidecars[0].container == Container::Gone(137)
                    && world.main.container == Container::Gone(137)
                    && world.main.staged
                    && world.main.mute
            }),
        ),
        (
            "a sidecar that found the job over and was never needed",
            graph.reach(|world| {
                gone(world) && world.main.over.is_some() && world.sidecars[0].container == Container::Gone(0)
            }),
        ),
    ] {
        assert!(reached.is_some(), "{what} is never reached");
    }
}

#[test]
fn the_promises_hold_when_the_kubelet_repeats_the_job() {
    let graph = holds("on-failure", REPEATED);
    holds("on-failure, the job empties the directory", Setting { cleans: true, ..REPEATED });
    holds("on-failure, no sentinel can be made", Setting { refuses: true, ..REPEATED });
    holds("on-failure, the end cannot be written", Setting { unwritable: true, ..REPEATED });
    let between = |world: &World| {
        world.main.container == Container::Waiting
            && world.main.staged
            && matches!(world.sidecars[0].state, State::Running { .. })
    };
    assert!(graph.reach(between).is_some(), "no sidecar ever waits for the next attempt");
}

/// A limit: the end has to be written before the exit, and SIGKILL may come between the two. The job is over, which is what
/// the sidecars were told; that the kubelet repeats it all the same, they cannot know.
#[test]
fn a_main_that_is_killed_after_its_last_word_may_be_repeated_without_its_sidecars() {
    let graph = holds("on-failure, repeated in vain", Setting { repeats_in_vain: true, ..REPEATED });
    let alone = |world: &World| {
        let gone = matches!(world.sidecars[0].container, Container::Gone(_));
        gone && world.main.command && world.main.over.is_some()
    };
    let history = graph.reach(alone).expect("the limit is still there; if it is not, say so in the README");
    assert!(history.iter().any(|step| step.contains("SIGKILL")), "only by a kill: {history:?}");
}

#[test]
fn the_promises_hold_for_two_sidecars() {
    holds("never, two sidecars", Setting { sidecars: 2, main_first: true, ..POD });
}

#[test]
fn the_promises_hold_when_the_pod_is_deleted() {
    for outlives in [false, true] {
        holds("never, deleted", Setting { deletes: true, outlives, ..POD });
        let graph = holds("on-failure, deleted", Setting { deletes: true, outlives, ..REPEATED });
        let held = graph.reach(|world| world.is_holding(0) && world.main.command);
        assert_eq!(held.is_some(), outlives, "SIGTERM is held while the job runs, if that is wanted");
    }
}

#[test]
fn the_promises_hold_where_locks_are_not_shared_but_for_a_job_that_is_killed() {
    for setting in [POD, REPEATED] {
        let setting = Setting { shared_locks: false, ..setting };
        let graph = holds("locks that are not shared", setting);
        // What is given up there: promise 2 outranks promise 1.
        let waits = graph.reach(|world| {
            let alone = matches!(world.main.container, Container::Gone(_)) && world.main.staged && world.main.mute;
            alone && world.sidecars[0].child && world.leaves(&setting, 0).is_err()
        });
        assert_eq!(waits.is_some(), setting.restart_policy == RestartPolicy::Never);
    }
}

#[test]
fn what_an_earlier_run_has_left_does_not_count_with_a_run_id_or_if_main_comes_first() {
    for left in [Left::Sentinel, Left::Life] {
        holds("left over, run id", Setting { left, run_id: true, ..POD });
        holds("left over, main first", Setting { left, main_first: true, ..POD });
        holds("left over, on-failure, run id", Setting { left, run_id: true, ..REPEATED });
        // The limit that is said aloud: no clock can tell a job that ended a second ago from one that ended yesterday.
        breaks("2. A sidecar never leaves early", Setting { left, ..POD });
    }
}

/// The race of the design: main's child exits, the sentinel lands, the sidecar notices the lock first.
#[test]
fn without_the_second_look_a_job_that_has_finished_is_taken_for_lost() {
    // The record that is written before the rename says the same, and hides the race; so it is refused here.
    let setting = Setting { unwritable: true, ..POD };
    let broken = breaks("3. The exit code is the truth", Setting { fault: Fault::NoSecondLook, ..setting });
    let place = |what: &str| broken.history.iter().position(|step| step.ends_with(what)).expect(what);
    assert!(place("sees no sentinel") < place("renames its record to -terminated"));
    assert!(place("renames its record to -terminated") < place("tests the lock"));
}

/// It is the order within a look that counts, the life and then the sentinel; to look twice in the other order is no help.
#[test]
fn two_looks_in_the_wrong_order_are_no_better_than_one() {
    let setting = Setting { unwritable: true, ..POD };
    breaks("3. The exit code is the truth", Setting { fault: Fault::LooksInTheOtherOrder, ..setting });
    holds("the same in the right order", setting);
}

#[test]
fn every_fault_that_is_planted_in_a_pod_is_found() {
    let early = "2. A sidecar never leaves early";
    let outlives = "1. A sidecar never outlives its job";
    for (promise, setting, fault) in [
        (early, Setting { shared_locks: false, ..POD }, Fault::BelievesEveryLock),
        (early, REPEATED, Fault::ForgetsThePolicy),
        (early, Setting { unwritable: true, ..POD }, Fault::ReleasesFirst),
        (early, POD, Fault::LocksLate),
        (early, Setting { left: Left::Sentinel, main_first: true, ..POD }, Fault::LeavesTheOldSentinel),
        (outlives, POD, Fault::OnlyTheWatch),
        (outlives, Setting { cleans: true, ..POD }, Fault::ForgetsTheLost),
        (outlives, Setting { refuses: true, ..REPEATED }, Fault::ForgetsTheLastWord),
    ] {
        breaks(promise, Setting { fault, ..setting });
        holds("the same without the fault", setting);
    }
}
