//! Changes to a file of which every other byte stays.
//!
//! Everything that is put in stands directly before something that was there: an entry before an entry, items before the
//! first item, or alone between two brackets. So a change is an insertion at one place, whatever comments, blank lines and
//! line ends are around it, and taking it out again is deleting up to what follows it.
//!
//! Two conditions are held against every result: read again, it is the data of the input with the intended change and
//! nothing else; and without what was put in, it is the input, byte for byte. A result that fails is not given out.

use super::tree::{File, Node, Shape, Span, Style};
use super::{Kind, Refusal};
use serde_json::Value;
use std::fmt::Write as _;

/// Data that is put in, in the order in which it is to be written.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Text.
    Str(String),
    /// A whole number.
    Int(i64),
    /// A truth value.
    Bool(bool),
    /// A list.
    Seq(Vec<Data>),
    /// A mapping.
    Map(Vec<(String, Data)>),
}

impl Data {
    /// A list of words.
    pub fn words<I: IntoIterator<Item = S>, S: Into<String>>(words: I) -> Data {
        Data::Seq(words.into_iter().map(|word| Data::Str(word.into())).collect())
    }

    /// As JSON data.
    pub fn json(&self) -> Value {
        match self {
            Data::Str(text) => text.as_str().into(),
            Data::Int(number) => (*number).into(),
            Data::Bool(value) => (*value).into(),
            Data::Seq(items) => Value::Array(items.iter().map(Data::json).collect()),
            Data::Map(entries) => {
                Value::Object(entries.iter().map(|(key, value)| (key.clone(), value.json())).collect())
            }
        }
    }
}

impl From<&str> for Data {
    fn from(text: &str) -> Data {
        Data::Str(text.to_owned())
    }
}

/// One step down into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The value for this key.
    Key(String),
    /// The item with this number, from 0.
    Index(usize),
}

/// What is to be done to the node at a path.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Items at the head of a list.
    Front(Vec<Data>),
    /// An entry in a mapping, before the entry whose key is `before`; that is not read if the mapping is `{}`.
    Entry {
        /// Its key.
        key: String,
        /// Its value.
        value: Data,
        /// The key that it will stand before.
        before: String,
    },
    /// The reverse of [`Change::Front`]: so many items at the head of a list.
    DropFront(usize),
    /// The reverse of [`Change::Entry`].
    DropEntry(String),
}

/// A change at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Which document of the file, from 0.
    pub document: usize,
    /// From its root.
    pub path: Vec<Step>,
    /// What to do there.
    pub change: Change,
}

/// The text of the file with all changes. Paths are those of the file as it is, before any of them.
///
/// # Errors
/// A node on a path is not there, is an alias, has a merge key, holds a key twice, or is a template; or a result does not
/// fulfil one of the two conditions.
pub fn apply(file: &File, edits: &[Edit]) -> Result<String, Refusal> {
    let mut splices: Vec<(Span, String)> = Vec::new();
    let mut wanted: Vec<Value> = Vec::new();
    for document in file.documents() {
        wanted.push(document.root().map_or(Ok(Value::Null), Node::json)?);
    }
    for edit in edits {
        let node = touched(file, edit)?;
        splices.push(splice(node, &edit.change)?);
        if let Some(root) = wanted.get_mut(edit.document) {
            change_data(root, edit).ok_or_else(|| refuse(node, "this cannot be changed"))?;
        }
    }
    splices.sort_by_key(|(span, _)| span.start);
    let text = file.text();
    let mut output = String::with_capacity(text.len() + 4096);
    let mut inserted: Vec<Span> = Vec::new();
    let mut at = 0;
    for (span, insertion) in &splices {
        let before = text.get(at..span.start).ok_or_else(|| file.refusal(span.start, "two changes at one place"))?;
        output.push_str(before);
        inserted.push(output.len()..output.len() + insertion.len());
        output.push_str(insertion);
        at = span.end;
    }
    output.push_str(text.get(at..).unwrap_or(""));
    let first = splices.first().map_or(0, |(span, _)| span.start);
    check(file, first, &output, &inserted, &splices, &wanted)?;
    Ok(output)
}

