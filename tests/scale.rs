//! Many on one machine, and much in one directory.
//!
//! `EXEUNT_SCALE=5000` plays the first with so many sidecars; what was measured is printed (`-- --nocapture`).

mod house;

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use house::scene::Events;
use house::{EXEUNT, House, counts, proc, role, wait_for, wait_until};

// --- a thousand sidecars

/// How long a thousand processes may take on a machine that does other things as well.
const LONG: Duration = Duration::from_secs(300);
/// A user whom nobody else is, so that the limits of the kernel for one user are used up by us and for us alone.
const USER: u32 = 64_321;
/// This share of the sidecars, in percent, has the one job in common; each of the others has one of its own.
const TOGETHER: usize = 60;
const JOB_CODE: i32 = 3;

/// The kernel counts inotify instances by user, and without root both tests are the same one: the first uses up what the
/// second needs, so they take turns.
static INSTANCES: Mutex<()> = Mutex::new(());

#[test]
fn a_thousand_sidecars_on_one_node_end_with_their_jobs_and_none_before() {
    let _turn = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
    let asked = std::env::var("EXEUNT_SCALE").ok().and_then(|number| number.parse().ok());
    let sidecars: usize = asked.unwrap_or(1000);
    let pairs = sidecars - sidecars * TOGETHER / 100;
    let mut crowd = Crowd::new();
    for pod in 0..=pairs {
        crowd.sidecar(pod);
        crowd.job(pod);
    }
    (pairs + 1..sidecars).for_each(|_| crowd.sidecar(pairs));
    crowd.all_are_ready();
    println!("{sidecars} sidecars of {} jobs", pairs + 1);
    crowd.inotify_is_used_up(sidecars);
    crowd.print_memory();
    crowd.print_wake_ups();
    // Every one of them has looked at its directory since all were ready, and nobody has gone.
    crowd.nobody_else_has_ended(0);

    // Some of the pairs, the many with one job, and the rest. Each time, those and nobody else.
    let half = pairs / 2;
    crowd.end(0..half);
    crowd.nobody_else_has_ended(2 * half);
    crowd.end(pairs..pairs + 1);
    crowd.nobody_else_has_ended(2 * half + 1 + sidecars - pairs);
    crowd.end(half..pairs);
    crowd.nobody_else_has_ended(sidecars + pairs + 1);
    crowd.print_delays();
    if asked.is_none() {
        counts::exactly("sidecars at once on one node", sidecars as u64);
    }
}

/// All processes of all Pods. They write into one file, and a thread waits for each.
struct Crowd {
    house: House,
    binary: PathBuf,
    ends: (Sender<End>, Receiver<End>),
    ended: Vec<End>,
    jobs: HashMap<usize, ChildStdin>,
    sidecars: Vec<Sidecar>,
}

struct Sidecar {
    pod: usize,
    pid: i32,
}

struct End {
    pod: usize,
    is_job: bool,
    status: ExitStatus,
    at: SystemTime,
}

impl Crowd {
    fn new() -> Self {
        let house = House::new();
        // Where the other user may read and run it.
        let binary = house.path("exeunt");
        fs::copy(EXEUNT, &binary).expect("a copy of the program");
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("its mode");
        Crowd { house, binary, ends: channel(), ended: Vec::new(), jobs: HashMap::new(), sidecars: Vec::new() }
    }

    fn dir(&self, pod: usize) -> PathBuf {
        self.house.path(format!("pod-{pod}"))
    }

    /// exeunt with a command that says "ready" once it runs.
    fn start(&self, pod: usize, mode: &'static str, line: &str, stdin: Stdio) -> std::process::Child {
        let dir = self.dir(pod);
        if !dir.exists() {
            fs::create_dir(&dir).expect("a shared directory");
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("its mode");
        }
        let log = |name: &str| {
            let file = OpenOptions::new().append(true).create(true).open(self.house.path(name));
            Stdio::from(file.expect("a file to write into"))
        };
        let mut command = Command::new(&self.binary);
        command.args(["--mode", mode, "--dir"]).arg(&dir).args(["--", "sh", "-c", line]).stdin(stdin);
        command.stdout(log("out")).stderr(log("err")).env(proc::MARK, self.house.path("crowd.run"));
        // SAFETY: a system call that cannot fail.
        if unsafe { libc::geteuid() } == 0 {
            command.uid(USER).gid(USER);
        }
        command.spawn().unwrap_or_else(|error| panic!("{mode} of Pod {pod}: {error}"))
    }

    fn follow(&self, pod: usize, is_job: bool, mut child: std::process::Child) {
        let sender = self.ends.0.clone();
        let wait = move || {
            let status = child.wait().expect("our own child");
            let _ = sender.send(End { pod, is_job, status, at: SystemTime::now() });
        };
        thread::Builder::new().stack_size(64 * 1024).spawn(wait).expect("a thread that waits");
    }

