//! A kubelet as far as one Pod sees it: it starts containers, looks at their exit codes, starts failed ones again with
//! back-off, and deletes the Pod with a grace period. It knows nothing of what the containers say to each other.

use super::commands;
use super::node;
use super::script::{Dice, Helper, Plays, Reset, Role, Script};
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
pub const GRACE: Duration = Duration::from_millis(400);
/// Within so many milliseconds all containers of a deleted Pod are asked to end, in any order.
const APART: u64 = 10;
/// Before the third start; each further one waits twice as long, up to sixteen times this.
const BACK_OFF: Duration = Duration::from_millis(10);

#[derive(Debug)]
pub enum State {
    /// Its turn has not come: the init container has not ended, or its image is not to be had.
    Pending,
    Waiting(Instant),
    Running(Child),
    Over,
}

pub struct Container {
    pub role: Role,
    pub state: State,
    /// How often it has been started, and how often an attempt of the script has been played to its end.
    pub starts: usize,
    pub played: usize,
    pub last: Option<ExitStatus>,
    /// Every start (nothing) and every end (its code), and when.
    pub course: Vec<(Duration, Option<i32>)>,
    kill_at: Option<Instant>,
    /// When the deletion of the Pod reaches it: no kubelet tells all containers in the same moment.
    pub asked_at: Option<Instant>,
    /// When the kubelet has asked it to end, in this round.
    pub asked: Option<Instant>,
    /// Its wrapper was killed, since its last start; and how often that happened.
    pub killed: bool,
    pub kills: usize,
    /// When its last start was, when its command was seen to have begun then, and when it was last seen to run.
    pub started: Instant,
    pub begun: Option<Instant>,
    pub seen: Instant,
    /// Somebody waits for its command to begin; otherwise it is asked for at its end.
    awaited: bool,
    /// How many commands had begun in this round before its last start.
    pub begun_before: usize,
    stall: Option<(Duration, Duration)>,
    stalled: Option<(Instant, Instant)>,
    stopped: bool,
    /// It is stopped until the job is over, if it is to be.
    halted: Option<bool>,
    /// When somebody else sends it a SIGTERM, after its command has begun; and when that was, with whether the job was over.
    told_after: Option<Duration>,
    pub told: Option<(Instant, bool)>,
    /// When the file that it waits for is made, and when it was.
    opens_at: Option<Instant>,
    pub opened: Option<Instant>,
    /// How many of its commands had begun when it was sent a SIGUSR1 between two of them.
    pub rotated: Option<usize>,
    /// Start by start: by when it had certainly come, and until when it had certainly not gone.
    pub there: Vec<(Instant, Instant)>,
}

