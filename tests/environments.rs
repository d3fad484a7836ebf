//! Surroundings that are odd, and real: limits, file systems, namespaces, name servers, what was inherited.
//!
//! docs/reliability.md has a table of them; `filters.rs` has those that refuse system calls. What cannot be made on the machine that runs this says so and is not run.

mod house;
#[path = "house/init.rs"]
mod init;
mod stand_in;

use std::fs::{self, File};
use std::io::Read;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;

use house::filter::Filtered;
use house::here::{on_path, pass_over};
use house::scene::{HELPER, JOB};
use house::{EXEUNT, House, PATIENCE, Process, Run, proc, wait_for, wait_until};
use init::{both_modes, check};
use stand_in::{Answer, Server};

// --- filters and limits of threads

/// Where no thread can be started, nobody watches a probe's clock but the kernel.
#[test]
fn a_probe_that_can_have_no_thread_holds_does_not_hold_and_ends_in_time() {
    let house = House::new();
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 || on_path("setpriv").is_none() {
        pass_over("it needs root and setpriv, to become a user with a limit of its own");
        return;
    }
    let user = 600_000 + std::process::id() % 100_000;
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let server = Server::new(|_| Answer::Status(200, ""));
    let probe = |conditions: &[&str]| {
        let run = house.run(EXEUNT).args(["probe", "--timeout", "500ms"]).args(conditions);
        run.limit(libc::RLIMIT_NPROC, 1, 1)
            .without_cores()
            .behind(["setpriv", &uid, &gid, "--clear-groups", "--"])
            .finish()
    };
    let mut holds = probe(&[&server.url("/"), "file:///proc"]);
    assert_eq!((holds.code(), holds.err()), (0, String::new()));
    let mut does_not = probe(&["file:///nowhere"]);
    assert_eq!(does_not.code(), 1);
    assert!(does_not.err().contains("file:///nowhere: No such file or directory (ENOENT)"), "{}", does_not.err());
    // connect(2) to a socket whose queue is full waits without a limit of its own.
    let path = house.path("socket");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    // SAFETY: the descriptor is a listening socket of ours.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let _queued = std::os::unix::net::UnixStream::connect(&path).unwrap();
    assert_eq!(probe(&[&format!("unix://{}", path.display())]).killed_by(), libc::SIGALRM);
}

// --- limits

/// A log that is as long as a file may be, and descriptors for its end.
fn log_at_the_limit(house: &House) -> (impl Fn() -> File, impl Fn() -> u64) {
    let path = house.path("log");
    fs::write(&path, vec![b'x'; LONGEST as usize]).unwrap();
    let length = path.clone();
    (move || File::options().append(true).open(&path).unwrap(), move || fs::metadata(&length).unwrap().len())
}

/// What our own files need, and a log that is full at once.
const LONGEST: u64 = 4096;

/// A write of our own past the limit is no message for the command: it took it for a SIGXFSZ of somebody who wanted its end.
#[test]
fn a_log_at_the_limit_of_file_sizes_costs_the_lines_and_neither_the_job_nor_the_sidecar() {
    let house = House::new();
    let (log, length) = log_at_the_limit(&house);
    let limited = |run: Run| {
        run.without_cores().limit(libc::RLIMIT_FSIZE, LONGEST, LONGEST).stderr(log()).args(["--log-level", "debug"])
    };
    let mut sidecar = limited(house.sidecar()).command(HELPER).start();
    sidecar.ready();
    let mut main = limited(house.main()).command(JOB).start();
    main.ready();
    // Each of these is worth some lines.
    for _ in 0..30 {
        main.signal(libc::SIGWINCH);
        sidecar.signal(libc::SIGWINCH);
    }
    house.cue(7);
    assert_eq!(main.code(), 7);
    assert_eq!(sidecar.code(), 0);
    sidecar.expect("term");
    assert_eq!(length(), LONGEST);
    for run in both_modes(&House::new()) {
        assert_eq!(limited(run).arg("--no-such-option").command("true").finish().code(), 125);
    }
    for run in both_modes(&House::new()) {
        assert_eq!(limited(run).command("exit 7").finish().code(), 7);
    }
    // The command's own writes are still its own affair.
    // The shell would say on standard error how head has ended, and die of that itself.
    let own = format!("exec 2>/dev/null; head -c {} /dev/zero >\"$1\"; echo \"$?\"; exit 3", LONGEST + 1);
    for run in both_modes(&House::new()) {
        let mut run = limited(run).args(["--", "sh", "-c", &own, "sh"]).arg(house.path("own")).finish();
        assert_eq!((run.out().trim(), run.code()), ("153", 3));
    }
}

