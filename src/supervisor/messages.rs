//! What a person would want to know, and nothing else: every sentence of the driver stands here.

use super::Supervisor;
use super::patience::Patience;
use crate::machine::{Cause, Command, Event, Role, Seen, State, Status, Timer, Told, Verdict};
use crate::plan::program;
use crate::stage::observe::Conclusion;
use crate::stage::publish::Life;
use crate::sys::child::{self, Refused};
use crate::sys::signals;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// When a job that has not come is asked for: containers of a Pod start one after the other, and the hint about a misspelt
/// name, which comes with the slow look, says more.
const ABSENT: Duration = Duration::from_secs(6);
/// A wait that is given up within this is spoken of by its end alone, or both would be said in one breath.
const BRIEF: Duration = Duration::from_secs(2);
/// How many processes of a group are named.
const NAMED: usize = 5;

/// What a person may be waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    /// The conditions before the start.
    Conditions,
    /// The condition of being ready.
    Ready,
    /// The name, while another live process holds it.
    Name,
    /// A job of which nothing is there yet.
    Job,
    /// The next attempt, after one that ended so.
    Attempt(Verdict),
    /// The rest of a group whose leader has ended.
    Group,
    /// The end of the job, with a SIGTERM in hand.
    Hold,
}

impl Supervisor {
    /// Whatever is waited for longer than a second is spoken of.
    pub(super) fn mind_the_wait(&mut self, now: Instant) {
        let Some(waited) = self.waited() else {
            self.patience = None;
            return;
        };
        let mut patience = match self.patience.take() {
            Some(patience) if patience.is_for(&waited) => patience,
            _ => Patience::begin(waited, now, if waited == Waited::Job { ABSENT } else { Duration::ZERO }),
        };
        if matches!(waited, Waited::Conditions | Waited::Ready) {
            patience.hear(&self.last_answer);
        }
        if patience.speaks(now) {
            self.report.info(&self.say_waited(waited));
        }
        self.patience = Some(patience);
    }

