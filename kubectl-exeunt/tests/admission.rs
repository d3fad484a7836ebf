//! The policies under a real API server and its kubelet: what they make of a Pod, what they refuse, and that the Job ends.
//!
//! `.ci/cluster cargo test -p kubectl-exeunt --test admission` makes a cluster; KUBECONFIG may name any other whose nodes have
//! the images `exeunt` and `busybox` of `.ci/cluster`. Policies are for a whole cluster, so all this is one test.

mod house;

use house::{Place, pass_over, repository};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// For what takes seconds on a quiet machine. Only ever used up by a failure.
const PATIENCE: Duration = Duration::from_secs(180);
const NAMESPACE: &str = "exeunt-admission";

fn kubectl(words: &[&str], input: Option<&str>) -> Result<String, String> {
    let mut child = Command::new("timeout")
        .args(["240", "kubectl", "--namespace", NAMESPACE])
        .args(words)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start kubectl: {error}"))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[track_caller]
fn done(words: &[&str], input: Option<&str>) -> String {
    kubectl(words, input).unwrap_or_else(|error| panic!("kubectl {}: {error}", words.join(" ")))
}

fn exeunt(words: &[&str], input: &str) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Waits for a fact of the API server, which takes a policy up some time after it has said yes.
#[track_caller]
fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < end, "waited in vain: {what}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn cluster() -> bool {
    if std::env::var_os("EXEUNT_CLUSTER_APART").is_some() {
        let _ = std::io::stderr().write_all(b"the policies are tried in a step of their own\n");
        return false;
    }
    let named = std::env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty());
    let answers = named && kubectl(&["get", "--raw", "/readyz"], None).is_ok();
    if !answers {
        pass_over("not run: no cluster (.ci/cluster COMMAND makes one)");
    }
    answers
}

/// The API that this server has for policies that change objects, as `policy` calls it: beta before 1.36.
fn api() -> &'static str {
    let served = |version: &str| {
        let all = done(&["get", "--raw", &format!("/apis/admissionregistration.k8s.io/{version}")], None);
        all.contains("\"mutatingadmissionpolicies\"")
    };
    let version = if served("v1") { "v1" } else { "v1beta1" };
    assert!(served(version), "this API server knows no MutatingAdmissionPolicy");
    version
}

const SERVER: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

fn container(name: &str, script: &str) -> Value {
    json!({
        "name": name, "image": "busybox", "imagePullPolicy": "IfNotPresent", "command": ["/bin/sh", "-c", script],
        "securityContext": {
            "allowPrivilegeEscalation": false, "runAsNonRoot": true, "runAsUser": 10001,
            "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"cpu": "200m", "memory": "32Mi"}},
    })
}

fn pod_spec(policy: &str) -> Value {
    json!({
        "restartPolicy": policy, "terminationGracePeriodSeconds": 5, "automountServiceAccountToken": false,
        "containers": [container("load", "sleep 1"), container("proxy", SERVER)],
    })
}

fn pod(spec: &Value, annotations: Value) -> String {
    let metadata = json!({"generateName": "p-", "labels": {"exeunt.dev/inject": "true"}, "annotations": annotations});
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}).to_string()
}

/// What the API server would make of a Pod, or why it refuses it.
fn admitted(pod: &str) -> Result<Value, String> {
    let made = kubectl(&["create", "--dry-run=server", "--output=json", "-f", "-"], Some(pod))?;
    Ok(serde_json::from_str(&made).unwrap())
}

