//! What happens in the shared directory: the usual job and helper, records, locks, and a log of the directory's events.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{House, PATIENCE, Process, wait_for, wait_until};

/// A job that says "ready" and ends with the code that it is given by `House::cue`.
pub const JOB: &str = r#"echo ready; read code <"$CUE"; exit "$code""#;

/// A helper that says "ready" and, when it is asked to end, "term", and ends with 7.
pub const HELPER: &str = "trap 'echo term; exit 7' TERM; echo ready; sleep 1000 & wait";

/// A helper that is asked to end, says "term", and stays.
pub const STUBBORN: &str = "trap 'echo term' TERM; echo ready; while :; do sleep 1000 & wait $!; done";

impl House {
    /// Lets the job that waits for its cue end with this code.
    #[track_caller]
    pub fn cue(&self, code: u8) {
        self.cue_at("cue", code);
    }

    /// The same through another pipe of this house, for a second job with `.env("CUE", …)`.
    #[track_caller]
    pub fn cue_at(&self, pipe: &str, code: u8) {
        // Without O_NONBLOCK the open would wait for ever for a job that has died.
        let open = || OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(self.path(pipe)).ok();
        let mut pipe = wait_for("the job to wait for its cue", PATIENCE, open);
        writeln!(pipe, "{code}").expect("the cue");
    }

    /// A job that waits for its cue, running and ready.
    #[track_caller]
    pub fn job(&self, options: &[&str]) -> Process {
        let mut main = self.main().args(options).command(JOB).start();
        main.ready();
        main
    }

    /// A helper with options before its command, running and ready.
    #[track_caller]
    pub fn helper(&self, options: &[&str]) -> Process {
        let mut sidecar = self.sidecar().args(options).command(HELPER).start();
        sidecar.ready();
        sidecar
    }

    /// An empty file in the shared directory.
    #[track_caller]
    pub fn touch(&self, name: &str) {
        File::create(self.pod(name)).expect("a file");
    }

    /// The JSON in a file of the shared directory, once the file is there.
    #[track_caller]
    pub fn record(&self, file: &str) -> Value {
        record(&self.pod(file))
    }

    /// Waits for a file in the shared directory.
    #[track_caller]
    pub fn appears(&self, file: &str) {
        wait_until(&format!("{file} in the shared directory"), || fs::symlink_metadata(self.pod(file)).is_ok());
    }

    /// What is in the shared directory, sorted.
    pub fn listing(&self) -> Vec<String> {
        listing(&self.pod(""))
    }

    /// A life without exeunt: `NAME-running`, locked by the test for as long as the file is kept. The record is one that
    /// proves its place, as changed by `change`.
    pub fn life(&self, name: &str, change: impl FnOnce(&mut Value)) -> Life {
        let path = self.pod(format!(".{name}.test"));
        let mut file = File::create_new(&path).expect("a file for a life");
        file.lock().expect("its lock");
        let place = file.metadata().expect("its inode");
        let mut record = json!({
            "protocol": 1, "name": name, "hostname": "test", "started": "2026-01-01T00:00:00.000Z", "attempt": 1,
            "restart_policy": "never", "boot_id": boot_id(), "device": place.dev(), "inode": place.ino(),
        });
        change(&mut record);
        writeln!(file, "{record:<2047}").expect("its record");
        fs::rename(path, self.pod(format!("{name}-running"))).expect("its name");
        Life(file)
    }
}

/// A lock that is gone when this is. To close the file would not do: a test beside this one may be starting a process,
/// which has the file, and so the lock, until it has become its program.
pub struct Life(File);

impl std::ops::Deref for Life {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[track_caller]
pub fn record(path: &Path) -> Value {
    let text = wait_for(&format!("{}", path.display()), PATIENCE, || fs::read(path).ok());
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn listing(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the shared directory").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Whether somebody holds the lock of this file.
pub fn is_locked(path: &Path) -> bool {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => panic!("{}: {error}", path.display()),
    }
}

pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("the boot id").trim().to_owned()
}

pub fn mkfifo(path: &Path) {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: the path is a C string.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o644) }, 0, "{}", io::Error::last_os_error());
}

/// Every kind of file that is not a file of ours, by the shell line that makes it as `$1`.
pub const FOREIGN: [(&str, &str); 7] = [
    ("a FIFO", "mkfifo \"$1\""),
    ("a dangling link", "ln -s /nowhere \"$1\""),
    ("a link to a file", "echo precious >\"$1.target\"; ln -s \"$1.target\" \"$1\""),
    ("a directory", "mkdir \"$1\""),
    ("a directory with something in it", "mkdir \"$1\"; touch \"$1/file\""),
    ("a link to a device that never ends", "ln -s /dev/zero \"$1\""),
    ("a device, where one may be made", "mknod \"$1\" c 1 5 2>/dev/null || mkfifo \"$1\""),
];

/// What happens in a directory, as the kernel tells it.
pub struct Events(File);

impl Events {
    pub fn of(dir: PathBuf) -> Self {
        let path = std::ffi::CString::new(dir.into_os_string().into_encoded_bytes()).expect("a path");
        let mask = libc::IN_CREATE | libc::IN_MODIFY | libc::IN_MOVED_FROM | libc::IN_MOVED_TO | libc::IN_DELETE;
        // SAFETY: the descriptor is new and ours, the path is a C string.
        let inotify = unsafe { File::from_raw_fd(libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC)) };
        // SAFETY: as above.
        let watch = unsafe { libc::inotify_add_watch(inotify.as_raw_fd(), path.as_ptr(), mask) };
        assert!(watch >= 0, "{}", io::Error::last_os_error());
        Self(inotify)
    }

    /// All since the last call, as "create NAME", "modify NAME", "from NAME", "to NAME", "delete NAME".
    pub fn so_far(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let mut buffer = vec![0u8; 1 << 16];
        while let Ok(read) = self.0.read(&mut buffer) {
            let mut rest = &buffer[..read];
            // struct inotify_event: wd, mask, cookie, len, all of four bytes, and then the name, padded with NULs.
            while rest.len() >= 16 {
                let word = |at: usize| u32::from_ne_bytes(rest[at..at + 4].try_into().expect("four bytes"));
                let (mask, length) = (word(4), word(12) as usize);
                let name = String::from_utf8_lossy(&rest[16..16 + length]);
                let what = match mask {
                    libc::IN_CREATE => "create",
                    libc::IN_MODIFY => "modify",
                    libc::IN_MOVED_FROM => "from",
                    libc::IN_MOVED_TO => "to",
                    libc::IN_DELETE => "delete",
                    _ => "?",
                };
                found.push(format!("{what} {}", name.trim_end_matches('\0')));
                rest = &rest[16 + length..];
            }
        }
        found
    }
}
