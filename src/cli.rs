//! The command line: definitions and help texts only. What the words mean is decided in `plan.rs`.

use clap::{Arg, ArgAction, Command, value_parser};
use std::ffi::OsString;

/// The definition that parsing, `--help`, the man page and the completions all come from.
pub fn command() -> Command {
    let both = |name: &'static str, value: &'static str, help: &'static str| option(name, value, help);
    Command::new("exeunt")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Lets a Kubernetes Job and its sidecars leave together: an init for both commands")
        .override_usage(
            "exeunt --mode main    [OPTIONS] -- COMMAND [ARG]...\n       \
             exeunt --mode sidecar [OPTIONS] -- COMMAND [ARG]...",
        )
        .help_template("{about}\n\nUsage: {usage}\n\n{all-args}{after-help}")
        .after_help(
            "Each option is an environment variable too: --grace is EXEUNT_GRACE; a flag wins.\n\
             Durations: 500ms, 30s, 5m, 1h30m, or plain seconds.\n\
             Exit codes: the command's, or 128 + signal; 124 a wait timed out, 125 exeunt itself\n\
             failed, 126 not executable, 127 not found.",
        )
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .next_help_heading("Options")
        .arg(both("mode", "MODE", "main: run the job and tell the others when it is over;\nsidecar: run a helper and stop it when the job is over"))
        .arg(both("dir", "DIR", "The directory that the containers share [/tmp/pod]"))
        .arg(both("name", "NAME", "What this container is called there [main: main-job]"))
        .arg(both("run-id", "ID", "Count only records of this run: for volumes that outlive the Pod"))
        .arg(both("restart-policy", "POLICY", "The Pod's restartPolicy: never, on-failure [never]"))
        .arg(both("stop-signal", "SIGNAL", "What asks the command to end [SIGTERM]"))
        .arg(both("grace", "DURATION", "Time between that and SIGKILL [30s]"))
        .arg(switch("group", "Give the command a process group; signal and await all of it").short('g'))
        .arg(both("log-level", "LEVEL", "error, warning, info or debug [info]"))
        .arg(both("log-format", "FORMAT", "text or json [text]"))
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::SetTrue).help("Print this help"))
        .arg(Arg::new("version").short('V').long("version").action(ArgAction::SetTrue).help("Print the version"))
        .next_help_heading("Sidecar")
        .arg(both("until", "NAME[,NAME...]", "The job: over when all of these are [main-job]"))
        .arg(switch("until-any", "Over when one of them is"))
        .arg(both("exit-with", "WHOSE", "Exit code after a stop because the job ended: zero, child,\nmain [zero]"))
        .arg(both("watch", "HOW", "inotify or poll (each second) [inotify]"))
        .arg(
            Arg::new("command")
                .value_name("COMMAND")
                .num_args(1..)
                .trailing_var_arg(true)
                .hide(true)
                .value_parser(value_parser!(OsString)),
        )
}

fn option(name: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name(value)
        .help(help)
        .allow_hyphen_values(true)
        .value_parser(value_parser!(OsString))
}

fn switch(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
}

/// The first line of a complaint of the parser, without its prefix: one line is what a log shows.
pub fn complaint(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
