//! From the moment at which a condition has become true to the first instant of the command that waited for it.

use super::numbers::{Samples, Section, Table, short};
use super::{Bench, EXEUNT, between, now, pair, roles};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const RUNS: usize = 200;

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Condition {
    /// `file:///…` appears.
    File,
    /// Another container says that it is ready.
    Name,
    /// Nothing has to be waited for: what starting the command costs by itself.
    Nothing,
}

#[derive(Serialize, Deserialize)]
pub struct Raw(Vec<(Condition, Samples)>);

pub fn measure(bench: &Bench) -> Raw {
    let cases = [Condition::File, Condition::Name, Condition::Nothing];
    let mut samples = cases.map(|condition| (condition, Samples::default()));
    for round in 0..bench.runs(RUNS) {
        for turn in 0..cases.len() {
            let (condition, samples) = &mut samples[(round + turn) % cases.len()];
            samples.add(once(*condition, &pair::fresh(bench.memory.join("gate"))));
        }
    }
    Raw(samples.to_vec())
}

pub fn show(raw: &Raw) -> Section {
    let rows = raw.0.iter().map(|(condition, samples)| {
        let name = match condition {
            Condition::File => "`--wait-for file://…`, from the file's creation",
            Condition::Name => "`--wait-for NAME`, from the start of NAME's helper",
            Condition::Nothing => "no gate, from the start of exeunt",
        };
        let cells = [0.5, 0.99, 1.0].map(|part| short(samples.quantile(part)));
        [vec![name.to_owned()], cells.to_vec()].concat()
    });
    let rounds = raw.0.first().map_or(0, |(_, samples)| samples.count());
    let table = Table {
        title: format!("To the first instant of the command, {rounds} rounds, µs:"),
        head: vec!["", "median", "p99", "most"],
        rows: rows.collect(),
    };
    Section { tables: vec![table], ..Section::default() }
}

/// Microseconds from the moment that the condition holds, the start of the waiting command included.
fn once(condition: Condition, directory: &Path) -> f64 {
    let cue = directory.join("cue");
    let options = match condition {
        Condition::File => vec!["--wait-for".to_owned(), format!("file://{}", cue.display())],
        Condition::Name => vec!["--wait-for".to_owned(), "proxy".to_owned()],
        Condition::Nothing => Vec::new(),
    };
    let mut start = now();
    let mut main = wrapper("main", &options, directory);
    let mut sidecar = None;
    match condition {
        Condition::File => {
            pair::settle(&[&main]);
            start = now();
            std::fs::write(&cue, "").expect("the file that is waited for");
        }
        Condition::Name => {
            pair::settle(&[&main]);
            let mut helper = wrapper("sidecar", &["--name".to_owned(), "proxy".to_owned()], directory);
            start = pair::stamp(helper.stdout.as_mut().expect("a pipe"));
            sidecar = Some(helper);
        }
        Condition::Nothing => {}
    }
    let begun = pair::stamp(main.stdout.as_mut().expect("a pipe"));
    drop(main.stdin.take());
    main.wait().expect("the end of main");
    if let Some(mut helper) = sidecar {
        drop(helper.stdin.take());
        helper.wait().expect("the end of the sidecar");
    }
    between(start, begun)
}

fn wrapper(mode: &str, options: &[String], directory: &Path) -> Child {
    let mut command = Command::new(&*EXEUNT);
    command.args(["--mode", mode, "--log-level", "error", "--dir"]).arg(directory).args(options);
    command.arg("--").arg(roles::program()).args([roles::FLAG, "stamp"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a wrapper")
}
