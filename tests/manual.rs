//! The manual page and the completions, as a release carries them.

#[path = "../docs/manual/completions.rs"]
#[allow(dead_code, reason = "its texts are asked for through `all`")]
mod completions;
#[path = "../docs/manual/markdown.rs"]
mod markdown;
#[path = "../docs/manual/page.rs"]
mod page;

mod house;
#[path = "house/init.rs"]
mod init;

use exeunt::{cli, options};
use house::{EXEUNT, House, here};
use std::fs;
use std::process::{Command, Output, Stdio};

#[test]
fn the_page_shows_every_option_variable_and_subcommand_of_help() {
    let page = page::page();
    let mut seen = 0;
    for long in long_options(&cli::command()) {
        let flag = markdown::escaped(&format!("--{long}"));
        assert!(
            page.contains(&format!(".TP\n\\fB{flag}\\fR")) || page.contains(&format!("R, \\fB{flag}\\fR")),
            "{long}"
        );
        if !["help", "version"].contains(&long.as_str()) {
            let variable = format!("\\fBEXEUNT_{}\\fR", long.to_uppercase().replace('-', "_"));
            assert!(page.contains(&variable), "{variable}");
        }
        seen += 1;
    }
    assert!(seen > 20, "only {seen} options");
    for cli::Subcommand { name, .. } in cli::SUBCOMMANDS {
        assert!(page.contains(&format!(".SS \\fBexeunt\\fR \\fB{name}\\fR")), "{name}");
    }
}

#[test]
fn the_page_has_the_sections_that_a_reader_looks_for_in_their_order() {
    let page = page::page();
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
    let wanted = [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "SUBCOMMANDS",
        "ENVIRONMENT",
        "EXIT STATUS",
        "FILES",
        "SIGNALS",
        "EXAMPLES",
        "SEE ALSO",
    ];
    let found: Vec<&str> = sections.iter().copied().filter(|section| wanted.contains(section)).collect();
    assert_eq!(found, wanted);
    assert!(page.is_ascii(), "every terminal can show ASCII");
    assert!(!page.contains("]("), "a link of the reference has come through as it was");
}

