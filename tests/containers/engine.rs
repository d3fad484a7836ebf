//! A container engine as a test sees it: a command line whose every call has a deadline, containers and volumes that
//! vanish with the value that stands for them, and waits for facts.

use crate::{here, images};
use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// For one call of the engine, and for one fact. Generous, because it is only ever used up by a failure.
const DEADLINE: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(20);

pub struct Engine {
    pub program: &'static str,
    /// The image that everything else is made from: a shell, its small tools, and a /tmp/pod that all may write to.
    pub shell: String,
}

pub struct Output {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub struct Container {
    pub engine: &'static Engine,
    pub name: String,
}

/// A volume that is mounted on /tmp/pod, empty, and, like an `emptyDir`, writable for every user.
pub struct Volume {
    engine: &'static Engine,
    pub name: String,
}

/// Docker, if its daemon answers and runs a container; nothing, and a loud word, if not.
pub fn docker() -> Option<&'static Engine> {
    static DOCKER: OnceLock<Result<Engine, String>> = OnceLock::new();
    // The client alone proves nothing; the version of the server does.
    usable(DOCKER.get_or_init(|| find("docker", &["version", "--format", "{{.Server.Version}}"])))
}

/// Podman, if it runs a container.
pub fn podman() -> Option<&'static Engine> {
    static PODMAN: OnceLock<Result<Engine, String>> = OnceLock::new();
    usable(PODMAN.get_or_init(|| find("podman", &["info"])))
}

fn usable(engine: &'static Result<Engine, String>) -> Option<&'static Engine> {
    let problem = match engine {
        Ok(engine) => return Some(engine),
        Err(problem) => problem,
    };
    here::pass_over(problem);
    None
}

fn find(program: &'static str, question: &[&str]) -> Result<Engine, String> {
    let busybox = static_busybox()?;
    let answer = Command::new(program).args(question).stdin(Stdio::null()).output();
    let answer = answer.map_err(|_| format!("there is no {program} on this machine"))?;
    if !answer.status.success() {
        return Err(format!("{program} is here, but `{program} {}` fails", question.join(" ")));
    }
    let engine = Engine { program, shell: image_name("shell") };
    images::import_shell(&engine, &busybox);
    // An engine that is installed is not yet one that works: limits, cgroups and storage decide when a container starts.
    // And one that runs its own root may know no other user: rootless Podman without subordinate ids.
    for (user, who) in [("0:0", "a container"), ("4242:4242", "a container as another user")] {
        let trial = engine.attempt(&["run", "--rm", "--network", "none", "--user", user, &engine.shell, "/bin/true"]);
        if trial.code != Some(0) {
            engine.remove_image(&engine.shell);
            let reason = trial.stderr.lines().last().unwrap_or("without a word").to_owned();
            return Err(format!("{program} cannot run {who} here: {reason}"));
        }
    }
    images::remove_at_exit(program, &engine.shell);
    Ok(engine)
}

/// The shell of the test images. Images are made from it, because a test never pulls one.
pub fn static_busybox() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|directory| directory.join("busybox"))
        .find(|file| fs::read(file).is_ok_and(|content| is_static(&content)))
        .ok_or_else(|| "there is no static busybox on this machine (Debian: busybox-static)".to_owned())
}

/// Whether a 64-bit little-endian ELF file names no interpreter, which is what decides if it runs in an empty image.
pub fn is_static(elf: &[u8]) -> bool {
    const PT_INTERP: usize = 3;
    let number = |at: usize, size: usize| {
        let bytes = elf.get(at..at + size)?;
        Some(bytes.iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let headers = || {
        let (start, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        (0..count).map(|index| number(start + index * size, 4)).collect::<Option<Vec<_>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01") && headers().is_some_and(|types| !types.contains(&PT_INTERP))
}

/// Looks until the fact holds; the panic names it when it never does.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(fact) = look() {
            return fact;
        }
        assert!(Instant::now() < end, "waited in vain for: {what}");
        thread::sleep(STEP);
    }
}

/// Names that no other run of these tests uses, so that two may share an engine.
pub fn unique(kind: &str) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("exeunt-test-{kind}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub fn image_name(kind: &str) -> String {
    format!("localhost/{}:latest", unique(kind))
}

/// Runs a command to its end, or kills it at the deadline and says which it was.
pub fn call(program: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start {program}: {error}"));
    let stdout = drain(child.stdout.take().expect("a pipe"));
    let stderr = drain(child.stderr.take().expect("a pipe"));
    let end = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait for the engine") {
            break status;
        }
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("waited in vain for the end of: {program} {}", arguments.join(" "));
        }
        thread::sleep(STEP / 4);
    };
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().expect("read the output"));
    Output { code: status.code(), stdout, stderr }
}

