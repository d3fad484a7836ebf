//! What several tests need of the machine.

#![allow(dead_code, reason = "each test file is a program of its own and uses its own part of the house")]

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A file of the repository.
pub fn repository(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(inside)
}

/// Says past libtest's capture that the test is passed over, and why; fails where nothing may be.
#[track_caller]
pub fn pass_over(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let set =
        |name: &str| std::env::var(name).is_ok_and(|value| !["", "0", "false", "no", "off"].contains(&value.as_str()));
    assert!(!set("CI") && !set("EXEUNT_REQUIRE_ENGINES"), "{test} may not be skipped here: {reason}");
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
}

/// A program on the PATH. Where it is missing, the test is passed over.
#[track_caller]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file());
    if found.is_none() {
        pass_over(&format!("it needs {name} (.ci/machine COMMAND brings it)"));
    }
    found
}

/// A directory that goes with the test.
pub struct Place(PathBuf);

impl Place {
    pub fn new(name: &str) -> Self {
        // In a pid namespace other processes have the same id, and one that was killed has left its directories.
        (0..)
            .map(|number| format!("kubectl-exeunt-{name}-{}-{number}", std::process::id()))
            .map(|name| std::env::temp_dir().join(name))
            .find(|path| match std::fs::create_dir(path) {
                Ok(()) => true,
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists, "{}: {error}", path.display());
                    false
                }
            })
            .map(Self)
            .unwrap()
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside)
    }

    pub fn write(&self, inside: &str, text: &str) -> PathBuf {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
