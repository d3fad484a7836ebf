//! docs/messages.md has every message of the source, and no other.

#[path = "house/here.rs"]
mod here;

use std::fs;
use std::path::Path;

/// Where a text for a person begins.
const SAID: [&str; 9] = [
    ".failure(",
    ".error(",
    ".warning(",
    ".info(",
    ".fail(",
    "bail!(",
    "anyhow!(",
    "context(",
    // Of the sentences that messages.rs puts together.
    "format!(",
];

#[test]
fn every_message_of_the_source_is_on_the_page() {
    let page = plain(&here::read("docs/messages.md"));
    let mut seen = 0;
    for (file, text) in sources() {
        let all = file.ends_with("messages.rs");
        // Its first words are enough to know it by.
        for message in messages(&text, if all { &SAID } else { &SAID[..8] }) {
            let pieces = pieces(&message);
            let known = pieces.is_empty() || pieces.iter().any(|piece| page.contains(piece));
            assert!(known, "{file}: docs/messages.md does not have {message:?}");
            seen += 1;
        }
    }
    assert!(seen > 60, "only {seen} messages were found; is this test still looking at them?");
}

#[test]
fn every_message_of_the_page_is_in_the_source() {
    let source: String = sources().into_iter().map(|(_, text)| text).collect();
    let source = plain(&source);
    let mut seen = 0;
    for row in here::read("docs/messages.md").lines().filter(|line| line.starts_with("| `")) {
        let message = row.split('`').nth(1).expect("a message");
        let Some(piece) = message.split('…').map(str::trim).max_by_key(|piece| piece.len()) else { continue };
        assert!(source.contains(piece), "nothing says {piece:?} any more: {row}");
        seen += 1;
    }
    assert!(seen > 60, "only {seen} messages are on the page");
}

/// What is the same in every such message, where it is long enough to be known by: the first words of each piece.
fn pieces(message: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = message;
    while let Some((piece, after)) = rest.split_once('{') {
        pieces.push(piece);
        rest = after.split_once('}').map_or("", |(_, after)| after);
    }
    pieces.push(rest);
    let known = pieces.into_iter().map(str::trim).filter(|piece| piece.len() > 14);
    known.map(|piece| piece.chars().take(30).collect()).collect()
}

fn messages(text: &str, markers: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for marker in markers {
        for (at, _) in text.match_indices(marker) {
            let mut rest = text[at + marker.len()..].trim_start();
            for word in ["||", "&", "format!("] {
                rest = rest.strip_prefix(word).unwrap_or(rest).trim_start();
            }
            if let Some(literal) = rest.strip_prefix('"') {
                found.push(literal.split('"').next().unwrap_or_default().to_owned());
            }
        }
    }
    found
}

/// Long literals are broken with a backslash at the end of the line.
fn plain(text: &str) -> String {
    let mut lines = text.lines();
    let mut out = lines.next().unwrap_or_default().to_owned();
    for line in lines {
        match out.strip_suffix('\\') {
            Some(head) => out = head.to_owned() + line.trim_start(),
            None => {
                out.push('\n');
                out += line;
            }
        }
    }
    out
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
            let text = fs::read_to_string(&path).expect("a file of the source");
            found.push((path.display().to_string(), plain(&text)));
        }
    }
}
