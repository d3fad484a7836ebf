//! What grows with the number of sidecars that wait for one job, and with the number of files beside the sentinel.

use super::numbers::{Plot, Samples, Section, Table, short};
use super::pair::{self, Kind};
use super::plot::{self, Line, Lines, Scale};
use super::{Bench, between};
use serde::{Deserialize, Serialize};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};

/// Rounds: as many as bring some three hundred sidecars, and not fewer than three.
const ENOUGH: usize = 300;
const SIDECARS: [usize; 7] = [1, 3, 10, 30, 100, 300, 1000];
const FILES: [usize; 6] = [1, 10, 100, 1000, 10_000, 100_000];
const RUNS: usize = 30;

#[derive(Serialize, Deserialize)]
pub struct Raw {
    sidecars: Vec<Case>,
    files: Vec<Case>,
}

/// What was measured at one size.
#[derive(Serialize, Deserialize)]
struct Case {
    kind: Kind,
    size: usize,
    /// From the job's end to each helper's SIGTERM handler.
    stop_us: Samples,
    /// From the job's end to the last of them.
    last_us: Samples,
    /// CPU time of one sidecar for its goodbye, its helper's included.
    goodbye_cpu_us: Samples,
    /// CPU time of one sidecar until then.
    start_cpu_us: Samples,
}

pub fn measure(bench: &Bench) -> Raw {
    let (sidecars, files) = if bench.is_short() { (&SIDECARS[..3], &FILES[..3]) } else { (&SIDECARS[..], &FILES[..]) };
    let kinds = Kind::quick(bench);
    let case = |kind: Kind, size: usize| {
        let none = Samples::default;
        Case { kind, size, stop_us: none(), last_us: none(), goodbye_cpu_us: none(), start_cpu_us: none() }
    };
    let mut raw = Raw { sidecars: Vec::new(), files: Vec::new() };
    for size in sidecars {
        let mut cases: Vec<_> = kinds.iter().map(|kind| case(*kind, *size)).collect();
        for _ in 0..bench.runs((ENOUGH / size).clamp(3, RUNS)) {
            for case in &mut cases {
                let directory = pair::fresh(bench.memory.join("growth"));
                once(bench, case, *size, &directory);
            }
        }
        raw.sidecars.extend(cases);
    }
    for size in files {
        let mut cases: Vec<_> = kinds.iter().map(|kind| case(*kind, *size)).collect();
        let directory = pair::fresh(bench.memory.join("growth"));
        for number in 0..*size {
            std::fs::write(directory.join(format!("file-{number}")), "").expect("a file");
        }
        for _ in 0..bench.runs(RUNS) {
            for case in &mut cases {
                once(bench, case, 1, &directory);
                for name in ["main-job-running", "main-job-terminated"] {
                    let _ = std::fs::remove_file(directory.join(name));
                }
            }
        }
        raw.files.extend(cases);
    }
    let _ = std::fs::remove_dir_all(bench.memory.join("growth"));
    raw
}

/// One job and so many sidecars, from their start to their end.
fn once(bench: &Bench, case: &mut Case, sidecars: usize, directory: &Path) {
    let (mut from_helpers, to_us) = std::io::pipe().expect("a pipe");
    let start = |mode, role, output: Stdio| {
        let mut command = case.kind.wrapper(bench, mode, role, directory);
        command.stdin(Stdio::piped()).stdout(output).spawn().expect("a wrapper")
    };
    let mut main = start("main", "job", Stdio::piped());
    let helpers: Vec<Child> = (0..sidecars)
        .map(|_| {
            let mut sidecar = start("sidecar", "helper", to_us.try_clone().expect("a descriptor").into());
            sidecar.stdin = None;
            sidecar
        })
        .collect();
    let mut from_job = main.stdout.take().expect("a pipe");
    from_job.read_exact(&mut [0]).expect("a word from the job");
    from_helpers.read_exact(&mut vec![0; sidecars]).expect("a word from every helper");
    let everybody: Vec<&Child> = helpers.iter().chain([&main]).collect();
    pair::settle(&everybody);
    let used = |child: &Child| super::machine::cpu_us(child.id());
    let before: Vec<f64> = helpers.iter().map(used).collect();

    drop(main.stdin.take());
    let end = pair::stamp(&mut from_job);
    let mut delays: Vec<f64> = (0..sidecars).map(|_| between(end, pair::stamp(&mut from_helpers))).collect();
    main.wait().expect("the end of main");
    for (helper, before) in helpers.iter().zip(before) {
        let after = super::machine::cpu_us_at_the_end(helper);
        case.goodbye_cpu_us.add(after - before);
        case.start_cpu_us.add(before);
    }
    delays.sort_by(f64::total_cmp);
    case.last_us.add(delays.last().copied().unwrap_or(f64::NAN));
    delays.into_iter().for_each(|delay| case.stop_us.add(delay));
}

pub fn show(raw: &Raw) -> Section {
    Section {
        tables: vec![table(&raw.sidecars, "sidecars on one job"), table(&raw.files, "files in the shared directory")],
        plots: vec![
            plot("growth-sidecars", &raw.sidecars, "The job's end to SIGTERM, against sidecars on one job", true),
            plot("growth-files", &raw.files, "The job's end to SIGTERM, against files in the shared directory", false),
        ],
        bars: Vec::new(),
    }
}

fn table(cases: &[Case], what: &'static str) -> Table {
    let rows = cases.iter().map(|case| {
        let cells = [
            short(case.stop_us.median()),
            short(case.stop_us.quantile(0.9)),
            short(case.last_us.median()),
            short(case.goodbye_cpu_us.median()),
            short(case.start_cpu_us.median()),
        ];
        let head = [case.kind.name().to_owned(), case.size.to_string(), case.last_us.count().to_string()];
        [head.to_vec(), cells.to_vec()].concat()
    });
    Table {
        title: format!("By the number of {what}, on tmpfs, µs; CPU is that of one sidecar:"),
        head: vec!["", "number", "rounds", "stop: median", "p90", "the last one", "CPU: goodbye", "CPU: until then"],
        rows: rows.collect(),
    }
}

fn plot(name: &'static str, cases: &[Case], title: &'static str, with_last: bool) -> Plot {
    let line = |kind: Kind, what: &str, is_dashed: bool, value: fn(&Case) -> f64| {
        let points =
            cases.iter().filter(|case| case.kind == kind).map(|case| (case.size as f64, value(case))).collect();
        Line { name: format!("{}, {what}", kind.name()), look: kind.look(), is_dashed, points }
    };
    let mut drawn = Vec::new();
    for kind in [Kind::Exeunt, Kind::Floor] {
        drawn.push(line(kind, "median", false, |case| case.stop_us.median()));
        if with_last {
            drawn.push(line(kind, "last one", true, |case| case.last_us.median()));
        } else {
            drawn.push(line(kind, "p90", true, |case| case.stop_us.quantile(0.9)));
        }
    }
    drawn.retain(|line| !line.points.is_empty());
    let about = Lines {
        title,
        across: if with_last { "sidecars" } else { "files" },
        up: "µs",
        scales: (Scale::Logarithmic, Scale::Logarithmic),
        limit: None,
    };
    Plot { name, says: title.to_owned(), svg: plot::lines(&about, &drawn) }
}
