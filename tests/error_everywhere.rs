//! Every system call that exeunt makes is made to fail, once and for ever, with every error that it could meet.
//!
//! Our failures never become the job's: before the command has been started, an error ends exeunt with 125 and one line;
//! once it runs, the job's own code comes through, the sidecar ends, and nothing spins, panics or complains twice.

mod house;
mod tracer;

use house::{House, Process, counts, proc};
use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tracer::cases::{Gate, Longest, exeunt, for_every_call, lives, stage, text};
use tracer::errors::{self, Errors, Kind};
use tracer::{Call, End, Traced, Verdict};

/// Within this a sidecar has ended when its job is over, whatever fails: it holds a slow look (5 s) and the grace period.
const BOUND: Duration = Duration::from_secs(10);
/// How many system calls more than an undisturbed run one with a fault may make, and each second of waiting may add. A
/// loop that spins makes as many in a millisecond.
const MORE_CALLS: u64 = 400;

/// A fault: at the call with number `index`, the error number `slot` of those that it can meet.
#[derive(Clone, Copy, Debug)]
struct Fault {
    index: u64,
    slot: usize,
    lasts: bool,
}

/// Carries out one fault, and tells what it was.
struct Saboteur {
    fault: Fault,
    first: Option<(Call, Kind)>,
    errno: i32,
    after: bool,
}

/// What the test hears of it.
#[derive(Default)]
struct Heard {
    /// What failed, the first time, with which errno, and how often it did.
    struck: Option<(Call, i32, u64)>,
    /// The call is there, and has no such error (any more).
    no_such_error: bool,
    /// A call that nobody has thought about.
    unknown: Option<i64>,
    /// It has asked for the job's lock, so it has seen the job.
    sighted: bool,
}

impl Heard {
    /// Nothing in the directory can be looked at, and never could: a job that cannot be seen is as good as one that is late.
    fn is_blind(&self) -> bool {
        !self.sighted && self.struck.is_some_and(|(call, ..)| call.number == libc::SYS_newfstatat)
    }
}

impl Saboteur {
    fn decide(&mut self, call: &Call, heard: &Mutex<Heard>) -> Verdict {
        let mut heard = heard.lock().expect("nobody fails while holding it");
        let asks = call.number == libc::SYS_flock && call.arguments[1] == (libc::LOCK_SH | libc::LOCK_NB) as u64;
        heard.sighted |= asks && heard.struck.is_none();
        if call.index == self.fault.index {
            let (list, after): (&[i32], bool) = match errors::of(call) {
                // The loader's calls are not ours; without them there is no program that could say anything.
                _ if !call.ours => (&[], false),
                Some(Errors::Of(list)) => (list, false),
                Some(Errors::After(list)) => (list, true),
                Some(Errors::None) => (&[], false),
                None => {
                    heard.unknown = Some(call.number);
                    (&[], false)
                }
            };
            let Some(errno) = list.get(self.fault.slot) else {
                // Nothing (more) to be tried here: the run is cut short.
                heard.no_such_error = true;
                return Verdict::Kill;
            };
            self.first = Some((*call, errors::kind(call)));
            (self.errno, self.after) = (*errno, after);
            heard.struck = Some((*call, *errno, 0));
        }
        let Some((first, errno, _)) = heard.struck else { return Verdict::Pass };
        let again = || self.fault.lasts && errors::can_last(&first, errno) && self.is_like(call);
        if call.index != self.fault.index && !again() {
            return Verdict::Pass;
        }
        if let Some((_, _, times)) = &mut heard.struck {
            *times += 1;
        }
        if self.after { Verdict::FailAfter(self.errno) } else { Verdict::Fail(self.errno) }
    }

    /// Whether a fault that lasts strikes this call as well: the same call on the same kind of descriptor.
    fn is_like(&self, call: &Call) -> bool {
        let Some((first, kind)) = self.first else { return false };
        let by_descriptor = [libc::SYS_read, libc::SYS_write, libc::SYS_close].contains(&call.number);
        let possible = match errors::of(call) {
            Some(Errors::Of(list) | Errors::After(list)) => list.contains(&self.errno),
            Some(Errors::None) | None => false,
        };
        first.number == call.number
            && possible
            && (!by_descriptor || errors::kind(call) == kind)
            // A descriptor is duplicated and asked for its flags by the same call.
            && (call.number != libc::SYS_fcntl || first.arguments[1] == call.arguments[1])
    }
}

/// One run with a fault, and what came of it.
struct Run {
    end: End,
    times: u64,
    what: String,
    /// It was memory that was refused.
    starved: bool,
    started: bool,
    err: String,
}

/// The totals of one mode.
#[derive(Default)]
struct Totals {
    injected: AtomicU64,
    refused: AtomicU64,
    longest: Longest,
    most_calls: AtomicU64,
    complaints: Mutex<Vec<String>>,
}

