//! A thousand sidecars of one user on one node, where the kernel has watches for 128 of them and the others wait for the
//! lock of their job: how long it takes until one is told while all others are idle, and until many are told at once.

use super::machine::{cpu_us, cpu_us_at_the_end, watch_no_more_than};
use super::numbers::{Bar, Plot, Samples, Section, Table, short};
use super::pair::{self, Kind};
use super::plot::{self, Line, Lines, Scale};
use super::{Bench, between};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::{PipeReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::time::{Duration, Instant};

const SIDECARS: usize = 1000;
/// `fs.inotify.max_user_instances`, as it usually is.
const WATCHES: usize = 128;
/// Of five sidecars so many have the one job in common; each of the others has one of its own.
const TOGETHER_OF_FIVE: usize = 3;
const RUNS: usize = 5;
/// In a short run there is one of twenty: sidecars, and watches.
const SHORT: usize = 20;

#[derive(Serialize, Deserialize)]
pub struct Raw {
    /// Why there are no numbers.
    trouble: Option<String>,
    sidecars: usize,
    watches: usize,
    cases: Vec<Case>,
}

#[derive(Serialize, Deserialize)]
struct Case {
    kind: Kind,
    /// One job after another ends.
    apart: Groups,
    /// The job of many ends.
    together: Groups,
    /// Of each round, when so many of the many had been told.
    half_us: Samples,
    ninety_us: Samples,
    all_us: Samples,
}

/// Sidecars by what tells them of the end.
#[derive(Default, Serialize, Deserialize)]
struct Groups {
    watching: Group,
    waiting: Group,
}

#[derive(Default, Serialize, Deserialize)]
struct Group {
    /// From the job's end to the helper's SIGTERM handler.
    stop_us: Samples,
    /// CPU time of one sidecar for its goodbye, its helper's included.
    cpu_us: Samples,
}

impl Groups {
    fn of(&mut self, watches: bool) -> &mut Group {
        if watches { &mut self.watching } else { &mut self.waiting }
    }
}

impl Raw {
    /// How many have the one job in common.
    fn together(&self) -> usize {
        self.sidecars * TOGETHER_OF_FIVE / 5
    }
}

pub fn measure(bench: &Bench) -> Raw {
    let part = if bench.is_short() { SHORT } else { 1 };
    let mut raw = Raw { trouble: None, sidecars: SIDECARS / part, watches: WATCHES / part, cases: Vec::new() };
    let case = |kind| {
        let (apart, together, none) = (Groups::default(), Groups::default(), Samples::default);
        Case { kind, apart, together, half_us: none(), ninety_us: none(), all_us: none() }
    };
    let mut cases: Vec<_> = Kind::quick(bench).into_iter().filter(|kind| *kind != Kind::Earlier).map(case).collect();
    for round in 0..if bench.is_short() { 1 } else { bench.runs(RUNS) } {
        for turn in 0..cases.len() {
            if let Err(error) = watch_no_more_than(raw.watches, round + turn > 0) {
                println!("MISSING: the crowd wants a user namespace with few inotify instances: {error}; left out");
                raw.trouble = Some(error.to_string());
                return raw;
            }
            let index = (round + turn) % cases.len();
            once(bench, &raw, &mut cases[index]);
        }
    }
    let _ = std::fs::remove_dir_all(bench.memory.join("crowd"));
    raw.cases = cases;
    raw
}

struct Sidecar {
    process: Child,
    watches: bool,
}

/// A job: its wrapper, and what keeps it from ending.
struct Job {
    wrapper: Child,
    held: Option<ChildStdin>,
}

/// The whole crowd, from its start to its end.
fn once(bench: &Bench, raw: &Raw, case: &mut Case) {
    let directory = pair::fresh(bench.memory.join("crowd"));
    let (mut from_jobs, to_us) = std::io::pipe().expect("a pipe");
    let start = |mode: &str, role: &str, pod: usize, input: Stdio, output: &std::io::PipeWriter| {
        let mut command = case.kind.wrapper(bench, mode, role, &place(&directory, pod));
        command.stdin(input).stdout(output.try_clone().expect("a descriptor")).stderr(Stdio::null());
        command.spawn().expect("a wrapper")
    };
    let (keeper, waiter) = if case.kind == Kind::Floor { ("keeper", "waiter") } else { ("main", "sidecar") };

    // The last of them is the one of many.
    let alone = raw.sidecars - raw.together();
    let mut jobs: Vec<Job> = (0..=alone)
        .map(|pod| {
            std::fs::create_dir(place(&directory, pod)).expect("a shared directory");
            let mut wrapper = start(keeper, "job", pod, Stdio::piped(), &to_us);
            let held = wrapper.stdin.take();
            Job { wrapper, held }
        })
        .collect();
    from_jobs.read_exact(&mut vec![0; jobs.len()]).expect("a word from every job");

    let (mut from_helpers, to_us) = std::io::pipe().expect("a pipe");
    let (mut own, mut together) = (Vec::new(), Vec::new());
    for number in 0..raw.sidecars {
        let is_one_of_many = number % 5 < TOGETHER_OF_FIVE;
        let pod = if is_one_of_many { alone } else { own.len() };
        // Whoever comes first has a watch: exeunt by the kernel's count, bare C by ours.
        let mode = if number < raw.watches { "sidecar" } else { waiter };
        let process = start(mode, "member", pod, Stdio::null(), &to_us);
        if is_one_of_many { &mut together } else { &mut own }.push(Sidecar { process, watches: false });
    }
    from_helpers.read_exact(&mut vec![0; raw.sidecars]).expect("a word from every helper");
    for sidecar in own.iter_mut().chain(&mut together) {
        sidecar.comes_to_rest(case.kind);
    }

    let many = jobs.pop().expect("the job of many");
    for (job, sidecar) in jobs.into_iter().zip(own) {
        let before = cpu_us(sidecar.process.id());
        let end = job.end(&mut from_jobs);
        let told = told(&mut from_helpers, 1);
        let at = told.get(&sidecar.process.id()).expect("the sidecar of the job that has ended, and no other");
        case.apart.of(sidecar.watches).stop_us.add(between(end, *at));
        sidecar.goes(before, &mut case.apart);
    }

    let before: Vec<f64> = together.iter().map(|sidecar| cpu_us(sidecar.process.id())).collect();
    let end = many.end(&mut from_jobs);
    let told = told(&mut from_helpers, together.len());
    let mut delays = Samples::default();
    for (sidecar, before) in together.into_iter().zip(before) {
        let at = told.get(&sidecar.process.id()).expect("a word from each");
        delays.add(between(end, *at));
        case.together.of(sidecar.watches).stop_us.add(between(end, *at));
        sidecar.goes(before, &mut case.together);
    }
    case.half_us.add(delays.quantile(0.5));
    case.ninety_us.add(delays.quantile(0.9));
    case.all_us.add(delays.quantile(1.0));
}

fn place(directory: &Path, pod: usize) -> std::path::PathBuf {
    directory.join(format!("pod-{pod}"))
}

/// When SIGTERM has reached the helpers of the next so many sidecars, by the process of the sidecar.
fn told(from_helpers: &mut PipeReader, number: usize) -> HashMap<u32, u64> {
    (0..number)
        .map(|_| {
            let whose = u32::try_from(pair::stamp(from_helpers)).expect("a process");
            (whose, pair::stamp(from_helpers))
        })
        .collect()
}

impl Job {
    /// Lets the job end, and returns when that was, by its own word; its wrapper has ended, too.
    fn end(mut self, from_jobs: &mut PipeReader) -> u64 {
        drop(self.held.take());
        let end = pair::stamp(from_jobs);
        self.wrapper.wait().expect("the end of main");
        end
    }
}

impl Sidecar {
    /// Waits until whatever is to tell it of the end is there, and finds out what that is. In exeunt both the watch and the
    /// wait for the lock have a thread of their own.
    fn comes_to_rest(&mut self, kind: Kind) {
        let of_process = |what: &str| std::fs::read_dir(format!("/proc/{}/{what}", self.process.id()));
        let threads = || of_process("task").map_or(0, Iterator::count);
        let wanted = if kind == Kind::Exeunt { 2 } else { 1 };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !(pair::is_asleep(self.process.id()) && threads() == wanted) {
            let number = threads();
            assert!(
                Instant::now() < deadline,
                "a sidecar is not at rest after a minute; its threads: {number} of {wanted}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let descriptors = of_process("fd").into_iter().flatten().flatten();
        let is_watch = |path: std::path::PathBuf| path.to_string_lossy().contains("inotify");
        self.watches = descriptors.filter_map(|file| file.path().read_link().ok()).any(is_watch);
    }

    /// Waits for its end, and counts what that has cost.
    fn goes(self, before: f64, groups: &mut Groups) {
        groups.of(self.watches).cpu_us.add(cpu_us_at_the_end(&self.process) - before);
    }
}

pub fn show(raw: &Raw) -> Section {
    let ours = raw.cases.iter().find(|case| case.kind == Kind::Exeunt);
    let of_ours = |value: fn(&Case) -> f64| ours.map_or(f64::NAN, value);
    let bar = |what, most, measured| Bar { what, most, measured, unit: "ms" };
    let bars = vec![
        bar(
            "1,000 sidecars, 128 watches: one job ends, its sidecar's SIGTERM, the worse median of watch and lock",
            10.0,
            of_ours(|case| case.apart.watching.stop_us.median().max(case.apart.waiting.stop_us.median())) / 1000.0,
        ),
        bar("the same, the job of 600 ends: half of them told", 10.0, of_ours(|case| case.half_us.median()) / 1000.0),
        bar(
            "the same, the last one told, of all jobs and rounds",
            1200.0,
            of_ours(|case| {
                let last = [&case.apart.watching.stop_us, &case.apart.waiting.stop_us, &case.all_us];
                last.map(|samples| samples.quantile(1.0)).into_iter().fold(f64::NAN, f64::max)
            }) / 1000.0,
        ),
    ];
    if let Some(trouble) = &raw.trouble {
        let title = format!("No user namespace with few inotify instances: {trouble}.");
        return Section {
            tables: vec![Table { title, head: Vec::new(), rows: Vec::new() }],
            bars,
            ..Section::default()
        };
    }
    let together = raw.together();
    let title = format!("Part of {together} sidecars told, against the time since the end of their job");
    Section {
        tables: vec![apart(raw), at_once(raw)],
        plots: vec![Plot { name: "crowd", svg: drawn(raw, &title), says: title }],
        bars,
    }
}

fn apart(raw: &Raw) -> Table {
    let (sidecars, watches, jobs) = (raw.sidecars, raw.watches, raw.sidecars - raw.together() + 1);
    let rows = raw.cases.iter().flat_map(|case| {
        let row = move |what: &str, group: &Group| {
            let stop = [0.5, 0.9, 0.99, 1.0].map(|part| short(group.stop_us.quantile(part)));
            let head = [format!("{}, {what}", case.kind.name()), group.stop_us.count().to_string()];
            [head.to_vec(), stop.to_vec(), vec![short(group.cpu_us.median())]].concat()
        };
        [row("by its watch", &case.apart.watching), row("by the lock", &case.apart.waiting)]
    });
    Table {
        title: format!(
            "{sidecars} sidecars of {jobs} jobs, {watches} watches. The jobs of one sidecar each end one after another, the \
             others idle; µs from the job's last instant to SIGTERM, by what has told the sidecar:"
        ),
        head: vec!["", "ends", "median", "p90", "p99", "most", "CPU: goodbye"],
        rows: rows.collect(),
    }
}

fn at_once(raw: &Raw) -> Table {
    let rows = raw.cases.iter().map(|case| {
        let milliseconds = |value: f64| short(value / 1000.0);
        let Groups { watching, waiting } = &case.together;
        let times = [
            case.half_us.median(),
            case.ninety_us.median(),
            case.all_us.median(),
            case.all_us.quantile(1.0),
            watching.stop_us.median(),
            waiting.stop_us.median(),
        ];
        let cpu = [watching.cpu_us.median(), waiting.cpu_us.median()].map(short);
        let head = [case.kind.name().to_owned(), case.half_us.count().to_string()];
        [head.to_vec(), times.map(milliseconds).to_vec(), cpu.to_vec()].concat()
    });
    Table {
        title: format!(
            "Then the job of {} ends, and all of them at once; ms from its last instant to SIGTERM, medians of the rounds; \
             CPU, in µs, is what one sidecar needs for its goodbye:",
            raw.together()
        ),
        head: vec![
            "",
            "rounds",
            "half told",
            "90 %",
            "all",
            "all: the worst round",
            "by their watch: median",
            "by the lock: median",
            "CPU: watch",
            "CPU: lock",
        ],
        rows: rows.collect(),
    }
}

fn drawn(raw: &Raw, title: &str) -> String {
    let lines: Vec<_> = raw
        .cases
        .iter()
        .flat_map(|case| {
            let line = |what: &str, is_dashed, group: &Group| {
                let point =
                    |percent: u32| (group.stop_us.quantile(f64::from(percent) / 100.0) / 1000.0, f64::from(percent));
                let name = format!("{}, {what}", case.kind.name());
                Line { name, look: case.kind.look(), is_dashed, points: (0..=100).map(point).collect() }
            };
            [line("watch", false, &case.together.watching), line("lock", true, &case.together.waiting)]
        })
        .collect();
    let about = Lines { title, across: "ms", up: "%", scales: (Scale::Linear, Scale::Linear), limit: None };
    plot::lines(&about, &lines)
}
