//! A row: a Job in a namespace of its own, and what Kubernetes says about it when it is over.

use crate::earlier::{Earlier, Seen};
use crate::here;
use serde_json::{Deserializer, Value, json};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// For what may take seconds on a quiet machine. Only ever used up by a failure; who plants faults (.ci/planted) waits less.
fn deadline() -> Duration {
    let asked = std::env::var("EXEUNT_ROW_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(240))
}
/// On the Pods of a row that wants to see how they were when they were deleted.
const KEPT: &str = "exeunt.test/kept";
/// Two ends that are no further apart have no order: the shim of each container takes the time by itself, the later the busier
/// the node is, and the API has whole seconds. Where a row is about the order, there is more between the two.
const SAME_MOMENT: u128 = 1_000_000_000;

/// Rows run side by side, but for those that disturb all others: each of these has the cluster to itself.
static CLUSTER: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "held until the row is over")]
enum Turn {
    AmongOthers(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

pub struct Row {
    namespace: String,
    /// Who reads along: what a container has said can no longer be asked for when its Pod has been deleted.
    readers: Mutex<Vec<Reader>>,
    /// Where Kubernetes forgets how the lives before ended.
    earlier: Mutex<Option<Earlier>>,
    keeps: AtomicBool,
    began: Instant,
    _turn: Turn,
}

/// Lines as `kubectl logs --prefix` has them.
type Reader = JoinHandle<Vec<String>>;

/// A Job that is over.
pub struct Over {
    job: Value,
    pods: Vec<Value>,
    heard: Vec<String>,
    earlier: Seen,
    row: Row,
}

/// What a cluster can do or not, by the name of its feature gate.
pub struct Feature {
    pub gate: &'static str,
    /// The minor version of Kubernetes 1 since which it is on.
    pub since: u64,
}

pub const RESTART_RULES: Feature = Feature { gate: "ContainerRestartRules", since: 35 };
pub const RESTART_ALL: Feature = Feature { gate: "RestartAllContainersOnContainerExits", since: 36 };
pub const IMAGE_VOLUME: Feature = Feature { gate: "ImageVolume", since: 35 };
pub const USER_NAMESPACES: Feature = Feature { gate: "UserNamespacesSupport", since: 33 };

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
        let answers = || attempt(&["get", "--raw", "/readyz"], None).is_ok();
        // Ours was there a moment ago; that a busy server says no once is no reason to leave all rows out.
        let ours = std::env::var_os("EXEUNT_CLUSTER").is_some();
        let answers = named && if ours { in_time(answers) } else { answers() };
        if !answers {
            here::pass_over("not run: no cluster (.ci/cluster COMMAND makes one)");
        }
        answers
    })
}

/// Says which row is not run, why, and how many have not been so far.
pub fn not_run(reason: &str) {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    say("not run", &COUNT, reason);
}

/// A line past libtest's capture: what is so with this row, and with how many so far.
fn say(what: &str, count: &AtomicUsize, reason: &str) {
    let count = count.fetch_add(1, Ordering::Relaxed) + 1;
    let _ = std::io::stderr().write_all(format!("{what} ({count}): {}: {reason}\n", name()).as_bytes());
}

/// Of the row.
fn name() -> String {
    std::thread::current().name().unwrap_or("a row").to_owned()
}

/// Whether the node is here, in namespaces that are ours.
fn ours(reason: &str) -> bool {
    let ours = std::env::var_os("EXEUNT_CLUSTER").is_some();
    if !ours {
        here::pass_over(reason);
        not_run(reason);
    }
    ours
}

/// What the API server says at this address.
#[track_caller]
pub fn ask(path: &str) -> String {
    attempt(&["get", "--raw", path], None).expect("the API server answers")
}

