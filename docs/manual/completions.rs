//! Completions for bash, zsh and fish, from the definition of the options.
//!
//! Made here and not by clap_complete, which does not know what a wrapper needs: behind `--`, and behind the first word
//! that is no option, another command begins, and its own completions are wanted.

use crate::page::SUBCOMMANDS;
use clap::{Arg, Command};
use exeunt::cli;

/// The words that an option takes. The program itself reads them in `src/plan.rs`, whose answer to a wrong one is better
/// than the parser's; tests/manual.rs compares the two.
pub const CHOICES: [(&str, &[&str]); 8] = [
    ("mode", &["main", "sidecar"]),
    ("restart-policy", &["never", "on-failure"]),
    ("watch", &["inotify", "poll"]),
    ("log-level", &["error", "warning", "info", "debug"]),
    ("log-format", &["text", "json"]),
    ("mesh", &["istio", "linkerd", "envoy", "cloud-sql-proxy"]),
    ("exit-with", &["zero", "child", "main"]),
    ("restart", &["never", "on-failure", "always"]),
];

/// Each file and its text, under the names that the shells look for.
pub fn all() -> [(&'static str, String); 3] {
    [("completions/exeunt.bash", bash()), ("completions/_exeunt", zsh()), ("completions/exeunt.fish", fish())]
}

struct Flag {
    short: Option<char>,
    long: String,
    help: String,
    value: Option<Value>,
    repeatable: bool,
}

enum Value {
    Word(&'static [&'static str]),
    Directory,
    Free,
    /// Only behind an equals sign.
    Optional,
}

fn flags(command: &Command) -> Vec<Flag> {
    command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(flag).collect()
}

fn flag(argument: &Arg) -> Option<Flag> {
    let long = argument.get_long()?.to_owned();
    let words = CHOICES.iter().find(|(name, _)| *name == long).map(|(_, words)| *words);
    let value = argument.get_action().takes_values().then_some(match words {
        Some(words) => Value::Word(words),
        None if long == "dir" => Value::Directory,
        None if argument.is_require_equals_set() => Value::Optional,
        None => Value::Free,
    });
    Some(Flag {
        short: argument.get_short(),
        help: argument.get_help()?.to_string().replace('\n', " "),
        value,
        repeatable: matches!(argument.get_action(), clap::ArgAction::Append),
        long,
    })
}

fn subcommand(name: &str) -> Command {
    cli::subcommand(name).expect("a subcommand")
}

fn about(name: &str) -> String {
    subcommand(name).get_about().expect("every command says what it does").to_string()
}

/// What can be typed for these options.
fn words_of(flags: &[Flag]) -> String {
    let words = flags.iter().flat_map(|flag| {
        let equals = if matches!(flag.value, Some(Value::Optional)) { "=" } else { "" };
        flag.short.map(|short| format!("-{short}")).into_iter().chain([format!("--{}{equals}", flag.long)])
    });
    words.collect::<Vec<_>>().join(" ")
}

fn bash() -> String {
    let main = flags(&cli::command());
    let mut values = String::new();
    for flag in &main {
        if let Some(Value::Word(words)) = flag.value {
            values += &format!("        --{}) words='{}' ;;\n", flag.long, words.join(" "));
        }
    }
    let free: Vec<String> = SUBCOMMANDS
        .iter()
        .flat_map(|name| flags(&subcommand(name)))
        .chain(flags(&cli::command()))
        .filter(|flag| matches!(flag.value, Some(Value::Free)))
        .map(|flag| format!("--{}", flag.long))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    let subcommands: String = SUBCOMMANDS
        .iter()
        .map(|name| format!("        {name}) words='{}' ;;\n", words_of(&flags(&subcommand(name)))))
        .collect();
    let takes_value: Vec<String> = main
        .iter()
        .filter(|flag| !matches!(flag.value, None | Some(Value::Optional)))
        .map(|flag| format!("--{}", flag.long))
        .collect();
    include_str!("completions.bash")
        .replace("@VALUES@\n", &values)
        .replace("@SUBCOMMANDS@\n", &subcommands)
        .replace("@FREE@", &free.join(" | "))
        .replace("@TAKES_VALUE@", &takes_value.join(" | "))
        .replace("@FIRST@", &SUBCOMMANDS.join(" "))
        .replace("@OPTIONS@", &words_of(&main))
}

