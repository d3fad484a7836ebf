//! Completion: kubectl asks the file in deploy/ with the words so far.

#[path = "../manual/page.rs"]
mod manual;

mod house;

use house::{Place, program};
use std::path::Path;
use std::process::Command;

fn complete(words: &[&str]) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubectl_complete-exeunt");
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new(script).args(words).env("PATH", path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn subcommands_options_and_values() {
    assert_eq!(complete(&["inj"]), ["inject", ":4"]);
    let all = complete(&[""]);
    assert!(["inject", "eject", "rehearse", "policy", "fn"].iter().all(|name| all.iter().any(|one| one == name)));
    assert!(!all.iter().any(|one| one.starts_with("__")), "{all:?}");
    assert_eq!(complete(&["rehearse", "--for"]), ["--format", ":4"]);
    assert_eq!(complete(&["rehearse", "--format", ""]), ["text", "json", "svg", ":4"]);
    assert_eq!(complete(&["inject", "--deliver=i"]), ["--deliver=init", "--deliver=image", ":4"]);
}

#[test]
fn files_where_a_file_is_wanted() {
    assert_eq!(complete(&["inject", "--main", "load", "ni"]), [":0"]);
    assert_eq!(complete(&["policy", ""]), [":4"]);
    // Nothing that is typed is an error.
    for words in [&["inject", "--nosuch", "--=", "="][..], &["nosuch", "x"], &["-"], &["--help"], &["inject", "--", ""]]
    {
        assert!(complete(words).last().is_some_and(|line| line.starts_with(':')), "{words:?}");
    }
}

#[test]
fn a_word_comes_with_its_meaning() {
    let program =
        Command::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).args(["__complete", "--", "eje"]).output().unwrap();
    let said = String::from_utf8(program.stdout).unwrap();
    assert_eq!(said, "eject\tTake exeunt out of a manifest again, byte for byte\n:4\n");
}

/// The page has every option of every subcommand, and nothing of what is hidden.
#[test]
fn the_manual_page_shows_all_that_help_shows() {
    let page = manual::page();
    let whole = kubectl_exeunt::command::options("kubectl exeunt");
    let mut seen = 0;
    for command in whole.get_subcommands().filter(|command| !command.is_hide_set()) {
        assert!(page.contains(&format!(".SS \\fBkubectl exeunt {}\\fR", command.get_name())), "{}", command.get_name());
        for long in command.get_arguments().filter_map(|argument| argument.get_long()).filter(|long| *long != "help") {
            assert!(page.contains(&format!("\\fB\\-\\-{}\\fR", long.replace('-', "\\-"))), "--{long}");
            seen += 1;
        }
    }
    assert!(seen > 25 && page.is_ascii() && !page.contains("__complete"), "{seen}");
    let place = Place::new("manual");
    let file = place.write("kubectl-exeunt.1", &page);
    let (Some(groff), Some(mandoc)) = (program("groff"), program("mandoc")) else { return };
    let output = Command::new(groff).args(["-man", "-ww", "-z"]).arg(&file).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(mandoc).args(["-T", "lint", "-W", "warning"]).arg(&file).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The page of a version that is not released has no date.
    let warnings: Vec<&str> = text.lines().filter(|line| !line.contains("missing date")).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
}

/// What is typed, with the cursor at its end, and a word that must be offered.
const TYPED: [(&str, &str, &str); 4] = [
    ("kubectl-exeunt inj", "inject", "eject"),
    ("kubectl-exeunt inject --deliver ", "image", "--deliver"),
    ("kubectl-exeunt inject --entr", "--entrypoint", "--image"),
    ("kubectl-exeunt check man", "manifest.yaml", "inject"),
];

fn completions(test: &str) -> Place {
    let place = Place::new(test);
    for (name, text) in manual::COMPLETIONS {
        place.write(name, text);
    }
    place.write("here/manifest.yaml", "");
    place
}

fn offered(place: &Place, shell: &str, script: &str, file: &str, typed: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let output = Command::new(shell)
        .args(["-c", script])
        .args(if shell == "bash" { vec!["bash"] } else { vec![] })
        .arg(place.path(file))
        .arg(typed)
        .env("PATH", path)
        .current_dir(place.path("here"))
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

#[test]
fn bash_and_fish_offer_what_fits() {
    let place = completions("bash-and-fish");
    let bash = r#"
        . "$1"; compopt() { COMPREPLY+=(*); }
        read -ra COMP_WORDS <<<"$2"; [[ $2 != *' ' ]] || COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _kubectl_exeunt
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let fish = "source $argv[1]; complete -C $argv[2]";
    for (shell, script, file) in
        [("bash", bash, "completions/kubectl-exeunt.bash"), ("fish", fish, "completions/kubectl-exeunt.fish")]
    {
        if program(shell).is_none() {
            continue;
        }
        for (typed, wanted, unwanted) in TYPED {
            let offered = offered(&place, shell, script, file, typed);
            assert!(offered.iter().any(|word| word == wanted), "{shell}: {typed:?}: {offered:?}");
            assert!(!offered.iter().any(|word| word == unwanted), "{shell}: {typed:?}: {offered:?}");
        }
    }
}

/// zsh completes only at a terminal, which its own module makes.
#[test]
fn a_tab_in_zsh_completes_the_line() {
    let Some(zsh) = program("zsh") else { return };
    let place = completions("zsh");
    let script = r#"
        zmodload zsh/zpty
        zpty shell zsh -f -i
        zpty -w shell "PS1=; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; kubectl-exeunt() { print -r -- \"got <\$*>\" }"
        zpty -w -n shell $'kubectl-exeunt inj\t--deliv\tpa\tx\n'
        while zpty -r shell line; do
            print -r -- "$line"
            [[ $line != *'got <'* || $line == *'got <$'* ]] || exit 0
        done
    "#;
    let directory = Path::new(env!("CARGO_BIN_EXE_kubectl-exeunt")).parent().unwrap();
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let output = Command::new("timeout")
        .arg("60")
        .arg(zsh)
        .args(["-f", "-c", script, "zsh"])
        .arg(place.path("completions"))
        .env("PATH", path)
        .env("TERM", "dumb")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("got <inject --deliver path x>"), "{said}");
}
