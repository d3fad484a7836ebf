//! The driver: one queue, one loop. It waits, asks the machine, does what it is told, and feeds the answers back.
//!
//! The order at the start: handlers before the name, the name before the command, the watch before the look, the look
//! before the command. What each would lose in the other order is said where it is done.

use crate::exit;
use crate::machine::{self, Action, Cause, Event, Role, State, Status, Timer, Verdict};
use crate::plan::{Plan, program};
use crate::report::Report;
use crate::stage::Directory;
use crate::stage::publish::{Claim, Life};
use crate::sys::child::{self, Found, Launch, Refused};
use crate::sys::signals::{self, Signals, Woken};
use crate::sys::{descriptors, terminal};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

mod audience;
mod errand;

use audience::Audience;
use errand::Errand;

/// How long another live process may still hold the name before we give up.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// The first pause between two attempts to take a name that is held; doubles up to the second.
const CLAIM_PAUSE: Duration = Duration::from_millis(1);
const CLAIM_PAUSE_MOST: Duration = Duration::from_millis(100);
/// How long a volume may take to accept the end (a network file system that hangs). The job's code waits for no longer.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(5);
/// How often the group is looked at when its leader is gone: members that are nobody's children of ours end unannounced.
const GROUP_PAUSE: Duration = Duration::from_millis(100);

/// Runs a plan to its end and returns the exit code.
pub fn run(plan: Plan, signals: Signals, report: Report) -> u8 {
    // Whatever the command was given as its working directory must not be kept busy by us once it runs, and the paths in
    // the plan are absolute.
    child::become_subreaper();
    Supervisor {
        state: State::New,
        queue: VecDeque::from([Event::Begun]),
        dir: None,
        life: None,
        audience: None,
        errand: None,
        command: None,
        deadline: None,
        claim: None,
        foreground: false,
        plan,
        signals,
        report,
    }
    .run()
}

struct Supervisor {
    plan: Plan,
    signals: Signals,
    report: Report,
    state: State,
    queue: VecDeque<Event>,
    dir: Option<Directory>,
    life: Option<Life>,
    audience: Option<Audience>,
    errand: Option<Errand>,
    command: Option<Command>,
    deadline: Option<(Timer, Instant)>,
    claim: Option<Waiting>,
    foreground: bool,
}

/// The command while it is ours to signal. Gone when it has been reaped: there is no number left that could be misused.
struct Command {
    pid: Pid,
    /// How its leader ended, while the rest of its group lives on.
    leader: Option<Status>,
}

/// An attempt to take the name that is to be repeated.
struct Waiting {
    until: Instant,
    next: Instant,
    pause: Duration,
}

impl Supervisor {
    fn run(mut self) -> u8 {
        loop {
            while let Some(event) = self.queue.pop_front() {
                let (state, actions) = machine::step(self.state, &self.plan.policy, event);
                self.report.debug(|| format!("{event:?}: {:?} -> {state:?}", self.state));
                self.announce(state);
                self.state = state;
                for action in actions.iter() {
                    self.report.debug(|| format!("{action:?}"));
                    if let Action::Exit(code) = action {
                        return code;
                    }
                    self.perform(action);
                }
            }
            self.wait();
        }
    }

    /// Says what a person would want to know about a change of state.
    fn announce(&self, next: State) {
        let name = program(&self.plan.command).display();
        match (self.state, next) {
            (State::Stopping { .. }, State::Stopping { .. }) => {}
            (_, State::Stopping { cause: Cause::JobOver(verdict) }) => {
                let signal = signals::name(self.plan.policy.stop_signal);
                let job = self.plan.until.join(", ");
                let how = describe(verdict);
                self.report.info(&format!("the job {job} is over ({how}); stopping {name} with {signal}"));
            }
            (State::Looking { .. } | State::Gated { .. }, State::Publishing { code: 0, .. } | State::Done)
                if self.plan.policy.role == Role::Sidecar && !self.plan.until.is_empty() =>
            {
                self.report
                    .info(&format!("the job {} is over already; {name} is not started", self.plan.until.join(", ")));
            }
            (State::Stopping { .. }, State::Killing { .. }) => {
                let grace = humantime::format_duration(self.plan.grace);
                self.report.warning(&format!("{name} has not ended within {grace} (--grace); killing it with SIGKILL"));
            }
            _ => {}
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Claim => self.claim(),
            Action::Look => self.begin_to_look(),
            Action::Start => self.start(),
            Action::OpenGate | Action::CloseGate | Action::AwaitReady | Action::SayGoodbye => {}
            Action::PublishReady => {
                if let (Some(dir), Some(life)) = (&self.dir, &mut self.life)
                    && let Err(error) = life.publish_ready(dir)
                {
                    self.report.warning(&format!("{error:#}"));
                }
            }
            Action::WithdrawReady => {
                if let (Some(dir), Some(life)) = (&self.dir, &mut self.life) {
                    life.withdraw_ready(dir);
                }
            }
            Action::Forward(signal) => self.forward(signal),
            Action::ForwardKept(set) => {
                for signal in (1..=signals::MAX).filter(|signal| set & signals::bit(*signal) != 0) {
                    self.forward(signal);
                }
            }
            Action::Kill => self.forward(libc::SIGKILL as u8),
            Action::Arm(timer) => self.deadline = Instant::now().checked_add(self.length(timer)).map(|at| (timer, at)),
            Action::Disarm => self.deadline = None,
            // The kernel takes its time to tear a watch down: now, while the child shuts down, and not at the exit.
            Action::StopWatching => self.audience = None,
            Action::Publish { status, last } => self.publish(status, last),
            Action::Exit(_) => {}
        }
    }

