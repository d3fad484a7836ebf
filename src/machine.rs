//! The decisions: one total function from what is the case and what has happened to what is done next.
//!
//! Nothing here touches the world. There is no clock, no system call, no allocation; `tests/machine_is_pure.rs`
//! compiles this file without the standard library to keep it so. Events are facts in the past tense, actions are
//! orders, states say what we are doing, causes are nouns. Every action whose failure matters comes back as an event.
//!
//! Each state names what is awaited; each `match` lists every event, so that a new one has to be thought about in
//! every state. `tests/model.rs` visits every state that can be reached, for every policy.

/// How a process ended, as wait(2) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// It called exit with this code.
    Exited(u8),
    /// This signal ended it.
    Killed(u8),
}

impl Status {
    /// The number a shell would report: the code itself, or 128 + the signal.
    pub const fn code(self) -> u8 {
        match self {
            Status::Exited(code) => code,
            Status::Killed(signal) => 128 + signal,
        }
    }
}

/// What is known of a job that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// The sentinel says how it ended.
    Told(Status),
    /// There is a sentinel, and it does not say: made by `touch`, or not readable as a record.
    Silent,
    /// Its lock is free and there is no sentinel: exeunt itself was killed there.
    Lost,
}

impl Verdict {
    /// The job's exit code for `--exit-with main`. Only SIGKILL can end exeunt without a word, so a lost job counts as
    /// 137. A sentinel without a code counts as 0: whoever wrote it reports the job's own failure in its own container.
    pub const fn code(self) -> u8 {
        match self {
            Verdict::Told(status) => status.code(),
            Verdict::Silent => 0,
            Verdict::Lost => 137,
        }
    }
}

/// Which side of the partnership this process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Runs the job and tells the others when it is over.
    Main,
    /// Runs a helper and stops it when the job is over.
    Sidecar,
}

/// The Pod's `restartPolicy` as far as it concerns us: what the kubelet does with a container that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Every end is final.
    Never,
    /// An exit code other than 0 is not: the container will be started again in the same Pod.
    OnFailure,
}

/// What a sidecar exits with after *we* stopped its child because the job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExitWith {
    /// 0: the Job must not fail because Envoy answers SIGTERM with 143.
    Zero,
    /// The child's own code.
    Child,
    /// The job's code.
    Main,
}

/// When a sidecar's child that ended by itself is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Never: its end is ours.
    Never,
    /// After a code other than 0, or a signal.
    OnFailure,
    /// Always, while the job runs.
    Always,
}

/// When `NAME-ready` is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Readiness {
    /// As soon as the command has been started.
    AtOnce,
    /// When a condition first holds.
    WhenHeld,
}

/// Everything that is fixed before the first event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Main or sidecar.
    pub role: Role,
    /// Whether this process publishes a life of its own. Main always does.
    pub named: bool,
    /// The Pod's restart policy.
    pub restart_policy: RestartPolicy,
    /// The exit code of a sidecar that we stopped.
    pub exit_with: ExitWith,
    /// The signal that asks the child to end.
    pub stop_signal: u8,
    /// Whether the command waits for conditions first.
    pub gated: bool,
    /// When `NAME-ready` is published.
    pub readiness: Readiness,
    /// Whether SIGTERM is held back until the job is over (sidecar).
    pub outlive_main: bool,
    /// Whether the child is started again while the job runs (sidecar).
    pub restart: Restart,
    /// Whether the command is stopped when its partner ends (main).
    pub stop_with: bool,
    /// Whether somebody is to be told over HTTP when the end is final (main).
    pub goodbye: bool,
}

/// A fact that the driver has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The process is set up: handlers are in place.
    Begun,
    /// The name is ours, or none was wanted.
    Claimed,
    /// The name cannot be had.
    NotClaimed,
    /// Another live process holds the name; it is tried again.
    NameHeld,
    /// A look: the job is not over.
    JobOn,
    /// A look: an attempt of the job has failed and the next is expected.
    JobPaused(Verdict),
    /// A look: the job is over.
    JobOver(Verdict),
    /// The sidecar that the job cannot do without has ended.
    PartnerGone,
    /// All conditions hold.
    GateOpened,
    /// The command runs.
    Started,
    /// The command could not be run; the exit code says why (125, 126, 127).
    StartFailed(u8),
    /// The readiness condition holds.
    ReadyHeld,
    /// The command has been reaped (with a group: and the group is empty).
    ChildExited(Status),
    /// SIGKILL may not be sent to the command: it has changed its user, and we lack CAP_KILL.
    KillRefused,
    /// We were sent this signal. Never SIGCHLD.
    Signal(u8),
    /// The one deadline has passed.
    DeadlineElapsed,
    /// The end has been written, or could not be and this has been said.
    Published,
    /// The requests of the goodbye have been sent, or have failed for good.
    GoodbyeSaid,
}