/// Whoever asks or says goodbye for us writes as gently as we do: the first line that found no room ended it, with SIGXFSZ or
/// SIGPIPE, and whatever it had still to ask or to send.
#[test]
fn a_probe_and_a_goodbye_live_on_when_their_lines_find_no_room() {
    let house = House::new();
    let (log, length) = log_at_the_limit(&house);
    let limited = |run: Run| run.without_cores().limit(libc::RLIMIT_FSIZE, LONGEST, LONGEST).stderr(log());
    let unread = |run: Run| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        run.stderr(writer)
    };
    let server = Server::new(|asked| Answer::Status(if asked.path == "/good" { 200 } else { 500 }, ""));
    for (place, what) in [(&limited as &dyn Fn(Run) -> Run, "a log at its limit"), (&unread, "a pipe without a reader")]
    {
        let probe = house.run(EXEUNT).args(["probe", "file:///nowhere"]);
        assert_eq!(place(probe).finish().code(), 1, "{what}");
        let pod = House::new();
        let mut goodbye = house.run(EXEUNT).arg("goodbye").args(["/a", "/b"].map(|path| server.url(path)));
        goodbye = place(goodbye.arg(server.url("/good")));
        assert_eq!(goodbye.finish().code(), 0, "{what}");
        let refused = format!("http://{}/", closed_port());
        let main = pod.main().args(["--on-exit", &server.url("/c"), "--on-exit", &refused]);
        assert_eq!(place(main.command("exit 7")).finish().code(), 7, "{what}");
    }
    // Whatever the command of an exec: condition writes is still its own affair: it dies of it.
    let own = format!(
        "exec:sh -c 'exec 2>/dev/null; head -c {} /dev/zero >{}; test $? = 153'",
        LONGEST + 1,
        house.path("own").display()
    );
    assert_eq!(limited(house.run(EXEUNT).args(["probe", &own])).finish().code(), 0);
    assert_eq!(length(), LONGEST);
}

/// The address of nobody.
fn closed_port() -> std::net::SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The soft limit of a process' CPU time, in seconds: the kernel raises it by one whenever it sends SIGXCPU.
fn cpu_limit(pid: i32) -> u64 {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max cpu time")).unwrap();
    limit.split_whitespace().next().unwrap().parse().unwrap()
}

/// Uses up most of the first second of this process: exec(2) keeps the count.
fn spin() -> std::io::Result<()> {
    let mut used = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    while used.tv_sec == 0 && used.tv_nsec < 850_000_000 {
        // SAFETY: the kernel fills in a live local.
        check(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut used) })?;
    }
    Ok(())
}

/// The kernel's reminder that we have used our CPU time is for us; the command has a time of its own.
#[test]
fn when_our_own_cpu_time_is_up_the_command_does_not_hear_of_it() {
    let house = House::new();
    for (run, options) in [(house.main(), ["--name", "a"]), (house.sidecar(), ["--name", "b"])] {
        let run = run.without_cores().limit(libc::RLIMIT_CPU, 1, libc::RLIM_INFINITY).hook(spin).args(options);
        let nowhere = File::options().write(true).open("/dev/null").unwrap();
        let mut run = run.args(["--log-level", "debug"]).stderr(nowhere).command(JOB).start();
        run.ready();
        // It has a few hundredths left, and a busy machine gives it those in its own time.
        wait_for("it to use up its CPU time", 6 * PATIENCE, || {
            (0..5000).for_each(|_| run.signal(libc::SIGWINCH));
            assert!(run.try_ended().is_none(), "it has ended: {:?}", run.ended());
            (cpu_limit(run.pid) > 1).then_some(())
        });
        house.cue(7);
        assert_eq!(run.code(), 7);
    }
}

/// The job has left as many processes as it may have, and its own end makes room for one: greeves89/AI-Employee#628.
/// Reported as containers/podman#17647.
#[test]
fn at_the_limit_of_processes_the_goodbye_is_said_to_everybody() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 || on_path("setpriv").is_none() {
        pass_over("it needs root and setpriv, to become a user with a limit of its own");
        return;
    }
    // A user that nobody is: the limit counts all processes of a user.
    let user = 400_000 + std::process::id() % 100_000;
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    for urls in [&["/a"][..], &["/a", "/b", "/c", "/d"]] {
        let house = House::new();
        fs::set_permissions(house.pod(""), fs::Permissions::from_mode(0o777)).unwrap();
        let server = Server::new(|_| Answer::Status(200, ""));
        let goodbyes = urls.iter().map(|path| format!("--on-exit={}", server.url(path)));
        // The shell ends with 2 when it can start no more.
        let leak = "while sleep 1000 & do :; done";
        let run = house.main().args(goodbyes).command(leak).limit(libc::RLIMIT_NPROC, 12, 12);
        let mut run = run.behind(["setpriv", &uid, &gid, "--clear-groups", "--"]).finish();
        assert_eq!(run.code(), 2, "{}", run.err());
        let mut asked = server.asked();
        asked.sort();
        let all: Vec<_> = urls.iter().map(|path| format!("POST {path}")).collect();
        assert_eq!(asked, all, "{}", run.err());
        assert!(!run.err().contains("warning"), "{}", run.err());
    }
}