fn zsh() -> String {
    let list = |command: &Command| flags(command).iter().map(zsh_flag).collect::<String>();
    let described = |name: &&str| format!("    '{name}:{}'\n", quoted(&about(name).replace(':', "\\:")));
    let subcommands: String = SUBCOMMANDS
        .iter()
        .map(|name| {
            let rest = match *name {
                "install" => "'1:path:_files'",
                "probe" => "'*:condition:_default'",
                _ => "",
            };
            format!("    ({name})\n      _arguments -s -S \\\n{}        {rest}\n      ;;\n", list(&subcommand(name)))
        })
        .collect();
    include_str!("completions.zsh")
        .replace("@FIRST@\n", &SUBCOMMANDS.iter().map(described).collect::<String>())
        .replace("@SUBCOMMANDS@\n", &subcommands)
        .replace("@OPTIONS@\n", &list(&cli::command()))
        .replace("@NAMES@", &SUBCOMMANDS.join("|"))
}

fn zsh_flag(flag: &Flag) -> String {
    let help = quoted(&flag.help.replace('[', "\\[").replace(']', "\\]"));
    let (equals, value) = match &flag.value {
        None => ("", String::new()),
        Some(Value::Word(words)) => ("=", format!(":{}:({})", flag.long, words.join(" "))),
        Some(Value::Directory) => ("=", format!(":{}:_files -/", flag.long)),
        Some(Value::Free) => ("=", format!(":{}: ", flag.long)),
        Some(Value::Optional) => ("=-", format!("::{}: ", flag.long)),
    };
    let names = match flag.short {
        Some(short) => format!("'(-{short} --{0})'{{-{short},--{0}}}'", flag.long),
        None => format!("'{}--{}{equals}", if flag.repeatable { "*" } else { "" }, flag.long),
    };
    format!("        {names}[{help}]{value}' \\\n")
}

fn fish() -> String {
    let alone = |flag: &Flag| matches!(flag.value, None | Some(Value::Optional));
    let switches: Vec<Flag> = flags(&cli::command()).into_iter().filter(alone).collect();
    let mut out = include_str!("completions.fish")
        .replace("@FIRST@", &SUBCOMMANDS.join(" "))
        .replace("@SWITCHES@", &words_of(&switches).replace('=', ""));
    let mut list = |condition: &str, command: &Command| {
        for flag in flags(command) {
            let short = flag.short.map(|short| format!(" -s {short}")).unwrap_or_default();
            let value = match &flag.value {
                None | Some(Value::Optional) => String::new(),
                Some(Value::Word(words)) => format!(" -x -a '{}'", described(&flag, words)),
                Some(Value::Directory) => " -x -a '(__fish_complete_directories)'".to_owned(),
                Some(Value::Free) => " -x".to_owned(),
            };
            let help = flag.help.replace('\\', "\\\\").replace('\'', "\\'");
            out += &format!("complete -c exeunt -n '{condition}'{short} -l {}{value} -d '{help}'\n", flag.long);
        }
    };
    list("__exeunt_at options", &cli::command());
    for name in SUBCOMMANDS {
        list(&format!("__exeunt_at {name}"), &subcommand(name));
    }
    for name in SUBCOMMANDS {
        out += &format!("complete -c exeunt -n '__exeunt_at first' -a {name} -d '{}'\n", about(name));
    }
    out
}

/// fish shows what stands behind a tab beside a value: where the help has a line for each value, its own.
fn described(flag: &Flag, words: &[&str]) -> String {
    let meaning = |word: &str| {
        let (_, rest) = flag.help.split_once(&format!("{word}: "))?;
        let end = words.iter().filter_map(|other| rest.find(&format!(" {other}: "))).min();
        Some(rest[..end.unwrap_or(rest.len())].replace('\'', "\\'"))
    };
    let one = |word: &&str| match meaning(word) {
        Some(text) => format!("{word}\\t\"{text}\""),
        None => format!("{word}\\t\"\""),
    };
    words.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// For the inside of a pair of single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}
