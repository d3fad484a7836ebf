//! What can be typed next: for the file `kubectl_complete-exeunt`, which kubectl's own completion asks for a plugin.

use super::files;
use clap::{ArgMatches, Command};
use std::ffi::OsString;

pub(super) fn options() -> Command {
    Command::new("__complete").hide(true).disable_help_flag(true).arg(
        clap::Arg::new("words")
            .num_args(0..)
            .trailing_var_arg(true)
            .allow_hyphen_values(true)
            .value_parser(clap::value_parser!(OsString)),
    )
}

/// The candidates for the last of these words, each with what it means behind a tab, and whether files are candidates, too.
pub fn candidates(words: &[&str]) -> (Vec<String>, bool) {
    let (last, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (*last, before));
    let whole = super::options("kubectl exeunt");
    let Some(command) = before.first().and_then(|name| whole.find_subcommand(name)) else {
        let shown = whole.get_subcommands().filter(|command| !command.is_hide_set());
        let fitting = shown.filter(|command| command.get_name().starts_with(last));
        return (fitting.map(|command| meaning(command.get_name(), command.get_about())).collect(), false);
    };
    let option = |word: &str| {
        let long = word.strip_prefix("--")?;
        command.get_arguments().find(|argument| argument.get_long() == Some(long))
    };
    let values = |argument: &clap::Arg, prefix: &str, begun: &str| -> Vec<String> {
        let names = argument.get_possible_values().into_iter().map(|value| value.get_name().to_owned());
        names.filter(|name| name.starts_with(begun)).map(|name| format!("{prefix}{name}")).collect()
    };
    if let Some((flag, begun)) = last.split_once('=')
        && let Some(argument) = option(flag)
    {
        return (values(argument, &format!("{flag}="), begun), false);
    }
    let awaited = before.last().and_then(|word| option(word)).filter(|argument| argument.get_action().takes_values());
    if let Some(argument) = awaited {
        return (values(argument, "", last), false);
    }
    if last.starts_with('-') {
        let longs = command
            .get_arguments()
            .filter_map(|argument| Some((format!("--{}", argument.get_long()?), argument.get_help())));
        let fitting = longs.filter(|(long, _)| long.starts_with(last));
        return (fitting.map(|(long, help)| meaning(&long, help)).collect(), false);
    }
    (Vec::new(), command.get_positionals().next().is_some())
}

/// A candidate and the first line of its help.
fn meaning(word: &str, help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    match help.lines().next() {
        Some(first) => format!("{word}\t{first}"),
        None => word.to_owned(),
    }
}

/// One candidate a line, and the directive that kubectl's completion knows: `:0` files as well, `:4` none.
pub(super) fn run(matches: &ArgMatches) -> anyhow::Result<u8> {
    let words: Vec<&str> =
        matches.get_many::<OsString>("words").into_iter().flatten().map(|word| word.to_str().unwrap_or("")).collect();
    let (candidates, files) = candidates(&words);
    let mut text: String = candidates.iter().map(|candidate| format!("{candidate}\n")).collect();
    text += if files { ":0\n" } else { ":4\n" };
    files::say(&text)?;
    Ok(0)
}
