//! Orders from outside: deletion, eviction, deadlines, suspension, and the policies of a Job.

use crate::pod::{
    BOTH, FAILED, LIMIT, SERVER, TOLD, WORKER, container, main_job, main_with, pair, plays, pod, sidecar_with, spec,
};
use crate::row::Row;
use serde_json::{Value, json};

/// A pair whose job goes on until it is told to stop, and says `at work` as soon as both are there.
fn working() -> Value {
    spec(&[main_job(&format!("{BOTH} {WORKER}")), sidecar_with(&["--outlive-main"])])
}

#[track_caller]
fn deleted(spec: &Value, expected: &[&str]) {
    let Some(row) = Row::new() else { return };
    row.begins_and_keeps(spec);
    row.hears("job", "at work");
    row.kubectl(&["delete", "job", "row", "--wait=false"]);
    row.ends_with_its_pod().says(expected);
}

#[test]
fn deletion_and_the_sidecar_is_there_until_the_job_is_over() {
    deleted(&working(), &["job: 0 Completed: put away", TOLD]);
}

/// Without a word to the contrary all are told at once.
#[test]
fn deletion_tells_all_at_once() {
    deleted(&pair(&format!("{BOTH} {WORKER}")), &[TOLD, "job: 0 Completed: put away"]);
}

/// A PID 1 without a handler would be killed after the whole grace, with 137: exeunt passes SIGTERM on.
#[test]
fn deletion_of_a_job_that_is_no_init() {
    let main = main_job(&format!("{BOTH} echo at work >&2; exec sleep 1000"));
    deleted(
        &spec(&[main, sidecar_with(&["--outlive-main"])]),
        &["job: 143 Error: exeunt main: /bin/sh was killed by SIGTERM (143)", TOLD],
    );
}

/// A job that does not stop is killed with the grace of the Pod; the sidecar has left before, with its own limit. Between the two
/// there is more than a machine stalls.
#[test]
fn deletion_of_a_job_that_does_not_stop() {
    let main = main_job(&format!("{BOTH} trap '' TERM; echo at work >&2; while :; do sleep 60 & wait; done"));
    let mut spec = spec(&[main, sidecar_with(&["--outlive-main=2s"])]);
    pod(&mut spec)["terminationGracePeriodSeconds"] = json!(20);
    deleted(&spec, &[TOLD, "job: 137 Error: at work"]);
}

/// As a drain asks for it; the Job's own policy does not count it.
#[test]
fn eviction_and_a_second_pod() {
    let Some(row) = Row::new() else { return };
    let line = "trap 'echo put away >&2; exit 9' TERM; echo at work >&2; while :; do sleep 60 & wait; done";
    let mut spec = spec(&[main_job(&format!("{BOTH} {line}")), sidecar_with(&["--outlive-main"])]);
    spec["podFailurePolicy"] =
        json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
    spec["podReplacementPolicy"] = json!("Failed");
    row.begins_and_keeps(&spec);
    let evicted = row.hears("job", "at work");
    row.evict(&evicted);
    // The second one comes when the first has ended, and not before.
    let second = row.pod_until("the second Pod", |pod| {
        pod["metadata"]["name"] != evicted.as_str() && pod["metadata"].get("deletionTimestamp").is_none()
    });
    let first = row.pod_until("the first Pod", |pod| pod["metadata"]["name"] == evicted.as_str());
    assert_eq!(first["status"]["phase"], "Failed", "{second}");
    row.hears("job", "at work");
    row.kubectl(&["delete", "job", "row", "--wait=false"]);
    row.pod_until("the end of the second Pod", |pod| {
        pod["metadata"]["name"] != evicted.as_str() && pod["status"]["phase"] == "Failed"
    });
    let end = ["job: 9 Error: put away", TOLD];
    row.ends_with_its_pod().says(&[&["Pod: Failed"], &end[..], &["Pod: Failed"], &end[..]].concat());
}