/// There is no room for a process at a restart and at a probe, and then there is: both were given up at the first refusal.
#[test]
fn what_needs_a_process_is_started_when_there_is_room_again() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 || on_path("setpriv").is_none() {
        pass_over("it needs root and setpriv, to become a user with a limit of its own");
        return;
    }
    let user = 500_000 + std::process::id() % 100_000;
    let (uid, gid) = (format!("--reuid={user}"), format!("--regid={user}"));
    let house = House::new();
    fs::set_permissions(house.pod(""), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(house.path("cue"), fs::Permissions::from_mode(0o666)).unwrap();
    let options = ["--restart", "always", "--name", "helper", "--ready-when", "exec:test -e /proc"];
    let run = house.sidecar().args(options).command(JOB).behind(["setpriv", &uid, &gid, "--clear-groups", "--"]);
    let mut helper = run.start();
    helper.ready();
    house.appears("helper-ready");
    let pid = helper.pid.to_string();
    let user = ["setpriv", &uid, &gid, "--clear-groups", "--"];
    let room = |most: u64| {
        // By the user himself: root needs a capability for it that a container lacks.
        let run = house.run("prlimit").args(["--pid", &pid, &format!("--nproc={most}:")]).behind(user).finish();
        assert_eq!(run.err(), "");
    };
    room(1);
    house.cue(1);
    helper.says("(EAGAIN); trying again");
    // One for itself, its watch and the helper, and none for the probe.
    room(3);
    helper.ready();
    helper.says("no probe can be started: ");
    assert!(!house.pod("helper-ready").exists());
    room(100);
    house.appears("helper-ready");
    house.touch("main-job-terminated");
    assert_eq!(helper.code(), 0, "{}", helper.err());
}

/// Before Linux 6.8 nobody can tell what is mounted without asking it, as on a tmpfs here: a worker asks, and goes where nothing
/// hangs. The command finds no thread beside the loop.
#[test]
fn where_the_kernel_cannot_tell_what_is_mounted_a_worker_finds_out_and_goes() {
    let house = House::new();
    let run = house.main().command("echo ready; exec sleep 1000");
    // libc has no name for it yet.
    let mut main = run.filtered(&[("statmount", 457, &[])], libc::ENOSYS).start();
    main.ready();
    wait_until("the worker to have gone", || fs::read_dir(format!("/proc/{}/task", main.pid)).unwrap().count() == 1);
    assert_eq!(house.record("main-job-running")["name"], "main-job");
    main.signal(libc::SIGTERM);
    assert_eq!(main.code(), 143);
}

/// Without inotify it is said once that there is a look a second; a SIGTERM that was held made it be said again, and then of
/// an option that nobody had given.
#[test]
fn without_inotify_that_is_said_once_although_a_sigterm_is_held() {
    let house = House::new();
    let run = house.sidecar().arg("--outlive-main=1h").command(HELPER);
    let mut sidecar = run.filtered(&[("inotify_init1", libc::SYS_inotify_init1, &[])], libc::ENOSYS).start();
    sidecar.ready();
    sidecar.says("once a second");
    sidecar.signal(libc::SIGTERM);
    sidecar.says("SIGTERM is held back");
    house.touch("main-job-terminated");
    assert_eq!(sidecar.code(), 0, "{}", sidecar.err());
    let said = sidecar.err();
    let times = said.lines().filter(|line| line.contains("once a second") || line.contains("--watch poll")).count();
    assert_eq!(times, 1, "{said}");
}

// --- what is inherited