pub struct Pod {
    pub script: Script,
    pub dir: PathBuf,
    begun: Instant,
    pub containers: Vec<Container>,
    pub back_off: Duration,
    deleted: Option<Instant>,
    /// How often all containers have begun again.
    pub round: usize,
    /// The init container of this round is still to be run.
    pub prepares: bool,
    /// All containers begin again: those that are still to be ended, one after the other.
    pub leaving: Option<Vec<usize>>,
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
        let gives_up = script.roles.iter().any(|role| role.time_of("--absence-timeout").is_some());
        let container = |role: &Role| Container {
            state: match () {
                () if script.reset.is_some() || script.late && role.is_main() => State::Pending,
                () => State::Waiting(begun + role.starts_at),
            },
            starts: 0,
            played: 0,
            last: None,
            course: Vec::new(),
            kill_at: None,
            asked_at: None,
            asked: None,
            killed: false,
            kills: 0,
            started: begun,
            begun: None,
            seen: begun,
            awaited: role.told_after.is_some() || role.stopped_over_the_end || role.is_main() && gives_up,
            begun_before: 0,
            stall: role.stall,
            stalled: None,
            stopped: false,
            halted: role.stopped_over_the_end.then_some(false),
            told_after: role.told_after,
            told: None,
            opens_at: None,
            opened: None,
            rotated: None,
            there: Vec::new(),
            role: role.clone(),
        };
        let containers = script.roles.iter().map(container).collect();
        let (timeline, faults) = (Vec::new(), Vec::new());
        let (deleted, job_over, lasted) = (None, None, Duration::ZERO);
        let (back_off, prepares) = (BACK_OFF, script.reset.is_some());
        Self {
            script,
            dir,
            begun,
            containers,
            back_off,
            deleted,
            round: 0,
            prepares,
            leaving: None,
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
        while self.leaving.is_some() || self.containers.iter().any(|container| !container.is_over()) {
            let now = Instant::now();
            // Nobody else would end its sidecars, but for those that give up by themselves.
            let never_seen = self.unseen && !self.script.late && !self.script.without_rules;
            if self.script.deleted_at.is_some_and(|at| now >= self.begun + at) || never_seen {
                self.delete(if never_seen { "its job was never seen" } else { "by its owner" });
            }
            for index in 0..self.containers.len() {
                self.attend(index, now);
            }
            self.attend_the_round(now);
            if self.deleted.is_some_and(|at| now >= at + GRACE) {
                self.containers.iter().for_each(|container| container.signal(libc::SIGKILL));
            }
            let waits_for_nobody = self.script.late && now >= self.begun + bound && self.no_job_has_come();
            if self.job_over.is_some_and(|at| now >= at + bound) || waits_for_nobody || now >= self.begun + 6 * bound {
                self.fault(format!("not all containers have ended within {bound:?}"));
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.lasted = self.job_over.map_or(Duration::ZERO, |at| at.elapsed());
    }

    fn attend(&mut self, index: usize, now: Instant) {
        let container = &mut self.containers[index];
        match &mut container.state {
            State::Pending | State::Waiting(_) if self.deleted.is_some() => container.state = State::Over,
            State::Waiting(at) if *at <= now => self.start(index),
            State::Pending | State::Waiting(_) | State::Over => {}
            State::Running(child) => {
                let pid = child.id().cast_signed();
                // Before it is looked at: until then it was certainly there.
                let looked = Instant::now();
                if let Some(status) = child.try_wait().expect("waiting for our own child") {
                    self.ended(index, status);
                    return;
                }
                container.seen = looked;
                if container.stalled.is_some_and(|(from, _)| from <= now) && !container.stopped {
                    container.stopped = true;
                    proc::signal(pid, libc::SIGSTOP);
                    let line = format!("{}: its wrapper is stopped", container.role.name);
                    self.say(line);
                } else if container.stalled.take_if(|(_, to)| *to <= now).is_some() {
                    container.stopped = false;
                    proc::signal(pid, libc::SIGCONT);
                    let line = format!("{}: its wrapper goes on", container.role.name);
                    self.say(line);
                } else if container.asked_at.take_if(|at| *at <= now).is_some() {
                    container.asked = Some(now);
                    proc::signal(pid, libc::SIGTERM);
                } else if container.kill_at.take_if(|at| *at <= now).is_some() {
                    container.killed = true;
                    container.kills += 1;
                    let line = format!("{}: its wrapper is killed", container.role.name);
                    proc::signal(pid, libc::SIGKILL);
                    self.say(line);
                } else {
                    self.interfere(index, pid, now);
                }
            }
        }
    }

    /// What others do to a container: they open a gate, tell it to end, ask it to rotate its log.
    fn interfere(&mut self, index: usize, pid: i32, now: Instant) {
        if self.containers[index].opens_at.take_if(|at| *at <= now).is_some() {
            fs::write(self.gate(&self.containers[index].role.name), "").expect("the gate is opened");
            self.containers[index].opened = Some(Instant::now());
            self.say(format!("{}: its gate is open", self.containers[index].role.name));
        }
        let container = &self.containers[index];
        if container.awaited && (container.begun.is_none() || container.role.is_main()) {
            self.heed_the_begin(index);
        }
        let over = self.job_over.is_some();
        let container = &mut self.containers[index];
        let begun = container.begun;
        if container.halted == Some(false) && begun.is_some() && !over {
            container.halted = Some(true);
            proc::signal(pid, libc::SIGSTOP);
            let line = format!("{}: its wrapper is stopped until its job is over", container.role.name);
            self.say(line);
        } else if container.halted == Some(true) && (over || self.deleted.is_some()) {
            (container.halted, container.told_after) = (None, None);
            if over {
                container.told = Some((Instant::now(), true));
                proc::signal(pid, libc::SIGTERM);
            }
            proc::signal(pid, libc::SIGCONT);
            let line = format!(
                "{}: its wrapper goes on{}",
                container.role.name,
                if over { ", and is told to end" } else { "" }
            );
            self.say(line);
        } else if container.told_after.take_if(|after| begun.is_some_and(|at| at + *after <= now)).is_some() {
            // Before it is sent: whatever is due after this time is due after that, too.
            container.told = Some((Instant::now(), over));
            proc::signal(pid, libc::SIGTERM);
            let line = format!("{}: told to end{}", container.role.name, if over { ", after its job" } else { "" });
            self.say(line);
        }
        let container = &self.containers[index];
        let rotates = matches!(container.role.plays, Plays::Sidecar { helper: Helper::Rotates(..), .. });
        if rotates && container.rotated.is_none() {
            let log = self.log(&container.role.name);
            let commands: Vec<i32> = begun_in(&log).collect();
            // Reaped: it is nobody's child any more.
            if commands.last().is_some_and(|last| proc::parent(*last) != Some(pid)) {
                proc::signal(pid, libc::SIGUSR1);
                // If the next has begun meanwhile, it may have been on its way out. Then another time is waited for.
                let log = self.log(&self.containers[index].role.name);
                let between = begun_in(&log).count() == commands.len();
                self.containers[index].rotated = between.then_some(commands.len());
                self.say(format!("{}: asked to rotate between two starts", self.containers[index].role.name));
            }
        }
    }

    /// Takes note of a command that has begun since the container's last start.
    fn heed_the_begin(&mut self, index: usize) {
        let commands: Vec<i32> = begun_in(&self.log(&self.containers[index].role.name)).collect();
        let container = &mut self.containers[index];
        if container.begun.is_none() && commands.len() > container.begun_before {
            container.begun = Some(Instant::now());
            container.there.push((Instant::now(), container.started));
        }
        // Once its command has ended, an attempt is over, however long its wrapper takes to be gone.
        let seen = container.seen;
        if let (Some(_), Some((_, to))) = (container.begun, container.there.last_mut())
            && commands.last().is_some_and(|last| proc::alive(*last))
        {
            *to = seen.max(*to);
        }
    }

    fn no_job_has_come(&self) -> bool {
        self.containers.iter().all(|container| !container.role.is_main() || container.starts == 0)
    }

    fn gate(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.gate"))
    }

    fn start(&mut self, index: usize) {
        let (dir, policy) = (self.dir.clone(), self.script.policy);
        let mains = self.script.roles.iter().filter(|role| role.is_main());
        let jobs: Vec<String> = mains.map(|role| role.name.clone()).collect();
        let log = self.log_of(&self.containers[index].role.name);
        let begun_before = begun_in(&self.log(&self.containers[index].role.name)).count();
        let first_round = self.round == 0;
        let container = &mut self.containers[index];
        container.starts += 1;
        let tidy = |helper: &Helper| match helper {
            Helper::FailsInTheFirstRound(..) if !first_round => Helper::Tidy,
            other => *other,
        };
        let (mode, command, killed_after) = match &container.role.plays {
            Plays::Main(attempts) => {
                let attempt = attempts.get(container.played).unwrap_or(&attempts[attempts.len() - 1]);
                // Somebody has made room: a kubelet evicts, an operator cleans.
                let _ = fs::remove_file(dir.join("pod/fill"));
                ("main", commands::job(attempt, &dir, &log), attempt.killed_after)
            }
            Plays::Sidecar { helper, killed_after } => {
                let killed_after = killed_after.filter(|_| container.starts == 1);
                ("sidecar", commands::help(tidy(helper), &dir, &log, &jobs), killed_after)
            }
            Plays::Native => ("sidecar", commands::help(Helper::Tidy, &dir, &log, &jobs), None),
        };
        let now = Instant::now();
        (container.started, container.seen, container.begun) = (now, now, None);
        (container.begun_before, container.killed) = (begun_before, false);
        container.kill_at = killed_after.map(|after| now + after);
        container.stopped = false;
        container.stalled = container.stall.take().map(|(after, time)| (now + after, now + after + time));
        let transcript = dir.join(format!("{}.{}", container.role.name, container.starts));
        let mut run = Command::new(match self.script.reset {
            Some(Reset::WithTheBinary) => dir.join("pod/exeunt"),
            Some(Reset::Alone) | None => house::EXEUNT.into(),
        });
        run.arg("--dir").arg(dir.join("pod")).args(["--mode", mode, "--restart-policy", policy.word()]);
        if let Some(rule) = container.role.rule {
            run.args(["--restart-on", rule.word]);
        }
        if let Some(gate) = container.role.gate {
            let file = dir.join(format!("{}.gate", container.role.name));
            run.arg("--wait-for").arg(format!("file://{}", file.display()));
            run.arg("--wait-timeout").arg(format!("{}ms", gate.timeout.as_millis()));
            if container.opened.is_none() && container.opens_at.is_none() {
                container.opens_at = Some(now + gate.opens);
            }
        }
        run.args(&container.role.options).arg("--").args(&command);
        // What this test is told by its environment is none of theirs.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"EXEUNT_")) {
            run.env_remove(name);
        }
        run.env(proc::MARK, &transcript).stdin(Stdio::null());
        run.stdout(File::create(transcript.with_added("out")).expect("a file for stdout"));
        run.stderr(File::create(transcript.with_added("err")).expect("a file for stderr"));
        let child = node::spawn(run, self.script.node, self.script.seed).expect("a container is started");
        let line = format!("{}: start {} (pid {}): {command:?}", container.role.name, container.starts, child.id());
        container.state = State::Running(child);
        container.course.push((self.begun.elapsed(), None));
        self.say(line);
    }

    fn ended(&mut self, index: usize, status: ExitStatus) {
        self.heed_the_begin(index);
        let stays = self.deleted.is_none() && self.leaving.is_none();
        let native = self.containers[index].role.is_native();
        let repeated = match native {
            true => self.others_are_on().then_some(false),
            false => self.script.repeats(&self.containers[index].role, code(status) as u8),
        };
        let again = repeated.filter(|_| stays);
        let refused = self.is_refused(index, status);
        let container = &mut self.containers[index];
        container.last = Some(status);
        container.course.push((self.begun.elapsed(), Some(code(status))));
        // A full volume keeps a container from starting, and so does a gate; the attempt has not been played.
        container.played += usize::from(!refused);
        // The first time it is started again at once, as a real kubelet does.
        let back_off = match container.starts {
            1 => Duration::ZERO,
            starts => self.back_off * (1 << (starts - 2).min(4)),
        };
        container.state = if again == Some(false) { State::Waiting(Instant::now() + back_off) } else { State::Over };
        let then = match again {
            None => "",
            Some(false) => ", to be started again",
            Some(true) => ", and all containers begin again",
        };
        let line = format!("{}: ended with {status}{then}", container.role.name);
        self.say(line);
        self.judge(index, status, refused);
        if again == Some(true) {
            self.begin_again(index);
        }
        let mains = || self.containers.iter().filter(|container| container.role.is_main());
        let over = self.leaving.is_none() && mains().all(|main| matches!(main.state, State::Over));
        if self.job_over.is_none() && over {
            self.job_over = Some(Instant::now());
            // Killed before it could show itself, a job cannot be told from one that has not begun.
            self.unseen = mains().any(|main| main.starts > 0 && !self.is_seen(main));
            self.say("the job is over".to_owned());
        }
    }

    /// Whether the command has not been started, for a reason that is not its own.
    fn is_refused(&self, index: usize, status: ExitStatus) -> bool {
        let container = &self.containers[index];
        let full = self.script.small_volume && status.code() == Some(125);
        let said = |words| status.code() == Some(124) && self.stderr(container).contains(words);
        // Its wrapper was killed after it had said how the job ended: its partners have left with it, and are missed by the next.
        let alone = || container.role.is_main() && self.has_noted_its_end(container) && said("and will not be ready");
        full || container.role.gate.is_some() && said("given up after") || alone()
    }

    /// Whether the last start of a main container has left a trace in the volume, and not only one before it.
    fn is_seen(&self, main: &Container) -> bool {
        let there = |kind| self.dir.join(format!("pod/{}-{kind}", main.role.name)).exists();
        let before = self.text(&format!("pod/{}-running", main.role.name)).contains("\"final\":false");
        there("terminated") || there("running") && !(main.killed && before)
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

    /// What a container has said to people: "err" of its last start.
    pub fn stderr(&self, container: &Container) -> String {
        let text = self.text(&format!("{}.{}.err", container.role.name, container.starts));
        text.lines().filter(|line| !line.contains(": debug: ")).map(|line| format!("{line}\n")).collect()
    }

    /// What the commands of a container have noted in this round: `begin PID`, `end CODE`.
    pub fn log(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.log_of(name)).unwrap_or_default()).into_owned()
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.log_of_round(name, self.round)
    }

    pub fn log_of_round(&self, name: &str, round: usize) -> PathBuf {
        self.dir.join(format!("{name}.{round}.log"))
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
        let no_text = |file: &PathBuf| file.ends_with("fill") || file.ends_with("exeunt");
        for file in files.iter().filter(|file| file.is_file() && !no_text(file)) {
            let text = String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).trim_end().to_owned();
            if !text.is_empty() {
                story += &format!("--- {}\n{text}\n", file.file_name().unwrap_or_default().to_string_lossy());
            }
        }
        story
    }
}

impl Container {
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    pub fn signal(&self, signal: i32) {
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

/// The commands that have begun, by their numbers.
pub fn begun_in(log: &str) -> impl Iterator<Item = i32> {
    log.lines().filter_map(|line| line.strip_prefix("begin ")?.parse().ok())
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