/// What the one deadline is for. How long it is, the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// `--wait-timeout`.
    Gate,
    /// `--grace`.
    Grace,
    /// The pause before the child is started again.
    BackOff,
    /// `--outlive-main`.
    Outlive,
    /// How long a volume may take to accept the end.
    Publish,
    /// The bound on the whole goodbye.
    Goodbye,
}

/// An order to the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Make the name ours. Answered by `Claimed` or `NotClaimed`.
    Claim,
    /// Look at the job (a sidecar), or at the partner (main), from now on. Answered by `JobOn`, `JobPaused` or `JobOver`,
    /// or by `PartnerGone`.
    Look,
    /// Test the conditions until they hold. Answered by `GateOpened`.
    OpenGate,
    /// Stop testing them.
    CloseGate,
    /// Run the command. Answered by `Started` or `StartFailed`.
    Start,
    /// Publish readiness now.
    PublishReady,
    /// Test the readiness condition until it holds. Answered by `ReadyHeld`.
    AwaitReady,
    /// Stop testing it, and take back what was published.
    WithdrawReady,
    /// Send this signal to the child.
    Forward(u8),
    /// Send these signals (bit n-1 is signal n), which came before there was a child.
    ForwardKept(u64),
    /// Send SIGKILL to the child. Answered by `KillRefused` if that is not allowed.
    Kill,
    /// Set the deadline, in place of any other.
    Arm(Timer),
    /// There is no deadline any more.
    Disarm,
    /// Nobody needs to be watched any more.
    StopWatching,
    /// Write how it ended. Answered by `Published`.
    Publish {
        /// How the command ended.
        status: Status,
        /// Whether that is the end for good, or the next attempt is awaited.
        last: bool,
    },
    /// Send the requests. Answered by `GoodbyeSaid`.
    SayGoodbye,
    /// Leave. The last action of any run.
    Exit(u8),
}

/// Why the child is being stopped by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The job is over.
    JobOver(Verdict),
    /// A signal had asked for it before the job (or the partner) was over: the child's code is the exit code, as long as
    /// it ends by itself.
    Told(Option<Verdict>),
    /// The partner ended.
    PartnerGone,
}

/// Whether somebody outside has asked the child to end, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// Nobody has.
    Nothing,
    /// By a signal that many programs take for "cancel": SIGINT, SIGQUIT.
    Asked,
    /// By SIGTERM or the stop signal itself: it is not sent a second time.
    Ordered,
}

impl Told {
    /// What has been asked for once this signal, too, has been passed on.
    fn after(self, policy: &Policy, signal: u8) -> Told {
        match (self, signal) {
            (Told::Ordered, _) | (_, SIGTERM) => Told::Ordered,
            (_, signal) if signal == policy.stop_signal => Told::Ordered,
            (_, SIGINT | SIGQUIT) => Told::Asked,
            (told, _) => told,
        }
    }
}

/// What we are doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing yet.
    New,
    /// Making the name ours.
    Claiming {
        /// Signals to act on once the name is ours, or to forward once there is a child.
        kept: u64,
        /// Whether another live process has been seen to hold it.
        held: bool,
    },
    /// The name cannot be had, and all that is left is to look whether it is still needed: with the job over already (it has
    /// filled the disk, say) a sidecar succeeds.
    Unclaimed,
    /// Looking whether the job is over already.
    Looking {
        /// Signals to forward once there is a child.
        kept: u64,
    },
    /// Waiting for the conditions.
    Gated {
        /// Signals to forward once there is a child.
        kept: u64,
    },
    /// Starting the command.
    Starting {
        /// Signals to forward once there is a child.
        kept: u64,
    },
    /// The command runs.
    Running {
        /// Whether it has been asked to end.
        told: Told,
    },
    /// The command runs and a SIGTERM is held back.
    Holding,
    /// The command has been asked to end by us.
    Stopping {
        /// Why.
        cause: Cause,
    },
    /// The command did not end in time.
    Killing {
        /// Why.
        cause: Cause,
    },
    /// The command has ended and will be started again.
    BackingOff {
        /// How it ended.
        last: Status,
    },
    /// The end is being written.
    Publishing {
        /// What to exit with.
        code: u8,
        /// Whether a goodbye follows.
        goodbye: bool,
    },
    /// The requests of the goodbye are under way.
    Leaving {
        /// What to exit with.
        code: u8,
    },
    /// Nothing happens any more.
    Done,
}

