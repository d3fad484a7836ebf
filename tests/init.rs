//! The init: orphans are reaped, the command does not survive us, and it finds the world
//! as we did.

mod house;
// This file is the crate `init`; the helpers go by what they do here.
#[path = "house/init.rs"]
mod helpers;

use helpers::{both_modes, check, say};
use house::{House, Process, Run, proc, role, wait_until};
use std::ffi::OsStr;
use std::fs;
use std::io::{PipeWriter, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

roles! {
    fn collector() { helpers::collector() }
    fn orphanage() { leave_orphans() }
    fn bystander() { stand_by() }
    fn with_environment() { exec_with_environment() }
}

const ORPHANS: usize = 1000;

/// Role: has ORPHANS grandchildren whose parents are gone, and says `ready`. When the input ends, all of them end in the
/// same instant; then this process, too, with the code that STAY names, or, if that is empty, it stays.
fn leave_orphans() {
    for _ in 0..ORPHANS {
        // SAFETY: one thread; the children make system calls only.
        unsafe {
            match libc::fork() {
                0 => {
                    if libc::fork() == 0 {
                        libc::read(0, [0u8; 1].as_mut_ptr().cast(), 1);
                    }
                    libc::_exit(0)
                }
                child => assert_eq!(libc::waitpid(child, std::ptr::null_mut(), 0), child),
            }
        }
    }
    say("ready");
    let _ = std::io::stdin().read(&mut [0]);
    match std::env::var("STAY").unwrap().parse() {
        Ok(code) => std::process::exit(code),
        Err(_) => loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        },
    }
}

/// Role: adopts orphans, as PID 1 or as a subreaper, runs `orphanage`, and waits for nobody: what a program does that was
/// never meant to be an init.
fn stand_by() {
    // SAFETY: plain system calls; the new process has one thread and executes at once.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        if libc::fork() == 0 {
            std::env::set_var(role::ROLE, "orphanage");
            let binary = std::env::current_exe().unwrap();
            use std::os::unix::process::CommandExt;
            panic!("{}", std::process::Command::new(binary).exec());
        }
        loop {
            libc::pause();
        }
    }
}

/// Role: becomes its arguments, with the lines of ENVIRONMENT as the whole environment: entries that no shell would make,
/// in an order that is to be kept.
fn exec_with_environment() {
    use std::ffi::CString;
    let c_strings = |bytes: &[u8], separator| -> Vec<CString> {
        bytes.split(|byte| *byte == separator).map(|part| CString::new(part).unwrap()).collect()
    };
    let words = fs::read("/proc/self/cmdline").unwrap();
    let words = c_strings(words.strip_suffix(b"\0").unwrap(), 0);
    let entries = c_strings(std::env::var_os("ENVIRONMENT").unwrap().as_bytes(), b'\n');
    let list = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (list(&words[1..]), list(&entries));
    // SAFETY: both lists end in null and are live.
    unsafe { libc::execve(argv[0], argv.as_ptr(), envp.as_ptr()) };
    panic!("{}", std::io::Error::last_os_error());
}

/// The orphanage below `run`, with its orphans alive, all of them adopted by `pid`.
fn adopted(run: Run, as_pid_1: bool, stay: &str) -> (Process, i32, PipeWriter) {
    let (input, release) = std::io::pipe().unwrap();
    let run = run.stdin(input).env("STAY", stay);
    let mut run = if as_pid_1 { run.pid_1() } else { run }.start();
    run.ready();
    let pid = if as_pid_1 { run.inner() } else { run.pid };
    // The command, and those whom it has deserted.
    wait_until("all orphans to be adopted", || proc::children(pid).len() == ORPHANS + 1);
    (run, pid, release)
}