/// Of Kubernetes 1.
fn minor() -> u64 {
    static MINOR: OnceLock<u64> = OnceLock::new();
    *MINOR.get_or_init(|| {
        let version: Value = serde_json::from_str(&ask("/version")).expect("JSON");
        let minor = version["minor"].as_str().unwrap_or("0");
        minor.trim_end_matches('+').parse().expect("a number")
    })
}

impl Feature {
    fn is_on(&self) -> bool {
        static METRICS: OnceLock<String> = OnceLock::new();
        let gate = format!("kubernetes_feature_enabled{{name=\"{}\"", self.gate);
        METRICS.get_or_init(|| ask("/metrics")).lines().any(|line| line.starts_with(&gate) && line.ends_with(" 1"))
    }

    /// A version that has it and does not offer it is a gap in what is tested; one that is too old is not.
    fn is_here(&self) -> bool {
        if self.is_on() {
            return true;
        }
        let minor = minor();
        if minor >= self.since {
            here::pass_over(&format!("{} is off in this cluster", self.gate));
        }
        not_run(&format!("Kubernetes 1.{minor} has no {} that is on; 1.{} has", self.gate, self.since));
        false
    }
}

/// Asks until it holds, or until the deadline.
pub fn in_time(mut holds: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if began.elapsed() > deadline() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// What kubectl says when its request has not reached the server: it may be asked again, whatever it was.
const NOT_REACHED: [&str; 2] = ["TLS handshake timeout", "connection refused"];

/// kubectl, once more while a server that stalls does not even take the request.
pub fn attempt(arguments: &[&str], input: Option<&str>) -> Result<String, String> {
    let mut answer = Err(String::new());
    in_time(|| {
        answer = ask_once(arguments, input);
        !answer.as_ref().is_err_and(|error| NOT_REACHED.iter().any(|word| error.contains(word)))
    });
    answer
}

fn ask_once(arguments: &[&str], input: Option<&str>) -> Result<String, String> {
    let mut child = kubectl()
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("start kubectl: {error}"))?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).map_err(|error| format!("hand kubectl the manifest: {error}"))?;
    }
    let output = child.wait_with_output().expect("wait for kubectl");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// kubectl, for as long as the deadline is.
