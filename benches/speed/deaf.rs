//! How long after its start PID 1 loses a SIGTERM: the kernel drops a signal to the first process of a pid namespace that
//! neither handles nor blocks it yet, and the container runs on until it is killed.

use super::machine::{self, read};
use super::numbers::{Bar, Plot, Section, Table};
use super::peers::{self, Kind};
use super::plot::{self, Line, Lines, Scale};
use super::{Bench, between, now, pair, tiny};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;
use std::time::Duration;

const RUNS: usize = 50;
const STEP: u64 = 25;
const LAST: u64 = 700;
/// The bar: a signal that comes so late must be heard.
const HEARD_AT: u64 = 150;

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
    // We count on one processor while the wrapper starts on another, and nobody else may take either of them from us: what is
    // asked is how long a start takes, and not how busy the machine is.
    machine::put_on(0, 0);
    machine::before_all_others();
    let child = tiny::pause(&bench.programs);
    let peers: Vec<_> = peers::all(bench).into_iter().filter(peers::Peer::is_init).collect();
    let delays_us: Vec<u64> = (0..=LAST / STEP).map(|step| step * STEP).collect();
    let delays_us = if bench.is_short() { vec![0, HEARD_AT, LAST] } else { delays_us };
    let one = |peer: &peers::Peer| One { name: peer.name.into(), kind: peer.kind, lost: vec![0; delays_us.len()] };
    let mut raw = Raw { rounds, peers: peers.iter().map(one).collect(), delays_us, trouble: None };
    for _ in 0..rounds {
        for (at, delay) in raw.delays_us.iter().enumerate() {
            for (peer, one) in peers.iter().zip(&mut raw.peers) {
                match is_lost(&peer.command(&child), *delay as f64) {
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
    let bar = |measured| Bar { what: "SIGTERM to PID 1, 150 µs after exec: lost", most: 0.0, measured, unit: "%" };
    if let Some(trouble) = &raw.trouble {
        let why = format!("Not measured: no pid namespace can be made ({trouble}).");
        return Section::missing(&why, bar(f64::NAN));
    }
    let rows = raw.peers.iter().map(|one| {
        let cell = |enough| one.last(enough, &raw.delays_us).map_or("never".to_owned(), |delay| delay.to_string());
        vec![one.name.clone(), cell(raw.rounds.div_ceil(2)), cell(1)]
    });
    let parts = |one: &One| {
        let percent = one.lost.iter().map(|lost| 100.0 * *lost as f64 / raw.rounds as f64);
        raw.delays_us.iter().map(|delay| *delay as f64).zip(percent).collect()
    };
    let lines: Vec<_> = raw
        .peers
        .iter()
        .map(|one| Line { name: one.name.clone(), look: one.kind.look(), is_dashed: false, points: parts(one) })
        .collect();
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
        bars: vec![bar(lost)],
    }
}

/// Starts a wrapper as PID 1 and asks it to end a moment after it has become itself.
fn is_lost(command: &Command, delay: f64) -> std::io::Result<bool> {
    let (wrapper, exec) = start(command)?;
    while between(exec, now()) < delay {
        std::hint::spin_loop();
    }
    // SAFETY: a plain system call, for a process that we have started and not waited for.
    unsafe { libc::kill(wrapper, libc::SIGTERM) };
    Ok(!ends(wrapper))
}

/// Starts a command as PID 1 of a new namespace, on the second processor, and says when it had become itself: when exec(3)
/// has closed what it does not inherit. Nobody is woken for that, because a wake-up takes as long as what is measured.
fn start(command: &Command) -> std::io::Result<(libc::pid_t, u64)> {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let words: Vec<CString> = words.map(|word| CString::new(word.as_bytes()).expect("no NUL")).collect();
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(std::ptr::null());
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let ours = std::fs::File::open("/proc/self/ns/pid")?;
    let mut ends = [0; 2];
    // SAFETY: plain system calls with live memory; the copy makes nothing but further system calls.
    let pid = unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) == -1
            || libc::unshare(libc::CLONE_NEWPID) == -1
        {
            return Err(std::io::Error::last_os_error());
        }
        let pid = libc::fork();
        if pid == 0 {
            (0..3).for_each(|descriptor| _ = libc::dup2(null.as_raw_fd(), descriptor));
            libc::signal(libc::SIGPIPE, libc::SIG_DFL);
            libc::execv(pointers[0], pointers.as_ptr());
            libc::_exit(127);
        }
        machine::put_on(1, pid);
        libc::close(ends[1]);
        libc::setns(ours.as_raw_fd(), libc::CLONE_NEWPID);
        pid
    };
    let mut byte = 0u8;
    // SAFETY: as above. Where there is only one processor, it is left to the other.
    unsafe {
        while libc::read(ends[0], (&raw mut byte).cast(), 1) == -1 {
            libc::sched_yield();
        }
        let exec = now();
        libc::close(ends[0]);
        if pid == -1 { Err(std::io::Error::other("no further process")) } else { Ok((pid, exec)) }
    }
}

/// Whether a wrapper ends of its own accord. It does not if it lies asleep above a command that does the same: whoever has a
/// signal to act on is awake, however long it takes until it may run.
fn ends(wrapper: libc::pid_t) -> bool {
    let mut status = 0;
    let mut seen_at_rest = 0;
    while seen_at_rest < 2 {
        // SAFETY: a plain system call for a child of ours, with a live local.
        if unsafe { libc::waitpid(wrapper, &raw mut status, libc::WNOHANG) } == wrapper {
            return true;
        }
        let children = read(format!("/proc/{wrapper}/task/{wrapper}/children"));
        let command = children.split_whitespace().next().map(|child| read(format!("/proc/{child}/stat")));
        let is_asleep = pair::is_asleep(wrapper.cast_unsigned());
        let is_at_rest = is_asleep && command.is_some_and(|stat| stat.contains("(pause) S"));
        seen_at_rest = if is_at_rest { seen_at_rest + 1 } else { 0 };
        std::thread::sleep(Duration::from_micros(500));
    }
    // SAFETY: as above.
    unsafe {
        libc::kill(wrapper, libc::SIGKILL);
        libc::waitpid(wrapper, &raw mut status, 0);
    }
    !(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL)
}
