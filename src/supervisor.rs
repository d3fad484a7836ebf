//! The driver: one queue, one loop. It waits, asks the machine, does what it is told, and feeds the answers back.
//!
//! The order at the start: handlers before the name, the name before the command, the watch before the look, the look
//! before the command. What each would lose in the other order is said where it is done.

use crate::condition::Condition;
use crate::exit;
use crate::machine::{self, Action, Cause, Event, Restart, Role, State, Status, Timer, Verdict};
use crate::plan::{Plan, program};
use crate::report::Report;
use crate::stage::Directory;
use crate::stage::publish::Life;
use crate::stage::watch::Bell;
use crate::sys::child::{self, Found, Launch, Refused};
use crate::sys::signals::{self, Signals, Woken};
use crate::sys::{descriptors, terminal};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::{Duration, Instant};

mod audience;
mod errand;
mod vigil;

use audience::Audience;
use errand::Errand;
use vigil::Vigil;

/// How long another live process may still hold the name before we give up.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// The first pause between two attempts to take a name that is held; doubles up to the second.
const CLAIM_PAUSE: Duration = Duration::from_millis(1);
const CLAIM_PAUSE_MOST: Duration = Duration::from_millis(100);
/// How long a volume may take to accept the end (a network file system that hangs). The job's code waits for no longer.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(5);
/// Longer than the requests of the goodbye can take: they bound themselves.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(7);
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
        bell: None,
        vigil: None,
        goodbye: None,
        restarts: Restarts::default(),
        errand: None,
        command: None,
        deadline: None,
        claim: None,
        foreground: false,
        children: false,
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
    bell: Option<Bell>,
    vigil: Option<Vigil>,
    goodbye: Option<Pid>,
    restarts: Restarts,
    errand: Option<Errand>,
    command: Option<Command>,
    deadline: Option<(Timer, Instant)>,
    claim: Option<Waiting>,
    foreground: bool,
    /// A child has changed its state and has not been looked for yet.
    children: bool,
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
            while let Some(event) = self.next_event() {
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

    /// The next event. While the command has not been started, a signal goes before everything else: once it is pending, the
    /// command must not be started any more.
    fn next_event(&mut self) -> Option<Event> {
        if !self.queue.is_empty()
            && matches!(self.state, State::Claiming { .. } | State::Looking { .. } | State::Gated { .. })
        {
            let woken = self.signals.wait(None, Some(Duration::ZERO));
            for signal in signals::members(woken.signals) {
                self.queue.push_front(Event::Signal(signal));
            }
            self.children |= woken.children;
        }
        self.queue.pop_front()
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

    fn perform(&mut self, action: Action) {
        match action {
            Action::Claim => self.claim(),
            Action::Look => self.begin_to_look(),
            Action::Start => self.start(),
            Action::OpenGate => {
                let conditions = self.plan.wait_for.clone();
                self.keep_vigil(&conditions);
            }
            Action::CloseGate => self.vigil = None,
            Action::AwaitReady => {
                let condition = self.plan.ready_when.clone();
                self.keep_vigil(condition.as_slice());
            }
            Action::SayGoodbye => self.say_goodbye(),
            Action::PublishReady => {
                if let (Some(dir), Some(life)) = (&self.dir, &mut self.life)
                    && let Err(error) = life.publish_ready(dir)
                {
                    self.report.warning(&format!("{error:#}"));
                }
            }
            Action::WithdrawReady => {
                self.vigil = None;
                if let (Some(dir), Some(life)) = (&self.dir, &mut self.life) {
                    life.withdraw_ready(dir);
                }
            }
            Action::Forward(signal) => self.forward(signal),
            Action::ForwardKept(set) => {
                for signal in signals::members(set) {
                    self.forward(signal);
                }
            }
            Action::Kill => self.forward(libc::SIGKILL as u8),
            Action::Arm(timer) => {
                if timer == Timer::BackOff {
                    self.restarts.count(Instant::now());
                    self.say_restart();
                }
                self.deadline = Instant::now().checked_add(self.length(timer)).map(|at| (timer, at));
            }
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
            Timer::Gate => self.plan.wait_timeout,
            Timer::BackOff => self.restarts.pause,
            Timer::Outlive => self.plan.outlive_main,
            Timer::Goodbye => GOODBYE_PATIENCE,
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
            Ok(Some(life)) => {
                self.life = Some(life);
                self.claim = None;
                self.queue.push_back(Event::Claimed);
            }
            Ok(None) => {
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
        self.bell = self.bell.take().or_else(|| Bell::new().ok());
        self.queue.extend(audience.begin(dir, self.bell.as_ref(), &self.report));
    }

    fn keep_vigil(&mut self, conditions: &[Condition]) {
        self.bell = self.bell.take().or_else(|| Bell::new().ok());
        self.vigil = Some(Vigil::new(conditions, &self.plan, self.bell.as_ref(), &self.report));
        self.look_for_conditions();
    }

    fn look_for_conditions(&mut self) {
        let (Some(vigil), Some(dir)) = (&mut self.vigil, &self.dir) else { return };
        if vigil.look(dir, &self.plan, self.signals.ignored()) {
            self.vigil = None;
            let gate = matches!(self.state, State::Gated { .. });
            self.queue.push_back(if gate { Event::GateOpened } else { Event::ReadyHeld });
        }
    }

    /// Leaves the requests to a child process: an answer that does not come must not make us deaf.
    fn say_goodbye(&mut self) {
        let words = ["/proc/self/exe", "goodbye", "--"].map(OsString::from).into_iter();
        let words: Vec<_> = words.chain(self.plan.on_exit.iter().map(OsString::from)).collect();
        let started = Launch::new(&words, self.signals.ignored())
            .map_err(|error| error.to_string())
            .and_then(|launch| launch.start().map_err(|refused| format!("{refused:?}")));
        match started {
            Ok(pid) => self.goodbye = Some(pid),
            Err(error) => {
                self.report.warning(&format!("the requests of --on-exit are not sent: {error}"));
                self.queue.push_back(Event::GoodbyeSaid);
            }
        }
    }

    fn say_restart(&self) {
        let name = program(&self.plan.command).display();
        let pause = humantime::format_duration(self.restarts.pause);
        self.report.info(&format!("{name} has ended while the job runs; starting it again in {pause} (--restart)"));
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
        self.restarts.started = Instant::now();
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
        if self.plan.policy.restart == Restart::Never {
            let _ = nix::unistd::chdir("/");
            descriptors::close_inherited();
        }
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
            self.audience.as_ref().map(Audience::next_look),
            self.vigil.as_ref().map(Vigil::next),
            group,
        ];
        let now_at_once = self.children.then_some(now);
        let limit = until.into_iter().chain([now_at_once]).flatten().min().map(|at| at.saturating_duration_since(now));
        let bell = match &self.errand {
            Some(errand) => Some(errand.descriptor()),
            None => self.bell.as_ref().map(Bell::descriptor),
        };
        let woken = self.signals.wait(bell, limit);
        self.after(woken);
    }

    fn after(&mut self, woken: Woken) {
        // Signals before deaths: a command that ends because it was told to is not one that ended by itself. The number
        // is still its own, for it has not been reaped.
        for signal in signals::members(woken.signals) {
            self.queue.push_back(Event::Signal(signal));
        }
        if woken.children || std::mem::take(&mut self.children) {
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
        let closed = woken.readable && self.bell.as_ref().is_some_and(Bell::answer);
        let now = Instant::now();
        if let (Some(dir), Some(audience)) = (&mut self.dir, &mut self.audience)
            && (woken.readable || audience.next_look() <= now)
        {
            self.queue.extend(audience.look(dir, self.bell.as_ref(), &self.report, closed));
        }
        if self.vigil.as_ref().is_some_and(|vigil| woken.readable || woken.children || vigil.next() <= now) {
            self.look_for_conditions();
        }
        if self.claim.as_ref().is_some_and(|waiting| waiting.next <= now) {
            self.claim();
        }
        if let Some((timer, at)) = self.deadline
            && at <= now
        {
            self.deadline = None;
            self.say_elapsed(timer);
            self.queue.push_back(Event::DeadlineElapsed);
        }
    }

    fn say_elapsed(&self, timer: Timer) {
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

    fn reap(&mut self) {
        loop {
            match child::reap() {
                Found::Ended(pid, status) => {
                    if let Some(command) = self.command.as_mut().filter(|command| command.pid == pid) {
                        command.leader = Some(status);
                    } else if self.goodbye == Some(pid) {
                        self.goodbye = None;
                        self.queue.push_back(Event::GoodbyeSaid);
                    } else if let Some(vigil) = &mut self.vigil {
                        vigil.ended(pid, status.code());
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
        self.say_how_it_ended(status);
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

/// The pauses between two starts of a sidecar's child.
struct Restarts {
    pause: Duration,
    started: Instant,
}

/// A proxy is missed by the job at once, so the kubelet's 10 s would be too long; and a program that fails at once should
/// not be started a thousand times.
const FIRST_RESTART_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(10);
/// Whatever ran for this long was well; its next failure is counted as the first.
const WELL_AFTER: Duration = Duration::from_secs(10);

impl Default for Restarts {
    fn default() -> Self {
        Restarts { pause: Duration::ZERO, started: Instant::now() }
    }
}

impl Restarts {
    fn count(&mut self, now: Instant) {
        let first = self.pause.is_zero() || now.saturating_duration_since(self.started) >= WELL_AFTER;
        self.pause = if first { FIRST_RESTART_PAUSE } else { (self.pause * 2).min(LONGEST_RESTART_PAUSE) };
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