pub fn kubectl() -> Command {
    let mut command = Command::new("timeout");
    command.args([&deadline().as_secs().to_string(), "kubectl"]).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

impl Row {
    /// Nothing, where there is no cluster.
    pub fn new() -> Option<Self> {
        Self::labelled(&[])
    }

    /// With labels on the namespace, as Pod Security reads them.
    pub fn labelled(labels: &[&str]) -> Option<Self> {
        if !cluster() {
            return None;
        }
        let turn = Turn::AmongOthers(CLUSTER.read().unwrap_or_else(PoisonError::into_inner));
        Some(Self::begin(labels, turn))
    }

    /// Nothing either, where the cluster has not what the row needs.
    pub fn needing(features: &[Feature]) -> Option<Self> {
        (cluster() && features.iter().all(Feature::is_here)).then(Self::new).flatten()
    }

    /// Nothing either, where nobody has been able to make these images.
    pub fn with_images(images: &[&str]) -> Option<Self> {
        if !cluster() {
            return None;
        }
        // Of another cluster it is not known: there somebody has brought all images that CONTRIBUTING names.
        if let Some(made) = std::env::var_os("EXEUNT_CLUSTER") {
            for image in images {
                let name = image.split(':').next().unwrap_or(image);
                let owner = if name.contains('/') { "" } else { "library" };
                let registry = std::path::Path::new(&made).join("registry/docker/registry/v2/repositories");
                let directory = registry.join(owner).join(name);
                if !directory.exists() {
                    here::pass_over(&format!("the image {image} could not be made on this machine"));
                    not_run(&format!("there is no image {image}"));
                    return None;
                }
            }
        }
        Self::new()
    }

    /// For what is done to a Pod from its node. Nothing, where the node cannot be reached.
    pub fn on_our_node() -> Option<Self> {
        (cluster() && ours("its Pod is killed from the node, and this one is not of .ci/cluster"))
            .then(Self::new)
            .flatten()
    }

    /// With the cluster to itself. Nothing, where it is not ours to disturb.
    pub fn alone() -> Option<Self> {
        if !cluster() || !ours("it disturbs the whole node, and this one is not of .ci/cluster") {
            return None;
        }
        Some(Self::begin(&[], Turn::Alone(CLUSTER.write().unwrap_or_else(PoisonError::into_inner))))
    }

    fn begin(labels: &[&str], turn: Turn) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let namespace = format!("exeunt-row-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let row = Self {
            namespace,
            readers: Mutex::default(),
            earlier: Mutex::default(),
            keeps: AtomicBool::new(false),
            began: Instant::now(),
            _turn: turn,
        };
        let labels: serde_json::Map<_, _> = labels
            .iter()
            .map(|label| label.split_once('=').expect("NAME=VALUE"))
            .map(|(name, value)| (name.to_owned(), json!(value)))
            .collect();
        row.create(
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": row.namespace, "labels": labels}}),
        );
        // Pods are refused until the namespace has it.
        row.kubectl(&["wait", "--for=create", "serviceaccount/default", "--timeout=120s"]);
        row
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).unwrap_or_else(|error| panic!("kubectl {}: {error}", arguments.join(" ")))
    }

    pub fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        attempt(&[&["--namespace", &self.namespace], arguments].concat(), None)
    }

    /// Makes the file that the job of this Pod waits for. Who makes it may not live to tell that he has: his container ends with
    /// what he does. So it is made until somebody says that it is, or until the job no longer runs.
    #[track_caller]
    pub fn lets_go(&self, pod: &str) {
        let over = || {
            let pod = self.json(&["get", "pod", pod]);
            !containers(&pod).any(|status| status["name"] == "job" && status["state"].get("running").is_some())
        };
        let made = || self.try_kubectl(&["exec", pod, "--container", "job", "--", "touch", "/tmp/pod/go"]).is_ok();
        assert!(in_time(|| made() || over()), "the job of {pod} cannot be told to go on:\n{}", self.story());
    }

    /// Any object, in the namespace of the row.
    #[track_caller]
    pub fn create(&self, manifest: &Value) {
        let arguments: &[&str] = match manifest["kind"].as_str() {
            Some("Namespace") => &["create", "-f", "-"],
            _ => &["--namespace", &self.namespace, "create", "-f", "-"],
        };
        attempt(arguments, Some(&manifest.to_string())).unwrap_or_else(|error| panic!("create {manifest}: {error}"));
    }

    /// `kubectl apply`, as somebody does who has the manifest in a file.
    #[track_caller]
    pub fn apply(&self, manifest: &str) {
        let arguments = ["--namespace", &self.namespace, "apply", "-f", "-"];
        attempt(&arguments, Some(manifest)).unwrap_or_else(|error| panic!("kubectl apply: {error}"));
    }

    /// What the API server would make of an object, or why it would not.
    pub fn would_be(&self, object: &Value) -> Result<Value, String> {
        let arguments = ["--namespace", &self.namespace, "create", "--dry-run=server", "--output=json", "-f", "-"];
        let text = attempt(&arguments, Some(&object.to_string()))?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// Hands the lines of a container's log over, as they come, until it has ended.
    #[track_caller]
    pub fn follow<T>(
        &self,
        from: &str,
        container: &str,
        take: impl FnOnce(&mut dyn Iterator<Item = String>) -> T,
    ) -> T {
        let mut begun = None;
        in_time(|| {
            let (mut logs, mut lines) = self.lines(&["--follow", from, "--container", container]);
            let first = lines.next();
            if first.is_none() {
                let _ = logs.wait();
            }
            begun = first.map(|first| (logs, [first].into_iter().chain(lines)));
            begun.is_some()
        });
        let Some((mut logs, mut lines)) = begun else { panic!("{container} says nothing:\n{}", self.story()) };
        let taken = take(&mut lines);
        let _ = logs.wait();
        taken
    }

    /// Creates the Job `row` with this spec.
    #[track_caller]
    pub fn begins(&self, spec: &Value) {
        // It is what keeps them.
        if !RESTART_ALL.is_on() {
            *self.earlier.lock().expect("the reader") = Some(Earlier::of(&self.namespace));
        }
        self.create(&json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "row"}, "spec": spec}));
    }

    /// The same for a row that deletes its Pods: what has become of them can be read until the row is over.
    #[track_caller]
    pub fn begins_and_keeps(&self, spec: &Value) {
        let mut spec = spec.clone();
        spec["template"]["metadata"]["finalizers"] = json!([KEPT]);
        self.keeps.store(true, Ordering::Relaxed);
        self.begins(&spec);
    }

    /// Creates the Job `row` with this spec, and watches it until it is Complete or Failed.
    #[track_caller]
    pub fn play(self, spec: &Value) -> Over {
        self.begins(spec);
        self.ends()
    }

    /// Watches the Job `row` until it is Complete or Failed.
    #[track_caller]
    pub fn ends(self) -> Over {
        self.over("row")
    }

    /// The same for a Job of any name.
    #[track_caller]
    pub fn over(self, name: &str) -> Over {
        let over = |kind: &Value| kind == "Complete" || kind == "Failed";
        let job = self.until("the end of the Job", &["job", name], |job| {
            let conditions = job["status"]["conditions"].as_array();
            conditions.into_iter().flatten().any(|condition| condition["status"] == "True" && over(&condition["type"]))
        });
        self.gathers(name, job)
    }

    /// For a Job that is deleted or suspended, so that it has no end of its own: waits until its one Pod has ended.
    #[track_caller]
    pub fn ends_with_its_pod(self) -> Over {
        self.pod_until("the end of the Pod", |pod| {
            pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed"
        });
        self.gathers("row", Value::Null)
    }

    fn gathers(self, name: &str, job: Value) -> Over {
        let pods = self.json(&["get", "pods", &format!("--selector=job-name={name}")]);
        let mut pods = pods["items"].as_array().expect("a list of Pods").clone();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        pods.sort_by_key(|pod| {
            let metadata = &pod["metadata"];
            let index = &metadata["annotations"]["batch.kubernetes.io/job-completion-index"];
            (word(index), word(&metadata["creationTimestamp"]), word(&metadata["name"]))
        });
        let heard = std::mem::take(&mut *self.readers.lock().expect("the readers"))
            .into_iter()
            .flat_map(|reader| reader.join().expect("a reader"))
            .collect();
        let earlier = self.earlier.lock().expect("the reader").take().map(Earlier::ends).unwrap_or_default();
        Over { job, pods, heard, earlier, row: self }
    }

    /// Watches until one of these objects is as it should be.
    #[track_caller]
    pub fn until(&self, what: &str, objects: &[&str], holds: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            // A watch ends with its API server; then there is another.
            if let Some(object) = self.watch(objects, &holds) {
                return object;
            }
            assert!(began.elapsed() < deadline(), "waited in vain for {what}:\n{}", self.story());
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn watch(&self, objects: &[&str], holds: &impl Fn(&Value) -> bool) -> Option<Value> {
        let mut watch = kubectl()
            .args(["--namespace", &self.namespace, "get", "--watch", "--output=json"])
            .args(objects)
            .stderr(Stdio::null())
            .spawn()
            .expect("start kubectl");
        let seen = Deserializer::from_reader(watch.stdout.take().expect("a pipe")).into_iter::<Value>();
        let found = seen.map_while(Result::ok).find(|object| object["kind"] != "List" && holds(object));
        stop(&mut watch);
        found
    }

    /// Watches the Pods of the Job until one is as it should be.
    #[track_caller]
    pub fn pod_until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.until(what, &["pods", "--selector=job-name=row"], holds)
    }

    /// Reads along until a container of the Job's Pod has said this. Returns the Pod's name.
    #[track_caller]
    pub fn hears(&self, container: &str, text: &str) -> String {
        self.hears_where(container, text, |_| true)
    }

    /// The same for one Pod of several.
    #[track_caller]
    pub fn hears_where(&self, container: &str, text: &str, which: impl Fn(&Value) -> bool) -> String {
        let started = |state: &Value| state.get("running").is_some() || state.get("terminated").is_some();
        let pod = self.pod_until(&format!("the start of {container}"), |pod| {
            which(pod)
                && pod["metadata"].get("deletionTimestamp").is_none()
                && containers(pod).any(|status| status["name"] == container && started(&status["state"]))
        });
        let pod = pod["metadata"]["name"].as_str().expect("a name").to_owned();
        // A log can be cut off by who hands it on; then it is read again.
        let heard = in_time(|| {
            let (mut logs, mut lines) = self.lines(&["--follow", &pod, "--container", container]);
            let heard = lines.any(|line| line.contains(text));
            stop(&mut logs);
            heard
        });
        assert!(heard, "waited in vain for {container} to say {text:?}:\n{}", self.story());
        if self.keeps.load(Ordering::Relaxed) {
            self.reads_along(&pod, text);
        }
        pod
    }

    /// All that its containers say until they are over. It has begun when it has come to what has been heard already: kubectl ends
    /// at once while one of them has not started, as far as the kubelet knows.
    #[track_caller]
    fn reads_along(&self, pod: &str, text: &str) {
        let mut begun = None;
        in_time(|| {
            let (mut logs, mut lines) = self.lines(&["--follow", pod, "--all-containers", "--prefix"]);
            let mut said = Vec::new();
            while !said.last().is_some_and(|line: &String| line.contains(text)) {
                let Some(line) = lines.next() else {
                    let _ = logs.wait();
                    return false;
                };
                said.push(line);
            }
            begun = Some((logs, lines, said));
            true
        });
        let Some((mut logs, lines, mut said)) = begun else {
            panic!("the log of {pod} ends before {text:?}:\n{}", self.story())
        };
        self.readers.lock().expect("the readers").push(std::thread::spawn(move || {
            said.extend(lines);
            let _ = logs.wait();
            said
        }));
    }

    /// Who reads a log, and what he reads.
    fn lines(&self, arguments: &[&str]) -> (Child, impl Iterator<Item = String> + Send + use<>) {
        let arguments = [&["--namespace", &self.namespace, "logs"], arguments].concat();
        let mut logs = kubectl().args(arguments).stderr(Stdio::null()).spawn().expect("start kubectl");
        let lines = BufReader::new(logs.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
        (logs, lines)
    }

    /// Asks for the eviction of a Pod, as a drain does.
    #[track_caller]
    pub fn evict(&self, pod: &str) {
        let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}});
        let path = format!("/api/v1/namespaces/{}/pods/{pod}/eviction", self.namespace);
        attempt(&["create", "--raw", &path, "-f", "-"], Some(&eviction.to_string()))
            .unwrap_or_else(|error| panic!("evict {pod}: {error}"));
    }

    /// Kills the first process of a container, as the kernel would: nobody in there hears of it.
    #[track_caller]
    pub fn kill(&self, pod: &str, container: &str) {
        let is = |status: &&Value| status["name"] == container;
        // It may run already, and the kubelet has not said so yet.
        let pod = self.until(&format!("{container} to run"), &["pod", pod], |pod| {
            containers(pod).find(is).is_some_and(|status| status["state"].get("running").is_some())
        });
        let status = containers(&pod).find(is).expect("a container of this name");
        let process = record(&status["containerID"]).expect("containerd's record")["Pid"].to_string();
        let killed = Command::new("kill").args(["-KILL", &process]).status().expect("start kill");
        assert!(killed.success(), "process {process} of {container} is not there");
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.kubectl(&[arguments, &["--output=json"]].concat());
        serde_json::from_str(&text).expect("JSON from kubectl")
    }

    /// How long it had its turn, for .ci/rows.
    fn tell_time(&self) {
        let Some(file) = std::env::var_os("EXEUNT_ROW_TIMES") else { return };
        let line = format!("{:5.1} s {}\n", self.began.elapsed().as_secs_f64(), name());
        let _ = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .and_then(|mut file| file.write_all(line.as_bytes()));
    }

    /// What somebody wants to read whose row has failed.
    fn story(&self) -> String {
        let questions: [&[&str]; 3] = [
            &["describe", "pods"],
            &["get", "events"],
            &["logs", "--selector=batch.kubernetes.io/job-name", "--all-containers", "--prefix", "--tail=20"],
        ];
        let ask = |question: &&[&str]| self.try_kubectl(question).unwrap_or_else(|error| error);
        questions.iter().map(ask).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.story());
        }
        let kept =
            "jsonpath={range .items[?(@.metadata.finalizers)]}{.metadata.name} {.metadata.finalizers}{'\\n'}{end}";
        for pod in self.try_kubectl(&["get", "pods", "--output", kept]).unwrap_or_default().lines() {
            if let Some((pod, finalizers)) = pod.split_once(' ')
                && finalizers.contains(KEPT)
            {
                let _ = self.try_kubectl(&[
                    "patch",
                    "pod",
                    pod,
                    "--type=merge",
                    "-p",
                    r#"{"metadata":{"finalizers":null}}"#,
                ]);
            }
        }
        let _ = attempt(&["delete", "namespace", &self.namespace, "--wait=false"], None);
        self.tell_time();
    }
}

