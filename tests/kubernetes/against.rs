//! The node against us: its servers are killed and come back around the end of a Job. Each row has the cluster to itself.

use crate::node::{self, Away};
use crate::pod::{BOTH, FAILED, LIMIT, TOLD, main_job, pair, pod, sidecar_with, spec};
use crate::row::Row;
use serde_json::{Value, json};

/// A job that ends when the node says so, by a file in the shared volume, and with 9 when it is told to stop.
fn work() -> Value {
    let line = "trap 'sleep 2; echo put away >&2; exit 9' TERM; echo at work >&2;
        until [ -e /tmp/pod/go ]; do sleep 0.1; done; exit 7";
    spec(&[main_job(&format!("{BOTH} {line}")), sidecar_with(&["--outlive-main"])])
}

/// Such a job at its work, which has the cluster to itself.
#[track_caller]
fn at_work() -> Option<(Row, node::Pod)> {
    let row = Row::alone()?;
    row.begins(&work());
    let pod = row.hears("job", "at work");
    let inside = node::Pod::of(&row, &pod);
    Some((row, inside))
}

/// In the end it is all as if they had never been away. The event of the Job may be lost with who had it.
#[track_caller]
fn ends_as_ever(row: Row) {
    row.ends().says(&[
        FAILED,
        "job: 7 Error: at work",
        TOLD,
        "perhaps event: NodeNotReady",
        "perhaps event: BackoffLimitExceeded",
    ]);
}

/// Main ends while these servers are away: the sidecar leaves before they are back.
#[track_caller]
fn ends_without(servers: &[&'static str]) {
    let Some((row, inside)) = at_work() else { return };
    let away = Away::kill(servers);
    inside.write("go");
    inside.has_ended("job");
    inside.has_ended("sidecar");
    drop(away);
    ends_as_ever(row);
}

#[test]
fn the_kubelet_is_killed_around_the_end() {
    ends_without(&["kubelet"]);
}

#[test]
fn the_api_server_and_etcd_are_away_for_the_whole_end() {
    ends_without(&["kube-apiserver", "etcd"]);
}

#[test]
fn containerd_is_away_for_the_whole_end() {
    let Some((row, inside)) = at_work() else { return };
    let away = Away::kill(&["containerd"]);
    inside.write("go");
    // Nobody writes records now; the processes themselves say it: the sidecar has left with its job.
    inside.process_is_gone("job");
    inside.process_is_gone("sidecar");
    drop(away);
    // containerd has not seen the ends and does not ask their shims, so Kubernetes cannot know the codes: nobody's sidecar can.
    row.ends().says(&[
        FAILED,
        "job: 255 Unknown: at work",
        "sidecar: 255 Unknown*",
        LIMIT,
        "perhaps event: NodeNotReady",
    ]);
}

#[test]
fn containerd_is_restarted_in_mid_run() {
    let Some((row, inside)) = at_work() else { return };
    drop(Away::kill(&["containerd"]));
    inside.write("go");
    ends_as_ever(row);
}

/// All of them at once, in mid-run; the containers do not notice.
#[test]
fn all_servers_are_restarted_in_mid_run() {
    let Some((row, inside)) = at_work() else { return };
    drop(Away::kill(&["kubelet", "containerd", "kube-controller-manager", "kube-scheduler", "kube-apiserver", "etcd"]));
    inside.write("go");
    ends_as_ever(row);
}

/// The job puts its work away, its sidecar is there until it has; the second Pod comes when the node takes Pods again.
#[test]
fn the_node_is_drained() {
    let Some(row) = Row::alone() else { return };
    let mut spec = work();
    spec["podFailurePolicy"] =
        json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]});
    row.begins_and_keeps(&spec);
    let first = row.hears("job", "at work");
    let node = node::name();
    let drain = node::Drain::of(&node, row.namespace());
    row.pod_until("the end of the first Pod", |pod| pod["status"]["phase"] == "Failed");
    drop(drain);
    let second = row.hears_where("job", "at work", |pod| pod["metadata"]["name"] != first.as_str());
    node::Pod::of(&row, &second).write("go");
    row.ends().says(&[
        FAILED,
        "Pod: Failed",
        "job: 9 Error: put away",
        TOLD,
        "Pod: Failed",
        "job: 7 Error: at work",
        TOLD,
        LIMIT,
        "perhaps event: FailedScheduling",
    ]);
}

/// The node's disk is nearly full: the kubelet asks a Pod to go, with the grace that the node gives it. Job and sidecar do as at
/// any deletion, and the sidecar is there until the work is put away.
#[test]
fn disk_pressure() {
    let Some(row) = Row::alone() else { return };
    row.begins_and_keeps(&work());
    row.hears("job", "at work");
    let pressure = node::Pressure::builds_up();
    let over = row.ends();
    drop(pressure);
    over.was_evicted("The node was low on resource: ephemeral-storage", 9);
}

/// A kubelet that begins under disk pressure rejects the Pod that runs already: it gives it two seconds, and may take its volume
/// before they are over, and the logs with it. A job that needs less is asked, and its code kept; where no sentinel can be written
/// any more, the lock tells the sidecar.
#[test]
fn disk_pressure_when_the_kubelet_begins() {
    let Some(row) = Row::alone() else { return };
    let line = "trap 'echo put away >&2; exit 9' TERM; echo at work >&2; while :; do sleep 60 & wait; done";
    row.begins_and_keeps(&spec(&[main_job(&format!("{BOTH} {line}")), sidecar_with(&["--outlive-main"])]));
    row.hears("job", "at work");
    let pressure = node::Pressure::is_there_before_the_kubelet();
    let over = row.ends();
    drop(pressure);
    over.says(&[FAILED, "Pod: Failed Evicted", "job: 9 Error*", "sidecar: 0 Completed*", "event: Evicted", LIMIT]);
}

/// More work than the node has time for, and eight Pods at once.
#[test]
fn a_busy_node() {
    let Some(row) = Row::alone() else { return };
    let busy = node::Busy::begins();
    let mut spec = pair(&format!("{BOTH} exit 0"));
    spec["completionMode"] = json!("Indexed");
    spec["completions"] = json!(8);
    spec["parallelism"] = json!(8);
    pod(&mut spec)["terminationGracePeriodSeconds"] = json!(30);
    let over = row.play(&spec);
    drop(busy);
    let one = ["Pod: Succeeded", "job: 0 Completed", TOLD];
    over.says(&[&["Complete"], &one.repeat(8)[..]].concat());
}