/// The two conditions.
fn check(
    file: &File,
    first: usize,
    output: &str,
    inserted: &[Span],
    splices: &[(Span, String)],
    wanted: &[Value],
) -> Result<(), Refusal> {
    let failed = |what: &str| {
        file.refusal(
            first,
            format!("this cannot be changed without touching more of the file ({what}); change it by hand"),
        )
    };
    let mut without = String::with_capacity(file.text().len());
    let mut at = 0;
    for (span, (removed, _)) in inserted.iter().zip(splices) {
        without.push_str(output.get(at..span.start).unwrap_or(""));
        without.push_str(file.text().get(removed.clone()).unwrap_or(""));
        at = span.end;
    }
    without.push_str(output.get(at..).unwrap_or(""));
    if without != file.text() {
        return Err(failed("the rest would not stay as it is"));
    }
    let after = File::read(file.name(), output.as_bytes().to_vec())
        .map_err(|refusal| failed(&format!("line {} would be wrong", refusal.place.line)))?;
    let mut found = Vec::new();
    for document in after.documents() {
        found.push(document.root().map_or(Ok(Value::Null), Node::json)?);
    }
    if found != wanted { Err(failed("it would mean something else")) } else { Ok(()) }
}

fn refuse(node: Node<'_>, message: &str) -> Refusal {
    node.file().refusal(node.span().start, message)
}

/// The node at the end of the path, if it and all above it may be touched.
fn touched<'a>(file: &'a File, edit: &Edit) -> Result<Node<'a>, Refusal> {
    let root = file.documents().nth(edit.document).and_then(|document| document.root());
    let mut node = root.ok_or_else(|| file.refusal(0, "there is no such document"))?;
    may_touch(node)?;
    for step in &edit.path {
        node = match step {
            Step::Key(key) => node.entry(key).map(|entry| entry.value),
            Step::Index(index) => node.items().nth(*index),
        }
        .ok_or_else(|| refuse(node, "what is to be changed is not here"))?;
        may_touch(node)?;
    }
    Ok(node)
}

/// May this node be changed, or something in it?
///
/// # Errors
/// With the reason and the remedy.
pub fn may_touch(node: Node<'_>) -> Result<(), Refusal> {
    if node.is_alias() {
        return Err(refuse(node, "an alias stands here, and what it repeats must not change; write it out"));
    }
    if node.shape() != Shape::Scalar && node.is_template() {
        return Err(refuse(node, "a template that is not rendered ({{ }}); render it first: helm template …"));
    }
    if let Some(merge) = node.entries().find(|entry| entry.key.text() == Some("<<")) {
        return Err(refuse(merge.key, "a merge key (<<) stands where something is to be changed; write it out"));
    }
    if let Some(twice) = node.duplicates().first() {
        let key = twice.text().unwrap_or("").to_owned();
        return Err(refuse(*twice, &format!("the key {key} stands here twice; remove one")));
    }
    Ok(())
}

fn change_data(root: &mut Value, edit: &Edit) -> Option<()> {
    let node = edit.path.iter().try_fold(root, |node, step| match step {
        Step::Key(key) => node.get_mut(key),
        Step::Index(index) => node.get_mut(index),
    })?;
    match &edit.change {
        Change::Front(items) => {
            node.as_array_mut()?.splice(0..0, items.iter().map(Data::json));
        }
        Change::Entry { key, value, .. } => {
            if node.as_object_mut()?.insert(key.clone(), value.json()).is_some() {
                return None;
            }
        }
        Change::DropFront(count) => {
            let list = node.as_array_mut()?;
            if *count > list.len() {
                return None;
            }
            list.drain(..*count);
        }
        Change::DropEntry(key) => {
            node.as_object_mut()?.remove(key)?;
        }
    }
    Some(())
}

