//! To be on stage: take the name, say "ready", and leave in a way that works on a full disk.

use super::directory::facts;
use super::record::Record;
use super::{Directory, Lock, identity, names, ready, running, stat, terminated};
use crate::machine::{Codes, Status};
use crate::words;
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fchmod, mknodat};
use std::fs::{File, TryLockError};
use std::path::Path;

/// One life, from `NAME-running` to `NAME-terminated`. The lock goes when this goes.
#[derive(Debug)]
pub struct Life {
    name: String,
    file: File,
    record: Record,
    ready: bool,
    /// The attempt before it failed.
    after_failure: bool,
}

/// What came of an attempt to take a name.
#[derive(Debug)]
pub enum Claim {
    /// It is ours.
    Taken(Box<Life>),
    /// Another live process holds it.
    Held,
    /// Somebody is taking a name in this directory at this very moment.
    Contested,
}

/// Whether those who take a name at the same moment do it one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// They do: the directory is locked meanwhile.
    Awaited,
    /// Somebody holds that lock for too long for this to be about names.
    Foregone,
}

/// Whoever starts later reads it as "the sidecar often runs as another user".
const READABLE: Mode = Mode::from_bits_truncate(0o644);

impl Life {
    /// Tries to take `name`. Never waits: if it is not to be had now, the caller tries again.
    ///
    /// # Errors
    /// One line that names the file, if the directory cannot be written.
    pub fn claim(dir: &Directory, name: &str, run_id: Option<&str>, restart_on: Codes, turn: Turn) -> Result<Claim> {
        // One at a time, for the few microseconds that this takes: two that start at once would both find the old file
        // free, and the slower would wipe out the faster one's marks. Some file systems lock no directories, and somebody
        // else may hold that lock for reasons of his own; there the lock of the life itself has to do.
        let turn = match turn {
            Turn::Awaited => {
                let lock = dir.fd.try_clone().ok().map(File::from);
                if matches!(lock.as_ref().map(File::try_lock), Some(Err(TryLockError::WouldBlock))) {
                    return Ok(Claim::Contested);
                }
                lock
            }
            Turn::Foregone => None,
        };
        let life = Life::claim_in_turn(dir, name, run_id, restart_on);
        // The clone shares the lock with the directory that stays open.
        if let Some(lock) = turn {
            let _ = lock.unlock();
        }
        life
    }

    fn claim_in_turn(dir: &Directory, name: &str, run_id: Option<&str>, restart_on: Codes) -> Result<Claim> {
        let current = running(name);
        let before = dir.open_file(&current);
        if before.as_ref().map(Lock::of) == Some(Lock::Held) {
            return Ok(Claim::Held);
        }
        let earlier = before
            .as_ref()
            .and_then(Record::read)
            .or_else(|| dir.open_file(&terminated(name)).as_ref().and_then(Record::read))
            .filter(|record| run_id.is_none() || record.run_id.as_deref() == run_id);
        let attempt = earlier.as_ref().map_or(1, |record| record.attempt.saturating_add(1));
        let after_failure = earlier.is_some_and(|record| record.exit_code != Some(0));

        let temporary = names::temporary(&current);
        let file = open_new(dir, &temporary).map_err(|error| cannot_write(dir, &temporary, error))?;
        let record = Record::new(name, run_id, attempt, restart_on);
        let mut life = Life { name: name.to_owned(), file, record, ready: false, after_failure };
        match life.enter(dir, &temporary, &current) {
            Ok(()) => Ok(Claim::Taken(Box::new(life))),
            // Somebody who had no turn either has removed it, taking it for a remnant.
            Err(error) if error.downcast_ref() == Some(&Errno::ENOENT) && dir.is_current() => Ok(Claim::Contested),
            Err(error) => {
                let _ = dir.remove(&temporary);
                Err(error)
            }
        }
    }

    /// Locks the file, writes the record and only then moves it into place: nobody ever sees it unlocked.
    fn enter(&mut self, dir: &Directory, temporary: &str, current: &str) -> Result<()> {
        self.file.try_lock().with_context(|| {
            let path = dir.path_of(temporary);
            format!(
                "{path} cannot be locked; the shared directory must be on a file system that knows flock(2), and the seccomp \
                 profile must allow it"
            )
        })?;
        let place = facts(&self.file).map_err(|error| cannot_write(dir, temporary, error))?;
        (self.record.device, self.record.inode) = identity(&place);
        self.record.write(&self.file).map_err(|error| cannot_write(dir, temporary, error))?;
        // The marks of an earlier life go before the new one is seen: a stale "ready" would count once the new lock is
        // held, and a stale sentinel would end the sidecars.
        for stale in [ready(&self.name), terminated(&self.name)] {
            dir.remove(&stale).map_err(|error| cannot_write(dir, &stale, error))?;
        }
        renameat(&dir.fd, temporary, &dir.fd, current).map_err(|error| cannot_write(dir, current, error))
    }

