//! What a person would want to know, and nothing else: every sentence of the driver stands here.

use super::Supervisor;
use crate::machine::{Cause, Event, State, Status, Timer, Verdict};
use crate::plan::program;
use crate::sys::signals;

impl Supervisor {
    /// Says what a person would want to know about a change of state.
    pub(super) fn announce(&self, event: Event, next: State) {
        let name = program(&self.plan.command).display();
        let job = self.plan.until.join(", ");
        match (self.state, event) {
            (State::BackingOff { .. }, Event::JobOver(verdict)) => {
                self.report
                    .info(&format!("the job {job} is over ({}); {name} is not started again", describe(verdict)));
            }
            (State::Looking { .. } | State::Unclaimed | State::Gated { .. }, Event::JobOver(_)) => {
                self.report.info(&format!("the job {job} is over already; {name} is not started"));
            }
            _ => {}
        }
        match (self.state, next) {
            (State::Stopping { .. }, State::Stopping { .. }) => {}
            (_, State::Stopping { cause: Cause::JobOver(verdict) }) => {
                let signal = signals::name(self.plan.policy.stop_signal);
                let how = describe(verdict);
                self.report.info(&format!("the job {job} is over ({how}); stopping {name} with {signal}"));
            }
            (_, State::Stopping { cause: Cause::PartnerGone }) => {
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

    pub(super) fn say_how_it_ended(&self, status: Status) {
        if let Status::Killed(signal) = status
            && !matches!(self.state, State::Stopping { .. } | State::Killing { .. })
        {
            let name = program(&self.plan.command).display();
            let perhaps = if i32::from(signal) == libc::SIGKILL { ": perhaps out of memory" } else { "" };
            self.report.info(&format!("{name} was killed by {} ({}){perhaps}", signals::name(signal), status.code()));
        }
    }

    pub(super) fn say_elapsed(&self, timer: Timer) {
        match timer {
            Timer::Publish => {
                self.report
                    .warning("the shared directory does not answer; leaving without a sentinel, the lock will tell");
            }
            Timer::Gate => {
                let answer = self.vigil.as_ref().map_or("", |vigil| &vigil.last_answer);
                let after = humantime::format_duration(self.plan.wait_timeout);
                let name = program(&self.plan.command).display();
                self.report.failure(&format!("{answer} after {after} (--wait-timeout); {name} is not started"));
            }
            Timer::Outlive => {
                let after = humantime::format_duration(self.plan.outlive_main);
                self.report.info(&format!("the job is not over {after} after SIGTERM (--outlive-main); passing it on"));
            }
            Timer::Goodbye => {
                self.report.warning("the requests of --on-exit take too long; leaving without their answers")
            }
            Timer::Grace | Timer::BackOff => {}
        }
    }
}

fn describe(verdict: Verdict) -> String {
    match verdict {
        Verdict::Told(Status::Exited(code)) => format!("exit code {code}"),
        Verdict::Told(Status::Killed(signal)) => format!("killed by {}", signals::name(signal)),
        Verdict::Silent => "its sentinel is there, without an exit code".to_owned(),
        Verdict::Lost => "its lock is free and it left no sentinel: it was killed".to_owned(),
    }
}
