//! docs/reliability.md names tests and files: they are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn every_test_and_every_file_that_the_page_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/reliability.md")).expect("the page");
    let mut functions = BTreeSet::new();
    note_functions(&root.join("tests"), &mut functions);
    let quoted: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let mut named = 0;
    for word in quoted {
        let is_name = word.len() > 30 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if word.starts_with("tests/") {
            assert!(root.join(word).is_file(), "{word} is named and is not there");
        } else if is_name {
            assert!(functions.contains(word), "the test {word} is named and is not there");
            named += 1;
        }
    }
    assert!(named >= 10, "only {named} tests were found on the page");
}

/// The names of all functions in this directory and below.
fn note_functions(directory: &Path, functions: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("a directory of tests").flatten() {
        let path = entry.path();
        if path.is_dir() {
            note_functions(&path, functions);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a test");
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next());
            functions.extend(names.map(str::to_owned));
        }
    }
}
