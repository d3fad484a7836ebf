//! The one node of `.ci/cluster`: its servers, its disk, and what is in its Pods. All of it is in namespaces of ours.

use crate::row::{Row, attempt, containers, record};
use serde_json::Value;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Only ever used up by a failure.
const DEADLINE: Duration = Duration::from_secs(240);

fn cluster() -> PathBuf {
    std::env::var_os("EXEUNT_CLUSTER").expect("a row that has asked for the node").into()
}

/// Waits for a fact that nobody can be asked to tell.
#[track_caller]
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > DEADLINE {
            // A second panic would take all other rows along.
            assert!(std::thread::panicking(), "waited in vain until {what}");
            eprintln!("waited in vain until {what}");
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Buried, not only dead: a first thread can be a zombie while others still hold the sockets of their server.
fn is_gone(process: &str) -> bool {
    !Path::new("/proc").join(process).exists()
}

/// Servers that have been killed. They are started again, in the opposite order, when this is dropped.
pub struct Away(Vec<&'static str>);

impl Away {
    #[track_caller]
    pub fn kill(servers: &[&'static str]) -> Self {
        for server in servers {
            let process =
                std::fs::read_to_string(cluster().join("pids").join(server)).expect("the server's process id");
            let process = process.trim();
            let killed = Command::new("kill").args(["-KILL", process]).status().expect("start kill");
            assert!(killed.success(), "{server}, process {process}, is not there");
            wait_until(&format!("{server} is gone"), || is_gone(process));
        }
        Self(servers.to_vec())
    }
}

impl Away {
    fn start(&self) {
        for server in self.0.iter().rev() {
            let start = cluster().join("start").join(server);
            let _ = Command::new("setsid").arg("--fork").arg(start).stdin(Stdio::null()).status();
            // Those that come later end when these do not answer in time, and nobody would start them again.
            match *server {
                "etcd" => wait_until("etcd answers", || TcpStream::connect("127.0.0.1:2379").is_ok()),
                "kube-apiserver" => {
                    wait_until("the API server answers", || attempt(&["get", "--raw", "/readyz"], None).is_ok());
                }
                "containerd" => wait_until("containerd answers", runtime_answers),
                _ => {}
            }
        }
    }

    /// They are back, but the node need not be well.
    fn come_back(mut self) {
        self.start();
        self.0.clear();
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            self.start();
            node_is_well();
        }
    }
}

/// Its socket answers before it has read its records: until then it refuses what the kubelet asks.
fn runtime_answers() -> bool {
    let asked = Command::new("crictl").args(["--timeout", "30s", "info"]).stdin(Stdio::null()).output();
    asked.is_ok_and(|output| output.status.success())
}

/// Ready, as it says itself by now, with nothing that keeps Pods away.
fn node_is_well() {
    let since = now();
    wait_until("the node is Ready", || {
        let Ok(text) = attempt(&["get", "nodes", "--output=json"], None) else { return false };
        let nodes: Value = serde_json::from_str(&text).unwrap_or_default();
        let node = &nodes["items"][0];
        let condition = |kind: &str| {
            let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
            conditions.find(|condition| condition["type"] == kind).cloned().unwrap_or_default()
        };
        condition("Ready")["status"] == "True"
            && condition("DiskPressure")["status"] == "False"
            && lease_is_newer_than(&since)
            && node["spec"].get("taints").is_none()
    });
}

fn now() -> String {
    humantime::format_rfc3339_micros(std::time::SystemTime::now()).to_string()
}

fn lease_is_newer_than(since: &str) -> bool {
    let times = "--output=jsonpath={.items[*].spec.renewTime}";
    attempt(&["--namespace", "kube-node-lease", "get", "leases", times], None).is_ok_and(|time| time.as_str() > since)
}

pub fn name() -> String {
    attempt(&["get", "nodes", "--output=jsonpath={.items[0].metadata.name}"], None).expect("the name of the node")
}

/// A Pod as its node sees it, whoever else can be asked.
pub struct Pod {
    volume: PathBuf,
    /// Name, containerd's record, process.
    containers: Vec<(String, Value, String)>,
}

impl Pod {
    #[track_caller]
    pub fn of(row: &Row, name: &str) -> Self {
        // One of them may run already, and the kubelet has not said so yet.
        let pod = row.until("all containers to run", &["pod", name], |pod| {
            containers(pod).all(|status| status["state"].get("running").is_some())
        });
        let uid = pod["metadata"]["uid"].as_str().expect("a uid");
        let containers = containers(&pod).map(|status| {
            let id = status["containerID"].clone();
            let process = record(&id).expect("containerd's record")["Pid"].to_string();
            (status["name"].as_str().expect("a name").to_owned(), id, process)
        });
        Self {
            volume: cluster().join("kubelet/pods").join(uid).join("volumes/kubernetes.io~empty-dir/exeunt"),
            containers: containers.collect(),
        }
    }

    /// An empty file in the shared volume.
    #[track_caller]
    pub fn write(&self, file: &str) {
        std::fs::write(self.volume.join(file), "").expect("write into the Pod's volume");
    }

    fn container(&self, name: &str) -> &(String, Value, String) {
        self.containers.iter().find(|(container, ..)| container == name).expect("a container of this name")
    }

    /// Waits until containerd has written down its end.
    #[track_caller]
    pub fn has_ended(&self, container: &str) {
        let (_, id, _) = self.container(container);
        wait_until(&format!("{container} has ended"), || {
            record(id).is_some_and(|record| record["FinishedAt"].as_u64().is_some_and(|time| time > 0))
        });
    }

    #[track_caller]
    pub fn process_is_gone(&self, container: &str) {
        let (.., process) = self.container(container);
        wait_until(&format!("the first process of {container} is gone"), || is_gone(process));
    }
}

/// A drain of the node, as an administrator asks for it. When this is dropped the node takes Pods again.
pub struct Drain {
    node: String,
    kubectl: Child,
}

impl Drain {
    /// Only of this namespace: what other rows have left is going anyhow.
    #[track_caller]
    pub fn of(node: &str, namespace: &str) -> Self {
        let selector = "--pod-selector=job-name=row";
        let kubectl = Command::new("kubectl")
            .args(["--namespace", namespace, "drain", node, "--delete-emptydir-data", "--force", selector])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start kubectl");
        Self { node: node.to_owned(), kubectl }
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        // It waits for the Pod to be gone, which the row keeps.
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
        let _ = attempt(&["uncordon", &self.node], None);
        node_is_well();
    }
}

/// The disk of the Pods, nearly full. When this is dropped there is room again, and the node is well.
pub struct Pressure;

impl Pressure {
    /// The kubelet finds out by itself, and asks somebody to go.
    #[track_caller]
    pub fn builds_up() -> Self {
        let pressure = Self::here();
        wait_until("the node keeps Pods away", keeps_pods_away);
        pressure
    }

    /// The kubelet finds it when it begins.
    #[track_caller]
    pub fn is_there_before_the_kubelet() -> Self {
        let away = Away::kill(&["kubelet"]);
        let pressure = Self::here();
        away.come_back();
        // What has been seen to come can be seen to go.
        wait_until("the node keeps Pods away", keeps_pods_away);
        pressure
    }

    /// Below what .ci/cluster calls enough, and above what it calls the last.
    #[track_caller]
    fn here() -> Self {
        let disk = cluster().join("kubelet");
        let room = nix::sys::statvfs::statvfs(&disk).expect("the disk of the Pods");
        let (all, free) = (room.blocks() * room.fragment_size(), room.blocks_available() * room.fragment_size());
        assert!(all <= 2 << 30, "{} has no disk of its own: {all} bytes", disk.display());
        let length = free - all / 5;
        let filled = Command::new("fallocate").args(["--length", &length.to_string()]).arg(filling()).status();
        assert!(filled.expect("start fallocate").success(), "{length} bytes are not to be had on {}", disk.display());
        Self
    }
}

fn filling() -> PathBuf {
    cluster().join("kubelet/filling")
}

fn keeps_pods_away() -> bool {
    attempt(&["get", "nodes", "--output=json"], None).is_ok_and(|text| text.contains("disk-pressure"))
}

impl Drop for Pressure {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(filling());
        node_is_well();
    }
}

/// Twice as many loops as there are processors.
pub struct Busy(Vec<Child>);

impl Busy {
    pub fn begins() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        let spin = || Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn();
        Self((0..2 * processors).map(|_| spin().expect("start sh")).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
