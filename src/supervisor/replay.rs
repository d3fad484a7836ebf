//! The replay that `--log-level debug` prints: each event, where it leads and what is done about it, in words.

use super::messages::describe;
use crate::machine::{Action, Cause, Command, Event, Gate, Name, Seen, State, Status, Timer, Told, Verdict, Word};
use crate::sys::signals;

/// What has happened.
pub(super) fn event(event: Event) -> String {
    match event {
        Event::Begun => "begun".into(),
        Event::Name(Name::Ours) => "the name is ours, or none is wanted".into(),
        Event::Name(Name::Held) => "the name is held by another live process".into(),
        Event::Name(Name::Refused) => "the name cannot be had".into(),
        Event::Seen(Seen::On) => "looked: not over".into(),
        Event::Seen(Seen::Paused(verdict)) => format!("looked: an attempt is over ({})", describe(verdict)),
        Event::Seen(Seen::Over(verdict)) => format!("looked: over ({})", describe(verdict)),
        Event::Seen(Seen::Missing) => "looked: not there for too long".into(),
        Event::Seen(Seen::PartnerGone) => "looked: the sidecar of --stop-with has ended".into(),
        Event::Gate(Gate::Opened) => "every condition holds".into(),
        Event::Gate(Gate::Hopeless) => "a condition will never hold".into(),
        Event::ReadyHeld => "the condition of being ready holds".into(),
        Event::Command(Command::Started) => "the command has started".into(),
        Event::Command(Command::Failed(code)) => format!("the command cannot be started ({code})"),
        Event::Command(Command::Deferred) => "the command cannot be started just now".into(),
        Event::Command(Command::Ended(status)) => format!("the command has ended ({})", ended(status)),
        Event::Command(Command::Unkillable) => "the command may not be killed".into(),
        Event::Signal(signal) => format!("{} has come", signals::name(signal)),
        Event::Elapsed(what) => format!("{} is up", timer(what)),
        Event::Said(Word::End) => "the end is published, or cannot be".into(),
        Event::Said(Word::Goodbye) => "the requests of --on-exit are done".into(),
    }
}

/// What is the case.
pub(super) fn state(state: State) -> String {
    match state {
        State::New => "nothing yet".into(),
        State::Claiming { kept, held: false } => format!("taking the name{}", with(kept)),
        State::Claiming { kept, held: true } => format!("waiting for the name{}", with(kept)),
        State::Unclaimed => "looking, without a name".into(),
        State::Looking { kept } => format!("looking for the job{}", with(kept)),
        State::Gated { kept } => format!("waiting for conditions{}", with(kept)),
        State::Starting { kept, last: None } => format!("starting{}", with(kept)),
        State::Starting { kept, last: Some(_) } => format!("starting again{}", with(kept)),
        State::Running { told: Told::Nothing } => "running".into(),
        State::Running { told: Told::Asked } => "running, asked to cancel".into(),
        State::Running { told: Told::Terminated | Told::Ordered } => "running, told to end".into(),
        State::Holding => "running, SIGTERM held back".into(),
        State::Lingering { verdict } => format!("lingering, {}", over(verdict)),
        State::Stopping { cause, told: false } => format!("stopping, {}", why(cause)),
        State::Stopping { cause, told: true } => format!("stopping, as it was told, and {}", why(cause)),
        State::Killing { cause } => format!("killing, {}", why(cause)),
        State::BackingOff { last, kept } => format!("pausing after {}{}", ended(last), with(kept)),
        State::Publishing { code, .. } => format!("publishing the end, to exit with {code}"),
        State::Leaving { code } => format!("saying goodbye, to exit with {code}"),
        State::Done => "done".into(),
    }
}

/// What is done.
pub(super) fn action(action: Action) -> String {
    match action {
        Action::Claim => "take the name".into(),
        Action::Look => "look".into(),
        Action::OpenGate => "ask for the conditions".into(),
        Action::CloseGate => "ask for the conditions no more".into(),
        Action::Start => "start the command".into(),
        Action::PublishReady => "publish that it is ready".into(),
        Action::AwaitReady => "ask for the condition of being ready".into(),
        Action::WithdrawReady => "take back that it is ready".into(),
        Action::Forward(signal) => format!("send {} to the command", signals::name(signal)),
        Action::ForwardKept(set) => format!("send {} to the command", names(set)),
        Action::Kill => "kill the command".into(),
        Action::Arm(what) => format!("begin to count {}", timer(what)),
        Action::Disarm => "count no time any more".into(),
        Action::StopWatching => "watch nobody any more".into(),
        Action::Publish { status, last: true } => format!("publish the end ({})", ended(status)),
        Action::Publish { status, last: false } => format!("publish the end of this attempt ({})", ended(status)),
        Action::SayGoodbye => "send the requests of --on-exit".into(),
        Action::Exit(code) => format!("exit with {code}"),
    }
}

fn timer(timer: Timer) -> &'static str {
    match timer {
        Timer::Gate => "the time of --wait-timeout",
        Timer::Linger => "the time of --linger",
        Timer::Grace => "the time of --grace",
        Timer::Kill => "the time that one who was killed may take",
        Timer::BackOff => "the pause before the next start",
        Timer::Outlive => "the time of --outlive-main",
        Timer::Publish => "the time that the volume may take",
        Timer::Goodbye => "the time of the requests of --on-exit",
    }
}

fn why(cause: Cause) -> String {
    match cause {
        Cause::JobOver(verdict) => over(verdict),
        Cause::PartnerGone => "for the sidecar of --stop-with has ended".into(),
        Cause::Missing => "for the job is not there".into(),
    }
}

fn over(verdict: Verdict) -> String {
    format!("for the job is over ({})", describe(verdict))
}

fn ended(status: Status) -> String {
    describe(Verdict::Told(status))
}

fn with(kept: u64) -> String {
    if kept == 0 { String::new() } else { format!(", {} kept", names(kept)) }
}

fn names(set: u64) -> String {
    signals::members(set).map(signals::name).collect::<Vec<_>>().join(", ")
}
