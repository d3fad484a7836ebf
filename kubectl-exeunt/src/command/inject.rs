//! `inject` puts exeunt into a manifest and changes nothing else; `eject` takes it out again.

mod lookup;
mod plan;
mod record;

pub use plan::{Deliver, How, Image, Outcome, Template, Wish, plan, templates};
pub use record::ANNOTATION;

use super::{REFUSED, files};
use crate::yaml::{self, File, Refusal};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

/// Nothing was written because something is not known.
const MISSING: u8 = 1;

/// What came of a file.
#[derive(Debug)]
pub enum Injected {
    /// Its text with exeunt in it, and what to tell of it.
    Text(String, Vec<String>),
    /// What is not known, for each object.
    Missing(Vec<String>),
}

/// Puts exeunt into every object of a file that needs it.
///
/// # Errors
/// A node that must not be touched; or what was put in could not be taken out again to the byte.
pub fn inject(file: &File, wish: &Wish) -> Result<Injected, Refusal> {
    let (mut edits, mut notes, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for template in templates(file) {
        match plan(&template, wish)? {
            Outcome::Edits(more, told) => {
                edits.extend(more);
                notes.push(format!("{}: exeunt is in", template.object));
                notes.extend(told);
            }
            Outcome::Nothing(why) => notes.push(why),
            Outcome::Missing(what) => missing.push(what),
        }
    }
    // Nothing half done: not even in another object of the file.
    if !missing.is_empty() {
        return Ok(Injected::Missing(missing));
    }
    let text = yaml::apply(file, &edits)?;
    if !edits.is_empty() {
        let after = File::read(file.name(), text.clone().into_bytes())?;
        let untouched: Vec<_> =
            templates(file).into_iter().filter(|template| record::of(template.node).is_some()).collect();
        // What was in before this run stays in: compare with a file without it.
        let before = if untouched.is_empty() { file.text().to_owned() } else { eject(file)? };
        if eject(&after)? != before {
            return Err(file.refusal(0, "what would be put in could not be taken out again; change it by hand"));
        }
    }
    Ok(Injected::Text(text, notes))
}

/// Takes out of every object of a file what inject has put in.
///
/// # Errors
/// It was changed since, or must not be touched.
pub fn eject(file: &File) -> Result<String, Refusal> {
    let mut edits = Vec::new();
    for template in templates(file) {
        edits.extend(record::undo(template.document, &template.path, template.node)?);
    }
    yaml::apply(file, &edits)
}

fn flag(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(value).help(help)
}

fn common(command: Command) -> Command {
    command
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(clap::value_parser!(OsString))
                .help("A manifest, or - for standard input"),
        )
        .arg(
            Arg::new("in-place")
                .short('i')
                .long("in-place")
                .action(ArgAction::SetTrue)
                .help("Replace the file, at once and with its mode and owner"),
        )
        .arg(
            Arg::new("diff")
                .long("diff")
                .action(ArgAction::SetTrue)
                .conflicts_with("in-place")
                .help("Print what would change, as diff -u does"),
        )
}

pub(super) fn inject_options() -> Command {
    common(Command::new("inject").about("Put exeunt into a manifest, change nothing else"))
        .arg(flag("main", "NAME", "The container that is the job (repeatable)").action(ArgAction::Append))
        .arg(
            flag("how", "HOW", "wrap: an exeunt before each command\nmesh: helpers are asked by HTTP")
                .value_parser(["wrap", "mesh"])
                .default_value("wrap"),
        )
        .arg(
            flag(
                "deliver",
                "HOW",
                "init: by an init container\nimage: by an image volume (Kubernetes 1.35)\npath: it is in the images",
            )
            .value_parser(["init", "image", "path"])
            .default_value("init"),
        )
        .arg(flag("image", "REF", "The image that holds /exeunt").default_value("exeunt"))
        .arg(flag("path", "PROGRAM", "With --deliver path: exeunt in the images").default_value("exeunt"))
        .arg(flag("dir", "DIR", "The directory that the containers share").default_value("/tmp/pod"))
        .arg(
            flag("on-exit", "URL", "With --how mesh: POST here when the job is over (repeatable)")
                .action(ArgAction::Append),
        )
        .arg(
            flag(
                "entrypoint",
                "NAME=JSON",
                "What the image of a container without command runs:\nproxy='[\"/proxy\", \"--flag\"]' (repeatable)",
            )
            .action(ArgAction::Append),
        )
        .arg(
            flag("lookup", "TOOL", "Ask this tool what such an image runs; only crane\nand skopeo ask a registry")
                .value_parser(["docker", "podman", "crane", "skopeo"]),
        )
}