/// timeout(1) hands the signal on to kubectl.
pub fn stop(child: &mut Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let _ = child.wait();
}

/// The statuses of all containers of a Pod.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainerStatuses", "containerStatuses"].map(|list| pod["status"][list].as_array());
    lists.into_iter().flatten().flatten()
}

fn matches(told: &str, line: &str) -> bool {
    line.split_once('*').map_or(told == line, |(front, back)| {
        told.len() >= front.len() + back.len() && told.starts_with(front) && told.ends_with(back)
    })
}

/// `7 Error`, as the kubelet says it.
pub fn word(end: &Value) -> String {
    match end["exitCode"].as_u64() {
        Some(code) => format!("{code} {}", end["reason"].as_str().unwrap_or("without a reason")),
        None => "not ended".to_owned(),
    }
}

impl Over {
    /// What a user sees, all of it:
    ///
    /// - `Complete`, or `Failed: ` and the reason;
    /// - with several Pods, or where a Pod has a reason, `Pod: ` and its phase, before its containers;
    /// - the containers in the order of their ends, as `job: 7 Error: the last line of its log`, with
    ///   `, 1 restart after 9 Error` where it was started again;
    /// - `event: ` and the reason of each warning, in any order; `perhaps event: ` where it is a matter of moments.
    ///
    /// A `*` stands for anything.
    #[track_caller]
    pub fn says(&self, expected: &[&str]) {
        let named = |kind: &str| expected.iter().filter_map(|line| line.strip_prefix(kind)).collect::<BTreeSet<&str>>();
        let (events, perhaps) = (named("event: "), named("perhaps event: "));
        let lines: Vec<&str> = expected.iter().copied().filter(|line| !line.contains("event: ")).collect();
        let told = self.told(&lines);
        let same = told.len() == lines.len() && told.iter().zip(&lines).all(|(told, line)| matches(told, line));
        assert!(same, "expected {lines:#?}\nseen {told:#?}\n{}", self.row.story());
        let warnings = self.row.json(&["get", "events", "--field-selector=type=Warning"]);
        let reasons = warnings["items"].as_array().into_iter().flatten().filter_map(|event| event["reason"].as_str());
        let unexpected: Vec<_> =
            reasons.filter(|reason| !events.contains(reason) && !perhaps.contains(reason)).collect();
        assert!(unexpected.is_empty(), "warnings that nobody expected: {unexpected:?}\n{}", self.row.story());
        for expected in events {
            self.row.until(&format!("the event {expected}"), &["events"], |event| event["reason"] == expected);
        }
    }

