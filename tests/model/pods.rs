//! The Pods in which every promise holds.

use super::policies::{HUP, INT, TERM};
use super::settings::{Left, Locks, Mains, POD, Setting, Watch};
use exeunt::machine::{Codes, Restart};

pub const REPEATED: Setting = Setting { restart_on: Codes::FAILURES, ..POD };
/// A rule of the container's own: the code with which its job fails is repeated, and nothing else.
pub const RULED: Setting = Setting { restart_on: Codes::NONE.with(3), ..POD };
/// Nobody is told anything but by the sentinel, and that only by the slow look.
pub const APART: Setting = Setting { locks: Locks::Apart, watch: Watch::Silent, ..POD };
/// Somebody sends SIGTERM to main or to a sidecar, at any moment.
pub const TOLD: Setting = Setting { sent: &[TERM], ..POD };
/// Somebody sends SIGHUP to a sidecar that starts its child again.
pub const RELOADED: Setting = Setting { sent: &[HUP], restart: Restart::Always, ..POD };
/// The same as with SIGTERM, where the stop signal is another.
pub const TOLD_OTHERWISE: Setting = Setting { stop_signal: INT, ..TOLD };
/// Signals that come one after the other.
pub const TWICE: Setting = Setting { sent: &[TERM, TERM], ..POD };
pub const CANCELLED: Setting = Setting { sent: &[INT], ..POD };
/// `RestartAllContainers`: from the beginning again, as often as may be, on the same volume.
pub const ROUNDS: Setting = Setting { rounds: true, ..POD };

const TOLD_AND_ROUNDS: Setting = Setting { rounds: true, ..TOLD };
const LINGERS_TOLD: Setting = Setting { lingers: true, ..TOLD_OTHERWISE };

