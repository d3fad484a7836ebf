//! exeunt is killed at every system call of its life, in both modes, while its partner lives. Not a sample: every one.
//!
//! SIGKILL can come at any moment (the out-of-memory killer, `kill -9`, the kubelet after the grace period), and what
//! others can see of exeunt changes at its system calls only. So a kill before each of them is a kill at every moment.

mod house;
mod tracer;

use house::{House, Process, counts, proc, wait_for, wait_until};
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tracer::cases::{Gate, Longest, Moment, exeunt, for_every_call, kill_at, lives, stage, text};
use tracer::{Call, End, Traced, Verdict};

/// Within this a sidecar has ended when its job is over, and the command is gone when its exeunt is. Milliseconds as a
/// rule; the bound is for a loaded machine, and holds a slow look (5 s) if an event was lost.
const BOUND: Duration = Duration::from_secs(10);

/// A helper that ends at the first SIGTERM, as sh does and as sleep does.
const HELPER: [&str; 4] = ["--", "sh", "-c", "echo ready; exec sleep 1000"];

#[test]
fn main_is_killed_at_every_system_call_and_with_never_the_sidecar_ends() {
    main_is_killed_at_every_system_call("never", 3);
}

#[test]
fn main_is_killed_at_every_system_call_and_with_on_failure_the_sidecar_stays_until_the_next_attempt_has_ended() {
    main_is_killed_at_every_system_call("on-failure", 3);
}

#[test]
fn main_is_killed_at_every_system_call_of_a_passing_attempt_and_the_sidecar_ends_only_if_the_pass_has_been_published() {
    main_is_killed_at_every_system_call("on-failure", 0);
}

fn main_is_killed_at_every_system_call(policy: &str, code: u8) {
    // The address answers nobody: the goodbye is a process that has to be gone as well.
    let lives = lives(&["--wait-for", "exec:true", "--group", "--on-exit", "http://127.0.0.1:1/"]);
    let calls = lives.into_iter().map(|options| main_with_options_is_killed(policy, code, options)).sum();
    let end = if code == 0 { "passes" } else { "fails" };
    counts::at_least(&format!("killed: main, `{policy}`, a job that {end}"), calls);
}

fn main_with_options_is_killed(policy: &str, code: u8, options: &[&str]) -> u64 {
    let (longest, unseen, over) = (Longest::default(), AtomicU64::new(0), AtomicU64::new(0));
    let calls = for_every_call(&format!("main, {policy}, a job that exits with {code}"), |index| {
        let house = House::new();
        let mut sidecar = house.sidecar().args(HELPER).start();
        sidecar.ready();
        let gate = Arc::new(Gate::new(&house, "gate"));
        let job = gate.job(code);
        let words = [&["--mode", "main", "--restart-policy", policy], options, &["--", "sh", "-c", &job]].concat();
        let Some(end) = strike(&house, &words, index, &gate, i32::from(code)) else {
            // Beyond the end of the run: nothing was struck, and all went as usual.
            return false;
        };
        let told = stage(&house).contains(&"main-job-terminated".to_owned());
        let seen = told || stage(&house).contains(&"main-job-running".to_owned());
        match (policy, seen, told) {
            ("never", true, _) | ("on-failure", _, true) => {
                assert_eq!(sidecar.ended_within(BOUND).code(), Some(0), "the sidecar of a job that was killed");
                longest.note(end.at.elapsed(), index);
                over.fetch_add(1, SeqCst);
                the_next_pair_is_not_hurt(&house, policy);
            }
            // Before it has shown itself, a job that was killed cannot be told from one that has not been started. The
            // sidecar waits for it, as it must for one that is only late.
            _ => {
                if !seen {
                    unseen.fetch_add(1, SeqCst);
                }
                the_next_attempt_ends_it(&house, policy, &mut sidecar);
            }
        }
        true
    });
    println!(
        "main, {policy} {options:?}, a job that exits with {code}: killed at each of {calls} system calls; {} before it was seen, {} ended the sidecar, \
         the longest wait for that was {}",
        unseen.into_inner(),
        over.into_inner(),
        longest.say()
    );
    calls
}

#[test]
fn a_sidecar_is_killed_at_every_system_call_and_neither_its_job_nor_its_next_life_is_hurt() {
    for policy in ["never", "on-failure"] {
        let lives =
            lives(&["--wait-for", "exec:true", "--group", "--ready-when", "exec:true", "--restart", "on-failure"]);
        let calls = lives.into_iter().map(|options| sidecar_with_options_is_killed(policy, options)).sum();
        counts::at_least(&format!("killed: sidecar, `{policy}`"), calls);
    }
}

