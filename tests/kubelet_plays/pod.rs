//! A kubelet as far as one Pod sees it: it starts containers, looks at their exit codes, starts failed ones again with
//! back-off, and deletes the Pod with a grace period. It knows nothing of what the containers say to each other.

use super::script::{Attempt, Dice, Helper, Job, Plays, RestartPolicy, Role, Script};
use super::slow;
use crate::house::{self, proc};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// terminationGracePeriodSeconds, in the same proportion to everything else as 30 s are to a real Pod.
const GRACE: Duration = Duration::from_millis(400);
/// Within so many milliseconds all containers of a deleted Pod are asked to end, in any order.
const APART: u64 = 10;
/// Before the third start; each further one waits twice as long, up to sixteen times this.
const BACK_OFF: Duration = Duration::from_millis(10);

#[derive(Debug)]
enum State {
    Waiting(Instant),
    Running(Child),
    Over,
}

pub struct Container {
    pub role: Role,
    state: State,
    /// How often it has been started, and how often an attempt of the script has been played to its end.
    pub starts: usize,
    pub played: usize,
    pub last: Option<ExitStatus>,
    /// Every start (nothing) and every end (its code), and when.
    pub course: Vec<(Duration, Option<i32>)>,
    kill_at: Option<Instant>,
    /// When the deletion of the Pod reaches it: no kubelet tells all containers in the same moment.
    asked_at: Option<Instant>,
    pub killed: bool,
    /// How long after its first start its wrapper is stopped, as by the freezer or by throttling, and for how long.
    stall: Option<(Duration, Duration)>,
    stalled: Option<(Instant, Instant)>,
    stopped: bool,
    /// It is sent a SIGTERM as soon as its command has begun.
    early: bool,
}

pub struct Pod {
    pub script: Script,
    dir: PathBuf,
    begun: Instant,
    pub containers: Vec<Container>,
    pub back_off: Duration,
    deleted: Option<Instant>,
    /// A main container has ended for good without having been seen in the shared directory.
    pub unseen: bool,
    /// When the last main container ended for good.
    pub job_over: Option<Instant>,
    /// How long the sidecars went on after that.
    pub lasted: Duration,
    pub timeline: Vec<String>,
    pub faults: Vec<String>,
    _hold: File,
}

