//! `check`: would it ever end?

use super::{cluster, files};
use crate::judge::{Judgement, Severity, Verdict, hangs, is_owned, judge};
use crate::out;
use crate::pod::objects;
use crate::yaml::{File, Refusal};
use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;
use std::io::IsTerminal as _;
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
        .args(cluster::options())
}

/// Judges what was named.
///
/// # Errors
/// A file cannot be read or judged; there is nothing in it that makes Pods.
pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<u8> {
    let mains: Vec<String> = matches.get_many::<String>("main").into_iter().flatten().cloned().collect();
    let what: Vec<&OsString> = matches.get_many::<OsString>("what").into_iter().flatten().collect();
    let (mut all, mut complaints): (Vec<Judgement>, Vec<String>) = (Vec::new(), Vec::new());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let mut take = |file: Result<File, Refusal>, live: bool| {
        let judged = file.and_then(|file| Ok((judge(&file, &mains)?, hangs(&file, &mains, now), owned(&file))));
        let (judged, hanging, owned) = match judged {
            Ok(all) => all,
            Err(refusal) => return complaints.push(refusal.to_string()),
        };
        for mut one in judged {
            // Of a cluster, what makes a Pod is judged, not the Pod; and what is not meant to end is no news there.
            let part = live && owned.contains(&one.line);
            if part {
                one.findings.clear();
            }
            one.findings.extend(hanging.iter().filter(|(line, _)| *line == one.line).map(|(_, found)| found.clone()));
            let idle = live && one.kind == "Pod" && one.verdict == Verdict::NotJudged;
            if !(part || idle) || !one.findings.is_empty() {
                all.push(one);
            }
        }
    };
    let mut asked = Vec::new();
    for one in &what {
        if cluster::is_object(one) {
            asked.push(one.to_string_lossy().into_owned());
        } else if *one != "-" && Path::new(one).is_dir() {
            let mut found = Vec::new();
            below(Path::new(one), 0, &mut found)?;
            found.sort();
            found.iter().for_each(|file| take(files::manifest(file.as_os_str()), false));
        } else {
            take(files::manifest(one), false);
        }
    }
    let everywhere = matches.get_flag("all-namespaces") || (matches.contains_id("namespace") && what.is_empty());
    if everywhere || !asked.is_empty() {
        let bytes = cluster::get(matches, &asked)?;
        take(File::read(cluster::NAME, bytes), true);
        // A Job does not tell whether it hangs; its Pods do.
        if let Some(bytes) = cluster::pods_of(matches, &asked)? {
            take(File::read(cluster::NAME, bytes), true);
        }
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
    files::say(&text)?;
    let threshold = if matches.get_flag("strict") { Severity::Warning } else { Severity::Error };
    let bad = all.iter().flat_map(|one| &one.findings).any(|finding| finding.severity >= threshold);
    Ok(if bad && !matches.get_flag("exit-zero") { FOUND } else { 0 })
}

/// The lines of the Pods that something else has made.
fn owned(file: &File) -> Vec<usize> {
    let pods = objects(file).0.into_iter().filter(|object| object.kind == "Pod" && is_owned(object));
    pods.map(|object| object.node.place().line).collect()
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
