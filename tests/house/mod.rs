//! The house in which the tests play: one directory per test, real processes, and waits that end.
//!
//! A test starts processes, waits for *facts* (a line, a file, a state in /proc), and never for time to pass. Every
//! wait has a deadline and says what it was waiting for; when a test fails, everything its processes wrote is shown.
//! What a test has started is killed when the test ends, whatever has become of its parents in the meantime.

#![allow(dead_code, reason = "each test file is a program of its own and uses its own part of the house")]

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub mod counts;
pub mod filter;
pub mod here;
pub mod proc;
mod process;
pub mod role;
mod run;
pub mod scene;

pub use process::Process;
pub use run::Run;

/// How long anything may take that should take milliseconds. Generous, because it is only ever used up by a failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The program under test: the one that cargo built for this very run.
pub const EXEUNT: &str = env!("CARGO_BIN_EXE_exeunt");

/// Waits until `look` has an answer; panics with `what` when it has none in time.
#[track_caller]
pub fn wait_for<T>(what: &str, within: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + within;
    loop {
        // The clock is read before the look: a slow machine gets one look after the deadline, too.
        let late = Instant::now() >= deadline;
        if let Some(answer) = look() {
            return answer;
        }
        assert!(!late, "waited {within:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// As `wait_for`, for a fact that is either there or not.
#[track_caller]
pub fn wait_until(what: &str, mut fact: impl FnMut() -> bool) {
    wait_for(what, PATIENCE, || fact().then_some(()));
}

/// A directory of one test, in memory where there is /dev/shm, with a shared directory `pod` in it.
pub struct House {
    root: PathBuf,
    started: AtomicU32,
}

impl House {
    pub fn new() -> Self {
        let shm = Path::new("/dev/shm");
        let base = std::env::var_os("HOUSE_BASE").map(PathBuf::from);
        Self::under(&base.unwrap_or(if shm.is_dir() { shm.into() } else { std::env::temp_dir() }))
    }

    pub fn under(base: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        fs::create_dir_all(base).expect("where the directories of tests are");
        // In a pid namespace other processes have the same id, and one that was killed has left its directories.
        let root = loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let root = base.join(format!("exeunt-house-{}-{number}", std::process::id()));
            match fs::create_dir(&root) {
                Ok(()) => break root,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{}: {error}", root.display()),
            }
        };
        fs::create_dir(root.join("pod")).expect("a directory for the test");
        scene::mkfifo(&root.join("cue"));
        Self { root, started: AtomicU32::new(0) }
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// The shared directory of the containers, or a file in it: `house.pod("")`, `house.pod("main-job-running")`.
    pub fn pod(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join("pod").join(name)
    }

    /// Takes away what a life of main has left, so that the next is a first attempt.
    pub fn anew(&self) {
        for ending in ["running", "ready", "terminated"] {
            let _ = fs::remove_file(self.pod(format!("main-job-{ending}")));
        }
    }

    /// exeunt with `--dir` and `--mode`; the rest of its options and the command are for the caller to add.
    pub fn mode(&self, mode: &str) -> Run {
        self.run(EXEUNT).args(["--dir"]).arg(self.pod("")).args(["--mode", mode])
    }

    pub fn main(&self) -> Run {
        self.mode("main")
    }

    pub fn sidecar(&self) -> Run {
        self.mode("sidecar")
    }

    /// A shell line; `$1` and so on are what is added with `arg`.
    pub fn sh(&self, line: &str) -> Run {
        self.run("sh").args(["-c", line, "sh"])
    }

    pub fn run(&self, program: impl AsRef<OsStr>) -> Run {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        Run {
            argv: vec![program.as_ref().into()],
            settings: Vec::new(),
            transcript: self.root.join(number.to_string()),
        }
        .env("CUE", self.path("cue"))
    }

    /// Everything that the processes of this house have written.
    pub fn transcript(&self) -> String {
        let mut text = String::new();
        for number in 0..self.started.load(Ordering::Relaxed) {
            for kind in ["argv", "out", "err"] {
                let content = fs::read(self.root.join(format!("{number}.{kind}"))).unwrap_or_default();
                if !content.is_empty() {
                    let shown = &content[..content.len().min(4000)];
                    text += &format!("--- {number}.{kind}\n{}\n", String::from_utf8_lossy(shown).trim_end());
                }
            }
        }
        text
    }
}

impl Drop for House {
    fn drop(&mut self) {
        proc::kill_marked(self.root.as_os_str());
        if std::thread::panicking() {
            eprintln!("what the processes of this test wrote:\n{}", self.transcript());
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}