/// `unshare --pid` without --fork: the command is PID 1 of a new namespace, and its parent is 0 to it:
/// util-linux/util-linux#1561.
/// Reported as util-linux/util-linux#1616, aristanetworks/bst#78.
#[test]
fn in_a_pid_namespace_that_is_there_for_children_only_the_command_runs() {
    let house = House::new();
    for run in both_modes(&house) {
        let mut run = run.command("echo \"it runs as $$\"; exit 3").unshare(["--pid"]).finish();
        assert_eq!(run.code(), 3, "{}", run.err());
        run.expect("it runs as 1");
    }
    let house = House::new();
    let mut sidecar = house.sidecar().command(HELPER).unshare(["--pid"]).start();
    sidecar.ready();
    let mut main = house.main().command(JOB).unshare(["--pid"]).start();
    main.ready();
    house.cue(9);
    assert_eq!(main.code(), 9, "{}", main.err());
    assert_eq!(sidecar.code(), 0, "{}", sidecar.err());
    sidecar.expect("term");
}

/// What a server that never answers has heard on every connection that was made to it.
struct Silent {
    url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Silent {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut all = Vec::new();
                let _ = stream.read_to_end(&mut all);
                notes.lock().unwrap().push(String::from_utf8_lossy(&all).into_owned());
            }
        });
        Self { url, heard }
    }

    /// One request, and nothing behind it.
    #[track_caller]
    fn heard_a_request_alone(&self) {
        wait_until("the end of a connection", || !self.heard.lock().unwrap().is_empty());
        let heard = self.heard.lock().unwrap().clone();
        assert!(
            matches!(&heard[..], [one] if one.starts_with("POST / ") && one.find("\r\n\r\n") == Some(one.len() - 4)),
            "{heard:?}"
        );
    }
}

/// The first sockets of the goodbye got the numbers of what was closed, and its warnings went to a server.
#[test]
fn with_closed_standard_descriptors_no_warning_is_sent_to_a_server() {
    let house = House::new();
    // The first three of them are silent, so that theirs are the numbers, and the fourth is worth a warning at once.
    let angry = Server::new(|_| Answer::Status(500, ""));
    let mut plays = Vec::new();
    for closed in [vec![0], vec![1], vec![2], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 1, 2]] {
        let servers = [Silent::new(), Silent::new(), Silent::new()];
        let name = format!("closed-{}", plays.len());
        let mut run = house.main().args(["--name", &name]);
        for url in servers.iter().map(|server| server.url.clone()).chain([angry.url("/")]) {
            run = run.args(["--on-exit", &url]);
        }
        plays.push((run.without(closed).command("exit 3").start(), servers));
    }
    for (run, servers) in &mut plays {
        assert_eq!(run.code(), 3);
        servers.iter().for_each(Silent::heard_a_request_alone);
    }
    assert_eq!(angry.asked(), ["POST /"; 7]);
}

trait Deaf {
    fn deaf_to_children(self) -> Self;
}

impl Deaf for Run {
    /// As a parent that wants no zombies leaves it: ignored, and exec(2) keeps that.
    fn deaf_to_children(self) -> Self {
        self.hook(|| {
            // SAFETY: a disposition of our own.
            let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
            check(if before == libc::SIG_ERR { -1 } else { 0 })
        })
    }
}

#[test]
fn a_command_condition_is_judged_where_sigchld_was_inherited_ignored() {
    let house = House::new();
    let probe = |condition: &str| house.run(EXEUNT).args(["probe", condition]).deaf_to_children().finish();
    let mut holds = probe("exec:true");
    assert_eq!((holds.code(), holds.err()), (0, String::new()));
    let mut does_not = probe("exec:sh -c 'exit 5'");
    assert_eq!(does_not.code(), 1);
    assert!(does_not.err().contains('5'), "{}", does_not.err());
    for run in both_modes(&house) {
        let run = run.args(["--wait-for", "exec:true", "--wait-timeout", "10s"]).deaf_to_children();
        let mut run = run.command("exit 3").finish();
        assert_eq!(run.code(), 3, "{}", run.err());
    }
    // The command inherits it as we have.
    let line = "grep SigIgn /proc/self/status; exit 3";
    let mut plain = house.sh(line).deaf_to_children().finish();
    let mut ours = house.main().command(line).deaf_to_children().finish();
    assert_eq!((plain.code(), ours.code()), (3, 3));
    assert_eq!(plain.out(), ours.out());
}

// --- no /proc, no shared vfork

