//! The driver: one queue, one loop. It waits, asks the machine, does what it is told, and feeds the answers back.
//!
//! The order at the start: handlers before the name, the name before the command, the watch before the look, the look
//! before the command. What each would lose in the other order is said where it is done.

use crate::condition::Condition;
use crate::machine::{self, Action, Actions, Event, Gate, Name, Role, Seen, State, Status, Timer, Word};
use crate::plan::Plan;
use crate::report::Report;
use crate::stage::publish::Turn;
use crate::stage::watch::Rung;
use crate::sys::child::{self, Launch};
use crate::sys::signals::{self, Signals, Woken};
use crate::words;
use nix::errno::Errno;
use nix::unistd::Pid;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod audience;
mod command;
mod door;
mod held;
mod messages;
mod patience;
mod refusal;
mod replay;
mod restarts;
mod vigil;
mod volume;
mod waits;

use audience::Audience;
use command::Command;
use door::Door;
use held::Held;
use patience::Patience;
use restarts::Restarts;
use vigil::{Outlook, Vigil};
use volume::{Answer, Await, Claimed, Local, Look, Request};
use waits::Waited;

/// How long another live process may still hold the name before we give up.
const CLAIM_PATIENCE: Duration = Duration::from_secs(10);
/// How long somebody else may hold the lock of the directory itself.
const TURN_PATIENCE: Duration = Duration::from_secs(2);
/// The first pause between two attempts to take a name that is held; doubles up to the second.
const CLAIM_PAUSE: Duration = Duration::from_millis(1);
const CLAIM_PAUSE_MOST: Duration = Duration::from_millis(100);
/// How long a volume may take to accept the end (a network file system that hangs). The job's code waits for no longer, nor does
/// that of a run that has failed before it began.
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
        door: Door::new(),
        attempt_after_failure: None,
        held_by: String::new(),
        audience: None,
        vigil: None,
        vigils: 0,
        held: Held::default(),
        goodbye: None,
        goodbye_again: None,
        dead: None,
        deferred: false,
        job_is_over: false,
        last_answer: String::new(),
        restarts: Restarts::default(),
        command: None,
        deadline: None,
        claim: None,
        foreground: false,
        patience: None,
        children: false,
        told_by: plan.failed.then(|| Instant::now() + PUBLISH_PATIENCE),
        plan: Arc::new(plan),
        signals,
        report,
    }
    .run()
}

struct Supervisor {
    plan: Arc<Plan>,
    signals: Signals,
    report: Report,
    state: State,
    queue: VecDeque<Event>,
    door: Door,
    /// Which attempt this is, if the one before it failed.
    attempt_after_failure: Option<u32>,
    /// Who holds the name, in words.
    held_by: String,
    audience: Option<Audience>,
    vigil: Option<Vigil>,
    /// How many waits for conditions there have been.
    vigils: u32,
    /// What is to be acted on once the job has been looked at.
    held: Held,
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
    command: Option<Command>,
    deadline: Option<(Timer, Instant)>,
    claim: Option<Waiting>,
    foreground: bool,
    /// What is waited for in the sight of a person, if anything.
    patience: Option<Patience<Waited>>,
    /// A child has changed its state and has not been looked for yet.
    children: bool,
    /// Until when a run that has failed before it began tries to get at the name in which that is to be said.
    told_by: Option<Instant>,
}

