//! A row: a Job in a namespace of its own, and what Kubernetes says about it when it is over.

use crate::here;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// For what may take seconds on a quiet machine. Only ever used up by a failure.
const DEADLINE: &str = "240";

pub struct Row {
    namespace: String,
}

/// A Job that is over.
pub struct Over {
    job: Value,
    pods: Vec<Value>,
    row: Row,
}

/// Whether a cluster answers; says once that there is none.
fn cluster() -> bool {
    static ANSWERS: OnceLock<bool> = OnceLock::new();
    let apart = std::env::var_os("EXEUNT_CLUSTER_APART").is_some();
    *ANSWERS.get_or_init(|| {
        if apart {
            let _ = std::io::stderr().write_all(b"the rows of Kubernetes are played in a step of their own\n");
            return false;
        }
        let named = std::env::var_os("KUBECONFIG").is_some_and(|path| !path.is_empty());
        let answers = named && attempt(&["get", "--raw", "/readyz"], None).is_ok();
        if !answers {
            here::pass_over("not run: no cluster (.ci/cluster COMMAND makes one)");
        }
        answers
    })
}

fn attempt(arguments: &[&str], input: Option<&str>) -> Result<String, String> {
    let mut child = Command::new("timeout")
        .args([DEADLINE, "kubectl"])
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start kubectl: {error}"))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).expect("hand kubectl the manifest");
    }
    let output = child.wait_with_output().expect("wait for kubectl");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl Row {
    /// Nothing, where there is no cluster.
    pub fn new() -> Option<Self> {
        Self::labelled(&[])
    }

    /// With labels on the namespace, as Pod Security reads them.
    pub fn labelled(labels: &[&str]) -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        if !cluster() {
            return None;
        }
        let row =
            Self { namespace: format!("exeunt-row-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)) };
        row.kubectl(&["create", "namespace", &row.namespace]);
        if !labels.is_empty() {
            row.kubectl(&[&["label", "namespace", &row.namespace], labels].concat());
        }
        // Pods are refused until the namespace has it.
        row.kubectl(&["wait", "--for=create", "serviceaccount/default", "--timeout=120s"]);
        Some(row)
    }

    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let arguments = [&["--namespace", &self.namespace], arguments].concat();
        attempt(&arguments, None).unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
    }

    /// Creates the Job `row` with this spec, and watches it until it is Complete or Failed.
    #[track_caller]
    pub fn play(self, spec: &Value) -> Over {
        let manifest = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "row"}, "spec": spec});
        self.apply(&manifest.to_string());
        self.over("row")
    }

    /// `kubectl apply`, as somebody does who has the manifest in a file.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let arguments = ["--namespace", &self.namespace, "apply", "-f", "-"];
        attempt(&arguments, Some(manifest)).unwrap_or_else(|error| panic!("kubectl apply: {error}"));
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// What the API server would make of an object.
    #[track_caller]
    pub fn would_be(&self, object: &Value) -> Value {
        let arguments = ["--namespace", &self.namespace, "create", "--dry-run=server", "--output=json", "-f", "-"];
        let text = attempt(&arguments, Some(&object.to_string())).unwrap_or_else(|error| panic!("dry run: {error}"));
        serde_json::from_str(&text).expect("JSON from kubectl")
    }

    /// Hands the lines of a container's log over, as they come, until it has ended.
    #[track_caller]
    pub fn follow<T>(
        &self,
        from: &str,
        container: &str,
        take: impl FnOnce(&mut dyn Iterator<Item = String>) -> T,
    ) -> T {
        let mut logs = Command::new("timeout")
            .args([
                DEADLINE,
                "kubectl",
                "--namespace",
                &self.namespace,
                "logs",
                "--follow",
                from,
                "--container",
                container,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start kubectl");
        let mut lines = BufReader::new(logs.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        let taken = take(&mut lines);
        let _ = logs.wait();
        taken
    }

    /// Watches the Job until it is Complete or Failed.
    #[track_caller]
    pub fn over(self, job: &str) -> Over {
        self.wait_for_the_end(job);
        let pods = self.json(&["get", "pods", &format!("--selector=job-name={job}")]);
        let pods = pods["items"].as_array().expect("a list of Pods").clone();
        Over { job: self.json(&["get", "job", job]), pods, row: self }
    }

    #[track_caller]
    fn wait_for_the_end(&self, job: &str) {
        let conditions = "--output=jsonpath={.status.conditions[*].type}{'\\n'}";
        let mut watch = Command::new("timeout")
            .args([DEADLINE, "kubectl", "--namespace", &self.namespace, "get", "job", job, "--watch", conditions])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start kubectl");
        let lines = BufReader::new(watch.stdout.take().expect("a pipe")).lines();
        let over = |line: &String| line.split(' ').any(|kind| kind == "Complete" || kind == "Failed");
        let end = lines.map_while(Result::ok).find(over);
        // timeout hands the signal on to kubectl.
        let _ = Command::new("kill").arg(watch.id().to_string()).status();
        let _ = watch.wait();
        assert!(end.is_some(), "waited in vain for the end of the Job:\n{}", self.story());
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[arguments, &["--output=json"]].concat());
        serde_json::from_str(&text).expect("JSON from kubectl")
    }

    /// What somebody wants to read whose row has failed.
    fn story(&self) -> String {
        let questions: [&[&str]; 3] = [
            &["describe", "pods"],
            &["get", "events"],
            &["logs", "--selector=batch.kubernetes.io/job-name", "--all-containers", "--prefix", "--tail=20"],
        ];
        let ask = |question: &&[&str]| {
            let arguments = [&["--namespace", &self.namespace], *question].concat();
            attempt(&arguments, None).unwrap_or_else(|error| error)
        };
        questions.iter().map(ask).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story());
        }
        let _ = attempt(&["delete", "namespace", &self.namespace, "--wait=false"], None);
    }
}

