//! The watch on the shared directory. It only ever says "look now": what has happened is found by looking.

use super::{ready, running, terminated};
use anyhow::Result;
use nix::sys::eventfd::{EfdFlags, EventFd};
use notify::event::{AccessKind, AccessMode};
use notify::{Config, EventHandler, EventKind, EventKindMask, INotifyWatcher, RecursiveMode, Watcher};
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// A bell that a watch rings and the one loop waits for.
#[derive(Clone, Debug)]
pub struct Bell {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    eventfd: EventFd,
    /// A process that held `-running` open has closed it; its lock goes a moment later.
    closed: AtomicBool,
    /// The watch is not served any more.
    dead: AtomicBool,
}

/// What the bell was rung for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rung {
    /// A close was among it: look again in a moment, for the kernel drops the lock after this event.
    pub closed: bool,
    /// The watch has come to its end.
    pub dead: bool,
}

impl Bell {
    /// A bell.
    ///
    /// # Errors
    /// If there is no descriptor left.
    pub fn new() -> Result<Bell> {
        let eventfd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let shared = Shared { eventfd, closed: AtomicBool::new(false), dead: AtomicBool::new(false) };
        Ok(Bell { shared: Arc::new(shared) })
    }

    /// What to wait for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.shared.eventfd.as_fd()
    }

    /// Silences the bell and tells what it was rung for. What comes after that rings it anew.
    pub fn answer(&self) -> Rung {
        let _ = self.shared.eventfd.read();
        Rung { closed: self.shared.closed.swap(false, SeqCst), dead: self.shared.dead.load(SeqCst) }
    }

    /// Rings it.
    pub fn ring(&self) {
        // The counter cannot overflow in a lifetime, and if it did, the bell would be ringing already.
        let _ = self.shared.eventfd.write(1);
    }
}

/// A watch that is in force until it is dropped. The kernel takes 5 to 15 ms to tear it down, in a thread of its own.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<INotifyWatcher>,
    bell: Bell,
}

impl Watch {
    /// Watches `directory` for changes that concern `names`.
    ///
    /// # Errors
    /// If there is no inotify instance left (128 for each user of a node is a common limit, shared by all its
    /// containers), or none at all.
    pub fn set(directory: &Path, names: &[String], bell: &Bell) -> Result<Watch> {
        let files = names
            .iter()
            .flat_map(|name| {
                [(terminated(name), Meaning::Other), (running(name), Meaning::Life), (ready(name), Meaning::Other)]
            })
            .map(|(file, meaning)| (OsString::from(file), meaning))
            .collect();
        bell.shared.dead.store(false, SeqCst);
        let ringer = Ringer { bell: bell.clone(), files, directory: directory.as_os_str().to_owned() };
        // Never "open": our own looks would answer themselves. Never "write": a job may write a million times.
        let kinds =
            EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME | EventKindMask::ACCESS_CLOSE;
        let mut watcher = INotifyWatcher::new(ringer, Config::default().with_event_kinds(kinds))?;
        if bell.shared.dead.load(SeqCst) {
            // No thread could be started, so the other side of its channel is gone, and both a call to it and its
            // destructor would panic.
            std::mem::forget(watcher);
            anyhow::bail!("no thread could be started for it");
        }
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(Watch { watcher: Some(watcher), bell: bell.clone() })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Some(watcher) = self.watcher.take() else { return };
        if self.bell.shared.dead.load(SeqCst) {
            // Its thread has ended already: its destructor would panic for want of somebody to tell.
            std::mem::forget(watcher);
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Life,
    Other,
}

/// Runs in notify's thread.
#[derive(Debug)]
struct Ringer {
    bell: Bell,
    files: Vec<(OsString, Meaning)>,
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
    /// notify drops its handler when its thread ends, or never began.
    fn drop(&mut self) {
        self.bell.shared.dead.store(true, SeqCst);
        self.bell.ring();
    }
}
