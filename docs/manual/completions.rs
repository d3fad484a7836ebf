//! Completions for bash, zsh and fish, from the definition of the options.
//!
//! Made here and not by clap_complete, which does not know what a wrapper needs: behind `--`, and behind the first word
//! that is no option, another command begins, and its own completions are wanted.

use exeunt::cli::{SUBCOMMANDS, Subcommand};
use exeunt::options::{self, Opt, Takes, Whose};

const RUN: Whose = options::MAIN | options::SIDECAR;

/// Each file and its text, under the names that the shells look for.
pub fn all() -> [(&'static str, String); 3] {
    [("completions/exeunt.bash", bash()), ("completions/_exeunt", zsh()), ("completions/exeunt.fish", fish())]
}

/// The options of one of these, as their `--help` shows them.
fn of(whose: Whose) -> Vec<&'static Opt> {
    // How messages look is an option of every subcommand, and shown by none.
    let told_elsewhere = |option: &Opt| whose & RUN == 0 && option.is_of(RUN) && option.is_of(options::GOODBYE);
    options::of(whose).filter(|option| !told_elsewhere(option) || option.value().is_none()).collect()
}

fn of_subcommand(subcommand: &Subcommand) -> Vec<&'static Opt> {
    of(subcommand.whose)
}

fn names_of_subcommands() -> Vec<&'static str> {
    SUBCOMMANDS.iter().map(|subcommand| subcommand.name).collect()
}

fn help(option: &Opt) -> String {
    option.help().replace('\n', " ")
}

/// Whether the next word may be its value.
fn takes_the_next(option: &Opt) -> bool {
    option.value().is_some() && !option.optional
}

fn is_free(option: &Opt) -> bool {
    takes_the_next(option) && matches!(option.takes, Takes::Value(_))
}

/// The words of an option, each with what it means.
fn described(option: &Opt) -> impl Iterator<Item = (&'static str, &'static str)> {
    option.words().iter().copied().zip(option.meanings().iter().copied())
}

/// What a word means, without the full stop of a sentence.
fn meaning(text: &str) -> &str {
    text.trim().trim_end_matches('.')
}

/// What can be typed for these options.
fn words_of(options: &[&Opt]) -> String {
    let words = options.iter().flat_map(|option| {
        let equals = if option.optional { "=" } else { "" };
        option.short.map(|short| format!("-{short}")).into_iter().chain([format!("--{}{equals}", option.name)])
    });
    words.collect::<Vec<_>>().join(" ")
}

fn alternatives<'a>(options: impl Iterator<Item = &'a Opt>) -> String {
    let sorted: std::collections::BTreeSet<String> = options.map(|option| format!("--{}", option.name)).collect();
    sorted.into_iter().collect::<Vec<_>>().join(" | ")
}

fn bash() -> String {
    let run = of(RUN);
    let mut values = String::new();
    for option in run.iter().filter(|option| !option.words().is_empty()) {
        values += &format!("        --{}) words='{}' ;;\n", option.name, option.words().join(" "));
    }
    let everywhere = SUBCOMMANDS.iter().flat_map(of_subcommand).chain(run.clone());
    let subcommands: String = SUBCOMMANDS
        .iter()
        .map(|known| format!("        {}) words='{}' ;;\n", known.name, words_of(&of_subcommand(known))))
        .collect();
    include_str!("completions.bash")
        .replace("@VALUES@\n", &values)
        .replace("@SUBCOMMANDS@\n", &subcommands)
        .replace("@FREE@", &alternatives(everywhere.filter(|option| is_free(option))))
        .replace("@TAKES_VALUE@", &alternatives(run.iter().copied().filter(|option| takes_the_next(option))))
        .replace("@OPTIONAL@", &alternatives(run.iter().copied().filter(|option| option.optional)))
        .replace("@FIRST@", &names_of_subcommands().join(" "))
        .replace("@OPTIONS@", &words_of(&run))
}

