//! From the moment at which a condition has become true to the first instant of the command that waited for it.

use super::numbers::{Samples, table};
use super::{Bench, EXEUNT, now, roles};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const RUNS: usize = 200;

#[derive(Clone, Copy)]
enum Condition {
    /// `file:///…` appears.
    File,
    /// Another container says that it is ready.
    Name,
    /// Nothing has to be waited for: what starting the command costs by itself.
    Nothing,
}

pub fn measure(bench: &mut Bench) {
    let runs = bench.runs.unwrap_or(RUNS);
    let cases = [("file://", Condition::File), ("NAME", Condition::Name), ("no gate", Condition::Nothing)];
    let mut samples = vec![Samples::default(); cases.len()];
    for round in 0..runs {
        for turn in 0..cases.len() {
            let index = (round + turn) % cases.len();
            samples[index].add(once(cases[index].1, &bench.memory.join("gate")));
        }
    }
    let mut raw = serde_json::Map::new();
    let rows: Vec<Vec<String>> = cases
        .iter()
        .zip(&samples)
        .map(|((name, _), samples)| {
            raw.insert((*name).into(), samples.raw());
            let cells = [0.5, 0.99, 1.0].map(|part| format!("{:.0}", samples.quantile(part)));
            [vec![(*name).to_owned()], cells.to_vec()].concat()
        })
        .collect();
    table(
        &format!(
            "From the condition's becoming true (for NAME: from the start of the helper; with no gate: from the start of \
             exeunt) to the command's first instant, {runs} rounds, microseconds"
        ),
        &["--wait-for", "median", "p99", "most"],
        &rows,
    );
    bench.raw.insert("gate".into(), raw.into());
}

/// Microseconds from the moment that the condition holds, the start of the waiting command included.
fn once(condition: Condition, directory: &Path) -> f64 {
    let _ = std::fs::remove_dir_all(directory);
    std::fs::create_dir(directory).expect("a shared directory");
    let cue = directory.join("cue");
    let options = match condition {
        Condition::File => vec!["--wait-for".to_owned(), format!("file://{}", cue.display())],
        Condition::Name => vec!["--wait-for".to_owned(), "proxy".to_owned()],
        Condition::Nothing => Vec::new(),
    };
    let mut start = now();
    let mut main = wrapper("main", &options, "stamp", directory);
    let mut sidecar = None;
    match condition {
        Condition::File => {
            super::goodbye::settle(&main);
            start = now();
            std::fs::write(&cue, "").expect("the file that is waited for");
        }
        Condition::Name => {
            super::goodbye::settle(&main);
            let mut helper = wrapper("sidecar", &["--name".to_owned(), "proxy".to_owned()], "stamp", directory);
            start = super::goodbye::stamp(helper.stdout.as_mut().expect("a pipe"));
            sidecar = Some(helper);
        }
        Condition::Nothing => {}
    }
    let begun = super::goodbye::stamp(main.stdout.as_mut().expect("a pipe"));
    drop(main.stdin.take());
    main.wait().expect("the end of main");
    if let Some(mut helper) = sidecar {
        drop(helper.stdin.take());
        helper.wait().expect("the end of the sidecar");
    }
    begun.saturating_sub(start) as f64 / 1000.0
}

fn wrapper(mode: &str, options: &[String], role: &str, directory: &Path) -> Child {
    let mut command = Command::new(EXEUNT);
    command.args(["--mode", mode, "--log-level", "error", "--dir"]).arg(directory).args(options);
    command.arg("--").arg(roles::program()).args([roles::FLAG, role]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a wrapper")
}