/// Tries every error of every call of a life: the lasting fault first, and the same for one moment where that differs.
fn every_error(mode: &str, play: impl Fn(Fault, &Mutex<Heard>, &Totals) -> Result<(), String> + Sync) -> u64 {
    let totals = Totals::default();
    let calls = for_every_call(mode, |index| {
        for slot in 0.. {
            for lasts in [true, false] {
                let heard = Mutex::new(Heard::default());
                let result = play(Fault { index, slot, lasts }, &heard, &totals);
                let heard = heard.into_inner().expect("nobody fails while holding it");
                if let Some(number) = heard.unknown {
                    let text = format!("system call {number} is not in the table of tests/tracer/errors.rs");
                    totals.complaints.lock().expect("nobody fails while holding it").push(text);
                }
                if heard.no_such_error {
                    return true;
                }
                let Some((call, errno, times)) = heard.struck else { return false };
                totals.injected.fetch_add(1, SeqCst);
                if let Err(error) = result {
                    let how = if lasts { "from then on" } else { "once" };
                    let text = format!("call {index} ({call:?}) {how}: {}: {error}", errors::name(errno));
                    eprintln!("{mode}: {text}");
                    totals.complaints.lock().expect("nobody fails while holding it").push(text);
                }
                if totals.complaints.lock().expect("nobody fails while holding it").len() >= ENOUGH {
                    return false;
                }
                if times <= 1 {
                    // It failed only once although it could have gone on: for one moment is the same run.
                    break;
                }
            }
        }
        unreachable!("a list of errors has an end");
    });
    let injected = totals.injected.into_inner();
    println!(
        "{mode}: {calls} system calls, {injected} errors injected; {} kept the command from being started; the longest wait for \
         the sidecar was {}; at most {} system calls in a life",
        totals.refused.into_inner(),
        totals.longest.say(),
        totals.most_calls.into_inner(),
    );
    let complaints = totals.complaints.into_inner().expect("nobody fails while holding it");
    assert!(
        complaints.is_empty(),
        "{} of the faults were not survived as promised:\n{}",
        complaints.len(),
        complaints.join("\n")
    );
    injected
}

#[test]
fn whatever_fails_in_main_mode_the_code_is_the_jobs_and_the_sidecar_ends() {
    let lives = lives(&["--wait-for", "exec:true", "--wait-timeout", "2s", "--group"]);
    counts::at_least("errors: main", lives.into_iter().map(errors_in_main).sum());
}

fn errors_in_main(options: &[&str]) -> u64 {
    every_error(&format!("main {options:?}"), |fault, heard, totals| {
        let house = House::new();
        let mut sidecar = house.sidecar().args(["--", "sh", "-c", "echo ready; exec sleep 1000"]).start();
        sidecar.ready();
        let words = [&["--mode", "main"], options, &["--", "sh", "-c", "echo started; exit 7"]].concat();
        let run = struck(&house, fault, heard, &words, |_, _| {})?;
        let Some(run) = run else { return Ok(()) };
        common_promises(&run, totals)?;
        if run.started {
            expect(
                run.end.status.code() == Some(7),
                || format!("exit is {} and the job's was 7", run.end.status),
                &run,
            )?;
        }
        let seen = ["main-job-running", "main-job-terminated"]
            .iter()
            .any(|file| stage(&house).iter().any(|name| name == file));
        if run.started || seen {
            sidecar_ends(&mut sidecar, &run, fault, totals)?;
        }
        Ok(())
    })
}

#[test]
fn whatever_fails_in_sidecar_mode_it_ends_with_the_job_and_not_before() {
    let lives = lives(&["--wait-for", "exec:true", "--wait-timeout", "2s", "--group", "--restart", "on-failure"]);
    counts::at_least("errors: sidecar", lives.into_iter().map(errors_in_sidecar).sum());
}

fn errors_in_sidecar(options: &[&str]) -> u64 {
    every_error(&format!("sidecar {options:?}"), |fault, heard, totals| {
        let house = House::new();
        let gate = Gate::new(&house, "gate");
        let mut main = house.main().command(&gate.job(3)).start();
        main.expect("started");
        let words = ["--mode", "sidecar", "--name", "proxy", "--grace", "300ms"];
        let words = [&words[..], options, &["--", "sh", "-c", "echo started; exec sleep 1000"]].concat();
        let (mut opened, mut blind) = (None, false);
        let run = struck(&house, fault, heard, &words, |traced, heard| {
            // Whether one of them has come is judged afterwards, when what was struck can be told.
            let begun = Instant::now();
            while !text(&house, "struck.out").contains("started") && !traced.has_ended() && begun.elapsed() < BOUND {
                std::thread::sleep(Duration::from_millis(1));
            }
            opened = Some(Instant::now());
            gate.open();
            if fault.lasts && heard.lock().expect("nobody fails while holding it").is_blind() {
                // Then at least it is the init that it always is: what ends it is a signal.
                main.code();
                blind = true;
                proc::signal(traced.pid, libc::SIGTERM);
            }
        })?;
        let Some(run) = run else { return Ok(()) };
        let code = main.code();
        expect(code == 3, || format!("the job's code became {code}"), &run)?;
        common_promises(&run, totals)?;
        if run.started {
            let opened = opened.ok_or("the gate was not opened")?;
            expect(run.end.at >= opened, || format!("it has left before its job: {}", run.end.status), &run)?;
            let code = run.end.status.code();
            let well = code == Some(0) || blind && code == Some(128 + libc::SIGTERM);
            expect(well, || format!("exit is {}, not 0", run.end.status), &run)?;
            totals.longest.note(run.end.at - opened, fault.index);
            expect(run.end.at - opened < BOUND, || format!("it took {:?} to end", run.end.at - opened), &run)?;
        }
        Ok(())
    })
}