fn zsh() -> String {
    let list = |options: Vec<&Opt>| options.into_iter().map(zsh_option).collect::<String>();
    let described = |known: &Subcommand| format!("    '{}:{}'\n", known.name, quoted(&known.about.replace(':', "\\:")));
    let subcommands: String = SUBCOMMANDS
        .iter()
        .map(|known| {
            let rest = match known.name {
                "install" => "'1:path:_files'",
                "probe" => "'*:condition:_default'",
                _ => "",
            };
            let options = list(of_subcommand(known));
            format!("    ({})\n      _arguments -s -S \\\n{options}        {rest}\n      ;;\n", known.name)
        })
        .collect();
    include_str!("completions.zsh")
        .replace("@FIRST@\n", &SUBCOMMANDS.iter().map(described).collect::<String>())
        .replace("@SUBCOMMANDS@\n", &subcommands)
        .replace("@OPTIONS@\n", &list(of(RUN)))
        .replace("@NAMES@", &names_of_subcommands().join("|"))
}

fn zsh_option(option: &Opt) -> String {
    let help = quoted(&help(option).replace('[', "\\[").replace(']', "\\]"));
    let name = option.name;
    let value = match option.takes {
        Takes::Flag | Takes::Switch => String::new(),
        Takes::Word(..) => format!(":{name}:(({}))", described(option).map(zsh_word).collect::<Vec<_>>().join(" ")),
        Takes::Directory(_) => format!(":{name}:_files -/"),
        Takes::Value(_) if option.optional => format!("::{name}: "),
        Takes::Value(_) => format!(":{name}: "),
    };
    let equals = match option.value() {
        None => "",
        Some(_) if option.optional => "=-",
        Some(_) => "=",
    };
    let names = match option.short {
        Some(short) => format!("'(-{short} --{name})'{{-{short},--{name}}}'"),
        None => format!("'{}--{name}{equals}", if option.repeatable { "*" } else { "" }),
    };
    format!("        {names}[{help}]{value}' \\\n")
}

/// A word with what it means, for a list that _arguments reads as shell words.
fn zsh_word((word, text): (&str, &str)) -> String {
    let mut described = String::new();
    for letter in meaning(text).chars() {
        if !letter.is_alphanumeric() {
            described.push('\\');
        }
        described.push(letter);
    }
    quoted(&format!("{word}\\:{described}"))
}

fn fish() -> String {
    let alone: Vec<&Opt> = of(RUN).into_iter().filter(|option| !takes_the_next(option)).collect();
    let mut out = include_str!("completions.fish")
        .replace("@FIRST@", &names_of_subcommands().join(" "))
        .replace("@SWITCHES@", &words_of(&alone).replace('=', ""));
    let mut list = |condition: &str, options: Vec<&Opt>| {
        for option in options {
            let short = option.short.map(|short| format!(" -s {short}")).unwrap_or_default();
            let value = match option.takes {
                Takes::Flag | Takes::Switch => String::new(),
                Takes::Value(_) if option.optional => String::new(),
                Takes::Word(..) => {
                    format!(" -x -a '{}'", self::described(option).map(fish_word).collect::<Vec<_>>().join(" "))
                }
                Takes::Directory(_) => " -x -a '(__fish_complete_directories)'".to_owned(),
                Takes::Value(_) => " -x".to_owned(),
            };
            let help = help(option).replace('\\', "\\\\").replace('\'', "\\'");
            out += &format!("complete -c exeunt -n '{condition}'{short} -l {}{value} -d '{help}'\n", option.name);
        }
    };
    list("__exeunt_at options", of(RUN));
    for known in &SUBCOMMANDS {
        list(&format!("__exeunt_at {}", known.name), of_subcommand(known));
    }
    for known in &SUBCOMMANDS {
        out += &format!("complete -c exeunt -n '__exeunt_at first' -a {} -d '{}'\n", known.name, known.about);
    }
    out
}

/// fish shows what stands behind a tab beside a value.
fn fish_word((word, text): (&str, &str)) -> String {
    let inner = meaning(text).replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
    format!("{word}\\t\"{}\"", inner.replace('\'', "\\'"))
}

/// For the inside of a pair of single quotes.
fn quoted(text: &str) -> String {
    text.replace('\'', "'\\''")
}