    /// Which attempt this is (1 + that of the record that was there before), if the one before it failed.
    pub fn attempt_after_failure(&self) -> Option<u32> {
        self.after_failure.then_some(self.record.attempt)
    }

    /// Publishes `NAME-ready`.
    ///
    /// # Errors
    /// One line that names the file.
    pub fn publish_ready(&mut self, dir: &Directory) -> Result<()> {
        // A file of its own, although a second name of NAME-running's would be cheaper by 12 µs: whoever writes into the
        // mark would write into the record.
        self.create(dir, &ready(&self.name))?;
        self.ready = true;
        Ok(())
    }

    /// Takes `NAME-ready` back.
    pub fn withdraw_ready(&mut self, dir: &Directory) {
        if self.ready {
            let _ = dir.remove(&ready(&self.name));
            self.ready = false;
        }
    }

    /// Writes how it ended: for good, under the sentinel's name; otherwise in place, and the lock is let go of.
    ///
    /// # Errors
    /// One line that names the file. The lock goes in any case, and tells the others.
    pub fn end(mut self, dir: &Directory, status: Status, last: bool) -> Result<()> {
        self.record.end(status, last);
        if !last {
            self.withdraw_ready(dir);
            return self.record.write(&self.file).map_err(|error| cannot_write(dir, &running(&self.name), error));
        }
        let published = self.publish_end(dir);
        // After the sentinel, which somebody waits for. Who is over is not ready, whatever mark there is.
        self.withdraw_ready(dir);
        published
    }

    fn publish_end(&mut self, dir: &Directory) -> Result<()> {
        // If there is no room for it, the record stays as it was, and the sentinel without an exit code.
        let _ = self.record.write(&self.file);
        let (current, sentinel) = (running(&self.name), terminated(&self.name));
        // Whoever has come since the path leads elsewhere waits there.
        let elsewhere = if dir.is_current() { None } else { Some(dir.reopen()) };
        if self.is_at(dir, &current) && renameat(&dir.fd, current.as_str(), &dir.fd, sentinel.as_str()).is_ok() {
            if let Some(Ok(new)) = elsewhere {
                let _ = self.create_elsewhere(&new, &sentinel);
            }
            return Ok(());
        }
        // The job has cleaned the directory, or put something else in our place. On a full disk the mark's room is wanted.
        self.withdraw_ready(dir);
        let created = self.create(dir, &sentinel);
        match elsewhere {
            // The directory itself has been made anew.
            Some(new) if created.is_err() => self.create_elsewhere(&new?, &sentinel),
            Some(Ok(new)) => self.create_elsewhere(&new, &sentinel).or(Ok(())),
            _ => created,
        }
    }

    /// Whether our file stands under this name.
    fn is_at(&self, dir: &Directory, name: &str) -> bool {
        identity_of(&self.file) == dir.stat(name).map(|stat| identity(&stat))
    }

    /// In a directory that has come in the place of ours, unless somebody may live there under our name: he speaks for himself.
    fn create_elsewhere(&self, dir: &Directory, sentinel: &str) -> Result<()> {
        let current = running(&self.name);
        // What is no file there is nobody's life.
        let life = dir.try_open_file(&current).map_err(|error| cannot_write(dir, sentinel, error))?;
        if life.is_some_and(|life| Lock::of(&life) != Lock::Free) {
            return Err(may_live(dir, sentinel, &current));
        }
        self.create(dir, sentinel)
    }

    /// Writes the record into a new file, which appears complete or not at all.
    fn create(&self, dir: &Directory, name: &str) -> Result<()> {
        let temporary = names::temporary(name);
        let created = open_new(dir, &temporary)
            .map_err(anyhow::Error::from)
            .and_then(|file| Ok(self.record.write(&file)?))
            .and_then(|()| Ok(renameat(&dir.fd, temporary.as_str(), &dir.fd, name)?));
        if created.is_err() {
            let _ = dir.remove(&temporary);
        }
        created.map_err(|error| cannot_write(dir, name, error))
    }
}

