//! What comes before the containers, and what all of them do together: init containers, and a Pod that begins again as a
//! whole (`RestartAllContainers`, KEP-5532), on the same volumes.

use super::pod::{Container, GRACE, Pod, State};
use super::script::Reset;
use crate::house;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What each container that is ended for the others' sake is given, of the two seconds of a real kubelet.
const LEAST_GRACE: Duration = Duration::from_millis(80);

impl Pod {
    /// A container has ended with a code after which all begin again. The others are ended one after the other.
    pub fn begin_again(&mut self, by: usize) {
        self.leaving = Some((0..self.containers.len()).filter(|index| *index != by).collect());
    }

    /// What concerns more than one container.
    pub fn attend_the_round(&mut self, now: Instant) {
        if self.is_deleted() {
            (self.leaving, self.prepares) = (None, false);
        }
        self.end_the_next(now);
        if self.prepares {
            self.prepare(now);
        }
        let sidecars_are_over = self.containers.iter().all(|it| it.role.is_main() || it.is_over());
        for container in &mut self.containers {
            if self.script.late && sidecars_are_over && matches!(container.state, State::Pending) {
                container.state = State::Waiting(now);
            }
        }
        // Nobody needs a native sidecar any more.
        let needed = self.prepares || self.leaving.is_some() || self.others_are_on();
        for container in self.containers.iter_mut().filter(|it| it.role.is_native() && !needed) {
            match (&container.state, container.asked) {
                (State::Running(_), None) => container.asked_at = container.asked_at.or(Some(now)),
                (State::Running(_), Some(at)) if now >= at + GRACE => container.signal(libc::SIGKILL),
                (State::Pending | State::Waiting(_), _) => container.state = State::Over,
                (State::Running(_) | State::Over, _) => {}
            }
        }
    }

    /// Whether any container is not over, of those that are no native sidecars.
    pub fn others_are_on(&self) -> bool {
        self.containers.iter().any(|container| !container.role.is_native() && !container.is_over())
    }

    fn end_the_next(&mut self, now: Instant) {
        let Some(next) = self.leaving.as_ref().map(|leaving| leaving.first().copied()) else { return };
        let Some(index) = next else {
            self.leaving = None;
            self.begin_the_round(now);
            return;
        };
        let container = &mut self.containers[index];
        match (&container.state, container.asked) {
            (State::Running(_), None) => container.asked_at = container.asked_at.or(Some(now)),
            (State::Running(_), Some(at)) if now >= at + LEAST_GRACE => container.signal(libc::SIGKILL),
            (State::Running(_), Some(_)) => {}
            (State::Pending | State::Waiting(_) | State::Over, _) => {
                container.state = State::Over;
                self.leaving.iter_mut().for_each(|leaving| _ = leaving.remove(0));
            }
        }
    }

    fn begin_the_round(&mut self, now: Instant) {
        self.round += 1;
        (self.job_over, self.unseen, self.prepares) = (None, false, self.script.reset.is_some());
        self.say(format!("round {} begins", self.round + 1));
        for container in &mut self.containers {
            (container.last, container.asked, container.asked_at, container.killed) = (None, None, None, false);
            (container.told, container.rotated) = (None, None);
            container.there.clear();
            container.state = match self.prepares {
                true => State::Pending,
                false => State::Waiting(now + container.role.again_at),
            };
        }
    }

    /// The init containers, one after the other: `reset` is the first, or the sentinel of the round before would end the native
    /// sidecar at once; it is started then, and once it is there somebody resets once more, as a second init container does.
    fn prepare(&mut self, now: Instant) {
        let natives = || self.containers.iter().filter(|container| container.role.is_native());
        if natives().any(|native| matches!(native.state, State::Pending)) {
            self.reset();
            for native in self.containers.iter_mut().filter(|container| container.role.is_native()) {
                native.state = State::Waiting(now);
            }
            return;
        }
        let is_there = |native: &Container| {
            matches!(native.state, State::Running(_)) && self.log(&native.role.name).contains("begin ")
        };
        if !natives().all(is_there) {
            return;
        }
        self.reset();
        self.prepares = false;
        let now = Instant::now();
        for container in self.containers.iter_mut().filter(|container| matches!(container.state, State::Pending)) {
            let after = if self.round == 0 { container.role.starts_at } else { container.role.again_at };
            container.state = State::Waiting(now + after);
        }
    }

    fn reset(&mut self) {
        let Some(how) = self.script.reset else { return };
        let mut reset = Command::new(house::EXEUNT);
        match how {
            Reset::Alone => reset.arg("reset"),
            Reset::WithTheBinary => reset.args(["install", "--reset"]).arg(self.dir.join("pod")),
        };
        reset.arg("--dir").arg(self.dir.join("pod")).stdin(Stdio::null());
        let output = reset.output().expect("the init container is started");
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        self.say(format!("reset: {} {said}", output.status));
        if !output.status.success() {
            self.fault(format!("reset: {}: {said}", output.status));
        }
    }
}
