//! What a rehearsal needs to know of a Pod, and of the Job it belongs to. Plain data, without a place in a manifest.

use super::actor::Wrapped;
use exeunt::machine::Status;

/// When an ended container is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Never.
    #[default]
    Never,
    /// After every code but 0.
    OnFailure,
    /// After every end.
    Always,
}

impl Restart {
    /// Whether it is started again after this code.
    pub fn after(self, code: u8) -> bool {
        match self {
            Restart::Never => false,
            Restart::OnFailure => code != 0,
            Restart::Always => true,
        }
    }
}

/// What a restart rule of a container starts again (KEP-5307, KEP-5532).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Again {
    /// This container.
    Container,
    /// Every container of the Pod, the init containers first; volumes keep their content.
    Pod,
}

/// One entry of `restartPolicyRules`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is started again.
    pub again: Again,
    /// The exit codes.
    pub codes: Vec<u8>,
    /// The rule is for all codes but these.
    pub not_in: bool,
}

impl Rule {
    /// Whether it is for this code.
    pub fn matches(&self, code: u8) -> bool {
        self.codes.contains(&code) != self.not_in
    }
}

/// Where a container stands in the Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// An init container: the next one waits for its end.
    Init,
    /// An init container with `restartPolicy: Always`: a sidecar as Kubernetes has it (KEP-753).
    Native,
    /// One of `containers`.
    Regular,
}

/// What a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It ends by itself: this is what the Pod is for.
    Job,
    /// It serves until somebody ends it.
    Helper,
}

/// On how many ways through a script something is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Often {
    /// On none.
    Never,
    /// On some.
    Sometimes,
    /// On every way.
    Always,
}

/// On which exits of a script something is done. A shell that is killed does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// After code 0.
    pub passed: Often,
    /// After every other code: not behind `&&`, not below `set -e`.
    pub failed: Often,
}

impl When {
    /// How often it is done before an exit with this code.
    pub fn at(self, code: u8) -> Often {
        if code == 0 { self.passed } else { self.failed }
    }
}

/// How a call ends a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A request, or a signal: the helper then exits with this code. One that does not run yet hears nothing.
    Now(u8),
    /// A file that the helper looks for, and exits 0. The file stays, so the helper finds it whenever it starts.
    File,
}

/// A call by which a job ends a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The helper, by its number in [`Scenario::containers`].
    pub helper: usize,
    /// When it is made.
    pub when: When,
    /// What it does to the helper.
    pub way: Way,
}

/// A file that a script makes where an exeunt looks for the end of a life: the same name, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which shared directory, as in [`Wrapped::stage`].
    pub stage: String,
    /// The name whose life it says is over.
    pub name: String,
    /// When it is made.
    pub when: When,
}

/// One container.
#[derive(Clone, Debug)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub seat: Seat,
    /// What its command is for.
    pub part: Part,
    /// The `restartPolicy` of its own.
    pub restart: Option<Restart>,
    /// Its restart rules; the first that is for a code decides.
    pub rules: Vec<Rule>,
    /// The exeunt in front of its command.
    pub wrapped: Option<Wrapped>,
    /// How its command ends when it is asked to by SIGTERM; nothing if it is deaf.
    pub answer: Option<Status>,
    /// It may as well be a helper: the manifest does not say.
    pub unsure: Option<&'static str>,
    /// The helpers that its script ends.
    pub calls: Vec<Call>,
    /// The ends that its script tells by a file.
    pub marks: Vec<Mark>,
    /// The helpers that the exeunt in front of it asks to end, when all is said.
    pub goodbyes: Vec<usize>,
    /// It begins the shared volume anew (`exeunt reset`).
    pub resets: bool,
}

impl Container {
    /// A container of which no more is known.
    pub fn new(name: &str, seat: Seat, part: Part) -> Container {
        Container {
            name: name.to_owned(),
            seat,
            part,
            restart: None,
            rules: Vec::new(),
            wrapped: None,
            answer: Some(Status::Killed(15)),
            unsure: None,
            calls: Vec::new(),
            marks: Vec::new(),
            goodbyes: Vec::new(),
            resets: false,
        }
    }
}

/// What of a Job touches its Pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// `backoffLimit`.
    pub retries: u32,
    /// `activeDeadlineSeconds`.
    pub deadline: Option<u64>,
    /// `suspend`: there is no Pod.
    pub suspended: bool,
    /// `podFailurePolicy`: the first entry that is for a code decides.
    pub on_failure: Vec<FailureRule>,
}

/// One entry of a `podFailurePolicy` that goes by exit codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRule {
    /// The container that it is for; nothing: any.
    pub container: Option<String>,
    /// The codes.
    pub codes: Vec<u8>,
    /// All codes but these (and 0, which is no failure).
    pub not_in: bool,
    /// What becomes of the Job.
    pub then: Then,
}

/// What a `podFailurePolicy` makes of a failed Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The Job is Failed.
    FailJob,
    /// A new Pod, not counted.
    Ignore,
    /// A new Pod, counted.
    Count,
    /// This index is Failed.
    FailIndex,
}

/// A Pod as it is played.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// `Job/name`.
    pub title: String,
    /// The Pod's `restartPolicy`.
    pub restart: Restart,
    /// The Pod's `activeDeadlineSeconds`.
    pub deadline: Option<u64>,
    /// The Job, if it is one's Pod.
    pub job: Option<Job>,
    /// Init containers in their order, then the others.
    pub containers: Vec<Container>,
    /// Something about it cannot be seen, so there may be lives that are not played.
    pub doubtful: bool,
}
