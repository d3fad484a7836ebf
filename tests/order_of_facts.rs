//! Facts count in the order in which they happened, and what is asked for reaches whom it is meant for, once.

mod house;
#[path = "house/init.rs"]
mod init;

use house::scene::JOB;
use house::{House, Process, Run, proc, wait_until};
use std::fs;
use std::time::{Duration, Instant};

/// A helper with the shell recipe in it ends because the job has ended: it has been stopped by that, not failed.
#[test]
fn a_helper_that_ends_because_it_saw_the_sentinel_follows_exit_with() {
    for (exit_with, code) in [("zero", 0), ("child", 9), ("main", 5)] {
        let house = House::new();
        let recipe = format!(
            "trap '' TERM; echo ready; until [ -e {} ]; do :; done; exit 9",
            house.pod("main-job-terminated").display()
        );
        let mut helper = house.sidecar().args(["--exit-with", exit_with]).command(&recipe).start();
        helper.ready();
        house.main().command("exit 5").finish().code();
        assert_eq!(helper.code(), code, "--exit-with {exit_with}: {}", helper.err());
    }
}

/// After a stall everything has happened at once: the sentinel, then SIGTERM.
#[test]
fn a_signal_that_came_after_the_end_of_the_job_does_not_decide() {
    let house = House::new();
    let mut helper = house.helper(&[]);
    let pid = helper.pid;
    helper.signal(libc::SIGSTOP);
    wait_until("it is stopped", || proc::state(pid) == Some('T'));
    house.touch("main-job-terminated");
    helper.signal(libc::SIGTERM);
    helper.signal(libc::SIGCONT);
    assert_eq!(helper.code(), 0, "{}", helper.err());
}

/// The same before anything has been started: the signal is pending when exeunt begins, and the job has been over for longer. Where
/// it is not over, the signal is what counts.
#[test]
fn a_sidecar_that_is_told_to_end_at_its_start_by_a_job_that_is_over_ends_with_0() {
    let pending = |run: Run| {
        run.hook(|| {
            init::block(1 << (libc::SIGTERM - 1));
            // SAFETY: a plain system call, to ourselves.
            init::check(unsafe { libc::raise(libc::SIGTERM) })
        })
    };
    for options in [&[][..], &["--name", "helper"], &["--wait-for", "file:///nowhere"]] {
        let house = House::new();
        let sidecar = || pending(house.sidecar().args(options).command("echo started"));
        let mut told = sidecar().finish();
        assert_eq!((told.code(), told.out()), (143, String::new()), "{options:?}: {}", told.err());
        house.touch("main-job-terminated");
        let mut over = sidecar().finish();
        assert_eq!((over.code(), over.out()), (0, String::new()), "{options:?}: {}", over.err());
        assert!(over.err().contains("is over already"), "{options:?}: {}", over.err());
    }
}

/// Long enough that it is spoken of before it is up, and for the stall to begin by then.
const TIME: Duration = Duration::from_secs(6);

/// Stalls it from now on until a time that had begun before is up, while something happens.
#[track_caller]
fn stalled_until_the_time_is_up(process: &Process, happens: impl FnOnce()) {
    process.signal(libc::SIGSTOP);
    wait_until("it is stopped", || proc::state(process.pid) == Some('T'));
    happens();
    let begun = Instant::now();
    wait_until("its time to be up", || begun.elapsed() > TIME);
    process.signal(libc::SIGCONT);
}

#[test]
fn a_gate_that_opened_before_its_time_was_up_is_open_after_a_stall() {
    let house = House::new();
    let flag = house.path("flag");
    let condition = format!("file://{}", flag.display());
    let options = ["--wait-for", &condition, "--wait-timeout", "6s"];
    let mut main = house.main().args(options).command("exit 7").start();
    main.says("gives up after 6s");
    stalled_until_the_time_is_up(&main, || fs::write(&flag, "").expect("a flag"));
    assert_eq!(main.code(), 7, "{}", main.err());
    assert!(!main.err().contains("is not started"), "{}", main.err());
}

