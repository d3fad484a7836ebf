//! exeunt(1). What an option means is said by `src/options.rs`; what the files, codes and signals are, by docs/reference.md.

use crate::markdown::{Page, cells, escaped, inline, roff, section};
use clap::{Arg, Command};
use exeunt::{cli, options};

const REFERENCE: &str = include_str!("../reference.md");

/// Options of which the reference's table says more than their line of `--help`.
const SAID_MORE_OF: [&str; 9] =
    ["dir", "name", "run-id", "restart-policy", "group", "watch", "log-level", "log-format", "outlive-main"];

const DESCRIPTION: &str = "\
`exeunt` is put in front of the command of each container of a Pod, and is PID 1 there. The containers share a
directory, an `emptyDir` as a rule.

In `main` mode it runs the job, and leaves a file in that directory when the job is over. In `sidecar` mode it runs a
helper that would never end by itself (Envoy, a log shipper, a database proxy), is woken by inotify when the job is
over, stops the helper, and exits 0. So the Pod completes, and the Job with it.

The job's exit code is passed on unchanged. If exeunt itself is killed before it can leave the file, the kernel lets go
of a lock that it held, and that tells the others as well. In both modes it is a full init: it forwards signals, reaps
orphans, and hands over the terminal.

The command and its arguments come last, after `--`.
";

const EXAMPLES: &str = "\
A job and its proxy, each in its container, with one volume at /tmp/pod in both:

```
exeunt --mode main    -- /your-batch-job/bin/main --config=/config/job.yaml
exeunt --mode sidecar -- /usr/local/bin/envoy --config-path /etc/envoy.json
```

The job waits for the proxy, and is stopped if the proxy is gone for good:

```
exeunt --mode sidecar --name envoy --ready-when http://127.0.0.1:9901/ready -- envoy ...
exeunt --mode main --wait-for envoy --stop-with envoy -- ...
```

A Pod with `restartPolicy: OnFailure`, whose sidecars are to stay between two attempts:

```
exeunt --mode main --restart-policy on-failure -- ./import
```

A log shipper that is to outlive a job that is stopped from outside:

```
exeunt --mode sidecar --outlive-main=20s --grace 5s -- fluent-bit -c /etc/fluent-bit.conf
```

Without containers, to see it work:

```
mkdir /tmp/pod
exeunt --mode sidecar -- sleep infinity &
exeunt --mode main -- sh -c 'echo working; sleep 1; exit 3'
```
";

/// The page.
pub fn page() -> String {
    let command = cli::command();
    let mut page = Page::new("EXEUNT", env!("CARGO_PKG_VERSION"));
    page.section("NAME", &format!("exeunt \\- {}\n", inline(&about(&command).replacen('L', "l", 1))));
    page.section("SYNOPSIS", &synopsis(&command));
    page.section("DESCRIPTION", &roff(DESCRIPTION));
    page.section("OPTIONS", &options(&command, ".SS"));
    page.section("SUBCOMMANDS", &cli::SUBCOMMANDS.map(|known| subcommand(known.name)).concat());
    page.section("CONDITIONS", &reference("### Conditions"));
    page.section("ENVIRONMENT", &environment());
    page.section("EXIT STATUS", &reference("### Exit codes"));
    page.section("FILES", &reference("## The shared directory"));
    page.section("SIGNALS", &reference("### Signals"));
    page.section("SIDECARS THAT CANNOT BE WRAPPED", &reference("### Sidecars that cannot be wrapped"));
    page.section("SECURITY", &reference("## Security"));
    page.section("LIMITS", &reference("## Limits"));
    page.section("EXAMPLES", &roff(EXAMPLES));
    page.section(
        "SEE ALSO",
        ".BR catatonit (1),\n.BR dumb\\-init (1),\n.BR tini (1),\n.BR flock (2),\n.BR inotify (7),\n\
         .BR pid_namespaces (7),\n.BR signal (7)\n",
    );
    page.text()
}