/// Pods in which all promises hold.
pub const SOUND: &[(&str, Setting)] = &[
    ("never", POD),
    ("never, the job empties the directory", Setting { cleans: true, ..POD }),
    ("never, no sentinel can be made", Setting { refuses: true, cleans: true, ..POD }),
    ("never, the end cannot be written", Setting { unwritable: true, refuses: true, cleans: true, ..POD }),
    ("never, the record cannot be written anew", Setting { unwritable: true, ..POD }),
    ("never, the Pod is deleted", Setting { deletes: true, ..POD }),
    ("never, the Pod is deleted, SIGTERM is held", Setting { deletes: true, outlives: true, ..POD }),
    ("on-failure", REPEATED),
    ("on-failure, the job empties the directory", Setting { cleans: true, ..REPEATED }),
    ("on-failure, no sentinel can be made", Setting { refuses: true, ..REPEATED }),
    ("on-failure, the end cannot be written", Setting { unwritable: true, ..REPEATED }),
    ("on-failure, repeated in vain", Setting { repeats_in_vain: true, ..REPEATED }),
    ("on-failure, the Pod is deleted", Setting { deletes: true, ..REPEATED }),
    ("on-failure, the Pod is deleted, SIGTERM is held", Setting { deletes: true, outlives: true, ..REPEATED }),
    ("by a rule", RULED),
    ("by a rule, the job empties the directory", Setting { cleans: true, ..RULED }),
    ("by a rule, no sentinel can be made", Setting { refuses: true, ..RULED }),
    ("by a rule, locks elsewhere", Setting { locks: Locks::Elsewhere, ..RULED }),
    ("by a rule, the Pod is deleted, SIGTERM is held", Setting { deletes: true, outlives: true, ..RULED }),
    ("never, locks elsewhere", Setting { locks: Locks::Elsewhere, ..POD }),
    ("never, locks apart", Setting { locks: Locks::Apart, ..POD }),
    ("never, locks refused", Setting { locks: Locks::Refused, ..POD }),
    ("never, locks sometimes refused", Setting { locks: Locks::SometimesRefused, ..POD }),
    ("on-failure, locks elsewhere", Setting { locks: Locks::Elsewhere, ..REPEATED }),
    ("on-failure, locks apart", Setting { locks: Locks::Apart, ..REPEATED }),
    ("on-failure, locks refused", Setting { locks: Locks::Refused, ..REPEATED }),
    ("on-failure, locks sometimes refused", Setting { locks: Locks::SometimesRefused, ..REPEATED }),
    ("never, a silent watch", Setting { watch: Watch::Silent, cleans: true, ..POD }),
    ("never, a lying watch", Setting { watch: Watch::Lies, ..POD }),
    ("never, a silent watch, locks apart", APART),
    ("never, a lying watch, locks apart", Setting { watch: Watch::Lies, ..APART }),
    ("on-failure, a silent watch", Setting { watch: Watch::Silent, ..REPEATED }),
    ("on-failure, a lying watch", Setting { watch: Watch::Lies, ..REPEATED }),
    ("never, a sentinel of an earlier Pod, run id", Setting { left: Left::Sentinel, run_id: true, ..POD }),
    ("never, a life of an earlier Pod, run id", Setting { left: Left::Life, run_id: true, ..POD }),
    ("never, both of an earlier Pod, run id", Setting { left: Left::Both, run_id: true, ..POD }),
    ("never, a sentinel of an earlier Pod, main first", Setting { left: Left::Sentinel, main_first: true, ..POD }),
    ("never, a life of an earlier Pod, main first", Setting { left: Left::Life, main_first: true, ..POD }),
    ("never, both of an earlier Pod, main first", Setting { left: Left::Both, main_first: true, ..POD }),
    ("never, a life of another boot", Setting { left: Left::LifeOfAnotherBoot, ..POD }),
    ("on-failure, a sentinel of an earlier Pod, run id", Setting { left: Left::Sentinel, run_id: true, ..REPEATED }),
    ("on-failure, both of an earlier Pod, run id", Setting { left: Left::Both, run_id: true, ..REPEATED }),
    ("on-failure, a life of an earlier Pod", Setting { left: Left::Life, ..REPEATED }),
    ("on-failure, a life of another boot", Setting { left: Left::LifeOfAnotherBoot, ..REPEATED }),
    ("on-failure, an attempt of an earlier Pod", Setting { left: Left::Attempt, ..REPEATED }),
    ("never, a child that is started again", Setting { restart: Restart::Always, ..POD }),
    ("on-failure, a child that is started again", Setting { restart: Restart::OnFailure, ..REPEATED }),
    ("never, until both of two", Setting { mains: Mains::All, ..POD }),
    ("never, until one of two", Setting { mains: Mains::Any, ..POD }),
    ("on-failure, until both of two", Setting { mains: Mains::All, ..REPEATED }),
    ("never, SIGTERM from somebody", TOLD),
    ("never, SIGTERM from somebody, which is held", Setting { outlives: true, ..TOLD }),
    ("on-failure, SIGTERM from somebody", Setting { restart_on: Codes::FAILURES, ..TOLD }),
    ("never, SIGTERM from somebody, a slow volume", Setting { slow: true, ..TOLD }),
    ("never, SIGTERM from somebody, locks apart, a silent watch", Setting { sent: &[TERM], ..APART }),
    ("never, SIGTERM from somebody, another stop signal", TOLD_OTHERWISE),
    ("never, SIGTERM from somebody, a child that is started again", Setting { restart: Restart::Always, ..TOLD }),
    ("never, SIGHUP from somebody, a child that is started again", RELOADED),
    ("never, SIGHUP from somebody, a slow volume, a child that is started again", Setting { slow: true, ..RELOADED }),
    ("never, a linger", Setting { lingers: true, ..POD }),
    ("never, a linger, SIGTERM from somebody", Setting { lingers: true, ..TOLD }),
    ("never, a linger, a child that is started again", Setting { lingers: true, restart: Restart::Always, ..POD }),
    ("on-failure, a linger", Setting { lingers: true, ..REPEATED }),
    ("never, an absence that is bounded", Setting { absence: true, ..POD }),
    ("on-failure, an absence that is bounded", Setting { absence: true, ..REPEATED }),
    ("never, an absence that is bounded, SIGTERM from somebody", Setting { absence: true, ..TOLD }),
    ("by a rule, an absence that is bounded", Setting { absence: true, ..RULED }),
    ("never, from the beginning again", ROUNDS),
    ("on-failure, from the beginning again", Setting { restart_on: Codes::FAILURES, ..ROUNDS }),
    ("never, from the beginning again, an absence that is bounded", Setting { absence: true, ..ROUNDS }),
    ("never, from the beginning again, until both of two", Setting { mains: Mains::All, ..ROUNDS }),
    ("never, until both of two, locks apart", Setting { mains: Mains::All, ..APART }),
    ("never, until one of two, locks apart", Setting { mains: Mains::Any, ..APART }),
    // What meets in the machine: two options in one state of it, or an option and a signal.
    ("never, a linger, SIGTERM, another stop signal", Setting { lingers: true, ..TOLD_OTHERWISE }),
    ("never, a linger, SIGHUP", Setting { lingers: true, sent: &[HUP], ..POD }),
    ("never, a linger, SIGTERM, which is held", Setting { lingers: true, outlives: true, ..TOLD }),
    ("never, a linger, SIGINT", Setting { lingers: true, ..CANCELLED }),
    ("never, a linger, an absence", Setting { lingers: true, absence: true, ..POD }),
    (
        "by a rule, a linger, the Pod is deleted, SIGTERM is held",
        Setting { lingers: true, deletes: true, outlives: true, ..RULED },
    ),
    ("never, SIGTERM, which is held, another stop signal", Setting { outlives: true, ..TOLD_OTHERWISE }),
    ("never, SIGTERM, which is held, an absence", Setting { outlives: true, absence: true, ..TOLD }),
    ("never, SIGTERM, which is held, started again", Setting { outlives: true, restart: Restart::Always, ..TOLD }),
    ("never, an absence, started again", Setting { absence: true, restart: Restart::Always, ..POD }),
    ("never, an absence, SIGTERM, another stop signal", Setting { absence: true, ..TOLD_OTHERWISE }),
    ("never, started again, SIGTERM, another stop signal", Setting { restart: Restart::Always, ..TOLD_OTHERWISE }),
    ("never, started again, SIGINT", Setting { restart: Restart::Always, ..CANCELLED }),
    ("never, started again where there is no room, SIGHUP", Setting { crowded: true, ..RELOADED }),
];

