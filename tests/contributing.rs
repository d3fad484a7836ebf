//! CONTRIBUTING.md lists the test files, each with its first line; `EXEUNT_RENEW=1` writes the list.

#[path = "house/here.rs"]
mod here;

use std::fs;
use std::process::Command;

#[test]
fn the_table_of_test_files_is_that_of_the_files() {
    let mut rows: Vec<String> = fs::read_dir(here::path("tests"))
        .expect("the tests")
        .filter_map(|entry| {
            let path = entry.expect("a file").path();
            let name = path.file_stem()?.to_str()?.to_owned();
            (path.extension()? == "rs").then(|| format!("| `{name}` | {} |\n", first_sentence(&path)))
        })
        .collect();
    rows.sort();
    let table = format!("| file | what it holds |\n|---|---|\n{}", rows.concat());
    let page = here::read("CONTRIBUTING.md");
    let start = page.find("| file | what it holds |").expect("the table");
    let end = page[start..].find("\n\n").map_or(page.len(), |end| start + end + 1);
    if std::env::var_os("EXEUNT_RENEW").is_some_and(|value| value == "1") {
        fs::write(here::path("CONTRIBUTING.md"), format!("{}{table}{}", &page[..start], &page[end..]))
            .expect("the page");
        return;
    }
    assert_eq!(&page[start..end], table, "EXEUNT_RENEW=1 cargo test --test contributing writes the table anew");
}

/// Who changes a line of the program in which a fault is planted sees it here, and not first in a run of everything.
#[test]
fn each_fault_can_still_be_planted() {
    let Some(_) = here::program("git", "git") else { return };
    let output = Command::new(here::path(".ci/planted")).arg("--check").output().expect("start .ci/planted");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The first paragraph of the head, up to the end of its first sentence.
fn first_sentence(path: &std::path::Path) -> String {
    let text = fs::read_to_string(path).expect("a test");
    let head = text.lines().map_while(|line| line.strip_prefix("//! "));
    let paragraph = head.collect::<Vec<_>>().join(" ");
    assert!(!paragraph.is_empty(), "{} does not say what it is about", path.display());
    let end = paragraph.find(". ").map_or(paragraph.len(), |end| end + 1);
    paragraph[..end].replace('|', "\\|")
}
