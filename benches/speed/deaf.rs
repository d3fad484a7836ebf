//! How long after its start PID 1 loses a SIGTERM: the kernel drops a signal to the first process of a pid namespace that
//! neither handles nor blocks it yet, and the container runs on until it is killed.

use super::numbers::{Bar, Plot, Section, Table};
use super::peers::{self, Kind};
use super::plot::{self, Line, Lines, Scale};
use super::{Bench, between, now, reap, tiny};
use serde::{Deserialize, Serialize};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 20;
const STEP: u64 = 25;
const LAST: u64 = 700;
/// What the issue asks for.
const HEARD_AT: u64 = 150;
/// A wrapper that is still there after this has not heard the signal.
const PATIENCE: Duration = Duration::from_millis(20);

#[derive(Serialize, Deserialize)]
pub struct Raw {
    rounds: usize,
    delays_us: Vec<u64>,
    peers: Vec<One>,
    /// Why it could not be measured.
    trouble: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct One {
    name: String,
    kind: Kind,
    /// How many of the rounds, for each delay.
    lost: Vec<usize>,
}

impl One {
    /// The longest delay at which at least so many were lost.
    fn last(&self, enough: usize, delays: &[u64]) -> Option<u64> {
        self.lost.iter().zip(delays).rev().find(|(lost, _)| **lost >= enough).map(|(_, delay)| *delay)
    }
}

pub fn measure(bench: &Bench) -> Raw {
    let rounds = bench.runs(RUNS);
    let child = tiny::pause(&bench.programs);
    let peers: Vec<_> = peers::all(bench).into_iter().filter(peers::Peer::is_init).collect();
    let delays_us: Vec<u64> = (0..=LAST / STEP).map(|step| step * STEP).collect();
    let delays_us = if bench.is_short() { vec![0, HEARD_AT, LAST] } else { delays_us };
    let one = |peer: &peers::Peer| One { name: peer.name.into(), kind: peer.kind, lost: vec![0; delays_us.len()] };
    let mut raw = Raw { rounds, peers: peers.iter().map(one).collect(), delays_us, trouble: None };
    for _ in 0..rounds {
        for (at, delay) in raw.delays_us.iter().enumerate() {
            for (peer, one) in peers.iter().zip(&mut raw.peers) {
                match is_lost(peer.command(&child), *delay as f64) {
                    Ok(is_lost) => one.lost[at] += usize::from(is_lost),
                    Err(error) => {
                        println!("MISSING: no pid namespace can be made: {error}");
                        raw.trouble = Some(error.to_string());
                        return raw;
                    }
                }
            }
        }
    }
    raw
}

pub fn show(raw: &Raw) -> Section {
    if let Some(trouble) = &raw.trouble {
        return Section::missing(&format!("Not measured: no pid namespace can be made ({trouble})."));
    }
    let rows = raw.peers.iter().map(|one| {
        let cell = |enough| one.last(enough, &raw.delays_us).map_or("never".to_owned(), |delay| delay.to_string());
        vec![one.name.clone(), cell(raw.rounds.div_ceil(2)), cell(1)]
    });
    let parts = |one: &One| {
        let percent = one.lost.iter().map(|lost| 100.0 * *lost as f64 / raw.rounds as f64);
        raw.delays_us.iter().map(|delay| *delay as f64).zip(percent).collect()
    };
    let lines: Vec<_> = raw.peers.iter().map(|one| Line { name: one.name.clone(), points: parts(one) }).collect();
    let title = "A SIGTERM to PID 1 that comes so long after exec is lost";
    let about = Lines {
        title,
        across: "µs after exec",
        up: "lost, % of all rounds",
        scales: (Scale::Linear, Scale::Linear),
        limit: Some((HEARD_AT as f64, "bar")),
    };
    let at = raw.delays_us.iter().position(|delay| *delay == HEARD_AT);
    let ours = raw.peers.iter().find(|one| one.kind == Kind::Exeunt);
    let lost = ours.zip(at).map_or(f64::NAN, |(one, at)| 100.0 * one.lost[at] as f64 / raw.rounds as f64);
    Section {
        tables: vec![Table {
            title: format!("The last step of {STEP} µs after exec at which SIGTERM was lost, {} rounds:", raw.rounds),
            head: vec!["", "in half of the rounds", "in a single one"],
            rows: rows.collect(),
        }],
        plots: vec![Plot { name: "deaf", says: title.to_owned(), svg: plot::lines(&about, &lines) }],
        bars: vec![Bar { what: "SIGTERM to PID 1, 150 µs after exec: lost", most: 0.0, measured: lost, unit: "%" }],
    }
}

/// Starts a wrapper as PID 1 and asks it to end a moment after it has become itself.
fn is_lost(mut command: Command, delay: f64) -> std::io::Result<bool> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let (mut wrapper, exec) = reap::as_first(command)?;
    while between(exec, now()) < delay {
        std::hint::spin_loop();
    }
    // SAFETY: a plain system call, for a process that we have started and not waited for.
    unsafe { libc::kill(wrapper.id().cast_signed(), libc::SIGTERM) };
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if wrapper.try_wait()?.is_some() {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    // The kernel may take as long to tear a namespace down: one that is ending already keeps its code, another is killed.
    wrapper.kill()?;
    Ok(wrapper.wait()?.signal() == Some(libc::SIGKILL))
}
