//! The gate, `--wait-for`: the command starts when all conditions hold. Whoever waits is an init all the while.

mod house;
mod stand_in;

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use house::{EXEUNT, House, PATIENCE, Process, Run, proc, wait_for, wait_until};
use stand_in::{Answer, Server, closed_port};

const MODES: [&str; 2] = ["main", "sidecar"];

/// A command that leaves a file behind if it is ever started, says "ready" and ends with 0.
fn command(house: &House, run: Run) -> Run {
    run.args(["--", "sh", "-c", "echo >\"$0\"; echo ready"]).arg(started(house))
}

fn started(house: &House) -> PathBuf {
    house.path("started")
}

/// A condition, written as a person would, and what the file is that makes it hold.
fn file(house: &House, name: &str) -> (String, PathBuf) {
    let path = house.path(name);
    (format!("file://{}", path.display()), path)
}

/// Nobody reads while it runs, and a pipe has an end.
#[test]
fn an_exec_condition_may_say_as_much_as_it_likes() {
    let house = House::new();
    let loud = |code: u8| format!("exec:sh -c 'dd if=/dev/zero bs=1024 count=1024 >&2; exit {code}'");
    for mode in MODES {
        house.anew();
        let run = house.run(EXEUNT).args(["--mode", mode, "--dir"]).arg(house.pod("")).args(["--wait-for", &loud(0)]);
        let mut run = command(&house, run).finish();
        assert_eq!(run.code(), 0, "{mode}: {}", run.err());
        assert!(started(&house).exists(), "{mode}");
    }
    house.anew();
    let run = house.main().args(["--wait-timeout", "1s", "--wait-for", &loud(3)]);
    let mut run = command(&house, run).finish();
    assert_eq!(run.code(), 124);
    assert!(
        run.err().ends_with("': exit code 3; given up after 1s (--wait-timeout); sh is not started\n"),
        "{}",
        run.err()
    );
}

/// An `exec:` condition that never comes back, and the pid of its command.
struct Hanging {
    condition: String,
    note: PathBuf,
}

impl Hanging {
    fn new(house: &House) -> Self {
        let note = house.path("hanging");
        Self { condition: format!("exec:sh -c 'echo $$ >{}; exec sleep 1000'", note.display()), note }
    }

    fn pid(&self) -> i32 {
        wait_for("the probe's command to run", PATIENCE, || fs::read_to_string(&self.note).ok()?.trim().parse().ok())
    }
}

/// The probes that a process has running.
fn probes(process: &Process) -> Vec<i32> {
    proc::children(process.pid)
        .into_iter()
        .filter(|pid| proc::exe(*pid).is_some_and(|exe| exe.ends_with("exeunt")))
        .collect()
}

#[track_caller]
fn was_not_started(house: &House, process: &Process) {
    assert!(!started(house).exists(), "the command was started: {}", process.err());
    assert!(process.out().is_empty(), "the command was started: {}", process.out());
}

#[test]
fn the_command_starts_when_every_condition_holds_and_not_before() {
    for mode in MODES {
        let house = House::new();
        let server = Server::new(|_| Answer::Status(503, ""));
        let (there, file) = file(&house, "there");
        let socket = house.path("socket");
        let port = closed_port();
        let conditions = [
            server.url("/ready"),
            format!("tcp://127.0.0.1:{port}"),
            format!("unix://{}", socket.display()),
            there,
            format!("exec:test -e {}", house.path("other").display()),
            "proxy".to_owned(),
        ];
        let run = conditions.iter().fold(house.mode(mode), |run, condition| run.args(["--wait-for", condition]));
        let mut process = command(&house, run).start();

        // Each is made to hold in its turn; that the gate has stayed shut is shown by the probes that come after.
        let mut kept = Vec::new();
        let steps: [&mut dyn FnMut(); 6] = [
            &mut || server.answers(|_| Answer::Status(200, "")),
            &mut || kept.push(TcpListener::bind(("127.0.0.1", port)).expect("the port to be still free")),
            &mut || std::mem::forget(UnixListener::bind(&socket).expect("the socket")),
            &mut || fs::write(&file, "").unwrap(),
            &mut || fs::write(house.path("other"), "").unwrap(),
            &mut || {
                std::mem::forget(house.life("proxy", |_| {}));
                fs::write(house.pod("proxy-ready"), "").unwrap();
            },
        ];
        for (number, step) in steps.into_iter().enumerate() {
            was_not_started(&house, &process);
            step();
            if number < 4 {
                let before = server.asked().len();
                wait_until("two more probes", || server.asked().len() >= before + 2);
            }
        }
        process.ready();
        assert_eq!(process.code(), 0, "{mode}: {}", process.err());
    }
}

