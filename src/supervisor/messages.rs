//! What a person would want to know, and nothing else: every sentence of the driver stands here.

use super::Supervisor;
use crate::exit;
use crate::machine::{Cause, Command, Event, Name, Role, Seen, State, Status, Timer, Told, Verdict};
use crate::plan::program;
use crate::sys::child::{self, Refused};
use crate::sys::signals;
use std::time::Duration;

impl Supervisor {
    /// A second attempt where every end was said to be final: its sidecars have left with the first.
    pub(super) fn say_attempt(&self) {
        let never = (0..=u8::MAX).all(|code| !self.plan.policy.restart_on.contains(code));
        if let Some(attempt) = self.attempt_after_failure.filter(|_| never && self.plan.policy.role == Role::Main) {
            self.report.warning(&format!(
                "this is attempt {attempt} although every end is final (--restart-policy never): the sidecars have left \
                 with the one before; if the Pod's restartPolicy is OnFailure, say --restart-policy on-failure, and if the \
                 volume outlives the Pod, --run-id"
            ));
        }
    }

    /// Says what a person would want to know about a change of state.
    pub(super) fn announce(&self, event: Event, next: State) {
        let name = program(&self.plan.command).display();
        let job = self.plan.until.join(", ");
        match (self.state, event) {
            (State::BackingOff { .. }, Event::Seen(Seen::Over(verdict))) => {
                self.report
                    .info(&format!("the job {job} is over ({}); {name} is not started again", describe(verdict)));
            }
            (State::Looking { .. } | State::Unclaimed | State::Gated { .. }, Event::Seen(Seen::Over(_))) => {
                self.report.info(&format!("the job {job} is over already; {name} is not started"));
            }
            (State::Running { .. } | State::Holding, Event::Command(Command::Ended(status))) => {
                self.say_how_it_ended(status, next);
            }
            (State::Gated { .. }, Event::Signal(signal)) if !matches!(next, State::Gated { .. }) => {
                self.say_interrupted(signal, &self.last_answer);
            }
            (State::BackingOff { .. }, Event::Signal(signal)) if !matches!(next, State::BackingOff { .. }) => {
                self.say_interrupted(signal, "its next start (--restart)");
            }
            (State::Claiming { held: true, .. }, Event::Signal(signal)) if !matches!(next, State::Claiming { .. }) => {
                let own = self.plan.name.as_deref().unwrap_or_default();
                self.say_interrupted(signal, &format!("the name {own}"));
            }
            (State::Claiming { .. }, Event::Name(Name::Held)) if next == State::Done && self.door.hangs() => {
                let dir = self.plan.dir.display();
                self.report.info(&format!(
                    "told to end while the shared directory {dir} does not answer; {name} is not started"
                ));
            }
            (_, Event::Elapsed(timer)) if next != self.state => self.say_elapsed(timer),
            (_, Event::Seen(Seen::Missing)) if next != self.state => self.say_missing(),
            _ => {}
        }
        match (self.state, next) {
            (State::Stopping { .. }, State::Stopping { .. }) => {}
            (State::Running { .. }, State::Lingering { verdict }) => {
                let linger = humantime::format_duration(self.plan.linger);
                let how = describe(verdict);
                self.report.info(&format!("the job {job} is over ({how}); stopping {name} in {linger} (--linger)"));
            }
            (
                State::Running { .. } | State::Holding,
                State::Stopping { cause: Cause::JobOver(verdict), told: false },
            ) if self.command.is_none() => {
                self.report.info(&format!("the job {job} is over ({}); {name} has ended with it", describe(verdict)));
            }
            (State::Lingering { .. }, State::Stopping { .. }) => {
                let signal = signals::name(self.plan.policy.stop_signal);
                self.report.info(&format!("stopping {name} with {signal}"));
            }
            (_, State::Stopping { cause: Cause::JobOver(verdict), told: false }) => {
                let signal = signals::name(self.plan.policy.stop_signal);
                let how = describe(verdict);
                self.report.info(&format!("the job {job} is over ({how}); stopping {name} with {signal}"));
            }
            (_, State::Stopping { cause: Cause::PartnerGone, told: false }) => {
                let signal = signals::name(self.plan.policy.stop_signal);
                let partner = self.plan.stop_with.as_deref().unwrap_or_default();
                self.report
                    .info(&format!("the sidecar {partner} has ended (--stop-with); stopping {name} with {signal}"));
            }
            (State::Stopping { .. }, State::Killing { .. }) => {
                let grace = humantime::format_duration(self.plan.grace);
                self.report.warning(&format!("{name} has not ended within {grace} (--grace); killing it with SIGKILL"));
            }
            _ => {}
        }
    }

