//! From the job's last instant to the sidecar's SIGTERM handler, and to the end of both wrappers, which is the Pod's.

use super::numbers::{Samples, table};
use super::{Bench, EXEUNT, now, read, roles};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const RUNS: usize = 400;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pair {
    Exeunt,
    Bare,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The job ends by itself.
    Exit,
    /// Its wrapper is killed, and the job with it: nobody says a word.
    Kill,
}

pub fn measure(bench: &mut Bench) {
    let runs = bench.runs.unwrap_or(RUNS);
    let cases = [
        ("exeunt, in memory", Pair::Exeunt, End::Exit, bench.memory.clone()),
        ("bare system calls, in memory", Pair::Bare, End::Exit, bench.memory.clone()),
        ("exeunt, on disk", Pair::Exeunt, End::Exit, bench.disk.clone()),
        ("bare system calls, on disk", Pair::Bare, End::Exit, bench.disk.clone()),
        ("exeunt, in memory, kill -9", Pair::Exeunt, End::Kill, bench.memory.clone()),
    ];
    let mut stop = vec![Samples::default(); cases.len()];
    let mut over = stop.clone();
    for round in 0..runs {
        for turn in 0..cases.len() {
            let index = (round + turn) % cases.len();
            let (_, pair, end, place) = &cases[index];
            let (to_stop, to_end) = once(*pair, *end, &place.join("play"));
            stop[index].add(to_stop);
            over[index].add(to_end);
        }
    }
    let mut rows = Vec::new();
    let mut raw = serde_json::Map::new();
    for (index, (name, ..)) in cases.iter().enumerate() {
        let cells = [&stop[index], &over[index]]
            .map(|samples| [0.5, 0.99, 1.0].map(|part| format!("{:.0}", samples.quantile(part))).to_vec());
        rows.push([vec![(*name).to_owned()], cells.concat()].concat());
        raw.insert((*name).into(), serde_json::json!({ "stop_us": stop[index].raw(), "end_us": over[index].raw() }));
    }
    table(
        &format!(
            "From the job's end to the sidecar's SIGTERM handler, and to the end of both, {runs} rounds, microseconds"
        ),
        &["", "median", "p99", "most", "end: median", "p99", "most"],
        &rows,
    );
    bench.raw.insert("goodbye".into(), raw.into());
}

/// One pair from its start to its end: microseconds to the handler, and to the end of both wrappers.
fn once(pair: Pair, end: End, directory: &Path) -> (f64, f64) {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir(directory).expect("a shared directory");
    let mut main = wrapper(pair, "main", "job", directory);
    let mut sidecar = wrapper(pair, "sidecar", "helper", directory);
    let cue = main.stdin.take();
    let (mut from_job, mut from_helper) = (main.stdout.take().expect("a pipe"), sidecar.stdout.take().expect("a pipe"));
    // Both are there, and nobody has anything to do any more.
    for ready in [&mut from_job, &mut from_helper] {
        ready.read_exact(&mut [0]).expect("a word from the command");
    }
    settle(&main);
    settle(&sidecar);

    let mut start = now();
    match end {
        End::Exit => {
            drop(cue);
            start = stamp(&mut from_job);
        }
        End::Kill => main.kill().expect("a wrapper to kill"),
    }
    let stopped = stamp(&mut from_helper);
    main.wait().expect("the end of main");
    sidecar.wait().expect("the end of the sidecar");
    let over = now();
    ((stopped - start) as f64 / 1000.0, (over - start) as f64 / 1000.0)
}

fn wrapper(pair: Pair, mode: &str, role: &str, directory: &Path) -> Child {
    let mut command = match pair {
        Pair::Exeunt => {
            let mut command = Command::new(EXEUNT);
            command.args(["--mode", mode, "--log-level", "error", "--dir"]).arg(directory);
            command.arg("--").arg(roles::program()).args([roles::FLAG, role]);
            command
        }
        Pair::Bare => roles::command(&[format!("bare-{mode}").as_ref(), directory.as_os_str()]),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a wrapper")
}

pub fn stamp(from: &mut impl Read) -> u64 {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes).expect("a time");
    u64::from_ne_bytes(bytes)
}

/// Waits until a process has been asleep for a millisecond.
pub fn settle(process: &Child) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let asleep = || {
        let stat = read(format!("/proc/{}/stat", process.id()));
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
    };
    loop {
        let before = asleep();
        std::thread::sleep(Duration::from_millis(1));
        if before && asleep() {
            return;
        }
        assert!(Instant::now() < deadline, "a wrapper is still busy after ten seconds");
    }
}