/// What uses more room than it may is evicted by the kubelet, which gives it two seconds.
#[track_caller]
fn uses_too_much(write_to: &str, change: impl FnOnce(&mut Value), message: &str) {
    let Some(row) = Row::new() else { return };
    let line = format!(
        "trap 'echo put away >&2; exit 9' TERM; echo at work >&2; until [ -e /tmp/pod/go ]; do sleep 0.1; done;
        dd if=/dev/zero of={write_to} bs=1M count=8 2>/dev/null; while :; do sleep 60 & wait; done"
    );
    let mut spec = spec(&[main_job(&format!("{BOTH} {line}")), sidecar_with(&["--outlive-main"])]);
    change(pod(&mut spec));
    row.begins_and_keeps(&spec);
    let pod = row.hears("job", "at work");
    row.lets_go(&pod);
    row.ends().was_evicted(message, 9);
}

/// The shared volume is what has grown: there is still room in it for the end.
#[test]
fn eviction_for_a_volume_over_its_limit() {
    let limit = |pod: &mut Value| pod["volumes"][0]["emptyDir"] = json!({"sizeLimit": "4Mi"});
    uses_too_much("/tmp/pod/all", limit, "Usage of EmptyDir volume \"exeunt\" exceeds the limit \"4Mi\"");
}

#[test]
fn eviction_for_a_container_over_its_limit() {
    let limit = |pod: &mut Value| pod["containers"][0]["resources"] = json!({"limits": {"ephemeral-storage": "4Mi"}});
    uses_too_much("/tmp/all", limit, "ephemeral local storage usage exceeds the total limit of containers 4Mi");
}