/// What is ready already at the start is waited for in vain: karlkfi/kubexit#6.
#[test]
fn conditions_that_hold_already_cost_no_second() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(200, ""));
    let begun = Instant::now();
    let run = house.main().args(["--wait-for", &server.url("/"), "--wait-for", "file:///dev/null"]);
    assert_eq!(command(&house, run).finish().code(), 0);
    assert_eq!(server.asked(), ["GET /"]);
    assert!(begun.elapsed() < Duration::from_secs(2), "it took {:?}", begun.elapsed());
}

#[test]
fn the_job_s_code_is_the_exit_code_after_a_wait_too() {
    let house = House::new();
    let (condition, _) = file(&house, "pod");
    let mut run = house.main().args(["--wait-for", &condition, "--", "sh", "-c", "exit 7"]).finish();
    assert_eq!((run.code(), house.record("main-job-terminated")["exit_code"].as_u64()), (7, Some(7)));
}

// --- signals

/// kubexit logs the signal, goes on waiting, and then starts the command after all.
#[test]
fn every_signal_that_ends_a_process_ends_the_wait_and_the_command_is_never_started() {
    for (mode, name) in [("main", "main-job"), ("sidecar", "proxy")] {
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGALRM, 34, 64] {
            let house = House::new();
            let (condition, file) = file(&house, "there");
            let run = house.mode(mode).args(["--name", name, "--wait-for", &condition]);
            let mut process = command(&house, run).start();
            house.appears(&format!("{name}-running"));
            process.signal(signal);
            assert_eq!(process.code(), 128 + signal, "{mode}: {}", process.err());
            fs::write(file, "").unwrap();
            was_not_started(&house, &process);
            let record = house.record(&format!("{name}-terminated"));
            assert_eq!(record["exit_code"].as_u64(), Some(128 + signal as u64), "{mode}: {record}");
        }
    }
}

/// The same while somebody else is asked and does not answer: every kind of wait.
#[test]
fn a_signal_ends_every_kind_of_wait_at_once() {
    let silent = Server::new(|_| Answer::Silence);
    for mode in MODES {
        for kind in ["http", "tcp", "exec", "name"] {
            let house = House::new();
            let hanging = Hanging::new(&house);
            let condition = match kind {
                "http" => silent.url("/"),
                "tcp" => format!("tcp://127.0.0.1:{}", closed_port()),
                "exec" => hanging.condition.clone(),
                _ => "proxy".to_owned(),
            };
            let asked = silent.asked().len();
            let mut process = command(&house, house.mode(mode).args(["--name", "x", "--wait-for", &condition])).start();
            house.appears("x-running");
            match kind {
                "http" => wait_until("the server to be asked", || silent.asked().len() > asked),
                "exec" => drop(hanging.pid()),
                _ => {}
            }
            let begun = Instant::now();
            process.signal(libc::SIGTERM);
            assert_eq!(process.code(), 143, "{mode} {kind}: {}", process.err());
            was_not_started(&house, &process);
            assert!(begun.elapsed() < Duration::from_secs(4), "{mode} {kind}: it took {:?}", begun.elapsed());
        }
    }
}

/// The worst moment: the signal and the condition in the same instant. kubexit starts its child in 12 of 12 runs.
#[test]
fn of_a_signal_and_a_condition_in_the_same_instant_the_signal_counts_in_12_of_12_runs() {
    for mode in MODES {
        for round in 0..12 {
            let house = House::new();
            let (condition, path) = file(&house, "there");
            let run = house.mode(mode).args(["--name", "x", "--wait-for", &condition]);
            let mut process = command(&house, run).start();
            house.appears("x-running");
            // It sees neither before it is continued.
            process.signal(libc::SIGSTOP);
            wait_until("exeunt to be stopped", || proc::state(process.pid) == Some('T'));
            if round % 2 == 0 {
                fs::write(&path, "").unwrap();
                process.signal(libc::SIGTERM);
            } else {
                process.signal(libc::SIGTERM);
                fs::write(&path, "").unwrap();
            }
            process.signal(libc::SIGCONT);
            assert_eq!(process.code(), 143, "{mode}, round {round}: {}", process.err());
            was_not_started(&house, &process);
        }
    }
}