/// What is replaced by what: an insertion replaces nothing.
fn splice(node: Node<'_>, change: &Change) -> Result<(Span, String), Refusal> {
    match change {
        Change::Front(items) => front(node, items),
        Change::Entry { key, value, before } => entry(node, key, value, before),
        Change::DropFront(count) => {
            let start = node.items().next().ok_or_else(|| refuse(node, "an empty list"))?;
            let end = match node.items().nth(*count) {
                Some(next) => item_start(node, next)?,
                // Alone in its brackets.
                None => node.items().last().map_or(0, |last| last.outer_span().end),
            };
            Ok((item_start(node, start)?..end, String::new()))
        }
        Change::DropEntry(key) => {
            let mut entries = node.entries().skip_while(|entry| entry.key.text() != Some(key));
            let own = entries.next().ok_or_else(|| refuse(node, "this entry is not here"))?;
            let end = match entries.next() {
                Some(next) => visible(next.key)?.outer_span().start,
                None => own.value.outer_span().end,
            };
            Ok((own.key.outer_span().start..end, String::new()))
        }
    }
}

/// A key that is nothing (`: value`) has no place of its own to stand before.
fn visible(key: Node<'_>) -> Result<Node<'_>, Refusal> {
    if key.source().is_empty() { Err(refuse(key, "an entry without a key stands here; give it one")) } else { Ok(key) }
}

/// Where an item starts: at its dash in block style.
fn item_start(list: Node<'_>, item: Node<'_>) -> Result<usize, Refusal> {
    if list.style() == Style::Flow {
        return Ok(item.outer_span().start);
    }
    let file = list.file();
    let mut at = item.outer_span().start;
    loop {
        let before = file.text().get(..at).unwrap_or("").trim_end();
        if before.ends_with('-') {
            return Ok(before.len() - 1);
        }
        at = match file.comments().rev().find(|comment| comment.start + 1 + comment.text.len() == before.len()) {
            Some(comment) => comment.start,
            None => return Err(refuse(item, "the dash of this item cannot be found")),
        };
    }
}

/// What a new line starts with that is to begin at the column of this offset.
fn line_break(file: &File, at: usize) -> String {
    let column = file.place(at).column;
    let after = file.text().get(at..).and_then(|rest| rest.find('\n').map(|end| at + end));
    let before = || file.text().get(..at).and_then(|before| before.rfind('\n'));
    let windows =
        after.or_else(before).is_some_and(|end| file.text().get(..end).is_some_and(|text| text.ends_with('\r')));
    format!("{}{}", if windows { "\r\n" } else { "\n" }, " ".repeat(column - 1))
}

/// Is there nothing but blanks before it in its line?
fn begins_line(file: &File, at: usize) -> bool {
    let before = file.text().get(..at).unwrap_or("");
    before.rsplit('\n').next().is_some_and(|line| line.trim_start_matches([' ', '\t', '\u{feff}']).is_empty())
}

fn front(list: Node<'_>, items: &[Data]) -> Result<(Span, String), Refusal> {
    if list.shape() != Shape::Seq {
        return Err(refuse(list, "a list is expected here; if it is empty, remove its key"));
    }
    let file = list.file();
    let flow = list.style() == Style::Flow;
    let Some(first) = list.items().next() else {
        let at = list.span().start + 1;
        return Ok((at..at, items.iter().map(|item| flow_text(item, true)).collect::<Vec<_>>().join(", ")));
    };
    let at = item_start(list, first)?;
    let mut text = String::new();
    let next = line_break(file, at);
    for item in items {
        if flow {
            text.push_str(&flow_text(item, quoted(list)));
            let own_line = matches!(item, Data::Map(_)) && begins_line(file, at);
            text.push_str(&if own_line { format!(",{next}") } else { ", ".to_owned() });
        } else {
            text.push_str("- ");
            block_text(&mut text, item, &format!("{next}  "), dash_offset(list));
            text.push_str(&next);
        }
    }
    Ok((at..at, text))
}

fn entry(map: Node<'_>, key: &str, value: &Data, before: &str) -> Result<(Span, String), Refusal> {
    if map.shape() != Shape::Map {
        return Err(refuse(map, "a mapping is expected here; if it is empty, remove its key"));
    }
    let file = map.file();
    if map.entries().len() == 0 {
        let at = map.span().start + 1;
        return Ok((at..at, format!("{}: {}", flow_key(key, true), flow_text(value, true))));
    }
    let next = map.entry(before).ok_or_else(|| refuse(map, "what is to be put in has no neighbour here"))?.key;
    visible(next)?;
    let at = next.outer_span().start;
    let line = line_break(file, at);
    if map.style() == Style::Flow {
        let quoted = next.style() == Style::Double;
        let own_line = begins_line(file, at);
        let text =
            format!("{}: {},{}", flow_key(key, quoted), flow_text(value, quoted), if own_line { &line } else { " " });
        return Ok((at..at, text));
    }
    let mut text = String::new();
    block_text(&mut text, &Data::Map(vec![(key.to_owned(), value.clone())]), &line, dash_offset(map));
    text.push_str(&line);
    Ok((at..at, text))
}

/// Are the keys below this node written with quotes, as in JSON?
fn quoted(node: Node<'_>) -> bool {
    let below = node.items().find_map(|item| item.entries().next());
    below.is_none_or(|entry| entry.key.style() == Style::Double)
}

/// How far the dashes of a list are from its key: 0 or 2, by the habit of the file.
fn dash_offset(near: Node<'_>) -> usize {
    let file = near.file();
    // The first list in block style below a key, nearest to where the change is.
    let from = |node: Node<'_>| {
        node.entries().find_map(|entry| {
            let list = entry.value;
            (!list.is_alias() && list.style() == Style::Block && list.shape() == Shape::Seq).then(|| {
                let dash = list.items().next().and_then(|item| item_start(list, item).ok()).unwrap_or(0);
                file.place(dash).column.saturating_sub(file.place(entry.key.outer_span().start).column)
            })
        })
    };
    let anywhere = || {
        let mut level: Vec<Node<'_>> = file.documents().filter_map(|document| document.root()).collect();
        // By breadth, and not for ever: a habit shows early.
        for _ in 0..12 {
            if let Some(offset) = level.iter().find_map(|node| from(*node)) {
                return Some(offset);
            }
            level = level.iter().flat_map(|node| node.entries().map(|entry| entry.value).chain(node.items())).collect();
            level.retain(|node| !node.is_alias());
        }
        None
    };
    from(near).or_else(anywhere).unwrap_or(2)
}

