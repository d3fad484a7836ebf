//! `inject` puts exeunt into a manifest and changes nothing else; `eject` takes it out again.

mod lookup;
mod plan;
mod record;

pub use plan::{Deliver, How, Image, Outcome, Template, Wish, plan, templates};
pub use record::ANNOTATION;

use super::{REFUSED, files};
use crate::judge::{Judgement, Verdict, judge};
use crate::pod::rendered;
use crate::yaml::{self, File, Refusal};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
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
    rendered(file)?;
    let (mut edits, mut notes, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    let mut natives = Vec::new();
    let all = templates(file);
    missing.extend(strangers(&all, wish));
    for template in &all {
        match choose(file, template, wish)? {
            Outcome::Edits(more, told) => {
                edits.extend(more);
                notes.push(format!("{}: exeunt is in", template.object));
                notes.extend(told);
            }
            Outcome::Native(helpers, why) => {
                notes.extend(why);
                notes.push(format!(
                    "{}: the kubelet ends {} now, from Kubernetes 1.29 on; each starts before the job, and again whenever it ends; its exit code does not count",
                    template.object,
                    helpers.join(" and ")
                ));
                natives.push((template.document, template.path.clone(), helpers));
            }
            Outcome::Nothing(why) => notes.push(why),
            Outcome::Missing(what) => missing.push(what),
        }
    }
    // Nothing half done: not even in another object of the file.
    if !missing.is_empty() {
        return Ok(Injected::Missing(missing));
    }
    let mut text = yaml::apply(file, &edits)?;
    for (document, path, helpers) in &natives {
        text = nativize(file.name(), text, *document, path, helpers)?;
    }
    if text != file.text() {
        let after = File::read(file.name(), text.clone().into_bytes())?;
        let untouched: Vec<_> =
            templates(file).into_iter().filter(|template| record::of(template.node).is_some()).collect();
        // What was in before this run stays in: compare with a file without it.
        let before = if untouched.is_empty() { file.text().to_owned() } else { eject(file)? };
        if eject(&after)? != before {
            return Err(file.refusal(0, "what would be put in could not be taken out again; change it by hand"));
        }
        // Where that is not enough, nobody should learn it from the Job.
        for one in judge(&after, &wish.main).unwrap_or_default() {
            if matches!(one.verdict, Verdict::MayNotEnd | Verdict::NeverEnds) {
                notes.push(format!("{}/{} still {}: {}", one.kind, one.name, one.verdict.words(), one.why));
            }
        }
    }
    Ok(Injected::Text(text, notes))
}

/// Takes out of every object of a file what inject has put in.
///
/// # Errors
/// It was changed since, or must not be touched.
pub fn eject(file: &File) -> Result<String, Refusal> {
    let (mut edits, mut moves) = (Vec::new(), Vec::new());
    for template in templates(file) {
        edits.extend(record::undo(template.document, &template.path, template.node)?);
        // Each was recorded in the file that the one before it had left.
        let back = record::moves(template.node)?.into_iter().rev();
        moves.extend(back.map(|mov| (template.document, template.path.clone(), mov)));
    }
    let mut text = yaml::apply(file, &edits)?;
    for (document, path, mov) in moves {
        let now = File::read(file.name(), text.into_bytes())?;
        let template = at(&now, document, &path)?;
        text = yaml::apply(&now, &[record::move_back(document, &path, template.node, &mov)?])?;
    }
    Ok(text)
}

