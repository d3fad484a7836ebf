//! "Is it there yet": one grammar, one parser. Testing is the business of `probe.rs`, and of the loop for what can be
//! watched.

use crate::stage::names;
use crate::url::{Url, is_address, refuse_https};
use anyhow::{Result, anyhow, bail, ensure};
use std::fmt;
use std::path::PathBuf;

/// The longest path of a socket that can be connected to (unix(7), sun_path).
const LONGEST_SOCKET: usize = 107;

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    text: String,
    /// What is tested.
    pub kind: Kind,
}

/// What is tested.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A GET of this URL is answered with 2xx.
    Http(Url),
    /// This address accepts a connection.
    Tcp(String),
    /// This socket accepts a connection.
    Unix(PathBuf),
    /// This file exists.
    File(PathBuf),
    /// This command exits 0.
    Exec(Vec<String>),
    /// The life of this name is ready, in the shared directory.
    Name(String),
}

impl Condition {
    /// Understands a condition.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Condition> {
        refuse_https(text)?;
        let kind = if text.starts_with("http://") {
            Kind::Http(Url::parse(text)?)
        } else if let Some(address) = text.strip_prefix("tcp://") {
            ensure!(is_address(address), "\"{text}\" is not a TCP address; write tcp://HOST:PORT");
            Kind::Tcp(address.to_owned())
        } else if let Some(path) = text.strip_prefix("unix://") {
            ensure!(
                path.len() <= LONGEST_SOCKET,
                "\"{text}\" cannot be a socket: its path is {} bytes long, and {LONGEST_SOCKET} are the most (unix(7))",
                path.len()
            );
            Kind::Unix(absolute(text, path)?)
        } else if let Some(path) = text.strip_prefix("file://") {
            Kind::File(absolute(text, path)?)
        } else if let Some(command) = text.strip_prefix("exec:") {
            let words = shlex::split(command).ok_or_else(|| anyhow!("\"{text}\" has a quote that is not closed"))?;
            ensure!(
                words.first().is_some_and(|word| !word.trim_matches('/').is_empty()),
                "\"{text}\" names no command; write exec:COMMAND"
            );
            refuse_nul(text)?;
            ensure!(
                !command.starts_with("//"),
                "\"{text}\": exec: takes a command and no address; write exec:{}",
                command.replacen("//", "/", 1).replacen("//", "/", 1)
            );
            if let Some(meant) = for_a_shell(command, &words) {
                bail!(
                    "\"{text}\" has a '{meant}' that only a shell understands, and no shell reads it; write exec:sh -c '{command}'"
                );
            }
            Kind::Exec(words)
        } else if text.contains("://") || begins_like_a_condition(text) {
            bail!("\"{text}\" is no condition; use http://, tcp://, unix:///, file:///, exec:COMMAND or a NAME")
        } else {
            ensure!(!is_address(text), "\"{text}\" is an address and no NAME; write tcp://{text}");
            ensure!(!text.starts_with('/'), "\"{text}\" is a path and no NAME; write file://{text}");
            let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let is_bare = text.split('.').count() == 4 && text.split('.').all(digits);
            ensure!(!is_bare, "\"{text}\" is an address without a port, and no NAME; write tcp://HOST:PORT");
            names::check(text)?;
            Kind::Name(text.to_owned())
        };
        Ok(Condition { text: text.to_owned(), kind })
    }

    /// The name whose readiness is awaited, if it is one.
    pub fn name(&self) -> Option<&str> {
        match &self.kind {
            Kind::Name(name) => Some(name),
            Kind::Http(_) | Kind::Tcp(_) | Kind::Unix(_) | Kind::File(_) | Kind::Exec(_) => None,
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// One slash too few, or none: `file:/a`, `tcp:db:5432`.
fn begins_like_a_condition(text: &str) -> bool {
    ["http:", "tcp:", "unix:", "file:"].iter().any(|scheme| text.starts_with(scheme))
}

fn begins_a_variable(letter: &char) -> bool {
    letter.is_ascii_alphabetic() || "_{(".contains(*letter)
}

/// What of a command only a shell would understand. What is quoted for a shell that is called by name is that shell's.
fn for_a_shell(command: &str, words: &[String]) -> Option<char> {
    let program = words.first().map(|word| word.rsplit('/').next().unwrap_or_default());
    let is_shell = program.is_some_and(|program| ["sh", "bash", "dash", "ash", "zsh", "ksh"].contains(&program));
    let mut quote = None;
    let mut letters = command.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None, '\'' | '"') => quote = Some(letter),
            (None | Some('"'), '\\') => {
                letters.next();
            }
            (None, '|' | '&' | ';' | '<' | '>' | '$' | '`' | '(' | ')') => return Some(letter),
            (None, '~') if before.is_whitespace() => return Some(letter),
            (Some('"'), '$') if !is_shell && letters.peek().is_some_and(begins_a_variable) => return Some(letter),
            (Some('"'), '`') if !is_shell => return Some(letter),
            _ => {}
        }
        before = letter;
    }
    (words.first().map(String::as_str) == Some("!")).then_some('!')
}

fn absolute(text: &str, path: &str) -> Result<PathBuf> {
    ensure!(
        path.starts_with('/') && path.len() > 1,
        "\"{text}\" has no absolute path; write file:///PATH or unix:///PATH"
    );
    refuse_nul(text)?;
    Ok(PathBuf::from(path))
}

/// No path and no word of a command can hold one.
fn refuse_nul(text: &str) -> Result<()> {
    ensure!(!text.contains('\0'), "\"{text}\" has a NUL in it");
    Ok(())
}
