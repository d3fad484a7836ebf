//! Writing the end without letting a volume that hangs hold the job's code.

use crate::machine::Status;
use crate::stage::Directory;
use crate::stage::publish::Life;
use crate::stage::watch::Bell;
use anyhow::{Result, anyhow};
use std::os::fd::BorrowedFd;
use std::thread::JoinHandle;

/// The end being written by a thread of its own, because the volume is one that may hang.
#[derive(Debug)]
pub struct Errand {
    bell: Bell,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What became of an errand at once.
#[derive(Debug)]
pub enum Begun {
    /// It is done.
    Finished(Result<()>),
    /// It goes on.
    UnderWay(Errand),
}

impl Errand {
    /// Writes the end: at once where the file system is local (a thread would cost more than the writing), else beside the
    /// loop, which waits for it as for anything else.
    pub fn publish(life: Life, dir: Directory, status: Status, last: bool) -> Begun {
        if dir.is_local() {
            return Begun::Finished(life.end(&dir, status, last));
        }
        let Ok(bell) = Bell::new() else { return Begun::Finished(life.end(&dir, status, last)) };
        let ring = bell.clone();
        let thread = std::thread::Builder::new().spawn(move || {
            let result = life.end(&dir, status, last);
            ring.ring();
            result
        });
        match thread {
            Ok(thread) => Begun::UnderWay(Errand { bell, thread: Some(thread) }),
            Err(error) => {
                Begun::Finished(Err(anyhow!(error).context("the sentinel is not written: no thread can be started")))
            }
        }
    }

    /// What to wait for.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.bell.descriptor()
    }

    /// The result, once the bell has rung.
    pub fn finished(&mut self) -> Option<Result<()>> {
        let _ = self.bell.answer();
        let thread = self.thread.take()?;
        Some(thread.join().unwrap_or_else(|_| Err(anyhow!("the thread that writes the sentinel has failed"))))
    }
}
