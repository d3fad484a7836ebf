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
