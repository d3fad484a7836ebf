//! docs/reliability.md and SECURITY.md name tests and files: they are there; and whose fault a test is about, it says itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

#[test]
fn every_test_and_every_file_that_the_pages_name_is_there() {
    let functions = functions();
    for (page, least) in [("docs/reliability.md", 40), ("SECURITY.md", 10)] {
        let text = fs::read_to_string(root().join(page)).expect("the page");
        let mut named = 0;
        for word in quoted(&text) {
            if word.starts_with("tests/") {
                assert!(root().join(word).is_file(), "{page}: {word} is named and is not there");
            } else if is_name(word) {
                assert!(functions.contains_key(word), "{page}: the test {word} is named and is not there");
                named += 1;
            }
        }
        assert!(named >= least, "only {named} tests were found on {page}");
    }
}

/// The table "Faults of others": what a row refers to stands above one of the tests that it names, so that whoever changes
/// the test knows what it is for.
#[test]
fn the_tests_against_the_faults_of_others_name_them() {
    let functions = functions();
    let text = fs::read_to_string(root().join("docs/reliability.md")).expect("the page");
    let section = text.split("\n## ").find(|section| section.starts_with("Faults of others")).expect("the section");
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| ") && line.contains('#')).collect();
    assert!(rows.len() >= 30, "only {} rows", rows.len());
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let tests: Vec<&str> = quoted(cells[2]).into_iter().filter(|word| is_name(word)).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for reference in cells[0].split([',', ' ']).filter(|word| word.contains('#')) {
            let named = tests.iter().any(|test| functions.get(*test).is_some_and(|head| head.contains(reference)));
            assert!(named, "{reference} does not stand above any of {tests:?}");
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

fn is_name(word: &str) -> bool {
    word.len() > 25
        && word.contains('_')
        && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// All functions of the tests, each with the comment above it.
fn functions() -> BTreeMap<String, String> {
    let mut functions = BTreeMap::new();
    note_functions(&root().join("tests"), &mut functions);
    functions
}

fn note_functions(directory: &Path, functions: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).expect("a directory of tests").flatten() {
        let path = entry.path();
        if path.is_dir() {
            note_functions(&path, functions);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a test");
            let mut head = String::new();
            for line in text.lines().map(str::trim_start) {
                if line.starts_with("//") || line.starts_with("#[") {
                    head += line;
                    head.push('\n');
                    continue;
                }
                if let Some((_, rest)) = line.split_once("fn ") {
                    let name = rest.split('(').next().unwrap_or_default();
                    *functions.entry(name.to_owned()).or_default() += &head;
                }
                head.clear();
            }
        }
    }
}
