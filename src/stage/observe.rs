//! To look at others: what was seen, and what is concluded from it.
//!
//! The order of the looks is the whole point. The rename of the sentinel comes before the release of the lock, so whoever
//! finds the lock free, or `-running` gone, looks for the sentinel once more before saying anything
//! (`tests/model.rs`, "main and sidecar and volume", shows the three steps that go wrong otherwise).

use super::record::{Record, boot_id};
use super::{Directory, Identity, Lock, identity, ready, running, terminated};
use crate::machine::{Status, Verdict};
use nix::errno::Errno;
use std::fs::File;

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

/// Observes one name. Keeps `-running` open, so that an idle look opens nothing: opening a file makes an event for every
/// other observer.
#[derive(Debug)]
pub struct Observer {
    name: String,
    run_id: Option<String>,
    boot_id: String,
    held: Option<Held>,
    /// Why `-running` cannot be opened, although it is there.
    pub closed: Option<Errno>,
    /// What the last look concluded.
    pub conclusion: Conclusion,
}

#[derive(Debug)]
struct Held {
    file: File,
    identity: Identity,
    seen_locked: bool,
    record: Option<Record>,
}

impl Observer {
    /// An observer of `name`. With a run id, only records that carry it count.
    pub fn new(name: &str, run_id: Option<&str>) -> Observer {
        Observer {
            name: name.to_owned(),
            run_id: run_id.map(str::to_owned),
            boot_id: boot_id(),
            held: None,
            closed: None,
            conclusion: Conclusion::NotStarted,
        }
    }

    /// Whose life is observed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The record of `-running` at the last look.
    pub fn record(&self) -> Option<&Record> {
        self.held.as_ref().and_then(|held| held.record.as_ref())
    }

    /// The run of the life under this name that is another's and goes on, if one does.
    pub fn stranger(&self) -> Option<&str> {
        let held = self.held.as_ref().filter(|held| Lock::of(&held.file) == Lock::Held)?;
        let run = held.record.as_ref()?.run_id.as_deref()?;
        (Some(run) != self.run_id.as_deref()).then_some(run)
    }

    /// Looks.
    pub fn look(&mut self, dir: &Directory) -> Conclusion {
        let mut seen = self.sight(dir);
        // Nothing, or a free lock: before that is believed, a second look. The next attempt may have taken the name
        // between the two questions of the first.
        if seen.terminated.is_none() && !seen.running.is_some_and(|running| running.locked) {
            seen = self.sight(dir);
        }
        self.conclusion = conclude(seen);
        self.conclusion
    }

    /// Whether it is ready to serve: the mark is there, and its owner lives.
    pub fn is_ready(&mut self, dir: &Directory) -> bool {
        self.look(dir) == Conclusion::Running
            && dir.open_file(&ready(&self.name)).is_some_and(|file| {
                self.run_id.is_none() || Record::read(&file).is_some_and(|record| self.counts(&record))
            })
    }

    /// The life first, the sentinel after it: a free lock, or a life that is gone, is so because of a rename that came
    /// before, and the question that comes after sees it.
    fn sight(&mut self, dir: &Directory) -> Sighting {
        let running = self.sight_running(dir);
        let terminated = self.sight_terminated(dir);
        Sighting { terminated, running }
    }

    fn sight_terminated(&self, dir: &Directory) -> Option<Option<Status>> {
        let sentinel = terminated(&self.name);
        // The existence is the fact, whatever it is: `touch` counts.
        dir.stat(&sentinel)?;
        let record = dir.open_file(&sentinel).as_ref().and_then(Record::read);
        if self.run_id.is_some() {
            let record = record.filter(|record| self.counts(record))?;
            return Some(record.status());
        }
        Some(record.and_then(|record| record.status()))
    }

    fn sight_running(&mut self, dir: &Directory) -> Option<Running> {
        let current = running(&self.name);
        let there = dir.stat(&current).map(|stat| identity(&stat));
        // A life that was seen and is gone from the directory (the job has emptied it, or removed it) can still be told by
        // its lock, which is on the inode.
        // And whoever puts another file in its place ends nobody: as long as its own lock is held, it lives.
        let stays = self.held.as_ref().is_some_and(|held| {
            held.seen_locked && (there.is_none() || Some(held.identity) == there || Lock::of(&held.file) == Lock::Held)
        });
        if !stays && (there.is_none() || self.held.as_ref().map(|held| held.identity) != there) {
            let opened = if there.is_some() { dir.try_open_file(&current) } else { Ok(None) };
            self.closed = opened.as_ref().err().copied();
            self.held = opened.ok().flatten().and_then(|file| {
                let identity = identity(&nix::sys::stat::fstat(&file).ok()?);
                let record = Record::read(&file);
                Some(Held { file, identity, seen_locked: false, record })
            });
        }
        if self.closed.is_some() && self.held.is_none() {
            // There, and nothing can be told of it: neither its lock nor whose run it is.
            return Some(Running::default());
        }
        let run_id = self.run_id.clone();
        let held = self.held.as_mut()?;
        let lock = Lock::of(&held.file);
        let locked = lock == Lock::Held;
        held.seen_locked |= locked;
        if !locked {
            // It may have been rewritten in place at the end of an attempt.
            held.record = Record::read(&held.file);
        }
        let record = held.record.as_ref();
        if run_id.is_some() && record.and_then(|record| record.run_id.as_deref()) != run_id.as_deref() {
            return None;
        }
        let same_place = record.is_some_and(|record| {
            !record.boot_id.is_empty()
                && record.boot_id == self.boot_id
                && (record.device, record.inode) == held.identity
        });
        Some(Running {
            locked,
            lock_proves: lock != Lock::Unknown && (same_place || held.seen_locked),
            ended: record.and_then(Record::status),
            repeated: record.is_some_and(Record::is_repeated),
        })
    }

    fn counts(&self, record: &Record) -> bool {
        self.run_id.is_none() || record.run_id == self.run_id
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
            Conclusion::NotStarted | Conclusion::Running | Conclusion::Unproven => open = Some(conclusion),
        }
    }
    match (open, paused, worst_of_over) {
        (Some(open), _, _) => open,
        (None, Some(paused), _) => paused,
        (None, None, Some(verdict)) => Conclusion::Over(verdict),
        (None, None, None) => Conclusion::NotStarted,
    }
}
