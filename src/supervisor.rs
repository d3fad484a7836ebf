//! The driver: one queue, one loop. It waits, asks the machine, does what it is told, and feeds the answers back.
//!
//! The order at the start: handlers before the name, the name before the command, the watch before the look, the look
//! before the command. What each would lose in the other order is said where it is done.

use crate::condition::Condition;
use crate::machine::{self, Action, Actions, Event, Gate, Name, Role, Seen, State, Status, Timer, Word};
use crate::plan::Plan;
use crate::report::Report;
use crate::stage::Directory;
use crate::stage::publish::{Claim, Life, Turn};
use crate::stage::watch::Bell;
use crate::sys::child::{self, Launch};
use crate::sys::descriptors;
use crate::sys::signals::{self, Signals, Woken};
use crate::words;
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::time::{Duration, Instant};

mod audience;
mod command;
mod errand;
mod messages;
mod patience;
mod refusal;
mod replay;
mod restarts;
mod vigil;
mod waits;

use audience::Audience;
use command::Command;
use errand::Errand;
use patience::Patience;
use restarts::Restarts;
use vigil::{Outlook, Vigil};
use waits::Waited;

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
/// How long one who was sent SIGKILL may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to start the goodbye where there is no room for a process.
const GOODBYE_PAUSE: Duration = Duration::from_millis(100);

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
        goodbye_again: None,
        dead: None,
        deferred: false,
        job_is_over: false,
        last_answer: String::new(),
        restarts: Restarts::default(),
        errand: None,
        command: None,
        deadline: None,
        claim: None,
        foreground: false,
        patience: None,
        local: std::cell::OnceCell::new(),
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
    /// When it is tried again to start it.
    goodbye_again: Option<Instant>,
    /// How the command has ended, until it is known whether the job ended before it.
    dead: Option<Status>,
    /// The command could not be started again just now, and that has been said.
    deferred: bool,
    /// A look has found the job over.
    job_is_over: bool,
    /// What the conditions last said.
    last_answer: String,
    restarts: Restarts,
    errand: Option<Errand>,
    command: Option<Command>,
    deadline: Option<(Timer, Instant)>,
    claim: Option<Waiting>,
    foreground: bool,
    /// What is waited for in the sight of a person, if anything.
    patience: Option<Patience<Waited>>,
    /// Whether the directory is on a file system that answers, asked once.
    local: std::cell::OnceCell<bool>,
    /// A child has changed its state and has not been looked for yet.
    children: bool,
}

