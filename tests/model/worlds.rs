//! The promises, in every Pod that is worth telling apart; and what breaks them.

use super::counts;
use super::inevitable::leaves;
use super::pods::{APART, LARGE, RELOADED, REPEATED, ROUNDS, RULED, SOUND, TOLD};
use super::policies::{self, HUP, INT, TERM};
use super::search::{Broken, Graph, explore};
use super::settings::{Left, Locks, Mains, POD, Setting, Watch};
use super::world::{Container, Label, OUTLIVES, Round, SENT, World, steps};
use exeunt::machine::{Codes, Restart, State, Status};

/// Searches a Pod. Two things are held against each of its worlds: no step breaks a promise; and a sidecar that has to go
/// goes, whatever of what it does by itself comes first, and whatever its watch makes up.
pub fn search(setting: &Setting) -> Result<Graph<World, Label>, Broken> {
    let graph = explore(World::new(setting), |world| steps(setting, world))?;
    type Must = fn(&World, &Setting, usize) -> bool;
    let inevitable: [(&str, Must); 2] = [(OUTLIVES, World::must_end), (SENT, World::must_obey)];
    for (place, (rule, must)) in (0..setting.sidecars).flat_map(|place| inevitable.map(|it| (place, it))) {
        let must = graph.states.iter().filter(|world| must(world, setting, place));
        leaves(setting, place, must).map_err(|stuck| {
            let history = graph.reach(|known| *known == stuck.world).unwrap_or_default();
            Broken { rule: format!("{rule}: {}", stuck.how), history }
        })?;
    }
    Ok(graph)
}

/// Searches a Pod in which all promises hold.
#[track_caller]
pub fn holds(what: &str, setting: Setting) -> Graph<World, Label> {
    let graph = search(&setting).unwrap_or_else(|broken| panic!("{what}: {}", broken.tell()));
    println!("{what}: {} states, {} transitions", graph.states.len(), graph.transitions);
    graph
}

#[test]
fn the_promises_hold_in_every_pod_whatever_is_killed_and_started_when() {
    let large = if counts::full_length() { LARGE } else { &[] };
    let next = std::sync::Mutex::new(SOUND.iter().chain(large));
    let work = || {
        let (mut states, mut transitions) = (0, 0);
        while let Some((what, setting)) = { next.lock().expect("the list").next() } {
            let graph = holds(what, *setting);
            states += graph.states.len();
            transitions += graph.transitions;
        }
        (states, transitions)
    };
    let sums = std::thread::scope(|scope| {
        let other = scope.spawn(work);
        [work(), other.join().expect("the other half")]
    });
    counts::exactly("kinds of Pods in the model", (SOUND.len() + large.len()) as u64);
    counts::exactly("states of these Pods", sums.iter().map(|(states, _)| *states as u64).sum());
    counts::exactly("transitions between them", sums.iter().map(|(_, transitions)| *transitions as u64).sum());
}

/// What no Pod has is not tried: a new field does not compile here, and of a new value it is said.
#[test]
fn every_value_of_a_setting_is_tried_in_a_pod_in_which_the_promises_hold() {
    fn tried<T: PartialEq + std::fmt::Debug>(values: impl IntoIterator<Item = T>, of: impl Fn(&Setting) -> T) {
        for value in values {
            assert!(SOUND.iter().chain(LARGE).any(|(_, setting)| of(setting) == value), "no Pod has {value:?}");
        }
    }
    let both = [false, true];
    let Setting {
        restart_on: _,
        outlives: _,
        run_id: _,
        left: _,
        locks: _,
        watch: _,
        mains: _,
        sidecars: _,
        restart: _,
        main_first: _,
        deletes: _,
        cleans: _,
        refuses: _,
        unwritable: _,
        repeats_in_vain: _,
        lingers: _,
        absence: _,
        stop_signal: _,
        sent: _,
        crowded: _,
        slow: _,
        rounds: _,
        fault: _,
    } = POD;
    tried(policies::codes(), |setting| setting.restart_on);
    tried(Left::ALL.iter().copied(), |setting| setting.left);
    tried(Locks::ALL.iter().copied(), |setting| setting.locks);
    tried(Watch::ALL.iter().copied(), |setting| setting.watch);
    tried(Mains::ALL.iter().copied(), |setting| setting.mains);
    tried(Restart::ALL.iter().map(|(_, restart)| *restart), |setting| setting.restart);
    tried([1, 2], |setting| setting.sidecars);
    tried(both, |setting| setting.outlives);
    tried(both, |setting| setting.run_id);
    tried(both, |setting| setting.main_first);
    tried(both, |setting| setting.deletes);
    tried(both, |setting| setting.cleans);
    tried(both, |setting| setting.refuses);
    tried(both, |setting| setting.unwritable);
    tried(both, |setting| setting.repeats_in_vain);
    tried(both, |setting| setting.lingers);
    tried(both, |setting| setting.absence);
    tried([TERM, INT], |setting| setting.stop_signal);
    tried([&[][..], &[TERM], &[HUP], &[INT], &[TERM, TERM], &[HUP, TERM], &[INT, TERM]], |setting| setting.sent);
    tried(both, |setting| setting.crowded);
    tried(both, |setting| setting.slow);
    tried(both, |setting| setting.rounds);
}