    fn length(&self, timer: Timer) -> Duration {
        match timer {
            Timer::Grace => self.plan.grace,
            Timer::Publish => PUBLISH_PATIENCE,
            Timer::Gate | Timer::BackOff | Timer::Outlive | Timer::Goodbye => Duration::ZERO,
        }
    }

    fn fail(&mut self, message: &str) {
        self.report.failure(message);
        self.queue.push_back(Event::NotClaimed);
    }

    fn claim(&mut self) {
        if self.dir.is_none() {
            match Directory::open(&self.plan.dir) {
                Ok(dir) => self.dir = Some(dir),
                Err(error) => return self.fail(&format!("{error:#}")),
            }
        }
        let (Some(dir), Some(name)) = (&self.dir, &self.plan.name) else {
            self.queue.push_back(Event::Claimed);
            return;
        };
        match Life::claim(dir, name, self.plan.run_id.as_deref(), self.plan.policy.restart_policy) {
            Ok(Claim::Taken(life)) => {
                self.life = Some(life);
                self.claim = None;
                self.queue.push_back(Event::Claimed);
            }
            Ok(Claim::Held) => {
                let now = Instant::now();
                let waiting =
                    self.claim.get_or_insert(Waiting { until: now + CLAIM_PATIENCE, next: now, pause: CLAIM_PAUSE });
                if now >= waiting.until {
                    let file = self.plan.dir.join(crate::stage::running(name));
                    self.claim = None;
                    self.fail(&format!(
                        "{} is held by another live process; give each container of the Pod its own --name",
                        file.display()
                    ));
                } else {
                    waiting.next = (now + waiting.pause).min(waiting.until);
                    waiting.pause = (waiting.pause * 2).min(CLAIM_PAUSE_MOST);
                }
            }
            Err(error) => self.fail(&format!("{error:#}")),
        }
    }

    fn begin_to_look(&mut self) {
        let Some(dir) = &mut self.dir else { return };
        let audience = self.audience.get_or_insert_with(|| Audience::new(&self.plan));
        self.queue.extend(audience.begin(dir, &self.report));
    }

    fn start(&mut self) {
        let event = match self.launch() {
            Ok(pid) => {
                self.command = Some(Command { pid, leader: None });
                Event::Started
            }
            Err(code) => Event::StartFailed(code),
        };
        self.queue.push_back(event);
    }

    fn launch(&mut self) -> Result<Pid, u8> {
        let name = program(&self.plan.command).display().to_string();
        let mut launch = Launch::new(&self.plan.command, self.signals.ignored()).map_err(|error| {
            self.report.failure(&format!("{name}: {error}"));
            exit::OURS
        })?;
        self.foreground = terminal::is_ours();
        launch.foreground = self.foreground;
        launch.own_group = self.plan.group || self.foreground;
        signals::share_group(!launch.own_group);
        let pid = launch.start().map_err(|refused| {
            let (code, message) = match refused {
                Refused::NotFound(errno) => {
                    (exit::NOT_FOUND, format!("the command {name:?} was not found: {}", errno.desc()))
                }
                Refused::NotExecutable(errno) => {
                    (exit::NOT_EXECUTABLE, format!("the command {name:?} cannot be executed: {}", errno.desc()))
                }
                Refused::NoProcess(errno) => {
                    (exit::OURS, format!("no process can be started for {name:?}: {}", errno.desc()))
                }
            };
            self.report.failure(&message);
            code
        })?;
        // The command has its working directory and its descriptors now. We must not keep mounts and pipes busy.
        let _ = nix::unistd::chdir("/");
        descriptors::close_inherited();
        Ok(pid)
    }

    fn forward(&mut self, signal: u8) {
        let Some(command) = &self.command else { return };
        let group = self.plan.group || (self.foreground && command.leader.is_some());
        if command.leader.is_some() && !self.plan.group {
            return;
        }
        // ESRCH: it is gone and will be reaped in a moment. EPERM: it has changed its user and we lack CAP_KILL. Neither is
        // a reason to end, and neither is news every time.
        if let Err(errno) = child::send(command.pid, group, signal) {
            self.report.debug(|| format!("{} is not delivered: {}", signals::name(signal), errno.desc()));
        }
    }

    fn publish(&mut self, status: Status, last: bool) {
        self.say_how_it_ended(status);
        let (Some(life), Some(dir)) = (self.life.take(), self.dir.take()) else {
            self.queue.push_back(Event::Published);
            return;
        };
        match Errand::publish(life, dir, status, last) {
            errand::Begun::Finished(result) => {
                if let Err(error) = result {
                    self.report.warning(&format!("{error:#}"));
                }
                self.queue.push_back(Event::Published);
            }
            errand::Begun::UnderWay(errand) => self.errand = Some(errand),
        }
    }

