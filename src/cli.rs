//! The command line: what the parser takes, made of the table of options. What the words mean is decided in `plan.rs`.

use crate::options::{self, Opt, Takes, Whose};
use clap::{Arg, ArgAction, Command, value_parser};
use std::ffi::OsString;

/// The definition that `--help` and complaints come from.
pub fn command() -> Command {
    define(Whom::People)
}

/// The same without its texts. They are half of the work, and who starts a job reads none of them.
pub fn parser() -> Command {
    define(Whom::All)
}

/// The same for these words alone, without the options that none of them names: each costs, and who starts a job names three
/// of thirty. What it refuses is for the whole one to judge.
pub fn parser_of(words: &[OsString]) -> Command {
    define(Whom::Words(words))
}

/// Whom a definition is for.
#[derive(Clone, Copy)]
enum Whom<'a> {
    /// Those who read: with its texts.
    People,
    /// Every command line.
    All,
    /// This one.
    Words(&'a [OsString]),
}

impl Whom<'_> {
    /// Their part of somebody's options.
    fn options(self, whose: Whose) -> impl Iterator<Item = Arg> {
        let words = if let Whom::Words(words) = self { words } else { &[] };
        let named: Vec<&[u8]> = words.iter().filter_map(named_by).collect();
        let wanted = move |option: &&Opt| match self {
            Whom::People | Whom::All => true,
            // Those without a value are few, and known by a letter, too.
            Whom::Words(_) => option.value().is_none() || named.contains(&option.name.as_bytes()),
        };
        options::of(whose).filter(wanted).map(move |option| argument(self, option))
    }
}

/// The option that a word names, if it is one: `--name`, `--name=value`.
fn named_by(word: &OsString) -> Option<&[u8]> {
    let name = word.as_encoded_bytes().strip_prefix(b"--")?;
    name.split(|byte| *byte == b'=').next()
}

fn define(whom: Whom) -> Command {
    let command = Command::new("exeunt")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(whom.options(options::MAIN | options::SIDECAR))
        .arg(words("command", "COMMAND", 1).trailing_var_arg(true));
    let Whom::People = whom else { return command };
    command
        .version(env!("CARGO_PKG_VERSION"))
        .about("Lets a Kubernetes Job and its sidecars leave together: an init for both commands")
        .override_usage(
            "exeunt --mode main    [OPTIONS] -- COMMAND [ARG]...\n       \
             exeunt --mode sidecar [OPTIONS] -- COMMAND [ARG]...\n       \
             exeunt probe [--timeout TIME] CONDITION...\n       \
             exeunt install [--reset] PATH\n       \
             exeunt reset [--dir DIR]\n       \
             exeunt status [--json] [--watch]",
        )
        .help_template("{about}\n\nUsage: {usage}\n\n{all-args}{after-help}")
        .after_help(
            "Each option is an environment variable too: --grace is EXEUNT_GRACE; a flag wins.\n\
             Times: 500ms, 30s, 5m, 1h30m, or plain seconds.\n\
             Exit codes: the command's, or 128 + signal; 124 a wait timed out, 125 exeunt itself\n\
             failed, 126 not executable, 127 not found.",
        )
}

/// The words that are no options.
fn words(name: &'static str, shown: &'static str, least: usize) -> Arg {
    Arg::new(name).value_name(shown).num_args(least..).hide(true).value_parser(value_parser!(OsString))
}

