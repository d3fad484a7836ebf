//! What the fuzzer has found worth keeping, and what has broken a law once, is replayed here without it. `.ci/fuzz` looks
//! for more.

#[path = "../../fuzz/src/manifest.rs"]
mod manifest;
#[path = "../../fuzz/src/shell.rs"]
mod shell;

use std::path::Path;

#[test]
fn no_manifest_breaks_a_law() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/plugin/manifest");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(corpus).expect("the corpus").flatten() {
        seen.push(manifest::laws(&std::fs::read(entry.path()).expect("an input")));
    }
    assert!(seen.len() >= 20, "only {} inputs", seen.len());
    assert!(seen.iter().filter(|seen| seen.read).count() >= 15);
    assert!(seen.iter().filter(|seen| seen.injected).count() >= 8, "{seen:?}");
    assert!(seen.iter().filter(|seen| seen.inject_refused).count() >= 2, "{seen:?}");
    assert!(seen.iter().map(|seen| seen.edits).sum::<usize>() >= 100);
    assert!(seen.iter().any(|seen| seen.refused > 0 && seen.why.is_some()));
}

#[test]
fn no_script_breaks_a_law() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/plugin/shell");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(corpus).expect("the corpus").flatten() {
        seen.push(shell::laws(&std::fs::read(entry.path()).expect("an input")));
    }
    assert!(seen.len() >= 30, "only {} inputs", seen.len());
    assert!(seen.iter().filter(|seen| seen.read && seen.paths > 1).count() >= 20, "{seen:?}");
    assert!(seen.iter().map(|seen| seen.calls).sum::<usize>() >= 20, "{seen:?}");
    assert!(seen.iter().any(|seen| !seen.read), "{seen:?}");
}

#[test]
fn every_manifest_of_the_repository_keeps_the_laws() {
    let mut open = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..")];
    let mut count = 0;
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).expect("a directory").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if name != "target" && name != ".git" {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json") {
                manifest::laws(&std::fs::read(&path).expect("a file"));
                count += 1;
            }
        }
    }
    assert!(count >= 10, "only {count} files");
}
