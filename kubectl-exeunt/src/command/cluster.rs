//! Objects of a cluster, by the user's own kubectl: its contexts, plugins and proxies are in use.

use anyhow::{anyhow, bail};
use clap::{Arg, ArgMatches};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;

/// What stands in place of a file's name.
pub(super) const NAME: &str = "cluster";

/// The options that are passed on.
pub(super) fn options() -> [Arg; 2] {
    let of = |name: &'static str, value: &'static str| {
        Arg::new(name).long(name).value_name(value).help("Passed on to kubectl")
    };
    [of("context", "NAME"), of("kubeconfig", "FILE")]
}

/// `job/nightly`, unless there is a file of that name.
pub(super) fn is_object(word: &OsStr) -> bool {
    let kinds = [
        "job",
        "jobs",
        "job.batch",
        "jobs.batch",
        "cronjob",
        "cronjobs",
        "cj",
        "cronjob.batch",
        "cronjobs.batch",
        "pod",
        "pods",
        "po",
    ];
    let text = word.to_string_lossy().to_lowercase();
    let named = text
        .split_once('/')
        .is_some_and(|(kind, name)| kinds.contains(&kind) && !name.contains('/') && !name.is_empty());
    named
        && !Path::new(word).exists()
        && !text.ends_with(".yaml")
        && !text.ends_with(".yml")
        && !text.ends_with(".json")
}

/// What `kubectl get -o json` says: of these objects, or of all that can be judged.
pub(super) fn get(matches: &ArgMatches, asked: &[String]) -> anyhow::Result<Vec<u8>> {
    if asked.is_empty() { ask(matches, &["jobs,cronjobs,pods"]) } else { ask(matches, asked) }
}

/// The Pods of the Jobs that are asked for, and of the Jobs of the CronJobs; nothing if there can be none.
pub(super) fn pods_of(matches: &ArgMatches, asked: &[String]) -> anyhow::Result<Option<Vec<u8>>> {
    let (mut jobs, mut crons) = (Vec::new(), Vec::new());
    for (kind, name) in asked.iter().filter_map(|word| word.split_once('/')) {
        match kind.to_lowercase().as_str() {
            kind if kind.starts_with("job") => jobs.push(name.to_owned()),
            kind if kind.starts_with('c') => crons.push(name),
            _ => {}
        }
    }
    if !crons.is_empty() {
        let list: Value = serde_json::from_slice(&ask(matches, &["jobs"])?)
            .map_err(|error| anyhow!("kubectl get has answered what is no JSON: {error}"))?;
        let all = list.get("items").and_then(Value::as_array).into_iter().flatten();
        jobs.extend(all.filter_map(|job| {
            let owners = job.pointer("/metadata/ownerReferences")?.as_array()?;
            let name = |owner: &Value| owner.get("name").and_then(Value::as_str).map(str::to_owned);
            let its = |owner: &Value| name(owner).is_some_and(|name| crons.contains(&name.as_str()));
            let of_cron = |owner: &&Value| owner.get("kind").and_then(Value::as_str) == Some("CronJob");
            if !owners.iter().filter(of_cron).any(its) {
                return None;
            }
            Some(job.pointer("/metadata/name")?.as_str()?.to_owned())
        }));
    }
    if jobs.is_empty() {
        return Ok(None);
    }
    // Every Job puts this label on its Pods.
    let label = format!("--selector=job-name in ({})", jobs.join(","));
    ask(matches, &["pods".to_owned(), label]).map(Some)
}

/// What kubectl says without the log of its library, unless that is all: `E1129 00:12:44.140290   12624 memcache.go:265] ...`.
fn last_word(said: &str) -> String {
    let is_log = |line: &&str| {
        let date = line.strip_prefix(['E', 'W', 'I']).and_then(|rest| rest.get(..4));
        date.is_some_and(|date| date.bytes().all(|one| one.is_ascii_digit())) && line.contains(".go:")
    };
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    let own: Vec<&str> = lines().filter(|line| !is_log(line)).collect();
    if own.is_empty() { lines().collect::<Vec<_>>().join("; ") } else { own.join("; ") }
}

fn ask(matches: &ArgMatches, words: &[impl AsRef<OsStr>]) -> anyhow::Result<Vec<u8>> {
    let mut command = std::process::Command::new("kubectl");
    command.arg("get").args(words).args(["-o", "json"]);
    for name in ["namespace", "context", "kubeconfig"] {
        if let Ok(Some(value)) = matches.try_get_one::<String>(name) {
            command.arg(format!("--{name}={value}"));
        }
    }
    if matches.try_get_one::<bool>("all-namespaces").is_ok_and(|all| all == Some(&true)) {
        command.arg("--all-namespaces");
    }
    let output = command.output().map_err(|error| anyhow!("kubectl cannot be run: {error}; it must be in PATH"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = last_word(&said);
        let said = if said.is_empty() { format!("{}, without a word", output.status) } else { said };
        bail!("kubectl get failed: {said}");
    }
    // An empty list is one as well. What is none would pass for a cluster in which nothing hangs.
    let holds = |part: &[u8]| output.stdout.windows(part.len()).any(|here| here == part);
    if !output.stdout.trim_ascii_start().starts_with(b"{") || !holds(b"\"kind\"") {
        let first = String::from_utf8_lossy(output.stdout.get(..60).unwrap_or(&output.stdout)).into_owned();
        let first = first.lines().next().unwrap_or("").to_owned();
        bail!("kubectl get -o json has answered what is no object of Kubernetes: {first:?}");
    }
    Ok(output.stdout)
}