fn argument(whom: Whom, option: &'static Opt) -> Arg {
    let mut arg = Arg::new(option.name).long(option.name);
    arg = match option.takes {
        // To ask twice for the same is no contradiction.
        Takes::Flag | Takes::Switch => arg.action(ArgAction::SetTrue).overrides_with(option.name),
        Takes::Value(_) | Takes::Directory(_) | Takes::Word(..) => {
            arg.allow_hyphen_values(true).value_parser(value_parser!(OsString))
        }
    };
    if let Some(short) = option.short {
        arg = arg.short(short);
    }
    if option.repeatable {
        arg = arg.action(ArgAction::Append);
    }
    if option.optional {
        arg = arg.num_args(0..=1).require_equals(true).default_missing_value(option.default().unwrap_or_default());
    }
    let Whom::People = whom else { return arg };
    if let Some(value) = option.value() {
        arg = arg.value_name(value);
    }
    let heading = match (option.is_of(options::MAIN), option.is_of(options::SIDECAR)) {
        (true, false) => "Main",
        (false, true) => "Sidecar",
        (true, true) | (false, false) => "Options",
    };
    arg.help(option.help()).help_heading(heading)
}

/// A subcommand, which is recognised as the first word only.
pub struct Subcommand {
    /// Its name.
    pub name: &'static str,
    /// Whose options it has.
    pub whose: Whose,
    /// What it does.
    pub about: &'static str,
    usage: &'static str,
    words: &'static str,
}

/// The subcommands that a person calls.
pub const SUBCOMMANDS: [Subcommand; 4] = [
    Subcommand {
        name: "probe",
        whose: options::PROBE,
        about: "Tests conditions once: exit code 0 when all hold, 1 when one does not",
        usage: "exeunt probe [--timeout TIME] CONDITION...",
        words: "CONDITION",
    },
    Subcommand {
        name: "install",
        whose: options::INSTALL,
        about: "Copies this binary to PATH, for images that cannot be rebuilt",
        usage: "exeunt install [--reset] PATH",
        words: "PATH",
    },
    Subcommand {
        name: "reset",
        whose: options::RESET,
        about: "Removes the files of every life that is over, and no other: for the first init container",
        usage: "exeunt reset [--dir DIR]",
        words: "NOTHING",
    },
    Subcommand {
        name: "status",
        whose: options::STATUS,
        about: "Shows what the shared directory says of each name",
        usage: "exeunt status [--json] [--watch]",
        words: "NOTHING",
    },
];

/// The one that a main calls for itself.
const GOODBYE: Subcommand = Subcommand {
    name: "goodbye",
    whose: options::GOODBYE,
    about: "Sends the requests of --on-exit",
    usage: "exeunt goodbye URL...",
    words: "URL",
};

/// The definition of a subcommand, if it is one.
pub fn subcommand(name: &str) -> Option<Command> {
    define_subcommand(name, Whom::People)
}

/// The same for these words alone, as [`parser_of`]: a probe may be made every second.
pub fn subcommand_of(name: &str, words: &[OsString]) -> Option<Command> {
    define_subcommand(name, Whom::Words(words))
}

fn define_subcommand(name: &str, whom: Whom) -> Option<Command> {
    let known = SUBCOMMANDS.iter().chain([&GOODBYE]).find(|known| known.name == name)?;
    let command = Command::new(known.name)
        .no_binary_name(true)
        .disable_help_flag(true)
        .args(whom.options(known.whose))
        .arg(words("words", known.words, 0).action(ArgAction::Append));
    let Whom::People = whom else { return Some(command) };
    let told_elsewhere = [options::LOG_LEVEL.name, options::LOG_FORMAT.name];
    Some(
        command
            .help_template("{about}\n\nUsage: {usage}\n\n{all-args}")
            .about(known.about)
            .override_usage(known.usage)
            .mut_args(|arg| {
                let hidden = arg.is_hide_set() || told_elsewhere.contains(&arg.get_id().as_str());
                arg.help_heading("Options").hide(hidden)
            }),
    )
}