/// Names of `--main`, `--options` and `--entrypoint` that no container of the file has.
fn strangers(all: &[Template<'_>], wish: &Wish) -> Vec<String> {
    // Those that have become native sidecars stay the ones that are meant.
    let lists = all.iter().filter_map(|template| template.node.get("spec"));
    let lists = lists.flat_map(|spec| [spec.get("containers"), spec.get("initContainers")]).flatten();
    let names: Vec<&str> = lists.flat_map(|list| list.items()).filter_map(|one| record::name(one)).collect();
    let asked = wish.main.iter().map(|name| (name, "--main NAME"));
    let asked = asked.chain(wish.options.keys().map(|name| (name, "--options NAME=WORDS")));
    let asked = asked.chain(wish.entrypoints.keys().map(|name| (name, "--entrypoint NAME=JSON")));
    let strange = asked.filter(|(name, _)| !all.is_empty() && !names.contains(&name.as_str()));
    strange
        .map(|(name, option)| format!("no container is called {name}; there are {}: {option}", names.join(", ")))
        .collect()
}

/// The plan for a template. For `auto` what `check` says decides: nothing where the Pod ends; exeunt in front of the
/// commands, which ends it in every life; the kubelet where a command is not known; a request where nothing else is left.
fn choose(file: &File, template: &Template<'_>, wish: &Wish) -> Result<Outcome, Refusal> {
    if wish.how != How::Auto {
        return plan(template, wish);
    }
    let judged = |one: &Judgement| one.line == template.line;
    let judgement = judge(file, &wish.main)?.into_iter().find(judged);
    let says = |verdict: &Judgement| format!("{} {}", template.object, verdict.verdict.words());
    let said = match &judgement {
        Some(one) if one.verdict == Verdict::Ends => {
            return Ok(Outcome::Nothing(format!("{} without exeunt: nothing was put in", says(one))));
        }
        Some(one) => format!("{}: {}", says(one), one.why),
        None => template.object.clone(),
    };
    let tell = |outcome: Outcome, how: &str| match outcome {
        Outcome::Edits(edits, mut notes) => {
            notes.push(format!("{said}; so {how}"));
            Outcome::Edits(edits, notes)
        }
        other => other,
    };
    let by = |how: How| plan(template, &Wish { how, ..wish.clone() });
    let wrapped = by(How::Wrap)?;
    let missing = match wrapped {
        Outcome::Missing(missing) => missing,
        Outcome::Nothing(why) => {
            return Ok(match by(How::Mesh)? {
                asked @ Outcome::Edits(..) => tell(asked, "--how mesh: what is injected is asked to end"),
                _ => Outcome::Nothing(why),
            });
        }
        wrapped => return Ok(tell(wrapped, "--how wrap: exeunt sees every end of the job, kill -9 as well")),
    };
    if let Outcome::Native(helpers, _) = by(How::Native)?
        && nativize(file.name(), file.text().to_owned(), template.document, &template.path, &helpers).is_ok()
    {
        let why = format!("{said}; so --how native, for what an image runs is not known");
        return Ok(Outcome::Native(helpers, vec![why]));
    }
    Ok(match by(How::Mesh)? {
        asked @ Outcome::Edits(..) => tell(asked, "--how mesh, for what its image runs is not known"),
        _ => Outcome::Missing(missing),
    })
}

/// The template at a path, in a file that has changed around it.
fn at<'a>(file: &'a File, document: usize, path: &[yaml::Step]) -> Result<Template<'a>, Refusal> {
    let mut found = templates(file).into_iter();
    let found = found.find(|template| template.document == document && template.path == path);
    found.ok_or_else(|| file.refusal(0, "a Pod template is not where it was"))
}