#[test]
fn a_sigterm_that_is_held_is_not_passed_on_after_a_stall_in_which_the_job_ended() {
    let house = House::new();
    let mut helper = house.helper(&["--outlive-main=6s"]);
    helper.signal(libc::SIGTERM);
    helper.says("SIGTERM is held back");
    stalled_until_the_time_is_up(&helper, || house.touch("main-job-terminated"));
    assert_eq!(helper.code(), 0, "{}", helper.err());
    assert!(!helper.err().contains("the job is not over"), "{}", helper.err());
}

#[test]
fn a_gate_is_not_given_up_after_a_stall_in_which_the_job_ended() {
    let house = House::new();
    let options = ["--wait-for", "file:///nowhere", "--wait-timeout", "6s"];
    let mut sidecar = house.sidecar().args(options).command("echo started").start();
    sidecar.says("gives up after 6s");
    stalled_until_the_time_is_up(&sidecar, || house.touch("main-job-terminated"));
    assert_eq!((sidecar.code(), sidecar.out()), (0, String::new()), "{}", sidecar.err());
    assert!(!sidecar.err().contains("given up"), "{}", sidecar.err());
}

#[test]
fn a_helper_that_failed_after_the_end_of_the_job_does_not_decide() {
    let house = House::new();
    let mut helper = house.sidecar().command(JOB).start();
    helper.ready();
    let child = *proc::children(helper.pid).first().expect("the helper");
    helper.signal(libc::SIGSTOP);
    wait_until("it is stopped", || proc::state(helper.pid) == Some('T'));
    house.touch("main-job-terminated");
    house.cue(1);
    wait_until("the helper to have failed", || proc::state(child) == Some('Z'));
    helper.signal(libc::SIGCONT);
    assert_eq!(helper.code(), 0, "{}", helper.err());
}

/// Whoever names another stop signal has a helper that takes no notice of SIGTERM.
#[test]
fn the_stop_signal_is_sent_although_sigterm_was_passed_on_before() {
    let house = House::new();
    let line = "trap 'echo term' TERM; trap 'echo int; exit 4' INT; echo ready; while :; do sleep 0.01; done";
    let mut helper = house.sidecar().args(["--stop-signal", "INT", "--grace", "60s"]).command(line).start();
    helper.ready();
    helper.signal(libc::SIGTERM);
    helper.expect("term");
    house.touch("main-job-terminated");
    helper.expect("int");
    assert_eq!(helper.code(), 4, "{}", helper.err());
}

/// The clean-up trap that is copied everywhere: `kill -- -$$` means the script's own group (F: Stack Overflow 360201).
#[test]
fn a_script_that_signals_its_own_group_reaches_itself() {
    for line in ["kill -- -$$", "kill 0"] {
        let house = House::new();
        let line = format!("trap 'trap - TERM; {line}; sleep 0.2; echo swallowed' TERM; echo ready; sleep 60 & wait");
        let mut job = house.main().command(&line).start();
        job.ready();
        job.signal(libc::SIGTERM);
        assert_eq!(job.code(), 143, "{line}");
        assert_eq!(job.out(), "ready\n", "{line}");
    }
}

/// A code that the container's own rule repeats is not the end, and every other is.
/// Reported as kubernetes/enhancements#5308, kubernetes/kubernetes#132642.
#[test]
fn a_rule_repeats_its_codes_and_no_other() {
    let house = House::new();
    let mut helper = house.helper(&["--exit-with", "main"]);
    let main = |code: u8| house.main().args(["--restart-on", "42,43"]).command(&format!("exit {code}")).finish().code();
    assert_eq!(main(42), 42);
    assert!(!house.pod("main-job-terminated").exists());
    assert_eq!(house.record("main-job-running")["restart_on"], "42,43");
    assert!(helper.try_ended().is_none(), "{}", helper.err());
    assert_eq!(main(1), 1);
    assert_eq!(helper.code(), 1, "{}", helper.err());
}