/// Neither a probe nor a goodbye was started, and `install` failed: all three looked for our program in /proc alone.
#[test]
fn without_proc_conditions_are_asked_the_goodbye_is_said_and_the_binary_is_copied() {
    for relative in [false, true] {
        let house = House::new();
        let server = Server::new(|_| Answer::Status(200, ""));
        let empty = house.path("empty");
        fs::create_dir(&empty).unwrap();
        let binary = if relative { "./exeunt".into() } else { house.path("exeunt") };
        fs::copy(EXEUNT, house.path("exeunt")).unwrap();
        let run = |words: &[&str]| house.run(&binary).current_dir(house.path("")).args(words);
        let pod = house.pod("").display().to_string();
        let (ready, quit) = (server.url("/ready"), server.url("/quit"));
        let main = run(&["--mode", "main", "--dir", &pod, "--wait-for", &ready, "--on-exit", &quit]);
        let mut main =
            main.command("[ ! -e /proc/self ] || exit 9; exit 3").after("mount --bind \"$1\" /proc", &empty).start();
        assert_eq!((main.code(), main.err()), (3, String::new()));
        assert_eq!(server.asked(), ["GET /ready", "POST /quit"]);
        let copy = house.path("copy").display().to_string();
        let mut install = run(&["install", &copy]).after("mount --bind \"$1\" /proc", &empty).start();
        assert_eq!((install.code(), install.err()), (0, String::new()));
        assert_eq!(fs::read(copy).unwrap(), fs::read(EXEUNT).unwrap());
    }
}

/// QEMU in user mode, under which images of another architecture run: its vfork is a fork, so the child's failure is told by
/// its code alone.
#[test]
fn where_vfork_is_a_fork_the_codes_pass_and_a_start_that_failed_has_a_reason() {
    let emulator = format!("qemu-{}-static", std::env::consts::ARCH);
    if on_path(&emulator).is_none() {
        pass_over(&format!("it needs {emulator}"));
        return;
    }
    let house = House::new();
    fs::write(house.path("closed"), "").unwrap();
    let (closed, missing) = (house.path("closed").display().to_string(), "no-such-command".to_owned());
    for mode in ["main", "sidecar"] {
        let run = |command: &[&str]| {
            house.anew();
            house.mode(mode).arg("--").args(command).behind([&emulator]).finish()
        };
        for (command, code, reason) in [(&closed, 126, "cannot be executed"), (&missing, 127, "was not found")] {
            let mut ended = run(&[command]);
            assert_eq!(ended.code(), code, "{mode}");
            assert!(ended.err().contains(reason) && ended.err().contains(command), "{mode}: {:?}", ended.err());
            assert_eq!(ended.err().lines().count(), 1, "{mode}: {:?}", ended.err());
        }
        assert_eq!(run(&["sh", "-c", "exit 5"]).code(), 5, "{mode}");
    }
    // A job and its sidecar, both emulated, leave together.
    house.anew();
    let mut sidecar = house.sidecar().command(HELPER).behind([&emulator]).start();
    sidecar.ready();
    let mut main = house.main().command("exit 4").behind([&emulator]).finish();
    assert_eq!((main.code(), sidecar.code()), (4, 0), "{}", sidecar.err());
    // Where it is shared, nothing is said about a code that is the command's own.
    let mut own = House::new().main().command("exit 127").finish();
    assert_eq!((own.code(), own.err()), (127, String::new()));
}

// --- partners

const FINAL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn probe(house: &House, condition: &str) -> Process {
    house.run(EXEUNT).args(["probe", "--timeout", "4s", condition]).finish()
}

/// RFC 9110, 15.2: a client must be able to parse one or more of them before the answer.
#[test]
fn interim_answers_are_not_the_answer() {
    let house = House::new();
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
    let many = "HTTP/1.1 100 Continue\r\n\r\n".repeat(20);
    for before in ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\n", interim, &many] {
        let ready = format!("{before}{FINAL}");
        let server = Server::new(move |_| Answer::Raw(ready.clone().into_bytes()));
        let mut holds = probe(&house, &server.url("/"));
        assert_eq!((holds.code(), holds.err()), (0, String::new()), "after {before:?}");
        let busy = format!("{before}HTTP/1.1 503 Busy\r\n\r\n");
        server.answers(move |_| Answer::Raw(busy.clone().into_bytes()));
        let mut does_not = probe(&house, &server.url("/"));
        assert_eq!(does_not.code(), 1, "after {before:?}");
        assert!(does_not.err().contains(": 503"), "after {before:?}: {}", does_not.err());
        // An interim answer alone, and then the end.
        let alone = before.to_owned();
        server.answers(move |_| Answer::Raw(alone.clone().into_bytes()));
        let mut does_not = probe(&house, &server.url("/"));
        assert_eq!(does_not.code(), 1, "{before:?} alone");
        assert_eq!(does_not.err().lines().count(), 1, "{before:?} alone: {}", does_not.err());
        // The goodbye: sent once, and no warning.
        let quit = format!("{before}{FINAL}");
        server.answers(move |_| Answer::Raw(quit.clone().into_bytes()));
        let pod = House::new();
        let mut main = pod.main().args(["--on-exit", &server.url("/quit")]).command("exit 3").finish();
        assert_eq!((main.code(), main.err()), (3, String::new()), "after {before:?}");
        assert_eq!(server.asked().iter().filter(|asked| *asked == "POST /quit").count(), 1);
    }
    // In pieces that end where nothing else does.
    let server = Server::new(|_| {
        Answer::Drip(
            "HTTP/1.1 103 Early Hints\r\nLink: <",
            b"/a>\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nHTTP/1.1 103 X\r\nB: <",
        )
    });
    let mut holds = probe(&house, &server.url("/"));
    assert_eq!((holds.code(), holds.err()), (0, String::new()));
    // 101 is the last word, and nobody has asked for another protocol.
    server.answers(|_| Answer::Raw(format!("HTTP/1.1 101 Switching Protocols\r\n\r\n{FINAL}").into_bytes()));
    let mut does_not = probe(&house, &server.url("/"));
    assert_eq!(does_not.code(), 1);
    assert!(does_not.err().contains(": 101"), "{}", does_not.err());
    // A server that says nothing else fills no memory.
    server.answers(|_| Answer::Endless("", b"HTTP/1.1 100 Continue\r\n\r\n"));
    let mut does_not = probe(&house, &server.url("/"));
    assert_eq!(does_not.code(), 1);
    assert!(does_not.err().contains("is longer than"), "{}", does_not.err());
}

