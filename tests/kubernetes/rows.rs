//! The rows: how main ends, who begins again, and where a Pod lives.

use crate::row::Row;
use serde_json::{Value, json};

/// A sidecar that says when it is asked to go, and shows the job that it could be.
const SERVER: &str = "trap 'echo told to stop; exit 0' TERM; touch /tmp/pod/serving; while :; do sleep 0.1; done";

/// A container with exeunt in front of a shell line.
fn container(name: &str, options: &[&str], line: &str) -> Value {
    let command = [&["/bin/exeunt"], options, &["--", "/bin/sh", "-c", line]].concat();
    json!({
        "name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": command,
        "volumeMounts": [{"name": "exeunt", "mountPath": "/tmp/pod"}],
    })
}

fn main_job(line: &str) -> Value {
    container("job", &["--mode", "main"], line)
}

fn sidecar() -> Value {
    container("sidecar", &["--mode", "sidecar"], SERVER)
}

/// A Job that is not tried again. Its Pod has the two containers and the shared volume.
fn spec(containers: &[Value]) -> Value {
    json!({
        "backoffLimit": 0,
        "template": {"spec": {
            "restartPolicy": "Never", "terminationGracePeriodSeconds": 10, "automountServiceAccountToken": false,
            "containers": containers, "volumes": [{"name": "exeunt", "emptyDir": {}}],
        }},
    })
}

fn pair(line: &str) -> Value {
    spec(&[main_job(line), sidecar()])
}

/// Plays main with a sidecar that must leave by itself with 0, told to by exeunt, having never been started again.
#[track_caller]
fn ends(spec: &Value, ending: &str, code: &str) {
    let Some(row) = Row::new() else { return };
    plays(row, spec, ending, code);
}

#[track_caller]
fn plays(row: Row, spec: &Value, ending: &str, code: &str) {
    let over = row.play(spec);
    let seen = [over.ending(), over.code("job"), over.code("sidecar"), over.restarts("sidecar").to_string()];
    assert_eq!(seen, [ending, code, "0 Completed", "0"], "{}\n{}", over.log("job"), over.log("sidecar"));
    assert!(over.log("sidecar").contains("told to stop"), "{}", over.log("sidecar"));
}

const FAILED: &str = "Failed: BackoffLimitExceeded";
/// Until the sidecar serves, so that what is told to stop is its own program.
const BOTH: &str = "until [ -e /tmp/pod/serving ]; do sleep 0.1; done;";

#[test]
fn success_completes_the_job() {
    ends(&pair(&format!("{BOTH} exit 0")), "Complete", "0 Completed");
}

#[test]
fn the_code_of_main_is_the_code_of_its_container() {
    ends(&pair(&format!("{BOTH} exit 7")), FAILED, "7 Error");
}

#[test]
fn main_killed_by_a_signal() {
    // The shell is told by its child: Kubernetes takes one of two dollars away.
    ends(&pair(&format!("{BOTH} sh -c 'kill -SEGV $PPID'; exit 1")), FAILED, "139 Error");
}

#[test]
fn the_sidecar_is_listed_first() {
    ends(&spec(&[sidecar(), main_job(&format!("{BOTH} exit 3"))]), FAILED, "3 Error");
}

#[test]
fn volume_in_memory() {
    let mut spec = pair(&format!("{BOTH} exit 0"));
    spec["template"]["spec"]["volumes"][0]["emptyDir"] = json!({"medium": "Memory"});
    ends(&spec, "Complete", "0 Completed");
}

#[test]
fn shared_process_namespace() {
    let mut spec = pair(&format!("{BOTH} exit 4"));
    spec["template"]["spec"]["shareProcessNamespace"] = json!(true);
    ends(&spec, FAILED, "4 Error");
}