    fn say_how_it_ended(&self, status: Status) {
        if let Status::Killed(signal) = status
            && !matches!(self.state, State::Stopping { .. } | State::Killing { .. })
        {
            let name = program(&self.plan.command).display();
            let perhaps = if i32::from(signal) == libc::SIGKILL { ": perhaps out of memory" } else { "" };
            self.report.info(&format!("{name} was killed by {} ({}){perhaps}", signals::name(signal), status.code()));
        }
    }

    /// Waits for the next thing to happen and turns it into events.
    fn wait(&mut self) {
        let now = Instant::now();
        let group = self.command.as_ref().filter(|command| command.leader.is_some()).map(|_| now + GROUP_PAUSE);
        let until = [
            self.deadline.map(|(_, at)| at),
            self.claim.as_ref().map(|waiting| waiting.next),
            self.audience.as_ref().map(|audience| audience.next_look()),
            group,
        ];
        let limit = until.into_iter().flatten().min().map(|at| at.saturating_duration_since(now));
        let bell = match (&self.errand, &self.audience) {
            (Some(errand), _) => Some(errand.descriptor()),
            (None, Some(audience)) => audience.descriptor(),
            (None, None) => None,
        };
        let woken = self.signals.wait(bell, limit);
        self.after(woken);
    }

    fn after(&mut self, woken: Woken) {
        // Signals before deaths: a command that ends because it was told to is not one that ended by itself. The number
        // is still its own, for it has not been reaped.
        for signal in (1..=signals::MAX).filter(|signal| woken.signals & signals::bit(*signal) != 0) {
            self.queue.push_back(Event::Signal(signal));
        }
        if woken.children {
            self.reap();
        }
        self.look_at_group();
        if woken.readable
            && let Some(result) = self.errand.as_mut().and_then(Errand::finished)
        {
            if let Err(error) = result {
                self.report.warning(&format!("{error:#}"));
            }
            self.errand = None;
            self.queue.push_back(Event::Published);
        }
        let now = Instant::now();
        if let (Some(dir), Some(audience)) = (&mut self.dir, &mut self.audience)
            && (woken.readable || audience.next_look() <= now)
        {
            self.queue.extend(audience.look(dir, &self.report, woken.readable));
        }
        if self.claim.as_ref().is_some_and(|waiting| waiting.next <= now) {
            self.claim();
        }
        if let Some((timer, at)) = self.deadline
            && at <= now
        {
            self.deadline = None;
            if timer == Timer::Publish {
                self.report
                    .warning("the shared directory does not answer; leaving without a sentinel, the lock will tell");
            }
            self.queue.push_back(Event::DeadlineElapsed);
        }
    }

    fn reap(&mut self) {
        loop {
            match child::reap() {
                Found::Ended(pid, status) => {
                    if let Some(command) = self.command.as_mut().filter(|command| command.pid == pid) {
                        command.leader = Some(status);
                    }
                }
                Found::Stopped(pid, signal) => self.stopped(pid, signal),
                Found::Nobody => break,
                Found::NoChildren => {
                    // A command that is not our child any more and was not reaped by us is gone all the same: somebody above
                    // had SIGCHLD ignored in the instant of its death. Nothing is known of how.
                    if let Some(command) = self.command.as_mut().filter(|command| command.leader.is_none()) {
                        command.leader = Some(Status::Exited(exit::OURS));
                    }
                    break;
                }
            }
        }
    }

    /// The command has ended when it has been reaped; with a group, when the group is empty as well.
    fn look_at_group(&mut self) {
        let Some(command) = &self.command else { return };
        let Some(status) = command.leader else { return };
        if self.plan.group && child::group_exists(command.pid) {
            return;
        }
        self.command = None;
        if self.foreground {
            terminal::take_back();
        }
        if !self.plan.policy.named {
            self.say_how_it_ended(status);
        }
        self.queue.push_back(Event::ChildExited(status));
    }

    /// A command that was suspended from the terminal suspends us too, or the shell above us would wait for ever.
    fn stopped(&mut self, pid: Pid, signal: u8) {
        let by_terminal = matches!(i32::from(signal), libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
        let ours = self.command.as_ref().is_some_and(|command| command.pid == pid);
        if !by_terminal || !ours || !terminal::is_there() {
            return;
        }
        if terminal::leads_session() {
            // There is no shell above us: nobody could ever continue it. The kernel ignores these signals in a process
            // group without a parent in its session (orphaned, credentials(7)), which the command would be without us.
            if i32::from(signal) == libc::SIGTSTP {
                self.forward(libc::SIGCONT as u8);
            }
            return;
        }
        if self.foreground {
            terminal::take_back();
        }
        child::stop_ourselves();
        if self.foreground && terminal::is_ours() {
            terminal::give_to(pid);
        }
        self.forward(libc::SIGCONT as u8);
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