/// A listener whose queue is full: whoever connects now is not answered at all.
fn silent(address: Ipv4Addr, port: u16) -> (TcpListener, TcpStream) {
    let listener = TcpListener::bind((address, port)).unwrap();
    // SAFETY: the descriptor is a listening socket of ours.
    assert_eq!(unsafe { libc::listen(listener.as_raw_fd(), 0) }, 0);
    let queued = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (listener, queued)
}

/// Dual stack with one family that goes nowhere, or a headless Service with a Pod that is gone.
#[test]
fn of_several_addresses_a_silent_one_leaves_the_others_their_share_of_the_time() {
    let house = House::new();
    let hosts = house.path("hosts");
    let [second, third] = [2, 3].map(|last| Ipv4Addr::new(127, 0, 0, last));
    fs::write(&hosts, format!("{second} two\n{third} two\n")).unwrap();
    // Whichever of them the resolver names first is silent at one of the two ports.
    for (bad, good) in [(second, third), (third, second)] {
        let (listener, _queued) = silent(bad, 0);
        let port = listener.local_addr().unwrap().port();
        let server = Server::on(&format!("{good}:{port}"), |_| Answer::Status(200, ""));
        for condition in [format!("tcp://two:{port}"), format!("http://two:{port}/ready")] {
            let run = house.run(EXEUNT).args(["probe", "--timeout", "2s", &condition]);
            let mut run = run.after("mount --bind \"$1\" /etc/hosts", &hosts).finish();
            assert_eq!((run.code(), run.err()), (0, String::new()), "{condition}, {bad} is silent");
        }
        assert_eq!(server.asked(), ["GET /ready"]);
        let url = format!("http://two:{port}/quit");
        let pod = House::new();
        let run = pod.main().args(["--on-exit", &url]).command("exit 3");
        let mut run = run.after("mount --bind \"$1\" /etc/hosts", &hosts).finish();
        let wait = "exeunt main: waiting for the answers to --on-exit; gives up after 7s\n";
        assert_eq!((run.code(), run.err().replace(wait, "")), (3, String::new()), "{bad} is silent");
        assert_eq!(server.asked(), ["GET /ready", "POST /quit"]);
    }
}

/// What a name server is asked for: an address for IPv4, or one for IPv6 (RFC 1035, 3.2.2; RFC 3596, 2.1).
const A: [u8; 2] = [0, 1];
const AAAA: [u8; 2] = [0, 28];

