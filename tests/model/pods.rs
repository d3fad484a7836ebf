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
pub const TOLD: Setting = Setting { sent: Some(TERM), ..POD };
/// Somebody sends SIGHUP to a sidecar that starts its child again.
pub const RELOADED: Setting = Setting { sent: Some(HUP), restart: Restart::Always, ..POD };
/// `RestartAllContainers`: once more from the beginning, on the same volume.
pub const ROUNDS: Setting = Setting { rounds: true, ..POD };

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
    ("never, two sidecars", Setting { sidecars: 2, main_first: true, ..POD }),
    ("never, a child that is started again", Setting { restart: Restart::Always, ..POD }),
    ("on-failure, a child that is started again", Setting { restart: Restart::OnFailure, ..REPEATED }),
    ("never, until both of two", Setting { mains: Mains::All, ..POD }),
    ("never, until one of two", Setting { mains: Mains::Any, ..POD }),
    ("on-failure, until both of two", Setting { mains: Mains::All, ..REPEATED }),
    ("never, SIGTERM from somebody", TOLD),
    ("never, SIGTERM from somebody, which is held", Setting { outlives: true, ..TOLD }),
    ("on-failure, SIGTERM from somebody", Setting { restart_on: Codes::FAILURES, ..TOLD }),
    ("never, SIGTERM from somebody, a slow volume", Setting { slow: true, ..TOLD }),
    ("never, SIGTERM from somebody, locks apart, a silent watch", Setting { sent: Some(TERM), ..APART }),
    ("never, SIGTERM from somebody, another stop signal", Setting { stop_signal: INT, ..TOLD }),
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
    ("never, once more from the beginning", ROUNDS),
    ("on-failure, once more from the beginning", Setting { restart_on: Codes::FAILURES, ..ROUNDS }),
    ("never, once more from the beginning, an absence that is bounded", Setting { absence: true, ..ROUNDS }),
    ("never, once more from the beginning, until both of two", Setting { mains: Mains::All, ..ROUNDS }),
    ("never, until both of two, locks apart", Setting { mains: Mains::All, ..APART }),
    ("never, until one of two, locks apart", Setting { mains: Mains::Any, ..APART }),
];

/// The same for a run at full length. Left out: two sidecars of two mains, and two sidecars under on-failure, each of which has
/// millions of states.
pub const LARGE: &[(&str, Setting)] = &[
    ("on-failure, until one of two", Setting { mains: Mains::Any, ..REPEATED }),
    ("never, two sidecars, the Pod is deleted", Setting { sidecars: 2, main_first: true, deletes: true, ..POD }),
    ("never, two sidecars, a lying watch", Setting { sidecars: 2, main_first: true, watch: Watch::Lies, ..POD }),
];