#[test]
fn of_a_signal_and_a_probe_that_succeeds_in_the_same_instant_the_signal_counts() {
    for mode in MODES {
        let house = House::new();
        let condition =
            format!("exec:sh -c 'echo >{}; read line <{}'", house.path("asked").display(), house.path("cue").display());
        let mut process = command(&house, house.mode(mode).args(["--wait-for", &condition])).start();
        wait_until("the probe to run", || house.path("asked").exists());
        let probe = *probes(&process).first().expect("a probe");
        process.signal(libc::SIGSTOP);
        wait_until("exeunt to be stopped", || proc::state(process.pid) == Some('T'));
        house.cue(0);
        wait_until("the probe to have ended", || proc::state(probe) == Some('Z'));
        process.signal(libc::SIGTERM);
        process.signal(libc::SIGCONT);
        assert_eq!(process.code(), 143, "{mode}: {}", process.err());
        was_not_started(&house, &process);
    }
}

#[test]
fn of_the_job_s_end_and_a_probe_that_succeeds_in_the_same_instant_the_job_s_end_counts() {
    // Whether the watch or the probe is heard first is chance.
    for round in 0..8 {
        let house = House::new();
        let (asked, cue) = (house.path("asked"), house.path("cue"));
        let condition = format!("exec:sh -c 'echo >{}; read line <{}'", asked.display(), cue.display());
        let mut process = command(&house, house.sidecar().args(["--wait-for", &condition])).start();
        wait_until("the probe to run", || asked.exists());
        let probe = *probes(&process).first().expect("a probe");
        process.signal(libc::SIGSTOP);
        wait_until("exeunt to be stopped", || proc::state(process.pid) == Some('T'));
        house.cue(0);
        wait_until("the probe to have ended", || proc::state(probe) == Some('Z'));
        fs::write(house.pod("main-job-terminated"), "").unwrap();
        process.signal(libc::SIGCONT);
        assert_eq!(process.code(), 0, "round {round}: {}", process.err());
        was_not_started(&house, &process);
    }
}

/// As in a terminal that is resized while the proxy is waited for.
#[test]
fn a_signal_that_ends_nobody_does_not_end_the_wait() {
    for mode in MODES {
        let house = House::new();
        let (condition, path) = file(&house, "there");
        let mut process = command(&house, house.mode(mode).args(["--name", "x", "--wait-for", &condition])).start();
        house.appears("x-running");
        for signal in [libc::SIGWINCH, libc::SIGCONT, libc::SIGURG, libc::SIGCHLD] {
            process.signal(signal);
        }
        fs::write(path, "").unwrap();
        process.ready();
        assert_eq!(process.code(), 0, "{mode}: {}", process.err());
    }
}

// --- the init

#[test]
fn orphans_are_reaped_while_a_condition_is_waited_for() {
    for mode in MODES {
        let house = House::new();
        // The probe's command leaves a daemon behind that ends when it is told.
        let line = "[ -e $0 ] || setsid sh -c \"echo \\$\\$ >$0; read code <$CUE\" & exit 1";
        let condition = format!("exec:sh -c '{line}' {}", house.path("orphan").display());
        let mut process = command(&house, house.mode(mode).args(["--wait-for", &condition])).start();
        let orphan =
            wait_for("the orphan", PATIENCE, || fs::read_to_string(house.path("orphan")).ok()?.trim().parse().ok());
        wait_until("exeunt to have adopted the orphan", || proc::parent(orphan) == Some(process.pid));
        house.cue(0);
        wait_until("the orphan to be reaped", || proc::state(orphan).is_none());
        assert!(process.try_ended().is_none(), "the wait has ended: {}", process.err());
        was_not_started(&house, &process);
        process.signal(libc::SIGTERM);
        assert_eq!(process.code(), 143);
    }
}

