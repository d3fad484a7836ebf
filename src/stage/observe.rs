//! To look at others. What is concluded from what was seen is said in `conclude.rs`.
//!
//! The order of the looks is the whole point. The rename of the sentinel comes before the release of the lock, so whoever
//! finds the lock free, or `-running` gone, looks for the sentinel once more before saying anything
//! (`tests/model.rs`, "main and sidecar and volume", shows the three steps that go wrong otherwise).

use super::conclude::{Conclusion, Running, Sighting, conclude};
use super::directory::facts;
use super::file::boot_id;
use super::record::Record;
use super::{Directory, Identity, Lock, identity, ready, running, terminated};
use crate::machine::Status;
use nix::errno::Errno;
use std::fs::File;

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
    /// How many lives have been seen.
    pub lives: u32,
    /// What the last look concluded.
    pub conclusion: Conclusion,
}

#[derive(Debug)]
struct Held {
    file: File,
    identity: Identity,
    seen_locked: bool,
    /// It has been opened for an alarm.
    alarmed: bool,
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
            lives: 0,
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

    /// A second opening of the life that lives, for an alarm that waits for its lock. Once for each life.
    pub fn open_for_an_alarm(&mut self, dir: &Directory) -> Option<File> {
        let held = self.held.as_mut().filter(|held| held.seen_locked && !held.alarmed)?;
        held.alarmed = true;
        let file = dir.open_file(&running(&self.name))?;
        let same = facts(&file).is_ok_and(|stat| identity(&stat) == held.identity);
        same.then_some(file)
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
        let terminated = self.sight_terminated(dir, running.is_some_and(|running| !running.locked));
        Sighting { terminated, running }
    }

    /// `read`: the life that is held open has been read since its lock was found free.
    fn sight_terminated(&self, dir: &Directory, read: bool) -> Option<Option<Status>> {
        let sentinel = terminated(&self.name);
        // The existence is the fact, whatever it is: `touch` counts.
        let there = identity(&dir.stat(&sentinel)?);
        let opened;
        // The end of the life that is held open is that same file, renamed: somebody waits for what it says.
        let record = match self.held.as_ref().filter(|held| read && held.identity == there) {
            Some(held) => held.record.as_ref(),
            None => {
                opened = dir.open_file(&sentinel).as_ref().and_then(Record::read);
                opened.as_ref()
            }
        };
        if self.run_id.is_some() {
            return Some(record.filter(|record| self.counts(record))?.status());
        }
        Some(record.and_then(Record::status))
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
                let identity = identity(&facts(&file).ok()?);
                let record = Record::read(&file);
                self.lives = self.lives.wrapping_add(1);
                Some(Held { file, identity, seen_locked: false, alarmed: false, record })
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