    pub(super) fn say_restart(&self) {
        let name = program(&self.plan.command).display();
        let pause = humantime::format_duration(self.restarts.pause);
        self.report.info(&format!("{name} has ended while the job runs; starting it again in {pause} (--restart)"));
    }

    /// A name that is waited for is over.
    pub(super) fn say_hopeless(&self, name: &str, verdict: Verdict) {
        let command = program(&self.plan.command).display();
        let how = describe(verdict);
        if self.plan.stop_with.as_deref() == Some(name) {
            self.report.failure(&format!("the sidecar {name} has ended ({how}); {command} is not started"));
        } else {
            self.report.failure(&format!("{name}: over ({how}), and will not be ready; {command} is not started"));
        }
    }

    /// A start that will be tried again.
    pub(super) fn say_deferred(&self, refused: Refused) {
        let name = program(&self.plan.command).display();
        self.report.warning(&format!("{name} cannot be started just now: {refused}; trying again"));
    }

    fn say_missing(&self) {
        let (name, job) = (program(&self.plan.command).display(), self.plan.until.join(", "));
        let most = humantime::format_duration(self.plan.absence.unwrap_or_default());
        let outcome =
            if matches!(self.state, State::Running { .. } | State::Holding) { "stopping it" } else { "giving up" };
        self.report.warning(&format!(
            "the job {job} has not been there for {most} (--absence-timeout); {name} is not needed: {outcome}"
        ));
    }

    fn say_how_it_ended(&self, status: Status, next: State) {
        /// Whoever has put himself into the background is gone at once.
        const AT_ONCE: Duration = Duration::from_secs(1);
        let name = program(&self.plan.command).display();
        let sidecar = self.plan.policy.role == Role::Sidecar;
        let told = self.state != State::Running { told: Told::Nothing };
        if status == Status::Exited(0) && sidecar && !told && !matches!(next, State::BackingOff { .. }) {
            let at_once = self.restarts.started.elapsed() < AT_ONCE && child::has_children();
            let hint = if at_once { "; did it put itself into the background? start it in the foreground" } else { "" };
            self.report.info(&format!("{name} has ended with 0 before the job did; its container ends with it{hint}"));
        }
        if let Status::Killed(signal) = status {
            let perhaps = if i32::from(signal) == libc::SIGKILL { ": perhaps out of memory" } else { "" };
            self.report.info(&format!("{name} was killed by {} ({}){perhaps}", signals::name(signal), status.code()));
        }
    }

    /// A command whose start was not seen has ended with a code that may be the start's.
    pub(super) fn say_unseen(&self, status: Status) {
        let name = program(&self.plan.command).display();
        let code = status.code();
        if matches!(code, exit::NOT_FOUND | exit::NOT_EXECUTABLE) {
            self.report.warning(&format!(
                "{name} has ended with {code}: perhaps it was not found (127) or cannot be executed (126); an emulator hides it"
            ));
        }
    }

    /// The volume has not taken what was to be said.
    pub(super) fn say_unaccepted(&self) {
        self.report.warning(
            "the shared directory does not answer; leaving without a sentinel; on FUSE, if it does not answer, this container \
             cannot end either",
        );
    }

    fn say_elapsed(&self, timer: Timer) {
        match timer {
            Timer::Publish => self.say_unaccepted(),
            Timer::Gate => {
                let (answer, misspelt) = (&self.last_answer, self.misspelt());
                let after = humantime::format_duration(self.plan.wait_timeout);
                let name = program(&self.plan.command).display();
                self.report.failure(&format!(
                    "{answer}{misspelt}; given up after {after} (--wait-timeout); {name} is not started"
                ));
            }
            Timer::Outlive => {
                let after = humantime::format_duration(self.plan.outlive_main);
                self.report.info(&format!("the job is not over {after} after SIGTERM (--outlive-main); passing it on"));
            }
            Timer::Goodbye => {
                self.report.warning("the requests of --on-exit take too long; leaving without their answers")
            }
            Timer::Kill => {
                let name = program(&self.plan.command).display();
                self.report
                    .warning(&format!("{name} is still there after SIGKILL: it waits in the kernel; leaving it"));
            }
            Timer::Grace | Timer::BackOff | Timer::Linger => {}
        }
    }
}

pub(super) fn describe(verdict: Verdict) -> String {
    match verdict {
        Verdict::Told(Status::Exited(code)) => format!("exit code {code}"),
        Verdict::Told(Status::Killed(signal)) => format!("killed by {}", signals::name(signal)),
        Verdict::Silent => "its sentinel is there, without an exit code".to_owned(),
        Verdict::Lost => "its lock is free and it left no sentinel: it was killed".to_owned(),
    }
}
