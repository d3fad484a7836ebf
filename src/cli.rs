//! The command line: definitions and help texts only. What the words mean is decided in `plan.rs`.

use clap::{Arg, ArgAction, Command, value_parser};
use std::ffi::OsString;

/// The definition that `--help`, complaints, the man page and the completions all come from.
pub fn command() -> Command {
    define(Texts::All)
}

/// The same without its texts. They are half of the work, and who starts a job reads none of them.
pub fn parser() -> Command {
    define(Texts::None)
}

/// What a definition says of itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Texts {
    All,
    None,
}

fn define(texts: Texts) -> Command {
    let option = |name, value, help| option(texts, name, value, help);
    let many = |name, value, help| option(name, value, help).action(ArgAction::Append);
    let switch = |name, help| switch(texts, name, help);
    Command::new("exeunt")
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
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .next_help_heading("Options")
        .arg(option("mode", "MODE", "main: run the job, tell the others when it is over\nsidecar: run a helper, stop it when the job is over"))
        .arg(option("dir", "DIR", "The directory that the containers share [/tmp/pod]"))
        .arg(option("name", "NAME", "What this container is called there [main: main-job]"))
        .arg(option("run-id", "ID", "Count only records of this run: for volumes that outlive the Pod"))
        .arg(option("restart-policy", "POLICY", "The Pod's restartPolicy: never, on-failure [never]"))
        .arg(option("restart-on", "CODES", "Codes after which this container is started again whatever the\npolicy (restartPolicyRules): 42,43, 40-49, !0,1 for all but these"))
        .arg(many("wait-for", "CONDITION", "Start the command when this holds (repeatable): http://, tcp://,\nunix:///, file:///, exec:COMMAND, or a NAME that is ready"))
        .arg(option("wait-timeout", "TIME", "Give up waiting after this, with 124 [5m]"))
        .arg(option("ready-when", "CONDITION", "Publish NAME-ready when this holds [the command has started]"))
        .arg(option("stop-signal", "SIGNAL", "What asks the command to end [SIGTERM]"))
        .arg(option("grace", "TIME", "Between that and SIGKILL [30s]"))
        .arg(switch("group", "Give the command a process group; signal and await all of it").short('g'))
        .arg(option("watch", "HOW", "inotify, or poll: look once a second [inotify]"))
        .arg(option("log-level", "LEVEL", "error, warning, info, debug [info]"))
        .arg(option("log-format", "FORMAT", "text, json [text]"))
        .arg(switch("help", "Print this help").short('h'))
        .arg(switch("version", "Print the version").short('V'))
        .next_help_heading("Main")
        .arg(many("on-exit", "URL", "POST here after the command has ended (repeatable)"))
        .arg(option("mesh", "MESH", "Wait for and end istio, linkerd, envoy or cloud-sql-proxy"))
        .arg(option("stop-with", "NAME", "Stop the command if this sidecar ends before it"))
        .next_help_heading("Sidecar")
        .arg(option("until", "NAME[,NAME...]", "The job: over when all of these are [main-job]"))
        .arg(switch("until-any", "Over when one of them is"))
        .arg(option("exit-with", "WHOSE", "Exit code after a stop because the job ended:\nzero, child, main [zero]"))
        .arg(
            option("outlive-main", "TIME", "Hold SIGTERM until the job is over, at most this long [20s]")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("20s"),
        )
        .arg(option("linger", "TIME", "Wait so long between the job's end and the stop signal [0s]"))
        .arg(option("absence-timeout", "TIME", "Give up, with 124, when the job has not been there so long [off]"))
        .arg(option("restart", "WHEN", "Start the command again while the job runs:\nnever, on-failure, always [never]"))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .num_args(1..)
                .trailing_var_arg(true)
                .hide(true)
                .value_parser(value_parser!(OsString)),
        )
}

fn option(texts: Texts, name: &'static str, value: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).allow_hyphen_values(true).value_parser(value_parser!(OsString));
    if texts == Texts::All { arg.value_name(value).help(help) } else { arg }
}

fn switch(texts: Texts, name: &'static str, help: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).action(ArgAction::SetTrue);
    if texts == Texts::All { arg.help(help) } else { arg }
}

