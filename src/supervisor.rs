//! The driver: one queue, one loop. It waits, asks the machine, does what it is told, and feeds the answers back.
//!
//! The order at the start: handlers before the name, the name before the command, the watch before the look, the look
//! before the command. What each would lose in the other order is said where it is done.

use crate::condition::Condition;
use crate::machine::{self, Action, Event, State, Status, Timer};
use crate::plan::Plan;
use crate::report::Report;
use crate::stage::Directory;
use crate::stage::publish::{Claim, Life, Turn};
use crate::stage::watch::Bell;
use crate::sys::child::{self, Launch};
use crate::sys::descriptors;
use crate::sys::signals::{self, Signals, Woken};
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::{Duration, Instant};

mod audience;
mod command;
mod errand;
mod messages;
mod restarts;
mod vigil;

use audience::Audience;
use command::{Command, GROUP_PAUSE};
use errand::Errand;
use restarts::Restarts;
use vigil::Vigil;

/// How long another live process may still hold the name before we give up.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// How long somebody else may hold the lock of the directory itself.
const TURN_PATIENCE: Duration = Duration::from_secs(2);
/// The first pause between two attempts to take a name that is held; doubles up to the second.
const CLAIM_PAUSE: Duration = Duration::from_millis(1);
const CLAIM_PAUSE_MOST: Duration = Duration::from_millis(100);
/// How long a volume may take to accept the end (a network file system that hangs). The job's code waits for no longer.
const PUBLISH_PATIENCE: Duration = Duration::from_secs(5);
/// Longer than the requests of the goodbye can take: they bound themselves.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(7);
/// Runs a plan to its end and returns the exit code.
pub fn run(plan: Plan, signals: Signals, report: Report) -> u8 {
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

/// An attempt to take the name that is to be repeated.
struct Waiting {
    until: Instant,
    next: Instant,
    pause: Duration,
    /// Since when the turn to take a name has been somebody else's, without a break.
    contested: Option<Instant>,
}

impl Supervisor {
    fn run(mut self) -> u8 {
        loop {
            while let Some(event) = self.next_event() {
                let (state, actions) = machine::step(self.state, &self.plan.policy, event);
                self.report.debug(|| format!("{event:?}: {:?} -> {state:?}", self.state));
                self.announce(event, state);
                self.state = state;
                for action in actions.iter() {
                    self.report.debug(|| format!("{action:?}"));
                    if let Action::Exit(code) = action {
                        self.stop_watching();
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
            && matches!(
                self.state,
                State::Claiming { .. } | State::Looking { .. } | State::Unclaimed | State::Gated { .. }
            )
        {
            let woken = self.signals.wait(None, Some(Duration::ZERO));
            for signal in signals::members(woken.signals) {
                self.queue.push_front(Event::Signal(signal));
            }
            self.children |= woken.children;
        }
        self.queue.pop_front()
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
            Action::Kill => self.kill(),
            Action::Arm(timer) => {
                self.forget_elapsed();
                if timer == Timer::BackOff {
                    self.restarts.count(Instant::now());
                    self.say_restart();
                }
                self.deadline = Instant::now().checked_add(self.length(timer)).map(|at| (timer, at));
            }
            Action::Disarm => {
                self.forget_elapsed();
                self.deadline = None;
            }
            // The kernel takes its time to tear a watch down: now, while the child shuts down, and not at the exit.
            Action::StopWatching => self.stop_watching(),
            Action::Publish { status, last } => self.publish(status, last),
            Action::Exit(_) => {}
        }
    }

    /// One wake-up may bring a death and the end of a time together. The time that was armed before is of no account once
    /// another is.
    fn forget_elapsed(&mut self) {
        self.queue.retain(|event| *event != Event::DeadlineElapsed);
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
        // The reason of a run that has failed before it began stands in the termination log already.
        if self.plan.failed {
            self.report.warning(message);
        } else {
            self.report.failure(message);
        }
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
        let now = Instant::now();
        let contested = self.claim.as_ref().and_then(|waiting| waiting.contested);
        let turn = match contested {
            Some(since) if now >= since + TURN_PATIENCE => Turn::Foregone,
            _ => Turn::Awaited,
        };
        match Life::claim(dir, name, self.plan.run_id.as_deref(), self.plan.policy.restart_policy, turn) {
            Ok(Claim::Taken(life)) => {
                self.life = Some(*life);
                self.claim = None;
                self.queue.push_back(Event::Claimed);
            }
            Ok(failed @ (Claim::Held | Claim::Contested)) => {
                // A run that has failed already leaves a live process its name.
                let patience =
                    if self.plan.failed && matches!(failed, Claim::Held) { Duration::ZERO } else { CLAIM_PATIENCE };
                let first = Waiting { until: now + patience, next: now, pause: CLAIM_PAUSE, contested: None };
                let waiting = self.claim.get_or_insert(first);
                waiting.contested = matches!(failed, Claim::Contested).then(|| waiting.contested.unwrap_or(now));
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
                    if matches!(failed, Claim::Held) {
                        self.queue.push_back(Event::NameHeld);
                    }
                }
            }
            Err(error) => self.fail(&format!("{error:#}")),
        }
    }

    fn begin_to_look(&mut self) {
        let Some(dir) = &mut self.dir else {
            // Nothing can be seen, so nothing is over.
            self.queue.push_back(Event::JobOn);
            return;
        };
        let audience = self.audience.get_or_insert_with(|| Audience::new(&self.plan));
        self.bell = self.bell.take().or_else(|| Bell::new().ok());
        self.queue.extend(audience.begin(dir, self.bell.as_ref(), &self.report));
        signals::catch_again();
    }

    fn stop_watching(&mut self) {
        self.vigil = None;
        if self.audience.as_ref().is_some_and(Audience::is_watching) {
            descriptors::leave_inotify_to_the_kernel();
        }
        self.audience = None;
    }

    /// Before the command is started: a job that is over has not been told by its watch yet when both happen at once.
    fn look_at_job(&mut self) {
        if let (Some(dir), Some(audience)) = (&mut self.dir, &mut self.audience) {
            self.queue.extend(audience.look(dir, self.bell.as_ref(), &self.report, false));
        }
    }

    fn keep_vigil(&mut self, conditions: &[Condition]) {
        self.bell = self.bell.take().or_else(|| Bell::new().ok());
        self.vigil = Some(Vigil::new(conditions, &self.plan, self.bell.as_ref(), &self.report));
        signals::catch_again();
        self.look_for_conditions();
    }

    fn look_for_conditions(&mut self) {
        let (Some(vigil), Some(dir)) = (&mut self.vigil, &self.dir) else { return };
        if vigil.look(dir, &self.plan, self.signals.ignored()) {
            self.vigil = None;
            let gate = matches!(self.state, State::Gated { .. });
            if gate {
                self.look_at_job();
            }
            self.queue.push_back(if gate { Event::GateOpened } else { Event::ReadyHeld });
        }
    }

    /// Leaves the requests to a child process: an answer that does not come must not make us deaf.
    fn say_goodbye(&mut self) {
        let mut words: Vec<OsString> = vec!["/proc/self/exe".into(), "goodbye".into()];
        words.extend(self.report.flags().map(OsString::from));
        words.push("--".into());
        words.extend(self.plan.on_exit.iter().map(|url| OsString::from(url.to_string())));
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
            if timer == Timer::BackOff {
                self.look_at_job();
            }
            self.queue.push_back(Event::DeadlineElapsed);
        }
    }
}
