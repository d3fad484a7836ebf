//! The decisions: one total function from what is the case and what has happened to what is done next.
//!
//! Nothing here touches the world. There is no clock, no system call, no allocation; `tests/machine_is_pure.rs`
//! compiles this file without the standard library to keep it so. Events are facts in the past tense, actions are
//! orders, states say what we are doing, causes are nouns. Every action whose failure matters comes back as an event.
//!
//! Each state names what is awaited; each `match` lists every kind of event, and all that a kind can say where the state
//! cares for it, so that a new one has to be thought about. `tests/model.rs` visits every state that can be reached, for
//! every policy; `docs/design.md` shows the same as a table, printed from here.

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

/// A set of exit codes, as the kubelet goes by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Codes([u64; 4]);

impl Codes {
    /// None at all: every end is final.
    pub const NONE: Codes = Codes([0; 4]);
    /// All but 0: what `restartPolicy: OnFailure` repeats.
    pub const FAILURES: Codes = Codes([!1, !0, !0, !0]);

    /// Whether `code` is among them.
    pub const fn contains(self, code: u8) -> bool {
        let [a, b, c, d] = self.0;
        let word = match code >> 6 {
            0 => a,
            1 => b,
            2 => c,
            _ => d,
        };
        word & 1 << (code & 63) != 0
    }

    /// These and `code`.
    pub const fn with(self, code: u8) -> Codes {
        let [a, b, c, d] = self.0;
        let bit = 1 << (code & 63);
        Codes(match code >> 6 {
            0 => [a | bit, b, c, d],
            1 => [a, b | bit, c, d],
            2 => [a, b, c | bit, d],
            _ => [a, b, c, d | bit],
        })
    }

    /// These and those together.
    pub const fn union(self, those: Codes) -> Codes {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, those.0);
        Codes([a | e, b | f, c | g, d | h])
    }

    /// All but these.
    pub const fn others(self) -> Codes {
        let [a, b, c, d] = self.0;
        Codes([!a, !b, !c, !d])
    }
}

/// A choice of an option: its values and the words for them stand once, and plan, completions, pages and model go by this list.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $($(#[doc = $meaning:literal])+ $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $meaning])+ $value,)+
        }

        impl $name {
            /// Every value, with the word for it on the command line.
            pub const ALL: &'static [(&'static str, $name)] = &[$(($word, $name::$value),)+];
            /// The words alone.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];
            /// What each means, in the same order.
            pub const MEANINGS: &'static [&'static str] = &[$(concat!($($meaning),+),)+];
        }
    };
}
#[allow(unused_imports, reason = "other options have choices, too; by itself the machine has none of them")]
pub(crate) use choice;

choice! {
    /// Which side of the partnership this process is.
    Role {
        /// Runs the job and tells the others when it is over.
        Main = "main",
        /// Runs a helper and stops it when the job is over.
        Sidecar = "sidecar",
    }
}

choice! {
    /// The Pod's `restartPolicy` as far as it concerns us: what the kubelet does with a container that failed.
    RestartPolicy {
        /// Every end is final.
        Never = "never",
        /// An exit code other than 0 is not: the container will be started again in the same Pod.
        OnFailure = "on-failure",
    }
}

impl RestartPolicy {
    /// The exit codes that are not final.
    pub const fn codes(self) -> Codes {
        match self {
            RestartPolicy::Never => Codes::NONE,
            RestartPolicy::OnFailure => Codes::FAILURES,
        }
    }
}

choice! {
    /// What a sidecar exits with after *we* stopped its child because the job ended.
    ExitWith {
        /// 0: the Job must not fail because Envoy answers SIGTERM with 143.
        Zero = "zero",
        /// The child's own code.
        Child = "child",
        /// The job's code.
        Main = "main",
    }
}