#[test]
fn a_probe_takes_nothing_from_the_command_s_standard_input() {
    let house = House::new();
    fs::write(house.path("input"), "the first line\n").unwrap();
    let input = File::open(house.path("input")).unwrap();
    let run = house.main().args(["--wait-for", "exec:sh -c 'read line; exit 0'", "--", "cat"]).stdin(input);
    let mut run = run.finish();
    assert_eq!((run.code(), run.out()), (0, "the first line\n".to_owned()), "{}", run.err());
}

#[test]
fn a_probe_runs_where_exeunt_was_started_with_its_environment_and_as_an_ordinary_process() {
    let house = House::new();
    fs::write(house.path("here"), "").unwrap();
    let line = r#"test -e here && test "$WORD" = said && grep -q "^SigBlk:.0*$" /proc/self/status"#;
    let condition = format!("exec:sh -c '{line}'");
    let run = house.main().args(["--wait-timeout", "5s", "--wait-for", &condition]).env("WORD", "said");
    let mut run = command(&house, run.current_dir(house.path(""))).finish();
    assert_eq!(run.code(), 0, "{}", run.err());
}

// --- the end of the wait

/// A wait that times out is a panic: karlkfi/kubexit#3.
#[test]
fn when_the_time_is_up_the_code_is_124_and_the_last_answer_is_in_the_message() {
    for (mode, name) in [("main", "main-job"), ("sidecar", "proxy")] {
        let house = House::new();
        let server = Server::new(|_| Answer::Status(503, ""));
        let url = server.url("/x");
        let run = house.mode(mode).args(["--name", name, "--wait-for", &url, "--wait-timeout", "300ms"]);
        let mut process = command(&house, run).finish();
        assert_eq!(process.code(), 124, "{}", process.err());
        let said = format!("exeunt {mode}: {url}: 503; given up after 300ms (--wait-timeout); sh is not started\n");
        assert_eq!(process.err(), said);
        was_not_started(&house, &process);
        let record = house.record(&format!("{name}-terminated"));
        assert_eq!((record["exit_code"].as_u64(), record["final"].as_bool()), (Some(124), Some(true)), "{record}");
    }
}

#[test]
fn the_last_answer_is_that_of_the_condition_that_does_not_hold() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(404, ""));
    let silent = Server::new(|_| Answer::Silence);
    let (there, path) = file(&house, "there");
    fs::write(path, "").unwrap();
    let (absent, _) = file(&house, "absent");
    let refused = format!("tcp://127.0.0.1:{}", closed_port());
    let table = [
        (
            vec!["file:///dev/null", &there, "proxy"],
            "proxy: not ready (nothing of it is there: has the other container this --name?)".to_owned(),
        ),
        (vec!["exec:true", &absent], format!("{absent}: not there")),
        (vec!["exec:sh -c 'exit 3'", &there], "exec:sh -c 'exit 3': exit code 3".to_owned()),
        (vec![&there, &refused], format!("{refused}: Connection refused (ECONNREFUSED)")),
    ];
    let (found, quiet) = (server.url("/x"), silent.url("/x"));
    let table = table.into_iter().chain([
        (vec!["exec:true", &found], format!("{found}: 404")),
        // The probe has not come back yet.
        (vec![&quiet], format!("{quiet}: no answer yet")),
    ]);
    for (conditions, said) in table {
        house.anew();
        let run = conditions.iter().fold(house.main(), |run, condition| run.args(["--wait-for", condition]));
        let mut process = command(&house, run.args(["--wait-timeout", "300ms"])).finish();
        assert_eq!(process.code(), 124, "{conditions:?}: {}", process.err());
        assert_eq!(
            process.err(),
            format!("exeunt main: {said}; given up after 300ms (--wait-timeout); sh is not started\n")
        );
    }
}

#[test]
fn an_answer_that_changes_is_said_as_it_was_last() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(404, ""));
    let run = house.main().args(["--wait-for", &server.url("/"), "--wait-timeout", "1s"]);
    let mut process = command(&house, run).start();
    wait_until("the first probe", || !server.asked().is_empty());
    server.answers(|_| Answer::Status(503, ""));
    assert_eq!(process.code(), 124);
    assert!(process.err().contains(": 503; given up after 1s"), "{}", process.err());
}