/// The first line of a complaint of the parser, without its prefix: one line is what a log shows.
pub fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The same with the nearest option of the command for one of these words that is misspelt.
pub fn complaint_of(command: &Command, error: &clap::Error, words: &[OsString]) -> String {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let line = complaint(error);
    let Some(ContextValue::String(of)) = error.get(ContextKind::InvalidArg) else { return line };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let before = words.iter().map_while(|word| word.to_str().filter(|word| *word != "--"));
            let known = |name: &&str| longs(command).any(|long| long == *name);
            let with_one = before.filter(|word| !of.starts_with("--") && word.contains(of.trim_start_matches('-')));
            if let Some(name) = with_one.filter_map(of_one_dash).find(known) {
                return format!("unexpected argument '-{name}' found; did you mean --{name}?");
            }
            // An item of a list in a manifest that holds two: `- --grace 30s`.
            if of.contains(char::is_whitespace) {
                return format!("{line}; it is one word: write each word by itself");
            }
            match nearest(long_name(of), longs(command)) {
                Some(option) => format!("{line}; did you mean --{option}?"),
                None => line,
            }
        }
        // Which of two values is meant nobody can tell.
        ErrorKind::ArgumentConflict => {
            let option = of.split(['[', ' ']).next().unwrap_or_default();
            format!("{option} is given more than once; give it once")
        }
        ErrorKind::TooManyValues => match error.get(ContextKind::InvalidValue) {
            Some(ContextValue::String(value)) => {
                format!("{of} takes no value, and '{value}' stands there; write {of} alone")
            }
            _ => line,
        },
        _ => line,
    }
}

/// An option whose value is the next option, or `--`: an empty variable of a shell or a template has stood there.
pub fn missing_value(flags: &clap::ArgMatches, command: &Command) -> Option<String> {
    let options = command.get_arguments().filter(|argument| argument.get_action().takes_values());
    let mut options = options.filter_map(Arg::get_long);
    options.find_map(|option| {
        let value = values(flags, option)?.find(|value| value.as_encoded_bytes().starts_with(b"--"))?;
        Some(format!("--{option}: its value is missing; {} stands there", value.display()))
    })
}

/// What is given of an option, if it is. An option that the definition does not have is not given.
pub fn values<'a>(flags: &'a clap::ArgMatches, name: &str) -> Option<clap::parser::ValuesRef<'a, OsString>> {
    flags.try_get_many(name).ok().flatten()
}

/// The long names of the options of a command.
pub fn longs(command: &Command) -> impl Iterator<Item = &str> {
    command.get_arguments().filter_map(Arg::get_long)
}

/// The option of a mode that a word would be, if it stood before the command. Every program has its own `--help`.
pub fn own(word: &OsString) -> Option<&'static Opt> {
    let name = long_name(word.to_str().filter(|word| word.starts_with("--"))?);
    let mut own = options::of(options::MAIN | options::SIDECAR).filter(|option| !matches!(option.takes, Takes::Flag));
    own.find(|option| option.name == name)
}

/// A word that is no option as it stands, and is one with another dash: `-grace`. What follows a single dash are letters of
/// one option each, so the parser complains of one of them.
fn of_one_dash(word: &str) -> Option<&str> {
    let name = word.strip_prefix('-').filter(|name| !name.starts_with('-')).map(long_name)?;
    (name.len() > 1).then_some(name)
}

/// A word that begins with a dash that a word processor or a web page has made of two: what stands behind it.
pub fn behind_a_long_dash(word: &str) -> Option<&str> {
    let is_dash = |letter: char| letter == '-' || matches!(letter, '\u{2010}'..='\u{2015}' | '\u{2212}');
    word.starts_with(|first: char| first != '-' && is_dash(first)).then(|| word.trim_start_matches(is_dash))
}

/// Of `--name=value` the name.
fn long_name(word: &str) -> &str {
    word.trim_start_matches('-').split('=').next().unwrap_or_default()
}

/// What one of these words was probably meant by a misspelt one; none if they are too far apart.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    if length < 2 {
        return None;
    }
    let far = |known: &'a str| (if known.starts_with(word) { 1 } else { distance(word, known) }, known);
    let (distance, found) = known.map(far).min_by_key(|(distance, _)| *distance)?;
    (distance > 0 && distance <= 1 + length / 4).then_some(found)
}

