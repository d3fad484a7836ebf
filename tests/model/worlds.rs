//! The promises, in every Pod that is worth telling apart; and what breaks them.

use super::counts;
use super::inevitable::leaves;
use super::pods::{APART, LARGE, REPEATED, RULED, SOUND};
use super::policies;
use super::search::{Broken, Graph, explore};
use super::settings::{self, Fault, Left, Locks, Mains, POD, Setting, Watch};
use super::world::{Container, Label, World, steps};
use exeunt::machine::{Codes, Restart, State};

/// Searches a Pod. Two things are held against each of its worlds: no step breaks a promise; and a sidecar that has to go
/// goes, whatever of what it does by itself comes first, and whatever its watch makes up.
fn search(setting: &Setting) -> Result<Graph<World, Label>, Broken> {
    let graph = explore(World::new(setting), |world| steps(setting, world))?;
    for place in 0..setting.sidecars {
        let must = graph.states.iter().filter(|world| world.must_end(setting, place));
        leaves(setting, place, must).map_err(|stuck| {
            let history = graph.reach(|known| *known == stuck.world).unwrap_or_default();
            Broken { rule: format!("1. A sidecar never outlives its job: {}", stuck.how), history }
        })?;
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
            assert!(SOUND.iter().any(|(_, setting)| of(setting) == value), "no Pod has {value:?}");
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
        fault: _,
    } = POD;
    tried(policies::codes(), |setting| setting.restart_on);
    tried(settings::every_left(), |setting| setting.left);
    tried(settings::every_locks(), |setting| setting.locks);
    tried(settings::every_watch(), |setting| setting.watch);
    tried(settings::every_mains(), |setting| setting.mains);
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

/// The limit that is said aloud: no clock can tell a job that ended a second ago from one that ended yesterday. So these
/// hold with a run id, or with main first; and without either a life of another boot, or one that announces a next
/// attempt, is no end.
#[test]
fn what_an_earlier_pod_has_left_counts_without_a_run_id_unless_it_is_no_end() {
    for left in [Left::Sentinel, Left::Life, Left::Both] {
        let setting = Setting { left, ..POD };
        breaks("2. A sidecar never leaves early", setting);
        for sound in [Setting { run_id: true, ..setting }, Setting { main_first: true, ..setting }] {
            holds("the same with a run id, or main first", sound);
        }
    }
    for setting in [
        Setting { left: Left::LifeOfAnotherBoot, ..POD },
        Setting { left: Left::Life, ..REPEATED },
        Setting { left: Left::Attempt, ..REPEATED },
    ] {
        holds("what is no end", setting);
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

const OUTLIVES: &str = "1. A sidecar never outlives its job";
const EARLY: &str = "2. A sidecar never leaves early";
const UNTRUE: &str = "3. The exit code is the truth";

/// Which promise each fault breaks, and where.
const CONTROLS: [(&str, Setting, Fault); 25] = [
    (UNTRUE, Setting { unwritable: true, ..POD }, Fault::NoSecondLook),
    (UNTRUE, Setting { unwritable: true, ..POD }, Fault::LooksInTheOtherOrder),
    (EARLY, Setting { locks: Locks::Apart, ..POD }, Fault::BelievesEveryLock),
    (EARLY, Setting { left: Left::LifeOfAnotherBoot, ..POD }, Fault::BelievesEveryLock),
    (EARLY, Setting { locks: Locks::Refused, ..POD }, Fault::TakesAnErrorForAFreeLock),
    (EARLY, Setting { locks: Locks::SometimesRefused, ..POD }, Fault::TakesAnErrorForAFreeLock),
    (OUTLIVES, Setting { locks: Locks::Elsewhere, ..POD }, Fault::NeverBelievesALock),
    (EARLY, REPEATED, Fault::ForgetsThePolicy),
    (EARLY, RULED, Fault::ForgetsThePolicy),
    (OUTLIVES, RULED, Fault::TakesEveryEndForRepeated),
    ("4. Facts are judged", POD, Fault::JudgesADeathAtOnce),
    (EARLY, Setting { left: Left::Attempt, ..REPEATED }, Fault::ForgetsThePolicy),
    (EARLY, Setting { unwritable: true, ..POD }, Fault::ReleasesFirst),
    (EARLY, POD, Fault::LocksLate),
    (EARLY, Setting { left: Left::Sentinel, main_first: true, ..POD }, Fault::LeavesTheOldSentinel),
    (EARLY, Setting { left: Left::Both, main_first: true, ..POD }, Fault::LeavesTheOldSentinel),
    (EARLY, Setting { left: Left::Sentinel, run_id: true, ..POD }, Fault::ForgetsTheRunId),
    (OUTLIVES, POD, Fault::OnlyTheWatch),
    (OUTLIVES, Setting { watch: Watch::Lies, ..POD }, Fault::BeginsAnewAtEachEvent),
    (EARLY, Setting { watch: Watch::Lies, ..POD }, Fault::TakesAnEventForTheEnd),
    (OUTLIVES, Setting { cleans: true, ..POD }, Fault::ForgetsTheLost),
    (OUTLIVES, Setting { refuses: true, ..REPEATED }, Fault::ForgetsTheLastWord),
    (EARLY, Setting { mains: Mains::All, ..POD }, Fault::LooksAtTheFirstNameOnly),
    (OUTLIVES, Setting { mains: Mains::Any, ..POD }, Fault::LooksAtTheFirstNameOnly),
    (OUTLIVES, Setting { restart: Restart::Always, ..POD }, Fault::LooksAwayInTheBackOff),
];

#[test]
fn every_fault_that_is_planted_in_a_pod_is_found() {
    for (promise, setting, fault) in CONTROLS {
        breaks(promise, Setting { fault, ..setting });
        let sound = |setting: &Setting| SOUND.iter().any(|(_, sound)| format!("{sound:?}") == format!("{setting:?}"));
        assert!(sound(&setting), "without the fault it is not among those that hold: {setting:?}");
    }
    for fault in settings::every_fault() {
        let planted = CONTROLS.iter().any(|(_, _, control)| *control == fault);
        assert!(planted || fault == Fault::None, "{fault:?} is planted nowhere");
    }
}

/// What a silent watch and a lying one add: without the slow look an end is lost by a kill alone where the watch works, and
/// by every end where it does not; and a look that each event begins anew comes to its end as long as the events do.
#[test]
fn the_slow_look_and_the_look_that_is_finished_are_for_watches_that_do_not_work() {
    let outlives = "1. A sidecar never outlives its job";
    let by_kill = |broken: &Broken| broken.history.iter().any(|step| step.contains("main: SIGKILL"));
    let fault = Fault::OnlyTheWatch;
    assert!(by_kill(&breaks(outlives, Setting { fault, ..POD })));
    assert!(!by_kill(&breaks(outlives, Setting { fault, ..APART })));
    let fault = Fault::BeginsAnewAtEachEvent;
    holds("each event begins the look anew", Setting { fault, ..POD });
    let broken = breaks(outlives, Setting { fault, watch: Watch::Lies, ..POD });
    assert!(broken.rule.contains("circle"), "{}", broken.tell());
}