/// The orders of one step, in the order in which they are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    list: [Option<Action>; 4],
}

impl Actions {
    /// Nothing to do.
    pub const NONE: Actions = Actions { list: [None; 4] };

    /// The orders, first to last.
    pub fn iter(&self) -> impl Iterator<Item = Action> {
        self.list.into_iter().flatten()
    }
}

impl<const N: usize> From<[Action; N]> for Actions {
    fn from(actions: [Action; N]) -> Self {
        let mut list = [None; 4];
        for (slot, action) in list.iter_mut().zip(actions) {
            *slot = Some(action);
        }
        Actions { list }
    }
}

const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGKILL: u8 = 9;
const SIGTERM: u8 = 15;
/// Signals whose default action does not end a process: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH (signal(7)).
const HARMLESS: [u8; 8] = [17, 18, 19, 20, 21, 22, 23, 28];

/// Whether the default action of a signal is to end the process (signal(7), "Term" and "Core").
pub fn ends_by_default(signal: u8) -> bool {
    !HARMLESS.contains(&signal)
}

/// One decision: where `event` leads from `state`, and what is done on the way.
///
/// Total: an event that cannot come in a state, or comes too late, changes nothing.
pub fn step(state: State, policy: &Policy, event: Event) -> (State, Actions) {
    match state {
        State::New => match event {
            Event::Begun => (State::Claiming { kept: 0, held: false }, [Action::Claim].into()),
            Event::Signal(_)
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::JobOver(_)
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::DeadlineElapsed
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Claiming { kept, held } => match event {
            // A signal that came first ends us, but not without a word.
            Event::Claimed => match (ending(kept), policy.role) {
                (Some(signal), _) => finish_unstarted(policy, signal),
                (None, Role::Sidecar) => (State::Looking { kept }, [Action::Look].into()),
                (None, Role::Main) => open_gate(policy, kept),
            },
            // Whoever holds the name will say goodbye himself.
            Event::NotClaimed if policy.role == Role::Sidecar => (State::Unclaimed, [Action::Look].into()),
            Event::NotClaimed if held => exit(125),
            Event::NotClaimed => leave(policy.goodbye && is_last(policy, 125), 125),
            // The name is somebody else's, so nothing is said in it.
            Event::NameHeld => match ending(kept) {
                Some(signal) => exit(128 + signal),
                None => stay(State::Claiming { kept, held: true }),
            },
            Event::Signal(signal) if held && ends_by_default(signal) => exit(128 + signal),
            Event::Signal(signal) => keep(kept, signal, |kept| State::Claiming { kept, held }),
            Event::Begun
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::JobOver(_)
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::DeadlineElapsed
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Unclaimed => match event {
            Event::JobOver(_) => exit(0),
            Event::JobOn | Event::JobPaused(_) => exit(125),
            Event::Signal(signal) if ends_by_default(signal) => exit(128 + signal),
            Event::Signal(_)
            | Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::DeadlineElapsed
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Looking { kept } => match event {
            Event::JobOn | Event::JobPaused(_) => open_gate(policy, kept),
            Event::JobOver(_) => finish(policy, Status::Exited(0), 0),
            Event::Signal(signal) if ends_by_default(signal) => finish_unstarted(policy, signal),
            Event::Signal(signal) => keep(kept, signal, |kept| State::Looking { kept }),
            Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::DeadlineElapsed
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Gated { kept } => match event {
            Event::GateOpened => (State::Starting { kept }, [Action::CloseGate, Action::Disarm, Action::Start].into()),
            Event::DeadlineElapsed => first(Action::CloseGate, finish(policy, Status::Exited(124), 124)),
            Event::JobOver(_) => first(Action::CloseGate, finish(policy, Status::Exited(0), 0)),
            Event::Signal(signal) if ends_by_default(signal) => {
                first(Action::CloseGate, finish_unstarted(policy, signal))
            }
            Event::Signal(signal) => keep(kept, signal, |kept| State::Gated { kept }),
            Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::PartnerGone
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Starting { kept } => match event {
            Event::Started => {
                let ready = match (policy.named, policy.readiness) {
                    (false, _) => None,
                    (true, Readiness::AtOnce) => Some(Action::PublishReady),
                    (true, Readiness::WhenHeld) => Some(Action::AwaitReady),
                };
                let look = policy.stop_with.then_some(Action::Look);
                let forward = (kept != 0).then_some(Action::ForwardKept(kept));
                // The kept ones are sent now, and count as any other that is forwarded.
                let told = (1..=64)
                    .filter(|signal| kept & 1 << (signal - 1) != 0)
                    .fold(Told::Nothing, |told, signal| told.after(policy, signal));
                (State::Running { told }, Actions { list: [ready, look, forward, None] })
            }
            Event::StartFailed(code) => finish(policy, Status::Exited(code), code),
            // The driver answers a start before it reports anything else; if it did not, the signal would be kept.
            Event::Signal(signal) => keep(kept, signal, |kept| State::Starting { kept }),
            Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::JobOver(_)
            | Event::PartnerGone
            | Event::GateOpened
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::DeadlineElapsed
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Running { told } => match event {
            Event::ChildExited(status) => {
                if told == Told::Nothing && starts_again(policy, status) {
                    (State::BackingOff { last: status }, [Action::WithdrawReady, Action::Arm(Timer::BackOff)].into())
                } else {
                    finish(policy, status, status.code())
                }
            }
            // The job is looked at once more: an attempt that failed a moment ago will not be repeated in a Pod that
            // is being deleted, and no event would come for it.
            Event::Signal(SIGTERM) if policy.outlive_main && told == Told::Nothing => {
                (State::Holding, [Action::Arm(Timer::Outlive), Action::Look].into())
            }
            Event::Signal(signal) => {
                let told = told.after(policy, signal);
                (State::Running { told }, [Action::Forward(signal)].into())
            }
            Event::JobOver(verdict) => match told {
                Told::Nothing | Told::Asked => stop(policy, Cause::JobOver(verdict)),
                Told::Ordered => (
                    State::Stopping { cause: Cause::Told(Some(verdict)) },
                    [Action::Arm(Timer::Grace), Action::StopWatching].into(),
                ),
            },
            Event::PartnerGone => match told {
                Told::Nothing | Told::Asked => stop(policy, Cause::PartnerGone),
                Told::Ordered => (
                    State::Stopping { cause: Cause::Told(None) },
                    [Action::Arm(Timer::Grace), Action::StopWatching].into(),
                ),
            },
            Event::ReadyHeld => (state, [Action::PublishReady].into()),
            Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::DeadlineElapsed
            | Event::KillRefused
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Holding => match event {
            Event::ChildExited(status) => finish(policy, status, status.code()),
            Event::JobOver(verdict) | Event::JobPaused(verdict) => stop(policy, Cause::JobOver(verdict)),
            Event::DeadlineElapsed | Event::Signal(SIGTERM) => {
                (State::Running { told: Told::Ordered }, [Action::Disarm, Action::Forward(SIGTERM)].into())
            }
            // The stop signal by another name: whoever sends it means it.
            Event::Signal(signal) if signal == policy.stop_signal => {
                (State::Running { told: Told::Ordered }, [Action::Disarm, Action::Forward(signal)].into())
            }
            Event::Signal(signal) => (state, [Action::Forward(signal)].into()),
            Event::ReadyHeld => (state, [Action::PublishReady].into()),
            Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::KillRefused
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Stopping { cause } => match event {
            Event::ChildExited(status) => finish(policy, status, code_after_stop(policy, cause, status)),
            // The deadline stays where it is: somebody who repeats himself does not get more time for it.
            Event::Signal(signal) => (state, [Action::Forward(signal)].into()),
            Event::DeadlineElapsed => {
                // The signal did not end it; that the job is over does.
                let cause = match cause {
                    Cause::Told(Some(verdict)) => Cause::JobOver(verdict),
                    Cause::Told(None) | Cause::JobOver(_) | Cause::PartnerGone => cause,
                };
                (State::Killing { cause }, [Action::Kill].into())
            }
            Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::JobOver(_)
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::KillRefused
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Killing { cause } => match event {
            Event::ChildExited(status) => finish(policy, status, code_after_stop(policy, cause, status)),
            // Nothing is left that could end it but our own end: as PID 1 it takes everybody along.
            Event::KillRefused => {
                let status = Status::Killed(SIGKILL);
                finish(policy, status, code_after_stop(policy, cause, status))
            }
            Event::Signal(signal) => (state, [Action::Forward(signal)].into()),
            Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::JobOver(_)
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::DeadlineElapsed
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::BackingOff { last } => match event {
            Event::DeadlineElapsed => (State::Starting { kept: 0 }, [Action::Start].into()),
            Event::JobOver(verdict) => {
                first(Action::Disarm, finish(policy, last, code_after_stop(policy, Cause::JobOver(verdict), last)))
            }
            // There is nobody to forward it to, and nobody is started any more. Others (a reload, a rotation of logs) were
            // meant for a command that is not there, and the next one begins with a fresh configuration anyway.
            Event::Signal(signal) if Told::Nothing.after(policy, signal) != Told::Nothing => {
                first(Action::Disarm, finish_unstarted(policy, signal))
            }
            Event::Signal(_)
            | Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::Published
            | Event::GoodbyeSaid => stay(state),
        },
        State::Publishing { code, goodbye } => match event {
            // A volume that does not answer must not hold the job's code for ever.
            Event::Published | Event::DeadlineElapsed => leave(goodbye, code),
            Event::Signal(_)
            | Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::JobOver(_)
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::GoodbyeSaid => stay(state),
        },
        State::Leaving { code } => match event {
            Event::GoodbyeSaid | Event::DeadlineElapsed => exit(code),
            // Whoever asks us to end now stops the others himself.
            Event::Signal(signal) if ends_by_default(signal) => exit(code),
            Event::Signal(_)
            | Event::Begun
            | Event::Claimed
            | Event::NotClaimed
            | Event::NameHeld
            | Event::JobOn
            | Event::JobPaused(_)
            | Event::JobOver(_)
            | Event::PartnerGone
            | Event::GateOpened
            | Event::Started
            | Event::StartFailed(_)
            | Event::ReadyHeld
            | Event::ChildExited(_)
            | Event::KillRefused
            | Event::Published => stay(state),
        },
        State::Done => stay(state),
    }
}

fn stay(state: State) -> (State, Actions) {
    (state, Actions::NONE)
}

fn exit(code: u8) -> (State, Actions) {
    (State::Done, [Action::Exit(code)].into())
}

/// Out, with the requests of the goodbye first where they are wanted.
fn leave(goodbye: bool, code: u8) -> (State, Actions) {
    if goodbye {
        (State::Leaving { code }, [Action::Arm(Timer::Goodbye), Action::SayGoodbye].into())
    } else {
        exit(code)
    }
}

/// Whether the kubelet will not start this container again.
fn is_last(policy: &Policy, code: u8) -> bool {
    code == 0 || policy.restart_policy == RestartPolicy::Never
}

fn keep(kept: u64, signal: u8, state: impl Fn(u64) -> State) -> (State, Actions) {
    stay(state(kept | 1 << (signal - 1)))
}

/// The signal among those kept that ends a process, if one does.
fn ending(kept: u64) -> Option<u8> {
    (1..=64).find(|signal| kept & 1 << (signal - 1) != 0 && ends_by_default(*signal))
}

fn first(action: Action, (state, then): (State, Actions)) -> (State, Actions) {
    let [a, b, c, _] = then.list;
    (state, Actions { list: [Some(action), a, b, c] })
}

fn open_gate(policy: &Policy, kept: u64) -> (State, Actions) {
    if policy.gated {
        (State::Gated { kept }, [Action::Arm(Timer::Gate), Action::OpenGate].into())
    } else {
        (State::Starting { kept }, [Action::Start].into())
    }
}

fn stop(policy: &Policy, cause: Cause) -> (State, Actions) {
    (
        State::Stopping { cause },
        [Action::Forward(policy.stop_signal), Action::Arm(Timer::Grace), Action::StopWatching].into(),
    )
}

fn starts_again(policy: &Policy, status: Status) -> bool {
    match policy.restart {
        Restart::Never => false,
        Restart::OnFailure => status.code() != 0,
        Restart::Always => true,
    }
}

fn code_after_stop(policy: &Policy, cause: Cause, status: Status) -> u8 {
    match (cause, policy.exit_with) {
        (Cause::Told(_) | Cause::PartnerGone, _) => status.code(),
        (Cause::JobOver(_), ExitWith::Zero) => 0,
        (Cause::JobOver(_), ExitWith::Child) => status.code(),
        (Cause::JobOver(verdict), ExitWith::Main) => verdict.code(),
    }
}

fn finish_unstarted(policy: &Policy, signal: u8) -> (State, Actions) {
    finish(policy, Status::Exited(128 + signal), 128 + signal)
}

/// The one way out for everybody who may have something to say first.
fn finish(policy: &Policy, status: Status, code: u8) -> (State, Actions) {
    if !policy.named {
        return exit(code);
    }
    let last = is_last(policy, code);
    (
        State::Publishing { code, goodbye: policy.goodbye && last },
        [Action::Arm(Timer::Publish), Action::Publish { status, last }].into(),
    )
}