    /// All lines but the events. Of two ends at the same moment the order is the one that is expected.
    fn told(&self, expected: &[&str]) -> Vec<String> {
        let mut told = Vec::new();
        if !self.job.is_null() {
            told.push(self.ending());
        }
        for pod in &self.pods {
            let status = &pod["status"];
            if self.pods.len() > 1 || status["reason"].is_string() {
                let reason = status["reason"].as_str().map_or(String::new(), |reason| format!(" {reason}"));
                told.push(format!("Pod: {}{reason}", status["phase"].as_str().unwrap_or("without a phase")));
            }
            let line = |status: &Value| (finished(&status["state"]["terminated"]), self.line(pod, status));
            let mut ended: Vec<_> = containers(pod).map(line).collect();
            ended.sort_by_key(|(end, _)| *end);
            let rest = expected.get(told.len()..).unwrap_or_default();
            let place = |told: &str| rest.iter().position(|line| matches(told, line));
            for last in (1..ended.len()).rev() {
                for index in 0..last {
                    let [(end, told), (next, also)] = &ended[index..=index + 1] else { unreachable!("two of them") };
                    if next.abs_diff(*end) <= SAME_MOMENT && place(told) > place(also) {
                        ended.swap(index, index + 1);
                    }
                }
            }
            told.extend(ended.into_iter().map(|(_, line)| line));
        }
        told
    }

