//! Who begins again, and with whom.

use crate::pod::{BOTH, FAILED, LIMIT, SERVER, TOLD, container, first, main_with, pair, plays, pod, sidecar, spec};
use crate::row::{RESTART_ALL, RESTART_RULES, Row};
use serde_json::{Value, json};

/// Exits with the first of these codes that no attempt has had yet. The shell counts in the shared volume.
fn one_after_the_other(codes: &str) -> String {
    format!("{BOTH} echo x >>/tmp/pod/attempts; set -- {codes}; shift $(($(wc -l </tmp/pod/attempts) - 1)); exit $1")
}

fn on_failure(main: Value, limit: u64) -> Value {
    let mut spec = spec(&[main, sidecar()]);
    spec["backoffLimit"] = json!(limit);
    pod(&mut spec)["restartPolicy"] = json!("OnFailure");
    spec
}

const ON_FAILURE: [&str; 2] = ["--restart-policy", "on-failure"];

#[test]
fn never_and_each_pod_has_its_sidecar() {
    let mut spec = pair(&format!("{BOTH} exit 7"));
    spec["backoffLimit"] = json!(1);
    plays(&spec, &[FAILED, "Pod: Failed", "job: 7 Error", TOLD, "Pod: Failed", "job: 7 Error", TOLD, LIMIT]);
}

#[test]
fn on_failure_a_second_attempt_finds_the_sidecar_of_the_first() {
    let main = main_with(&ON_FAILURE, &one_after_the_other("9 0"));
    plays(&on_failure(main, 3), &["Complete", "job: 0 Completed, 1 restart after 9 Error", TOLD]);
}

#[test]
fn on_failure_after_a_kill() {
    let line = one_after_the_other("1 0").replace("exit", "[ $1 = 0 ] || sh -c 'kill -KILL $PPID'; exit");
    let main = main_with(&ON_FAILURE, &line);
    plays(&on_failure(main, 3), &["Complete", "job: 0 Completed, 1 restart after 137 Error", TOLD]);
}

/// Nothing is written at this end: a free lock alone says that there will be another attempt.
#[test]
fn on_failure_after_exeunt_was_killed() {
    let Some(row) = Row::on_our_node() else { return };
    let line = format!("{BOTH} [ -e /tmp/pod/tried ] && exit 0; touch /tmp/pod/tried; echo at work >&2; sleep 1000");
    row.begins(&on_failure(main_with(&ON_FAILURE, &line), 3));
    let pod = row.hears("job", "at work");
    row.kill(&pod, "job");
    row.ends().says(&["Complete", "job: 0 Completed, 1 restart after 137 Error*", TOLD]);
}

/// The kubelet waits ten seconds before the third.
#[test]
fn on_failure_through_the_back_off() {
    let main = main_with(&ON_FAILURE, &one_after_the_other("9 8 0"));
    plays(&on_failure(main, 3), &["Complete", "job: 0 Completed, 2 restarts after 8 Error", TOLD, "event: BackOff"]);
}

/// The Job gives the Pod up between two attempts, and deletes it: the sidecar is told by the kubelet.
#[test]
fn on_failure_until_the_limit() {
    let Some(row) = Row::new() else { return };
    row.begins_and_keeps(&on_failure(main_with(&ON_FAILURE, &one_after_the_other("9 8 7 6")), 1));
    row.ends().says(&[
        FAILED,
        "job: 8 Error, 1 restart after *",
        "sidecar: 0 Completed*",
        LIMIT,
        "perhaps event: BackOff",
    ]);
}

/// Rule: 42 is tried again in the same Pod, all else is the end.
fn by_rule(mut main: Value, action: &str) -> Value {
    main["restartPolicy"] = json!("Never");
    main["restartPolicyRules"] = json!([{"action": action, "exitCodes": {"operator": "In", "values": [42]}}]);
    main
}

#[track_caller]
fn plays_by_rule(codes: &str, expected: &[&str]) {
    let Some(row) = Row::needing(&[RESTART_RULES]) else { return };
    // Each attempt takes longer than two ends of the same moment are apart: a sidecar that has left with the first is seen.
    let line = one_after_the_other(codes).replace("exit $1", "sleep 3; exit $1");
    let main = main_with(&["--restart-on", "42"], &line);
    row.play(&spec(&[by_rule(main, "Restart"), sidecar()])).says(expected);
}

#[test]
fn by_rule_then_success() {
    plays_by_rule("42 0", &["Complete", "job: 0 Completed, 1 restart after 42 Error", TOLD]);
}

#[test]
fn by_rule_then_a_code_that_is_the_end() {
    plays_by_rule("42 7", &[FAILED, "job: 7 Error, 1 restart after 42 Error", TOLD, LIMIT]);
}

#[test]
fn by_rule_a_code_that_is_the_end_at_once() {
    plays_by_rule("7", &[FAILED, "job: 7 Error", TOLD, LIMIT]);
}