/// A name server on an address of our own, which knows the loopback address for every name, and does with a question for the
/// family that `fails` what it is told: an answer with this code, or none.
fn name_server(address: Ipv4Addr, fails: [u8; 2], with: Option<u8>) {
    let socket = UdpSocket::bind((address, 53)).expect("port 53, which is for root");
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            // Behind twelve bytes the name, which ends in an empty part, the kind and the class (RFC 1035, 4.1).
            let Some(end) = question[12..length].iter().position(|byte| *byte == 0).map(|end| 12 + end + 5) else {
                continue;
            };
            let kind = [question[end - 4], question[end - 3]];
            let code = if kind == fails { with } else { Some(0) };
            let Some(code) = code else { continue };
            let found = code == 0 && kind != fails;
            let mut answer = question[..2].to_vec();
            answer.extend([0x81, 0x80 | code, 0, 1, 0, u8::from(found), 0, 0, 0, 0]);
            answer.extend(&question[12..end]);
            if found {
                let loopback = if kind == A { vec![127, 0, 0, 1] } else { Ipv6Addr::LOCALHOST.octets().to_vec() };
                answer.extend([0xc0, 12, kind[0], kind[1], 0, 1, 0, 0, 0, 1, 0, loopback.len() as u8]);
                answer.extend(loopback);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
}

/// Name servers that know one family alone say so in many ways, or not at all; musl and glibc then wait for five seconds and
/// more, and a probe has no more than that.
#[test]
fn a_name_server_that_fails_for_one_family_fails_for_it_alone() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        pass_over("it needs root, to be a name server");
        return;
    }
    let house = House::new();
    let [_, _, high, low] = std::process::id().to_be_bytes();
    fs::write(house.path("nsswitch.conf"), "hosts: files dns\n").unwrap();
    let prepare = "mount --bind \"$1/resolv.conf\" /etc/resolv.conf
        [ ! -e /etc/nsswitch.conf ] || mount --bind \"$1/nsswitch.conf\" /etc/nsswitch.conf";
    // Nothing of that kind, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, and silence.
    let ways = [Some(0), Some(1), Some(2), Some(3), Some(4), Some(5), None];
    let all = [("127.0.0.1", AAAA), ("[::1]", A)].into_iter().flat_map(|by| ways.map(|way| (by, way)));
    for (number, ((loopback, fails), with)) in all.enumerate() {
        if TcpListener::bind(format!("{loopback}:0")).is_err() {
            pass_over("it needs a loopback address for IPv6, too");
            return;
        }
        let address = Ipv4Addr::new(127, 64 + number as u8, high, low);
        name_server(address, fails, with);
        fs::write(house.path("resolv.conf"), format!("nameserver {address}\n")).unwrap();
        let server = Server::on(&format!("{loopback}:0"), |_| Answer::Status(200, ""));
        let url = server.url("/").replace("127.0.0.1", "proxy.test");
        let mut probe =
            house.run(EXEUNT).args(["probe", "--timeout", "4s", &url]).after(prepare, house.path("")).finish();
        assert_eq!((probe.code(), probe.err()), (0, String::new()), "{loopback}, {with:?}");
        let pod = House::new();
        let main = pod.main().args(["--on-exit", &url]).command("exit 3").after(prepare, house.path(""));
        let mut main = main.finish();
        assert_eq!(main.code(), 3, "{loopback}, {with:?}: {}", main.err());
        assert!(!main.err().contains("warning"), "{loopback}, {with:?}: {}", main.err());
        assert_eq!(server.asked(), ["GET /", "POST /"], "{loopback}, {with:?}");
    }
}

// --- users