pub(super) fn eject_options() -> Command {
    common(Command::new("eject").about("Take exeunt out of a manifest again, byte for byte"))
}

fn wish(matches: &ArgMatches) -> Result<Wish, String> {
    let many = |name: &str| matches.get_many::<String>(name).into_iter().flatten().cloned().collect::<Vec<_>>();
    let one = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
    let mut entrypoints = BTreeMap::new();
    for text in many("entrypoint") {
        let words = text
            .split_once('=')
            .and_then(|(name, json)| Some((name.to_owned(), serde_json::from_str::<Vec<String>>(json).ok()?)));
        let (name, words) = words
            .filter(|(_, words)| !words.is_empty())
            .ok_or_else(|| format!("--entrypoint {text}: wanted is NAME='[\"/program\", \"--flag\"]'"))?;
        entrypoints.insert(name, words);
    }
    let dir = one("dir");
    if !dir.starts_with('/') || dir.trim_end_matches('/').is_empty() || dir.contains(':') {
        return Err(format!("--dir {dir}: wanted is a directory as /tmp/pod"));
    }
    let how = if one("how") == "mesh" { How::Mesh } else { How::Wrap };
    if how == How::Wrap && !many("on-exit").is_empty() {
        return Err("--on-exit is for --how mesh".to_owned());
    }
    Ok(Wish {
        main: many("main"),
        how,
        deliver: match one("deliver").as_str() {
            "image" => Deliver::Image,
            "path" => Deliver::Path,
            _ => Deliver::Init,
        },
        image: one("image"),
        program: one("path"),
        dir: dir.trim_end_matches('/').to_owned(),
        on_exit: many("on-exit"),
        entrypoints,
        images: BTreeMap::new(),
    })
}

pub(super) fn run_inject(matches: &ArgMatches) -> anyhow::Result<u8> {
    let asked = matches.get_one::<String>("lookup");
    let mut wish = match wish(matches) {
        Ok(wish) => wish,
        Err(message) => anyhow::bail!("error: {message}"),
    };
    with_file(matches, |file| {
        if let Some(tool) = asked {
            for template in templates(file) {
                if !matches!(plan(&template, &wish)?, Outcome::Missing(_)) {
                    continue;
                }
                for image in plan::unknown_images(&template, &wish) {
                    match lookup::image(tool, &image) {
                        Ok(found) => drop(wish.images.insert(image, found)),
                        Err(why) => eprintln!("{}: {}: {why}", file.name(), template.object),
                    }
                }
            }
        }
        Ok(match inject(file, &wish)? {
            Injected::Text(text, notes) => {
                notes.iter().for_each(|note| eprintln!("{}: {note}", file.name()));
                Some(text)
            }
            Injected::Missing(missing) => {
                missing.iter().for_each(|what| eprintln!("{}: error: nothing was put in: {what}", file.name()));
                None
            }
        })
    })
}

pub(super) fn run_eject(matches: &ArgMatches) -> anyhow::Result<u8> {
    with_file(matches, |file| eject(file).map(Some))
}

fn with_file(
    matches: &ArgMatches,
    mut change: impl FnMut(&File) -> Result<Option<String>, Refusal>,
) -> anyhow::Result<u8> {
    let name = matches.get_one::<OsString>("file").cloned().unwrap_or_default();
    let file = files::read(&name)?;
    let Some(text) = change(&file)? else { return Ok(MISSING) };
    let mut out = std::io::stdout().lock();
    if matches.get_flag("in-place") {
        if name == "-" {
            eprintln!("error: standard input cannot be replaced; leave out -i");
            return Ok(REFUSED);
        }
        if text != file.text() {
            files::replace(Path::new(&name), &text)?;
        }
    } else if matches.get_flag("diff") {
        out.write_all(files::diff(file.name(), file.text(), &text).as_bytes())?;
    } else {
        out.write_all(text.as_bytes())?;
    }
    out.flush()?;
    Ok(0)
}
