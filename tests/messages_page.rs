//! docs/messages.md has every message of the source word for word, and no other; each text stands in one place.

#[path = "house/here.rs"]
mod here;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A sentence of the source, and where it stands.
type Texts = BTreeMap<String, Vec<String>>;

#[test]
fn every_message_of_the_source_has_a_row_with_its_cause_and_no_row_is_of_another() {
    let (texts, rows) = (texts(), rows());
    let missing: Vec<_> = texts.iter().filter(|(text, _)| !rows.contains_key(*text)).collect();
    assert!(missing.is_empty(), "docs/messages.md lacks a row for each of {missing:#?}");
    let unsaid: Vec<_> = rows.keys().filter(|row| !texts.contains_key(*row)).collect();
    assert!(unsaid.is_empty(), "nothing says these rows of docs/messages.md any more: {unsaid:#?}");
    assert!(texts.len() > 150, "only {} messages were found; is this test still looking at them?", texts.len());
    for (row, causes) in &rows {
        assert_eq!(causes.len(), 1, "docs/messages.md has {row:?} more than once");
        assert!(causes[0].split_whitespace().count() >= 2, "docs/messages.md does not say what to do about {row:?}");
    }
}

#[test]
fn each_text_stands_in_one_place() {
    for (text, places) in texts() {
        let sentence = text.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic)).count() > 3;
        assert!(places.len() == 1 || !sentence, "{text:?} stands in {}", places.join(" and in "));
    }
}

#[test]
fn no_message_shows_a_value_as_the_source_would_write_it() {
    for (file, source) in sources() {
        for Literal { text, before, line } in literals(&source) {
            let for_developers = before.contains("assert");
            assert!(for_developers || !text.contains(":?}"), "{file}:{line}: {text:?} has a value in Rust's own form");
        }
    }
}

/// The messages of the page, with what stands beside each.
fn rows() -> BTreeMap<String, Vec<String>> {
    let mut rows = BTreeMap::<_, Vec<_>>::new();
    for row in here::read("docs/messages.md").lines().filter(|line| line.starts_with("| `")) {
        let (message, rest) = row["| `".len()..].split_once("` |").unwrap_or_else(|| panic!("no row: {row}"));
        rows.entry(plain(message)).or_default().push(rest.trim_matches(['|', ' ']).to_owned());
    }
    rows
}

/// Every sentence, or part of one, that the source has for people.
fn texts() -> Texts {
    let mut texts = Texts::new();
    for (file, source) in sources() {
        // The replay of the debug log is not a message about anything; every line of it is in one file.
        if file.ends_with("/replay.rs") {
            continue;
        }
        for literal in literals(&source).into_iter().filter(|literal| is_said(&file, literal)) {
            texts.entry(plain(&literal.text)).or_default().push(format!("{file}:{}", literal.line));
        }
    }
    texts
}

fn is_said(file: &str, literal: &Literal) -> bool {
    // The words of the table that `status` prints; docs/reference.md has them, held by tests/interface_docs.rs.
    const STATES: [&str; 2] = ["not started", "between attempts"];
    // For those who build, for the parser, or from another process of ours.
    let elsewhere = ["reason =", "compile_error!(", "assert!(", "strip_prefix(", "expect("];
    let before: String = literal.before.split_whitespace().collect::<Vec<_>>().join(" ");
    let request = literal.text.contains(" HTTP/1.1");
    // The texts of `--help`: a file of them, and those that have nothing to fill in.
    let help = file.ends_with("/options.rs") || (file.ends_with("/cli.rs") && !literal.text.contains('{'));
    let fixed = plain(&literal.text).replace('…', " ");
    let words = fixed.split_whitespace().map(|word| word.trim_matches([',', ';', ':', '.', '(', ')', '"']));
    let sentence = words.filter(|word| word.len() > 1 && word.chars().all(char::is_alphabetic)).count() > 1;
    sentence
        && !help
        && !request
        && !STATES.contains(&literal.text.as_str())
        && !elsewhere.iter().any(|end| before.contains(end))
}

/// What is filled in, as the page writes it. At the ends it says nothing.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((head, tail)) = rest.split_once('{') {
        out += head;
        out.push('…');
        rest = tail.split_once('}').map_or("", |(_, after)| after);
    }
    out += rest;
    while out.contains("……") {
        out = out.replace("……", "…");
    }
    out.trim_matches(|c: char| c == '…' || c.is_whitespace()).to_owned()
}

struct Literal {
    text: String,
    /// Its statement so far, from the literal before it on.
    before: String,
    line: usize,
}

/// The string literals of a source, comments left out.
fn literals(source: &str) -> Vec<Literal> {
    let mut found = Vec::new();
    let bytes = source.as_bytes();
    let (mut at, mut last) = (0, 0);
    while at < bytes.len() {
        let rest = &source[at..];
        if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            last = at;
        } else if rest.starts_with("'\\") {
            at += 3 + rest[3..].find('\'').expect("the end of a character");
        } else if bytes[at] == b'\'' && rest.chars().nth(2) == Some('\'') {
            at += 2 + rest.chars().nth(1).map_or(0, char::len_utf8);
        } else if bytes[at] == b'"' {
            let (text, length) = literal(&rest[1..]);
            let line = source[..at].matches('\n').count() + 1;
            let before = source[last..at].rsplit(';').next().unwrap_or_default().to_owned();
            found.push(Literal { text, before, line });
            at += 1 + length;
            last = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

/// A literal behind its first quote: what it says, and how long it is with its last quote.
fn literal(rest: &str) -> (String, usize) {
    let mut text = String::new();
    let mut letters = rest.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (text, at + 1),
            '\\' => match letters.next() {
                // Long ones are broken with a backslash at the end of the line.
                Some((_, '\n')) => while letters.next_if(|(_, letter)| letter.is_whitespace()).is_some() {},
                Some((_, 'n')) => text.push('\n'),
                Some((_, quoted)) => text.push(quoted),
                None => break,
            },
            letter => text.push(letter),
        }
    }
    panic!("a literal without an end: {rest}");
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    note(&here::path("src"), &mut found);
    found
}

fn note(directory: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(directory).expect("the source").flatten() {
        let path = entry.path();
        if path.is_dir() {
            note(&path, found);
        } else {
            found.push((path.display().to_string(), fs::read_to_string(&path).expect("a file of the source")));
        }
    }
}