#[test]
fn with_on_failure_a_gate_that_timed_out_is_not_the_end() {
    let house = House::new();
    let options = ["--restart-policy", "on-failure", "--wait-timeout", "0", "--wait-for", "proxy"];
    let mut process = command(&house, house.main().args(options)).finish();
    assert_eq!(process.code(), 124, "{}", process.err());
    assert_eq!(house.listing(), ["main-job-running"]);
    assert_eq!(house.record("main-job-running")["final"].as_bool(), Some(false));
}

#[test]
fn a_time_of_nothing_is_one_look() {
    let house = House::new();
    let (condition, path) = file(&house, "there");
    let run = || command(&house, house.main().args(["--wait-timeout", "0", "--wait-for", &condition]));
    assert_eq!(run().finish().code(), 124);
    fs::write(path, "").unwrap();
    assert_eq!(run().finish().code(), 0);
}

#[test]
fn a_job_that_ends_while_its_sidecar_waits_ends_the_wait_with_0() {
    let house = House::new();
    let hanging = Hanging::new(&house);
    let run = house.sidecar().args(["--exit-with", "zero", "--wait-for", &hanging.condition]);
    let mut process = command(&house, run).start();
    let asked = hanging.pid();
    fs::write(house.pod("main-job-terminated"), "").unwrap();
    assert_eq!(process.code(), 0, "{}", process.err());
    was_not_started(&house, &process);
    assert!(process.err().contains("over already"), "{}", process.err());
    wait_until("the end of the probe's command", || !proc::alive(asked));
}

/// A server that never answers, or a command that never ends, is not left behind by any end of the wait.
#[test]
fn no_probe_and_no_command_of_a_probe_outlives_the_wait() {
    for mode in MODES {
        for end in ["time", "signal"] {
            let house = House::new();
            let hanging = Hanging::new(&house);
            let timeout = if end == "time" { "1s" } else { "60s" };
            let run = house.mode(mode).args(["--wait-timeout", timeout, "--wait-for", &hanging.condition]);
            let mut process = command(&house, run).start();
            let asked = hanging.pid();
            let probe = probes(&process);
            assert_eq!(probe.len(), 1, "{mode}: {probe:?}");
            if end == "signal" {
                process.signal(libc::SIGTERM);
            }
            assert_eq!(process.code(), if end == "time" { 124 } else { 143 }, "{mode}: {}", process.err());
            wait_until("the end of the probe", || !proc::alive(probe[0]));
            wait_until("the end of the probe's command", || !proc::alive(asked));
        }
    }
}

#[test]
fn a_killed_exeunt_takes_its_probe_and_the_probe_s_command_with_it() {
    let house = House::new();
    let hanging = Hanging::new(&house);
    let mut process = command(&house, house.main().args(["--wait-for", &hanging.condition])).start();
    let asked = hanging.pid();
    let probe = probes(&process);
    process.signal(libc::SIGKILL);
    process.killed_by();
    wait_until("the end of the probe", || probe.iter().all(|pid| !proc::alive(*pid)));
    wait_until("the end of the probe's command", || !proc::alive(asked));
}

#[test]
fn an_open_gate_leaves_no_probe_beside_the_command() {
    let house = House::new();
    let server = Server::new(|_| Answer::Status(200, ""));
    let run = house.sidecar().args(["--wait-for", &server.url("/"), "--wait-for", "exec:true"]);
    let process = run.command(house::scene::HELPER).start();
    let mut process = process;
    process.ready();
    assert_eq!(proc::children(process.pid).len(), 1, "the command and nobody else");
    assert_eq!(probes(&process), [0; 0]);
    process.signal(libc::SIGTERM);
    process.expect("term");
}

// --- how it waits

#[test]
fn what_is_asked_over_the_network_is_asked_gently() {
    let house = House::new();
    let times = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&times);
    let server = Server::new(move |_| {
        notes.lock().unwrap().push(Instant::now());
        Answer::Status(503, "")
    });
    let mut process = command(&house, house.main().args(["--wait-for", &server.url("/")])).start();
    wait_until("seven probes", || times.lock().unwrap().len() >= 7);
    process.signal(libc::SIGTERM);
    process.ended();
    let times = times.lock().unwrap();
    // 50 ms, 100, 200, 400, 800 and then a second: less what the first probe took longer than the seventh.
    let took = times[6] - times[0];
    assert!(took > Duration::from_millis(2300), "seven probes in {took:?}");
    assert!(took < Duration::from_secs(8), "seven probes in {took:?}");
    let first = times[2] - times[0];
    assert!(first < Duration::from_secs(1), "the first three took {first:?}");
}

