//! What a wrapper costs while nothing happens.

use super::numbers::table;
use super::{Bench, EXEUNT, peers, read, tiny};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const TIME: Duration = Duration::from_secs(60);

pub fn measure(bench: &mut Bench) {
    let child = tiny::pause(&bench.memory);
    let mut idlers: Vec<(String, Child)> = Vec::new();
    let start = |mut command: Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a wrapper")
    };
    for peer in peers::all(bench).into_iter().filter(|peer| peer.program.is_some()) {
        idlers.push((peer.name.to_owned(), start(peer.command(&child))));
    }
    let mut sidecar = Command::new(EXEUNT);
    sidecar.args(["--mode", "sidecar", "--dir"]).arg(bench.memory.join("pod")).arg("--").arg(&child);
    idlers.insert(1, ("exeunt --mode sidecar".to_owned(), start(sidecar)));

    // The start is over, and the first of the slow looks.
    std::thread::sleep(Duration::from_secs(2));
    let before: Vec<_> = idlers.iter().map(|(_, process)| wakeups(process.id())).collect();
    std::thread::sleep(TIME);
    let mut rows = Vec::new();
    let mut raw = serde_json::Map::new();
    for ((name, process), before) in idlers.iter().zip(before) {
        let pid = process.id();
        let wakeups = wakeups(pid) - before;
        let memory = read(format!("/proc/{pid}/smaps_rollup"));
        let kib = |key: &str| number(&memory, key);
        let private = kib("Private_Clean:") + kib("Private_Dirty:");
        let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count);
        let cells = [wakeups, kib("Rss:"), kib("Pss:"), private, count("task") as u64, count("fd") as u64];
        rows.push(std::iter::once(name.clone()).chain(cells.iter().map(u64::to_string)).collect());
        raw.insert(name.clone(), cells.to_vec().into());
    }
    for (_, mut process) in idlers {
        // The command goes with exeunt; the others leave theirs to be killed by the signal that they pass on.
        // SAFETY: a plain system call, for a process that we have started and not waited for.
        unsafe { libc::kill(process.id().cast_signed(), libc::SIGTERM) };
        process.wait().expect("the end of a wrapper");
    }
    table(
        &format!("Idle for {} s: wake-ups of all threads, memory in KiB, threads, descriptors", TIME.as_secs()),
        &["", "wake-ups", "RSS", "PSS", "private", "threads", "descriptors"],
        &rows,
    );
    bench.raw.insert("idle".into(), raw.into());
}

/// How often the threads of a process have gone to sleep by themselves, which is how often they were woken.
fn wakeups(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.map(|thread| number(&read(thread.path().join("status")), "voluntary_ctxt_switches:")).sum()
}

fn number(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
