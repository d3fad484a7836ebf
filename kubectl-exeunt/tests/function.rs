//! `fn`: what the specification of KRM functions asks for.

use serde_json::Value;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

fn run(input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt"))
        .arg("fn")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn json(output: &Output) -> Value {
    let file = kubectl_exeunt::yaml::File::read("out", output.stdout.clone()).unwrap();
    file.documents().next().unwrap().root().unwrap().json().unwrap()
}

const JOB: &str = "\
- apiVersion: batch/v1
  kind: Job
  metadata:
    name: nightly
    annotations:
      config.kubernetes.io/index: '0'
      internal.config.kubernetes.io/path: 'job.yaml'
  spec:
    template:
      spec:
        restartPolicy: Never
        containers:
        # the work itself
        - name: load
          image: a
          command: [load]
        - name: proxy
          image: b
          command: [proxy]
";
const OTHER: &str = "- {apiVersion: v1, kind: ConfigMap, metadata: {name: c}} # left alone\n";

fn list(version: &str, items: &str, config: &str) -> String {
    format!("apiVersion: config.kubernetes.io/{version}\nkind: ResourceList\nitems:\n{items}{config}")
}

const MAIN: &str =
    "functionConfig:\n  apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: f}\n  data: {main: load}\n";

#[test]
fn items_come_out_changed_with_results() {
    for version in ["v1", "v1beta1"] {
        let output = run(&list(version, &format!("{JOB}{OTHER}"), MAIN));
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let out = json(&output);
        assert_eq!(out["kind"], "ResourceList");
        let containers = &out["items"][0]["spec"]["template"]["spec"]["containers"];
        assert!(containers[0]["command"].as_array().unwrap().iter().any(|word| word == "main"), "{containers:#}");
        assert!(containers[1]["command"].as_array().unwrap().iter().any(|word| word == "sidecar"), "{containers:#}");
        assert_eq!(out["results"][0]["severity"], "info");
        assert_eq!(out["functionConfig"]["data"]["main"], "load");
        // What belongs to the caller, other items, and comments.
        assert_eq!(out["items"][0]["metadata"]["annotations"]["internal.config.kubernetes.io/path"], "job.yaml");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("# the work itself") && text.contains(OTHER), "{text}");
    }
}

/// What one container needs may stand in the configuration, for a Job that cannot be annotated.
#[test]
fn the_configuration_speaks_of_one_container_too() {
    let items = JOB.replace("          command: [proxy]\n", "");
    let config = format!(
        "{}    entrypoint.proxy: '[\"/proxy\", \"-v\"]'\n    options.load: --wait-for 'exec:test -e /up'\n",
        MAIN.replace("data: {main: load}", "data:\n    main: load")
    );
    let output = run(&list("v1", &items, &config));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let out = json(&output);
    let command = |index: usize| out["items"][0]["spec"]["template"]["spec"]["containers"][index]["command"].clone();
    let words =
        serde_json::json!(["/tmp/pod/exeunt", "--mode", "main", "--wait-for", "exec:test -e /up", "--", "load"]);
    assert_eq!(command(0), words);
    assert_eq!(command(1), serde_json::json!(["/tmp/pod/exeunt", "--mode", "sidecar", "--", "/proxy", "-v"]));
    for (from, to, code, wanted) in [
        ("entrypoint.proxy", "entrypoint.prxy", 1, "no container is called prxy"),
        ("'[\"/proxy\"", "'[/proxy", 2, "functionConfig: --entrypoint proxy=[/proxy"),
        ("options.load", "option.load", 2, "option.load is not known"),
    ] {
        assert!(config.contains(from), "{from}");
        let output = run(&list("v1", &items, &config.replace(from, to)));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{complaint}");
        assert!(complaint.contains(wanted), "{complaint}");
    }
}

#[test]
fn what_is_missing_is_an_error_and_changes_nothing() {
    let items = JOB.replace("          command: [proxy]\n", "");
    let output = run(&list("v1", &items, MAIN));
    assert_eq!(output.status.code(), Some(1));
    let out = json(&output);
    assert_eq!(out["results"][0]["severity"], "error");
    assert!(out["results"][0]["message"].as_str().unwrap().contains("proxy"), "{out:#}");
    assert_eq!(out["items"][0]["spec"]["template"]["spec"]["containers"][0]["command"], serde_json::json!(["load"]));
}

#[test]
fn twice_is_once_and_earlier_results_stay() {
    let once = run(&list("v1", JOB, MAIN));
    let twice = run(&String::from_utf8_lossy(&once.stdout));
    assert_eq!(twice.status.code(), Some(0), "{}", String::from_utf8_lossy(&twice.stderr));
    let (once, twice) = (json(&once), json(&twice));
    assert_eq!(once["items"], twice["items"]);
    assert_eq!(once["results"][0], twice["results"][0]);
    assert!(twice["results"].as_array().unwrap().len() > once["results"].as_array().unwrap().len());
}

#[test]
fn json_goes_in_and_comes_out() {
    let input = r#"{"apiVersion":"config.kubernetes.io/v1","kind":"ResourceList","items":[]}"#;
    let output = run(input);
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), input));
}

#[test]
fn what_is_no_resource_list_is_refused() {
    for (input, wanted) in [
        ("kind: Job\n".to_owned(), "no ResourceList"),
        (String::new(), "no ResourceList"),
        (list("v2", JOB, ""), "no ResourceList"),
        (list("v1", JOB, "functionConfig: {data: {mian: load}}\n"), "mian is not known"),
        (list("v1", JOB, "functionConfig: {data: {how: magic}}\n"), "functionConfig"),
    ] {
        let output = run(&input);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{complaint}");
        assert!(output.stdout.is_empty() && complaint.contains(wanted), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
}
