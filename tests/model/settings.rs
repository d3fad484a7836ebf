//! The Pods that are worth telling apart, and the mistakes that are planted in them.

use super::policies::TERM;
use exeunt::machine::{Codes, Restart};

/// What the Pod is like, and what is wrong with it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The codes after which the kubelet starts a container again.
    pub restart_on: Codes,
    /// `--outlive-main`.
    pub outlives: bool,
    /// `--run-id`.
    pub run_id: bool,
    /// What an earlier run has left on the volume.
    pub left: Left,
    pub locks: Locks,
    pub watch: Watch,
    pub mains: Mains,
    pub sidecars: usize,
    /// `--restart` of the sidecars.
    pub restart: Restart,
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
    /// `--linger` of the sidecars.
    pub lingers: bool,
    /// `--absence-timeout` of the sidecars.
    pub absence: bool,
    /// `--stop-signal` of the sidecars. Where it is not SIGTERM, their children take no notice of that.
    pub stop_signal: u8,
    /// What somebody sends, each once, at any moment and in any order, to one who is up: SIGTERM to anybody, all else to a
    /// sidecar.
    pub sent: &'static [u8],
    /// There is not always room for the next child of a sidecar.
    pub crowded: bool,
    /// The volume answers late: the driver of a sidecar goes on while it looks.
    pub slow: bool,
    /// The kubelet may start all containers anew, again and again.
    pub rounds: bool,
    pub fault: Fault,
}

listed! {
    /// What an earlier Pod has left on a volume that outlives it, under the same name.
    Left {
        Nothing,
        Sentinel,
        /// `-running`, of a main that was killed.
        Life,
        /// The same, and the node has been started anew since, or the volume is on another one.
        LifeOfAnotherBoot,
        /// `-running`, with how an attempt failed.
        Attempt,
        /// Both files: a life that began by hand, or in a shell, beside a sentinel.
        Both,
    }
}

listed! {
    /// What the containers see of each other's locks.
    Locks {
        /// One kernel, one volume: everything.
        Shared,
        /// Everything, but the records do not show that it is one place (a network file system that carries locks).
        Elsewhere,
        /// Nothing: every lock of another container looks free.
        Apart,
        /// They cannot be asked for.
        Refused,
        /// Asking for one fails now and then.
        SometimesRefused,
    }
}

impl Locks {
    pub fn are_in_one_place(self) -> bool {
        !matches!(self, Locks::Elsewhere | Locks::Apart)
    }
}

listed! {
    /// What the watch says.
    Watch {
        /// Whatever happens.
        Rings,
        /// Nothing, ever.
        Silent,
        /// Whatever happens, and what does not.
        Lies,
    }
}

listed! {
    /// Whom the sidecars wait for.
    Mains {
        One,
        /// `--until main,second-main`.
        All,
        /// The same with `--until-any`.
        Any,
    }
}

impl Mains {
    pub fn count(self) -> usize {
        if self == Mains::One { 1 } else { 2 }
    }
}