    fn waited(&self) -> Option<Waited> {
        if self.command.as_ref().is_some_and(|command| command.leader.is_some() && self.plan.group) {
            return Some(Waited::Group);
        }
        match self.state {
            State::Claiming { held: true, .. } => Some(Waited::Name),
            State::Gated { .. } => (self.plan.wait_timeout > BRIEF).then_some(Waited::Conditions),
            State::Holding => Some(Waited::Hold),
            State::Running { .. } if self.vigil.is_some() => Some(Waited::Ready),
            State::Running { told: Told::Nothing } | State::BackingOff { .. } => {
                match self.audience.as_ref().and_then(super::Audience::awaits)? {
                    Conclusion::NotStarted => Some(Waited::Job),
                    Conclusion::BetweenAttempts(verdict) => Some(Waited::Attempt(verdict)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn say_waited(&self, waited: Waited) -> String {
        let name = program(&self.plan.command).display();
        let job = self.plan.until.join(", ");
        let dir = self.plan.dir.display();
        match waited {
            Waited::Conditions => {
                let most = humantime::format_duration(self.plan.wait_timeout);
                format!("waiting for {}; gives up after {most} (--wait-timeout)", self.last_answer)
            }
            Waited::Ready => format!("{name} is not ready yet: {} (--ready-when)", self.last_answer),
            Waited::Name => {
                let own = self.plan.name.as_deref().unwrap_or_default();
                let file = self.plan.dir.join(crate::stage::running(own));
                let most = humantime::format_duration(super::CLAIM_PATIENCE);
                format!(
                    "waiting for the name {own}: {} is held by another live process; gives up after {most}",
                    file.display()
                )
            }
            Waited::Job => {
                // Only in a container: elsewhere the root file system is everybody's.
                let alone = std::process::id() == 1 && is_on_root(&self.plan.dir);
                let hint = if alone {
                    "it lies on this container's own root file system, which no other container sees: mount the shared \
                     volume there"
                } else {
                    "if main runs, do both mount the same volume there, without another subPath?"
                };
                let end = self.plan.absence.map_or_else(String::new, |most| {
                    format!("; gives up after {} (--absence-timeout)", humantime::format_duration(most))
                });
                format!("waiting for the job {job}: nothing of it is in {dir} yet; {hint}{end}")
            }
            Waited::Attempt(verdict) => format!(
                "an attempt of the job {job} has ended ({}); waiting for the next, as main was told (--restart-policy, \
                 --restart-on)",
                describe(verdict)
            ),
            Waited::Group => {
                let members = self.command.as_ref().map_or_else(Vec::new, |command| members(command.pid.as_raw()));
                let shown = members.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                let more = if members.len() > NAMED { ", ..." } else { "" };
                let what = if members.len() == 1 { "process" } else { "processes" };
                format!(
                    "waiting for the rest of {name}'s process group (--group): {} {what} ({shown}{more})",
                    members.len()
                )
            }
            Waited::Hold => {
                let most = humantime::format_duration(self.plan.outlive_main);
                format!("SIGTERM is held back until the job {job} is over, at most {most} (--outlive-main)")
            }
        }
    }

    /// A second attempt where every end was said to be final: its sidecars have left with the first.
    pub(super) fn say_attempt(&self) {
        let never = (0..=u8::MAX).all(|code| !self.plan.policy.restart_on.contains(code));
        let attempt = self.life.as_ref().and_then(Life::attempt_after_failure);
        if let Some(attempt) = attempt.filter(|_| never && self.plan.policy.role == Role::Main) {
            self.report.warning(&format!(
                "this is attempt {attempt} although every end is final (--restart-policy never): the sidecars have left \
                 with the one before; if the Pod's restartPolicy is OnFailure, say --restart-policy on-failure"
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
                let (signal, answer) = (signals::name(signal), &self.last_answer);
                self.report.info(&format!("{signal} while waiting for {answer}; {name} is not started"));
            }
            (State::Claiming { held: true, .. }, Event::Signal(signal)) if !matches!(next, State::Claiming { .. }) => {
                let (signal, own) = (signals::name(signal), self.plan.name.as_deref().unwrap_or_default());
                self.report.info(&format!("{signal} while waiting for the name {own}; {name} is not started"));
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
            (State::Running { .. } | State::Holding, State::Stopping { cause: Cause::JobOver(verdict) })
                if self.command.is_none() =>
            {
                self.report.info(&format!("the job {job} is over ({}); {name} has ended with it", describe(verdict)));
            }
            (State::Lingering { .. }, State::Stopping { .. }) => {
                let signal = signals::name(self.plan.policy.stop_signal);
                self.report.info(&format!("stopping {name} with {signal}"));
            }
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
        let (Refused::NoProcess(errno) | Refused::NotExecutable(errno) | Refused::NotFound(errno)) = refused;
        self.report.warning(&format!("{name} cannot be started just now: {}; trying again", errno.desc()));
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

    fn say_elapsed(&self, timer: Timer) {
        match timer {
            Timer::Publish => {
                self.report.warning(
                    "the shared directory does not answer; leaving without a sentinel (on FUSE this container cannot end \
                     before it answers)",
                );
            }
            Timer::Gate => {
                let answer = &self.last_answer;
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
            Timer::Kill => {
                let name = program(&self.plan.command).display();
                self.report
                    .warning(&format!("{name} is still there after SIGKILL: it waits in the kernel; leaving it"));
            }
            Timer::Grace | Timer::BackOff | Timer::Linger => {}
        }
    }
}

fn is_on_root(dir: &std::path::Path) -> bool {
    let device = |path: &std::path::Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    device(dir).is_some_and(|own| device(std::path::Path::new("/")) == Some(own))
}

/// The names of those in a process group that are not zombies, as far as /proc tells.
fn members(group: i32) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // Anything may stand in the parentheses, but the last one ends the name.
            let (head, tail) = stat.rsplit_once(')')?;
            let mut fields = tail.split_whitespace();
            let state = fields.next()?;
            let own: i32 = fields.nth(1)?.parse().ok()?;
            (own == group && state != "Z" && state != "X")
                .then(|| head.split_once('(').map(|(_, name)| name.to_owned()))?
        })
        .collect()
}

fn describe(verdict: Verdict) -> String {
    match verdict {
        Verdict::Told(Status::Exited(code)) => format!("exit code {code}"),
        Verdict::Told(Status::Killed(signal)) => format!("killed by {}", signals::name(signal)),
        Verdict::Silent => "its sentinel is there, without an exit code".to_owned(),
        Verdict::Lost => "its lock is free and it left no sentinel: it was killed".to_owned(),
    }
}