#[test]
fn restricted_pods_of_two_users() {
    let Some(row) = Row::labelled(&["pod-security.kubernetes.io/enforce=restricted"]) else { return };
    let mut spec = pair(&format!("{BOTH} exit 0"));
    for (index, user) in [(0, 10001), (1, 10002)] {
        spec["template"]["spec"]["containers"][index]["securityContext"] = json!({
            "runAsUser": user, "runAsGroup": user, "runAsNonRoot": true, "readOnlyRootFilesystem": true,
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        });
    }
    plays(row, &spec, "Complete", "0 Completed");
}

#[test]
fn a_second_attempt_finds_the_sidecar_of_the_first() {
    let Some(row) = Row::new() else { return };
    let line = format!("{BOTH} [ -e /tmp/pod/tried ] && exit 0; touch /tmp/pod/tried; exit 9");
    let options = ["--restart-policy", "on-failure"];
    let main = container("job", &[&["--mode", "main"], &options[..]].concat(), &line);
    let mut spec = spec(&[main, container("sidecar", &["--mode", "sidecar"], SERVER)]);
    spec["backoffLimit"] = json!(3);
    spec["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    let over = row.play(&spec);
    let seen = [over.ending(), over.code("job"), over.code("sidecar")];
    assert_eq!(seen, ["Complete", "0 Completed", "0 Completed"], "{}", over.log("sidecar"));
    assert_eq!((over.restarts("job"), over.restarts("sidecar")), (1, 0), "{}", over.log("sidecar"));
}

#[test]
fn two_sidecars_leave() {
    let Some(row) = Row::new() else { return };
    let second = container("second", &["--mode", "sidecar"], SERVER);
    let over = row.play(&spec(&[main_job(&format!("{BOTH} exit 0")), sidecar(), second]));
    let seen = [over.ending(), over.code("job"), over.code("sidecar"), over.code("second")];
    assert_eq!(seen, ["Complete", "0 Completed", "0 Completed", "0 Completed"]);
}

#[test]
fn a_command_that_is_not_there() {
    let Some(row) = Row::new() else { return };
    let mut main = main_job("");
    main["command"] = json!(["/bin/exeunt", "--mode", "main", "--", "/no/such/program"]);
    let over = row.play(&spec(&[main, sidecar()]));
    assert_eq!([over.ending(), over.code("job"), over.code("sidecar")], [FAILED, "127 Error", "0 Completed"]);
}

#[test]
fn each_index_has_a_pod_and_a_sidecar() {
    let Some(row) = Row::new() else { return };
    let mut spec = pair(&format!("{BOTH} exit 0"));
    spec["completionMode"] = json!("Indexed");
    spec["completions"] = json!(2);
    spec["parallelism"] = json!(2);
    let over = row.play(&spec);
    assert_eq!((over.ending().as_str(), over.pods()), ("Complete", 2));
}

#[test]
fn beside_a_native_sidecar() {
    let mut spec = pair(&format!("{BOTH} exit 0"));
    spec["template"]["spec"]["initContainers"] = json!([{
        "name": "native", "image": "busybox", "imagePullPolicy": "IfNotPresent", "restartPolicy": "Always",
        "command": ["/bin/sh", "-c", SERVER],
    }]);
    ends(&spec, "Complete", "0 Completed");
}

#[test]
fn exeunt_from_an_image_volume() {
    let mut spec = pair(&format!("{BOTH} exit 5"));
    spec["template"]["spec"]["volumes"] = json!([
        {"name": "exeunt", "emptyDir": {}},
        {"name": "program", "image": {"reference": "exeunt", "pullPolicy": "IfNotPresent"}},
    ]);
    for container in spec["template"]["spec"]["containers"].as_array_mut().expect("a list") {
        container["command"][0] = json!("/opt/exeunt/exeunt");
        container["volumeMounts"] =
            json!([{"name": "exeunt", "mountPath": "/tmp/pod"}, {"name": "program", "mountPath": "/opt/exeunt"}]);
    }
    ends(&spec, FAILED, "5 Error");
}
