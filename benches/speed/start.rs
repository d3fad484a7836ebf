//! From the start of the wrapper to its end, with a command that does nothing.

use super::numbers::{Samples, table};
use super::{Bench, now, peers, tiny};
use std::process::Stdio;

const RUNS: usize = 1000;

#[expect(clippy::zombie_processes, reason = "waited for by wait4(2), which tells what they have used")]
pub fn measure(bench: &mut Bench) {
    let runs = bench.runs.unwrap_or(RUNS);
    let child = tiny::no_op(&bench.memory);
    let peers = peers::all(bench);
    let mut wall = vec![Samples::default(); peers.len()];
    let mut cpu = wall.clone();
    let mut faults = wall.clone();
    for round in 0..runs {
        for turn in 0..peers.len() {
            let index = (round + turn) % peers.len();
            let mut command = peers[index].command(&child);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let before = now();
            let process = command.spawn().expect("a process");
            let usage = wait(process.id());
            wall[index].add((now() - before) as f64 / 1000.0);
            cpu[index].add(microseconds(usage.ru_utime) + microseconds(usage.ru_stime));
            faults[index].add(usage.ru_minflt as f64);
        }
    }

    let static_tini = peers.iter().position(|peer| peer.name == "tini-static").map(|index| wall[index].median());
    let mut rows = Vec::new();
    let mut raw = serde_json::Map::new();
    for (index, peer) in peers.iter().enumerate() {
        let median = wall[index].median();
        rows.push(vec![
            peer.name.to_owned(),
            format!("{median:.0}"),
            wall[index].spread(),
            format!("{:.0}", median - wall[0].median()),
            static_tini.map_or("-".to_owned(), |tini| format!("{:.2}", median / tini)),
            format!("{:.0}", cpu[index].median()),
            format!("{:.0}", faults[index].median()),
            system_calls(peer.command(&child), &bench.memory).map_or("-".to_owned(), |count| count.to_string()),
        ]);
        raw.insert(peer.name.into(), serde_json::json!({ "wall_us": wall[index].raw(), "cpu_us": cpu[index].raw() }));
    }
    table(
        &format!("Start to exit of a static command that does nothing, {runs} rounds, microseconds"),
        &["", "median", "middle half", "over alone", "x tini-static", "CPU", "page faults", "system calls"],
        &rows,
    );
    bench.raw.insert("start".into(), raw.into());
}

/// Waits for a child and returns what it and all that it has waited for have used.
fn wait(pid: u32) -> libc::rusage {
    // SAFETY: plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: writes into a live local. The child is nobody else's to wait for.
    let waited = unsafe { libc::wait4(pid.cast_signed(), std::ptr::null_mut(), 0, &raw mut usage) };
    assert_eq!(waited, pid.cast_signed(), "the process that was started");
    usage
}

fn microseconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 * 1e6 + time.tv_usec as f64
}

/// How many system calls one run makes, its command's included, where strace(1) is installed.
fn system_calls(command: std::process::Command, directory: &std::path::Path) -> Option<usize> {
    let trace = directory.join("trace");
    let mut strace = std::process::Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&trace).arg(command.get_program()).args(command.get_args());
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
    let text = std::fs::read_to_string(&trace).ok()?;
    // A call that another process interrupts is written in two lines.
    Some(text.lines().filter(|line| line.contains('(') && !line.contains(" resumed>")).count())
}