/// It counts from the beginning. Where it is given when the job is at work, it is over at once, however long a node has taken to
/// begin.
#[track_caller]
fn is_over_its_deadline(row: &Row, kind: &str) {
    let begun = row.until("its time to count", &[kind], |object| object["status"]["startTime"].is_string());
    let name = begun["metadata"]["name"].as_str().expect("a name");
    row.kubectl(&["patch", kind, name, "--type=merge", "--patch", r#"{"spec":{"activeDeadlineSeconds":1}}"#]);
}

#[test]
fn the_deadline_of_the_job() {
    let Some(row) = Row::new() else { return };
    row.begins_and_keeps(&working());
    row.hears("job", "at work");
    is_over_its_deadline(&row, "job");
    row.ends().says(&["Failed: DeadlineExceeded", "job: 0 Completed: put away", TOLD, "event: DeadlineExceeded"]);
}

#[test]
fn the_deadline_of_the_pod() {
    let Some(row) = Row::new() else { return };
    row.begins(&working());
    row.hears("job", "at work");
    is_over_its_deadline(&row, "pod");
    row.ends().says(&[FAILED, "Pod: Failed DeadlineExceeded", "job: 0 Completed: put away", TOLD, LIMIT]);
}

#[test]
fn suspended_and_resumed() {
    let Some(row) = Row::new() else { return };
    row.begins_and_keeps(&working());
    let first = row.hears("job", "at work");
    row.kubectl(&["patch", "job", "row", "--type=merge", "--patch", r#"{"spec":{"suspend":true}}"#]);
    row.pod_until("the end of the first Pod", |pod| pod["status"]["phase"] == "Succeeded");
    row.kubectl(&["patch", "job", "row", "--type=merge", "--patch", r#"{"spec":{"suspend":false}}"#]);
    row.pod_until("the second Pod", |pod| pod["metadata"]["name"] != first.as_str());
    row.hears("job", "at work");
    row.kubectl(&["delete", "job", "row", "--wait=false"]);
    row.pod_until("the end of the second Pod", |pod| {
        pod["metadata"]["name"] != first.as_str() && pod["status"]["phase"] == "Succeeded"
    });
    let end = ["Pod: Succeeded", "job: 0 Completed: put away", TOLD];
    row.ends_with_its_pod().says(&[end, end].concat());
}

fn indexed(line: &str, completions: u64) -> Value {
    let mut spec = pair(&format!("{BOTH} {line}"));
    spec["completionMode"] = json!("Indexed");
    spec["completions"] = json!(completions);
    spec["parallelism"] = json!(completions);
    spec
}

#[test]
fn each_index_has_a_pod_and_a_sidecar() {
    let one = ["Pod: Succeeded", "job: 0 Completed", TOLD];
    plays(&indexed("exit 0", 3), &[&["Complete"], &one[..], &one[..], &one[..]].concat());
}

/// The first index is enough; the Pod of the other is deleted, and its sidecar is there until its job is over.
#[test]
fn success_policy() {
    let Some(row) = Row::new() else { return };
    let go = "until [ -e /tmp/pod/go ]; do sleep 0.1; done; exit 0";
    let mut spec = indexed(&format!("[ $JOB_COMPLETION_INDEX = 0 ] && {{ echo ready >&2; {go}; }}; {WORKER}"), 2);
    pod(&mut spec)["containers"][1] = sidecar_with(&["--outlive-main"]);
    spec["successPolicy"] = json!({"rules": [{"succeededIndexes": "0"}]});
    row.begins_and_keeps(&spec);
    let is = |index: &'static str| {
        move |pod: &Value| pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"] == index
    };
    row.hears_where("job", "at work", is("1"));
    let first = row.hears_where("job", "ready", is("0"));
    row.lets_go(&first);
    let one = ["Pod: Succeeded", "job: 0 Completed: ready", TOLD];
    let other = ["Pod: Succeeded", "job: 0 Completed: put away", TOLD];
    row.ends().says(&[&["Complete"], &one[..], &other[..]].concat());
}

/// The code is the job's own, so a rule on it holds.
#[test]
fn failure_policy_on_the_code_of_the_job() {
    let mut spec = pair(&format!("{BOTH} exit 42"));
    spec["backoffLimit"] = json!(5);
    spec["podFailurePolicy"] = json!({"rules": [
        {"action": "FailJob", "onExitCodes": {"containerName": "job", "operator": "In", "values": [42]}},
    ]});
    plays(&spec, &["Failed: PodFailurePolicy", "job: 42 Error", TOLD, "event: PodFailurePolicy"]);
}

/// A code that is not counted: the second Pod succeeds, with a limit of no failure at all.
#[test]
fn failure_policy_that_does_not_count() {
    let Some(row) = Row::new() else { return };
    // The Pods share nothing but what the API says: the first is told by its index in the name of a file on no volume.
    let mut spec = pair(&format!("{BOTH} [ \"$SECOND\" = yes ] && exit 0; exit 43"));
    spec["podFailurePolicy"] = json!({"rules": [
        {"action": "Ignore", "onExitCodes": {"containerName": "job", "operator": "In", "values": [43]}},
    ]});
    pod(&mut spec)["containers"][0]["env"] = json!([{"name": "SECOND", "valueFrom": {
        "configMapKeyRef": {"name": "row", "key": "second", "optional": true},
    }}]);
    row.begins(&spec);
    row.pod_until("the failure of the first Pod", |pod| pod["status"]["phase"] == "Failed");
    row.create(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "row"}, "data": {"second": "yes"}}),
    );
    let over = row.ends();
    assert_eq!(over.ending(), "Complete");
    assert_eq!(over.job()["status"].get("failed").and_then(Value::as_u64).unwrap_or(0), 0);
    assert!(over.pods().len() > 1);
}

/// Each index has its own limit.
#[test]
fn back_off_per_index() {
    let Some(row) = Row::new() else { return };
    let mut spec = indexed("exit $JOB_COMPLETION_INDEX", 2);
    spec.as_object_mut().expect("an object").remove("backoffLimit");
    spec["backoffLimitPerIndex"] = json!(1);
    let one = ["Pod: Failed", "job: 1 Error", TOLD];
    let none = ["Pod: Succeeded", "job: 0 Completed", TOLD];
    row.play(&spec)
        .says(&[&["Failed: FailedIndexes"], &none[..], &one[..], &one[..], &["event: FailedIndexes"]].concat());
}

/// A proxy is asked to go when the job is over, though it was told to at the deletion; and its own work takes a moment.
#[test]
fn deletion_and_the_sidecar_drains() {
    let line = SERVER.replace("echo", "sleep 2; echo");
    let sidecar = container("sidecar", &["--mode", "sidecar", "--outlive-main"], &line);
    let main = main_with(&[], &format!("{BOTH} {WORKER}"));
    deleted(&spec(&[main, sidecar]), &["job: 0 Completed: put away", TOLD]);
}