/// Why an end is not told.
fn may_live(dir: &Directory, sentinel: &str, current: &str) -> anyhow::Error {
    anyhow::anyhow!("{} is not made: {} is there, and may live", dir.path_of(sentinel), dir.path_of(current))
}

/// Makes an empty sentinel for a name that could not be claimed, although nobody holds it: a full volume has room for an
/// empty file, and one without locks for any. Its existence is the fact, "over, code unknown". Nothing is made where that
/// could be untrue: a life stands there of which it cannot be told whether it is over.
///
/// # Errors
/// One line that names the file.
pub fn publish_bare(dir: &Directory, name: &str) -> Result<()> {
    let (current, sentinel) = (running(name), terminated(name));
    let life = dir.try_open_file(&current).map_err(|error| cannot_write(dir, &sentinel, error))?;
    if dir.has(&current) && life.as_ref().map(Lock::of) != Some(Lock::Free) {
        return Err(may_live(dir, &sentinel, &current));
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(&dir.fd, sentinel.as_str(), flags, READABLE) {
        // Whatever the umask; where it cannot be, its existence is enough.
        Ok(file) => {
            let _ = fchmod(&file, READABLE);
            Ok(())
        }
        // An earlier end: it counts as well.
        Err(Errno::EEXIST) => Ok(()),
        // No descriptor is left to open it with, and it need not be open.
        Err(Errno::EMFILE | Errno::ENFILE) => mknodat(&dir.fd, sentinel.as_str(), SFlag::S_IFREG, READABLE, 0)
            .map_err(|errno| cannot_write(dir, &sentinel, errno)),
        Err(errno) => Err(cannot_write(dir, &sentinel, errno)),
    }
}

/// The same for a directory that cannot be opened, by its path alone: no descriptor is needed, and none of the calls that open
/// one. Whether a life that is there lives cannot be told so; then nothing is made.
///
/// # Errors
/// What stands in the way.
pub fn publish_bare_unopened(dir: &Path, name: &str) -> Result<(), Errno> {
    match stat(&dir.join(running(name))) {
        Ok(_) => return Err(Errno::EEXIST),
        Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    mknodat(AT_FDCWD, &dir.join(terminated(name)), SFlag::S_IFREG, READABLE, 0)
}

fn identity_of(file: &File) -> Option<super::Identity> {
    facts(file).ok().map(|stat| identity(&stat))
}

fn cannot_write(dir: &Directory, name: &str, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let why = match words::number(&error) {
        Some(Errno::EROFS) => "it is mounted read-only here: take readOnly out of the volumeMounts of this container",
        Some(Errno::ENOSPC | Errno::EDQUOT) => "the volume is full, or a quota is used up",
        Some(Errno::EFBIG) => "the limit of file sizes (ulimit -f) leaves no room for the 2 KiB of a record",
        Some(Errno::EISDIR) => "a directory has that name, and it is none of exeunt's: remove it",
        Some(Errno::EACCES | Errno::EPERM) if dir.is_another_users(name) => {
            "another user has left it, in a directory where each may remove his own files alone (the sticky bit): remove it, or give \
             exeunt a directory of its own"
        }
        Some(Errno::EACCES) => {
            "this user may not write there: set fsGroup in the securityContext of the Pod, or the mode of the directory"
        }
        Some(Errno::EPERM) => {
            "either this user may not write there (fsGroup in the securityContext of the Pod), or the seccomp profile refuses \
             the call"
        }
        Some(Errno::ENOSYS) => "the seccomp profile, or the file system, refuses the call",
        _ => "the shared directory must be writable here",
    };
    error.context(format!("{} cannot be written; {why}", dir.path_of(name)))
}

/// A new file for us alone. One that stands there already was left by somebody who was killed before he renamed it.
fn open_new(dir: &Directory, name: &str) -> Result<File, Errno> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = || openat(&dir.fd, name, flags, READABLE);
    let opened = match open() {
        Err(Errno::EEXIST) => {
            dir.remove(name)?;
            open()
        }
        opened => opened,
    };
    let file = File::from(opened?);
    // Whatever the umask. A volume without modes (vfat, CIFS, a bucket) refuses it to whoever is not the user that it was
    // mounted for, and who can read there can.
    let _ = fchmod(&file, READABLE);
    Ok(file)
}
