//! `rehearse`: every way in which a Pod can end.

use super::{Strangers, cluster, files};
use crate::judge::rehearse::{Rehearsal, json, rehearse, svg, text};
use crate::judge::scenarios;
use crate::yaml::File;
use anyhow::{anyhow, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::OsString;

pub(super) fn options() -> Command {
    Command::new("rehearse")
        .about("Every way in which this Pod can end")
        .arg(
            Arg::new("file")
                .value_name("FILE|-|KIND/NAME")
                .required(true)
                .value_parser(clap::value_parser!(OsString))
                .help("A manifest, - for standard input, or an object of the cluster"),
        )
        .arg(Arg::new("namespace").long("namespace").short('n').value_name("NS").help("With KIND/NAME: the namespace"))
        .args(cluster::options())
        .arg(
            Arg::new("main")
                .long("main")
                .value_name("NAME")
                .action(ArgAction::Append)
                .help("The container that is the job (repeatable); all others are helpers"),
        )
        .arg(
            Arg::new("format")
                .long("format")
                .value_name("FORMAT")
                .value_parser(["text", "json", "svg"])
                .default_value("text")
                .help("text: a table, and a timeline of what breaks\njson: the facts\nsvg: the timelines, drawn"),
        )
}

/// Plays every Pod of a file.
///
/// # Errors
/// The file cannot be read, or nothing in it is a Job, a CronJob or a Pod; a command line that exeunt would refuse.
pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<u8> {
    let name = matches.get_one::<OsString>("file").ok_or_else(|| anyhow!("no file is given"))?;
    let main: Vec<String> = matches.get_many::<String>("main").into_iter().flatten().cloned().collect();
    let file = if cluster::is_object(name) {
        File::read(cluster::NAME, cluster::get(matches, &[name.to_string_lossy().into_owned()])?)
    } else {
        files::manifest(name)
    };
    let file = file.map_err(|refusal| anyhow!("{refusal}"))?;
    let read = scenarios(&file, &main).map_err(|refusal| anyhow!("{refusal}"))?;
    let played: Vec<(Rehearsal, Vec<String>)> =
        read.into_iter().map(|read| (rehearse(&read.scenario), read.notes)).collect();
    if played.is_empty() {
        bail!("{}:1:1: there is no Job, CronJob or Pod in it; nothing was played", file.name());
    }
    let mut strangers = Strangers::new(&main);
    strangers.look_in(&file);
    strangers.refuse()?;
    let out = match matches.get_one::<String>("format").map(String::as_str) {
        Some("json") => {
            let all: Vec<_> = played.iter().map(|(rehearsal, _)| json(rehearsal)).collect();
            format!("{:#}\n", serde_json::json!({ "objects": all }))
        }
        Some("svg") => match played.as_slice() {
            [(one, _)] => svg(one),
            _ => bail!("{}:1:1: there are {} Pods in it; a drawing shows one", file.name(), played.len()),
        },
        _ => {
            let mut out = String::new();
            for (rehearsal, notes) in &played {
                if !out.is_empty() {
                    out.push('\n');
                }
                out += &text(rehearsal);
                if !notes.is_empty() {
                    out.push('\n');
                }
                notes.iter().for_each(|note| out += &format!("note: {note}\n"));
            }
            out
        }
    };
    files::say(&out)?;
    Ok(0)
}
