//! The counts of docs/reliability.md: what a run has done is held against what the page claims, or written there.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Whether the tests run at full length (`EXEUNT_FULL=1`), and not as in every `cargo test`.
pub fn full_length() -> bool {
    is_set("EXEUNT_FULL")
}

/// Fails if `count` is less than the page says for `run`; the page has a column for each length. For what differs a
/// little from one run to the next: with `EXEUNT_RENEW=1 .ci/full-length` the page gets a twentieth less, rounded down to two digits.
#[track_caller]
pub fn at_least(run: &str, count: u64) {
    hold(run, count, rounded_down(count - count / 20), |said| count >= said);
}

/// Fails if `count` is not what the page says for `run`. For what every run does alike.
#[track_caller]
pub fn exactly(run: &str, count: u64) {
    hold(run, count, count, |said| count == said);
}

#[track_caller]
fn hold(run: &str, count: u64, write: u64, agrees: impl Fn(u64) -> bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reliability.md");
    let column = if full_length() { 2 } else { 1 };
    let renew = is_set("EXEUNT_RENEW");
    // A column alone would be another program's than its neighbour: who renews plays both lengths, one after the other.
    assert!(
        !renew || is_set("EXEUNT_BOTH_LENGTHS"),
        "EXEUNT_RENEW=1 writes one column of docs/reliability.md; .ci/full-length writes both"
    );
    let mut file = File::options().read(true).write(renew).open(&path).expect("docs/reliability.md");
    // Tests are processes of their own, and several may write.
    file.lock().expect("a lock on the page");
    let mut page = String::new();
    file.read_to_string(&mut page).expect("docs/reliability.md");
    let start = format!("| {run} | ");
    let row = page.lines().find(|line| line.starts_with(&start));
    let row = row.unwrap_or_else(|| panic!("docs/reliability.md has no row {start:?}")).to_owned();
    let mut cells: Vec<String> = row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let cell = cells.get_mut(column).unwrap_or_else(|| panic!("docs/reliability.md: {row:?} has too few columns"));
    if renew {
        *cell = write.to_string();
        let page = page.replace(&row, &format!("| {} |", cells.join(" | ")));
        file.rewind().and_then(|()| file.set_len(0)).expect("an empty page");
        file.write_all(page.as_bytes()).expect("the page is written");
        return;
    }
    let said: u64 =
        cell.parse().unwrap_or_else(|_| panic!("docs/reliability.md: {row:?} has no number for this length"));
    assert!(
        agrees(said),
        "{run}: {count}, and docs/reliability.md says {said}; EXEUNT_RENEW=1 .ci/full-length writes what was measured"
    );
}

/// The first two digits, and zeros.
fn rounded_down(count: u64) -> u64 {
    let mut unit = 1;
    while count / unit >= 100 {
        unit *= 10;
    }
    count / unit * unit
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| value == "1")
}
