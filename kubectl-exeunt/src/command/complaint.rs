//! Words that are no command line, told in one line: what stands there, what is wrong with it, and what to do.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::ffi::OsString;

/// What kubectl calls otherwise, and those who know it type.
const OTHERWISE: &[(&str, &str)] = &[
    ("-f", "name the FILE alone"),
    ("--filename", "name the FILE alone"),
    ("-o", "write --format"),
    ("--output", "write --format"),
];

/// The line for what the parser refuses. `command` is the subcommand that the words are for, or the whole where they name
/// none; it is called `name` by whoever types it.
pub(super) fn complaint(error: &clap::Error, command: &Command, name: &str, words: &[OsString]) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        Some(ContextValue::Strings(all)) => all.first().map_or("", String::as_str),
        _ => "",
    };
    let all = |kind| match error.get(kind) {
        Some(ContextValue::Strings(all)) => all.iter().map(String::as_str).collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    // Of `--main <NAME>` the first word, of `<FILE>` what is between.
    let bare =
        |shown: &str| shown.split([' ', '=']).next().unwrap_or("").trim_matches(['<', '>', '[', ']', '.']).to_owned();
    let (argument, value) = (bare(text(ContextKind::InvalidArg)), text(ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand);
            let names: Vec<&str> =
                command.get_subcommands().filter(|one| !one.is_hide_set()).map(Command::get_name).collect();
            if matches!(word, "help" | "version") {
                return format!("{name}: there is no command '{word}'; did you mean --{word}?");
            }
            match exeunt::cli::nearest(word, names.iter().copied()) {
                Some(near) => format!("{name}: there is no command '{word}'; did you mean {near}?"),
                None => format!("{name}: there is no command '{word}'; there are {}", names.join(", ")),
            }
        }
        ErrorKind::UnknownArgument if !argument.starts_with('-') => match command.get_positionals().next() {
            Some(place) => {
                let place =
                    place.get_value_names().and_then(|names| names.first()).map_or("FILE", |name| name.as_str());
                format!("{name}: one {place} is taken, and '{argument}' stands there, too; call it once for each")
            }
            None => format!("{name}: no word is taken, and '{argument}' stands there; leave it out"),
        },
        ErrorKind::UnknownArgument => {
            let has = |long: &str| exeunt::cli::longs(command).any(|known| known == long);
            let otherwise = OTHERWISE.iter().find(|(other, _)| *other == argument).map(|(_, remedy)| *remedy);
            let otherwise = otherwise.filter(|remedy| match remedy.split_once("--") {
                Some((_, long)) => has(long),
                None => command.get_positionals().next().is_some(),
            });
            let line = exeunt::cli::complaint_of(command, error, words);
            match otherwise {
                Some(remedy) => format!("{name}: unexpected argument '{argument}' found; {remedy}"),
                None if command.has_subcommands() => {
                    format!(
                        "{name}: unexpected argument '{argument}' found; an option stands behind what it is of: {name} check {argument}"
                    )
                }
                None if line.contains("did you mean") => format!("{name}: {line}"),
                None => format!("{name}: {line}; see {name} --help"),
            }
        }
        ErrorKind::InvalidValue => {
            let known = all(ContextKind::ValidValue);
            let wanted = || match known.as_slice() {
                [] => text(ContextKind::InvalidArg)
                    .split_once(' ')
                    .map_or("a value", |(_, name)| name.trim_matches(['<', '>']))
                    .to_owned(),
                some => format!("one of {}", some.join(", ")),
            };
            if value.is_empty() {
                format!("{argument}: its value is missing; wanted is {}", wanted())
            } else {
                format!("{argument}: '{value}' is not known; wanted is {}", wanted())
            }
        }
        ErrorKind::ArgumentConflict => match bare(text(ContextKind::PriorArg)) {
            prior if prior == argument => format!("{argument} is given more than once; give it once"),
            prior => format!("{argument} and {prior} exclude each other; give one of them"),
        },
        ErrorKind::MissingRequiredArgument => {
            let about =
                command.get_positionals().find(|place| place.is_required_set()).and_then(|place| place.get_help());
            let about = about.map(ToString::to_string).unwrap_or_default();
            format!("{name}: {argument} is missing: {}", about.replacen('A', "a", 1))
        }
        ErrorKind::InvalidUtf8 => format!("{name}: a word is not UTF-8 text, and no file's name; write it anew"),
        _ => exeunt::cli::complaint_of(command, error, words),
    }
}
