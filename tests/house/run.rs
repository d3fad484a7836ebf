//! A process before it is started: its command line, what is put in front of it, and its surroundings.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Process, proc};

/// A process to be started: a command line that may still be put behind other commands, and its surroundings.
pub struct Run {
    pub(super) argv: Vec<OsString>,
    /// What is to be set on the command, once it is known which program comes first.
    pub(super) settings: Vec<Setting>,
    /// The path, without its ending, of what the process writes.
    pub(super) transcript: PathBuf,
}

type Setting = Box<dyn FnOnce(&mut Command)>;

impl Run {
    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// `-- sh -c LINE`: the command that exeunt wraps.
    pub fn command(self, line: &str) -> Self {
        self.args(["--", "sh", "-c", line])
    }

    pub fn env(self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let (name, value) = (name.to_owned(), value.as_ref().to_owned());
        self.set(move |command| {
            command.env(name, value);
        })
    }

    pub fn current_dir(self, dir: impl AsRef<Path>) -> Self {
        let dir = dir.as_ref().to_owned();
        self.set(move |command| {
            command.current_dir(dir);
        })
    }

    pub fn stdin(self, stdin: impl Into<Stdio>) -> Self {
        let stdin = stdin.into();
        self.set(move |command| {
            command.stdin(stdin);
        })
    }

    /// Instead of the file from which `Process::line` reads.
    pub fn stdout(self, stdout: impl Into<Stdio>) -> Self {
        let stdout = stdout.into();
        self.set(move |command| {
            command.stdout(stdout);
        })
    }

    /// Instead of the file from which `Process::err` reads.
    pub fn stderr(self, stderr: impl Into<Stdio>) -> Self {
        let stderr = stderr.into();
        self.set(move |command| {
            command.stderr(stderr);
        })
    }

    /// Something to do in the new process before its program is loaded: umask, limits, masks. Only what is safe
    /// between fork and exec.
    pub fn hook(self, hook: impl FnMut() -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.set(move |command| {
            // SAFETY: the hooks of the tests make system calls and nothing else.
            unsafe { command.pre_exec(hook) };
        })
    }

    pub fn umask(self, mask: libc::mode_t) -> Self {
        self.hook(move || {
            // SAFETY: umask cannot fail and touches no memory.
            unsafe { libc::umask(mask) };
            Ok(())
        })
    }

    fn set(mut self, setting: impl FnOnce(&mut Command) + 'static) -> Self {
        self.settings.push(Box::new(setting));
        self
    }

    /// Puts another command in front of this one: `run.behind(["setpriv", "--reuid=1000"])`.
    pub fn behind<S: AsRef<OsStr>>(mut self, prefix: impl IntoIterator<Item = S>) -> Self {
        self.argv.splice(..0, prefix.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// In new namespaces, as `unshare` makes them; without root, in a user namespace where we are root.
    pub fn unshare<S: AsRef<OsStr>>(self, flags: impl IntoIterator<Item = S>) -> Self {
        // SAFETY: a system call that cannot fail.
        let user: &[&str] = if unsafe { libc::geteuid() } == 0 { &[] } else { &["--map-root-user"] };
        self.behind(["--"]).behind(flags).behind(user).behind(["unshare"])
    }

    /// As PID 1 of a pid namespace of its own, with a /proc that belongs to it. Outside it is `Process::inner`;
    /// its exit code is passed on, but a killing signal is not by every version of `unshare`.
    pub fn pid_1(self) -> Self {
        self.unshare(["--pid", "--fork", "--kill-child=KILL", "--mount", "--mount-proc"])
    }

    /// In a mount namespace of its own, after a shell has prepared it, with `$1` = `argument`:
    /// `run.after("mount -t tmpfs -o size=64k none \"$1\"", dir)`. From outside: `Process::root`.
    pub fn after(self, prepare: &str, argument: impl AsRef<OsStr>) -> Self {
        let line = format!("set -e; {prepare}; shift; exec \"$@\"");
        self.behind([OsStr::new("sh"), "-c".as_ref(), line.as_ref(), "sh".as_ref(), argument.as_ref()])
            .unshare(["--mount"])
    }

    /// In the namespaces of a process that has been started with `after`.
    pub fn inside(self, other: &Process, flags: &[&str]) -> Self {
        // SAFETY: a system call that cannot fail.
        let user: &[&str] = if unsafe { libc::geteuid() } == 0 { &[] } else { &["-U", "--preserve-credentials"] };
        let target = other.pid.to_string();
        self.behind(["--"]).behind(flags).behind(user).behind(["nsenter", "--target", &target])
    }

    #[track_caller]
    pub fn start(self) -> Process {
        let file = |ending| self.transcript.with_extension(ending);
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"EXEUNT_") {
                command.env_remove(name);
            }
        }
        // The mark by which everything that this run has started is found again, whoever has adopted it.
        command.env(proc::MARK, file("run")).stdin(Stdio::null());
        command.stdout(File::create(file("out")).expect("a file for stdout"));
        command.stderr(File::create(file("err")).expect("a file for stderr"));
        for setting in self.settings {
            setting(&mut command);
        }
        let line = self.argv.join(OsStr::new(" "));
        fs::write(file("argv"), line.as_encoded_bytes()).expect("a note of the command line");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {line:?}: {error}"));
        Process { pid: child.id() as i32, child, transcript: self.transcript, read: 0, ended: None }
    }

    /// Starts it and waits for its end.
    #[track_caller]
    pub fn finish(self) -> Process {
        let mut process = self.start();
        process.ended();
        process
    }
}