/// A value in flow style. Text is always quoted, so that it is text to every reader.
fn flow_text(value: &Data, quoted: bool) -> String {
    match value {
        Data::Seq(items) => {
            format!("[{}]", items.iter().map(|item| flow_text(item, quoted)).collect::<Vec<_>>().join(", "))
        }
        Data::Map(entries) => {
            let entries: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{}: {}", flow_key(key, quoted), flow_text(value, quoted)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        _ => value.json().to_string(),
    }
}

fn flow_key(key: &str, quoted: bool) -> String {
    if quoted { Value::from(key).to_string() } else { key.to_owned() }
}

/// A value in block style; `line` is the line break with the indentation of what it continues.
fn block_text(text: &mut String, value: &Data, line: &str, dash: usize) {
    match value {
        Data::Map(entries) if !entries.is_empty() => {
            for (number, (key, value)) in entries.iter().enumerate() {
                if number > 0 {
                    text.push_str(line);
                }
                let _ = write!(text, "{key}:");
                match value {
                    Data::Map(entries) if !entries.is_empty() => {
                        let line = format!("{line}  ");
                        text.push_str(&line);
                        block_text(text, value, &line, dash);
                    }
                    Data::Seq(items) if items.iter().any(|item| matches!(item, Data::Map(_))) => {
                        let line = format!("{line}{}", " ".repeat(dash));
                        for item in items {
                            text.push_str(&line);
                            text.push_str("- ");
                            block_text(text, item, &format!("{line}  "), dash);
                        }
                    }
                    _ => {
                        text.push(' ');
                        block_text(text, value, line, dash);
                    }
                }
            }
        }
        Data::Str(word) if plain(word) => text.push_str(word),
        _ => text.push_str(&flow_text(value, true)),
    }
}

/// Can this be written without quotes, and stay text?
fn plain(word: &str) -> bool {
    let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '-')
        && word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && word.chars().all(simple)
        && super::scalar::plain(word) == Kind::Str
        && !matches!(word, "y" | "Y" | "n" | "N")
}