fn words(pod: &Value, index: usize) -> Vec<String> {
    let command = pod["spec"]["containers"][index]["command"].as_array().unwrap();
    command.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// A Job of this template, to its end; its containers must both have left with 0.
fn plays(name: &str, template: &Value) {
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": template}});
    done(&["create", "-f", "-"], Some(&job.to_string()));
    completes(name);
}

fn completes(name: &str) {
    let story = || done(&["describe", "job,pods"], None);
    let waited = kubectl(&["wait", "--for=condition=complete", &format!("job/{name}"), "--timeout=180s"], None);
    assert!(waited.is_ok(), "{waited:?}\n{}", story());
    let pods = done(&["get", "pods", &format!("--selector=job-name={name}"), "--output=json"], None);
    let pods: Value = serde_json::from_str(&pods).unwrap();
    let statuses = pods["items"][0]["status"]["containerStatuses"].as_array().unwrap();
    assert_eq!(statuses.len(), 2, "{}", story());
    for status in statuses {
        assert_eq!(status["state"]["terminated"]["exitCode"], 0, "{}", story());
    }
}

/// Takes away what a failing test would leave in a cluster that is not its own.
struct Cluster;

impl Drop for Cluster {
    fn drop(&mut self) {
        for (kind, name) in [
            ("mutatingadmissionpolicybinding", "inject.exeunt.dev"),
            ("mutatingadmissionpolicy", "inject.exeunt.dev"),
            ("validatingadmissionpolicybinding", "guard.exeunt.dev"),
            ("validatingadmissionpolicy", "guard.exeunt.dev"),
            ("namespace", NAMESPACE),
        ] {
            let _ = kubectl(&["delete", kind, name, "--ignore-not-found", "--wait=false"], None);
        }
    }
}

#[test]
fn the_policies_do_what_they_say() {
    if !cluster() {
        return;
    }
    let _cluster = Cluster;
    // An earlier run that failed may have left it on its way out.
    until("the namespace is ours", || kubectl(&["create", "namespace", NAMESPACE], None));
    // What an injector is most often refused for: Pod Security, and a quota that wants limits.
    done(&["label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted"], None);
    done(&["create", "quota", "all", "--hard=limits.cpu=4,limits.memory=1Gi,requests.cpu=4,requests.memory=1Gi"], None);
    done(&["wait", "--for=create", "serviceaccount/default", "--timeout=120s"], None);

    let version = api();
    // What an earlier run has left in force is not to be taken for what this one applies.
    until("nothing injects yet", || {
        let made = admitted(&pod(&pod_spec("Never"), json!({})))?;
        if words(&made, 0)[0] == "/bin/sh" { Ok(()) } else { Err(made["spec"].to_string()) }
    });
    for (deliver, program) in [("init", "/tmp/pod/exeunt"), ("image", "/exeunt/exeunt")] {
        done(&["apply", "-f", "-"], Some(&exeunt(&["policy", "--deliver", deliver, "--api", version], "")));
        let never = pod(&pod_spec("Never"), json!({}));
        let made = until("a labelled Pod gets exeunt", || {
            let made = admitted(&never)?;
            if words(&made, 0)[0] == program { Ok(made) } else { Err(made["spec"].to_string()) }
        });
        assert_eq!(words(&made, 0)[1..4], ["--mode", "main", "--"], "{deliver}");
        assert_eq!(words(&made, 1)[1..4], ["--mode", "sidecar", "--"], "{deliver}");
        let names = |key: &str| -> Vec<String> {
            let list = made["spec"][key].as_array().into_iter().flatten();
            list.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names("initContainers"), if deliver == "init" { vec!["exeunt"] } else { vec![] });
        assert_eq!(names("volumes"), if deliver == "init" { vec!["exeunt-pod"] } else { vec!["exeunt-pod", "exeunt"] });
        what_is_mirrored();
        what_is_refused();
        what_is_left_alone(program);
        let template = json!({"metadata": {"labels": {"exeunt.dev/inject": "true"}}, "spec": pod_spec("Never")});
        plays(&format!("by-{deliver}"), &template);
    }
    a_policy_that_is_not_bound();
    the_component(version);
}

fn what_is_mirrored() {
    let made = admitted(&pod(&pod_spec("OnFailure"), json!({"exeunt.dev/main": "proxy"}))).unwrap();
    assert_eq!(words(&made, 1)[1..6], ["--mode", "main", "--restart-policy", "on-failure", "--"]);
    assert_eq!(words(&made, 0)[1..4], ["--mode", "sidecar", "--"]);
    let made = admitted(&pod(&pod_spec("Never"), json!({"kubectl.kubernetes.io/default-container": "proxy"}))).unwrap();
    assert_eq!(words(&made, 1)[1..4], ["--mode", "main", "--"]);
    let mut own = pod_spec("Never");
    own["containers"][0]["restartPolicy"] = json!("OnFailure");
    let made = admitted(&pod(&own, json!({}))).unwrap();
    assert_eq!(words(&made, 0)[1..6], ["--mode", "main", "--restart-policy", "on-failure", "--"]);
    let mut three = pod_spec("Never");
    three["containers"].as_array_mut().unwrap().push(container("logs", SERVER));
    let made = admitted(&pod(&three, json!({"exeunt.dev/main": "load, proxy"}))).unwrap();
    assert_eq!(words(&made, 1)[1..6], ["--mode", "main", "--name", "proxy", "--"]);
    assert_eq!(words(&made, 2)[1..6], ["--mode", "sidecar", "--until", "load,proxy", "--"]);
}

fn what_is_refused() {
    // The guard is a policy of its own, which the API server takes up when it likes, sooner or later than the one that injects.
    let refused = |spec: &Value, annotations: Value, why: &str| {
        let pod = pod(spec, annotations);
        until(why, || match admitted(&pod) {
            Err(said) if said.contains("guard.exeunt.dev") && said.contains(why) => Ok(()),
            Err(said) => Err(said),
            Ok(made) => Err(format!("the guard let it in: {made}")),
        });
    };
    let mut bare = pod_spec("Never");
    bare["containers"][1].as_object_mut().unwrap().remove("command");
    refused(&bare, json!({}), "write the image's ENTRYPOINT as command in: proxy");
    refused(&pod_spec("Never"), json!({"exeunt.dev/main": "lod"}), "names no container of this Pod");
    let mut ruled = pod_spec("Never");
    ruled["containers"][0]["restartPolicy"] = json!("Never");
    ruled["containers"][0]["restartPolicyRules"] =
        json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]);
    refused(&ruled, json!({}), "no policy can tell exeunt the restart rules of load");
    let mut always = pod_spec("Never");
    always["containers"][1]["restartPolicy"] = json!("Always");
    refused(&always, json!({}), "the restart rules of proxy");
}

