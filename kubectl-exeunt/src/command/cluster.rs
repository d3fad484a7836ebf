//! Objects of a cluster, by the user's own kubectl: its contexts, plugins and proxies are in use.

use anyhow::{anyhow, bail};
use clap::{Arg, ArgMatches};
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
    let mut command = std::process::Command::new("kubectl");
    command.arg("get");
    if asked.is_empty() {
        command.arg("jobs,cronjobs,pods");
    }
    command.args(asked).args(["-o", "json"]);
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
        bail!("kubectl get failed: {}", said.trim().replace('\n', "; "));
    }
    Ok(output.stdout)
}