#[test]
fn a_server_that_never_answers_is_asked_again_and_by_one_probe_at_a_time() {
    let house = House::new();
    let server = Server::new(|_| Answer::Silence);
    let mut process = command(&house, house.main().args(["--wait-for", &server.url("/")])).start();
    wait_until("the first probe", || server.asked().len() == 1);
    let first = probes(&process);
    assert_eq!(first.len(), 1);
    server.answers(|_| Answer::Status(200, ""));
    process.ready();
    assert_eq!(server.asked().len(), 2);
    assert!(!proc::alive(first[0]));
    assert_eq!(process.code(), 0, "{}", process.err());
}

fn watches(process: &Process) -> bool {
    proc::descriptors(process.pid).iter().any(|descriptor| descriptor.contains("inotify"))
}

/// The median of a few, so that a busy machine does not decide: a poll once a second would take half a second.
#[test]
fn a_file_and_a_name_are_watched_and_the_gate_opens_at_once() {
    for kind in ["file", "name"] {
        let mut times = Vec::new();
        for _ in 0..5 {
            let house = House::new();
            let (condition, path) = match kind {
                "file" => file(&house, "there"),
                _ => ("proxy".to_owned(), house.pod("proxy-ready")),
            };
            let _life = house.life("proxy", |_| {});
            let line = "read now rest </proc/uptime; echo $now";
            let mut process = house.main().args(["--wait-for", &condition]).command(line).start();
            wait_until("the watch", || watches(&process) && proc::state(process.pid) == Some('S'));
            let before = uptime(&fs::read_to_string("/proc/uptime").unwrap());
            fs::write(path, "").unwrap();
            times.push(uptime(&process.line()) - before);
            assert_eq!(process.code(), 0);
        }
        times.sort_by(f64::total_cmp);
        assert!(times[2] < 0.25, "{kind}: it took {times:?} seconds");
    }
}

fn uptime(text: &str) -> f64 {
    text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

#[test]
fn a_file_whose_directory_comes_later_is_found() {
    let house = House::new();
    let (condition, path) = file(&house, "later/there");
    let mut process = command(&house, house.main().args(["--name", "x", "--wait-for", &condition])).start();
    house.appears("x-running");
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
    process.ready();
}

#[test]
fn a_mark_of_an_earlier_life_does_not_open_the_gate_and_the_new_owner_s_does() {
    let house = House::new();
    fs::write(house.pod("proxy-ready"), "").unwrap();
    drop(house.life("proxy", |_| {}));
    let mut process = command(&house, house.main().args(["--wait-for", "proxy"])).start();
    house.appears("main-job-running");
    let stop = house.path("stop");
    let (condition, _) = file(&house, "serves");
    let proxy = house.sidecar().args(["--name", "proxy", "--ready-when", &condition]);
    let proxy = proxy.command("echo ready; until [ -e \"$1\" ]; do sleep 0.01; done").arg("sh").arg(&stop).start();
    let mut proxy = proxy;
    proxy.ready();
    // The stale mark went before the new life began, so the gate has been shut all the while.
    was_not_started(&house, &process);
    fs::write(house.path("serves"), "").unwrap();
    process.ready();
    assert_eq!(process.code(), 0, "{}", process.err());
    fs::write(stop, "").unwrap();
}

/// An exeunt that asks by `/proc/self/exe` needs no path to itself.
#[test]
fn a_probe_is_started_whatever_has_become_of_the_binary() {
    let house = House::new();
    let copy = house.path("copy");
    fs::copy(EXEUNT, &copy).unwrap();
    let run = house.run(&copy).args(["--mode", "main", "--dir"]).arg(house.pod(""));
    let (condition, path) = (format!("exec:test -e {}", house.path("there").display()), house.path("there"));
    let mut process = command(&house, run.args(["--wait-for", &condition])).start();
    house.appears("main-job-running");
    fs::remove_file(copy).unwrap();
    fs::write(path, "").unwrap();
    process.ready();
    assert_eq!(process.code(), 0, "{}", process.err());
}
