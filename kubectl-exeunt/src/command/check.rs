//! `check`: would it ever end?

use super::files;
use crate::judge::{Judgement, Severity, judge};
use crate::out;
use crate::yaml::{File, Refusal};
use anyhow::{Context as _, anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

/// Something at or above the threshold was found.
const FOUND: u8 = 1;

pub(super) fn options() -> Command {
    let flag = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let switch =
        |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    Command::new("check")
        .about("Would it ever end? Judges Jobs, CronJobs and Pods")
        .arg(
            Arg::new("what")
                .value_name("FILE|DIR|-|KIND/NAME")
                .num_args(1..)
                .value_parser(clap::value_parser!(OsString))
                .help("Manifests, directories of them, standard input, or objects of the cluster"),
        )
        .arg(flag("main", "NAME", "The container that is the job (repeatable)").action(ArgAction::Append))
        .arg(
            flag("format", "FORMAT", "How to print")
                .value_parser(["text", "json", "sarif", "junit", "github"])
                .default_value("text"),
        )
        .arg(switch("strict", "Warnings count as errors do"))
        .arg(switch("exit-zero", "Exit 0 whatever is found"))
        .arg(switch("allow-none", "It is no fault if no file has a Job, CronJob or Pod"))
        .arg(flag("namespace", "NS", "With KIND/NAME: the namespace; alone: everything in it").short('n'))
        .arg(switch("all-namespaces", "Everything in the cluster").short('A'))
        .arg(flag("context", "NAME", "Passed on to kubectl"))
        .arg(flag("kubeconfig", "FILE", "Passed on to kubectl"))
}

/// Judges what was named.
///
/// # Errors
/// A file cannot be read or judged; there is nothing in it that makes Pods.
pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<u8> {
    let mains: Vec<String> = matches.get_many::<String>("main").into_iter().flatten().cloned().collect();
    let what: Vec<&OsString> = matches.get_many::<OsString>("what").into_iter().flatten().collect();
    let (mut all, mut complaints): (Vec<Judgement>, Vec<String>) = (Vec::new(), Vec::new());
    let mut take = |file: Result<File, Refusal>| match file.and_then(|file| judge(&file, &mains)) {
        Ok(judged) => all.extend(judged),
        Err(refusal) => complaints.push(refusal.to_string()),
    };
    let mut asked = Vec::new();
    for one in &what {
        if is_object(one) {
            asked.push(one.to_string_lossy().into_owned());
        } else if *one != "-" && Path::new(one).is_dir() {
            let mut found = Vec::new();
            below(Path::new(one), 0, &mut found)?;
            found.sort();
            found.iter().for_each(|file| take(files::read(file.as_os_str())));
        } else {
            take(files::read(one));
        }
    }
    let everywhere = matches.get_flag("all-namespaces") || (matches.contains_id("namespace") && what.is_empty());
    if everywhere || !asked.is_empty() {
        let bytes = kubectl(matches, &asked)?;
        take(File::read("cluster", bytes));
    } else if what.is_empty() {
        bail!("nothing is named: give a FILE, a DIR, - for standard input, KIND/NAME, or -A");
    }
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    if all.is_empty() && !everywhere && !matches.get_flag("allow-none") {
        let first = what.first().map_or_else(String::new, |first| first.to_string_lossy().into_owned());
        bail!("{first}:1:1: error: there is no Job, CronJob or Pod in it; nothing was judged");
    }
    let format = matches.get_one::<String>("format").map_or("text", String::as_str);
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = match format {
        "json" => format!("{:#}\n", out::json(&all)),
        "sarif" => format!("{:#}\n", out::sarif(&all)),
        "junit" => out::junit(&all),
        "github" => out::github(&all),
        _ => out::text(&all, colour),
    };
    std::io::stdout().write_all(text.as_bytes()).context("standard output cannot be written")?;
    let threshold = if matches.get_flag("strict") { Severity::Warning } else { Severity::Error };
    let bad = all.iter().flat_map(|one| &one.findings).any(|finding| finding.severity >= threshold);
    Ok(if bad && !matches.get_flag("exit-zero") { FOUND } else { 0 })
}

/// `job/nightly`, unless there is a file of that name.
fn is_object(word: &OsStr) -> bool {
    let kinds =
        ["job", "jobs", "job.batch", "jobs.batch", "cronjob", "cronjobs", "cj", "cronjob.batch", "pod", "pods", "po"];
    let text = word.to_string_lossy().to_lowercase();
    let named = text
        .split_once('/')
        .is_some_and(|(kind, name)| kinds.contains(&kind) && !name.contains(['/', '.']) && !name.is_empty());
    named && !Path::new(word).exists()
}

/// Every manifest below a directory. Links to directories are not followed: they may go round.
fn below(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let unreadable = || format!("{}:1:1: error: this directory cannot be read", directory.display());
    for entry in std::fs::read_dir(directory).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if depth < 64 {
                below(&path, depth + 1, found)?;
            }
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json") {
            found.push(path);
        }
    }
    Ok(())
}

/// Objects of a cluster, by the user's own kubectl: its contexts, plugins and proxies are in use.
fn kubectl(matches: &ArgMatches, asked: &[String]) -> anyhow::Result<Vec<u8>> {
    let mut command = std::process::Command::new("kubectl");
    command.arg("get");
    if asked.is_empty() {
        command.arg("jobs,cronjobs,pods");
    }
    command.args(asked).args(["-o", "json"]);
    for name in ["namespace", "context", "kubeconfig"] {
        if let Some(value) = matches.get_one::<String>(name) {
            command.arg(format!("--{name}={value}"));
        }
    }
    if matches.get_flag("all-namespaces") {
        command.arg("--all-namespaces");
    }
    let output = command.output().map_err(|error| anyhow!("kubectl cannot be run: {error}; it must be in PATH"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("kubectl get failed: {}", said.trim());
    }
    Ok(output.stdout)
}