/// gosu, su-exec, setpriv, and the images of databases: the command becomes another user by itself, and the kernel forgets that
/// it is to die with its parent. In a container that is PID 1, and its end the end of all.
#[test]
fn a_command_that_changes_its_user_by_itself_is_signalled_and_dies_with_pid_1() {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 || on_path("setpriv").is_none() {
        pass_over("it needs root and setpriv");
        return;
    }
    const LINE: &str = "trap 'exit 4' TERM; echo \"ready $$\"; while :; do sleep 0.02; done";
    let words = ["--", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sh", "-c", LINE];
    let pid =
        |run: &mut Process| run.line().strip_prefix("ready ").and_then(|pid| pid.parse().ok()).expect("its number");
    for run in both_modes(&House::new()) {
        let mut run = run.args(words).start();
        let _: i32 = pid(&mut run);
        run.signal(libc::SIGTERM);
        assert_eq!(run.code(), 4, "{}", run.err());
    }
    for run in both_modes(&House::new()) {
        let mut run = run.args(words).pid_1().start();
        let _: i32 = pid(&mut run);
        let inner = run.inner();
        let command = *proc::children(inner).first().expect("the command");
        proc::signal(inner, libc::SIGKILL);
        wait_until("the command to be gone", || !proc::alive(command));
        run.ended();
    }
    // Elsewhere it goes on: docs/reliability.md, limits. Its sidecar has been told that it is dead.
    let house = House::new();
    let mut main = house.main().args(words).start();
    let command = pid(&mut main);
    let mut sidecar = house.helper(&[]);
    main.signal(libc::SIGKILL);
    main.ended();
    assert_eq!(sidecar.code(), 0);
    assert!(proc::alive(command), "the kernel has learned better: the limits can be shorter");
    proc::signal(command, libc::SIGKILL);
}

// --- further settings

/// What a runtime, a parent or an administrator may have set, each of which has stopped some init: none of it matters here.
#[test]
fn in_odd_but_lawful_settings_the_code_passes_and_the_sidecar_leaves() {
    let settings: [(&str, &[&str], &str); 8] = [
        ("a user namespace without a mapping", &["unshare", "--user"], "exec \"$@\""),
        ("a time namespace", &["unshare", "--time", "--boottime", "86400", "--fork"], "exec \"$@\""),
        ("the idle class of the scheduler", &["chrt", "-i", "0"], "exec \"$@\""),
        ("a directory as standard input", &[], "exec \"$@\" </"),
        ("no environment", &[], "exec env -i CUE=\"$CUE\" PATH=\"$PATH\" \"$@\""),
        ("the first to be killed when memory is short", &[], "echo 1000 >/proc/self/oom_score_adj; exec \"$@\""),
        ("nothing that can be locked or queued", &[], "ulimit -l 0; ulimit -c 0; exec \"$@\""),
        ("a small stack", &[], "ulimit -s 256; exec \"$@\""),
    ];
    for (what, prefix, line) in settings {
        if prefix.first().is_some_and(|program| on_path(program).is_none()) {
            pass_over(&format!("{what}: it needs {}", prefix[0]));
            continue;
        }
        let house = House::new();
        // Who is not root may have no namespace; whether the setting itself is to be had is tried without exeunt.
        let mut tried = house.run("sh").args(["-c", line, "sh", "true"]).behind(prefix).finish();
        if tried.code() != 0 {
            pass_over(&format!("{what}: it is not to be had here: {}", tried.err().trim()));
            continue;
        }
        fs::set_permissions(house.pod(""), fs::Permissions::from_mode(0o777)).unwrap();
        let set = |run: Run| run.behind(["sh", "-c", line, "sh"]).behind(prefix);
        let mut sidecar = set(house.sidecar().command(HELPER)).start();
        sidecar.ready();
        let mut main = set(house.main().command("exit 7")).finish();
        assert_eq!((main.code(), main.err()), (7, String::new()), "{what}");
        assert_eq!(sidecar.code(), 0, "{what}: {}", sidecar.err());
        sidecar.expect("term");
    }
}

// --- file systems

/// A buffered write that may not wait is refused there as soon as a time stamp or an extent has to change.
#[track_caller]
fn messages_reach_a_log_on(kind: &str) {
    // SAFETY: asks for a number.
    let root = unsafe { libc::geteuid() } == 0;
    let make = format!("mkfs.{kind}");
    if !root || on_path(&make).is_none() {
        pass_over(&format!("it needs root and {make}, to mount a file system of its own"));
        return;
    }
    let house = House::new();
    let volume = house.path("volume");
    fs::create_dir(&volume).unwrap();
    let image = house.path("image");
    File::create(&image).unwrap().set_len(320 << 20).unwrap();
    let mut made = house.run(&make).arg("-q").arg(&image).finish();
    assert_eq!(made.code(), 0, "{}", made.err());
    let mount = format!("mount -o loop {} \"$1\"", image.display());
    let mut tried = house.run("true").after(&mount, &volume).finish();
    if tried.code() != 0 {
        pass_over(&format!("{kind} cannot be mounted here: {}", tried.err().trim()));
        return;
    }
    // A log that is older than a tick of the clock, so that each line changes its time stamp.
    let line = "for i in $(seq 20); do
            touch -d '1 hour ago' \"$2/log\"
            \"$1\" --dir \"$3\" --mode main --no-such-option -- true 2>>\"$2/log\"
            touch -d '1 hour ago' \"$2/log\"
            \"$1\" --dir \"$3\" --mode main -- sh -c 'kill -9 $$' 2>>\"$2/log\"
        done
        cat \"$2/log\"";
    let run = house.sh(line).arg(EXEUNT).arg(&volume).arg(house.pod("")).without_cores();
    let mut run = run.after(&mount, &volume).finish();
    assert_eq!(run.code(), 0, "{}", run.err());
    let count = |text: &str| run.out().lines().filter(|line| line.contains(text)).count();
    assert_eq!((count("--no-such-option"), count("SIGKILL")), (20, 20), "{kind}: {}", run.out());
}

#[test]
fn every_message_reaches_a_log_on_xfs() {
    messages_reach_a_log_on("xfs");
}

#[test]
fn every_message_reaches_a_log_on_btrfs() {
    messages_reach_a_log_on("btrfs");
}
