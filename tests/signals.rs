//! Signals: every one that can be forwarded is, every time; none is lost; and the command finds its own signals clean.

mod house;
#[path = "house/init.rs"]
mod init;

use house::{EXEUNT, House, Process, Run, proc, wait_until};
use init::{bit, both_modes, forwardable, queue};
use std::collections::BTreeMap;

roles! {
    fn collector() { init::collector() }
}

/// A signal after which everything sent before it has been collected: the highest, so in every set it comes last.
const MARK: i32 = 64;

/// Sends `MARK` when all that was sent to `pid` has been taken by it, and gives back what was collected until then.
fn collected(run: &mut Process, pid: i32) -> Vec<i32> {
    wait_until("no signal pending for exeunt", || proc::mask(pid, "SigPnd") | proc::mask(pid, "ShdPnd") == 0);
    queue(pid, MARK);
    let mut got = Vec::new();
    loop {
        match run.line().parse().unwrap() {
            MARK => return got,
            signal => got.push(signal),
        }
    }
}

// pid1-rs forwards TERM and INT only; tini keeps TTIN and TTOU and catatonit TSTP as well for itself (podman's issue 18095); tini
// keeps the fault signals (krallin/tini#104); dumb-init forwarded no real-time signals (its issue 70) and now reads past
// an array for them; what is built with musl's sigfillset(3) dies of signal 34.
#[test]
fn every_signal_that_can_be_forwarded_is_every_time_it_comes() {
    let house = House::new();
    for run in both_modes(&house) {
        let mut run = run.playing("collector").start();
        run.ready();
        let pid = run.pid;
        each_is_forwarded(&mut run, pid);
    }
}

/// SIGTSTP is swallowed: containers/podman#18095.
#[test]
fn every_signal_that_can_be_forwarded_is_by_pid_1_too() {
    let house = House::new();
    for run in both_modes(&house) {
        let mut run = run.playing("collector").pid_1().start();
        run.ready();
        let inner = run.inner();
        each_is_forwarded(&mut run, inner);
    }
}

/// What an init does besides (here it reaps a hundred orphans, asks probes, looks at a directory in which much happens) costs
/// its command no signal: shown by the next one that is sent, which is the first that it gets.
/// The wrapper's own SIGURG is forwarded and ends the command: redboxllc/scuttle#44, redboxllc/scuttle#46,
/// hashicorp/consul-template#1487, doitintl/secrets-init#34.
#[test]
fn no_signal_reaches_the_command_that_nobody_has_sent() {
    let house = House::new();
    for mode in ["main", "sidecar"] {
        let orphans = "i=0; while [ $i -lt 100 ]; do (true &); i=$((i + 1)); done; echo made; exec \"$@\"";
        let dir = house.path(mode);
        std::fs::create_dir_all(&dir).unwrap();
        let options = ["--mode", mode, "--name", mode, "--ready-when", "exec:false", "--until", "nobody"];
        let options = if mode == "main" { &options[..6] } else { &options[..] };
        let run = house.run(EXEUNT).arg("--dir").arg(&dir).args(options).args(["--", "sh", "-c", orphans, "sh"]);
        let mut run = run.arg(std::env::current_exe().unwrap()).env(house::role::ROLE, "collector").start();
        run.expect("made");
        run.ready();
        let before = proc::wake_ups(run.pid);
        wait_until("some probes and looks", || {
            std::fs::write(dir.join("nobody-running"), "").unwrap();
            proc::wake_ups(run.pid) >= before + 10
        });
        proc::signal(run.pid, libc::SIGUSR1);
        run.expect(&libc::SIGUSR1.to_string());
        run.signal(libc::SIGKILL);
        run.ended();
    }
}

fn each_is_forwarded(run: &mut Process, pid: i32) {
    for _ in 0..3 {
        for signal in forwardable() {
            proc::signal(pid, signal);
            // The very next line: none is doubled, none is turned into another.
            run.expect(&signal.to_string());
        }
    }
}

/// Real-time signals are not forwarded: Yelp/dumb-init#70.
#[test]
fn of_real_time_signals_that_were_queued_each_single_one_arrives() {
    let house = House::new();
    for run in both_modes(&house) {
        let mut run = run.playing("collector").start();
        run.ready();
        let pid = run.pid;
        // While it is stopped they pile up in its queue, so that it finds all of them at once.
        run.signal(libc::SIGSTOP);
        wait_until("exeunt to be stopped", || proc::state(pid) == Some('T'));
        let kinds = [32, 33, 34, 35, 40, 63];
        for _ in 0..100 {
            kinds.iter().for_each(|signal| queue(pid, *signal));
        }
        run.signal(libc::SIGCONT);
        let mut count = BTreeMap::new();
        for signal in collected(&mut run, pid) {
            *count.entry(signal).or_insert(0) += 1;
        }
        // The one that let it run on is a signal like the others.
        assert_eq!(count.remove(&libc::SIGCONT), Some(1));
        assert_eq!(count, kinds.map(|signal| (signal, 100)).into());
    }
}