choice! {
    /// When a sidecar's child that ended by itself is started again.
    Restart {
        /// Never: its end is ours.
        Never = "never",
        /// After a code other than 0, or a signal.
        OnFailure = "on-failure",
        /// Always, while the job runs.
        Always = "always",
    }
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
    /// The exit codes after which the kubelet starts this container again in the same Pod (`restartPolicy` and
    /// `restartPolicyRules`): they are not final.
    pub restart_on: Codes,
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
    /// Whether some time passes between the job's end and the stop signal (sidecar).
    pub lingers: bool,
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
    /// What came of asking for the name.
    Name(Name),
    /// What a look has found.
    Seen(Seen),
    /// What came of the conditions before the start.
    Gate(Gate),
    /// The readiness condition holds.
    ReadyHeld,
    /// Something has become of the command.
    Command(Command),
    /// We were sent this signal. Never SIGCHLD.
    Signal(u8),
    /// The one deadline has passed: this one.
    Elapsed(Timer),
    /// What was to be told to others has been told, or has failed for good.
    Said(Word),
}

/// What came of asking for the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// It is ours, or none was wanted.
    Ours,
    /// It is not to be had now: another live process holds it, or the volume does not answer. It is tried again.
    Held,
    /// It cannot be had.
    Refused,
}

/// What a look has found. Of the job in a sidecar, of the partner in main.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// The job is not over.
    On,
    /// An attempt of the job has failed and the next is expected.
    Paused(Verdict),
    /// The job is over.
    Over(Verdict),
    /// The job, or its next attempt, has not been there for as long as it may be away (`--absence-timeout`).
    Missing,
    /// The sidecar that the job cannot do without has ended.
    PartnerGone,
}

/// What came of the conditions before the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// All of them hold.
    Opened,
    /// One of them will never hold: the life that it names is over.
    Hopeless,
}

/// What has become of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// It runs.
    Started,
    /// It could not be run; the exit code says why (125, 126, 127).
    Failed(u8),
    /// It could not be started again just now, for want of something that passes (a process, memory, a busy file).
    Deferred,
    /// It has been reaped (with a group: and the group is empty).
    Ended(Status),
    /// SIGKILL may not be sent to it: it has changed its user and we lack CAP_KILL, or a filter refuses us the call.
    Unkillable,
}

/// What is told to others at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Word {
    /// How it ended, in the shared directory.
    End,
    /// The requests of the goodbye.
    Goodbye,
}

/// What the one deadline is for. How long it is, the driver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    /// `--wait-timeout`.
    Gate,
    /// `--linger`.
    Linger,
    /// `--grace`.
    Grace,
    /// How long one who was sent SIGKILL may take to be gone.
    Kill,
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
    /// Make the name ours. Answered by `Name`.
    Claim,
    /// Look at the job (a sidecar), or at the partner (main), from now on. Answered by `Seen`.
    Look,
    /// Test the conditions until they hold. Answered by `Gate`.
    OpenGate,
    /// Stop testing them.
    CloseGate,
    /// Run the command. Answered by `Command`.
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
    /// Send SIGKILL to the child. Answered by `Command::Unkillable` if that is not allowed.
    Kill,
    /// Set the deadline, in place of any other. Answered by `Elapsed`.
    Arm(Timer),
    /// There is no deadline any more.
    Disarm,
    /// Nobody needs to be watched any more.
    StopWatching,
    /// Write how it ended. Answered by `Said(End)`.
    Publish {
        /// How the command ended.
        status: Status,
        /// Whether that is the end for good, or the next attempt is awaited.
        last: bool,
    },
    /// Send the requests. Answered by `Said(Goodbye)`.
    SayGoodbye,
    /// Leave. The last action of any run.
    Exit(u8),
}

/// Why the child is being stopped by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The job is over.
    JobOver(Verdict),
    /// The partner ended.
    PartnerGone,
    /// The job did not come, or not again.
    Missing,
}

