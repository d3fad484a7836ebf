//! What breaks the promises: limits that are said aloud, and faults that are planted, each of which has to be found.

use super::pods::{APART, CANCELLED, LARGE, RELOADED, REPEATED, ROUNDS, RULED, SOUND, TOLD, TOLD_OTHERWISE, TWICE};
use super::policies::{HUP, INT, TERM};
use super::search::Broken;
use super::settings::{Fault, Left, Locks, Mains, POD, Setting, Watch};
use super::world::{EARLY, ORDER, OUTLIVES, SENT, UNTRUE};
use super::worlds::{holds, search};
use exeunt::machine::Restart;

/// Searches a Pod in which a promise is broken: the negative control.
#[track_caller]
fn breaks(promise: &str, setting: Setting) -> Broken {
    let Err(broken) = search(&setting) else { panic!("{setting:?}: nothing was found") };
    println!("{:?}: {}", setting.fault, broken.tell());
    assert!(broken.rule.starts_with(promise), "{setting:?}: not {promise:?} but {}", broken.tell());
    broken
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

/// Which promise each fault breaks, and where.
const CONTROLS: [(&str, Setting, Fault); 61] = [
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
    (ORDER, POD, Fault::JudgesADeathAtOnce),
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
    (ORDER, Setting { restart: Restart::Always, ..POD }, Fault::LooksAwayInTheBackOff),
    (ORDER, TOLD, Fault::JudgesASignalAtOnce),
    (ORDER, Setting { outlives: true, ..TOLD }, Fault::JudgesATimeAtOnce),
    (ORDER, Setting { restart: Restart::Always, ..POD }, Fault::JudgesATimeAtOnce),
    (SENT, Setting { restart: Restart::Always, ..TOLD }, Fault::TimeBeforeSignals),
    (SENT, TOLD, Fault::DropsAnEarlySignal),
    (SENT, Setting { restart: Restart::Always, ..TOLD }, Fault::DropsAnEarlySignal),
    (SENT, RELOADED, Fault::DropsAnEarlySignal),
    (SENT, Setting { slow: true, ..TOLD }, Fault::HoldsAnEarlySignal),
    (SENT, RELOADED, Fault::LosesWhatIsKept),
    (SENT, RELOADED, Fault::LosesWhatComesAtADeath),
    (SENT, TOLD_OTHERWISE, Fault::TakesSigtermForTheOrder),
    (SENT, Setting { lingers: true, ..TOLD_OTHERWISE }, Fault::TakesSigtermForTheOrderInALinger),
    (UNTRUE, Setting { lingers: true, sent: &[HUP], ..POD }, Fault::RunsOnAfterALinger),
    (SENT, Setting { lingers: true, outlives: true, ..TOLD }, Fault::LingersThoughTold),
    (SENT, Setting { lingers: true, deletes: true, outlives: true, ..RULED }, Fault::LingersForAnAttempt),
    (EARLY, Setting { lingers: true, ..CANCELLED }, Fault::StopsACancelledOneAtOnce),
    (UNTRUE, Setting { lingers: true, absence: true, ..POD }, Fault::LingersForTheMissing),
    (SENT, Setting { outlives: true, ..TOLD_OTHERWISE }, Fault::TakesWhatWasHeldForTheOrder),
    (SENT, Setting { outlives: true, ..TWICE }, Fault::HoldsTheSecondToo),
    (SENT, Setting { outlives: true, sent: &[INT, TERM], ..POD }, Fault::TakesACancelForTheFirst),
    (OUTLIVES, Setting { outlives: true, absence: true, ..TOLD }, Fault::HoldsForTheMissing),
    (SENT, Setting { outlives: true, restart: Restart::Always, ..TOLD }, Fault::StartsAgainWhileHolding),
    (UNTRUE, Setting { absence: true, restart: Restart::Always, ..POD }, Fault::TakesTheMissingForTheLost),
    (SENT, Setting { absence: true, ..TOLD_OTHERWISE }, Fault::MissesWithoutTheOrder),
    (UNTRUE, Setting { absence: true, ..TOLD_OTHERWISE }, Fault::LetsTheKillDecide),
    (SENT, Setting { restart: Restart::Always, ..TOLD_OTHERWISE }, Fault::KeepsSigtermForTheNext),
    (SENT, Setting { sent: &[HUP, TERM], ..RELOADED }, Fault::KeepsAllWithWhatIsKept),
    (SENT, Setting { restart: Restart::Always, ..CANCELLED }, Fault::TakesACancelForNothing),
    (SENT, Setting { crowded: true, ..RELOADED }, Fault::LosesWhatIsKeptInACrowd),
    (OUTLIVES, Setting { lingers: true, ..POD }, Fault::ForgetsTheLinger),
    (EARLY, Setting { absence: true, ..POD }, Fault::CountsWhileItIsThere),
    (EARLY, Setting { absence: true, ..REPEATED }, Fault::ForgetsThatItCame),
    (EARLY, ROUNDS, Fault::ForgetsTheReset),
    (EARLY, ROUNDS, Fault::ResetsTheLifeAlone),
    (OUTLIVES, Setting { mains: Mains::All, ..ROUNDS }, Fault::ResetsTheLiving),
    (OUTLIVES, Setting { mains: Mains::All, ..ROUNDS }, Fault::ResetsOutOfTurn),
];

#[test]
fn every_fault_that_is_planted_in_a_pod_is_found() {
    for (promise, setting, fault) in CONTROLS {
        breaks(promise, Setting { fault, ..setting });
        let sound = |setting: &Setting| {
            SOUND.iter().chain(LARGE).any(|(_, sound)| format!("{sound:?}") == format!("{setting:?}"))
        };
        assert!(sound(&setting), "without the fault it is not among those that hold: {setting:?}");
    }
    for fault in Fault::ALL {
        let planted = CONTROLS.iter().any(|(_, _, control)| control == fault);
        assert!(planted || *fault == Fault::None, "{fault:?} is planted nowhere");
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