// Of many SIGCHLDs that are pending only one is delivered: catatonit (its issue 4) and pid1-rs (its pull request 20) reaped one for
// each that they heard of. Horust reaps 20 in 300 ms.
// Orphans by the thousand exhaust the pids: tektoncd/pipeline#8830.
#[test]
fn orphans_by_the_thousand_are_reaped_at_once_and_nothing_is_said_about_them() {
    let house = House::new();
    for as_pid_1 in [false, true] {
        for run in both_modes(&house) {
            let (run, pid, release) = adopted(run.playing("orphanage"), as_pid_1, "");
            drop(release);
            wait_until("only the command to be left", || proc::children(pid).len() == 1);
            assert!(proc::alive(proc::children(pid)[0]));
            // skydive#1541: logs full of one line for each orphan. Nine projects filed the warning of not being PID 1.
            // A sidecar has something to say about its job, which is not there, if this takes longer than a second.
            let err = run.err();
            assert!(err.lines().all(|line| line.contains(": waiting for the job main-job: ")), "{err}");
        }
    }
}

#[test]
fn without_exeunt_the_same_orphans_stay_as_zombies() {
    let house = House::new();
    for as_pid_1 in [false, true] {
        let (_run, pid, release) = adopted(role::role(&house, "bystander"), as_pid_1, "");
        drop(release);
        let zombies = || proc::children(pid).into_iter().filter(|child| proc::state(*child) == Some('Z')).count();
        wait_until("all orphans to be dead", || zombies() == ORPHANS);
    }
}

/// A hang when SIGCHLDs coalesce: openSUSE/catatonit#4, containerd/containerd#13539, opencontainers/runc#5208.
#[test]
fn the_code_of_a_command_that_ends_in_a_crowd_is_still_its_own() {
    let house = House::new();
    for as_pid_1 in [false, true] {
        for run in both_modes(&house) {
            let (mut run, _, release) = adopted(run.playing("orphanage"), as_pid_1, "7");
            drop(release);
            assert_eq!(run.code(), 7);
        }
    }
}

#[test]
fn a_command_does_not_go_on_when_exeunt_is_killed() {
    let house = House::new();
    for as_pid_1 in [false, true] {
        for run in both_modes(&house) {
            let run = run.playing("collector");
            let mut run = if as_pid_1 { run.pid_1() } else { run }.start();
            run.ready();
            let pid = if as_pid_1 { run.inner() } else { run.pid };
            let child = proc::children(pid)[0];
            proc::signal(pid, libc::SIGKILL);
            run.ended();
            wait_until("the command to be gone", || !proc::alive(child));
        }
    }
}

// pid1-rs exits with 2 for an argument that is not UTF-8; Horust joins the words with blanks and splits them again.
#[test]
fn arguments_and_environment_arrive_byte_for_byte() {
    let house = House::new();
    let odd: Vec<u8> = (1..=255).collect();
    let words: [&[u8]; 8] = [b"", b" ", b"a  b\n", b"--", b"--mode", b"-x", b"\xff\xfe", &odd];
    let own = |from: &str| fs::read(house.path(from)).unwrap();
    for run in both_modes(&house) {
        let line = "cat /proc/$$/cmdline > \"$0\"";
        let mut run = run.args(["--", "sh", "-c", line]).arg(house.path("cmdline"));
        run = run.args(words.map(OsStr::from_bytes));
        assert_eq!(run.finish().code(), 0);
        let file = house.path("cmdline").into_os_string().into_vec();
        let expected: Vec<&[u8]> = [b"sh", b"-c", line.as_bytes(), &file].into_iter().chain(words).collect();
        let got = own("cmdline");
        let got: Vec<_> = got.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0).collect();
        assert_eq!(got, expected);
    }
    let out = house.path("environment");
    let environment = |run: Run| {
        let set =
            [&b"ODD=\xff\xfe=="[..], b"EMPTY=", b"N\xffME=value", b"LISTEN_PID=2", b"no equals sign", b"ODD=twice"];
        // env(1) cannot do this: the words are the whole environment, in this order.
        let mut run =
            run.args(["--", "cat", "/proc/self/environ"]).env("ENVIRONMENT", OsStr::from_bytes(&set.join(&b'\n')));
        run = run.behind([std::env::current_exe().unwrap()]).env(role::ROLE, "with_environment");
        let mut run = run.stdout(fs::File::create(&out).unwrap()).start();
        assert_eq!(run.code(), 0);
        (fs::read(&out).unwrap(), [&set.join(&0)[..], b"\0"].concat())
    };
    for run in both_modes(&house) {
        let (got, expected) = environment(run);
        assert_eq!(OsStr::from_bytes(&got), OsStr::from_bytes(&expected));
    }
}