    fn sidecar(&mut self, pod: usize) {
        let child = self.start(pod, "sidecar", "echo ready; exec sleep 100000", Stdio::null());
        self.sidecars.push(Sidecar { pod, pid: child.id() as i32 });
        self.follow(pod, false, child);
    }

    /// A job that ends when its standard input does.
    fn job(&mut self, pod: usize) {
        let line = format!("echo ready; read line; exit {JOB_CODE}");
        let mut child = self.start(pod, "main", &line, Stdio::piped());
        self.jobs.insert(pod, child.stdin.take().expect("its standard input"));
        self.follow(pod, true, child);
    }

    #[track_caller]
    fn all_are_ready(&self) {
        let all = self.sidecars.len() + self.jobs.len();
        wait_for("all commands to run", LONG, || {
            let said = fs::read_to_string(self.house.path("out")).unwrap_or_default();
            (said.lines().filter(|line| *line == "ready").count() == all).then_some(())
        });
    }

    /// Whoever gets no inotify instance says so, and looks once a second.
    #[track_caller]
    fn inotify_is_used_up(&self, sidecars: usize) {
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").expect("the limit");
        let limit: usize = limit.trim().parse().expect("a number");
        let polling = || {
            let said = fs::read_to_string(self.house.path("err")).unwrap_or_default();
            said.lines().filter(|line| line.contains("it is looked at once a second instead")).count()
        };
        let watching = || self.sidecars.iter().filter(|sidecar| proc::watches(sidecar.pid)).count();
        wait_for("every sidecar to watch or to poll", LONG, || (polling() + watching() == sidecars).then_some(()));
        println!("inotify instances for a user: {limit}; {} sidecars watch, {} poll", watching(), polling());
        assert!(watching() <= limit, "more watch than the kernel lets");
        assert!(sidecars <= limit || watching() > 0, "nobody watches");
    }

    fn print_memory(&self) {
        let sum = |field: &str| -> u64 {
            let of = |sidecar: &Sidecar| {
                let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", sidecar.pid)).unwrap_or_default();
                let lines = text.lines().filter(|line| line.starts_with(field));
                lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>()
            };
            self.sidecars.iter().map(of).sum()
        };
        let (share, private) = (sum("Pss:"), sum("Private_"));
        let each = |kib: u64| kib / self.sidecars.len() as u64;
        println!(
            "memory of the sidecars' exeunts: {share} KiB (proportional share), {private} KiB private; each {} and {} KiB",
            each(share),
            each(private)
        );
    }

    /// Over the time in which every sidecar has looked once more of its own accord.
    #[track_caller]
    fn print_wake_ups(&self) {
        let count = || self.sidecars.iter().map(|sidecar| proc::wake_ups(sidecar.pid)).collect::<Vec<_>>();
        let (begun, before) = (Instant::now(), count());
        let after = wait_for("every sidecar to look once more", LONG, || {
            let now = count();
            now.iter().zip(&before).all(|(now, before)| now > before).then_some(now)
        });
        let (seconds, sum) = (begun.elapsed().as_secs_f64(), after.iter().sum::<u64>() - before.iter().sum::<u64>());
        println!(
            "wake-ups of idle sidecars: {sum} in {seconds:.1} s, {:.2} a second each",
            sum as f64 / seconds / self.sidecars.len() as f64
        );
    }

    /// Ends the jobs of these Pods and waits until they and their sidecars have ended.
    #[track_caller]
    fn end(&mut self, pods: std::ops::Range<usize>) {
        let theirs = self.sidecars.iter().filter(|sidecar| pods.contains(&sidecar.pod)).count();
        let deadline = Instant::now() + LONG;
        for pod in pods.clone() {
            drop(self.jobs.remove(&pod));
        }
        for number in 0..theirs + pods.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            let what = || format!("only {number} of {} have ended", theirs + pods.len());
            let end = self.ends.1.recv_timeout(left).unwrap_or_else(|_| panic!("{}", what()));
            assert!(pods.contains(&end.pod), "Pod {} has ended before its job", end.pod);
            let code = if end.is_job { JOB_CODE } else { 0 };
            assert_eq!(end.status.code(), Some(code), "Pod {}, job: {}", end.pod, end.is_job);
            self.ended.push(end);
        }
    }

    #[track_caller]
    fn nobody_else_has_ended(&self, number: usize) {
        assert!(self.ends.1.try_recv().is_err(), "somebody has ended early");
        assert_eq!(self.ended.len(), number);
        // Not those of Pods that are over: by now their numbers may be other processes'.
        let over: BTreeSet<usize> = self.ended.iter().map(|end| end.pod).collect();
        let left = self.sidecars.iter().filter(|sidecar| !over.contains(&sidecar.pod));
        assert_eq!(left.filter(|sidecar| !proc::alive(sidecar.pid)).count(), 0, "sidecars that are gone");
    }

    /// From the last writing of a sentinel to the end of a sidecar.
    fn print_delays(&self) {
        let told =
            |pod: usize| fs::metadata(self.dir(pod).join("main-job-terminated")).and_then(|file| file.modified());
        let delay = |end: &End| end.at.duration_since(told(end.pod).expect("a sentinel")).unwrap_or_default();
        let mut delays: Vec<_> = self.ended.iter().filter(|end| !end.is_job).map(delay).collect();
        delays.sort();
        let within = |percent: usize| delays[(delays.len() - 1) * percent / 100].as_millis();
        println!(
            "from the sentinel to the sidecar's end: half within {} ms, 90 % within {} ms, all within {} ms",
            within(50),
            within(90),
            within(100)
        );
    }
}

