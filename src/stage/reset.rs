//! To begin anew in a volume that holds lives of an earlier round: `RestartAllContainers` (KEP-5532) starts every container
//! of a Pod again, init containers first, and keeps the volumes, so the sentinel of the round before is still there.

use super::{Directory, Lock};
use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

/// How long the turn to take a name may be somebody else's.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// What became of the lives in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reset {
    /// The names whose files are gone.
    pub removed: Vec<String>,
    /// The names that live, whose files were not touched.
    pub alive: Vec<String>,
}

/// Removes the files of every life that is over (its lock is free), and no other.
///
/// # Errors
/// One line that names the first file of which it cannot be told whether its owner lives, or that cannot be removed. The
/// others have been dealt with.
pub fn run(dir: &Directory) -> Result<Reset> {
    // Nobody takes a name meanwhile: a life that is begun between the look and the removal would be removed.
    let turn = File::from(dir.fd.try_clone().with_context(|| unreadable(dir))?);
    let deadline = Instant::now() + PATIENCE;
    while matches!(turn.try_lock(), Err(TryLockError::WouldBlock)) {
        ensure!(
            Instant::now() < deadline,
            "{} is locked by another process, which may be taking a name; try again",
            dir.path().display()
        );
        crate::sys::signals::pause(PAUSE);
    }
    let mut reset = Reset::default();
    let mut failed = None;
    for name in names(dir)? {
        match remove(dir, &name) {
            Ok(true) => reset.removed.push(name),
            Ok(false) => reset.alive.push(name),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let _ = turn.unlock();
    failed.map_or(Ok(reset), Err)
}

fn names(dir: &Directory) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir.path()).with_context(|| unreadable(dir))? {
        let Ok(file) = entry.with_context(|| unreadable(dir))?.file_name().into_string() else { continue };
        // What a process that was killed has left half done goes with the rest.
        names.extend(super::names::name_of_any(&file).map(str::to_owned));
    }
    Ok(names)
}

/// Removes the files of one name, unless one of them is locked. The life before the sentinel: whoever observes meanwhile
/// sees "over" until it sees nothing, and never a free lock without a sentinel.
fn remove(dir: &Directory, name: &str) -> Result<bool> {
    let files = super::names::all(name);
    for file in &files {
        let opened = dir.try_open_file(file).with_context(|| format!("{} cannot be opened", dir.path_of(file)))?;
        match opened.as_ref().map(Lock::of) {
            None | Some(Lock::Free) => {}
            Some(Lock::Held) => return Ok(false),
            Some(Lock::Unknown) => anyhow::bail!(
                "it cannot be told whether {} lives: its lock cannot be asked for here; remove {} yourself",
                name,
                dir.path_of(file)
            ),
        }
    }
    for file in &files {
        match dir.remove(file) {
            Ok(()) => {}
            Err(Errno::EISDIR | Errno::EPERM) if dir.is_directory(file) => {
                anyhow::bail!("{} is a directory, and no file of exeunt's; remove it", dir.path_of(file))
            }
            Err(errno) => return Err(errno).with_context(|| format!("{} cannot be removed", dir.path_of(file))),
        }
    }
    Ok(true)
}

fn unreadable(dir: &Directory) -> String {
    format!("the shared directory {} cannot be read", dir.path().display())
}