#[test]
fn by_rule_killed_is_the_end() {
    let Some(row) = Row::needing(&[RESTART_RULES]) else { return };
    let main = main_with(&["--restart-on", "42"], &format!("{BOTH} sh -c 'kill -KILL $PPID'; exit 1"));
    row.play(&spec(&[by_rule(main, "Restart"), sidecar()])).says(&[FAILED, "job: 137 Error*", TOLD, LIMIT]);
}

/// exeunt was told that 42 is tried again, and nobody told Kubernetes: the sidecar waits for an attempt that does not
/// come, until its own limit.
#[test]
fn a_rule_that_the_pod_does_not_have() {
    let main = main_with(&["--restart-on", "42"], &one_after_the_other("42"));
    let sidecar = container("sidecar", &["--mode", "sidecar", "--absence-timeout", "3s"], SERVER);
    plays(&spec(&[main, sidecar]), &[FAILED, "job: 42 Error*", "sidecar: 124 Error: told to stop", LIMIT]);
}

/// The whole Pod begins again, init containers first, with the same volume.
#[track_caller]
fn all_begin_again(order: [&str; 3]) {
    let Some(row) = Row::needing(&[RESTART_RULES, RESTART_ALL]) else { return };
    // The volume keeps what says how far the job has come; what says that a sidecar serves is of one life.
    let serve = SERVER.replace("serving", "serving-$NAME");
    let containers = order.map(|name| {
        if name == "job" {
            let line = "until [ -e /tmp/pod/serving-sidecar -a -e /tmp/pod/serving-second ]; do sleep 0.1; done;
                rm /tmp/pod/serving-*; [ -e /tmp/pod/tried ] && exit 0; touch /tmp/pod/tried; exit 42";
            by_rule(main_with(&["--restart-on", "42"], line), "RestartAllContainers")
        } else {
            let mut sidecar = container(name, &["--mode", "sidecar", "--name", name], &serve);
            sidecar["env"] = json!([{"name": "NAME", "value": name}]);
            sidecar
        }
    });
    let mut spec = spec(&containers);
    pod(&mut spec)["initContainers"] = json!([first(&["/bin/exeunt", "reset"])]);
    let over = row.play(&spec);
    let names = ["job", "sidecar", "second"];
    assert_eq!(over.ending(), "Complete");
    assert_eq!(names.map(|name| over.code(name)), ["0 Completed"; 3], "{}", over.log("sidecar"));
    assert_eq!(names.map(|name| over.restarts(name)), [1; 3]);
    for name in ["sidecar", "second"] {
        assert!(over.log(name).contains("told to stop"), "{}", over.log(name));
        assert!(over.outlived(name, "job"), "{name} has left before the job of the second life");
    }
}

#[test]
fn all_begin_again_with_the_job_first() {
    all_begin_again(["job", "sidecar", "second"]);
}

#[test]
fn all_begin_again_with_the_job_between() {
    all_begin_again(["sidecar", "job", "second"]);
}

#[test]
fn all_begin_again_with_the_job_last() {
    all_begin_again(["sidecar", "second", "job"]);
}

/// A native sidecar is alive when the init container after it begins anew.
#[test]
fn reset_leaves_a_live_run_alone() {
    let mut spec = spec(&[main_with(&["--wait-for", "proxy", "--wait-timeout", "10s"], "exit 0")]);
    let mut proxy = container("proxy", &["--mode", "sidecar", "--name", "proxy"], SERVER);
    proxy["restartPolicy"] = json!("Always");
    // On a busy node to start exeunt may take longer than a second, which is all that the kubelet waits by itself, three times.
    proxy["startupProbe"] = json!({
        "exec": {"command": ["/bin/exeunt", "probe", "proxy"]}, "periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": 60,
    });
    pod(&mut spec)["initContainers"] = json!([proxy, first(&["/bin/exeunt", "reset"])]);
    plays(
        &spec,
        &["Complete", "first: 0 Completed*", "job: 0 Completed", "proxy: 0 Completed*", "perhaps event: Unhealthy"],
    );
}

/// What a killed Pod would leave in a volume that outlives it: the second run is told apart by its id.
#[test]
fn a_volume_with_an_earlier_run() {
    let mut spec = pair(&format!("{BOTH} exit 0"));
    let id = json!([{"name": "EXEUNT_RUN_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}]);
    pod(&mut spec)["containers"][0]["env"] = id.clone();
    pod(&mut spec)["containers"][1]["env"] = id;
    pod(&mut spec)["initContainers"] =
        json!([first(&["/bin/exeunt", "--mode", "main", "--run-id", "yesterday", "--", "true"])]);
    plays(&spec, &["Complete", "first: 0 Completed", "job: 0 Completed", TOLD]);
}
