//! Names on stage, and the files that they make of them.

use anyhow::{Result, ensure};

/// The longest name: with the longest suffix and the temporary one it stays below NAME_MAX (255).
const LONGEST: usize = 128;

const RUNNING: &str = "-running";
const READY: &str = "-ready";
const TERMINATED: &str = "-terminated";

/// Whether a text can be a name: part of a file name, and of a list.
///
/// # Errors
/// What is wrong with it.
pub fn check(name: &str) -> Result<()> {
    // It may be anybody's, and is quoted for people.
    let shown = || name.replace(char::is_control, "\u{fffd}");
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    ensure!(!name.is_empty(), "a name is empty; write one, or leave the option out");
    ensure!(
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(letter),
        "\"{}\" cannot be a name; use letters, digits, '-', '_' and '.', and a letter or digit first",
        shown()
    );
    ensure!(name.len() <= LONGEST, "the name is {} bytes long; {LONGEST} are the most", name.len());
    Ok(())
}

/// `NAME-running`: it has started.
pub fn running(name: &str) -> String {
    format!("{name}{RUNNING}")
}

/// `NAME-ready`: it is ready to serve.
pub fn ready(name: &str) -> String {
    format!("{name}{READY}")
}

/// `NAME-terminated`: the sentinel.
pub fn terminated(name: &str) -> String {
    format!("{name}{TERMINATED}")
}

/// What a file is called until it is complete and moved into its place.
pub fn temporary(file: &str) -> String {
    format!(".{file}.new")
}

/// Every file that a life can have left: in their places, and half done by a process that was killed.
pub fn all(name: &str) -> [String; 6] {
    let [life, sentinel, mark] = [running(name), terminated(name), ready(name)];
    let halves = [&life, &sentinel, &mark].map(|file| temporary(file));
    let [half_life, half_sentinel, half_mark] = halves;
    [life, sentinel, mark, half_life, half_sentinel, half_mark]
}

/// Whose file it is, if it is one in its place.
pub fn name_of(file: &str) -> Option<&str> {
    let name = [RUNNING, READY, TERMINATED].iter().find_map(|suffix| file.strip_suffix(suffix))?;
    check(name).is_ok().then_some(name)
}

/// Whose file it is, be it half done.
pub fn name_of_any(file: &str) -> Option<&str> {
    name_of(file.strip_prefix('.').and_then(|file| file.strip_suffix(".new")).unwrap_or(file))
}
