//! The Jobs of the rows: two containers with exeunt in front of a shell line, and a volume that they share.

use crate::row::Row;
use serde_json::{Value, json};

/// All say what they say on standard error, as exeunt does: two streams have no order in the log.
///
/// A sidecar that says when it is asked to go, and shows the job that it could be.
pub const SERVER: &str =
    "trap 'echo told to stop >&2; exit 0' TERM; touch /tmp/pod/serving; while :; do sleep 60 & wait; done";
/// What the sidecar of most rows comes to.
pub const TOLD: &str = "sidecar: 0 Completed: told to stop";
/// Until the sidecar serves, so that what is told to stop is its own program.
pub const BOTH: &str = "until [ -e /tmp/pod/serving ]; do sleep 0.1; done;";
/// A job that goes on until it is told to stop, and then takes a moment.
pub const WORKER: &str =
    "trap 'sleep 2; echo put away >&2; exit 0' TERM; echo at work >&2; while :; do sleep 60 & wait; done";
pub const FAILED: &str = "Failed: BackoffLimitExceeded";
/// What the Job says beside that.
pub const LIMIT: &str = "event: BackoffLimitExceeded";

/// A container with exeunt in front of a shell line.
pub fn container(name: &str, options: &[&str], line: &str) -> Value {
    with_command(name, &[&["/bin/exeunt"], options, &["--", "/bin/sh", "-c", line]].concat())
}

pub fn with_command(name: &str, command: &[&str]) -> Value {
    json!({
        "name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": command,
        "volumeMounts": [{"name": "exeunt", "mountPath": "/tmp/pod"}],
    })
}

pub fn main_job(line: &str) -> Value {
    container("job", &["--mode", "main"], line)
}

pub fn main_with(options: &[&str], line: &str) -> Value {
    container("job", &[&["--mode", "main"], options].concat(), line)
}

pub fn sidecar() -> Value {
    sidecar_with(&[])
}

pub fn sidecar_with(options: &[&str]) -> Value {
    container("sidecar", &[&["--mode", "sidecar"], options].concat(), SERVER)
}

/// A Job that is not tried again. Its Pod has the containers and the shared volume.
pub fn spec(containers: &[Value]) -> Value {
    json!({
        "backoffLimit": 0,
        "template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 30, "automountServiceAccountToken": false,
            "dnsPolicy": "Default", "containers": containers, "volumes": [{"name": "exeunt", "emptyDir": {}}],
        }},
    })
}

/// Main and a sidecar.
pub fn pair(line: &str) -> Value {
    spec(&[main_job(line), sidecar()])
}

pub fn pod(spec: &mut Value) -> &mut Value {
    &mut spec["template"]["spec"]
}

/// The same pair, changed by whoever calls.
pub fn pair_with(line: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut spec = pair(line);
    change(pod(&mut spec));
    spec
}

/// A container that runs exeunt once, before the others.
pub fn first(command: &[&str]) -> Value {
    with_command("first", command)
}

/// Plays a Job in a row of its own, where there is a cluster, and compares what is seen.
#[track_caller]
pub fn plays(spec: &Value, expected: &[&str]) {
    if let Some(row) = Row::new() {
        row.play(spec).says(expected);
    }
}