fn reference(heading: &str) -> String {
    roff(&section(REFERENCE, heading))
}

fn about(command: &Command) -> String {
    command.get_about().expect("every command says what it does").to_string()
}

/// The lines of the usage: what is to be typed is bold, what is to be put in is italic.
fn synopsis(command: &Command) -> String {
    let usage = command.get_overridden_usage().expect("every command has its usage").to_string();
    let lines: Vec<String> = usage.lines().map(|line| words(line.trim())).collect();
    format!(".nf\n{}\n.fi\n", lines.join("\n"))
}

fn words(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_inclusive([' ', '[', ']', '<', '>', '=', ',']) {
        let end = word.trim_end_matches([' ', '[', ']', '<', '>', '=', ',']);
        let font = if end.chars().any(|c| c.is_ascii_uppercase()) { "\\fI" } else { "\\fB" };
        let marked = if end.is_empty() || end == "..." { escaped(end) } else { format!("{font}{}\\fR", escaped(end)) };
        out += &format!("{marked}{}", escaped(&word[end.len()..]));
    }
    out
}

/// The options as a list, below the headings that `--help` gives them, if there is more than one.
fn options(command: &Command, heading: &str) -> String {
    let mut out = String::new();
    let mut last = None;
    let of_main = !heading.is_empty();
    for argument in visible(command).filter(|argument| of_main || argument.get_long() != Some("help")) {
        let group = argument.get_help_heading();
        if of_main && last != Some(group) {
            out += &match group {
                Some("Options") | None => format!("{heading} Both modes\n"),
                Some(mode) => format!("{heading} {mode} mode only\n"),
            };
        }
        last = Some(group);
        out += &option(argument, of_main);
    }
    out
}

fn visible(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_hide_set())
}

fn option(argument: &Arg, at_length: bool) -> String {
    let long = argument.get_long().expect("every option has a long name");
    let mut head = argument.get_short().map(|short| format!("\\fB\\-{short}\\fR, ")).unwrap_or_default();
    head += &format!("\\fB{}\\fR", escaped(&format!("--{long}")));
    if argument.get_action().takes_values() {
        let value = argument.get_value_names().and_then(|names| names.first()).expect("the value has a name");
        let value = words(value);
        head += &if argument.is_require_equals_set() { format!("[={value}]") } else { format!(" {value}") };
    }
    let help = argument.get_help().expect("every option says what it is").to_string();
    let mut out = format!(".TP\n{head}\n{}\n", help.lines().map(inline).collect::<Vec<_>>().join("\n.br\n"));
    if at_length && SAID_MORE_OF.contains(&long) {
        out += &format!(".IP\n{}.\n", inline(meaning(long).trim_start_matches("Sidecar: ")));
    }
    out
}

/// What the reference's table of options says.
fn meaning(long: &str) -> String {
    let flag = format!("`--{long}`");
    let row = REFERENCE.lines().filter_map(cells).find(|row| row[0] == flag);
    row.unwrap_or_else(|| panic!("the reference has no row for {flag}"))[3].to_owned()
}

fn subcommand(name: &str) -> String {
    let command = cli::subcommand(name).expect("a subcommand");
    let usage = command.get_overridden_usage().expect("every command has its usage").to_string();
    format!(".SS {}\n{}.\n{}", words(&usage), inline(&about(&command)), options(&command, ""))
}

/// The variables, and what the reference says of them below its table of options.
fn environment() -> String {
    let mut out = "Each option has its variable:\n".to_owned();
    for option in options::of(options::MAIN | options::SIDECAR) {
        let Some(variable) = option.variable() else { continue };
        out += &format!(".TP\n\\fB{variable}\\fR\n\\fB{}\\fR\n", escaped(&format!("--{}", option.name)));
    }
    let usage = section(REFERENCE, "## Usage");
    let rules = usage.rsplit("\n\n").find(|part| part.starts_with("A flag wins")).expect("the rules for variables");
    out + ".PP\n" + &roff(rules)
}