/// The definitions of the subcommands, which are recognised as the first word only.
pub fn subcommand(name: &str) -> Option<Command> {
    let option = |name, value, help| option(Texts::All, name, value, help);
    let switch = |name, help| switch(Texts::All, name, help);
    let command = |name: &'static str| {
        Command::new(name)
            .no_binary_name(true)
            .disable_help_flag(true)
            .args_override_self(true)
            .help_template("{about}\n\nUsage: {usage}\n\n{all-args}")
            .next_help_heading("Options")
            .arg(option("log-level", "LEVEL", "error, warning, info, debug [info]").hide(true))
            .arg(option("log-format", "FORMAT", "text, json [text]").hide(true))
            .arg(switch("help", "Print this help").short('h'))
    };
    let dir = option("dir", "DIR", "The directory that the containers share [/tmp/pod]");
    let run_id = option("run-id", "ID", "Count only records of this run");
    let words = |name: &'static str| {
        Arg::new("words")
            .value_name(name)
            .num_args(0..)
            .action(ArgAction::Append)
            .hide(true)
            .value_parser(value_parser!(OsString))
    };
    match name {
        "probe" => Some(
            command("probe")
                .about("Tests conditions once: exit code 0 when all hold, 1 when one does not")
                .override_usage("exeunt probe [--timeout TIME] CONDITION...")
                .arg(option("timeout", "TIME", "How long all of it may take [5s]"))
                .arg(dir)
                .arg(run_id)
                .arg(words("CONDITION")),
        ),
        "install" => Some(
            command("install")
                .about("Copies this binary to PATH, for images that cannot be rebuilt")
                .override_usage("exeunt install [--reset] PATH")
                .arg(switch("reset", "Begin anew in the shared directory first, as exeunt reset does"))
                .arg(dir)
                .arg(words("PATH")),
        ),
        "reset" => Some(
            command("reset")
                .about("Removes the files of every life that is over, and no other: for the first init container")
                .override_usage("exeunt reset [--dir DIR]")
                .arg(dir)
                .arg(words("NOTHING")),
        ),
        "status" => Some(
            command("status")
                .about("Shows what the shared directory says of each name")
                .override_usage("exeunt status [--json] [--watch]")
                .arg(dir)
                .arg(run_id)
                .arg(switch("json", "As JSON, one object a name"))
                .arg(switch("watch", "Show it again whenever it changes"))
                .arg(words("NOTHING")),
        ),
        "goodbye" => Some(command("goodbye").about("Sends the requests of --on-exit").arg(words("URL"))),
        _ => None,
    }
}

/// The first line of a complaint of the parser, without its prefix: one line is what a log shows.
pub fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// The same with the nearest option of the command for one that is misspelt.
pub fn complaint_of(command: &Command, error: &clap::Error) -> String {
    let line = complaint(error);
    let unknown = match error.get(clap::error::ContextKind::InvalidArg) {
        Some(clap::error::ContextValue::String(word)) if error.kind() == clap::error::ErrorKind::UnknownArgument => {
            word
        }
        _ => return line,
    };
    match nearest(long_name(unknown), longs(command)) {
        Some(option) => format!("{line}; did you mean --{option}?"),
        None => line,
    }
}

/// An option whose value is the next option, or `--`: an empty variable of a shell or a template has stood there.
pub fn missing_value(flags: &clap::ArgMatches, command: &Command) -> Option<String> {
    let options = command.get_arguments().filter(|argument| argument.get_action().takes_values());
    let mut options = options.filter_map(Arg::get_long);
    options.find_map(|option| {
        let value = flags.get_many::<OsString>(option)?.find(|value| value.as_encoded_bytes().starts_with(b"--"))?;
        Some(format!("--{option}: its value is missing; {} stands there", value.display()))
    })
}

/// The subcommands that a person calls.
pub const SUBCOMMANDS: [&str; 4] = ["probe", "install", "reset", "status"];

/// The long names of the options of a command.
pub fn longs(command: &Command) -> impl Iterator<Item = &str> {
    command.get_arguments().filter_map(Arg::get_long)
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
    pub given: Vec<(String, OsString)>,
    /// What was probably given, but not so that it could be read.
    pub doubtful: Vec<String>,
}

/// Reads what can be read. The first word is the program's own name.
pub fn readable(words: &[OsString]) -> Readable {
    let command = command();
    let mut found = Readable::default();
    let mut words = words.iter().skip(1).peekable();
    while let Some(word) = words.next() {
        // What is not UTF-8 text can be a value, but no option.
        let Some(option) = word.to_str().and_then(|word| word.strip_prefix("--")) else {
            if word.as_encoded_bytes().starts_with(b"-") {
                continue;
            }
            break;
        };
        if option.is_empty() {
            break;
        }
        let name = long_name(option);
        let known = command.get_arguments().find(|argument| argument.get_long() == Some(name));
        let is_option = |word: &&&OsString| word.as_encoded_bytes().starts_with(b"-");
        let mut value = option.split_once('=').map(|(_, value)| OsString::from(value));
        let takes = known.is_none_or(|known| known.get_action().takes_values() && !known.is_require_equals_set());
        if value.is_none() && takes && words.peek().is_some_and(|word| !is_option(&word)) {
            value = words.next().cloned();
        }
        match (known, value) {
            (Some(_), Some(value)) => found.given.push((name.to_owned(), value)),
            (Some(_), None) if takes => found.doubtful.push(name.to_owned()),
            (Some(_), None) => {}
            (None, _) => found.doubtful.extend(nearest(name, longs(&command)).map(str::to_owned)),
        }
    }
    found
}
