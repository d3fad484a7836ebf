//! A job and its sidecar, in front of each a wrapper: what several parts of the benchmark play with.

use super::machine::read;
use super::{Bench, EXEUNT, peers, roles};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Exeunt,
    /// An exeunt from before, that is asked for.
    Earlier,
    /// Bare C (floor/floor.c).
    Floor,
    /// The shell recipe of the README: a trap that touches the sentinel, a loop that looks for it once a second.
    Recipe,
}

impl Kind {
    /// Those that can be had on this machine, the recipe apart: it is slow, and must not slow down the others.
    pub fn quick(bench: &Bench) -> Vec<Self> {
        let earlier = peers::earlier(bench).map(|_| Self::Earlier);
        [Self::Exeunt].into_iter().chain(earlier).chain(peers::floor(bench).map(|_| Self::Floor)).collect()
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Exeunt => "exeunt",
            Self::Earlier => peers::EARLIER,
            Self::Floor => "bare C",
            Self::Recipe => "shell recipe",
        }
    }

    pub fn look(self) -> super::plot::Look {
        match self {
            Self::Exeunt => super::plot::Look::Ours,
            Self::Floor => super::plot::Look::Floor,
            Self::Earlier | Self::Recipe => super::plot::Look::Other,
        }
    }

    /// The wrapper in front of this program in a role.
    pub fn wrapper(self, bench: &Bench, mode: &str, role: &str, directory: &Path) -> Command {
        let mut command = self.before(bench, mode, directory);
        command.arg(roles::program()).args([roles::FLAG, role]);
        command
    }

    /// The wrapper, to be followed by its command.
    pub fn before(self, bench: &Bench, mode: &str, directory: &Path) -> Command {
        let mut command;
        match self {
            Self::Exeunt | Self::Earlier => {
                let earlier = || peers::earlier(bench).expect("an earlier exeunt");
                command = Command::new(if self == Self::Exeunt { EXEUNT.clone() } else { earlier() });
                command.args(["--mode", mode, "--log-level", "error", "--dir"]).arg(directory).arg("--");
            }
            Self::Floor => {
                command = Command::new(bench.programs.join("floor"));
                command.arg(format!("--{mode}")).arg(directory).arg("--");
            }
            Self::Recipe => {
                let script = match mode {
                    "main" => "trap 'touch \"$0\"/main-job-terminated' EXIT; \"$@\"",
                    _ => "\"$@\" & until [ -e \"$0\"/main-job-terminated ]; do sleep 1; done; kill $!; wait $!",
                };
                command = Command::new("/bin/sh");
                command.args(["-c", script]).arg(directory);
            }
        }
        command
    }
}

/// Both wrappers at rest, their commands running.
pub struct Pair {
    pub main: Child,
    pub sidecar: Child,
    from_job: std::process::ChildStdout,
    from_helper: std::process::ChildStdout,
}

impl Pair {
    pub fn start(bench: &Bench, kind: Kind, directory: &Path) -> Self {
        let start = |mode, role| {
            let mut command = kind.wrapper(bench, mode, role, directory);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
            command.spawn().expect("a wrapper")
        };
        let (mut main, mut sidecar) = (start("main", "job"), start("sidecar", "helper"));
        let from_job = main.stdout.take().expect("a pipe");
        let from_helper = sidecar.stdout.take().expect("a pipe");
        let mut pair = Self { main, sidecar, from_job, from_helper };
        for ready in [&mut pair.from_job, &mut pair.from_helper] {
            ready.read_exact(&mut [0]).expect("a word from the command");
        }
        settle(&[&pair.main, &pair.sidecar]);
        pair
    }

    /// Lets the job end, and returns when that was, by its own word.
    pub fn end_the_job(&mut self) -> u64 {
        drop(self.main.stdin.take());
        stamp(&mut self.from_job)
    }

    /// When SIGTERM has reached the helper.
    pub fn stopped(&mut self) -> u64 {
        stamp(&mut self.from_helper)
    }

    /// When both wrappers were gone.
    pub fn over(&mut self) -> u64 {
        self.main.wait().expect("the end of main");
        self.sidecar.wait().expect("the end of the sidecar");
        super::now()
    }
}

/// An empty directory.
pub fn fresh(directory: PathBuf) -> PathBuf {
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a shared directory");
    directory
}

/// The time that a role has said.
pub fn stamp(from: &mut impl Read) -> u64 {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes).expect("a time");
    u64::from_ne_bytes(bytes)
}

/// Waits until all of these have been asleep for a millisecond.
pub fn settle(processes: &[&Child]) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let asleep = || processes.iter().all(|process| is_asleep(process.id()));
    loop {
        let before = asleep();
        std::thread::sleep(Duration::from_millis(1));
        if before && asleep() {
            return;
        }
        assert!(Instant::now() < deadline, "a wrapper is still busy after thirty seconds");
    }
}

pub fn is_asleep(pid: u32) -> bool {
    let stat = read(format!("/proc/{pid}/stat"));
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}
