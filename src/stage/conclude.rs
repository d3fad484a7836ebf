//! What is concluded from a look: the observer's table. No file is touched here.

use crate::machine::{Status, Verdict};

/// What one look at one name saw. Plain data: [`conclude`] decides, and a test tries every combination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sighting {
    /// The sentinel is there, with how the command ended if it says so.
    pub terminated: Option<Option<Status>>,
    /// `-running` is there, with what was seen of it.
    pub running: Option<Running>,
}

/// What was seen of `-running`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Running {
    /// Somebody holds its lock.
    pub locked: bool,
    /// A free lock is a fact: its record names this very inode and this very kernel, or the lock was seen held before.
    pub lock_proves: bool,
    /// The record says how the last attempt ended.
    pub ended: Option<Status>,
    /// The kubelet starts the container again after this end (137, if the record says none). A record that says "for good"
    /// is believed without its sentinel: only the rename has failed.
    pub repeated: bool,
}

/// What an observer concludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conclusion {
    /// Nothing of it is there.
    NotStarted,
    /// It lives.
    Running,
    /// Its lock is free where that proves nothing: rely on the sentinel.
    Unproven,
    /// An attempt has ended and the next is awaited.
    BetweenAttempts(Verdict),
    /// It is over.
    Over(Verdict),
}

/// The observer's table, row by row.
pub fn conclude(seen: Sighting) -> Conclusion {
    match (seen.terminated, seen.running) {
        (Some(Some(status)), _) => Conclusion::Over(Verdict::Told(status)),
        (Some(None), _) => Conclusion::Over(Verdict::Silent),
        (None, None) => Conclusion::NotStarted,
        (None, Some(Running { locked: true, .. })) => Conclusion::Running,
        (None, Some(Running { lock_proves: false, .. })) => Conclusion::Unproven,
        (None, Some(Running { ended, repeated, .. })) => {
            let verdict = ended.map_or(Verdict::Lost, Verdict::Told);
            if repeated { Conclusion::BetweenAttempts(verdict) } else { Conclusion::Over(verdict) }
        }
    }
}

/// Several names as one job: over when all of them are, or when one of them is.
pub fn together(conclusions: impl Iterator<Item = Conclusion>, any: bool) -> Conclusion {
    let mut worst_of_over: Option<Verdict> = None;
    let mut paused = None;
    let mut open = None;
    for conclusion in conclusions {
        match conclusion {
            Conclusion::Over(verdict) => {
                if any {
                    return conclusion;
                }
                // The first that failed is the one that counts.
                if worst_of_over.is_none_or(|worst| worst.code() == 0) {
                    worst_of_over = Some(verdict);
                }
            }
            Conclusion::BetweenAttempts(_) => paused = Some(conclusion),
            // Where one of them is there, or may be, the job is: that another has not come does not make it absent.
            Conclusion::NotStarted => open = open.or(Some(conclusion)),
            Conclusion::Running | Conclusion::Unproven => open = Some(conclusion),
        }
    }
    match (open, paused, worst_of_over) {
        (Some(open), _, _) => open,
        (None, Some(paused), _) => paused,
        (None, None, Some(verdict)) => Conclusion::Over(verdict),
        (None, None, None) => Conclusion::NotStarted,
    }
}
