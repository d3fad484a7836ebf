//! How the lives before ended, where Kubernetes forgets it.
//!
//! `lastState` is all that it says of a life before. Until 1.35 the kubelet reads that from the dead container, and removes this
//! container as soon as the next life of the same name is over: the end of a Pod shows a restart without its reason. Since 1.36 it
//! keeps what it has said once, for `RestartAllContainers` removes containers, too.

use crate::row::{ask, containers, kubectl, stop, word};
use serde_json::{Deserializer, Value};
use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

/// The ends of each container of each Pod, in the order in which they were told, behind the container's identity.
type Ends = BTreeMap<(String, String), Vec<(String, String)>>;

/// Reads along, as somebody does who has `kubectl get pods --watch` on his screen.
pub struct Earlier {
    watch: Child,
    /// Until it has been stopped.
    ends: Option<JoinHandle<Ends>>,
}

impl Earlier {
    /// Of all Pods of a namespace, from now on: it begins with a version, and so misses nothing, however late kubectl is.
    #[track_caller]
    pub fn of(namespace: &str) -> Self {
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let now: Value = serde_json::from_str(&ask(&pods)).expect("JSON");
        let version = now["metadata"]["resourceVersion"].as_str().expect("the version of a list");
        let mut watch = kubectl()
            .args(["get", "--raw", &format!("{pods}?watch=1&resourceVersion={version}")])
            .stderr(Stdio::null())
            .spawn()
            .expect("start kubectl");
        let objects = Deserializer::from_reader(watch.stdout.take().expect("a pipe")).into_iter::<Value>();
        let ends = std::thread::spawn(move || {
            let mut ends = Ends::new();
            objects.map_while(Result::ok).for_each(|event| note(&mut ends, &event["object"]));
            ends
        });
        Self { watch, ends: Some(ends) }
    }

    /// What has been seen until now.
    pub fn ends(mut self) -> Seen {
        let ends = self.ends.take().expect("a reader");
        stop(&mut self.watch);
        Seen(ends.join().expect("a reader"))
    }
}

impl Drop for Earlier {
    fn drop(&mut self) {
        if self.ends.is_some() {
            stop(&mut self.watch);
        }
    }
}

/// The ends that have been seen.
#[derive(Default)]
pub struct Seen(Ends);

impl Seen {
    /// How the life before this one of the same container ended.
    pub fn before(&self, pod: &str, status: &Value) -> Option<&str> {
        let now = identity(&status["state"]["terminated"]);
        let name = status["name"].as_str()?.to_owned();
        let ends = self.0.get(&(pod.to_owned(), name))?;
        ends.iter().rev().find(|(identity, _)| *identity != now).map(|(_, word)| word.as_str())
    }
}

fn identity(end: &Value) -> String {
    end["containerID"].as_str().unwrap_or_default().to_owned()
}

fn note(ends: &mut Ends, pod: &Value) {
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    for status in containers(pod) {
        let ends = ends.entry((name(&pod["metadata"]), name(status))).or_default();
        for end in [&status["lastState"]["terminated"], &status["state"]["terminated"]] {
            let identity = identity(end);
            if !end.is_null() && !ends.iter().any(|(known, _)| *known == identity) {
                ends.push((identity, word(end)));
            }
        }
    }
}

/// A negative control: what is found is the end before, and no other.
#[test]
fn the_end_before_is_found_by_its_container() {
    let end = |id: &str, code: u64| serde_json::json!({"containerID": id, "exitCode": code, "reason": "Error"});
    let pod = |state: Value, last: Value| {
        serde_json::json!({
            "metadata": {"name": "row"},
            "status": {"containerStatuses": [{"name": "job", "state": {"terminated": state}, "lastState": {"terminated": last}}]},
        })
    };
    let mut ends = Ends::new();
    note(&mut ends, &pod(end("a", 9), Value::Null));
    note(&mut ends, &pod(Value::Null, end("a", 9)));
    let status = |id: &str| serde_json::json!({"name": "job", "state": {"terminated": end(id, 0)}});
    let before = |ends: &Ends, id: &str| Seen(ends.clone()).before("row", &status(id)).map(str::to_owned);
    assert_eq!(before(&ends, "b").as_deref(), Some("9 Error"));
    assert_eq!(before(&ends, "a"), None, "its own end is not the one before");
    note(&mut ends, &pod(end("b", 8), end("a", 9)));
    assert_eq!(before(&ends, "c").as_deref(), Some("8 Error"));
    assert_eq!(before(&ends, "b").as_deref(), Some("9 Error"));
}
