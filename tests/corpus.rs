//! What the fuzzer has found worth keeping, and every input that has broken a law once, is replayed here without it, in
//! every `cargo test`. `.ci/fuzz` looks for more.

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long one input may take that takes milliseconds. Only ever used up by one that blocks.
const PATIENCE: Duration = Duration::from_secs(60);

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Replays a corpus. A thread that blocks cannot be ended, so the test does not wait for it.
#[track_caller]
fn breaks_no_law(target: &str) {
    let (_, law) = fuzz::LAWS.iter().find(|(name, _)| *name == target).expect("a law of this name");
    let (law, mut replayed) = (*law, 0);
    for entry in fs::read_dir(corpus(target)).expect("its corpus").map(|entry| entry.expect("a file")) {
        let input = fs::read(entry.path()).expect("an input");
        let (end, ended) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            // The other end hears of a panic by the channel's being closed.
            let _open = end;
            law(&input);
        });
        let path = entry.path();
        let outcome = ended.recv_timeout(PATIENCE);
        assert_eq!(outcome, Err(mpsc::RecvTimeoutError::Disconnected), "{} has no end", path.display());
        assert!(thread.join().is_ok(), "{} breaks a law", path.display());
        replayed += 1;
    }
    assert!(replayed >= 10, "only {replayed} inputs");
}

#[test]
fn no_answer_of_a_proxy_breaks_a_law() {
    breaks_no_law("answers");
}

#[test]
fn no_command_line_breaks_a_law() {
    breaks_no_law("command_line");
}

#[test]
fn no_record_breaks_a_law() {
    breaks_no_law("record");
}

#[test]
fn nothing_that_others_do_in_the_directory_breaks_a_law() {
    breaks_no_law("stage");
}

#[test]
fn no_word_breaks_a_law() {
    breaks_no_law("words");
}

#[test]
fn every_corpus_has_its_law_and_all_of_them_together_stay_small() {
    let mut targets = Vec::new();
    let mut size = 0;
    for target in fs::read_dir(corpus("")).expect("the corpora").flatten() {
        let files = fs::read_dir(target.path()).expect("a corpus").flatten();
        size += files.map(|file| file.metadata().expect("its size").len()).sum::<u64>();
        targets.push(target.file_name().into_string().expect("a name"));
    }
    targets.sort();
    assert_eq!(targets, fuzz::LAWS.map(|(name, _)| name));
    assert!(size < 200 * 1024, "{size} bytes; keep the smallest (cargo fuzz cmin)");
}