/// Something that is due at a time. Whoever is in the list of [`Supervisor::wakes`] is waited for, and is served from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wake {
    /// The volume has not answered for too long.
    Volume,
    /// A look that a decision waits for has not been answered for too long.
    Held,
    Claim,
    /// A run that has failed has waited for the volume for too long.
    Untold,
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
    /// When it is tried again; `None` while it is.
    next: Option<Instant>,
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
    /// command must not be started any more. But a job that is over was so before the signal, as far as can be told: a sidecar
    /// that is told to end by then leaves as it would have, and looks first.
    fn next_event(&mut self) -> Option<Event> {
        let first = match self.queue.front() {
            Some(Event::Seen(Seen::Over(_))) => true,
            Some(Event::Name(Name::Ours)) => self.plan.policy.role == Role::Sidecar,
            _ => false,
        };
        if !self.queue.is_empty()
            && !first
            && matches!(
                self.state,
                State::Claiming { .. } | State::Looking { .. } | State::Unclaimed | State::Gated { .. }
            )
        {
            let woken = self.signals.wait(None, Some(Duration::ZERO));
            // One that waits for a slow volume is pending, too.
            for signal in signals::members(woken.signals).chain(self.held.signals.drain(..)) {
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
            Action::CloseGate => self.end_vigil(),
            Action::AwaitReady => {
                let condition = self.plan.ready_when.clone();
                self.keep_vigil(condition.as_slice());
            }
            Action::SayGoodbye => self.say_goodbye(),
            Action::PublishReady => self.ask(Request::Mark(true)),
            Action::WithdrawReady => {
                self.end_vigil();
                self.ask(Request::Mark(false));
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
        self.held.elapsed = None;
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

    /// Asks for something at the volume; what comes of it at once is dealt with at once.
    fn ask(&mut self, request: Request) {
        if let Some(answer) = self.door.ask(request) {
            self.answered(answer);
        }
    }

    /// An answer that comes after we have moved on changes nothing.
    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Opened(Ok(_)) => self.claim(),
            Answer::Opened(Err(error)) => self.cannot_open(&error),
            Answer::Claimed(result) => self.claimed(result),
            Answer::Awaited { wait, watched } => {
                if let Some(vigil) = self.vigil.as_mut().filter(|vigil| vigil.number == wait) {
                    vigil.is_watched(watched);
                }
            }
            Answer::Looked { job, conditions, .. } => {
                if let Some((sight, audience)) = job.zip(self.audience.as_mut()) {
                    let seen = audience.see(sight);
                    self.saw(seen);
                }
                if let Some((wait, local)) = conditions
                    && self.vigil.as_ref().is_some_and(|vigil| vigil.number == wait)
                {
                    self.heed(local);
                }
                self.settle(Instant::now());
            }
            Answer::Done => {}
            Answer::Ended(result) => {
                if let Err(error) = result {
                    self.report.warning(&words::chain(&error));
                }
                self.queue.push_back(Event::Said(Word::End));
            }
        }
    }

    fn cannot_open(&mut self, error: &anyhow::Error) {
        // Of a run that has failed before it began it has been said what is wrong.
        let missing = matches!(error.downcast_ref(), Some(Errno::ENOENT | Errno::ENOTDIR));
        if self.plan.failed && missing {
            self.queue.push_back(Event::Name(Name::Refused));
        } else {
            self.fail(&format!("{}{}", words::chain(error), self.plan.hint()));
        }
    }

    fn claim(&mut self) {
        match self.door.open(&self.plan, self.report) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return self.cannot_open(&error),
        }
        if self.plan.name.is_none() {
            self.queue.push_back(Event::Name(Name::Ours));
            return;
        }
        let contested = self.claim.as_ref().and_then(|waiting| waiting.contested);
        if let Some(waiting) = &mut self.claim {
            waiting.next = None;
        }
        self.ask(Request::Claim(match contested {
            Some(since) if Instant::now() >= since + TURN_PATIENCE => Turn::Foregone,
            _ => Turn::Awaited,
        }));
    }

    fn claimed(&mut self, result: anyhow::Result<Claimed>) {
        let now = Instant::now();
        match result {
            Ok(Claimed::Ours(attempt)) => {
                self.attempt_after_failure = attempt;
                self.claim = None;
                self.queue.push_back(Event::Name(Name::Ours));
            }
            Ok(failed) => {
                let contested = matches!(failed, Claimed::Contested);
                // A run that has failed already leaves a live process its name.
                let patience = if self.plan.failed && !contested { Duration::ZERO } else { CLAIM_PATIENCE };
                if let Claimed::Held(by) = failed {
                    self.held_by = by;
                }
                let first = Waiting { until: now + patience, next: None, pause: CLAIM_PAUSE, contested: None };
                let waiting = self.claim.get_or_insert(first);
                waiting.contested = contested.then(|| waiting.contested.unwrap_or(now));
                if now >= waiting.until {
                    self.claim = None;
                    let held = std::mem::take(&mut self.held_by);
                    self.fail(&held);
                } else {
                    waiting.next = Some((now + waiting.pause).min(waiting.until));
                    waiting.pause = (waiting.pause * 2).min(CLAIM_PAUSE_MOST);
                    if !contested {
                        self.queue.push_back(Event::Name(Name::Held));
                    }
                }
            }
            Err(error) => self.fail(&words::chain(&error)),
        }
    }

    fn begin_to_look(&mut self) {
        if !self.door.is_open() {
            // Nothing can be seen, so nothing is over.
            self.queue.push_back(Event::Seen(Seen::On));
            return;
        }
        let glance = self.audience.get_or_insert_with(|| Audience::new(&self.plan)).begin();
        let number = self.door.next_look();
        let bell = self.door.bell();
        self.ask(Request::Look(Look { number, bell, job: Some(glance), conditions: None }));
        signals::catch_again();
    }

    fn saw(&mut self, seen: Option<Seen>) {
        self.job_is_over |= matches!(seen, Some(Seen::Over(_) | Seen::PartnerGone));
        self.queue.extend(seen.map(Event::Seen));
    }

    /// Nobody is looked at any more. The kernel takes its time to tear a watch down, seconds on a busy node, and a process with
    /// a thread in it cannot end meanwhile.
    fn stop_watching(&mut self) {
        self.end_vigil();
        if self.audience.take().is_some() {
            self.ask(Request::Leave);
        }
    }

    /// Makes room for a process. Whether there was any to be made.
    fn make_room(&mut self) -> bool {
        let watched = self.audience.as_mut().is_some_and(|audience| audience.poll_instead(&self.report));
        if watched {
            self.ask(Request::Unwatch);
        }
        watched || self.door.has_given_way()
    }

    /// Looks at the job, at the conditions, or at both, with one look. What is held waits for it where it `decides`.
    fn look(&mut self, job: bool, conditions: bool, closed: bool, decides: bool) {
        let gate = matches!(self.state, State::Gated { .. });
        let number = self.door.next_look();
        let mut look = Look { number, ..Look::default() };
        if let Some(audience) = self.audience.as_mut().filter(|audience| job && audience.has_begun()) {
            look.job = Some(audience.look(closed, self.command.is_some()));
            look.bell = self.door.bell();
        }
        if let Some(vigil) = self.vigil.as_mut().filter(|_| conditions) {
            vigil.end_probe();
            if vigil.looks {
                look.conditions = Some(vigil.ask(gate && self.audience.is_some()));
            } else {
                self.heed(Local::Hold);
                // As where it is the volume that tells: a gate that opens is opened only for a job that is not over.
                if self.held.gate.is_some() && gate && look.job.is_none() {
                    look.job = self.audience.as_mut().map(|audience| audience.look(false, false));
                }
            }
        }
        if look.job.is_some() || look.conditions.is_some() {
            if decides || self.held.gate.is_some() {
                self.held.wait_for(number, Instant::now());
            }
            self.ask(Request::Look(look));
        }
        self.settle(Instant::now());
    }

    fn keep_vigil(&mut self, conditions: &[Condition]) {
        self.vigils += 1;
        // What hangs elsewhere keeps nobody here from his work: it is a probe's.
        let (looked_at, asked) = conditions.iter().cloned().partition::<Vec<_>, _>(vigil::can_be_looked_at);
        self.vigil = Some(Vigil::new(self.vigils, conditions, asked));
        if !looked_at.is_empty() {
            let bell = self.door.bell();
            self.ask(Request::Await(Await { wait: self.vigils, conditions: looked_at, bell }));
            signals::catch_again();
        }
        self.look(false, true, false, false);
    }

    fn end_vigil(&mut self) {
        if self.vigil.take().is_some_and(|vigil| vigil.looks) {
            self.ask(Request::Cease);
        }
    }

    /// What has been seen of the conditions.
    fn heed(&mut self, local: Local) {
        let Some(vigil) = &mut self.vigil else { return };
        let outlook = vigil.see(local, &self.plan, self.signals.ignored());
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
        self.end_vigil();
        self.held.gate = Some(event);
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
        if self.door.is_open() {
            self.ask(Request::End { status, last });
        } else {
            self.queue.push_back(Event::Said(Word::End));
        }
    }

    /// Who can be due, and when. One list for the waiting and for the serving: who is not in it is not waited for.
    fn wakes(&self) -> [(Wake, Option<Instant>); 10] {
        let group = self.command.as_ref().filter(|command| command.leader.is_some() && self.plan.group);
        [
            (Wake::Volume, self.door.hangs_at()),
            (Wake::Held, self.held.until),
            (Wake::Claim, self.claim.as_ref().and_then(|waiting| waiting.next)),
            (Wake::Untold, self.told_by.filter(|_| matches!(self.state, State::Claiming { .. }))),
            (Wake::Look, self.audience.as_ref().and_then(Audience::next_look)),
            (Wake::Conditions, self.vigil.as_ref().and_then(Vigil::next)),
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
        let mut woken = self.signals.wait(self.door.descriptor(), limit);
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
        // Handlers run one a call, in the order of their numbers: a child may have died before the signal came.
        let children = woken.children | (woken.signals != 0) | std::mem::take(&mut self.children);
        if children {
            self.reap();
        }
        let rung = if woken.readable { self.door.rung() } else { Rung::default() };
        if woken.readable {
            while let Some(answer) = self.door.answer() {
                self.answered(answer);
            }
        }
        let now = Instant::now();
        let due = self.wakes().map(|(wake, at)| (wake, at.filter(|at| *at <= now)));
        let is_due = |wake: Wake| due.iter().any(|(one, at)| *one == wake && at.is_some());
        if is_due(Wake::Volume) {
            self.door.give_up_waiting();
        }
        let pending = self.dead.is_some();
        if children || is_due(Wake::Group) {
            self.look_at_group();
        }
        let died = self.dead.is_some() && !pending;
        // Signals before deaths: a command that ends because it was told to is not one that ended by itself. The number
        // is still its own, for it has not been reaped.
        self.held.signals.extend(signals::members(woken.signals));
        if is_due(Wake::Deadline)
            && let Some((timer, _)) = self.deadline.take_if(|(_, at)| *at <= now)
        {
            self.held.elapsed = Some(timer);
        }
        // Of the job first, whatever else there is: a helper that has ended with it, or a signal or a deadline that came
        // after it while we were stalled, must not be judged by what we knew before.
        let deadline = is_due(Wake::Deadline);
        let decides = died || woken.signals != 0 || deadline;
        let judges = decides && self.plan.policy.role == Role::Sidecar && self.audience.is_some();
        let job = rung.changed || is_due(Wake::Look) || judges;
        let conditions = rung.changed || children || is_due(Wake::Conditions) || deadline;
        self.look(job, conditions, rung.closed, judges || deadline);
        if is_due(Wake::Claim) {
            self.claim();
        }
        if is_due(Wake::Untold) {
            self.told_by = None;
            self.say_unaccepted();
            self.queue.push_back(Event::Name(Name::Refused));
        }
        if is_due(Wake::Goodbye) {
            self.say_goodbye();
        }
        if is_due(Wake::Word) {
            self.mind_the_wait(now);
        }
        // No round without progress: whoever was due has been served, or we would be here again at once, for ever.
        let stuck = |(wake, at): (Wake, Option<Instant>)| at.is_some_and(|at| at <= now) && is_due(wake);
        debug_assert!(!self.queue.is_empty() || !self.wakes().into_iter().any(stuck), "no progress: {due:?}");
    }

    /// Acts on what is held, unless a look is awaited that will say whether something else happened before it.
    fn settle(&mut self, now: Instant) {
        if self.held.is_waiting(&self.door, now) {
            return;
        }
        self.held.until = None;
        for signal in std::mem::take(&mut self.held.signals) {
            self.queue.push_back(Event::Signal(signal));
        }
        self.judge_death();
        self.queue.extend(self.held.gate.take());
        self.queue.extend(self.held.elapsed.take().map(Event::Elapsed));
        self.leave_a_claim_that_hangs();
    }

    /// Whoever is asked to end while the volume keeps him waiting for his name has nothing to say in it.
    fn leave_a_claim_that_hangs(&mut self) {
        if let State::Claiming { kept, .. } = self.state
            && self.door.hangs()
        {
            let ends = |event: &Event| matches!(event, Event::Signal(signal) if machine::ends_by_default(*signal));
            if signals::members(kept).any(machine::ends_by_default) || self.queue.iter().any(ends) {
                self.queue.push_back(Event::Name(Name::Held));
            }
        }
    }
}
