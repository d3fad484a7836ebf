//! What others do in the directory.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use exeunt::stage::file::boot_id;
use exeunt::stage::{ready, running, terminated};
use serde_json::json;

use super::super::script::Script;
use super::{NAMES, RUN_IDS, Theatre, remove};

const LOCKS: usize = 8;

impl Theatre {
    pub(super) fn mischief(&mut self, script: &mut Script<'_>) {
        let deed = script.below(16);
        let path = self.some_file(script);
        match deed {
            0..=2 => self.write(script, &path),
            // Complete or not at all, as our own.
            3..=4 => {
                let new = self.pod().join(".new");
                remove(&new);
                self.write(script, &new);
                let _ = fs::rename(&new, &path);
            }
            5 => {
                self.is_tampered_with();
                let _ = open(&path).map(|file| file.set_len(script.choose(&[0, 1, 2048, 1 << 40])));
            }
            6 => {
                let targets = ["/dev/zero", "/nowhere", "main-job-running", "../precious", "/proc/self/mem", "."];
                let _ = std::os::unix::fs::symlink(script.choose(&targets), path);
            }
            7 => make_node(&path, libc::S_IFIFO),
            8 => drop(UnixListener::bind(path)),
            // The device that never ends, where one may be made.
            9 => make_node(&path, libc::S_IFCHR),
            10 => {
                let _ = fs::create_dir(&path);
                if script.below(2) == 1 {
                    let _ = File::create(path.join("file"));
                }
            }
            11 => remove(&path),
            12 => drop(fs::rename(&path, self.some_file(script))),
            13 => drop(fs::hard_link(&path, self.some_file(script))),
            14 => self.lock(script, &path),
            // Two files change places.
            _ => {
                let (other, aside) = (self.some_file(script), self.pod().join(".aside"));
                for (from, to) in [(&path, &aside), (&other, &path), (&aside, &other)] {
                    let _ = fs::rename(from, to);
                }
            }
        }
    }

    fn some_file(&self, script: &mut Script<'_>) -> PathBuf {
        let name = script.choose(&NAMES);
        let files = [running(name), running(name), terminated(name), ready(name), format!(".{}.new", running(name))];
        match script.below(files.len() + 1) {
            number if number < files.len() => self.pod().join(&files[number]),
            // A name of somebody else's choice.
            _ => {
                let length = script.below(140);
                let name: Vec<u8> = script.bytes(length).iter().filter(|byte| **byte != b'/').copied().collect();
                let file = [&name[..], b"-running"].concat();
                self.pod().join(std::ffi::OsStr::from_bytes(&file).to_string_lossy().replace('\0', "-"))
            }
        }
    }

    fn write(&mut self, script: &mut Script<'_>, path: &Path) {
        self.is_tampered_with();
        if !path.exists() {
            let _ = File::create_new(path);
        }
        let Some(mut file) = open(path) else { return };
        let content = content(script, &file);
        if script.below(2) == 0 {
            let _ = file.set_len(0);
        }
        let _ = file.write_all(&content);
    }

    /// Which file it was does not matter: it may be a link to another.
    fn is_tampered_with(&mut self) {
        self.lives.iter_mut().flatten().for_each(|played| played.tampered = true);
    }

    fn lock(&mut self, script: &mut Script<'_>, path: &Path) {
        let deed = script.below(4);
        if deed == 0 || self.locks.len() >= LOCKS {
            self.locks.clear();
        } else if deed == 1 {
            // Whoever takes a name takes this one for a moment.
            self.locks.extend(File::open(self.pod()).ok().filter(|dir| dir.try_lock().is_ok()));
        } else if let Some(file) = open(path) {
            let taken = if deed == 2 { file.try_lock() } else { file.try_lock_shared() };
            self.locks.extend(taken.is_ok().then_some(file));
        }
    }
}

/// The script itself must not block, nor write through a link.
fn open(path: &Path) -> Option<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).ok()
}

fn make_node(path: &Path, kind: libc::mode_t) {
    let Ok(path) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return };
    // SAFETY: the path is a C string. /dev/zero is 1, 5.
    unsafe { libc::mknod(path.as_ptr(), kind | 0o644, libc::makedev(1, 5)) };
}

/// Records, and what is none, or only nearly.
fn content(script: &mut Script<'_>, file: &File) -> Vec<u8> {
    let length = usize::from(script.byte());
    match script.below(10) {
        0 => Vec::new(),
        1 => script.bytes(length).to_vec(),
        2..=4 => record(script, file),
        5 => {
            let record = record(script, file);
            record[..record.len() * length / 256].to_vec()
        }
        6 => [record(script, file), vec![b' '; 16 * length], script.bytes(4).to_vec()].concat(),
        7 => vec![script.byte(); 32 * length],
        8 => b"{\"name\":".repeat(3 * length),
        _ => {
            let mut record = record(script, file);
            let place = 8 * length % record.len();
            let part = script.bytes(8);
            record.splice(place..place, part.iter().copied());
            record
        }
    }
}

fn record(script: &mut Script<'_>, file: &File) -> Vec<u8> {
    let own = file.metadata().expect("its place");
    let bits = script.byte();
    let bit = |number: u8| bits & 1 << number != 0;
    let mut record = json!({
        "protocol": 1,
        "name": script.choose(&NAMES),
        "hostname": "pod",
        "started": if bit(0) { "2026-01-01T00:00:00.000Z" } else { "\u{1b}[2J\n\u{202e}yesterday" },
        "attempt": script.choose(&[0, 1, u32::MAX]),
        "restart_policy": script.choose(&["never", "never", "on-failure", "on-failure", "sometimes"]),
        "boot_id": if bit(1) { boot_id() } else { String::new() },
        "device": own.dev(),
        "inode": if bit(2) { own.ino() } else { own.ino() + 1 },
    });
    if let Some(run_id) = script.choose(&RUN_IDS) {
        record["run_id"] = run_id.into();
    }
    if bit(3) {
        record["exit_code"] = script.choose(&[0, 3, 255, 256, -1]).into();
    }
    if bit(4) {
        record["signal"] = script.choose(&[0, 9, 64, 65, 255]).into();
    }
    if bit(5) {
        record["final"] = bit(6).into();
    }
    format!("{record}\n").into_bytes()
}
