//! Completion: kubectl asks the file in deploy/ with the words so far.

use std::path::Path;
use std::process::Command;

fn complete(words: &[&str]) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_kubectl-exeunt"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubectl_complete-exeunt");
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new(script).args(words).env("PATH", path).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
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
