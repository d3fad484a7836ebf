//! The watch on the shared directory. It only ever says "look now": what has happened is found by looking.

use super::{ready, running, terminated};
use crate::sys::descriptors::{self, Adrift};
use anyhow::{Result, bail};
use nix::sys::eventfd::{EfdFlags, EventFd};
use notify::event::{AccessKind, AccessMode};
use notify::{Config, EventHandler, EventKind, EventKindMask, INotifyWatcher, RecursiveMode, Watcher};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A bell that a watch rings and the one loop waits for.
#[derive(Clone, Debug)]
pub struct Bell {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    eventfd: EventFd,
    /// Something may have changed in the directory.
    changed: AtomicBool,
    /// A process that held `-running` open has closed it; its lock goes a moment later.
    closed: AtomicBool,
}

/// What a bell was rung for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rung {
    /// Look now.
    pub changed: bool,
    /// And again in a moment, for the kernel drops the lock after the close.
    pub closed: bool,
}

impl Bell {
    /// A bell.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn new() -> Result<Bell> {
        let eventfd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let shared = Shared { eventfd, changed: AtomicBool::new(false), closed: AtomicBool::new(false) };
        Ok(Bell { shared: Arc::new(shared) })
    }

    /// What to wait for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.shared.eventfd.as_fd()
    }

    /// Silences the bell. What comes after that rings it anew.
    pub fn answer(&self) -> Rung {
        let _ = self.shared.eventfd.read();
        Rung { changed: self.shared.changed.swap(false, SeqCst), closed: self.shared.closed.swap(false, SeqCst) }
    }

    /// Rings it: look now. One that has been rung for that and not answered yet rings already.
    pub fn ring(&self) {
        if !self.shared.changed.swap(true, SeqCst) {
            self.wake();
        }
    }

    /// Wakes whoever waits for it, for a reason that he knows.
    pub fn wake(&self) {
        // The counter cannot overflow in a lifetime, and if it did, the bell would be ringing already.
        let _ = self.shared.eventfd.write(1);
    }
}

/// A watch that is in force until it is dropped. The kernel takes 5 to 15 ms to tear it down, in a thread of its own.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<INotifyWatcher>,
    end: Arc<End>,
}

/// What is to be known of the end of notify's thread.
#[derive(Debug, Default)]
struct End {
    /// It has ended, or never began.
    dead: AtomicBool,
    /// What is left to the kernel when it ends.
    adrift: Mutex<Option<Adrift>>,
}

/// What is left of a watch that was given up.
#[derive(Debug)]
pub struct Remains(Arc<End>);

impl Remains {
    /// Whether there are none: its descriptors can be another's.
    pub fn are_gone(&self) -> bool {
        self.0.dead.load(SeqCst)
    }
}

/// A file name that matters, and how.
pub type Matter = (OsString, Meaning);

/// What a change of a file can mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is a life: its being closed is a sign of a death.
    Life,
    /// Anything else.
    Other,
}

impl Watch {
    /// The files of these names' lives. Not `NAME-ready`: it goes a moment before the sentinel comes, and whoever looked
    /// then would still be looking when there is something to see.
    pub fn files_of(names: &[String]) -> Vec<Matter> {
        let files = |name: &String| [(terminated(name), Meaning::Other), (running(name), Meaning::Life)];
        names.iter().flat_map(files).map(|(file, meaning)| (OsString::from(file), meaning)).collect()
    }

    /// The files that say whether a name is ready.
    pub fn files_of_ready(name: &str) -> Vec<Matter> {
        let mut files = Watch::files_of(&[name.to_owned()]);
        files.push((ready(name).into(), Meaning::Other));
        files
    }

    /// Watches `directory` for changes that concern `files`.
    ///
    /// # Errors
    /// If there is no inotify instance left (128 for each user of a node is a common limit, shared by all its
    /// containers), or none at all.
    pub fn set(directory: &Path, files: Vec<Matter>, bell: &Bell) -> Result<Watch> {
        descriptors::ask_whether_epoll_waits()?;
        let end = Arc::new(End::default());
        let directory_name = directory.as_os_str().to_owned();
        let ringer = Ringer { bell: bell.clone(), end: Arc::clone(&end), files, directory: directory_name };
        // Never "open": our own looks would answer themselves. Never "write": a job may write a million times.
        let kinds =
            EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME | EventKindMask::ACCESS_CLOSE;
        let watcher = INotifyWatcher::new(ringer, Config::default().with_event_kinds(kinds))?;
        let mut watch = Watch { watcher: Some(watcher), end };
        if watch.is_dead() {
            bail!("no thread can be started for the watch");
        }
        if let Some(watcher) = &mut watch.watcher {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        Ok(watch)
    }

    /// Whether the watch has come to its end, so that nothing will ring any more.
    pub fn is_dead(&self) -> bool {
        self.end.dead.load(SeqCst)
    }

    /// Gives it up for the sake of its descriptors, which its thread closes in a moment, and rings then.
    pub fn give_up(self) -> Remains {
        Remains(Arc::clone(&self.end))
    }

    /// Gives it up for good, for somebody who may leave at any moment. To drop it plainly has notify's thread wait in close(2)
    /// for the kernel, seconds on a busy node, and a process with a thread there cannot end.
    pub fn leave(self) {
        if let Ok(mut adrift) = self.end.adrift.lock() {
            *adrift = descriptors::leave_inotify_to_the_kernel();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.is_dead()
            && let Some(watcher) = self.watcher.take()
        {
            // Its thread has ended: its destructor would panic for want of somebody to tell.
            std::mem::forget(watcher);
        }
    }
}

/// Runs in notify's thread.
#[derive(Debug)]
struct Ringer {
    bell: Bell,
    end: Arc<End>,
    files: Vec<Matter>,
    directory: OsString,
}

impl EventHandler for Ringer {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        let Ok(event) = event else {
            // Whatever went wrong: looking is always right.
            self.bell.ring();
            return;
        };
        // An overflow of the queue has no path; the directory itself going has its own.
        let about = |path: &std::path::PathBuf| {
            if path.as_os_str() == self.directory {
                return Some(Meaning::Other);
            }
            let file = path.file_name()?;
            self.files.iter().find(|(name, _)| name == file).map(|(_, meaning)| *meaning)
        };
        let meaning = if event.paths.is_empty() { Some(Meaning::Other) } else { event.paths.iter().find_map(about) };
        let Some(meaning) = meaning else { return };
        if meaning == Meaning::Life && event.kind == EventKind::Access(AccessKind::Close(AccessMode::Write)) {
            self.bell.shared.closed.store(true, SeqCst);
        }
        self.bell.ring();
    }
}

impl Drop for Ringer {
    /// notify drops its handler when its thread ends, or never began: after it has closed its instance.
    fn drop(&mut self) {
        self.end.dead.store(true, SeqCst);
        self.bell.ring();
        if let Some(adrift) = self.end.adrift.lock().ok().and_then(|mut adrift| adrift.take()) {
            adrift.sink();
        }
    }
}
