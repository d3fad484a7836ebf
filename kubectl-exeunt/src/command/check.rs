//! `check`: would it ever end?

use super::{Strangers, cluster, files};
use crate::judge::{Judgement, Severity, Verdict, hangs, is_owned, judge_each};
use crate::out;
use crate::pod::objects;
use crate::yaml::{File, Refusal, Text};
use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

/// Something at or above the threshold was found.
const FOUND: u8 = 1;

/// So much text is written at once.
const AT_ONCE: usize = 64 << 10;

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
    let format = matches.get_one::<String>("format").map_or("text", String::as_str);
    let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let text = (format == "text").then(|| out::Text { colour, ..out::Text::default() });
    let all = Report {
        text,
        streams: false,
        said: Ok(()),
        kept: Vec::new(),
        objects: 0,
        worst: None,
        strangers: Strangers::new(&mains),
    };
    let (mut all, mut complaints) = (all, Vec::new());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let mut take = |text: Result<Text, Refusal>, live: bool, last: bool| {
        let told = text.and_then(|text| {
            let mark = all.mark();
            if text.is_long() {
                let judged = text.pieces().try_for_each(|file| all.add(&file?, &mains, now, live));
                if judged.is_ok() {
                    return judged;
                }
                // Who knows the whole says best what is wrong with it.
                all.back_to(&mark);
            }
            // Behind the last one nothing can be refused any more, and what is said need not wait for its end.
            all.streams = last && complaints.is_empty() && mains.is_empty();
            let judged = text.whole().and_then(|file| all.add(&file, &mains, now, live));
            judged.inspect_err(|_| all.back_to(&mark))
        });
        if let Err(refusal) = told {
            complaints.push(refusal.to_string());
        }
    };
    let (mut asked, mut named) = (Vec::new(), Vec::new());
    for one in &what {
        if cluster::is_object(one) {
            asked.push(one.to_string_lossy().into_owned());
        } else if *one != "-" && Path::new(one).is_dir() {
            let mut found = Vec::new();
            below(Path::new(one), 0, &mut found)?;
            found.sort();
            named.extend(found.into_iter().map(PathBuf::into_os_string));
        } else {
            named.push((*one).clone());
        }
    }
    let everywhere = matches.get_flag("all-namespaces") || (matches.contains_id("namespace") && what.is_empty());
    let live = everywhere || !asked.is_empty();
    for (number, one) in named.iter().enumerate() {
        take(files::manifests(one), false, !live && number + 1 == named.len());
    }
    if live {
        let bytes = cluster::get(matches, &asked)?;
        // A Job does not tell whether it hangs; its Pods do.
        let pods = cluster::pods_of(matches, &asked)?;
        take(Text::new(cluster::NAME, bytes), true, pods.is_none());
        if let Some(bytes) = pods {
            take(Text::new(cluster::NAME, bytes), true, true);
        }
    } else if what.is_empty() {
        bail!("nothing is named: give a FILE, a DIR, - for standard input, KIND/NAME, or -A");
    }
    if !complaints.is_empty() {
        bail!("{}", complaints.join("\n"));
    }
    if all.objects == 0 && !everywhere && !matches.get_flag("allow-none") {
        let first = what.first().map_or_else(String::new, |first| first.to_string_lossy().into_owned());
        bail!("{first}:1:1: error: there is no Job, CronJob or Pod in it; nothing was judged");
    }
    if all.objects > 0 {
        all.strangers.refuse()?;
    }
    let Report { kept, text, worst, said, .. } = all;
    said?;
    let written = match (text, format) {
        (Some(text), _) => [text.findings, text.verdicts],
        (None, "json") => [format!("{:#}\n", out::json(&kept)), String::new()],
        (None, "sarif") => [format!("{:#}\n", out::sarif(&kept)), String::new()],
        (None, "junit") => [out::junit(&kept), String::new()],
        (None, _) => [out::github(&kept), String::new()],
    };
    written.iter().try_for_each(|text| files::say(text))?;
    let threshold = if matches.get_flag("strict") { Severity::Warning } else { Severity::Error };
    let bad = worst.is_some_and(|worst| worst >= threshold);
    Ok(if bad && !matches.get_flag("exit-zero") { FOUND } else { 0 })
}

/// All that is to be said. Text is written down at once: it is much smaller than what it says.
struct Report<'a> {
    text: Option<out::Text>,
    /// What is found may be said at once.
    streams: bool,
    /// Whether it could be.
    said: anyhow::Result<()>,
    kept: Vec<Judgement>,
    objects: usize,
    worst: Option<Severity>,
    strangers: Strangers<'a>,
}

/// How far a report was.
struct Mark {
    text: (usize, usize),
    kept: usize,
    objects: usize,
    worst: Option<Severity>,
}

impl Report<'_> {
    fn mark(&self) -> Mark {
        let text = self.text.as_ref().map_or((0, 0), |text| (text.findings.len(), text.verdicts.len()));
        Mark { text, kept: self.kept.len(), objects: self.objects, worst: self.worst }
    }

    /// As if nothing had come since.
    fn back_to(&mut self, mark: &Mark) {
        if let Some(text) = &mut self.text {
            text.findings.truncate(mark.text.0);
            text.verdicts.truncate(mark.text.1);
        }
        self.kept.truncate(mark.kept);
        (self.objects, self.worst) = (mark.objects, mark.worst);
    }

    /// What comes of some documents.
    fn add(&mut self, file: &File, mains: &[String], now: i64, live: bool) -> Result<(), Refusal> {
        self.strangers.look_in(file);
        let (hanging, owned) = (hangs(file, mains, now), owned(file));
        judge_each(file, mains, |mut one| {
            // Of a cluster, what makes a Pod is judged, not the Pod; and what is not meant to end is no news there.
            let part = live && owned.contains(&one.line);
            if part {
                one.findings.clear();
            }
            one.findings.extend(hanging.iter().filter(|(line, _)| *line == one.line).map(|(_, found)| found.clone()));
            let idle = live && one.kind == "Pod" && one.verdict == Verdict::NotJudged;
            if (part || idle) && one.findings.is_empty() {
                return;
            }
            self.objects += 1;
            self.worst = self.worst.max(one.findings.iter().map(|finding| finding.severity).max());
            match &mut self.text {
                Some(text) => {
                    text.add(&one);
                    if self.streams && text.findings.len() >= AT_ONCE {
                        // Who cannot be told the first will not hear the rest.
                        self.said = std::mem::replace(&mut self.said, Ok(())).and_then(|()| files::say(&text.findings));
                        text.findings.clear();
                    }
                }
                None => self.kept.push(one),
            }
        })
    }
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