// --- a directory with much in it

const FILES: usize = 100_000;

roles! {
    // A job that, when it is told, makes events in its directory until there are so many, and ends when it is told.
    fn flood() {
        let dir = PathBuf::from(std::env::var_os("FLOOD").expect("a directory"));
        let wanted: u64 = std::env::var("EVENTS").expect("a number").parse().expect("a number");
        let (one, other) = (dir.join("one"), dir.join("other"));
        let told = || io::stdin().read_line(&mut String::new()).expect("a line");
        println!("ready");
        told();
        let mut events = 0;
        while events < wanted {
            // Created, closed after writing; moved from and to; removed.
            File::create(&one).and_then(|_| fs::rename(&one, &other)).and_then(|()| fs::remove_file(&other)).expect("events");
            events += 5;
        }
        println!("{events}");
        told();
    }
}

#[test]
fn a_million_events_in_a_directory_of_a_hundred_thousand_files_do_not_hide_the_end() {
    let _turn = INSTANCES.lock().unwrap_or_else(PoisonError::into_inner);
    let house = House::new();
    for number in 0..FILES {
        File::create(house.pod(format!("file-{number}"))).expect("a file");
    }
    let wanted = if counts::full_length() { 10_000_000 } else { 1_000_000 };
    let (held, mut cue) = io::pipe().expect("a pipe");
    let run = house.main().arg("--").arg(std::env::current_exe().expect("this program")).env(role::ROLE, "flood");
    let mut main = run.env("FLOOD", house.pod("")).env("EVENTS", wanted.to_string()).stdin(held).start();
    main.ready();
    let mut watching = house.helper(&[]);
    // One that gets no time while it happens, as in a frozen or starved container.
    let mut stopped = house.helper(&[]);
    wait_until("both to watch", || proc::watches(watching.pid) && proc::watches(stopped.pid));
    stopped.signal(libc::SIGSTOP);
    wait_until("it to be stopped", || proc::state(stopped.pid) == Some('T'));
    let mut unread = Events::of(house.pod(""));

    writeln!(cue, "begin").expect("the cue");
    let events: u64 = wait_for("the job to have made its events", LONG, || main.out().lines().nth(1)?.parse().ok());
    let job = *proc::children(main.pid).first().expect("the job");
    let (spent, spent_by_job) = (cpu_time(watching.pid), cpu_time(job));
    println!("{events} events: the job spent {spent_by_job:?} of CPU time on them, an exeunt that watches {spent:?}");
    // So far below what makes the events that it hardly matters; in a debug build, too.
    assert!(spent < spent_by_job * 3, "{spent:?} to watch what {spent_by_job:?} have done");

    let told = unread.so_far();
    assert!(told.iter().any(|event| event.starts_with('?')), "the queue of one who does not read has not overflowed");
    assert!((told.len() as u64) < events, "{} events have found room", told.len());
    drop(cue);
    assert_eq!(main.code(), 0);
    assert_eq!(watching.code(), 0);
    watching.expect("term");
    // The end was lost with all else that its queue had no room for.
    assert_eq!(stopped.try_ended(), None);
    stopped.signal(libc::SIGCONT);
    assert_eq!(stopped.code(), 0);
    stopped.expect("term");
    counts::exactly("events in one directory", events);
}

/// What all threads of a process have spent so far.
fn cpu_time(pid: i32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    // After the name, which may have anything in it: state is the 3rd field, user and system time the 14th and 15th.
    let fields: Vec<_> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("ticks") + fields[12].parse::<u64>().expect("ticks");
    // SAFETY: asks for a constant.
    let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as u64;
    Duration::from_millis(ticks * 1000 / a_second)
}