/// The same for a run at full length: what is large, and what can find no fault of the machine that a smaller Pod does not find,
/// for two sidecars share nothing but the volume, and a round gives a machine nothing but a fresh beginning. Left out: two
/// sidecars of two mains, and two sidecars under on-failure, each of which has millions of states.
pub const LARGE: &[(&str, Setting)] = &[
    ("never, two sidecars", Setting { sidecars: 2, main_first: true, ..POD }),
    ("never, SIGTERM twice, which is held", Setting { outlives: true, ..TWICE }),
    ("never, SIGINT and SIGTERM, which is held", Setting { outlives: true, sent: &[INT, TERM], ..POD }),
    ("never, started again, SIGHUP and SIGTERM", Setting { sent: &[HUP, TERM], ..RELOADED }),
    ("on-failure, until one of two", Setting { mains: Mains::Any, ..REPEATED }),
    ("never, from the beginning again, SIGTERM, a slow volume", Setting { slow: true, ..TOLD_AND_ROUNDS }),
    ("never, from the beginning again, SIGTERM, another stop signal", Setting { stop_signal: INT, ..TOLD_AND_ROUNDS }),
    (
        "by a rule, all options of a sidecar, SIGTERM",
        Setting {
            restart_on: Codes::NONE.with(3),
            outlives: true,
            absence: true,
            restart: Restart::Always,
            ..LINGERS_TOLD
        },
    ),
    (
        "never, two sidecars, a linger, an absence",
        Setting { sidecars: 2, main_first: true, lingers: true, absence: true, ..POD },
    ),
    ("never, two sidecars, the Pod is deleted", Setting { sidecars: 2, main_first: true, deletes: true, ..POD }),
    ("never, two sidecars, a lying watch", Setting { sidecars: 2, main_first: true, watch: Watch::Lies, ..POD }),
];