impl Pod {
    pub fn new(script: Script, dir: PathBuf) -> Self {
        fs::create_dir_all(dir.join("pod")).expect("a directory for the Pod");
        if script.small_volume {
            mount_small(&dir.join("pod"));
        }
        let hold = dir.join("hold");
        let path = CString::new(hold.as_os_str().as_bytes()).expect("a path");
        // SAFETY: reads a string that ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0, "mkfifo");
        let hold =
            OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&hold).expect("a fifo");
        let begun = Instant::now();
        let mut dice = Dice::new(!script.seed);
        // Around the end, as often as not: a job takes up to 50 ms.
        let mut container = |role: &Role| Container {
            role: role.clone(),
            state: State::Waiting(begun + role.starts_at),
            starts: 0,
            played: 0,
            last: None,
            course: Vec::new(),
            kill_at: None,
            asked_at: None,
            killed: false,
            stall: dice.percent(20).then(|| (dice.ms(100), dice.ms(60))),
            stalled: None,
            stopped: false,
            early: matches!(role.plays, Plays::Sidecar { helper: Helper::StopsByInt, .. }),
        };
        let containers = script.roles.iter().map(&mut container).collect();
        let (timeline, faults) = (Vec::new(), Vec::new());
        let (deleted, job_over, lasted) = (None, None, Duration::ZERO);
        let back_off = BACK_OFF;
        Self {
            script,
            dir,
            begun,
            containers,
            back_off,
            deleted,
            unseen: false,
            job_over,
            lasted,
            timeline,
            faults,
            _hold: hold,
        }
    }

    /// Plays the Pod to its end, or until `bound` after its job's.
    pub fn play(&mut self, bound: Duration) {
        while self.containers.iter().any(|container| !matches!(container.state, State::Over)) {
            let now = Instant::now();
            if self.script.deleted_at.is_some_and(|at| now >= self.begun + at) || self.unseen {
                self.delete(if self.unseen { "its job was never seen" } else { "by its owner" });
            }
            for index in 0..self.containers.len() {
                self.attend(index, now);
            }
            if self.deleted.is_some_and(|at| now >= at + GRACE) {
                self.containers.iter().for_each(|container| container.signal(libc::SIGKILL));
            }
            if self.job_over.is_some_and(|at| now >= at + bound) || now >= self.begun + 6 * bound {
                self.fault(format!("not all containers have ended within {bound:?}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.lasted = self.job_over.map_or(Duration::ZERO, |at| at.elapsed());
    }

    fn attend(&mut self, index: usize, now: Instant) {
        let begun = self.containers[index].early && self.log(&self.containers[index].role.name).contains("begin ");
        let container = &mut self.containers[index];
        match &mut container.state {
            State::Waiting(_) if self.deleted.is_some() => container.state = State::Over,
            State::Waiting(at) if *at <= now => self.start(index),
            State::Waiting(_) | State::Over => {}
            State::Running(child) => {
                let pid = child.id().cast_signed();
                if let Some(status) = child.try_wait().expect("waiting for our own child") {
                    self.ended(index, status);
                } else if container.stalled.is_some_and(|(from, _)| from <= now) && !container.stopped {
                    container.stopped = true;
                    proc::signal(pid, libc::SIGSTOP);
                    let line = format!("{}: its wrapper is stopped", container.role.name);
                    self.say(line);
                } else if container.stalled.take_if(|(_, to)| *to <= now).is_some() {
                    container.stopped = false;
                    proc::signal(pid, libc::SIGCONT);
                    let line = format!("{}: its wrapper goes on", container.role.name);
                    self.say(line);
                } else if begun {
                    container.early = false;
                    proc::signal(pid, libc::SIGTERM);
                } else if container.asked_at.take_if(|at| *at <= now).is_some() {
                    proc::signal(pid, libc::SIGTERM);
                } else if container.kill_at.take_if(|at| *at <= now).is_some() {
                    container.killed = true;
                    let line = format!("{}: its wrapper is killed", container.role.name);
                    proc::signal(pid, libc::SIGKILL);
                    self.say(line);
                }
            }
        }
    }

    fn start(&mut self, index: usize) {
        let (dir, policy) = (self.dir.clone(), self.script.policy);
        let mains = self.script.roles.iter().filter(|role| matches!(role.plays, Plays::Main(_)));
        let jobs: Vec<String> = mains.map(|role| role.name.clone()).collect();
        let container = &mut self.containers[index];
        container.starts += 1;
        let (mode, command, killed_after) = match &container.role.plays {
            Plays::Main(attempts) => {
                let attempt = attempts.get(container.played).unwrap_or(&attempts[attempts.len() - 1]);
                // Somebody has made room: a kubelet evicts, an operator cleans.
                let _ = fs::remove_file(dir.join("pod/fill"));
                ("main", job(attempt, &dir, &container.role.name), attempt.killed_after)
            }
            Plays::Sidecar { helper, killed_after } => {
                let killed_after = killed_after.filter(|_| container.starts == 1);
                ("sidecar", help(*helper, &dir, &container.role.name, &jobs), killed_after)
            }
        };
        let now = Instant::now();
        container.kill_at = killed_after.map(|after| now + after);
        container.stopped = false;
        container.stalled = container.stall.take().map(|(after, time)| (now + after, now + after + time));
        let transcript = dir.join(format!("{}.{}", container.role.name, container.starts));
        let mut run = Command::new(house::EXEUNT);
        run.arg("--dir").arg(dir.join("pod")).args(["--mode", mode, "--restart-policy", policy.word()]);
        run.args(&container.role.options).arg("--").args(&command);
        run.env(proc::MARK, &transcript).stdin(Stdio::null());
        run.stdout(File::create(transcript.with_added("out")).expect("a file for stdout"));
        run.stderr(File::create(transcript.with_added("err")).expect("a file for stderr"));
        let child = if self.script.slow_volume {
            slow::spawn(run, self.script.seed).expect("a container with a slow volume is started")
        } else {
            run.spawn().expect("a container is started")
        };
        let line = format!("{}: start {} (pid {}): {command:?}", container.role.name, container.starts, child.id());
        container.state = State::Running(child);
        container.course.push((self.begun.elapsed(), None));
        self.say(line);
    }

    fn ended(&mut self, index: usize, status: ExitStatus) {
        let again = self.script.policy == RestartPolicy::OnFailure && !status.success() && self.deleted.is_none();
        let container = &mut self.containers[index];
        container.last = Some(status);
        container.course.push((self.begun.elapsed(), Some(code(status))));
        // A full volume keeps a container from starting; the attempt has not been played.
        let refused = self.script.small_volume && status.code() == Some(125);
        container.played += usize::from(!refused);
        // The first time it is started again at once, as a real kubelet does.
        let back_off = match container.starts {
            1 => Duration::ZERO,
            starts => self.back_off * (1 << (starts - 2).min(4)),
        };
        container.state = if again { State::Waiting(Instant::now() + back_off) } else { State::Over };
        let line =
            format!("{}: ended with {status}{}", container.role.name, if again { ", to be started again" } else { "" });
        self.say(line);
        self.judge(index, status);
        let mains = || self.containers.iter().filter(|container| matches!(container.role.plays, Plays::Main(_)));
        if self.job_over.is_none() && mains().all(|main| matches!(main.state, State::Over)) {
            self.job_over = Some(Instant::now());
            // Killed before it could show itself, a job cannot be told from one that has not begun.
            self.unseen = mains().any(|main| main.starts > 0 && !self.seen(&main.role.name));
            self.say("the job is over".to_owned());
        }
    }

    pub fn seen(&self, name: &str) -> bool {
        let pod = self.dir.join("pod");
        ["running", "terminated"].iter().any(|kind| pod.join(format!("{name}-{kind}")).exists())
    }

    fn delete(&mut self, why: &str) {
        if self.deleted.is_none() {
            let now = Instant::now();
            self.deleted = Some(now);
            self.say(format!("the Pod is deleted ({why})"));
            let mut dice = Dice::new(self.script.seed);
            for container in &mut self.containers {
                container.asked_at = Some(now + dice.ms(APART));
            }
        }
    }

    pub fn is_deleted(&self) -> bool {
        self.deleted.is_some()
    }

    pub fn say(&mut self, what: String) {
        self.timeline.push(format!("{:9.3} ms  {what}", self.begun.elapsed().as_secs_f64() * 1000.0));
    }

    pub fn fault(&mut self, what: String) {
        self.say(format!("FAULT: {what}"));
        self.faults.push(what);
    }

    /// What a container has written: "err" of its last start.
    pub fn stderr(&self, container: &Container) -> String {
        self.text(&format!("{}.{}.err", container.role.name, container.starts))
    }

    /// What the commands of a container have noted: `begin PID`, `end CODE`.
    pub fn log(&self, name: &str) -> String {
        self.text(&format!("{name}.log"))
    }

    pub fn text(&self, file: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.dir.join(file)).unwrap_or_default()).into_owned()
    }

    /// How the processes of this Pod are marked.
    pub fn mark(&self) -> String {
        self.dir.display().to_string()
    }

    /// Everything about this life, for the person who has to understand it.
    pub fn story(&self) -> String {
        let mut story = format!("seed {}\n{:?}\n{}\n", self.script.seed, self.script, self.timeline.join("\n"));
        let mut files: Vec<_> =
            fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.extend(fs::read_dir(self.dir.join("pod")).into_iter().flatten().flatten().map(|entry| entry.path()));
        files.sort();
        for file in files.iter().filter(|file| file.is_file() && !file.ends_with("fill")) {
            let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).trim_end().to_owned();
            if !text.is_empty() {
                story += &format!("--- {}\n{text}\n", file.file_name().unwrap_or_default().to_string_lossy());
            }
        }
        story
    }
}