fn sidecar_with_options_is_killed(policy: &str, options: &[&str]) -> u64 {
    let longest = Longest::default();
    let calls = for_every_call(&format!("sidecar, {policy}"), |index| {
        let house = House::new();
        let gate = Arc::new(Gate::new(&house, "gate"));
        let mut main = house.main().args(["--restart-policy", "never"]).command(&gate.job(3)).start();
        main.expect("started");
        let words = ["--mode", "sidecar", "--name", "proxy", "--restart-policy", policy];
        let words = [&words[..], options, &HELPER[..]].concat();
        let reached = strike(&house, &words, index, &gate, 0).is_some();
        if reached {
            // The container is started again, whether or not the job is over by now.
            let words = ["--name", "proxy", "--restart-policy", policy];
            let mut next = house.sidecar().args(words).args(HELPER).start();
            wait_until("the next life of the sidecar to be there, or not to be needed any more", || {
                next.out().contains("ready") || next.try_ended().is_some()
            });
            gate.open();
            assert_eq!(main.code(), 3, "the job's own code, whatever becomes of a sidecar");
            let begun = Instant::now();
            assert_eq!(next.ended_within(BOUND).code(), Some(0), "the next life of the sidecar");
            longest.note(begun.elapsed(), index);
        }
        assert_eq!(main.code(), 3, "the job's own code");
        assert_eq!(stage(&house), ["main-job-terminated", "proxy-terminated"], "what is left behind");
        reached
    });
    println!(
        "sidecar, {policy} {options:?}: killed at each of {calls} system calls; the longest wait for the end of its next life was {}",
        longest.say()
    );
    calls
}

/// The negative control: an exeunt that is made to believe that it has asked for the parent-death signal.
#[test]
fn without_the_parent_death_signal_a_command_would_go_on_alone_and_would_be_found() {
    let house = House::new();
    let (mut moment, gate) = (Moment::default(), Gate::new(&house, "gate"));
    let job = gate.job(0);
    let traced = Traced::start(exeunt(&house, "struck", ["--mode", "main", "--", "sh", "-c", &job]), move |call| {
        const PR_SET_PDEATHSIG: u64 = 1;
        if call.number == libc::SYS_prctl && call.arguments[0] == PR_SET_PDEATHSIG {
            return Verdict::Fail(0);
        }
        if moment.has_come(call) { Verdict::Kill } else { Verdict::Pass }
    });
    let end = traced.ended_within(house::PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    let command = end.command.expect("a command");
    wait_until("the command to go on by itself", || text(&house, "struck.out").contains("started"));
    assert!(proc::alive(command), "nobody has told the command to end");
}

/// Kills exeunt at one system call, its partner being alive, and sees that nothing of it goes on alone. None if it has
/// ended before that call, which must have been with `code`. The gate opens when it has started its command and sleeps.
fn strike(house: &House, words: &[&str], index: u64, gate: &Arc<Gate>, code: i32) -> Option<End> {
    let (kill, opens, mut moment) = (kill_at(index), Arc::clone(gate), Moment::default());
    let traced = Traced::start(exeunt(house, "struck", words.iter().copied()), move |call: &Call| {
        let verdict = kill(call);
        if verdict == Verdict::Pass && moment.has_come(call) {
            opens.open();
        }
        verdict
    });
    let end = traced.ended_within(house::PATIENCE).unwrap_or_else(|error| panic!("{error}"));
    if end.struck.is_none() {
        assert_eq!(end.status.code(), Some(code), "undisturbed; stderr: {}", text(house, "struck.err"));
        return None;
    }
    assert_eq!(end.status.signal(), Some(libc::SIGKILL), "killed at {:?}", end.struck);
    if let Some(command) = end.command {
        let what = format!("the command of an exeunt that was killed to be gone ({:?})", end.struck);
        wait_for(&what, BOUND, || (!proc::alive(command)).then_some(()));
    }
    Some(end)
}

/// The sidecar has stayed: another attempt of the job passes, and that is what ends it.
fn the_next_attempt_ends_it(house: &House, policy: &str, sidecar: &mut Process) {
    let mut main = house.main().args(["--restart-policy", policy]).command("exit 0").start();
    assert_eq!(main.code(), 0, "the next attempt");
    assert_eq!(sidecar.ended_within(BOUND).code(), Some(0), "the sidecar after the next attempt");
    // That it has not left before is shown by what it says: it knows the code of the attempt that passed.
    sidecar.says("the job main-job is over (exit code 0)");
    assert_eq!(stage(house), ["main-job-terminated"], "what is left behind");
}

/// All have ended. A job and a sidecar that come after in the same directory find nothing that would mislead them.
fn the_next_pair_is_not_hurt(house: &House, policy: &str) {
    let gate = Gate::new(house, "next-gate");
    let mut main = house.main().args(["--restart-policy", policy]).command(&gate.job(0)).start();
    main.expect("started");
    let mut sidecar = house.sidecar().args(HELPER).start();
    sidecar.ready();
    gate.open();
    assert_eq!(main.code(), 0, "the next job");
    assert_eq!(sidecar.ended_within(BOUND).code(), Some(0), "the next sidecar");
    sidecar.says("the job main-job is over (exit code 0)");
    assert_eq!(stage(house), ["main-job-terminated"], "what is left behind");
}