/// Something that is due at a time. Whoever is in the list of [`Supervisor::wakes`] is waited for, and is served from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    Claim,
    Look,
    Conditions,
    Group,
    Goodbye,
    Word,
    /// The machine's one deadline; last, so that what has happened until now is known when it is counted.
    Deadline,
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
                self.replay(event, state, &actions);
                self.announce(event, state);
                self.state = state;
                for action in actions.iter() {
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

    /// One line an event, and one for what is done about it. What changes nothing (a name that is still held) is not said.
    fn replay(&self, event: Event, next: State, actions: &Actions) {
        if self.state == next && *actions == Actions::NONE {
            return;
        }
        self.report.debug(|| {
            let done: Vec<String> = actions.iter().map(replay::action).collect();
            let (event, from, to) = (replay::event(event), replay::state(self.state), replay::state(next));
            let moved = if from == to { from } else { format!("{from} -> {to}") };
            let then = if done.is_empty() { String::new() } else { format!("; {}", done.join(", ")) };
            format!("{event}: {moved}{then}")
        });
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
                    self.report.warning(&words::chain(&error));
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
                    if !std::mem::take(&mut self.deferred) {
                        self.say_restart();
                    }
                }
                self.deadline = Instant::now().checked_add(self.length(timer)).map(|at| (timer, at));
            }
            Action::Disarm => {
                self.forget_elapsed();
                self.deadline = None;
            }
            Action::StopWatching => self.stop_watching(),
            Action::Publish { status, last } => self.publish(status, last),
            Action::Exit(_) => {}
        }
    }

    /// One wake-up may bring a death and the end of a time together. The time that was armed before is of no account once
    /// another is.
    fn forget_elapsed(&mut self) {
        self.queue.retain(|event| !matches!(event, Event::Elapsed(_)));
    }

    fn length(&self, timer: Timer) -> Duration {
        match timer {
            Timer::Grace => self.plan.grace,
            Timer::Publish => PUBLISH_PATIENCE,
            Timer::Gate => self.plan.wait_timeout,
            Timer::BackOff => self.restarts.pause,
            Timer::Outlive => self.plan.outlive_main,
            Timer::Goodbye => GOODBYE_PATIENCE,
            Timer::Linger => self.plan.linger,
            Timer::Kill => KILL_PATIENCE,
        }
    }

    fn fail(&mut self, message: &str) {
        // The reason of a run that has failed before it began stands in the termination log already.
        if self.plan.failed {
            self.report.warning(message);
        } else {
            self.report.failure(message);
        }
        self.queue.push_back(Event::Name(Name::Refused));
    }

    fn claim(&mut self) {
        if self.dir.is_none() {
            match Directory::open(&self.plan.dir) {
                Ok(dir) => self.dir = Some(dir),
                Err(error) => return self.fail(&words::chain(&error)),
            }
        }
        let (Some(dir), Some(name)) = (&self.dir, &self.plan.name) else {
            self.queue.push_back(Event::Name(Name::Ours));
            return;
        };
        let now = Instant::now();
        let contested = self.claim.as_ref().and_then(|waiting| waiting.contested);
        let turn = match contested {
            Some(since) if now >= since + TURN_PATIENCE => Turn::Foregone,
            _ => Turn::Awaited,
        };
        match Life::claim(dir, name, self.plan.run_id.as_deref(), self.plan.policy.restart_on, turn) {
            Ok(Claim::Taken(life)) => {
                self.life = Some(*life);
                self.claim = None;
                self.queue.push_back(Event::Name(Name::Ours));
            }
            Ok(failed @ (Claim::Held | Claim::Contested)) => {
                // A run that has failed already leaves a live process its name.
                let patience =
                    if self.plan.failed && matches!(failed, Claim::Held) { Duration::ZERO } else { CLAIM_PATIENCE };
                let first = Waiting { until: now + patience, next: now, pause: CLAIM_PAUSE, contested: None };
                let waiting = self.claim.get_or_insert(first);
                waiting.contested = matches!(failed, Claim::Contested).then(|| waiting.contested.unwrap_or(now));
                if now >= waiting.until {
                    let held = self.say_held(name);
                    self.claim = None;
                    self.fail(&held);
                } else {
                    waiting.next = (now + waiting.pause).min(waiting.until);
                    waiting.pause = (waiting.pause * 2).min(CLAIM_PAUSE_MOST);
                    if matches!(failed, Claim::Held) {
                        self.queue.push_back(Event::Name(Name::Held));
                    }
                }
            }
            Err(error) => {
                self.fail(&words::chain(&error));
                self.leave_word();
            }
        }
    }

    /// The name cannot be had although nobody holds it, and we shall not be started again: the others must not wait for us.
    /// With a run id an empty sentinel would count for nobody.
    fn leave_word(&self) {
        let last = !self.plan.policy.restart_on.contains(crate::exit::OURS);
        if let (Some(dir), Some(name), None, true) = (&self.dir, &self.plan.name, &self.plan.run_id, last)
            && let Err(error) = crate::stage::publish::publish_bare(dir, name)
        {
            self.report.debug(|| words::chain(&error));
        }
    }

    fn begin_to_look(&mut self) {
        let Some(dir) = &mut self.dir else {
            // Nothing can be seen, so nothing is over.
            self.queue.push_back(Event::Seen(Seen::On));
            return;
        };
        let audience = self.audience.get_or_insert_with(|| Audience::new(&self.plan));
        self.bell = self.bell.take().or_else(|| Bell::new().ok());
        let seen = audience.begin(dir, self.bell.as_ref(), &self.report);
        self.saw(seen);
        signals::catch_again();
    }

    fn saw(&mut self, seen: Option<Seen>) {
        self.job_is_over |= matches!(seen, Some(Seen::Over(_) | Seen::PartnerGone));
        self.queue.extend(seen.map(Event::Seen));
    }

    /// Nobody is looked at any more. The kernel takes its time to tear a watch down, seconds on a busy node, and a process with
    /// a thread in it cannot end meanwhile.
    fn stop_watching(&mut self) {
        self.vigil = None;
        if self.audience.as_ref().is_some_and(Audience::is_watching) {
            descriptors::leave_inotify_to_the_kernel();
        }
        self.audience = None;
    }

    /// Makes room for a process. Whether there was any to be made.
    fn poll_instead(&mut self) -> bool {
        self.audience.as_mut().is_some_and(|audience| audience.poll_instead(&self.report))
    }

    /// Facts count in the order in which they happened: before something else is acted on, the job is looked at once more.
    fn look_at_job(&mut self) {
        if let (Some(dir), Some(audience)) = (&mut self.dir, &mut self.audience) {
            let seen = audience.look(dir, self.bell.as_ref(), &self.report, false);
            self.saw(seen);
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
        let outlook = vigil.look(dir, &self.plan, self.signals.ignored());
        if self.last_answer != vigil.last_answer {
            self.last_answer.clone_from(&vigil.last_answer);
            self.report.debug(|| format!("asked: {}", self.last_answer));
        }
        let gate = matches!(self.state, State::Gated { .. });
        let event = match outlook {
            Outlook::Open => return,
            Outlook::Hold if gate => Event::Gate(Gate::Opened),
            Outlook::Hold => Event::ReadyHeld,
            Outlook::Hopeless(name, verdict) if gate => {
                self.say_hopeless(&name, verdict);
                Event::Gate(Gate::Hopeless)
            }
            Outlook::Hopeless(..) => return,
        };
        self.vigil = None;
        if gate {
            self.look_at_job();
        }
        self.queue.push_back(event);
    }

    /// Leaves the requests to a child process: an answer that does not come must not make us deaf.
    fn say_goodbye(&mut self) {
        let mut words: Vec<OsString> = vec!["exeunt".into(), "goodbye".into()];
        words.extend(self.report.flags().map(OsString::from));
        words.push("--".into());
        words.extend(self.plan.on_exit.iter().map(|url| OsString::from(url.to_string())));
        let launch = match Launch::of_ourselves(&words, self.signals.ignored(), &self.plan.working_directory) {
            Ok(launch) => launch,
            Err(_) => return self.queue.push_back(Event::Said(Word::Goodbye)),
        };
        let started = launch.start();
        self.goodbye_again = None;
        match started {
            Ok(started) => self.goodbye = Some(started.pid),
            // Whoever has filled the last place may be gone in a moment.
            Err(error) if error.passes() => self.goodbye_again = Some(Instant::now() + GOODBYE_PAUSE),
            Err(error) => {
                self.report.warning(&format!("the requests of --on-exit are not sent: {error}"));
                self.queue.push_back(Event::Said(Word::Goodbye));
            }
        }
    }

    fn publish(&mut self, status: Status, last: bool) {
        // Nobody is awaited any more, whatever it takes to say so.
        self.stop_watching();
        let (Some(life), Some(dir)) = (self.life.take(), self.dir.take()) else {
            self.queue.push_back(Event::Said(Word::End));
            return;
        };
        match Errand::publish(life, dir, status, last) {
            errand::Begun::Finished(result) => {
                if let Err(error) = result {
                    self.report.warning(&words::chain(&error));
                }
                self.queue.push_back(Event::Said(Word::End));
            }
            errand::Begun::UnderWay(errand) => self.errand = Some(errand),
        }
    }

    /// Who can be due, and when. One list for the waiting and for the serving: who is not in it is not waited for.
    fn wakes(&self) -> [(Wake, Option<Instant>); 7] {
        let here = self.dir.is_some();
        let group = self.command.as_ref().filter(|command| command.leader.is_some() && self.plan.group);
        [
            (Wake::Claim, self.claim.as_ref().map(|waiting| waiting.next)),
            (Wake::Look, self.audience.as_ref().filter(|_| here).map(Audience::next_look)),
            (Wake::Conditions, self.vigil.as_ref().filter(|_| here).and_then(Vigil::next)),
            (Wake::Group, group.map(|command| command.next)),
            (Wake::Goodbye, self.goodbye_again),
            (Wake::Word, self.patience.as_ref().and_then(Patience::next)),
            (Wake::Deadline, self.deadline.map(|(_, at)| at)),
        ]
    }

    /// Waits for the next thing to happen and turns it into events.
    fn wait(&mut self) {
        let now = Instant::now();
        self.mind_the_wait(now);
        let next = self.wakes().into_iter().filter_map(|(_, at)| at).min();
        let limit = if self.children { Some(Duration::ZERO) } else { next.map(|at| at.saturating_duration_since(now)) };
        let bell = match &self.errand {
            Some(errand) => Some(errand.descriptor()),
            None => self.bell.as_ref().map(Bell::descriptor),
        };
        let mut woken = self.signals.wait(bell, limit);
        // Handlers run one a call: what is due must not be served before all that has come is known.
        if next.is_some_and(|at| at <= Instant::now()) {
            loop {
                let more = self.signals.wait(None, Some(Duration::ZERO));
                woken.signals |= more.signals;
                woken.children |= more.children;
                if more.signals == 0 && !more.children {
                    break;
                }
            }
        }
        self.after(woken);
    }

    fn after(&mut self, woken: Woken) {
        let children = woken.children | std::mem::take(&mut self.children);
        if children {
            self.reap();
        }
        if woken.readable
            && let Some(result) = self.errand.as_mut().and_then(Errand::finished)
        {
            if let Err(error) = result {
                self.report.warning(&words::chain(&error));
            }
            self.errand = None;
            self.queue.push_back(Event::Said(Word::End));
        }
        let closed = woken.readable && self.bell.as_ref().is_some_and(Bell::answer);
        let now = Instant::now();
        let due = self.wakes().map(|(wake, at)| (wake, at.filter(|at| *at <= now)));
        let is_due = |wake: Wake| due.iter().any(|(one, at)| *one == wake && at.is_some());
        if children || is_due(Wake::Group) {
            self.look_at_group();
        }
        // Of the job first, whatever else there is: a helper that has ended with it, or a signal or a deadline that came
        // after it while we were stalled, must not be judged by what we knew before.
        let decides = self.dead.is_some() || woken.signals != 0 || is_due(Wake::Deadline);
        if let (Some(dir), Some(audience)) = (&mut self.dir, &mut self.audience)
            && (woken.readable || is_due(Wake::Look) || (decides && self.plan.policy.role == Role::Sidecar))
        {
            let seen = audience.look(dir, self.bell.as_ref(), &self.report, closed);
            self.saw(seen);
        }
        // Signals before deaths: a command that ends because it was told to is not one that ended by itself. The number
        // is still its own, for it has not been reaped.
        for signal in signals::members(woken.signals) {
            self.queue.push_back(Event::Signal(signal));
        }
        self.judge_death();
        if woken.readable || children || is_due(Wake::Conditions) || is_due(Wake::Deadline) {
            self.look_for_conditions();
        }
        if is_due(Wake::Claim) {
            self.claim();
        }
        if is_due(Wake::Goodbye) {
            self.say_goodbye();
        }
        if is_due(Wake::Word) {
            self.mind_the_wait(now);
        }
        if is_due(Wake::Deadline)
            && let Some((timer, _)) = self.deadline.take_if(|(_, at)| *at <= now)
        {
            self.queue.push_back(Event::Elapsed(timer));
        }
        // No round without progress: whoever was due has been served, or we would be here again at once, for ever.
        let stuck = |(wake, at): (Wake, Option<Instant>)| at.is_some_and(|at| at <= now) && is_due(wake);
        debug_assert!(!self.queue.is_empty() || !self.wakes().into_iter().any(stuck), "no progress: {due:?}");
    }
}
