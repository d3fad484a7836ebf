//! From the job's last instant to the sidecar's SIGTERM handler, and to the end of both wrappers, which is the Pod's.

use super::numbers::{Bar, Plot, Samples, Section, Table, short};
use super::pair::{self, Kind, Pair};
use super::plot::{self, Look, Scale};
use super::{Bench, between, now};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const RUNS: usize = 1000;
/// The recipe's loop makes any delay up to a second as likely as any other: this many show it.
const RECIPES: usize = 100;

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum End {
    /// The job ends by itself.
    Exit,
    /// Its wrapper is killed, and the job with it: nobody says a word.
    Kill,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Volume {
    Memory,
    Disk,
}

#[derive(Serialize, Deserialize)]
pub struct Raw(Vec<Case>);

#[derive(Serialize, Deserialize)]
struct Case {
    kind: Kind,
    end: End,
    volume: Volume,
    /// Whether somebody else writes, renames and removes files in the shared directory all the time.
    busy: bool,
    /// From the job's end to the handler.
    stop_us: Samples,
    /// From there to the end of both wrappers: the helper leaves in its handler.
    after_us: Samples,
    /// From the job's end to the end of both.
    end_us: Samples,
}

impl Case {
    fn new(kind: Kind, end: End, volume: Volume, busy: bool) -> Self {
        let none = Samples::default;
        Self { kind, end, volume, busy, stop_us: none(), after_us: none(), end_us: none() }
    }

    fn add(&mut self, start: u64, stopped: u64, over: u64) {
        self.stop_us.add(between(start, stopped));
        self.after_us.add(between(stopped, over));
        self.end_us.add(between(start, over));
    }

    fn name(&self) -> String {
        let volume = if self.volume == Volume::Memory { "tmpfs" } else { "disk" };
        let busy = if self.busy { ", busy" } else { "" };
        let end = if self.end == End::Kill { ", kill -9" } else { "" };
        format!("{}, {volume}{busy}{end}", self.kind.name())
    }
}

pub fn measure(bench: &Bench) -> Raw {
    let mut cases = Vec::new();
    for volume in [Volume::Memory, Volume::Disk] {
        for busy in [false, true] {
            cases.extend(Kind::quick(bench).into_iter().map(|kind| Case::new(kind, End::Exit, volume, busy)));
        }
    }
    cases.extend([Volume::Memory, Volume::Disk].map(|volume| Case::new(Kind::Exeunt, End::Kill, volume, false)));
    for round in 0..bench.runs(RUNS) {
        for turn in 0..cases.len() {
            let index = (round + turn) % cases.len();
            once(bench, &mut cases[index]);
        }
    }
    cases.push(recipes(bench));
    Raw(cases)
}

pub fn show(raw: &Raw) -> Section {
    let row = |case: &Case, cells: &[(&Samples, &[f64])]| {
        let cells = cells.iter().flat_map(|(samples, parts)| parts.iter().map(|part| short(samples.quantile(*part))));
        [case.name(), case.stop_us.count().to_string()].into_iter().chain(cells).collect::<Vec<_>>()
    };
    let all: &[f64] = &[0.5, 0.99, 1.0];
    let rows = raw
        .0
        .iter()
        .map(|case| row(case, &[(&case.stop_us, all), (&case.after_us, &[0.5, 0.99]), (&case.end_us, all)]));
    let samples: Vec<_> = raw.0.iter().map(|case| (case.name(), case.kind.look(), &case.stop_us)).collect();
    let over: Vec<_> = raw.0.iter().map(|case| (case.name(), case.kind.look(), &case.end_us)).collect();
    let quiet = |case: &&Case| case.end == End::Exit && !case.busy;
    let median = |kind| {
        let mut of_kind = raw.0.iter().filter(quiet).filter(|case| case.kind == kind && case.volume == Volume::Memory);
        of_kind.next().map_or(f64::NAN, |case| case.stop_us.median())
    };
    let worst = |what: fn(&Case) -> f64| {
        let ours = raw.0.iter().filter(quiet).filter(|case| case.kind == Kind::Exeunt);
        ours.map(what).fold(f64::NAN, f64::max)
    };
    let title = "From the job's end to the sidecar's SIGTERM handler";
    let to_end = "From the job's end to the end of both wrappers";
    let drawn = |name, title: &str, samples: &[(String, Look, &Samples)]| {
        let svg = plot::boxes(title, "µs", Scale::Logarithmic, samples);
        Plot { name, says: title.to_owned(), svg }
    };
    Section {
        tables: vec![Table {
            title: "µs from the job's last instant to the helper's SIGTERM handler (*stop*), from there to the end of both \
                    wrappers (*after*), and both together (*the Pod's end*):"
                .to_owned(),
            head: vec![
                "", "rounds", "stop: median", "p99", "most", "after: median", "p99", "Pod's end: median", "p99", "most",
            ],
            rows: rows.collect(),
        }],
        plots: vec![drawn("stop", title, &samples), drawn("end", to_end, &over)],
        bars: vec![
            Bar {
                what: "the job's exit to the sidecar's SIGTERM, median on tmpfs, against bare C",
                most: 1.5,
                measured: median(Kind::Exeunt) / median(Kind::Floor),
                unit: "×",
            },
            Bar {
                what: "the same, p99, the worse of tmpfs and disk",
                most: 2000.0,
                measured: worst(|case| case.stop_us.quantile(0.99)),
                unit: "µs",
            },
            Bar {
                what: "the Pod's end after the sidecar's command is gone, p99, the worse of tmpfs and disk",
                most: 2000.0,
                measured: worst(|case| case.after_us.quantile(0.99)),
                unit: "µs",
            },
        ],
    }
}

fn place(bench: &Bench, volume: Volume) -> &PathBuf {
    if volume == Volume::Memory { &bench.memory } else { &bench.disk }
}

/// One pair from its start to its end.
fn once(bench: &Bench, case: &mut Case) {
    let directory = pair::fresh(place(bench, case.volume).join("play"));
    let mut pair = Pair::start(bench, case.kind, &directory);
    while_busy(case.busy.then_some(&directory), || {
        let start = match case.end {
            End::Exit => pair.end_the_job(),
            End::Kill => {
                let start = now();
                pair.main.kill().expect("a wrapper to kill");
                start
            }
        };
        let stopped = pair.stopped();
        case.add(start, stopped, pair.over());
    });
}

/// Does something while somebody else works in a directory.
fn while_busy(directory: Option<&PathBuf>, run: impl FnOnce()) {
    let Some(directory) = directory else { return run() };
    let over = AtomicBool::new(false);
    let rounds = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                work_in(directory);
                rounds.store(true, Ordering::Relaxed);
            }
        });
        while !rounds.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        run();
        over.store(true, Ordering::Relaxed);
    });
}