#[test]
fn a_job_that_never_comes_is_given_up_with_124() {
    let house = House::new();
    let mut helper = house.helper(&["--absence-timeout", "300ms"]);
    assert_eq!(helper.code(), 124);
    helper.expect("term");
    helper.says("has not been there for 300ms (--absence-timeout)");
}

/// Between two looks, an attempt has come and failed: from then on the next is awaited for as long as ever.
#[test]
fn an_attempt_that_nobody_saw_alive_ends_the_absence_of_the_job() {
    let house = House::new();
    let most = Duration::from_millis(1500);
    let mut helper = house.helper(&["--absence-timeout", "1500ms", "--watch", "poll"]);
    let mut attempt = house.main().args(["--restart-policy", "on-failure"]).command("exit 1").finish();
    let ended = Instant::now();
    assert_eq!(attempt.code(), 1);
    assert_eq!(helper.code(), 124, "{}", helper.err());
    assert!(ended.elapsed() >= most, "given up {:?} after an attempt", ended.elapsed());
}

#[test]
fn a_sidecar_that_lingers_is_stopped_later_or_at_a_sigterm() {
    let house = House::new();
    let mut helper = house.helper(&["--linger", "100ms"]);
    house.touch("main-job-terminated");
    helper.expect("term");
    assert_eq!(helper.code(), 0);

    let house = House::new();
    let mut helper = house.helper(&["--linger", "10m"]);
    house.touch("main-job-terminated");
    helper.says("(--linger)");
    helper.signal(libc::SIGTERM);
    helper.expect("term");
    assert_eq!(helper.code(), 0);
}

/// Main does not wait its full time for a sidecar that is over: Tauffer-Consulting/domino#19.
#[test]
fn a_wait_for_a_name_that_is_over_ends_at_once() {
    let house = House::new();
    house.sidecar().args(["--name", "proxy"]).command("exit 1").finish().code();
    let mut main = house.main().args(["--wait-for", "proxy", "--wait-timeout", "1h"]).command("echo started").start();
    assert_eq!(main.code(), 124);
    main.says("proxy: over (exit code 1)");
    assert_eq!(main.out(), "");
}

/// While the end is written and the goodbye is said nobody is due who is not served.
#[test]
fn a_slow_goodbye_costs_no_time_of_the_processor() {
    let house = House::new();
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a server that says nothing");
    let url = format!("http://{}/", server.local_addr().expect("its address"));
    let main = house.main().args(["--ready-when", "tcp://127.0.0.1:1", "--on-exit", &url]).command("exit 7").start();
    house.appears("main-job-terminated");
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", main.pid)).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.get(11..13).map_or(0, |times| times.iter().filter_map(|time| time.parse::<u64>().ok()).sum())
    };
    // Half a second of the wait: a loop without rest would take some fifty ticks of it.
    let before = ticks();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert!(ticks() - before < 10, "{} ticks in half a second", ticks() - before);
}

/// Gone with 0, and nothing said: aws/amazon-cloudwatch-logs-for-fluent-bit#25, Yelp/dumb-init#179.
#[test]
fn a_helper_that_puts_itself_into_the_background_is_told_so() {
    let hint = "did it put itself into the background?";
    let says = |line: &str, options: &[&str]| {
        let house = House::new();
        let mut helper = house.sidecar().args(options).command(line).finish();
        assert_eq!(helper.code(), 0, "{line}");
        assert!(helper.err().contains("has ended with 0 before the job did"), "{line}: {:?}", helper.err());
        helper.err().contains(hint)
    };
    assert!(says("sleep 100 & exit 0", &[]));
    assert!(says("sleep 100 & exit 0", &["--restart", "on-failure"]));
    assert!(!says("exit 0", &[]), "it has left nobody behind");
}
