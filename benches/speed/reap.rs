//! Orphans by the thousand: how long PID 1 takes to reap them, and how many wait for it at once.

use super::machine::read;
use super::numbers::{Bar, Section, Table, ratio, short};
use super::numbers::{Plot, Samples};
use super::peers::{self, Kind, Peer};
use super::plot::{self, Scale};
use super::{Bench, between, now, pair, roles};
use serde::{Deserialize, Serialize};
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const RUNS: usize = 9;
const ORPHANS: usize = 20_000;
/// So many become orphans at the same moment.
const LITTER: usize = 100;

#[derive(Serialize, Deserialize)]
pub struct Raw {
    orphans: usize,
    peers: Vec<One>,
    /// Why it could not be measured.
    trouble: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct One {
    name: String,
    kind: Kind,
    milliseconds: Samples,
    waiting: Samples,
    cpu_ms: Samples,
}

pub fn measure(bench: &Bench) -> Raw {
    let orphans = if bench.is_short() { ORPHANS / 100 } else { ORPHANS };
    let peers: Vec<_> = peers::all(bench).into_iter().filter(Peer::is_init).collect();
    let none = Samples::default;
    let one = |peer: &Peer| One {
        name: peer.name.into(),
        kind: peer.kind,
        milliseconds: none(),
        waiting: none(),
        cpu_ms: none(),
    };
    let mut raw = Raw { orphans, peers: peers.iter().map(one).collect(), trouble: None };
    for round in 0..bench.runs(RUNS) {
        for turn in 0..peers.len() {
            let index = (round + turn) % peers.len();
            let mut command = peers[index].command(&roles::program());
            command.args([roles::FLAG, "parent", &orphans.to_string()]);
            match once(command) {
                Ok((time, waiting, cpu)) => {
                    raw.peers[index].milliseconds.add(time / 1000.0);
                    raw.peers[index].waiting.add(waiting as f64);
                    raw.peers[index].cpu_ms.add(cpu / 1000.0);
                }
                Err(error) => {
                    println!("MISSING: no pid namespace can be made: {error}");
                    raw.trouble = Some(error.to_string());
                    return raw;
                }
            }
        }
    }
    raw
}

pub fn show(raw: &Raw) -> Section {
    let bar =
        |measured| Bar { what: "reaping orphans, median, against the best init", most: 1.2, measured, unit: "×" };
    if let Some(trouble) = &raw.trouble {
        let why = format!("Not measured: no pid namespace can be made ({trouble}).");
        return Section::missing(&why, bar(f64::NAN));
    }
    let median = |kind: Kind| {
        let medians = raw.peers.iter().filter(|one| one.kind == kind).map(|one| one.milliseconds.median());
        medians.fold(f64::NAN, f64::min)
    };
    let best = median(Kind::Init);
    let rows = raw.peers.iter().map(|one| {
        vec![
            one.name.clone(),
            short(one.milliseconds.median()),
            one.milliseconds.spread(),
            ratio(one.milliseconds.median() / best),
            short(one.cpu_ms.median()),
            short(one.waiting.median()),
            short(one.waiting.quantile(1.0)),
        ]
    });
    let rounds = raw.peers.first().map_or(0, |one| one.milliseconds.count());
    let title = format!("{} orphans, from the first one to the last one reaped", raw.orphans);
    let samples: Vec<_> = raw.peers.iter().map(|one| (one.name.clone(), one.kind.look(), &one.milliseconds)).collect();
    let svg = plot::boxes(&title, "ms", Scale::Linear, &samples);
    Section {
        tables: vec![Table {
            title: format!(
                "{title}, {rounds} rounds; CPU is PID 1's; *waiting* are orphans that PID 1 has not reaped:"
            ),
            head: vec!["", "median, ms", "p10..p90", "× best init", "CPU, ms", "most waiting: median", "most"],
            rows: rows.collect(),
        }],
        plots: vec![Plot { name: "reap", says: title, svg }],
        bars: vec![bar(median(Kind::Exeunt) / best)],
    }
}

/// Microseconds until all are reaped, the most that waited at once, and the CPU time of PID 1 in microseconds.
fn once(mut command: Command) -> std::io::Result<(f64, usize, f64)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut init = as_first(command)?;
    let mut output = init.stdout.take().expect("a pipe");
    let pid = init.id();
    // Its children are the command, which says two times, and orphans.
    let children = format!("/proc/{pid}/task/{pid}/children");
    let (start, end, most) = std::thread::scope(|scope| {
        let times = scope.spawn(move || (pair::stamp(&mut output), pair::stamp(&mut output)));
        let mut most = 0;
        while !times.is_finished() {
            most = most.max(read(&children).split_whitespace().count().saturating_sub(1));
            std::thread::sleep(Duration::from_millis(1));
        }
        let (start, end) = times.join().expect("the times of the command");
        (start, end, most)
    });
    let cpu = super::machine::cpu_us(pid);
    drop(init.stdin.take());
    init.wait()?;
    Ok((between(start, end), most, cpu))
}

/// Starts a command as the first process of a new pid namespace.
fn as_first(mut command: Command) -> std::io::Result<Child> {
    let ours = std::fs::File::open("/proc/self/ns/pid")?;
    // SAFETY: plain system calls. The next child, and no other, is the first of a new namespace.
    if unsafe { libc::unshare(libc::CLONE_NEWPID) } == -1 {
        return Err(std::io::Error::last_os_error());
    }
    let started = command.spawn();
    // SAFETY: as above.
    if unsafe { libc::setns(ours.as_raw_fd(), libc::CLONE_NEWPID) } == -1 {
        return Err(std::io::Error::last_os_error());
    }
    started
}

/// The role of the command: makes orphans, and waits until all of them are gone.
pub fn parent(orphans: usize) -> ! {
    let start = now();
    for made in (0..orphans).step_by(LITTER) {
        // SAFETY: plain system calls; the copy makes nothing but further system calls.
        unsafe {
            match libc::fork() {
                0 => litter(LITTER.min(orphans - made)),
                -1 => panic!("no further process: {}", std::io::Error::last_os_error()),
                pid => libc::waitpid(pid, std::ptr::null_mut(), 0),
            };
        }
    }
    // Nobody can be sent anything but PID 1, which does not count: the last orphan has been reaped.
    // SAFETY: a plain system call that sends nothing.
    while unsafe { libc::kill(-1, 0) } == 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
    let end = now();
    roles::say(&start.to_ne_bytes());
    roles::say(&end.to_ne_bytes());
    roles::wait_for_the_end_of_input();
    roles::leave()
}

/// Leaves so many dead children behind, made as cheaply as can be (what vfork(2) does): PID 1 is what is measured.
fn litter(size: usize) -> ! {
    extern "C" fn die(_: *mut libc::c_void) -> libc::c_int {
        roles::leave()
    }
    let mut stack = [0u128; 512];
    let top = stack.as_mut_ptr_range().end;
    for _ in 0..size {
        // SAFETY: the child has a stack of its own, and we stand still for as long as it lives.
        unsafe {
            libc::clone(die, top.cast(), libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD, std::ptr::null_mut())
        };
    }
    roles::leave()
}