/// What a log shipper's or a cache's files look like from outside: some thousands a second are written, renamed, removed.
fn work_in(directory: &Path) {
    let [part, whole] = ["work.part", "work"].map(|name| directory.join(name));
    // It may be removed while we work in it.
    let _ = std::fs::write(&part, [b'x'; 4096]).and_then(|()| std::fs::rename(&part, &whole));
    let _ = std::fs::remove_file(&whole);
    std::thread::sleep(Duration::from_micros(100));
}

/// Pairs of the shell recipe, started apart, so that their loops look at different moments of a second.
fn recipes(bench: &Bench) -> Case {
    let mut case = Case::new(Kind::Recipe, End::Exit, Volume::Memory, false);
    let number = bench.runs(RECIPES);
    let apart = Duration::from_millis(1000) / number as u32;
    let mut pairs: Vec<_> = (0..number)
        .map(|index| {
            std::thread::sleep(apart / 2);
            Pair::start(bench, Kind::Recipe, &pair::fresh(bench.memory.join(format!("recipe-{index}"))))
        })
        .collect();
    let starts: Vec<_> = pairs.iter_mut().map(Pair::end_the_job).collect();
    // Each is waited for by a thread of its own: the one that ends first is not the first in order.
    let ends: Vec<_> = std::thread::scope(|scope| {
        let waits: Vec<_> = pairs.iter_mut().map(|pair| scope.spawn(|| (pair.stopped(), pair.over()))).collect();
        waits.into_iter().map(|wait| wait.join().expect("the end of a pair")).collect()
    });
    for (start, (stopped, over)) in starts.into_iter().zip(ends) {
        case.add(start, stopped, over);
    }
    case
}
