//! What a wrapper costs while nothing happens: one pair, a hundred, a thousand, and the inits.

use super::machine::{cpu_us, number, read};
use super::numbers::{Bar, Plot, Samples, Section, Table, short};
use super::pair::{self, Kind};
use super::peers;
use super::plot;
use super::{Bench, tiny};
use serde::{Deserialize, Serialize};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Serialize, Deserialize)]
pub struct Raw {
    /// For how long we looked on.
    seconds: u64,
    groups: Vec<Group>,
}

/// Processes that were idle at the same time, all alike.
#[derive(Serialize, Deserialize)]
struct Group {
    name: String,
    kind: peers::Kind,
    /// How many pairs were there at the same time; none, for an init.
    pairs: usize,
    is_sidecar: bool,
    wakeups_a_minute: Samples,
    cpu_us_a_minute: Samples,
    rss_kib: Samples,
    pss_kib: Samples,
    private_kib: Samples,
    dirty_kib: Samples,
    threads: Samples,
    descriptors: Samples,
}

/// A process, and what it had used when we began to look on.
struct Idler {
    group: usize,
    process: Child,
    before: (u64, f64),
}

pub fn measure(bench: &Bench) -> Raw {
    let seconds = if bench.is_short() { 2 } else { 60 };
    let levels: &[usize] = if bench.is_short() { &[1, 3] } else { &[1, 100, 1000] };
    let mut raw = Raw { seconds, groups: Vec::new() };
    for pairs in levels {
        // The inits beside the first.
        measure_together(bench, *pairs, *pairs == 1, &mut raw);
    }
    raw
}

fn measure_together(bench: &Bench, pairs: usize, with_inits: bool, raw: &mut Raw) {
    let child = tiny::pause(&bench.programs);
    let mut idlers = Vec::new();
    let mut start = |group: usize, mut command: Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        idlers.push(Idler { group, process: command.spawn().expect("a wrapper"), before: (0, 0.0) });
    };
    for (mode, is_sidecar) in [("main", false), ("sidecar", true)] {
        let name = format!("exeunt --mode {mode}, {pairs} pair{}", if pairs == 1 { "" } else { "s" });
        let group = raw.add(name, peers::Kind::Exeunt, pairs, is_sidecar);
        for number in 0..pairs {
            let directory = bench.memory.join(format!("idle-{number}"));
            std::fs::create_dir_all(&directory).expect("a shared directory");
            let mut command = Kind::Exeunt.before(bench, mode, &directory);
            command.arg(&child);
            start(group, command);
        }
    }
    if with_inits {
        for peer in peers::all(bench).iter().filter(|peer| peer.is_init() && peer.kind != peers::Kind::Exeunt) {
            let group = raw.add(peer.name.to_owned(), peer.kind, 0, false);
            start(group, peer.command(&child));
        }
    }
    // The start is over, and the first of the slow looks.
    pair::settle(&idlers.iter().map(|idler| &idler.process).collect::<Vec<_>>());
    std::thread::sleep(Duration::from_secs(if bench.is_short() { 1 } else { 6 }));
    for idler in &mut idlers {
        idler.before = (wakeups(idler.process.id()), cpu_us(idler.process.id()));
    }
    let began = Instant::now();
    std::thread::sleep(Duration::from_secs(raw.seconds));
    // Reading a thousand processes takes its time: each is read as long after the first look as the others.
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    for idler in &idlers {
        raw.groups[idler.group].add(idler.process.id(), idler.before, minutes);
    }
    // The command goes with exeunt; the others leave theirs to be killed by the signal that they pass on.
    for idler in &idlers {
        // SAFETY: a plain system call, for a process that we have started and not waited for.
        unsafe { libc::kill(idler.process.id().cast_signed(), libc::SIGTERM) };
    }
    for mut idler in idlers {
        idler.process.wait().expect("the end of a wrapper");
    }
}