listed! {
    /// A mistake in one of the steps, as a negative control.
    Fault {
        None,
        /// The sentinel is looked for first, and not once more after the lock was found free.
        NoSecondLook,
        /// There is a second look, but each goes to the sentinel first and to the life then.
        LooksInTheOtherOrder,
        /// A free lock is believed everywhere.
        BelievesEveryLock,
        /// A lock that cannot be asked for counts as free. It was so.
        TakesAnErrorForAFreeLock,
        /// A lock that was seen held is not believed afterwards either.
        NeverBelievesALock,
        /// The restart policy in the record is not read.
        ForgetsThePolicy,
        /// Whoever has left no code is taken for one whose failures are repeated as any other's.
        TakesEveryEndForRepeated,
        /// A death counts as it is noticed, although the job may have ended before.
        JudgesADeathAtOnce,
        /// The lock is released before the rename.
        ReleasesFirst,
        /// The life is moved into place before it is locked.
        LocksLate,
        /// A claim leaves the sentinel of an earlier life where it is.
        LeavesTheOldSentinel,
        /// No slow look: only what the watch reports.
        OnlyTheWatch,
        /// Each event begins the look anew.
        BeginsAnewAtEachEvent,
        /// An event is taken for the end.
        TakesAnEventForTheEnd,
        /// The run id of the sentinel is not compared.
        ForgetsTheRunId,
        /// Of several names, only the first is looked at.
        LooksAtTheFirstNameOnly,
        /// Nobody is looked at between two lives of the child.
        LooksAwayInTheBackOff,
        /// A life that is gone from the directory is forgotten.
        ForgetsTheLost,
        /// A record that says "for good" is not believed without a sentinel.
        ForgetsTheLastWord,
        /// The same of a signal.
        JudgesASignalAtOnce,
        /// The same of a time that is up.
        JudgesATimeAtOnce,
        /// Of what has been noticed together, the time that is up is acted on first.
        TimeBeforeSignals,
        /// What comes before the command runs, or between two lives of it, is forgotten.
        DropsAnEarlySignal,
        /// What comes before the command runs waits for a look. It was so, on a volume that answers late.
        HoldsAnEarlySignal,
        /// What was kept between two lives of the child is forgotten as the next is started.
        LosesWhatIsKept,
        /// What comes once the child is dead, and before that is acted on, is sent to the dead. It was so.
        LosesWhatComesAtADeath,
        /// Whoever was sent SIGTERM is not sent the stop signal any more. It was so.
        TakesSigtermForTheOrder,
        /// Whoever lingers takes SIGTERM for the stop signal, which is another.
        TakesSigtermForTheOrderInALinger,
        /// A signal that asks nobody to end ends the linger, and nothing follows.
        RunsOnAfterALinger,
        /// Whoever was told to end lingers all the same, if that was held back.
        LingersThoughTold,
        /// The same where an attempt has failed.
        LingersForAnAttempt,
        /// Whoever was asked to cancel does not linger.
        StopsACancelledOneAtOnce,
        /// Whoever lingers does so for a job that is not there, too.
        LingersForTheMissing,
        /// A SIGTERM that was held back is taken for the stop signal, which is another.
        TakesWhatWasHeldForTheOrder,
        /// A second SIGTERM is held back as well.
        HoldsTheSecondToo,
        /// A SIGTERM that follows SIGINT is taken for the second. It was so.
        TakesACancelForTheFirst,
        /// A job that is not there is waited for while SIGTERM is held back.
        HoldsForTheMissing,
        /// A child that ends while SIGTERM is held back is started again.
        StartsAgainWhileHolding,
        /// Between two lives of the child, a job that is not there is taken for one that was killed.
        TakesTheMissingForTheLost,
        /// Whoever was sent SIGTERM is not sent the stop signal when the job is missing.
        MissesWithoutTheOrder,
        /// Whoever was told to end and had to be killed for a job that is missing leaves with 137. It was so.
        LetsTheKillDecide,
        /// Between two lives of the child, SIGTERM is kept for the next where the stop signal is another.
        KeepsSigtermForTheNext,
        /// The same where something else has been kept.
        KeepsAllWithWhatIsKept,
        /// Whoever was asked to cancel, and ends, is started again.
        TakesACancelForNothing,
        /// Where there is no room for the next child, what is kept for it is forgotten.
        LosesWhatIsKeptInACrowd,
        /// Whoever lingers goes on looking, and forgets how long when he sees the end once more.
        ForgetsTheLinger,
        /// The absence of the job is counted while it is there.
        CountsWhileItIsThere,
        /// An attempt that came and went between two looks does not end the absence. It was so.
        ForgetsThatItCame,
        /// All containers begin anew, and nobody resets the volume.
        ForgetsTheReset,
        /// A reset leaves the sentinel.
        ResetsTheLifeAlone,
        /// A reset removes the files of those that live, too.
        ResetsTheLiving,
        /// A reset lets names be taken meanwhile.
        ResetsOutOfTurn,
    }
}

pub const POD: Setting = Setting {
    restart_on: Codes::NONE,
    outlives: false,
    run_id: false,
    left: Left::Nothing,
    locks: Locks::Shared,
    watch: Watch::Rings,
    mains: Mains::One,
    sidecars: 1,
    restart: Restart::Never,
    main_first: false,
    deletes: false,
    cleans: false,
    refuses: false,
    unwritable: false,
    repeats_in_vain: false,
    lingers: false,
    absence: false,
    stop_signal: TERM,
    sent: &[],
    crowded: false,
    slow: false,
    rounds: false,
    fault: Fault::None,
};
