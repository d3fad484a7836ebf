//! Where a Pod lives, as whom, and what else is in it.

use crate::pod::{
    BOTH, FAILED, LIMIT, SERVER, TOLD, container, first, main_job, main_with, pair, pair_with, plays, sidecar, spec,
    with_command,
};
use crate::row::{IMAGE_VOLUME, Row, USER_NAMESPACES};
use serde_json::{Value, json};

fn succeeds() -> String {
    format!("{BOTH} exit 0")
}

#[test]
fn volume_in_memory() {
    let spec = pair_with(&succeeds(), |pod| pod["volumes"][0]["emptyDir"] = json!({"medium": "Memory"}));
    plays(&spec, &["Complete", "job: 0 Completed", TOLD]);
}

#[test]
fn shared_process_namespace() {
    let spec = pair_with(&format!("{BOTH} exit 4"), |pod| pod["shareProcessNamespace"] = json!(true));
    plays(&spec, &[FAILED, "job: 4 Error", TOLD, LIMIT]);
}

/// Neither sees the processes of the other, one has no file system to write to, and the other no capability.
#[test]
fn restricted_pods_of_two_users() {
    let Some(row) = Row::labelled(&["pod-security.kubernetes.io/enforce=restricted"]) else { return };
    let spec = pair_with(&succeeds(), |pod| {
        for (index, user) in [(0, 10001), (1, 10002)] {
            pod["containers"][index]["securityContext"] = json!({
                "runAsUser": user, "runAsGroup": user, "runAsNonRoot": true, "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            });
        }
    });
    row.play(&spec).says(&["Complete", "job: 0 Completed", TOLD]);
}

#[test]
fn read_only_root() {
    let spec = pair_with(&format!("{BOTH} touch /written 2>/dev/null && exit 0; exit 5"), |pod| {
        pod["containers"][0]["securityContext"] = json!({"readOnlyRootFilesystem": true});
        pod["containers"][1]["securityContext"] = json!({"readOnlyRootFilesystem": true});
    });
    plays(&spec, &[FAILED, "job: 5 Error", TOLD, LIMIT]);
}

/// Root without any capability may not even write where another user may.
#[test]
fn root_without_capabilities_beside_another_user() {
    let spec = pair_with(&succeeds(), |pod| {
        pod["containers"][0]["securityContext"] = json!({"capabilities": {"drop": ["ALL"]}});
        pod["containers"][1]["securityContext"] = json!({"runAsUser": 10002, "runAsGroup": 10002});
    });
    plays(&spec, &["Complete", "job: 0 Completed", TOLD]);
}

#[test]
fn a_group_that_owns_the_volume() {
    let spec = pair_with(&succeeds(), |pod| {
        pod["securityContext"] = json!({"fsGroup": 20000});
        pod["containers"][0]["securityContext"] = json!({"runAsUser": 10001, "runAsGroup": 10001});
        pod["containers"][1]["securityContext"] = json!({"runAsUser": 10002, "runAsGroup": 10002});
    });
    plays(&spec, &["Complete", "job: 0 Completed", TOLD]);
}

#[test]
fn a_user_namespace() {
    let Some(row) = Row::needing(&[USER_NAMESPACES]) else { return };
    let spec = pair_with(
        &format!("{BOTH} read -r _ outside _ </proc/self/uid_map; [ $outside != 0 ] && exit 0; exit 1"),
        |pod| {
            pod["hostUsers"] = json!(false);
        },
    );
    row.play(&spec).says(&["Complete", "job: 0 Completed", TOLD]);
}

/// One volume with a folder for each purpose.
#[test]
fn a_folder_of_a_volume() {
    let spec = pair_with(&succeeds(), |pod| {
        for index in [0, 1] {
            pod["containers"][index]["volumeMounts"][0]["subPath"] = json!("exeunt");
        }
    });
    plays(&spec, &["Complete", "job: 0 Completed", TOLD]);
}

#[test]
fn another_directory() {
    let spec = pair_with(&format!("{BOTH} exit 0"), |pod| {
        for index in [0, 1] {
            pod["containers"][index]["env"] = json!([{"name": "EXEUNT_DIR", "value": "/somewhere/else"}]);
            pod["containers"][index]["volumeMounts"]
                .as_array_mut()
                .expect("a list")
                .push(json!({"name": "exeunt", "mountPath": "/somewhere/else", "subPath": "else"}));
        }
    });
    plays(&spec, &["Complete", "job: 0 Completed", TOLD]);
}

#[test]
fn from_an_image_volume() {
    let Some(row) = Row::needing(&[IMAGE_VOLUME]) else { return };
    let spec = pair_with(&format!("{BOTH} exit 5"), |pod| {
        pod["volumes"] = json!([
            {"name": "exeunt", "emptyDir": {}},
            {"name": "program", "image": {"reference": "exeunt", "pullPolicy": "IfNotPresent"}},
        ]);
        for container in pod["containers"].as_array_mut().expect("a list") {
            container["command"][0] = json!("/opt/exeunt/exeunt");
            container["volumeMounts"] =
                json!([{"name": "exeunt", "mountPath": "/tmp/pod"}, {"name": "program", "mountPath": "/opt/exeunt"}]);
        }
    });
    row.play(&spec).says(&[FAILED, "job: 5 Error", TOLD, LIMIT]);
}

#[test]
fn brought_by_an_init_container() {
    let spec = pair_with(&format!("{BOTH} exit 5"), |pod| {
        let mut init = first(&["/exeunt", "install", "--reset", "/tmp/pod/exeunt"]);
        init["image"] = json!("exeunt");
        pod["initContainers"] = json!([init]);
        for container in pod["containers"].as_array_mut().expect("a list") {
            container["command"][0] = json!("/tmp/pod/exeunt");
        }
    });
    plays(&spec, &[FAILED, "first: 0 Completed*", "job: 5 Error", TOLD, LIMIT]);
}

/// Kubernetes asks exeunt, in an image that needs no shell for it.
#[test]
fn probes() {
    let Some(row) = Row::new() else { return };
    // On a busy node to start exeunt may take longer than a second, which is all that the kubelet waits by itself, three times.
    let probe = |condition: &str| {
        json!({
            "exec": {"command": ["/bin/exeunt", "probe", condition]},
            "periodSeconds": 1, "timeoutSeconds": 30, "failureThreshold": 60,
        })
    };
    let mut sidecar = container(
        "sidecar",
        &["--mode", "sidecar", "--name", "sidecar", "--ready-when", "file:///tmp/pod/serving"],
        &format!("sleep 1; {SERVER}"),
    );
    sidecar["startupProbe"] = probe("sidecar");
    sidecar["readinessProbe"] = probe("file:///tmp/pod/serving");
    sidecar["livenessProbe"] = probe("exec:true");
    let main = main_job(&format!("{BOTH} until [ -e /tmp/pod/go ]; do sleep 0.1; done; exit 0"));
    row.begins(&spec(&[main, sidecar]));
    let pod = row.pod_until("a Pod that is Ready", |pod| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    });
    let pod = pod["metadata"]["name"].as_str().expect("a name");
    row.lets_go(pod);
    // Where the startup probe comes before it serves, it fails, and the kubelet says so.
    row.ends().says(&["Complete", "job: 0 Completed", TOLD, "perhaps event: Unhealthy"]);
}

#[test]
fn status_in_both_containers() {
    let Some(row) = Row::new() else { return };
    row.begins(&pair(&format!("{BOTH} echo at work >&2; until [ -e /tmp/pod/go ]; do sleep 0.1; done; exit 0")));
    let pod = row.hears("job", "at work");
    for container in ["job", "sidecar"] {
        let json = row.kubectl(&["exec", &pod, "--container", container, "--", "exeunt", "status", "--json"]);
        let status: Value = serde_json::from_str(&json).expect("JSON from status");
        assert!(json.contains("main-job") && json.contains("running"), "{status}");
    }
    row.lets_go(&pod);
    row.ends().says(&["Complete", "job: 0 Completed: at work", TOLD]);
}

/// Main's own word for Kubernetes is its own; exeunt writes there only when it fails itself.
#[test]
fn the_termination_message_of_the_job() {
    let Some(row) = Row::new() else { return };
    let over = row.play(&pair(&format!("{BOTH} echo no more rows >/dev/termination-log; exit 3")));
    over.says(&[FAILED, "job: 3 Error", TOLD, LIMIT]);
    assert_eq!(over.status("job")["state"]["terminated"]["message"], "no more rows\n");
}

fn native(command: &[&str]) -> Value {
    let mut native = with_command("native", command);
    native["restartPolicy"] = json!("Always");
    native
}

#[test]
fn beside_a_native_sidecar() {
    let spec = pair_with(&succeeds(), |pod| {
        pod["initContainers"] = json!([native(&[
            "/bin/sh",
            "-c",
            "trap 'echo told to stop >&2; exit 0' TERM; while :; do sleep 60 & wait; done"
        ])]);
    });
    plays(&spec, &["Complete", "job: 0 Completed", TOLD, "native: 0 Completed: told to stop"]);
}

/// Deaf as PID 1, it would take the whole grace period; with exeunt in front it ends at once.
#[test]
fn in_front_of_a_native_sidecar_that_is_deaf() {
    let Some(row) = Row::new() else { return };
    let mut spec = spec(&[main_job("exit 0")]);
    spec["template"]["spec"]["initContainers"] =
        json!([native(&["/bin/exeunt", "--mode", "sidecar", "--until", "nobody", "--", "sleep", "1000"])]);
    let over = row.play(&spec);
    assert_eq!([over.ending(), over.code("job")], ["Complete", "0 Completed"]);
    assert_eq!(over.code("native"), "143 Error");
}

/// A native sidecar is started again for as long as another container runs; exeunt in it sees at once that all is over.
#[test]
fn inside_a_native_sidecar() {
    let Some(row) = Row::new() else { return };
    let mut spec = spec(&[main_job(&succeeds())]);
    let mut inside = native(&[]);
    inside["command"] = sidecar()["command"].clone();
    spec["template"]["spec"]["initContainers"] = json!([inside]);
    let over = row.play(&spec);
    assert_eq!([over.ending(), over.code("job"), over.code("native")], ["Complete", "0 Completed", "0 Completed"]);
}

/// All of exeunt's options as variables, which a ConfigMap may hold.
#[test]
fn options_from_the_environment() {
    let mut main = main_with(&[], &format!("{BOTH} exit 7"));
    main["command"] = json!(["/bin/exeunt", "/bin/sh", "-c", format!("{BOTH} exit 7")]);
    main["env"] = json!([{"name": "EXEUNT_MODE", "value": "main"}, {"name": "EXEUNT_NAME", "value": "load"}]);
    let mut sidecar = sidecar();
    sidecar["env"] = json!([{"name": "EXEUNT_UNTIL", "value": "load"}, {"name": "EXEUNT_EXIT_WITH", "value": "main"}]);
    plays(&spec(&[main, sidecar]), &[FAILED, "job: 7 Error", "sidecar: 7 Error: told to stop", LIMIT]);
}
