//! A process that a test has started: its lines, its end, and the certainty that nothing of it stays behind.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use super::{PATIENCE, proc, wait_for, wait_until};

/// A process that has been started. When it is dropped, it and everything it has started is killed.
pub struct Process {
    pub pid: i32,
    pub(super) child: Child,
    pub(super) transcript: PathBuf,
    /// How much of stdout has been given out as lines.
    pub(super) read: usize,
    pub(super) ended: Option<ExitStatus>,
}

impl Process {
    /// The next whole line of its standard output.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let what = format!("one more line from `{}`", self.name());
        let line = wait_for(&what, PATIENCE, || {
            let all = fs::read(self.transcript.with_extension("out")).ok()?;
            let rest = all.get(self.read..)?;
            let end = rest.iter().position(|byte| *byte == b'\n')?;
            Some(rest[..end].to_vec())
        });
        self.read += line.len() + 1;
        String::from_utf8_lossy(&line).into_owned()
    }

    /// The next line of standard output, which must be this one.
    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line, "the next line of `{}`", self.name());
    }

    #[track_caller]
    pub fn ready(&mut self) {
        self.expect("ready");
    }

    pub fn out(&self) -> String {
        self.written("out")
    }

    pub fn err(&self) -> String {
        self.written("err")
    }

    fn written(&self, ending: &str) -> String {
        let bytes = fs::read(self.transcript.with_extension(ending)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until standard error contains this text.
    #[track_caller]
    pub fn says(&self, text: &str) {
        wait_until(&format!("{text:?} on the standard error of `{}`", self.name()), || self.err().contains(text));
    }

    pub fn signal(&self, signal: i32) {
        assert!(self.ended.is_none(), "`{}` has been reaped: its pid is not ours any more", self.name());
        proc::signal(self.pid, signal);
    }

    /// Its exit status, when it has ended already.
    pub fn try_ended(&mut self) -> Option<ExitStatus> {
        self.ended = self.ended.or_else(|| self.child.try_wait().expect("waiting for our own child"));
        self.ended
    }

    #[track_caller]
    pub fn ended_within(&mut self, within: Duration) -> ExitStatus {
        let what = format!("the end of `{}`", self.name());
        wait_for(&what, within, || self.try_ended())
    }

    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        self.ended_within(PATIENCE)
    }

    /// Its exit code; that it was killed by a signal instead is a failure of the test.
    #[track_caller]
    pub fn code(&mut self) -> i32 {
        let status = self.ended();
        status.code().unwrap_or_else(|| panic!("`{}` ended by {status}, not with a code", self.name()))
    }

    /// The signal that killed it.
    #[track_caller]
    pub fn killed_by(&mut self) -> i32 {
        let status = self.ended();
        status.signal().unwrap_or_else(|| panic!("`{}` ended with {status}, not by a signal", self.name()))
    }

    /// The pid, as seen from here, of the process that `unshare --fork` has put into a new pid namespace.
    #[track_caller]
    pub fn inner(&self) -> i32 {
        let unshare = proc::exe(self.pid);
        wait_for("PID 1 of the new namespace to have loaded its program", PATIENCE, || {
            let inner = *proc::children(self.pid).first()?;
            (proc::exe(inner) != unshare && proc::exe(inner).is_some()).then_some(inner)
        })
    }

    /// A path as this process sees it, for us.
    pub fn root(&self, path: impl AsRef<Path>) -> PathBuf {
        let inside = path.as_ref().strip_prefix("/").expect("an absolute path");
        PathBuf::from(format!("/proc/{}/root", self.pid)).join(inside)
    }

    fn name(&self) -> String {
        self.written("argv")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended.is_none() {
            // Not yet reaped, so the pid is still ours. First the tree, as long as it hangs together.
            let tree = proc::descendants(self.pid);
            proc::signal(self.pid, libc::SIGKILL);
            tree.into_iter().for_each(|pid| proc::signal(pid, libc::SIGKILL));
            let _ = self.child.wait();
        }
        proc::kill_marked(self.transcript.with_extension("run").as_os_str());
    }
}