#[test]
fn a_storm_of_real_time_signals_loses_none() {
    let house = House::new();
    let mut run = house.main().playing("collector").start();
    run.ready();
    let pid = run.pid;
    for _ in 0..200 {
        (34..=MARK - 1).for_each(|signal| queue(pid, signal));
    }
    let mut count = [0; 65];
    for signal in collected(&mut run, pid) {
        count[signal as usize] += 1;
    }
    assert_eq!(count[34..64], [200; 30]);
}

/// With `signal` blocked and pending from before exec: it comes before the first instruction of exeunt.
fn pending(run: Run, signals: &'static [i32]) -> Run {
    run.signals(0, !0).hook(move || {
        for signal in signals {
            // SAFETY: plain system calls.
            init::check(unsafe { libc::kill(libc::getpid(), *signal) })?;
        }
        Ok(())
    })
}

// The kernel drops a signal to a PID 1 that neither blocks nor catches it; the peers are deaf for 400 to 800 microseconds.
#[test]
fn a_signal_from_before_the_first_instruction_ends_exeunt_and_the_command_is_never_started() {
    let house = House::new();
    for (signals, code) in [(&[15][..], 143), (&[2], 130), (&[1], 129), (&[10], 138), (&[34], 162), (&[64], 192)] {
        for run in both_modes(&house) {
            let started = house.path("started");
            let mut run = pending(run.args(["--", "touch"]).arg(&started), signals).start();
            assert_eq!(run.code(), code);
            assert!(!started.exists(), "the command was started");
        }
    }
}

#[test]
fn a_signal_from_before_the_command_that_would_not_have_ended_us_is_kept_for_it() {
    let house = House::new();
    for run in both_modes(&house) {
        // A group of its own whose parent, this test, is in the same session: in a group without (an orphaned one) the
        // kernel would ignore SIGTSTP, whose default action shows that it has arrived.
        let run = run.hook(|| init::check(unsafe { libc::setpgid(0, 0) }));
        let mut run = pending(run.command("echo ready; sleep 1000"), &[libc::SIGTSTP]).start();
        let pid = run.pid;
        let child = house::wait_for("a child that is stopped", house::PATIENCE, || {
            proc::children(pid).into_iter().find(|child| proc::state(*child) == Some('T'))
        });
        run.signal(libc::SIGCONT);
        run.ready();
        assert!(proc::alive(child));
        run.signal(libc::SIGTERM);
        assert_eq!(run.code(), 143);
    }
}

// pid1-rs kills its child two seconds after SIGTERM. Whoever sends it to us has a grace period of his own: the one of
// --grace is for when we stop the command ourselves. Here it is nought, so a deadline would be over at once.
#[test]
fn a_command_that_takes_its_time_after_a_forwarded_signal_is_not_killed() {
    let house = House::new();
    for run in both_modes(&house) {
        let mut run = run.args(["--grace", "0"]).playing("collector").start();
        run.ready();
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGTERM, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1] {
            run.signal(signal);
            run.expect(&signal.to_string());
        }
    }
}

// tini exits 1 at once when kill(2) says anything but ESRCH, and as PID 1 takes the container with it: five people in
// canvas-lms#1257 met "Unexpected error when forwarding signal: 'Operation not permitted'".
#[test]
fn a_command_that_we_may_not_signal_goes_on_and_so_do_we() {
    let house = House::new();
    for (run, group) in both_modes(&house).into_iter().zip([false, true]) {
        let run = if group { run.arg("--group") } else { run };
        let (input, release) = std::io::pipe().unwrap();
        let mut run = cannot_signal(run.stdin(input)).start();
        run.ready();
        let child = proc::children(run.pid)[0];
        for signal in [libc::SIGTERM, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, 40] {
            run.signal(signal);
        }
        let pid = run.pid;
        wait_until("no signal pending for exeunt", || proc::mask(pid, "SigPnd") | proc::mask(pid, "ShdPnd") == 0);
        assert!(proc::alive(child));
        drop(release);
        assert_eq!(run.code(), 3);
    }
}

/// A command that says `ready`, waits for the end of its input and exits with 3, and that exeunt may not signal.
fn cannot_signal(run: Run) -> Run {
    const LINE: &str = "echo ready; read line; exit 3";
    // SAFETY: cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        // As in a container with all capabilities dropped but SETUID and SETGID, whose entry point gives up root.
        run.args(["--", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", LINE]).behind([
            "setpriv",
            "--bounding-set=-kill",
            "--inh-caps=-kill",
            "--",
        ])
    } else {
        // Nobody but root can have a child of another user: a filter gives the same answer to every kill(2).
        run.command(LINE).hook(refuse_kill)
    }
}

