//! What exeunt costs, beside the inits that people use today and beside the floor that the kernel allows.
//!
//!     cargo bench -p exeunt --target x86_64-unknown-linux-musl
//!
//! builds the static release binary, measures every part and prints tables; takes ten minutes.
//!
//!     … -- start goodbye      these parts only
//!     … -- --runs N           at most N rounds of each; below 20, small sizes as well
//!     … -- --earlier FILE   this exeunt, built from an earlier commit, takes its turns as well: better, or worse?
//!     … -- all --page [DIR]   all parts, and then DIR/performance.md and its plots; DIR is docs
//!     … -- crowd --page       this part, and then what the page says of it; all else on the page stays
//!     … -- --page [DIR]       the page and its plots once more, of what has been measured last
//!
//! All who are compared take turns within one round, so that what else the machine does falls on all alike; read the ratios
//! of one run, not the times of two. Nothing is asserted. Each part runs in a process of its own and leaves its raw
//! numbers as JSON in the directory that the last line names: one that fails, or hangs, is said and costs the others
//! nothing, and can be measured again by itself.
#![allow(
    unsafe_code,
    reason = "children that consist of system calls, and wait4(2), which tells what a child has used"
)]

mod crowd;
mod deaf;
mod forward;
mod gate;
mod goodbye;
mod growth;
mod idle;
mod machine;
mod numbers;
mod page;
mod pair;
mod part;
mod peers;
mod plot;
mod reap;
mod roles;
mod size;
mod start;
mod symbols;
mod tiny;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Where one run keeps its files, and how often it measures.
pub struct Bench {
    /// In memory: shared directories.
    memory: PathBuf,
    /// On a disk: shared directories, too.
    disk: PathBuf,
    /// What is built to measure by.
    programs: PathBuf,
    /// The most rounds.
    runs: Option<usize>,
}

impl Bench {
    fn runs(&self, usual: usize) -> usize {
        self.runs.map_or(usual, |runs| runs.clamp(1, usual))
    }

    /// Whether this is only to see that it works.
    fn is_short(&self) -> bool {
        self.runs.is_some_and(|runs| runs < 20)
    }
}

/// What is shipped is built for this.
#[cfg(target_arch = "x86_64")]
const SHIPPED_FOR: &str = "x86_64-unknown-linux-musl";
#[cfg(target_arch = "aarch64")]
const SHIPPED_FOR: &str = "aarch64-unknown-linux-musl";
/// The program that is measured: what is shipped (`peers::prepare` builds it), whatever cargo has built with this benchmark.
static EXEUNT: LazyLock<PathBuf> = LazyLock::new(|| {
    let beside = Path::new(env!("CARGO_BIN_EXE_exeunt")).ancestors().nth(2).expect("a directory of builds");
    let all = if beside.ends_with(SHIPPED_FOR) { beside.parent().expect("a directory of all builds") } else { beside };
    all.join(SHIPPED_FOR).join("release/exeunt")
});
/// Where the raw numbers are left.
const RAW: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/speed");

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == roles::FLAG) {
        roles::play(&words[1..]);
    }
    // cargo's own word.
    words.retain(|word| word != "--bench");
    let runs = value(&mut words, "--runs")
        .map(|text| text.and_then(|text| text.parse().ok()).unwrap_or_else(|| refuse("--runs wants a number")));
    let page = value(&mut words, "--page").map(|text| {
        // cargo runs a benchmark in the directory of its package.
        text.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("docs"), PathBuf::from)
    });
    let earlier = value(&mut words, "--earlier")
        .map(|file| file.map_or_else(|| refuse("--earlier wants a program"), PathBuf::from));
    let nothing_named = words.is_empty();
    let only_the_page = nothing_named && page.is_some();
    if !words.iter().all(|word| word == "all" || part::ALL.iter().any(|part| part.name == *word)) {
        let names: Vec<_> = part::ALL.iter().map(|part| part.name).collect();
        refuse(&format!(
            "the parts are: all, {}; the options: --runs N, --earlier FILE, --page [DIR]",
            names.join(", ")
        ));
    }
    let number = std::process::id();
    let place = |parent: &str| Path::new(parent).join(format!("exeunt-speed-{number}"));
    let (memory, disk) = (place("/dev/shm"), place(env!("CARGO_TARGET_TMPDIR")));
    let programs = disk.join("programs");
    for directory in [&memory, &disk, &programs, &PathBuf::from(RAW)] {
        std::fs::create_dir_all(directory).expect("a directory for the benchmark");
    }
    let bench = Bench { memory, disk, programs, runs };

    let wanted = |part: &part::Part| match nothing_named {
        true => !only_the_page,
        false => words.iter().any(|word| word == "all" || word == part.name),
    };
    let mut failed = Vec::new();
    if part::ALL.iter().any(wanted) {
        println!("{}\n", machine::describe());
        peers::prepare(&bench);
        if let Some(file) = earlier {
            let to = peers::earlier_place(&bench);
            std::fs::copy(&file, to).unwrap_or_else(|error| refuse(&format!("{}: {error}", file.display())));
        }
        println!();
        failed = machine::with_more_inotify_instances(|| part::measure_all(&bench, wanted));
        println!("Raw numbers: {RAW}/*.json; load at the end: {}", machine::read("/proc/loadavg").trim());
    }
    let _ = std::fs::remove_dir_all(&bench.memory);
    let _ = std::fs::remove_dir_all(&bench.disk);
    if let Some(directory) = page {
        // With parts named, what it says of the others stays.
        page::write(&directory, |part| only_the_page || wanted(part), &failed);
    }
    if !failed.is_empty() {
        println!("FAILED: {}; each can be measured again by itself", failed.join(", "));
        std::process::exit(1);
    }
}

/// Takes an option and the word behind it, which may be missing, out of `words`.
fn value(words: &mut Vec<String>, option: &str) -> Option<Option<String>> {
    let at = words.iter().position(|word| word == option)?;
    words.remove(at);
    let is_value = words.get(at).is_some_and(|word| !word.starts_with("--"));
    Some(is_value.then(|| words.remove(at)))
}

fn refuse(message: &str) -> ! {
    eprintln!("speed: {message}");
    std::process::exit(2)
}

/// The clock that all processes of the machine share, in nanoseconds.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes into a live local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Microseconds between two moments.
fn between(start: u64, end: u64) -> f64 {
    end.saturating_sub(start) as f64 / 1000.0
}