#[test]
fn the_command_finds_directory_umask_limits_priority_and_groups_as_we_did() {
    let house = House::new();
    let place = house.path("place");
    fs::create_dir(&place).unwrap();
    let line = "pwd; umask; cat /proc/$$/limits; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Cpus|Umask)' /proc/$$/status; \
                cut -d' ' -f19 /proc/$$/stat; cat /proc/$$/oom_score_adj";
    let surroundings = |run: Run| {
        let run =
            run.current_dir(&place).umask(0o137).limit(libc::RLIMIT_NOFILE, 100, 200).limit(libc::RLIMIT_CORE, 0, 4096);
        // Lower than ours: a higher one is not everybody's to take, and this may run under nice(1).
        let lower =
            || check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, libc::getpriority(libc::PRIO_PROCESS, 0) + 5) });
        let run = run.hook(lower);
        let mut run = run.start();
        assert_eq!(run.code(), 0, "{}", run.err());
        run.out()
    };
    let direct = surroundings(house.run("sh").args(["-c", line]));
    assert!(direct.starts_with(&format!("{}\n0137\n", place.display())), "{direct}");
    for run in both_modes(&house) {
        assert_eq!(surroundings(run.command(line)), direct);
    }
}

// catatonit#28, dumb-init's pull request 210: "target is busy".
#[test]
fn our_own_working_directory_keeps_no_mount_busy() {
    let house = House::new();
    let mount = house.path("mount");
    fs::create_dir(&mount).unwrap();
    for (run, relative) in
        [(house.main(), false), (house.run(house::EXEUNT).args(["--mode", "main", "--dir", "../pod"]), true)]
    {
        // The command may run before we have gone elsewhere: hence again, until the test is out of patience.
        // A directory that is given as a relative path is still found at the end, from wherever we are by then.
        let run = run
            .command("cd /; until umount \"$MOUNT\" 2>/dev/null; do sleep 0.01; done; echo gone")
            .env("MOUNT", &mount);
        let mut run = run.after("mount -t tmpfs none \"$1\"; cd \"$1\"", &mount).start();
        assert_eq!(run.code(), 0, "relative: {relative}: {}", run.err());
        run.expect("gone");
        assert!(house.pod("main-job-terminated").exists());
        fs::remove_file(house.pod("main-job-terminated")).unwrap();
    }
}

// catatonit#13: socket activation names the process that is to take the sockets, and the init is in between.
#[test]
fn listen_pid_names_the_command_when_it_named_us_and_nobody_else_s_is_touched() {
    let house = House::new();
    for as_pid_1 in [false, true] {
        for run in both_modes(&house) {
            let run = run.command("echo $(($$ == LISTEN_PID)) $LISTEN_FDS");
            let run = run.behind(["sh", "-c", "export LISTEN_PID=$$ LISTEN_FDS=2; exec \"$@\"", "sh"]);
            let mut run = if as_pid_1 { run.pid_1() } else { run }.start();
            assert_eq!(run.code(), 0);
            run.expect("1 2");
        }
    }
    for run in both_modes(&house) {
        let mut run = run.env("LISTEN_PID", "4000000").command("echo $LISTEN_PID").start();
        run.expect("4000000");
        assert_eq!(run.code(), 0);
    }
}

#[test]
fn we_say_nothing_when_there_is_nothing_to_say() {
    let house = House::new();
    for line in ["exit 0", "exit 3"] {
        for (place, run) in both_modes(&house).into_iter().chain(both_modes(&house)).enumerate() {
            house.anew();
            let run = run.command(line);
            let mut run = if place < 2 { run } else { run.pid_1() }.start();
            run.ended();
            // A helper that is gone with 0 before its job leaves no other trace.
            let gone = run.code() == 0 && place % 2 == 1;
            let said = "exeunt sidecar: sh has ended with 0 before the job did; its container ends with it\n";
            assert_eq!((run.out(), run.err()), (String::new(), if gone { said.to_owned() } else { String::new() }));
        }
    }
}
