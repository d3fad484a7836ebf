//! From a signal to the wrapper to the handler of its command.

use super::numbers::{Bar, Plot, Samples, Section, Table, ratio, short};
use super::peers::{self, Kind, Peer};
use super::plot::{self, Scale};
use super::{Bench, between, now, pair, roles};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::process::{Child, ChildStdout, Stdio};

const RUNS: usize = 5000;
/// So many signals for one and the same wrapper.
const LIFE: usize = 50;

#[derive(Serialize, Deserialize)]
pub struct Raw(Vec<One>);

#[derive(Serialize, Deserialize)]
struct One {
    name: String,
    kind: Kind,
    delay_us: Samples,
}

pub fn measure(bench: &Bench) -> Raw {
    let peers: Vec<_> = peers::all(bench).into_iter().filter(|peer| peer.is_init() || peer.program.is_none()).collect();
    let mut delays = vec![Samples::default(); peers.len()];
    let rounds = bench.runs(RUNS);
    // Which processors the kernel has put a wrapper and its command on decides more than anything else, and it leaves them
    // there: new ones are started again and again.
    for first in (0..rounds).step_by(LIFE) {
        let mut wrappers: Vec<_> = peers.iter().map(start).collect();
        for round in first..rounds.min(first + LIFE) {
            for turn in 0..peers.len() {
                let index = (round + turn) % peers.len();
                let (wrapper, output) = &mut wrappers[index];
                let before = now();
                signal(wrapper, libc::SIGUSR1);
                delays[index].add(between(before, pair::stamp(output)));
            }
        }
        for (wrapper, _) in &mut wrappers {
            signal(wrapper, libc::SIGTERM);
            wrapper.wait().expect("the end of a wrapper");
        }
    }
    let peers = peers.iter().zip(delays);
    Raw(peers.map(|(peer, delay_us)| One { name: peer.name.to_owned(), kind: peer.kind, delay_us }).collect())
}

pub fn show(raw: &Raw) -> Section {
    let median = |kind: Kind| {
        let medians = raw.0.iter().filter(|one| one.kind == kind).map(|one| one.delay_us.median());
        medians.fold(f64::NAN, f64::min)
    };
    let best = median(Kind::Init);
    let rows = raw.0.iter().map(|one| {
        let cells = [0.5, 0.99].map(|part| short(one.delay_us.quantile(part)));
        let ratio = ratio(one.delay_us.median() / best);
        [vec![one.name.clone()], cells.to_vec(), vec![one.delay_us.spread(), ratio]].concat()
    });
    let title = "From a signal to the wrapper to the handler of its command";
    let rounds = raw.0.first().map_or(0, |one| one.delay_us.count());
    let samples: Vec<_> = raw.0.iter().map(|one| (one.name.clone(), one.kind.look(), &one.delay_us)).collect();
    Section {
        tables: vec![Table {
            title: format!("{title}, {rounds} rounds, µs:"),
            head: vec!["", "median", "p99", "p10..p90", "× best init"],
            rows: rows.collect(),
        }],
        plots: vec![Plot {
            name: "forward",
            says: title.to_owned(),
            svg: plot::boxes(title, "µs", Scale::Linear, &samples),
        }],
        bars: vec![Bar {
            what: "forwarding a signal, median, against the best init",
            most: 1.2,
            measured: median(Kind::Exeunt) / best,
            unit: "×",
        }],
    }
}

/// A wrapper whose command is ready.
fn start(peer: &Peer) -> (Child, ChildStdout) {
    let mut command = peer.command(&roles::program());
    command.args([roles::FLAG, "echo"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut wrapper = command.spawn().expect("a wrapper");
    let mut output = wrapper.stdout.take().expect("a pipe");
    output.read_exact(&mut [0]).expect("a word from the command");
    (wrapper, output)
}

fn signal(process: &Child, signal: libc::c_int) {
    // SAFETY: a plain system call, for a process that we have started and not waited for.
    unsafe { libc::kill(process.id().cast_signed(), signal) };
}