impl Over {
    /// `Complete`, or `Failed` with its reason.
    pub fn ending(&self) -> String {
        let conditions = self.job["status"]["conditions"].as_array().expect("conditions");
        let of =
            |kind: &str| conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True");
        match of("Failed") {
            Some(failed) => format!("Failed: {}", failed["reason"].as_str().expect("a reason")),
            None => of("Complete").map_or_else(|| "neither".to_owned(), |_| "Complete".to_owned()),
        }
    }

    pub fn pods(&self) -> usize {
        self.pods.len()
    }

    /// The end of a container in the first Pod: its code and the kubelet's word for it, as `137 OOMKilled`.
    #[track_caller]
    pub fn code(&self, container: &str) -> String {
        let end = &self.status(container)["state"]["terminated"];
        format!("{} {}", end["exitCode"], end["reason"].as_str().unwrap_or("without a reason"))
    }

    #[track_caller]
    pub fn restarts(&self, container: &str) -> u64 {
        self.status(container)["restartCount"].as_u64().expect("a count")
    }

    #[track_caller]
    pub fn log(&self, container: &str) -> String {
        let pod = self.pods[0]["metadata"]["name"].as_str().expect("a name");
        self.row.kubectl(&["logs", pod, "--container", container])
    }

    /// What a container has said, each line behind the runtime's clock: as text, the times sort.
    #[track_caller]
    pub fn times(&self, container: &str) -> String {
        let pod = self.pods[0]["metadata"]["name"].as_str().expect("a name");
        self.row.kubectl(&["logs", pod, "--container", container, "--timestamps"])
    }

    /// When a container ended, by the runtime's clock, in whole seconds.
    #[track_caller]
    pub fn ended(&self, container: &str) -> String {
        self.status(container)["state"]["terminated"]["finishedAt"].as_str().expect("a time").to_owned()
    }

    #[track_caller]
    fn status(&self, container: &str) -> &Value {
        let pod = self.pods.first().unwrap_or_else(|| panic!("there is no Pod:\n{}", self.row.story()));
        let lists = ["containerStatuses", "initContainerStatuses"].map(|list| pod["status"][list].as_array());
        lists
            .into_iter()
            .flatten()
            .flatten()
            .find(|status| status["name"] == container)
            .unwrap_or_else(|| panic!("no container {container}:\n{}", self.row.story()))
    }
}