impl Container {
    fn signal(&self, signal: i32) {
        if let State::Running(child) = &self.state {
            // Not reaped yet, so the number is still its own.
            proc::signal(child.id().cast_signed(), signal);
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        for container in &mut self.containers {
            container.signal(libc::SIGKILL);
            if let State::Running(child) = &mut container.state {
                let _ = child.wait();
            }
        }
        if self.script.small_volume {
            let path = CString::new(self.dir.join("pod").as_os_str().as_bytes()).expect("a path");
            // SAFETY: reads a string that ends in NUL.
            unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

trait WithAdded {
    fn with_added(&self, ending: &str) -> PathBuf;
}

impl WithAdded for PathBuf {
    /// `sidecar-0.1` becomes `sidecar-0.1.err`.
    fn with_added(&self, ending: &str) -> PathBuf {
        let mut name = self.clone().into_os_string();
        name.push(".");
        name.push(ending);
        name.into()
    }
}

fn job(attempt: &Attempt, dir: &Path, name: &str) -> Vec<String> {
    let log = dir.join(format!("{name}.log"));
    let before = match attempt.job {
        Job::IsMissing => return vec!["/no/such/command".to_owned()],
        Job::Exits(_) | Job::Crashes => String::new(),
        Job::Forks(_) => "(sleep 0.03 &); ".to_owned(),
        Job::IgnoresTerm(_) => "trap '' TERM; ".to_owned(),
        Job::FillsTheVolume(_) => format!("head -c 300000 /dev/zero > {}/pod/fill 2>&-; ", dir.display()),
    };
    let after = match attempt.job {
        Job::Crashes => "kill -9 $$".to_owned(),
        _ => format!("exit {}", attempt.code()),
    };
    let (log, takes, code) = (log.display(), attempt.takes.as_secs_f64(), attempt.code());
    shell(format!("{before}echo begin $$ >> {log}; sleep {takes:.4}; echo end {code} >> {log}; {after}"))
}

fn help(helper: Helper, dir: &Path, name: &str, jobs: &[String]) -> Vec<String> {
    let (log, hold) = (dir.join(format!("{name}.log")), dir.join("hold"));
    let (begin, hold) = (format!("echo begin $$ >> {}", log.display()), format!("read x < {}", hold.display()));
    shell(match helper {
        Helper::Plain => format!("{begin}; exec sleep 1000"),
        Helper::Tidy => format!("trap 'exit 0' TERM; {begin}; {hold}"),
        Helper::IgnoresTerm => format!("trap '' TERM; {begin}; {hold}"),
        Helper::SeesTheSentinel(code) => {
            let pod = dir.join("pod");
            let there = |job: &str| format!("[ -e {}/{job}-terminated ]", pod.display());
            let all = jobs.iter().map(|job| there(job)).collect::<Vec<_>>().join(" && ");
            format!("trap '' TERM; {begin}; until {all}; do :; done; exit {code}")
        }
        // Not by `hold`: a signal between the shell's last look and its read would wait for ever.
        Helper::StopsByInt => format!("trap '' TERM; trap 'exit 0' INT; {begin}; while :; do sleep 0.02; done"),
        Helper::Fails(code, ms) => {
            format!("{begin}; sleep {:.3}; exit {code}", Duration::from_millis(ms).as_secs_f64())
        }
    })
}

fn shell(line: String) -> Vec<String> {
    vec!["/bin/sh".to_owned(), "-c".to_owned(), line]
}

/// A namespace of mounts for this thread and what it starts. Whether we may.
pub fn may_mount() -> bool {
    // SAFETY: system calls on strings that end in NUL; only this thread leaves the common namespace.
    unsafe {
        libc::unshare(libc::CLONE_FS | libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    }
}

fn mount_small(path: &Path) {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
    let size = c"size=65536".as_ptr().cast();
    // SAFETY: all strings end in NUL.
    let done = unsafe { libc::mount(c"none".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), 0, size) };
    assert_eq!(done, 0, "mounting a small volume: {}", std::io::Error::last_os_error());
}

/// The code as a shell would say it.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