#[test]
fn groff_and_mandoc_find_nothing_to_warn_of() {
    if !all_found(&["groff", "mandoc"]) {
        return;
    }
    let house = House::new();
    let path = house.path("exeunt.1");
    fs::write(&path, page::page()).unwrap();
    for width in ["60n", "78n", "120n"] {
        let line = format!("-rLL={width}");
        let output = run("groff", &["-man", "-ww", "-z", &line, path.to_str().unwrap()]);
        assert!(output.status.success() && output.stderr.is_empty(), "{}", told(&output));
    }
    let output = run("mandoc", &["-T", "lint", "-W", "warning", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    // The page of a version that is not released has no date.
    let warnings: Vec<&str> = text.lines().filter(|line| !line.contains("missing date")).collect();
    assert!(warnings.is_empty(), "{}", told(&output));
}

#[test]
fn the_page_can_be_read() {
    if !all_found(&["groff"]) {
        return;
    }
    let house = House::new();
    let path = house.path("exeunt.1");
    fs::write(&path, page::page()).unwrap();
    let output = run("groff", &["-man", "-Tascii", "-P-cbou", "-rLL=100n", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    for line in [
        "exeunt --mode sidecar [OPTIONS] -- COMMAND [ARG]...",
        "--outlive-main[=TIME]",
        "EXEUNT_RESTART_POLICY",
        "the command was found but cannot be executed",
        "exeunt --mode main -- sh -c 'echo working; sleep 1; exit 3'",
    ] {
        assert!(text.contains(line), "no {line:?} in\n{text}");
    }
}

#[test]
fn the_words_offered_for_an_option_are_the_words_that_it_takes() {
    let choices = || options::ALL.iter().filter(|option| !option.words().is_empty());
    assert!(choices().count() >= 8);
    for option in choices() {
        let mode = if option.is_of(options::MAIN) { "main" } else { "sidecar" };
        let flag = format!("--{}", option.name);
        let others: &[&str] = if option.name == "mode" { &[] } else { &["--mode", mode] };
        let output = run(EXEUNT, &[others, &[&flag, "nonsense", "--", "true"]].concat());
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(said.trim_end().ends_with(&format!("use {}", option.words().join(", "))), "{flag}: {said}");
        assert_eq!(option.words().len(), option.meanings().len(), "{flag}: each word has a meaning");
        for (word, meaning) in option.words().iter().zip(option.meanings()) {
            assert!(option.help().contains(word), "{flag}: its help does not name {word}");
            assert!(meaning.len() > 5, "{flag}: what is {word}?");
        }
    }
}

#[test]
fn every_option_is_in_every_completion() {
    for (name, text) in completions::all() {
        let commands = cli::SUBCOMMANDS.map(|known| cli::subcommand(known.name).expect("a subcommand"));
        for long in commands.iter().chain([&cli::command()]).flat_map(long_options) {
            let wanted = if name.ends_with("fish") { format!("-l {long} ") } else { format!("--{long}") };
            assert!(text.contains(&wanted), "{name}: {wanted}");
        }
        let open = text.split('@').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()));
        assert!(!open, "{name}: a place was not filled in");
        assert!(!text.contains("goodbye"), "{name}: that one is the program's own");
    }
}

#[test]
fn each_shell_understands_its_completion() {
    let house = completed();
    for (shell, file) in [("bash", "exeunt.bash"), ("zsh", "_exeunt"), ("fish", "exeunt.fish")] {
        if all_found(&[shell]) {
            let path = house.path(format!("completions/{file}"));
            let output = run(shell, &["-n", path.to_str().unwrap()]);
            assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", told(&output));
        }
    }
}

/// What is typed, with the cursor at its end; what must be offered; and what must not.
const TYPED: [(&str, &[&str], &[&str]); 9] = [
    ("exeunt ", &["probe", "install", "status"], &[]),
    ("exeunt --mode ", &["main", "sidecar"], &["--dir", "probe"]),
    ("exeunt --mode s", &["sidecar"], &["main", "status"]),
    ("exeunt --mode sidecar --out", &["--outlive-main"], &["--group"]),
    ("exeunt --mode sidecar --restart ", &["never", "on-failure", "always"], &["--mode"]),
    ("exeunt status --j", &["--json"], &["--mode"]),
    ("exeunt probe --ti", &["--timeout"], &["--mode"]),
    ("exeunt --mode main -- exeun", &["exeunt"], &["--mode", "probe"]),
    ("exeunt --mode main -- env --ch", &[], &["--mode"]),
];

#[test]
fn bash_offers_what_fits() {
    let house = completed();
    for (typed, wanted, unwanted) in TYPED {
        // As readline calls it: the words up to the cursor, the last of them the one to be completed.
        let script = r#"
            . "$1"; compopt() { :; }
            read -ra COMP_WORDS <<<"$2"; [[ $2 != *' ' ]] || COMP_WORDS+=('')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$2 COMP_POINT=${#2}
            exeunt() { :; }
            _exeunt exeunt "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
            printf '%s\n' "${COMPREPLY[@]}"
        "#;
        let file = house.path("completions/exeunt.bash");
        let output = run("bash", &["--norc", "-c", script, "bash", file.to_str().unwrap(), typed]);
        assert_offered(typed, wanted, unwanted, &output);
    }
}

#[test]
fn fish_offers_what_fits() {
    if !all_found(&["fish"]) {
        return;
    }
    let house = completed();
    for (typed, wanted, unwanted) in TYPED {
        let file = house.path("completions/exeunt.fish");
        let script = format!("function exeunt; end; source {}; complete -C {typed:?}", file.display());
        let output = run("fish", &["--no-config", "-c", &script]);
        assert_offered(typed, wanted, unwanted, &output);
    }
}

/// Whoever chooses a value is told what it means, and whoever chooses a subcommand, what it does.
#[test]
fn fish_says_of_each_value_and_subcommand_what_it_is() {
    if !all_found(&["fish"]) {
        return;
    }
    let house = completed();
    let file = house.path("completions/exeunt.fish");
    let offered = |typed: &str| {
        let script = format!("function exeunt; end; source {}; complete -C {typed:?}", file.display());
        let output = run("fish", &["--no-config", "-c", &script]);
        String::from_utf8(output.stdout).unwrap()
    };
    let mut seen = 0;
    for option in options::ALL {
        let whole = offered(&format!("exeunt --{} ", option.name));
        for (word, meaning) in option.words().iter().zip(option.meanings()) {
            let line = format!("{word}\t{}", meaning.trim().trim_end_matches('.'));
            assert!(whole.lines().any(|offered| offered == line), "--{}: no {line:?} in {whole}", option.name);
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} values");
    let first = offered("exeunt ");
    for known in &cli::SUBCOMMANDS {
        let line = format!("{}\t{}", known.name, known.about);
        assert!(first.lines().any(|offered| offered == line), "no {line:?} in {first}");
    }
}

#[test]
fn zsh_says_of_each_value_and_subcommand_what_it_is() {
    if !all_found(&["zsh"]) {
        return;
    }
    let house = completed();
    let pty = init::pty::Pty::open();
    let mut command = Command::new("setsid");
    command.args(["--ctty", "zsh", "-f", "-i"]).env("PS1", "ready> ").env("TERM", "dumb").env("COLUMNS", "400");
    let mut shell = command.stdin(pty.end()).stdout(pty.end()).stderr(pty.end()).spawn().expect("setsid");
    pty.shows("ready> ");
    let directory = house.path("completions");
    let setup = format!("fpath=({} $fpath); autoload -Uz compinit; compinit -u -D", directory.display());
    pty.keys(&format!("{setup}; setopt autolist; LISTMAX=-1; COLUMNS=400; exeunt() {{ :; }}; echo set-\"\"up\n"));
    pty.shows("set-up\r\n");
    let mut seen = 0;
    for option in options::ALL.iter().filter(|option| option.words().len() > 1 && !option.is_of(options::STATUS)) {
        pty.keys(&format!("exeunt --{}=\t", option.name));
        let words = option.words().iter().copied().zip(option.meanings().iter().copied());
        for (_, meaning) in sorted(words.collect()) {
            pty.shows(&format!("-- {}", meaning.trim().trim_end_matches('.')));
            seen += 1;
        }
        pty.keys("\u{15}");
    }
    assert!(seen > 10, "only {seen} values");
    pty.keys("exeunt \t");
    for (_, about) in sorted(cli::SUBCOMMANDS.iter().map(|known| (known.name, known.about)).collect()) {
        pty.shows(&format!("-- {about}"));
    }
    pty.keys("\u{15}exit\n");
    assert!(shell.wait().unwrap().success());
}

/// As zsh lists them.
fn sorted(mut words: Vec<(&'static str, &'static str)>) -> Vec<(&'static str, &'static str)> {
    words.sort_unstable();
    words
}

#[test]
fn a_tab_in_a_real_bash_completes_the_line() {
    let house = completed();
    let file = house.path("completions/exeunt.bash");
    assert_completed_by_tab(&["bash", "--norc", "--noprofile", "-i"], &format!(". {}", file.display()), " ");
}

#[test]
fn a_tab_in_a_real_zsh_completes_the_line() {
    if !all_found(&["zsh"]) {
        return;
    }
    let house = completed();
    let directory = house.path("completions");
    let setup = format!("fpath=({} $fpath); autoload -Uz compinit; compinit -u -D", directory.display());
    assert_completed_by_tab(&["zsh", "-f", "-i"], &setup, "=");
}

fn assert_completed_by_tab(shell: &[&str], setup: &str, equals: &str) {
    let pty = init::pty::Pty::open();
    let mut command = Command::new("setsid");
    command.arg("--ctty").args(shell).env("PS1", "ready> ").env("TERM", "dumb");
    let mut shell = command.stdin(pty.end()).stdout(pty.end()).stderr(pty.end()).spawn().expect("setsid");
    pty.shows("ready> ");
    // What is typed is shown, too: what is printed must look different.
    pty.keys(&format!("{setup}; exeunt() {{ echo \"got <$*>\"; }}; echo set-\"\"up\n"));
    pty.shows("set-up\r\n");
    pty.keys("exeunt --mo\tsid\t--exit-w\tch\t-- true\n");
    // zsh puts an equals sign between an option and its value.
    pty.shows(&format!("got <--mode{0}sidecar --exit-with{0}child -- true>", equals));
    pty.keys("exit\n");
    assert!(shell.wait().unwrap().success());
}

fn assert_offered(typed: &str, wanted: &[&str], unwanted: &[&str], output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    let offered: Vec<&str> =
        text.lines().map(|line| line.split('\t').next().unwrap_or_default().trim_end_matches('=')).collect();
    assert!(output.status.success() && output.stderr.is_empty(), "{typed:?}: {}", told(output));
    for word in wanted {
        assert!(offered.contains(word), "{typed:?} does not offer {word:?}: {}", told(output));
    }
    for word in unwanted {
        assert!(!offered.contains(word), "{typed:?} offers {word:?}: {}", told(output));
    }
}

/// A house with the completions in it.
fn completed() -> House {
    let house = House::new();
    for (name, text) in completions::all() {
        let path = house.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    house
}

fn long_options(command: &clap::Command) -> Vec<String> {
    let visible = command.get_arguments().filter(|argument| !argument.is_hide_set());
    visible.filter_map(|argument| argument.get_long().map(str::to_owned)).collect()
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env_remove("EXEUNT_MODE").stdin(Stdio::null());
    command.output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn told(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{}\n--- standard output\n{out}\n--- standard error\n{err}", output.status)
}

/// Whether the programs are installed. In CI they have to be.
fn all_found(programs: &[&str]) -> bool {
    let missing: Vec<&&str> = programs.iter().filter(|program| here::on_path(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    here::pass_over(&format!("it needs {missing:?}"));
    false
}