/// Moves containers, one after the other, and writes down how each is moved back.
fn nativize(
    name: &str,
    mut text: String,
    document: usize,
    path: &[yaml::Step],
    helpers: &[String],
) -> Result<String, Refusal> {
    let (mut moves, mut comments) = (Vec::new(), false);
    for helper in helpers {
        let file = File::read(name, text.into_bytes())?;
        let template = at(&file, document, path)?;
        let spec = template.node.get("spec").unwrap_or(template.node);
        let list = spec.get("containers").unwrap_or(spec);
        let index = list.items().position(|item| record::name(item) == Some(helper));
        let index =
            index.ok_or_else(|| file.refusal(list.span().start, format!("the container {helper} is not here")))?;
        let (from, to) = ("containers".to_owned(), "initContainers".to_owned());
        moves.push(record::Move { name: helper.clone(), index, moved: yaml::moving(spec, &from, index, &to)? });
        let entry = ("restartPolicy".to_owned(), "Always".into());
        let path = path.iter().cloned().chain([yaml::Step::Key("spec".to_owned())]).collect();
        let edit = yaml::Edit { document, path, change: yaml::Change::Move { from, index, to, entry } };
        comments |= yaml::is_above_comments(&file, &edit);
        text = yaml::apply(&file, &[edit])?;
    }
    let file = File::read(name, text.into_bytes())?;
    yaml::apply(&file, &[plan::record_edit(&at(&file, document, path)?, &[], &moves, comments)])
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
            flag("how", "HOW", "wrap: an exeunt before each command\nnative: helpers become native sidecars (Kubernetes 1.29)\nmesh: helpers are asked by HTTP\nauto: nothing, wrap, native or mesh, by what check says")
                .value_parser(["wrap", "native", "mesh", "auto"])
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
            flag("options", "NAME=WORDS", "More options of exeunt's for a container, as a shell has them:\nload='--wait-for proxy' (repeatable)")
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

pub(super) fn wish(matches: &ArgMatches) -> Result<Wish, String> {
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
    let mut options = BTreeMap::new();
    for text in many("options") {
        let words = text
            .split_once('=')
            .and_then(|(name, words)| Some((name.to_owned(), shlex::split(words)?)))
            .ok_or_else(|| format!("--options {text}: wanted is NAME='--wait-for proxy'"))?;
        options.insert(words.0, words.1);
    }
    let dir = one("dir");
    if !dir.starts_with('/') || dir.trim_end_matches('/').is_empty() || dir.contains(':') {
        return Err(format!("--dir {dir}: wanted is a directory as /tmp/pod"));
    }
    let how = match one("how").as_str() {
        "mesh" => How::Mesh,
        "native" => How::Native,
        "auto" => How::Auto,
        _ => How::Wrap,
    };
    if matches!(how, How::Wrap | How::Native) && !many("on-exit").is_empty() {
        return Err("--on-exit is for --how mesh".to_owned());
    }
    let (deliver, image) = (one("deliver"), one("image"));
    if matches.value_source("path") == Some(ValueSource::CommandLine) && deliver != "path" {
        return Err("--path is for --deliver path".to_owned());
    }
    if deliver != "path" && (image.is_empty() || image.contains(char::is_whitespace)) {
        return Err(format!("--image: {image:?} is not the name of an image"));
    }
    Ok(Wish {
        main: many("main"),
        how,
        deliver: match deliver.as_str() {
            "image" => Deliver::Image,
            "path" => Deliver::Path,
            _ => Deliver::Init,
        },
        image,
        program: one("path"),
        dir: dir.trim_end_matches('/').to_owned(),
        on_exit: many("on-exit"),
        entrypoints,
        options,
        images: BTreeMap::new(),
    })
}

pub(super) fn run_inject(matches: &ArgMatches) -> anyhow::Result<u8> {
    let asked = matches.get_one::<String>("lookup");
    let mut wish = match wish(matches) {
        Ok(wish) => wish,
        Err(message) => anyhow::bail!("error: {message}"),
    };
    with_file(matches, files::manifest, |file| {
        rendered(file)?;
        if let Some(tool) = asked {
            for template in templates(file) {
                if !matches!(plan(&template, &wish)?, Outcome::Missing(_)) {
                    continue;
                }
                for image in plan::unknown_images(&template, &wish) {
                    match lookup::image(tool, &image) {
                        Ok(found) => drop(wish.images.insert(image, found)),
                        Err(why) => files::tell(&format!("{}: {}: {why}", file.name(), template.object)),
                    }
                }
            }
        }
        Ok(match inject(file, &wish)? {
            Injected::Text(text, notes) if templates(file).is_empty() && notes.is_empty() => {
                Some((text, vec!["there is no Job, CronJob or Pod in it; nothing was put in".to_owned()]))
            }
            Injected::Text(text, notes) => Some((text, notes)),
            Injected::Missing(missing) => {
                missing
                    .iter()
                    .for_each(|what| files::tell(&format!("{}: error: nothing was put in: {what}", file.name())));
                None
            }
        })
    })
}

pub(super) fn run_eject(matches: &ArgMatches) -> anyhow::Result<u8> {
    with_file(matches, files::read, |file| {
        let in_it = templates(file).iter().any(|template| record::of(template.node).is_some());
        let notes = if in_it { Vec::new() } else { vec!["nothing is in it that inject has put in".to_owned()] };
        Ok(Some((eject(file)?, notes)))
    })
}

/// Reads the file, writes what becomes of it, and only then says what was done.
fn with_file(
    matches: &ArgMatches,
    read: impl Fn(&OsStr) -> Result<File, Refusal>,
    mut change: impl FnMut(&File) -> Result<Option<(String, Vec<String>)>, Refusal>,
) -> anyhow::Result<u8> {
    let name = matches.get_one::<OsString>("file").cloned().unwrap_or_default();
    let file = read(&name)?;
    let in_place = matches.get_flag("in-place");
    if in_place && name == "-" {
        files::tell("error: standard input cannot be replaced; leave out -i");
        return Ok(REFUSED);
    }
    let Some((text, notes)) = change(&file)? else { return Ok(MISSING) };
    if in_place {
        if text != file.text() {
            files::replace(Path::new(&name), &text)?;
        }
    } else if matches.get_flag("diff") {
        files::say(&files::diff(file.name(), file.text(), &text))?;
    } else {
        files::say(&text)?;
    }
    notes.iter().for_each(|note| files::tell(&format!("{}: {note}", file.name())));
    Ok(0)
}