/// Runs exeunt with a fault. None if the call, or the error, is not there.
fn struck(
    house: &House,
    fault: Fault,
    heard: &Mutex<Heard>,
    words: &[&str],
    meanwhile: impl FnOnce(&Traced, &Mutex<Heard>),
) -> Result<Option<Run>, String> {
    let mut command = exeunt(house, "struck", words.iter().copied());
    // Two places to look for the command are as good as ten.
    command.env("PATH", "/usr/bin:/bin");
    let mut saboteur = Saboteur { fault, first: None, errno: 0, after: false };
    let shared = std::sync::Arc::new(Mutex::new(Heard::default()));
    let told = std::sync::Arc::clone(&shared);
    let traced = Traced::start(command, move |call| saboteur.decide(call, &told));
    meanwhile(&traced, &shared);
    let end = traced.ended_within(2 * BOUND);
    let said = std::mem::take(&mut *shared.lock().expect("nobody fails while holding it"));
    let times = said.struck.as_ref().map_or(0, |(.., times)| *times);
    let none = said.no_such_error || said.struck.is_none();
    let what = format!("{:?}", said.struck);
    let starved = said.struck.is_some_and(|(call, ..)| call.number == libc::SYS_mmap);
    *heard.lock().expect("nobody fails while holding it") = said;
    if none {
        return Ok(None);
    }
    let err = text(house, "struck.err");
    let started = text(house, "struck.out").contains("started");
    Ok(Some(Run { end: end.map_err(|error| format!("{error}; stderr: {err}"))?, times, what, starved, started, err }))
}

/// What holds whatever has failed.
fn common_promises(run: &Run, totals: &Totals) -> Result<(), String> {
    let Run { end, err, .. } = run;
    if run.starved && !run.started && end.status.signal() == Some(libc::SIGABRT) {
        // std takes memory for its own list of threads from libc, which with musl asks the kernel for it, and Rust knows no
        // other answer to "no". Before there is a command that is a kill like any other.
        totals.refused.fetch_add(1, SeqCst);
        return Ok(());
    }
    expect(end.status.signal().is_none(), || format!("it was ended by a signal: {}", end.status), run)?;
    totals.most_calls.fetch_max(end.calls, SeqCst);
    expect(end.calls < USUAL_CALLS + MORE_CALLS, || format!("{} system calls are a busy loop", end.calls), run)?;
    // One for each thing that could not be done: a file that cannot be written, a directory that cannot be watched.
    // The command's own slowness is none of them: this machine may have a hundred others to run.
    let is_cause = |line: &&str| line.contains("warning:") && !line.contains(" (--grace); killing it with SIGKILL");
    let warnings: Vec<_> = err.lines().filter(is_cause).collect();
    let distinct: BTreeSet<_> = warnings.iter().collect();
    expect(distinct.len() == warnings.len(), || "a warning is said twice".to_owned(), run)?;
    let most = if run.times > 1 { 2 } else { 1 };
    expect(warnings.len() <= most, || format!("{} warnings for one cause", warnings.len()), run)?;
    if !run.started {
        totals.refused.fetch_add(1, SeqCst);
        let code = end.status.code().unwrap_or(-1);
        // 124: no probe could be started, or none could tell that what was waited for is there.
        expect((124..=127).contains(&code), || format!("exit is {code} and the command did not start"), run)?;
        let lines = err.lines().filter(|line| !line.contains("warning:")).count();
        expect(lines == 1, || format!("{lines} lines say why the command did not start"), run)?;
    }
    Ok(())
}

fn sidecar_ends(sidecar: &mut Process, run: &Run, fault: Fault, totals: &Totals) -> Result<(), String> {
    let deadline = run.end.at + BOUND;
    while sidecar.try_ended().is_none() {
        expect(Instant::now() < deadline, || "the sidecar goes on".to_owned(), run)?;
        std::thread::sleep(Duration::from_millis(1));
    }
    totals.longest.note(run.end.at.elapsed(), fault.index);
    let code = sidecar.code();
    expect(code == 0, || format!("the sidecar ended with {code}"), run)
}

fn expect(holds: bool, otherwise: impl FnOnce() -> String, run: &Run) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{} ({}; stderr: {})", otherwise(), run.what, run.err.trim_end())) }
}

/// With this many complaints there is no use in more.
const ENOUGH: usize = 40;
/// Somewhat more than the longest undisturbed life takes, with the C library's loader.
const USUAL_CALLS: u64 = 700;
