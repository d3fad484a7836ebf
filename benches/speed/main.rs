//! What exeunt costs, beside the inits that people use today and beside the floor that the kernel allows.
//!
//!     cargo bench --target x86_64-unknown-linux-musl
//!
//! builds the static release binary, measures, and prints tables; `-- start goodbye` measures only these parts, `--runs N`
//! sets the number of rounds. All who are compared take turns within one round, so that what else the machine does falls on
//! all alike; read the ratios of one run, not the times of two. Nothing is asserted. The raw numbers are left as JSON in
//! the file that the last line names.
#![allow(
    unsafe_code,
    reason = "children that consist of system calls, and wait4(2), which tells what a child has used"
)]

mod gate;
mod goodbye;
mod idle;
mod numbers;
mod peers;
mod roles;
mod size;
mod start;
mod tiny;

use std::path::{Path, PathBuf};

/// Where one run keeps its files, what it measures and how often.
pub struct Bench {
    /// In memory: shared directories and the tiny children.
    memory: PathBuf,
    /// On a disk.
    disk: PathBuf,
    /// Rounds, if not the usual number.
    runs: Option<usize>,
    /// What has been measured, by section.
    raw: serde_json::Map<String, serde_json::Value>,
}

/// The program that is measured: the one that cargo built with this benchmark.
const EXEUNT: &str = env!("CARGO_BIN_EXE_exeunt");

type Part = fn(&mut Bench);

/// The parts of the benchmark, in order. A further one is a module and a line here.
const PARTS: [(&str, Part); 5] = [
    ("size", size::measure),
    ("start", start::measure),
    ("gate", gate::measure),
    ("goodbye", goodbye::measure),
    ("idle", idle::measure),
];

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == roles::FLAG) {
        roles::play(&words[1..]);
    }
    // cargo's own word.
    words.retain(|word| word != "--bench");
    let runs = words.iter().position(|word| word == "--runs").map(|at| {
        let value = words.drain(at..).nth(1);
        value.and_then(|value| value.parse().ok()).expect("--runs wants a number, and comes last")
    });
    if let Some(word) = words.iter().find(|word| !PARTS.iter().any(|(name, _)| name == word)) {
        let names: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
        panic!("there is no part {word:?}; there are {}", names.join(", "));
    }

    let number = std::process::id();
    let memory = Path::new("/dev/shm").join(format!("exeunt-speed-{number}"));
    let disk = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("speed-{number}"));
    for place in [&memory, &disk] {
        std::fs::create_dir_all(place).expect("a directory for the benchmark");
    }
    let mut bench = Bench { memory, disk, runs, raw: serde_json::Map::new() };
    let machine = machine();
    println!("{machine}\n");
    bench.raw.insert("machine".into(), machine.into());
    for (name, part) in PARTS {
        if words.is_empty() || words.iter().any(|word| word == name) {
            part(&mut bench);
        }
    }
    let raw = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speed.json");
    std::fs::write(&raw, serde_json::Value::Object(bench.raw).to_string()).expect("the raw numbers");
    println!("load at the end: {}; raw numbers: {}", read("/proc/loadavg").trim(), raw.display());
    let _ = std::fs::remove_dir_all(&bench.memory);
    let _ = std::fs::remove_dir_all(&bench.disk);
}

/// The machine and what it is busy with, in a line.
fn machine() -> String {
    let processor = read("/proc/cpuinfo");
    let model = processor.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let hypervisor = if processor.contains(" hypervisor") { ", virtual" } else { "" };
    format!(
        "{}{hypervisor}, {cores} processors, Linux {}, load {}, {}",
        model.map_or("unknown processor", |(_, model)| model),
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").trim(),
        humantime::format_rfc3339_seconds(std::time::SystemTime::now()),
    )
}

/// A file of /proc; empty if it is not there.
fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The clock that all processes of the machine share, in nanoseconds.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes into a live local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}