impl Raw {
    fn add(&mut self, name: String, kind: peers::Kind, pairs: usize, is_sidecar: bool) -> usize {
        let none = Samples::default;
        self.groups.push(Group {
            name,
            kind,
            pairs,
            is_sidecar,
            wakeups_a_minute: none(),
            cpu_us_a_minute: none(),
            rss_kib: none(),
            pss_kib: none(),
            private_kib: none(),
            dirty_kib: none(),
            threads: none(),
            descriptors: none(),
        });
        self.groups.len() - 1
    }
}

impl Group {
    fn add(&mut self, pid: u32, before: (u64, f64), minutes: f64) {
        let wakeups = wakeups(pid) - before.0;
        self.wakeups_a_minute.add(wakeups as f64 / minutes);
        self.cpu_us_a_minute.add((cpu_us(pid) - before.1) / minutes);
        let memory = read(format!("/proc/{pid}/smaps_rollup"));
        let kib = |key: &str| number(&memory, key) as f64;
        self.rss_kib.add(kib("Rss:"));
        self.pss_kib.add(kib("Pss:"));
        self.private_kib.add(kib("Private_Clean:") + kib("Private_Dirty:"));
        self.dirty_kib.add(kib("Private_Dirty:"));
        let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count) as f64;
        self.threads.add(count("task"));
        self.descriptors.add(count("fd"));
    }
}

/// How often the threads of a process have gone to sleep by themselves, which is how often they were woken.
fn wakeups(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.map(|thread| number(&read(thread.path().join("status")), "voluntary_ctxt_switches:")).sum()
}

pub fn show(raw: &Raw) -> Section {
    let rows = raw.groups.iter().map(|group| {
        let cells = [
            &group.rss_kib,
            &group.pss_kib,
            &group.private_kib,
            &group.dirty_kib,
            &group.threads,
            &group.descriptors,
            &group.wakeups_a_minute,
        ];
        let medians = cells.iter().map(|samples| short(samples.median()));
        let cpu = format!("{:.2}", group.cpu_us_a_minute.median() / 1000.0);
        [group.name.clone()].into_iter().chain(medians).chain([cpu]).collect()
    });
    let worst = |is_sidecar: bool, what: fn(&Group) -> &Samples| {
        let ours = raw.groups.iter().filter(|group| group.pairs > 0 && group.is_sidecar == is_sidecar);
        ours.map(|group| what(group).median()).fold(f64::NAN, f64::max)
    };
    let dirty = |group: &Group| (group.name.clone(), group.kind.look(), group.dirty_kib.median());
    let bars: Vec<_> = raw.groups.iter().map(dirty).collect();
    let title = "Private dirty memory of an idle wrapper";
    let bar = |what, most, measured, unit| Bar { what, most, measured, unit };
    let wakeups = worst(false, |group| &group.wakeups_a_minute).max(worst(true, |group| &group.wakeups_a_minute));
    Section {
        tables: vec![Table {
            title: format!(
                "Idle for {} s, medians of all processes of a kind; memory in KiB, wake-ups of all threads a minute, CPU in \
                 ms a minute:",
                raw.seconds
            ),
            head: vec!["", "RSS", "PSS", "private", "dirty", "threads", "descriptors", "wake-ups", "CPU"],
            rows: rows.collect(),
        }],
        plots: vec![Plot { name: "idle", says: title.to_owned(), svg: plot::bars(title, "KiB", &bars) }],
        bars: vec![
            bar("idle private (dirty) memory of a sidecar", 400.0, worst(true, |g| &g.dirty_kib), "KiB"),
            bar("idle private (dirty) memory of main", 250.0, worst(false, |g| &g.dirty_kib), "KiB"),
            bar("threads in main mode", 1.0, worst(false, |g| &g.threads), ""),
            bar("wake-ups a minute, of main and of a sidecar", 12.0, wakeups.floor(), ""),
        ],
    }
}