fn refuse_kill() -> std::io::Result<()> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let unless = |value: u32, skip: u8| libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: skip,
        k: value,
    };
    let load = |offset: u32| statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset);
    let answer = |answer: u32| statement(libc::BPF_RET | libc::BPF_K, answer);
    // struct seccomp_data (seccomp(2)): the number of the system call, and from byte 16 its arguments of 8 bytes each. Signal
    // 0 asks whether there is anybody, and that may be known.
    let second_argument = if cfg!(target_endian = "little") { 24 } else { 28 };
    let mut program = [
        load(0),
        unless(libc::SYS_kill as u32, 3),
        load(second_argument),
        unless(0, 2),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_ALLOW),
        answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel reads the live locals.
    unsafe {
        init::check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        init::check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter))
    }
}

// tini and catatonit hang for ever when they are started with SIGCHLD ignored: the kernel then reaps their children.
#[test]
fn an_inherited_sigchld_that_is_ignored_neither_hangs_us_nor_loses_the_code_and_stays_ignored_for_the_command() {
    let house = House::new();
    for run in both_modes(&house) {
        assert_eq!(run.signals(bit(libc::SIGCHLD), 0).command("exit 3").finish().code(), 3);
    }
    for run in both_modes(&house) {
        let mut run = run.signals(bit(libc::SIGCHLD), 0).args(["--", "cat", "/proc/self/status"]).finish();
        assert_eq!(run.code(), 0);
        assert_eq!(masks(&run)["SigIgn"], bit(libc::SIGCHLD));
    }
}

/// The signal masks in the `/proc/self/status` that a command has printed. That command is cat(1), which catches nothing
/// of its own, unlike grep(1).
fn masks(run: &Process) -> BTreeMap<String, u64> {
    let out = run.out();
    let fields = out.lines().filter_map(|line| line.split_once(":\t")).filter(|(name, _)| name.starts_with("Sig"));
    fields.filter_map(|(name, value)| Some((name.to_owned(), u64::from_str_radix(value, 16).ok()?))).collect()
}

// catatonit starts every command with TSTP, TTIN and TTOU blocked, dumb-init forgets what was ignored, pid1-rs (and whatever
// uses glibc's posix_spawn) ignores 32 and 33, and Rust's runtime ignores SIGPIPE.
#[test]
fn the_command_starts_with_nothing_blocked_nothing_caught_and_ignores_what_we_were_told_to_ignore() {
    let house = House::new();
    let everything = forwardable().chain([libc::SIGCHLD]).fold(0, |set, signal| set | bit(signal));
    let some = [1, 2, 13, 15, 17, 20, 21, 22, 32, 33, 34, 40, 64].into_iter().fold(0, |set, signal| set | bit(signal));
    for ignored in [0, bit(libc::SIGPIPE), bit(libc::SIGHUP), some, everything] {
        for blocked in [0, some, !0] {
            for run in both_modes(&house) {
                let mut run = run.signals(ignored, blocked).args(["--", "cat", "/proc/self/status"]).start();
                assert_eq!(run.code(), 0);
                let expected = [("SigPnd", 0), ("SigBlk", 0), ("SigIgn", ignored), ("SigCgt", 0)];
                let expected = expected.map(|(name, mask)| (name.to_owned(), mask));
                assert_eq!(masks(&run), expected.into(), "inherited: ignored {ignored:x}, blocked {blocked:x}");
            }
        }
    }
}

#[test]
fn a_signal_that_was_ignored_is_still_forwarded_for_a_command_that_has_made_up_its_own_mind() {
    let house = House::new();
    let ignored = bit(libc::SIGTERM) | bit(libc::SIGINT) | bit(libc::SIGHUP);
    let mut run = house.main().signals(ignored, 0).playing("collector").start();
    run.ready();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        run.signal(signal);
        run.expect(&signal.to_string());
    }
}

#[test]
fn a_command_that_writes_into_a_closed_pipe_dies_of_sigpipe_as_it_would_without_us() {
    let house = House::new();
    for run in both_modes(&house) {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(run.signals(0, 0).stdout(writer).args(["--", "cat", "/proc/self/status"]).finish().code(), 141);
    }
}

#[test]
fn a_signal_that_ends_the_command_is_said_in_one_line() {
    let house = House::new();
    for (run, mode) in both_modes(&house).into_iter().zip(["main", "sidecar"]) {
        // compiler-explorer#9074 patches dumb-init because it says nothing.
        let mut run = run.without_cores().command("kill -9 $$").start();
        assert_eq!(run.code(), 137);
        let err = run.err();
        assert!(
            err.starts_with(&format!("exeunt {mode}: ")) && err.contains("SIGKILL") && err.contains("137"),
            "{err}"
        );
        assert!(err.contains("out of memory") && err.lines().count() == 1, "{err}");
    }
}
