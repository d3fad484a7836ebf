//! Every rule: one table, from which the findings, the formats and the pages come.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Good to know.
    Info,
    /// It goes wrong in some lives.
    Warning,
    /// It goes wrong.
    Error,
}

impl Severity {
    /// In all formats.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// A rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name.
    pub name: &'static str,
    /// How bad it is, as a rule.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub what: &'static str,
    /// Why that matters.
    pub why: &'static str,
}

const fn of(name: &'static str, severity: Severity, what: &'static str, why: &'static str) -> Rule {
    Rule { name, severity, what, why }
}

use Severity::{Error, Info, Warning};

/// All of them, in the order of the alphabet.
pub const RULES: &[Rule] = &[
    of(
        "api-removed",
        Warning,
        "This version of the API is gone.",
        "The API server refuses the object: `batch/v1beta1` was removed in Kubernetes 1.25.",
    ),
    of(
        "bad-option",
        Error,
        "exeunt would refuse this command line.",
        "The container would exit 125 without running its command. The words are read by exeunt's own parser, with the container's `env`.",
    ),
    of(
        "command-missing",
        Warning,
        "exeunt stands in args, and there is no command.",
        "`args` alone are words for the image's own ENTRYPOINT. Whether that runs them, nothing in the manifest tells: most do not.",
    ),
    of(
        "container-restart-always",
        Error,
        "A regular container is restarted whenever it ends.",
        "Since Kubernetes 1.35 `restartPolicy: Always` counts on regular containers, too: a Pod with such a container is never over. It makes a native sidecar only in `initContainers`.",
    ),
    of(
        "cronjob-piles-up",
        Warning,
        "A CronJob may start one Job after the other, and none ends.",
        "With `concurrencyPolicy: Allow` and no deadline, each run that hangs stays and takes its resources with it.",
    ),
    of(
        "end-call-folded",
        Error,
        "The call that should end the helper is no code that is run.",
        "`>` in YAML joins lines into one, and words behind a command are its arguments: the job gets `curl …` as parameters, and nobody makes the call. Nor is a call made that is only printed, that is commented out, or that stands in a trap of a shell which `exec` replaces.",
    ),
    of(
        "end-cannot-reach",
        Error,
        "The call that should end the helper does not reach it.",
        "A signal needs `shareProcessNamespace` and the same user, a request the right port and method and an endpoint that is on, a file a volume that both mount.",
    ),
    of(
        "end-lost-on-kill",
        Warning,
        "The helper is not ended when the job is killed.",
        "A shell that is killed (kill -9, out of memory) runs no trap and no next line. exeunt's sidecar sees the kernel drop a lock, which always happens.",
    ),
    of(
        "end-only-on-success",
        Error,
        "The helper is ended only when the job succeeds.",
        "After `&&`, or under `set -e`, nothing behind a failing command is run. The helper then runs on, the Pod never fails, and no retry is made.",
    ),
    of(
        "foreign-end",
        Info,
        "Another program ends this Pod.",
        "Wrappers such as kubexit or argoexec have rules of their own, which are not judged here.",
    ),
    of(
        "grace-does-not-fit",
        Warning,
        "The sidecar holds SIGTERM for longer than the Pod lives.",
        "`--outlive-main` must leave some of `terminationGracePeriodSeconds` for the sidecar's own end.",
    ),
    of(
        "hangs-now",
        Error,
        "This Pod hangs now.",
        "Its job has ended, and a helper runs on. Only `KIND/NAME`, `-n` and `-A` find that: it stands in the status of a Pod.",
    ),
    of(
        "ignore-without-effect",
        Info,
        "Something is ignored that is not found.",
        "What is left over hides the next finding of that name, which nobody has judged.",
    ),
    of(
        "mesh-quit-on-native-sidecar",
        Info,
        "A native sidecar need not be asked to end.",
        "The kubelet ends native sidecars after the last regular container.",
    ),
    of(
        "mesh-version-decides",
        Warning,
        "Whether the injected proxy ends depends on the version of the mesh.",
        "Newer versions of Istio and Linkerd inject native sidecars, which the kubelet ends; older ones a regular container, which runs on.",
    ),
    of(
        "name-not-matched",
        Error,
        "A sidecar waits for a name that nobody has.",
        "`--until` (by default `main-job`) must be the `--name` of another container of the Pod.",
    ),
    of(
        "nothing-bounds-the-start",
        Warning,
        "The job may never start, and nothing bounds that.",
        "Where the script in front of exeunt fails, exeunt never runs, and the sidecars wait for a job that nobody announces. A loop that waits without a bound waits for ever where what it waits for never comes (information).",
    ),
    of(
        "persistent-dir-without-run-id",
        Error,
        "The shared directory outlives the Pod.",
        "The end of an earlier run still stands there, so sidecars leave at once. `--run-id` ties records to a run; an `emptyDir` begins empty.",
    ),
    of("pod-dir-differs", Error, "Job and sidecar use different directories.", "What one writes the other never sees."),
    of(
        "pod-dir-noexec",
        Error,
        "exeunt lies in a volume from which nothing can be run.",
        "A mount with `noexec` (`bindMountOptions`) refuses to run what is in it: the container fails at its start, and the others wait for it.",
    ),
    of(
        "pod-dir-not-shared",
        Error,
        "A container does not mount the shared directory.",
        "Without the volume its directory is its own, and the other side never sees the end.",
    ),
    of(
        "pod-dir-read-only",
        Error,
        "A container that publishes its life cannot write the shared directory.",
        "Main, and every sidecar with a `--name`, must write there: it would exit 125.",
    ),
    of(
        "prestop-not-run",
        Info,
        "A preStop hook does not run when its container ends by itself.",
        "The kubelet runs it only when it stops the container.",
    ),
    of(
        "probe-on-wrapped-command",
        Warning,
        "A probe asks a command that exeunt has not started yet.",
        "While exeunt waits (`--wait-for`, `--mesh`), nobody answers the probe, and the kubelet kills the container.",
    ),
    of(
        "quit-endpoint-without-caller",
        Warning,
        "The helper has an endpoint that ends it, and nobody is seen to call it.",
        "Whether the job calls it inside its image the manifest does not tell.",
    ),
    of(
        "restart-all-containers-stale-end",
        Error,
        "All containers start anew beside the end of the round before.",
        "`RestartAllContainers` keeps the volumes. `exeunt reset` in the first init container begins anew.",
    ),
    of(
        "restart-policy-not-mirrored",
        Error,
        "exeunt is told another restart policy than the kubelet.",
        "Whether a failure is final decides whether sidecars stay or leave.",
    ),
    of(
        "restart-rules-not-mirrored",
        Error,
        "exeunt is not told the container's restart rules.",
        "`restartPolicyRules` repeat some exit codes and not others; `--restart-on` tells exeunt which.",
    ),
    of(
        "sidecar-exit-code-counts",
        Warning,
        "The helper's exit code makes a Pod fail whose job has succeeded.",
        "All containers must exit 0. What is stopped by a signal from outside often does not.",
    ),
    of(
        "sidecar-gone-on-retry",
        Warning,
        "The next attempt of the job runs without its helper.",
        "With `restartPolicy: OnFailure` only what failed is started again.",
    ),
    of(
        "sidecar-never-ends",
        Error,
        "Nothing ends this helper, so the Job never completes.",
        "A Job is complete when every container has exited.",
    ),
    of(
        "wrapped-twice",
        Error,
        "exeunt stands twice in front of a command.",
        "Both claim the same name, and one waits in vain.",
    ),
];

/// The rule of this name.
pub fn rule(name: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.name == name)
}
