//! The directory itself, held open, and the locks of the files in it.

use crate::sys::mounts;
use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstatat};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The shared directory, held open.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    pub(super) fd: OwnedFd,
}

/// What tells a file from all others of one kernel.
pub type Identity = (u64, u64);

impl Directory {
    /// Opens the directory.
    ///
    /// # Errors
    /// One line that says which volume is missing.
    pub fn open(path: &Path) -> Result<Directory> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let fd = openat(AT_FDCWD, path, flags, Mode::empty()).map_err(|errno| {
            let why = match errno {
                Errno::EPERM | Errno::ENOSYS => "the seccomp profile must allow openat",
                Errno::EACCES => {
                    "this user may not look into it: set fsGroup in the securityContext of the Pod, or its mode"
                }
                _ => "mount the volume that the containers share there, or name it with --dir",
            };
            anyhow::Error::from(errno)
                .context(format!("the shared directory {} cannot be opened; {why}", path.display()))
        })?;
        Ok(Directory { path: path.to_owned(), fd })
    }

    /// Opens it once more, for the path may lead to another directory by now. The last part of the path is not followed
    /// if it is a link: whoever may write beside the directory could lead us out of the volume with one.
    ///
    /// # Errors
    /// As for `open`.
    pub fn reopen(&self) -> Result<Directory> {
        // Without a slash at the end, which would make the kernel follow it (path_resolution(7)).
        let path: PathBuf = self.path.components().collect();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(AT_FDCWD, &path, flags, Mode::empty())
            .with_context(|| format!("the shared directory {} cannot be opened again", self.path.display()))?;
        Ok(Directory { path: self.path.clone(), fd })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to the directory that is held open.
    pub fn is_current(&self) -> bool {
        let here = facts(&self.fd).map(|stat| identity(&stat));
        let there = stat(&self.path).map(|stat| identity(&stat));
        here.is_ok() && here == there
    }

    /// Whether it lies on a file system of this machine, which answers at once or never. Others (network, FUSE) may hang.
    pub fn is_local(&self) -> bool {
        nix::sys::statfs::fstatfs(&self.fd).is_ok_and(|found| mounts::is_local(found.filesystem_type()))
    }

    /// What stands under a name, links not followed. `None` if nothing does, or nothing can be seen.
    pub fn stat(&self, name: &str) -> Option<FileStat> {
        look_up(&self.fd, Path::new(name), AtFlags::AT_SYMLINK_NOFOLLOW).ok()
    }

    /// Why it cannot be told whether anything stands under a name. Never "because nothing does".
    pub fn trouble(&self, name: &str) -> Option<Errno> {
        match look_up(&self.fd, Path::new(name), AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(_) | Err(Errno::ENOENT) => None,
            Err(errno) => Some(errno),
        }
    }

    /// Whether anything stands under a name.
    pub fn has(&self, name: &str) -> bool {
        self.stat(name).is_some()
    }

    /// Opens a regular file for reading: no link is followed, no FIFO or device waited for. `None` if there is none that
    /// can be opened.
    pub fn open_file(&self, name: &str) -> Option<File> {
        self.try_open_file(name).ok().flatten()
    }

    /// The same, but a regular file that is there and closed to us is told from none.
    ///
    /// # Errors
    /// Why it cannot be opened: EACCES, EMFILE, ...
    pub fn try_open_file(&self, name: &str) -> Result<Option<File>, Errno> {
        // A device could act on being opened alone, so the kind is looked at first; and once more afterwards, for the
        // name may mean something else by then.
        if self.stat(name).filter(is_regular).is_none() {
            return Ok(None);
        }
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
        let fd = match openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            // It has gone, or has become a link, in between.
            Err(Errno::ENOENT | Errno::ELOOP) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let regular = is_regular(&facts(&fd)?);
        Ok(regular.then(|| File::from(fd)))
    }

    pub(super) fn is_directory(&self, name: &str) -> bool {
        self.stat(name).is_some_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFDIR)
    }

    /// Whether a file is there that another user has left, and that the sticky bit of the directory keeps for him.
    pub(super) fn is_another_users(&self, name: &str) -> bool {
        let user = nix::unistd::geteuid().as_raw();
        let sticky = facts(&self.fd).is_ok_and(|own| own.st_mode & libc::S_ISVTX != 0 && own.st_uid != user);
        sticky && self.stat(name).is_some_and(|found| found.st_uid != user)
    }

    pub(super) fn path_of(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    pub(super) fn remove(&self, name: &str) -> Result<(), Errno> {
        match nix::unistd::unlinkat(&self.fd, name, nix::unistd::UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            // Refused, by a filter perhaps, and nothing is there that would have to go.
            Err(_) if self.trouble(name).is_none() && !self.has(name) => Ok(()),
            Err(errno) => Err(errno),
        }
    }
}

/// What stands at a path, links followed. With a flag that changes nothing (Linux 4.14), for without one musl makes an older call
/// of it, which a filter may refuse that was recorded from programs of another libc.
///
/// # Errors
/// Why that cannot be told; ENOENT if nothing does.
pub fn stat(path: &Path) -> Result<FileStat, Errno> {
    look_up(AT_FDCWD, path, AtFlags::AT_NO_AUTOMOUNT)
}

/// What stands under a name. Two ways, for a filter that refuses the first: an opening by O_PATH opens nothing, and leads to the
/// same.
fn look_up(dir: impl AsFd, name: &Path, flags: AtFlags) -> Result<FileStat, Errno> {
    match fstatat(&dir, name, flags) {
        Err(Errno::EPERM | Errno::ENOSYS) => {
            let last = if flags.contains(AtFlags::AT_SYMLINK_NOFOLLOW) { OFlag::O_NOFOLLOW } else { OFlag::empty() };
            facts(openat(dir, name, OFlag::O_PATH | OFlag::O_CLOEXEC | last, Mode::empty())?)
        }
        answer => answer,
    }
}

/// The same of an open file: fstat(2), and where a filter refuses it the newer call, with a flag that keeps libc from taking the
/// older one for it.
pub(super) fn facts(file: impl AsFd) -> Result<FileStat, Errno> {
    match nix::sys::stat::fstat(&file) {
        Err(Errno::EPERM | Errno::ENOSYS) => fstatat(file, "", AtFlags::AT_EMPTY_PATH | AtFlags::AT_NO_AUTOMOUNT),
        answer => answer,
    }
}

/// Device and inode number of a file.
pub fn identity(stat: &FileStat) -> Identity {
    (stat.st_dev, stat.st_ino)
}

fn is_regular(stat: &FileStat) -> bool {
    stat.st_mode & libc::S_IFMT == libc::S_IFREG
}

/// What is known of the lock of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lock {
    /// Somebody holds it.
    Held,
    /// Nobody does.
    Free,
    /// It cannot be asked for: no locks on this file system, or no room for one more in the kernel. Proves nothing.
    Unknown,
}

impl Lock {
    /// Asks by a shared lock, so that two who ask are not in each other's way.
    pub(super) fn of(file: &File) -> Lock {
        match file.try_lock_shared() {
            Ok(()) => {
                let _ = file.unlock();
                Lock::Free
            }
            Err(std::fs::TryLockError::WouldBlock) => Lock::Held,
            Err(std::fs::TryLockError::Error(_)) => Lock::Unknown,
        }
    }
}

pub(super) fn now() -> String {
    humantime::format_rfc3339_millis(SystemTime::now()).to_string()
}