#[test]
fn every_good_end_of_a_pod_can_be_reached() {
    let graph = holds("never", POD);
    let up = |world: &World| world.sidecars[0].container == Container::Up;
    let main = |world: &World| world.mains[0];
    let gone = |world: &World| world.sidecars[0].container != Container::Up && main(world).staged;
    for (what, reached) in [
        ("a sidecar that stays for the job", graph.reach(|world| up(world) && main(world).command)),
        ("a sidecar that is being stopped", graph.reach(|w| matches!(w.sidecars[0].state, State::Stopping { .. }))),
        (
            "both gone, the sidecar with the job's code",
            graph.reach(|world| {
                world.sidecars[0].container == Container::Gone(3) && main(world).container == Container::Gone(3)
            }),
        ),
        (
            "both gone after a kill",
            graph.reach(|world| {
                world.sidecars[0].container == Container::Gone(137)
                    && main(world).container == Container::Gone(137)
                    && main(world).staged
                    && main(world).mute
            }),
        ),
        (
            "a sidecar that found the job over and was never needed",
            graph.reach(|world| {
                gone(world) && main(world).over.is_some() && world.sidecars[0].container == Container::Gone(0)
            }),
        ),
    ] {
        assert!(reached.is_some(), "{what} is never reached");
    }
    let graph = holds("on-failure", REPEATED);
    let between = |world: &World| {
        main(world).container == Container::Waiting
            && main(world).staged
            && matches!(world.sidecars[0].state, State::Running { .. })
    };
    assert!(graph.reach(between).is_some(), "no sidecar ever waits for the next attempt");
}

#[test]
fn the_good_ends_are_there_on_other_volumes_and_with_others_watches_too() {
    let code = |world: &World| world.sidecars[0].container == Container::Gone(3) && world.mains[0].staged;
    for setting in [
        APART,
        Setting { watch: Watch::Lies, ..APART },
        Setting { locks: Locks::Refused, ..POD },
        Setting { left: Left::Both, run_id: true, ..POD },
        Setting { left: Left::LifeOfAnotherBoot, ..POD },
    ] {
        let graph = holds("the job's code", setting);
        assert!(graph.reach(code).is_some(), "{setting:?}: the sidecar never leaves with the job's code");
    }
    // Where the place is not proven but the lock has been seen held, a kill is found all the same.
    let killed = |world: &World| {
        let by_lock = matches!(world.sidecars[0].state, State::Stopping { .. });
        by_lock && world.names[0].terminated.is_none() && world.mains[0].mute
    };
    let graph = holds("a kill, locks elsewhere", Setting { locks: Locks::Elsewhere, ..POD });
    assert!(graph.reach(killed).is_some(), "the death of one whose lock was seen held is never found");
}

#[test]
fn the_good_ends_are_there_with_each_option_of_a_sidecar_too() {
    fn sidecar(world: &World) -> super::world::Sidecar {
        world.sidecars[0]
    }
    type Wanted = fn(&World) -> bool;
    let table: [(&str, Setting, Wanted); 10] = [
        ("a while after the job", Setting { lingers: true, ..POD }, |world| {
            matches!(sidecar(world).state, State::Lingering { .. }) && sidecar(world).child
        }),
        ("the job's code after a while", Setting { lingers: true, ..POD }, |world| {
            sidecar(world).container == Container::Gone(3) && world.mains[0].container == Container::Gone(3)
        }),
        ("a job that does not come", Setting { absence: true, ..POD }, |world| {
            sidecar(world).container == Container::Gone(124) && !world.mains[0].staged
        }),
        ("a next attempt that does not come", Setting { absence: true, ..RULED }, |world| {
            sidecar(world).container == Container::Gone(124)
                && world.mains[0].container == Container::Gone(137)
                && world.names[0].running.is_some_and(|file| world.files[file].record.ended.is_some())
        }),
        ("a second round to its end", ROUNDS, |world| {
            world.round == Round::Later && sidecar(world).container == Container::Gone(3)
        }),
        ("a life that a reset leaves", Setting { mains: Mains::All, ..ROUNDS }, |world| {
            world.round == Round::Later && world.mains[1].command && world.names[1].running.is_some()
        }),
        ("a job that is not started", TOLD, |world| {
            let [told, of_job] = [sidecar(world).container, world.mains[0].container];
            [told, of_job] == [Container::Gone(143); 2] && world.mains[0].ended.is_none()
        }),
        ("a sidecar that starts nothing", TOLD, |world| sidecar(world).early),
        ("another stop signal after SIGTERM", Setting { stop_signal: INT, ..TOLD }, |world| {
            sidecar(world).ordered && sidecar(world).asked == Some(Status::Killed(INT))
        }),
        (
            "a signal that is kept for the next child",
            RELOADED,
            |world| matches!(sidecar(world).state, State::BackingOff { kept, .. } if kept != 0),
        ),
    ];
    for (what, setting, wanted) in table {
        let graph = holds(what, setting);
        assert!(graph.reach(wanted).is_some(), "{what} is never reached");
    }
}

