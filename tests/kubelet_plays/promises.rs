//! The promises, checked from outside: by exit codes, by what commands note, by what is said on standard error.

use super::pod::{Container, Pod, code};
use super::script::{Helper, Plays, RestartPolicy};
use crate::house::proc;
use std::fs;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

impl Pod {
    /// A container has ended: was it allowed to, and with this code?
    pub fn judge(&mut self, index: usize, status: ExitStatus) {
        let container = &self.containers[index];
        let name = container.role.name.clone();
        let complaint = match &container.role.plays {
            Plays::Main(_) => self.judge_main(container, status),
            Plays::Sidecar { helper, .. } => self.judge_sidecar(container, *helper, status),
        };
        if let Some(complaint) = complaint {
            self.fault(format!("{name}: {complaint}"));
        }
    }

    /// The job's own code, unless somebody else has ended it.
    fn judge_main(&self, main: &Container, status: ExitStatus) -> Option<String> {
        let Plays::Main(attempts) = &main.role.plays else { return None };
        if main.killed || self.is_deleted() {
            return None;
        }
        if self.script.small_volume && status.code() == Some(125) {
            return (!self.stderr(main).contains("cannot be written")).then(|| "125 without a reason".to_owned());
        }
        let expected = i32::from(attempts.get(main.played - 1)?.code());
        (code(status) != expected).then(|| format!("its code is {} and the job's was {expected}", code(status)))
    }

    fn judge_sidecar(&self, sidecar: &Container, helper: Helper, status: ExitStatus) -> Option<String> {
        let err = self.stderr(sidecar);
        let code = code(status);
        if self.is_deleted() || sidecar.killed && code == 137 {
            return None;
        }
        // A sidecar that could not publish its own name on a full volume has not started its command.
        if self.script.small_volume && code == 125 && err.contains("cannot be written") {
            return None;
        }
        if helper == Helper::StopsByInt && err.contains("killing it with SIGKILL") {
            return Some(format!("killed, although it ends by its stop signal: {}", err.trim_end()));
        }
        // No helper exits with 0 unless it is told to end: then exeunt has found that the job is over.
        if code == 0 {
            let on = self
                .containers
                .iter()
                .find(|main| matches!(main.role.plays, Plays::Main(_)) && !self.may_be_over(main))?;
            return Some(format!("left early: {} is not over: {}", on.role.name, err.trim_end()));
        }
        if err.contains(" is over ") {
            return Some(format!("stopped because the job is over, and its code is {code}"));
        }
        match helper {
            Helper::Fails(expected, _) if code == i32::from(expected) => None,
            _ => Some(format!("ended with {code} while the job was on: {}", err.trim_end())),
        }
    }

    /// Whether a job can be over, by what it has noted itself and what has been done to it: before anything of exeunt says so.
    fn may_be_over(&self, main: &Container) -> bool {
        let Plays::Main(attempts) = &main.role.plays else { return true };
        match self.script.policy {
            RestartPolicy::Never => {
                let missing = main.starts > 0 && attempts[0].code() == 127;
                main.killed || main.last.is_some() || missing || self.log(&main.role.name).contains("end ")
            }
            RestartPolicy::OnFailure => self.log(&main.role.name).lines().any(|line| line == "end 0"),
        }
    }

    /// What must be true when all is over.
    pub fn judge_the_end(&mut self) {
        let mut complaints = Vec::new();
        for container in &self.containers {
            for pid in
                self.log(&container.role.name).lines().filter_map(|line| line.strip_prefix("begin ")?.parse().ok())
            {
                if !self.is_gone(pid) {
                    complaints.push(format!("{}: its command (pid {pid}) goes on alone", container.role.name));
                }
            }
            let is_main = matches!(container.role.plays, Plays::Main(_));
            if let Some(status) = container.last.filter(|_| is_main && !container.killed && !self.is_deleted()) {
                let (name, code) = (&container.role.name, code(status));
                let sentinel = self.text(&format!("pod/{name}-terminated"));
                let told = [format!("\"exit_code\":{code},"), format!("\"signal\":{},", code - 128)];
                let refused = self.script.small_volume && code == 125;
                if !refused && !told.iter().any(|text| sentinel.contains(text)) {
                    complaints
                        .push(format!("{name}: it ended with {code}, and its sentinel says {:?}", sentinel.trim_end()));
                }
            }
        }
        complaints.into_iter().for_each(|complaint| self.fault(complaint));
    }

    /// Whether the command with this number has gone. The number may belong to somebody else by now.
    fn is_gone(&self, pid: i32) -> bool {
        let mark = format!("{}={}", proc::MARK, self.mark());
        let ours = || {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            proc::alive(pid) && environment.windows(mark.len()).any(|part| part == mark.as_bytes())
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while ours() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }
}