/// How many letters have to be put in, left out, changed, or changed for their neighbour (optimal string alignment).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=other.len()).collect();
    let mut previous = None;
    for letter in one.chars() {
        let mut row = vec![last.first().map_or(0, |distance| distance + 1)];
        for (at, wanted) in other.iter().enumerate() {
            let of = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = (of(&last, at + 1) + 1).min(of(&row, at) + 1);
            best = best.min(of(&last, at) + usize::from(letter != *wanted));
            if at > 0 && previous == Some(*wanted) && other.get(at - 1) == Some(&letter) {
                best = best.min(of(&before, at - 1).saturating_add(1));
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
        previous = Some(letter);
    }
    last.last().copied().unwrap_or(0)
}

/// What can be read of a command line that the parser refuses: the settings that say whose end is to be published, where, and
/// whether it is final.
///
/// A misspelt option swallows its value, too. What is missing its value, or looks like a misspelt one of these, is in
/// `doubtful`: nothing may be concluded from its absence.
#[derive(Debug, Default)]
pub struct Readable {
    /// Option and value, the last one last.
    pub given: Vec<(&'static Opt, OsString)>,
    /// What was probably given, but not so that it could be read.
    pub doubtful: Vec<&'static Opt>,
}

/// Reads what can be read. The first word is the program's own name.
pub fn readable(words: &[OsString]) -> Readable {
    let options = || options::of(options::MAIN | options::SIDECAR);
    let mut found = Readable::default();
    let mut words = words.iter().skip(1).peekable();
    let is_short = |letter: char| options().any(|option| option.short == Some(letter));
    while let Some(word) = words.next() {
        // What is not UTF-8 text can be a value, but no option.
        let text = word.to_str();
        let with_one = text.and_then(of_one_dash).filter(|name| !name.chars().all(is_short));
        let misdashed = with_one.or(text.and_then(behind_a_long_dash));
        let Some(option) = text.and_then(|word| word.strip_prefix("--")).or(misdashed) else {
            if word.as_encoded_bytes().starts_with(b"-") {
                continue;
            }
            break;
        };
        if option.is_empty() {
            break;
        }
        // With its value in one word, as an item of a list may hold it, it is clear as well; with more than that it is not.
        let end = option.find(|letter: char| letter == '=' || letter.is_whitespace()).unwrap_or(option.len());
        let (name, rest) = option.split_at(end);
        let written = rest.strip_prefix('=').or(Some(rest.trim()).filter(|rest| !rest.is_empty()));
        let is_more = !rest.starts_with('=') && rest.trim().contains(char::is_whitespace);
        let called = |name: &str| options().find(|option| option.name == name);
        if !rest.starts_with('=') {
            // What else stands in that word was meant, too, and cannot be read.
            let others = rest.split_whitespace().filter(|part| part.starts_with("--"));
            found.doubtful.extend(others.filter_map(|part| called(long_name(part))));
        }
        let known = called(name);
        let is_option = |word: &&&OsString| word.as_encoded_bytes().starts_with(b"-");
        let mut value = written.map(OsString::from);
        let takes = known.is_none_or(|known| known.value().is_some() && !known.optional);
        if value.is_none() && takes && words.peek().is_some_and(|word| !is_option(&word)) {
            value = words.next().cloned();
        }
        match (known, value) {
            // With another dash it was nothing to the parser; what it says may be meant otherwise.
            (Some(known), _) if misdashed.is_some() || is_more => found.doubtful.push(known),
            (Some(known), Some(value)) => found.given.push((known, value)),
            (Some(known), None) if takes => found.doubtful.push(known),
            (Some(_), None) => {}
            (None, _) => {
                found.doubtful.extend(nearest(name, options().map(|option| option.name)).and_then(called));
            }
        }
    }
    found
}
