//! Where a path leads, asked of the kernel alone: a file system that hangs is not asked anything.
#![allow(unsafe_code, reason = "statx(2) without asking a server, and statmount(2), for which nix has no wrappers")]

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, stat};
use nix::sys::statfs::{
    BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, F2FS_SUPER_MAGIC, FsType, OVERLAYFS_SUPER_MAGIC, TMPFS_MAGIC,
};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Whether a file system of this kind is of this machine, and answers at once or never. Others (network, FUSE) may hang.
pub fn is_local(kind: FsType) -> bool {
    // nix has no name for it with musl.
    const XFS: FsType = FsType(0x5846_5342);
    [TMPFS_MAGIC, EXT4_SUPER_MAGIC, XFS, OVERLAYFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC].contains(&kind)
}

/// So often is the kernel asked what its caches know of a path.
const ATTEMPTS: u32 = 5;

/// Whether a path surely leads to such a file system, or to nothing. Found out without asking any that may hang: by what the
/// kernel has in its caches, and what it knows of its mounts.
pub fn answers_at_once(path: &Path) -> bool {
    let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let lead = |resolve| openat2(AT_FDCWD, path, OpenHow::new().flags(flags).resolve(resolve));
    // Somebody who mounts or renames at this moment makes the kernel say EAGAIN as well.
    let mut attempts = 0;
    let cached = loop {
        let found = lead(ResolveFlag::from_bits_retain(libc::RESOLVE_CACHED));
        attempts += 1;
        if !matches!(found, Err(Errno::EAGAIN)) || attempts == ATTEMPTS {
            break found;
        }
    };
    let found = match cached {
        // What is on our own root file system may be looked for there: if that hung, so would everything.
        Err(Errno::EAGAIN) => {
            return matches!(lead(ResolveFlag::RESOLVE_NO_XDEV), Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR));
        }
        // A kernel before Linux 5.12, or a filter. The root of a mount is found without asking what is mounted.
        Err(Errno::ENOSYS | Errno::EINVAL | Errno::EPERM) => open(path, flags, Mode::empty()),
        found => found,
    };
    match found {
        Ok(found) => is_on_a_local_one(&found),
        Err(errno) => matches!(errno, Errno::ENOENT | Errno::ENOTDIR),
    }
}

fn is_on_a_local_one(found: &OwnedFd) -> bool {
    /// Of `struct statx`, in halves of a word: device, and number of the mount.
    const DEVICE: usize = 34;
    const MOUNT: usize = 36;
    /// Linux 6.8: a number that is never used again, which is what statmount(2) takes.
    const STATX_MNT_ID_UNIQUE: u32 = 0x4000;
    const STATMOUNT: libc::c_long = 457;
    const STATMOUNT_SB_BASIC: u32 = 1;
    /// Of `struct statmount`, in words.
    const SB_MAGIC: usize = 3;

    let mut facts = [0u32; 64];
    let how = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
    // SAFETY: `struct statx` has 256 bytes, and so has the live local that the kernel writes into.
    let done = unsafe {
        libc::syscall(libc::SYS_statx, found.as_raw_fd(), c"".as_ptr(), how, STATX_MNT_ID_UNIQUE, &raw mut facts)
    };
    let [major, minor] = [facts[DEVICE], facts[DEVICE + 1]];
    let asked = [24, 0, facts[MOUNT], facts[MOUNT + 1], STATMOUNT_SB_BASIC, 0];
    let mut told = [0u64; 64];
    // SAFETY: reads `struct mnt_id_req` of the 24 bytes that it says, and writes at most what is live.
    let known = unsafe { libc::syscall(STATMOUNT, &raw const asked, &raw mut told, size_of_val(&told), 0) };
    match (done, known) {
        (0, 0) => is_local(FsType(told[SB_MAGIC] as _)),
        // What has a device is a disk; and what the root file system answers for, all else here waits for, too.
        (0, _) => major != 0 || stat("/").is_ok_and(|root| root.st_dev == libc::makedev(major, minor)),
        _ => false,
    }
}
