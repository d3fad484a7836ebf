//! The Pods that are worth telling apart, and the mistakes that are planted in them.

use exeunt::machine::RestartPolicy;

/// What the Pod is like, and what is wrong with it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub restart_policy: RestartPolicy,
    /// `--outlive-main`.
    pub outlives: bool,
    /// `--run-id`.
    pub run_id: bool,
    /// What an earlier run has left on the volume.
    pub left: Left,
    /// Whether a lock that one container holds is seen by the others.
    pub shared_locks: bool,
    pub sidecars: usize,
    /// The sidecars are started only once the job is on stage.
    pub main_first: bool,
    /// The Pod may be deleted.
    pub deletes: bool,
    /// The job may empty the directory.
    pub cleans: bool,
    /// The volume may refuse the sentinel.
    pub refuses: bool,
    /// The volume may refuse the record of how it ended.
    pub unwritable: bool,
    /// The kubelet may start a main once more that was killed when it had written the end for good, but not yet left.
    pub repeats_in_vain: bool,
    pub fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Sentinel,
    Life,
}

/// A mistake in one of the steps, as a negative control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The sentinel is looked for first, and not once more after the lock was found free.
    NoSecondLook,
    /// There is a second look, but each goes to the sentinel first and to the life then.
    LooksInTheOtherOrder,
    /// A free lock is believed everywhere.
    BelievesEveryLock,
    /// The restart policy in the record is not read.
    ForgetsThePolicy,
    /// The lock is released before the rename.
    ReleasesFirst,
    /// The life is moved into place before it is locked.
    LocksLate,
    /// A claim leaves the sentinel of an earlier life where it is.
    LeavesTheOldSentinel,
    /// No slow look: only what the watch reports.
    OnlyTheWatch,
    /// A life that is gone from the directory is forgotten.
    ForgetsTheLost,
    /// A record that says "for good" is not believed without a sentinel.
    ForgetsTheLastWord,
}

pub const POD: Setting = Setting {
    restart_policy: RestartPolicy::Never,
    outlives: false,
    run_id: false,
    left: Left::Nothing,
    shared_locks: true,
    sidecars: 1,
    main_first: false,
    deletes: false,
    cleans: false,
    refuses: false,
    unwritable: false,
    repeats_in_vain: false,
    fault: Fault::None,
};