/// Whether somebody outside has asked the child to end, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Told {
    /// Nobody has.
    Nothing,
    /// By a signal that many programs take for "cancel": SIGINT, SIGQUIT.
    Asked,
    /// By SIGTERM, where the stop signal is another: that one is still to be sent, for the child may know no other.
    Terminated,
    /// By the stop signal itself: it is not sent a second time.
    Ordered,
}

impl Told {
    /// What has been asked for once this signal, too, has been passed on.
    fn after(self, policy: &Policy, signal: u8) -> Told {
        match (self, signal) {
            (Told::Ordered, _) => Told::Ordered,
            (_, signal) if signal == policy.stop_signal => Told::Ordered,
            (Told::Terminated, _) | (_, SIGTERM) => Told::Terminated,
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
        /// How the child before it ended, if there was one.
        last: Option<Status>,
    },
    /// The command runs.
    Running {
        /// Whether it has been asked to end.
        told: Told,
    },
    /// The command runs and a SIGTERM is held back.
    Holding,
    /// The job is over, and the command has a while left.
    Lingering {
        /// How the job ended.
        verdict: Verdict,
    },
    /// The command has been asked to end by us.
    Stopping {
        /// Why.
        cause: Cause,
        /// Whether somebody's signal had told it to end before that: its own code is the exit code, as long as it ends by
        /// itself.
        told: bool,
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
        /// Signals to forward once there is a child again.
        kept: u64,
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
/// The exit code of a wait that has been given up (timeout(1)).
const TIMED_OUT: u8 = 124;
const OURS: u8 = 125;

/// Whether the default action of a signal is to end the process (signal(7), "Term" and "Core").
pub fn ends_by_default(signal: u8) -> bool {
    !HARMLESS.contains(&signal)
}

/// One decision: where `event` leads from `state`, and what is done on the way.
///
/// Total: an event that cannot come in a state, or comes too late, changes nothing.
pub fn step(state: State, policy: &Policy, event: Event) -> (State, Actions) {
    use Event::{Begun, Command as Cmd, Elapsed, Gate as Gated, Name as Named, ReadyHeld, Said, Seen as Saw, Signal};
    match state {
        State::New => match event {
            Begun => (State::Claiming { kept: 0, held: false }, [Action::Claim].into()),
            Named(_) | Saw(_) | Gated(_) | ReadyHeld | Cmd(_) | Signal(_) | Elapsed(_) | Said(_) => stay(state),
        },
        State::Claiming { kept, held } => match event {
            // A signal that came first ends us, but not without a word.
            Named(Name::Ours) => match (ending(kept), policy.role) {
                (Some(signal), _) => finish_unstarted(policy, signal),
                (None, Role::Sidecar) => (State::Looking { kept }, [Action::Look].into()),
                (None, Role::Main) => open_gate(policy, kept),
            },
            // The name is somebody else's, so nothing is said in it.
            Named(Name::Held) => match ending(kept) {
                Some(signal) => exit(128 + signal),
                None => stay(State::Claiming { kept, held: true }),
            },
            Named(Name::Refused) => match (policy.role, ending(kept)) {
                // As it would be, had it come a moment later.
                (Role::Sidecar, Some(signal)) => exit(128 + signal),
                (Role::Sidecar, None) => (State::Unclaimed, [Action::Look].into()),
                // Whoever holds the name will say goodbye himself. What the others have been told goes by this code.
                (Role::Main, _) => leave(!held && policy.goodbye && is_last(policy, OURS), OURS),
            },
            Signal(signal) if held && ends_by_default(signal) => exit(128 + signal),
            Signal(signal) => keep(kept, signal, |kept| State::Claiming { kept, held }),
            Begun | Saw(_) | Gated(_) | ReadyHeld | Cmd(_) | Elapsed(_) | Said(_) => stay(state),
        },
        State::Unclaimed => match event {
            Saw(Seen::Over(_)) => exit(0),
            Saw(Seen::On | Seen::Paused(_) | Seen::Missing) => exit(OURS),
            Signal(signal) if ends_by_default(signal) => exit(128 + signal),
            Saw(Seen::PartnerGone) | Signal(_) => stay(state),
            Begun | Named(_) | Gated(_) | ReadyHeld | Cmd(_) | Elapsed(_) | Said(_) => stay(state),
        },
        State::Looking { kept } => match event {
            Saw(Seen::On | Seen::Paused(_)) => open_gate(policy, kept),
            Saw(Seen::Over(_)) => finish(policy, Status::Exited(0), 0),
            Saw(Seen::Missing) => finish(policy, Status::Exited(TIMED_OUT), TIMED_OUT),
            Saw(Seen::PartnerGone) => stay(state),
            Signal(signal) if ends_by_default(signal) => finish_unstarted(policy, signal),
            Signal(signal) => keep(kept, signal, |kept| State::Looking { kept }),
            Begun | Named(_) | Gated(_) | ReadyHeld | Cmd(_) | Elapsed(_) | Said(_) => stay(state),
        },
        State::Gated { kept } => match event {
            Gated(Gate::Opened) => {
                (State::Starting { kept, last: None }, [Action::CloseGate, Action::Disarm, Action::Start].into())
            }
            Gated(Gate::Hopeless) | Elapsed(Timer::Gate) | Saw(Seen::Missing) => {
                first(Action::CloseGate, finish(policy, Status::Exited(TIMED_OUT), TIMED_OUT))
            }
            Saw(Seen::Over(_)) => first(Action::CloseGate, finish(policy, Status::Exited(0), 0)),
            Saw(Seen::On | Seen::Paused(_) | Seen::PartnerGone) => stay(state),
            Signal(signal) if ends_by_default(signal) => first(Action::CloseGate, finish_unstarted(policy, signal)),
            Signal(signal) => keep(kept, signal, |kept| State::Gated { kept }),
            Begun | Named(_) | ReadyHeld | Cmd(_) | Elapsed(_) | Said(_) => stay(state),
        },
        State::Starting { kept, last } => match event {
            Cmd(Command::Started) => started(policy, kept),
            Cmd(Command::Failed(code)) => finish(policy, Status::Exited(code), code),
            Cmd(Command::Deferred) => match last {
                Some(last) => (State::BackingOff { last, kept }, [Action::Arm(Timer::BackOff)].into()),
                None => finish(policy, Status::Exited(OURS), OURS),
            },
            Cmd(Command::Ended(_) | Command::Unkillable) => stay(state),
            // The driver answers a start before it reports anything else; if it did not, the signal would be kept.
            Signal(signal) => keep(kept, signal, |kept| State::Starting { kept, last }),
            Begun | Named(_) | Saw(_) | Gated(_) | ReadyHeld | Elapsed(_) | Said(_) => stay(state),
        },
        State::Running { told } => match event {
            Cmd(Command::Ended(last)) if told == Told::Nothing && starts_again(policy, last) => back_off(last),
            Cmd(Command::Ended(status)) => finish(policy, status, status.code()),
            Cmd(Command::Started | Command::Failed(_) | Command::Deferred | Command::Unkillable) => stay(state),
            // What had only been asked before (SIGINT) does not make it a second one.
            Signal(SIGTERM) if policy.outlive_main && matches!(told, Told::Nothing | Told::Asked) => hold(),
            Signal(signal) => pass_on(policy, told, signal),
            Saw(Seen::Over(verdict)) if policy.lingers && matches!(told, Told::Nothing | Told::Asked) => {
                linger(verdict)
            }
            Saw(Seen::Over(verdict)) => stop(policy, told, Cause::JobOver(verdict)),
            Saw(Seen::Missing) => stop(policy, told, Cause::Missing),
            Saw(Seen::PartnerGone) => stop(policy, told, Cause::PartnerGone),
            Saw(Seen::On | Seen::Paused(_)) => stay(state),
            ReadyHeld => (state, [Action::PublishReady].into()),
            Begun | Named(_) | Gated(_) | Elapsed(_) | Said(_) => stay(state),
        },
        State::Holding => match event {
            Cmd(Command::Ended(status)) => finish(policy, status, status.code()),
            Cmd(Command::Started | Command::Failed(_) | Command::Deferred | Command::Unkillable) => stay(state),
            Saw(Seen::Over(verdict) | Seen::Paused(verdict)) => stop(policy, Told::Nothing, Cause::JobOver(verdict)),
            Saw(Seen::Missing) => stop(policy, Told::Nothing, Cause::Missing),
            Saw(Seen::On | Seen::PartnerGone) => stay(state),
            Elapsed(Timer::Outlive) => release(policy, SIGTERM),
            // The stop signal by another name: whoever sends it means it.
            Signal(signal) if signal == SIGTERM || signal == policy.stop_signal => release(policy, signal),
            Signal(signal) => (state, [Action::Forward(signal)].into()),
            ReadyHeld => (state, [Action::PublishReady].into()),
            Begun | Named(_) | Gated(_) | Elapsed(_) | Said(_) => stay(state),
        },
        State::Lingering { verdict } => match event {
            Cmd(Command::Ended(status)) => finish_stopped(policy, Cause::JobOver(verdict), status),
            Cmd(Command::Started | Command::Failed(_) | Command::Deferred | Command::Unkillable) => stay(state),
            Elapsed(Timer::Linger) => stop(policy, Told::Nothing, Cause::JobOver(verdict)),
            // Whoever asks for the end does not want to wait.
            Signal(signal) if signal == SIGTERM || signal == policy.stop_signal => {
                stop(policy, Told::Nothing, Cause::JobOver(verdict))
            }
            Signal(signal) => (state, [Action::Forward(signal)].into()),
            Begun | Named(_) | Saw(_) | Gated(_) | ReadyHeld | Elapsed(_) | Said(_) => stay(state),
        },
        State::Stopping { cause, told } => match event {
            Cmd(Command::Ended(status)) if told => finish(policy, status, status.code()),
            Cmd(Command::Ended(status)) => finish_stopped(policy, cause, status),
            Cmd(Command::Started | Command::Failed(_) | Command::Deferred | Command::Unkillable) => stay(state),
            // The deadline stays where it is: somebody who repeats himself does not get more time for it.
            Signal(signal) => (state, [Action::Forward(signal)].into()),
            // Whatever it had been told did not end it; the cause does.
            Elapsed(Timer::Grace) => (State::Killing { cause }, [Action::Kill, Action::Arm(Timer::Kill)].into()),
            Begun | Named(_) | Saw(_) | Gated(_) | ReadyHeld | Elapsed(_) | Said(_) => stay(state),
        },
        State::Killing { cause } => match event {
            Cmd(Command::Ended(status)) => finish_stopped(policy, cause, status),
            // Nothing is left that could end it but our own end: as PID 1 it takes everybody along. Whoever is still there
            // some time after SIGKILL waits in the kernel, and will not run again.
            Cmd(Command::Unkillable) | Elapsed(Timer::Kill) => finish_stopped(policy, cause, Status::Killed(SIGKILL)),
            Cmd(Command::Started | Command::Failed(_) | Command::Deferred) => stay(state),
            Signal(signal) => (state, [Action::Forward(signal)].into()),
            Begun | Named(_) | Saw(_) | Gated(_) | ReadyHeld | Elapsed(_) | Said(_) => stay(state),
        },
        State::BackingOff { last, kept } => match event {
            Elapsed(Timer::BackOff) => (State::Starting { kept, last: Some(last) }, [Action::Start].into()),
            Saw(Seen::Over(verdict)) => first(Action::Disarm, finish_stopped(policy, Cause::JobOver(verdict), last)),
            Saw(Seen::Missing) => first(Action::Disarm, finish_stopped(policy, Cause::Missing, last)),
            Saw(Seen::On | Seen::Paused(_) | Seen::PartnerGone) => stay(state),
            // There is nobody to forward it to, and nobody is started any more.
            Signal(signal) if Told::Nothing.after(policy, signal) != Told::Nothing => {
                first(Action::Disarm, finish_unstarted(policy, signal))
            }
            // Others (a reload, a rotation of logs) are for the next.
            Signal(signal) => keep(kept, signal, |kept| State::BackingOff { last, kept }),
            Begun | Named(_) | Gated(_) | ReadyHeld | Cmd(_) | Elapsed(_) | Said(_) => stay(state),
        },
        State::Publishing { code, goodbye } => match event {
            // A volume that does not answer must not hold the job's code for ever.
            Said(Word::End) | Elapsed(Timer::Publish) => leave(goodbye, code),
            Said(Word::Goodbye) => stay(state),
            Begun | Named(_) | Saw(_) | Gated(_) | ReadyHeld | Cmd(_) | Signal(_) | Elapsed(_) => stay(state),
        },
        State::Leaving { code } => match event {
            Said(Word::Goodbye) | Elapsed(Timer::Goodbye) => exit(code),
            Said(Word::End) => stay(state),
            // Whoever asks us to end now stops the others himself.
            Signal(signal) if ends_by_default(signal) => exit(code),
            Begun | Named(_) | Saw(_) | Gated(_) | ReadyHeld | Cmd(_) | Signal(_) | Elapsed(_) => stay(state),
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
    !policy.restart_on.contains(code)
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
        (State::Starting { kept, last: None }, [Action::Start].into())
    }
}

fn started(policy: &Policy, kept: u64) -> (State, Actions) {
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

/// The command gets a signal, and runs on.
fn pass_on(policy: &Policy, told: Told, signal: u8) -> (State, Actions) {
    (State::Running { told: told.after(policy, signal) }, [Action::Forward(signal)].into())
}

/// A SIGTERM is held back. The job is looked at once more: an attempt that failed a moment ago will not be repeated in a Pod
/// that is being deleted, and no event would come for it.
fn hold() -> (State, Actions) {
    (State::Holding, [Action::Arm(Timer::Outlive), Action::Look].into())
}

/// What was held back is passed on.
fn release(policy: &Policy, signal: u8) -> (State, Actions) {
    first(Action::Disarm, pass_on(policy, Told::Nothing, signal))
}

/// The job is over, and the command gets a while.
fn linger(verdict: Verdict) -> (State, Actions) {
    (State::Lingering { verdict }, [Action::Arm(Timer::Linger), Action::StopWatching].into())
}

/// The command has ended, and will be started again.
fn back_off(last: Status) -> (State, Actions) {
    (State::BackingOff { last, kept: 0 }, [Action::WithdrawReady, Action::Arm(Timer::BackOff)].into())
}

/// Asks the child to end, unless it has been asked in these words already.
fn stop(policy: &Policy, told: Told, cause: Cause) -> (State, Actions) {
    let signal = (told != Told::Ordered).then_some(Action::Forward(policy.stop_signal));
    let list = [signal, Some(Action::Arm(Timer::Grace)), Some(Action::StopWatching), None];
    (State::Stopping { cause, told: matches!(told, Told::Terminated | Told::Ordered) }, Actions { list })
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
        (Cause::PartnerGone, _) => status.code(),
        (Cause::Missing, _) => TIMED_OUT,
        (Cause::JobOver(_), ExitWith::Zero) => 0,
        (Cause::JobOver(_), ExitWith::Child) => status.code(),
        (Cause::JobOver(verdict), ExitWith::Main) => verdict.code(),
    }
}

fn finish_stopped(policy: &Policy, cause: Cause, status: Status) -> (State, Actions) {
    finish(policy, status, code_after_stop(policy, cause, status))
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
