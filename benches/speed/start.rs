//! From the start of the wrapper to its end, with a command that does nothing.

use super::machine::{microseconds, read, usage_at_the_end};
use super::numbers::{Bar, Plot, Samples, Section, Table, count, ratio, short};
use super::peers::{self, Kind, Peer};
use super::plot::{self, Scale};
use super::{Bench, between, now, pair, tiny};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};

const RUNS: usize = 1000;

#[derive(Serialize, Deserialize)]
pub struct Raw {
    peers: Vec<One>,
    /// What counted the instructions.
    counter: Option<Counter>,
}

#[derive(Serialize, Deserialize)]
struct One {
    name: String,
    kind: Kind,
    wall_us: Samples,
    cpu_us: Samples,
    page_faults: Samples,
    instructions: Option<u64>,
    system_calls: Option<u64>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Counter {
    /// The processor's own counter, kernel and command included.
    Perf,
    /// The wrapper's, in user space.
    Callgrind,
}

#[expect(clippy::zombie_processes, reason = "waited for by wait4(2), which tells what they have used")]
pub fn measure(bench: &Bench) -> Raw {
    let child = tiny::no_op(&bench.programs);
    let peers = peers::all(bench);
    let counter = counter(&child);
    let mut measured: Vec<_> = peers
        .iter()
        .map(|peer| One {
            name: peer.name.to_owned(),
            kind: peer.kind,
            wall_us: Samples::default(),
            cpu_us: Samples::default(),
            page_faults: Samples::default(),
            instructions: counter.and_then(|counter| instructions(counter, peer, &child, &bench.memory)),
            system_calls: system_calls(peer.command(&child), &bench.memory),
        })
        .collect();
    for round in 0..bench.runs(RUNS) {
        for turn in 0..peers.len() {
            let index = (round + turn) % peers.len();
            // The volume of a Pod is empty when its containers start.
            pair::fresh(peers::shared(bench));
            let mut command = peers[index].command(&child);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let before = now();
            let process = command.spawn().expect("a process");
            let usage = usage_at_the_end(process.id());
            let one = &mut measured[index];
            one.wall_us.add(between(before, now()));
            one.cpu_us.add(microseconds(usage.ru_utime) + microseconds(usage.ru_stime));
            one.page_faults.add(usage.ru_minflt as f64);
        }
    }
    Raw { peers: measured, counter }
}

pub fn show(raw: &Raw) -> Section {
    let wall = |wanted: &str| raw.peers.iter().find(|one| one.name == wanted).map(|one| one.wall_us.median());
    let alone = wall("the command alone").unwrap_or(f64::NAN);
    let tini = wall("tini-static").unwrap_or(f64::NAN);
    let rows = raw.peers.iter().map(|one| {
        vec![
            one.name.clone(),
            short(one.wall_us.median()),
            one.wall_us.spread(),
            short(one.wall_us.median() - alone),
            ratio(one.wall_us.median() / tini),
            short(one.cpu_us.median()),
            count(one.instructions),
            short(one.page_faults.median()),
            count(one.system_calls),
        ]
    });
    let rounds = raw.peers.first().map_or(0, |one| one.wall_us.count());
    let counted = match raw.counter {
        Some(Counter::Perf) => "instructions by `perf stat`, the kernel's and the command's included",
        Some(Counter::Callgrind) => "instructions by callgrind: the wrapper's own, in user space",
        None => "instructions could not be counted",
    };
    let ours = raw.peers.iter().find(|one| one.kind == Kind::Exeunt).map_or(f64::NAN, |one| one.wall_us.median());
    let title = "Start to exit of a static command that does nothing";
    let samples: Vec<_> = raw.peers.iter().map(|one| (one.name.clone(), one.kind.look(), &one.wall_us)).collect();
    Section {
        tables: vec![Table {
            title: format!("{title}, {rounds} rounds, times in µs; {counted}:"),
            head: vec![
                "",
                "median",
                "p10..p90",
                "over alone",
                "× tini-static",
                "CPU",
                "instructions",
                "page faults",
                "system calls",
            ],
            rows: rows.collect(),
        }],
        plots: vec![Plot {
            name: "start",
            says: title.to_owned(),
            svg: plot::boxes(title, "µs", Scale::Linear, &samples),
        }],
        bars: vec![Bar {
            what: "start to exit in main mode, median, against tini-static",
            most: 0.85,
            measured: ours / tini,
            unit: "×",
        }],
    }
}

/// `command` behind the words of a tool, in silence.
fn under(tool: &[&str], command: &Command) -> Command {
    let mut traced = Command::new(tool[0]);
    traced.args(&tool[1..]).arg(command.get_program()).args(command.get_args());
    traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    traced
}

/// How many system calls one run makes, its command's included, where strace(1) is installed.
fn system_calls(command: Command, directory: &Path) -> Option<u64> {
    let trace = directory.join("trace");
    under(&["strace", "-f", "-qq", "-o", trace.to_str()?], &command).status().ok()?;
    let text = std::fs::read_to_string(&trace).ok()?;
    // A call that another process interrupts is written in two lines.
    Some(text.lines().filter(|line| line.contains('(') && !line.contains(" resumed>")).count() as u64)
}

/// The processor's counter where the machine has one, which a virtual machine often has not.
fn counter(child: &Path) -> Option<Counter> {
    if perf(&Command::new(child)).is_some() {
        return Some(Counter::Perf);
    }
    peers::find("valgrind").map(|_| Counter::Callgrind)
}

fn instructions(counter: Counter, peer: &Peer, child: &Path, directory: &Path) -> Option<u64> {
    match counter {
        Counter::Perf => perf(&peer.command(child)),
        // valgrind cannot load the command itself, which is less than a program: alone, it has no wrapper to count.
        Counter::Callgrind if peer.kind == Kind::Alone => None,
        Counter::Callgrind => callgrind(&peer.command(child), directory),
    }
}

fn perf(command: &Command) -> Option<u64> {
    let mut perf = under(&["perf", "stat", "-x,", "-e", "instructions"], command);
    let output = perf.stderr(Stdio::piped()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().find(|line| line.contains(",instructions")).and_then(|line| line.split(',').next()?.parse().ok())
}

fn callgrind(command: &Command, directory: &Path) -> Option<u64> {
    let directory = super::pair::fresh(directory.join("callgrind"));
    let file = format!("--callgrind-out-file={}/%p", directory.to_str()?);
    let mut process = under(&["valgrind", "--tool=callgrind", &file], command).spawn().ok()?;
    let pid = process.id();
    process.wait().ok()?;
    // The copy that becomes the command leaves a file of its own.
    let text = read(directory.join(pid.to_string()));
    text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok())
}