    fn line(&self, pod: &Value, status: &Value) -> String {
        let name = status["name"].as_str().expect("a name");
        let pod = pod["metadata"]["name"].as_str().expect("a name");
        let end = word(&status["state"]["terminated"]);
        let restarts = match status["restartCount"].as_u64() {
            None | Some(0) => String::new(),
            Some(1) => format!(", 1 restart after {}", self.before(pod, status)),
            Some(count) => format!(", {count} restarts after {}", self.before(pod, status)),
        };
        let last = self.last_line(pod, name);
        let last = if last.is_empty() { String::new() } else { format!(": {last}") };
        format!("{name}: {end}{restarts}{last}")
    }

    /// How the life before ended: as the API says it, or as somebody has seen it who read along where that forgets.
    fn before(&self, pod: &str, status: &Value) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let last = &status["lastState"]["terminated"];
        if last.is_null()
            && let Some(seen) = self.earlier.before(pod, status)
        {
            say("read along", &COUNT, &format!("Kubernetes 1.{} forgets how the life before ended", minor()));
            return seen.to_owned();
        }
        word(last)
    }

    fn last_line(&self, pod: &str, container: &str) -> String {
        let prefix = format!("[pod/{pod}/{container}] ");
        if let Some(line) = self.heard.iter().rev().find_map(|line| line.strip_prefix(&prefix)) {
            return line.to_owned();
        }
        let log = self.row.try_kubectl(&["logs", pod, "--container", container, "--tail=1"]).unwrap_or_default();
        // The kubelet says this in place of the log, as a success.
        if log.starts_with("unable to retrieve container logs") { String::new() } else { log.trim_end().to_owned() }
    }

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

    /// Of a Pod that its kubelet has evicted, for this reason, while its job ended with this code.
    ///
    /// The kubelet removes each container of such a Pod as soon as it is dead, and may not have read its code before: it says
    /// `ContainerStatusUnknown` then, of this life or of one before. The record has it, and the sidecar says it.
    #[track_caller]
    pub fn was_evicted(&self, because: &str, code: u8) {
        let (story, status) = (self.row.story(), &self.pods[0]["status"]);
        assert_eq!(self.ending(), "Failed: BackoffLimitExceeded", "{story}");
        assert_eq!([&status["phase"], &status["reason"]], ["Failed", "Evicted"], "{story}");
        assert!(status["message"].as_str().is_some_and(|told| told.contains(because)), "{story}");
        let known = |container: &str, end: &str| {
            let seen = self.status(container);
            let lost = ["state", "lastState"]
                .map(|state| &seen[state]["terminated"]["reason"])
                .contains(&&json!("ContainerStatusUnknown"));
            assert!(lost || self.code(container) == end, "{container}: {seen}\n{story}");
        };
        known("job", &format!("{code} Error"));
        known("sidecar", "0 Completed");
        let pod = self.pods[0]["metadata"]["name"].as_str().expect("a name");
        let said = |container: &str, line: &str| {
            let prefix = format!("[pod/{pod}/{container}] ");
            let mut lines = self.heard.iter().filter_map(|heard| heard.strip_prefix(&prefix));
            assert!(lines.any(|said| said.contains(line)), "{container} has not said {line:?}: {:#?}", self.heard);
        };
        said("job", "put away");
        said("sidecar", &format!("the job main-job is over (exit code {code})"));
        said("sidecar", "told to stop");
    }

    /// The Job as it was at its end.
    pub fn job(&self) -> &Value {
        &self.job
    }

    /// Its Pods, in the order in which they came.
    pub fn pods(&self) -> &[Value] {
        &self.pods
    }

    /// The end of a container in the first Pod: its code and the kubelet's word for it, as `137 OOMKilled`.
    #[track_caller]
    pub fn code(&self, container: &str) -> String {
        word(&self.status(container)["state"]["terminated"])
    }

    /// Whether one was still there when the other ended, by the runtime's clock.
    #[track_caller]
    pub fn outlived(&self, container: &str, other: &str) -> bool {
        let [end, other] = [container, other].map(|name| finished(&self.status(name)["state"]["terminated"]));
        end + SAME_MOMENT >= other
    }

    /// How much later one ended than the other, by the runtime's clock.
    #[track_caller]
    pub fn later(&self, container: &str, other: &str) -> Duration {
        let [end, other] = [container, other].map(|name| finished(&self.status(name)["state"]["terminated"]));
        Duration::from_nanos(end.saturating_sub(other).try_into().unwrap_or(u64::MAX))
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

    #[track_caller]
    pub fn status(&self, container: &str) -> &Value {
        let pod = self.pods.first().unwrap_or_else(|| panic!("there is no Pod:\n{}", self.row.story()));
        containers(pod)
            .find(|status| status["name"] == container)
            .unwrap_or_else(|| panic!("no container {container}:\n{}", self.row.story()))
    }
}

/// What containerd has written down about a container: its process, and its times in nanoseconds.
pub fn record(id: &Value) -> Option<Value> {
    let cluster = std::env::var_os("EXEUNT_CLUSTER")?;
    let records = std::path::Path::new(&cluster).join("containerd/root/io.containerd.grpc.v1.cri/containers");
    let text =
        std::fs::read_to_string(records.join(id.as_str()?.strip_prefix("containerd://")?).join("status")).ok()?;
    serde_json::from_str(&text).ok()
}

/// When a container ended, in nanoseconds since 1970: by the runtime's clock where its records can be read, else the
/// whole second of the API.
fn finished(end: &Value) -> u128 {
    if let Some(time) = record(&end["containerID"]).and_then(|record| record["FinishedAt"].as_u64()) {
        return time.into();
    }
    let time = end["finishedAt"].as_str().and_then(|time| humantime::parse_rfc3339(time).ok());
    time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(u128::MAX, |time| time.as_nanos())
}