fn drain(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("read a pipe");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

impl Engine {
    /// Runs the engine, which must agree, and returns what it says.
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = self.attempt(arguments);
        assert_eq!(output.code, Some(0), "{} {}\n{}", self.program, arguments.join(" "), output.stderr);
        output.stdout.trim_end().to_owned()
    }

    pub fn attempt(&self, arguments: &[&str]) -> Output {
        call(self.program, arguments)
    }

    pub fn remove_image(&self, image: &str) {
        self.attempt(&["rmi", "--force", image]);
    }

    /// A volume filled from the shell image's /tmp/pod: that is where the mode comes from, 1777.
    pub fn volume(&'static self, options: &[&str]) -> Volume {
        let volume = Volume { engine: self, name: unique("volume") };
        self.run(&[&["volume", "create"], options, &[&volume.name]].concat());
        let mount = format!("{}:/tmp/pod", volume.name);
        self.run(&["run", "--rm", "--network", "none", "-v", &mount, &self.shell, "/bin/true"]);
        volume
    }

    /// Starts a container in the background; `arguments` are those of `run`, from its options to the command.
    pub fn start(&'static self, arguments: &[&str]) -> Container {
        let container = Container { engine: self, name: unique("box") };
        // No network: nothing here needs one, and an engine takes a second to build it.
        self.run(&[&["run", "--detach", "--network", "none", "--name", &container.name], arguments].concat());
        container
    }
}

impl Container {
    pub fn ask(&self, template: &str) -> String {
        self.engine.run(&["inspect", "--format", template, &self.name])
    }

    pub fn is_running(&self) -> bool {
        self.ask("{{.State.Running}}") == "true"
    }

    /// Everything that was written, standard output before standard error.
    pub fn log(&self) -> String {
        let output = self.engine.attempt(&["logs", &self.name]);
        output.stdout + &output.stderr
    }

    pub fn wait_for_log(&self, line: &str) {
        let end = Instant::now() + DEADLINE;
        while !self.log().lines().any(|found| found.trim_end() == line) {
            assert!(Instant::now() < end, "waited in vain for {line:?} in the log of {}:\n{}", self.name, self.log());
            thread::sleep(STEP);
        }
    }

    /// Waits for the end and returns the exit code; a container that does not end shows its log.
    pub fn exit_code(&self) -> i32 {
        let end = Instant::now() + DEADLINE;
        while self.ask("{{.State.Status}}") != "exited" {
            assert!(Instant::now() < end, "waited in vain for the end of {}:\n{}", self.name, self.log());
            thread::sleep(STEP);
        }
        self.ask("{{.State.ExitCode}}").parse().expect("a number")
    }

    /// Runs a shell line inside and returns what it prints.
    pub fn shell(&self, line: &str) -> String {
        self.engine.run(&["exec", &self.name, "/bin/sh", "-c", line])
    }

    pub fn signal(&self, name: &str) {
        self.engine.run(&["kill", "--signal", name, &self.name]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Not `run`: a second panic while the first one unwinds would end the whole suite.
        // Podman would first ask politely, for ten seconds; Docker does not know the option.
        let hurry: &[&str] = if self.engine.program == "podman" { &["--time", "0"] } else { &[] };
        self.engine.attempt(&[&["rm", "--force", "--volumes"], hurry, &[&self.name]].concat());
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.engine.attempt(&["volume", "rm", "--force", &self.name]);
    }
}