/// What piles up before a sidecar gets any time is there: of each fact alone, and of all of them together.
#[test]
fn a_stall_brings_several_facts_at_once() {
    let graph = holds("facts that pile up", Setting { restart: Restart::Always, ..TOLD });
    let piled = |world: &World| {
        let came = world.sidecars[0].came;
        (came.has(TERM), came.dead.is_some(), came.elapsed.is_some())
    };
    for (term, dead, elapsed) in [(true, true, false), (true, false, true)] {
        assert!(graph.reach(|world| piled(world) == (term, dead, elapsed)).is_some(), "{term} {dead} {elapsed}");
    }
    let late = |world: &World| piled(world).0 && world.names[0].terminated.is_some() && world.sidecars[0].child;
    assert!(graph.reach(late).is_some(), "never has the job ended when a signal is noticed");
}

#[test]
fn a_sidecar_of_several_mains_waits_for_the_last_or_for_the_first_of_them() {
    let stops = |world: &World| matches!(world.sidecars[0].state, State::Stopping { .. });
    for (mains, alone) in [(Mains::All, false), (Mains::Any, true)] {
        let setting = Setting { mains, ..POD };
        let graph = holds("two mains", setting);
        for of in 0..2 {
            let other_runs = |world: &World| stops(world) && world.mains[of].command;
            assert_eq!(graph.reach(other_runs).is_some(), alone, "{mains:?}: stopped while main {of} runs");
        }
        let failed = |world: &World| {
            world.sidecars[0].container == Container::Gone(3)
                && world.mains[0].container == Container::Gone(0)
                && world.mains[1].container == Container::Gone(3)
        };
        assert!(graph.reach(failed).is_some(), "{mains:?}: the failure of the second is never told");
    }
}

#[test]
fn a_child_that_is_started_again_is_stopped_in_each_of_its_lives_and_between_two() {
    let graph = holds("started again", Setting { restart: Restart::Always, ..POD });
    let waits = |world: &World| matches!(world.sidecars[0].state, State::BackingOff { .. });
    assert!(graph.reach(|world| waits(world) && world.mains[0].command).is_some(), "never between two lives");
    assert!(graph.reach(|world| waits(world) && world.mains[0].over.is_some()).is_some(), "no end between two lives");
    let history = graph.reach(|world| world.sidecars[0].child && world.mains[0].command).expect("a child");
    assert!(!history.is_empty());
}

/// A limit: the end has to be written before the exit, and SIGKILL may come between the two. The job is over, which is what
/// the sidecars were told; that the kubelet repeats it all the same, they cannot know.
#[test]
fn a_main_that_is_killed_after_its_last_word_may_be_repeated_without_its_sidecars() {
    let graph = holds("on-failure, repeated in vain", Setting { repeats_in_vain: true, ..REPEATED });
    let alone = |world: &World| {
        let gone = matches!(world.sidecars[0].container, Container::Gone(_));
        gone && world.mains[0].command && world.mains[0].over.is_some()
    };
    let history = graph.reach(alone).expect("the limit is still there; if it is not, say so in the README");
    assert!(history.iter().any(|step| step.contains("SIGKILL")), "only by a kill: {history:?}");
}

#[test]
fn sigterm_is_held_while_the_job_runs_if_that_is_wanted() {
    for outlives in [false, true] {
        let graph = holds("never, deleted", Setting { deletes: true, outlives, ..POD });
        let held = graph.reach(|world| world.is_holding(0) && world.mains[0].command);
        assert_eq!(held.is_some(), outlives, "SIGTERM is held while the job runs, if that is wanted");
    }
}

/// What is given up there: promise 2 outranks promise 1. A lock that cannot be asked for proves nothing, nor does one that
/// nobody else can see.
#[test]
fn where_locks_prove_nothing_only_the_sidecar_of_a_job_that_was_killed_waits_for_ever() {
    for locks in [Locks::Apart, Locks::Refused, Locks::Elsewhere] {
        for setting in [POD, REPEATED] {
            let setting = Setting { locks, ..setting };
            let graph = holds("locks that prove nothing", setting);
            let waits = graph.reach(|world| {
                let alone = matches!(world.mains[0].container, Container::Gone(_)) && world.mains[0].staged;
                alone
                    && world.mains[0].mute
                    && world.sidecars[0].child
                    && leaves(&setting, 0, [world].into_iter()).is_err()
            });
            // With `on-failure` the next attempt comes, and its end is told.
            assert_eq!(waits.is_some(), setting.restart_on == Codes::NONE, "{setting:?}");
            assert!(waits.is_none_or(|history| history.iter().any(|step| step.contains("main: SIGKILL"))));
        }
    }
}