fn what_is_left_alone(program: &str) {
    // Without the label; with a Pod that is to run for ever; with exeunt in it already.
    let unlabelled = pod(&pod_spec("Never"), json!({})).replace("exeunt.dev/inject", "exeunt.dev/other");
    assert_eq!(words(&admitted(&unlabelled).unwrap(), 0)[0], "/bin/sh");
    assert_eq!(words(&admitted(&pod(&pod_spec("Always"), json!({}))).unwrap(), 0)[0], "/bin/sh");
    let ours = exeunt(&["inject", "--main", "load", "-"], &pod(&pod_spec("Never"), json!({})));
    let made = admitted(&ours).unwrap();
    assert_eq!(words(&made, 0)[..4], ["/tmp/pod/exeunt", "--mode", "main", "--"]);
    assert_eq!(words(&made, 0)[4], "/bin/sh");
    // A proxy that a mesh has put in has no command, and neither it nor its Pod is a fault.
    let mut meshed = pod_spec("Never");
    let mut proxy = container("istio-proxy", "");
    proxy.as_object_mut().unwrap().remove("command");
    meshed["containers"].as_array_mut().unwrap().push(proxy);
    let made = admitted(&pod(&meshed, json!({}))).unwrap();
    assert_eq!(words(&made, 0)[0], program);
    assert!(made["spec"]["containers"][2].get("command").is_none(), "{made}");
}

fn a_policy_that_is_not_bound() {
    done(&["delete", "mutatingadmissionpolicybinding", "inject.exeunt.dev"], None);
    until("the guard misses exeunt", || match admitted(&pod(&pod_spec("Never"), json!({}))) {
        Err(said) if said.contains("is the policy inject.exeunt.dev bound?") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// The component of deploy/, by kubectl's own kustomize: the label, the policies, and a Job that ends.
fn the_component(version: &str) {
    let place = Place::new("component");
    let copied = Command::new("cp").arg("-r").arg(repository("deploy/kustomize")).arg(place.path("component")).status();
    assert!(copied.unwrap().success());
    if version != "v1" {
        place.write("component/policy.yaml", &exeunt(&["policy", "--api", version], ""));
    }
    let spec = json!({"backoffLimit": 0, "template": {"spec": pod_spec("Never")}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "by-component"}, "spec": spec});
    place.write("app/job.yaml", &job.to_string());
    place.write("app/kustomization.yaml", "resources: [job.yaml]\ncomponents: [../component]\n");
    let built = done(&["kustomize", place.path("app").to_str().unwrap()], None);
    // The policies first: whoever makes a Pod before they are in force has to make it again.
    let (policies, jobs): (Vec<&str>, Vec<&str>) =
        built.split("---\n").partition(|document| document.contains("admissionregistration.k8s.io"));
    assert_eq!((policies.len(), jobs.len()), (4, 1), "{built}");
    done(&["apply", "-f", "-"], Some(&policies.join("---\n")));
    until("the component is in force", || {
        let made = admitted(&pod(&pod_spec("Never"), json!({})))?;
        if words(&made, 0)[0] == "/tmp/pod/exeunt" { Ok(()) } else { Err(made.to_string()) }
    });
    done(&["apply", "-f", "-"], Some(jobs[0]));
    completes("by-component");
    // Applied once more, unchanged: a Pod was changed, not the Job.
    assert!(done(&["apply", "-f", "-"], Some(jobs[0])).contains("unchanged"));
}
