//! The parts of the benchmark: what each measures, what it has to show, and the process that it runs in.

use super::numbers::Section;
use super::{Bench, RAW, machine, roles};
use super::{crowd, deaf, forward, gate, goodbye, growth, idle, reap, size, start};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

pub struct Part {
    pub name: &'static str,
    measure: fn(&Bench) -> Value,
    show: fn(&Value) -> Option<Section>,
}

/// A module with `measure` and `show` as a part.
macro_rules! part {
    ($name:literal, $module:ident) => {
        Part {
            name: $name,
            measure: |bench| to_value(&$module::measure(bench)),
            show: |raw| Some($module::show(&from_value(raw)?)),
        }
    };
}

/// All, in order. A further one is a module and a line here.
pub const ALL: &[Part] = &[
    part!("size", size),
    part!("start", start),
    part!("goodbye", goodbye),
    part!("growth", growth),
    part!("crowd", crowd),
    part!("idle", idle),
    part!("deaf", deaf),
    part!("forward", forward),
    part!("reap", reap),
    part!("gate", gate),
];

/// A part that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// What a part leaves behind.
#[derive(Serialize, Deserialize)]
pub struct Record {
    pub machine: String,
    /// What it was told by --runs.
    pub runs: Option<usize>,
    pub raw: Value,
}

fn to_value(raw: &impl Serialize) -> Value {
    serde_json::to_value(raw).expect("numbers are JSON")
}

fn from_value<T: DeserializeOwned>(raw: &Value) -> Option<T> {
    T::deserialize(raw).ok()
}

impl Part {
    fn file(&self) -> PathBuf {
        Path::new(RAW).join(format!("{}.json", self.name))
    }

    /// What was measured last, and what it has to show; nothing, if it was never measured, or by another benchmark.
    pub fn last(&self) -> Option<(Record, Section)> {
        let record: Record = serde_json::from_str(&machine::read(self.file())).ok()?;
        let section = (self.show)(&record.raw)?;
        Some((record, section))
    }
}

/// Measures, and prints what each part has to show as soon as it has it. Returns the names of those that failed.
pub fn measure_all(bench: &Bench, wanted: impl Fn(&Part) -> bool) -> Vec<&'static str> {
    // What a part leaves running when it fails comes to us.
    // SAFETY: a plain system call.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let mut failed = Vec::new();
    for part in ALL.iter().filter(|part| wanted(part)) {
        let began = Instant::now();
        println!("## {}\n", part.name);
        match run(part, bench).and_then(|()| part.last().ok_or("there is nothing to show".to_owned())) {
            Ok((_, section)) => {
                section.tables.iter().for_each(|table| println!("{}", table.text()));
                for bar in &section.bars {
                    println!("bar: {}", bar.row().join(", "));
                }
            }
            Err(trouble) => {
                println!("FAILED: {}: {trouble}", part.name);
                failed.push(part.name);
            }
        }
        println!("({} took {:.0} s)\n", part.name, began.elapsed().as_secs_f64());
    }
    failed
}

/// Runs one part in a process of its own.
fn run(part: &Part, bench: &Bench) -> Result<(), String> {
    // Its numbers of the time before must not be taken for new ones.
    let _ = std::fs::remove_file(part.file());
    let runs = bench.runs.map_or("-".to_owned(), |runs| runs.to_string());
    let mut command = Command::new(roles::program());
    command.args([roles::FLAG, "part", part.name, &runs]).args([&bench.memory, &bench.disk]);
    // What the caller has set for its own exeunt is not what is measured.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("EXEUNT_")) {
        command.env_remove(name);
    }
    let mut process = command.spawn().map_err(|error| error.to_string())?;
    let result = wait(&mut process);
    sweep();
    result
}

/// What the process of a part does.
pub fn play(name: &str, runs: &str, memory: &str, disk: &str) -> ! {
    let part = ALL.iter().find(|part| part.name == name).expect("a part");
    let disk = PathBuf::from(disk);
    let bench = Bench { memory: memory.into(), programs: disk.join("programs"), disk, runs: runs.parse().ok() };
    let machine = machine::describe();
    let record = Record { machine, runs: bench.runs, raw: (part.measure)(&bench) };
    let text = serde_json::to_string(&record).expect("numbers are JSON");
    // Under another name first: a run that is interrupted leaves no half of a file.
    let unfinished = part.file().with_extension("part");
    std::fs::write(&unfinished, text).and_then(|()| std::fs::rename(&unfinished, part.file())).expect("raw numbers");
    std::process::exit(0)
}

fn wait(process: &mut Child) -> Result<(), String> {
    let deadline = Instant::now() + LIMIT;
    loop {
        match process.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(status.to_string()),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(200)),
            Ok(None) => {
                process.kill().and_then(|()| process.wait()).map_err(|error| error.to_string())?;
                return Err(format!("not over after {} s", LIMIT.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Ends whatever a part has left running: it has become our child, and nobody else is.
fn sweep() {
    let ours = format!("/proc/self/task/{}/children", std::process::id());
    loop {
        let left: Vec<i32> = machine::read(&ours).split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
        if left.is_empty() {
            return;
        }
        for pid in left {
            // SAFETY: plain system calls, for a child of ours that nobody else waits for.
            unsafe {
                libc::kill(pid, libc::SIGKILL);
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
        }
    }
}
