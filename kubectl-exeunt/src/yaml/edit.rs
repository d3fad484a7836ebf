//! Changes to a file of which every other byte stays.
//!
//! Everything that is put in stands directly before something that was there: an entry before an entry, items before the
//! first item, or alone between two brackets. Where that has comments in lines of their own above it, they are about it, and
//! what is put in stands before them. So a change is an insertion at one place, whatever comments, blank lines and line ends
//! are around it, and taking it out again is deleting up to what follows it, the first such comment included.
//!
//! Two conditions are held against every result: read again, it is the data of the input with the intended change and
//! nothing else; and without what was put in, it is the input, byte for byte. A result that fails is not given out.

use super::tree::{File, Node, Shape, Span, Style};
use super::{Kind, Refusal, TEMPLATE};
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
    /// In a mapping: the item `index` of the list `from`, as it is written, to the end of the list `to`, which is made if it
    /// is not there; and one entry more in it. Both lists are of one style.
    Move {
        /// The key of the list it is in.
        from: String,
        /// Which item it is there.
        index: usize,
        /// The key of the other list.
        to: String,
        /// What is put into the item.
        entry: (String, Data),
    },
    /// The reverse of [`Change::Move`].
    MoveBack {
        /// The list it came from.
        from: String,
        /// Which item it was there.
        index: usize,
        /// [`Moved::gap`].
        gap: Gap,
        /// The list it is in.
        to: String,
        /// Which item it is there.
        now: usize,
        /// [`Moved::made`].
        made: bool,
        /// [`Moved::comments`].
        comments: usize,
        /// The key of what was put into the item.
        entry: String,
    },
}

/// What has to be known to move an item back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// What its place looked like.
    pub gap: Gap,
    /// The other list was made for it.
    pub made: bool,
    /// So many lines of comments above it went with it.
    pub comments: usize,
}

/// What an item has left behind where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// In block style: bytes between its lines and the item before it, or after it if it is the first.
    Lines(usize),
    /// Between brackets: the text that went with it, up to the next item, or from the one before it if it is the last.
    Text(String),
}

/// What [`Change::Move`] of this item will have to be undone with.
///
/// # Errors
/// It cannot be moved.
pub fn moving(map: Node<'_>, from: &str, index: usize, to: &str) -> Result<Moved, Refusal> {
    let list = list_of(map, from)?;
    let made = map.entry(to).is_none();
    if list.style() == Style::Flow {
        let (_, left) = between_brackets(list, index)?;
        return Ok(Moved { gap: Gap::Text(left), made, comments: 0 });
    }
    let comments = comments_above(list, index)?;
    let lines = Lines::of(list, index, comments)?;
    let gap = match index.checked_sub(1).and_then(|before| list.items().nth(before)) {
        Some(before) => lines.whole.start.checked_sub(before.outer_span().end),
        None => list.items().nth(1).and_then(|after| item_start(list, after).ok()?.checked_sub(lines.whole.end)),
    };
    let gap = gap.ok_or_else(|| refuse(list, "an item that is alone cannot be moved"))?;
    Ok(Moved { gap: Gap::Lines(gap), made, comments })
}

fn list_of<'a>(map: Node<'a>, key: &str) -> Result<Node<'a>, Refusal> {
    let list = map.entry(key).map(|entry| entry.value).ok_or_else(|| refuse(map, &format!("{key} is not here")))?;
    may_touch(list)?;
    if list.shape() == Shape::Seq { Ok(list) } else { Err(refuse(list, &format!("{key} is no list"))) }
}

/// What is taken away with an item of a list in brackets, and the part of it that is not the item.
fn between_brackets(list: Node<'_>, index: usize) -> Result<(Span, String), Refusal> {
    let item = list.items().nth(index).ok_or_else(|| refuse(list, "this item is not here"))?;
    may_touch(item)?;
    let own = item.outer_span();
    let slice = |span: Span| list.file().text().get(span).unwrap_or("").to_owned();
    let before = index.checked_sub(1).and_then(|before| list.items().nth(before));
    match (list.items().nth(index + 1), before) {
        (Some(next), _) => {
            let next = next.outer_span().start;
            Ok((own.start..next, slice(own.end..next)))
        }
        (None, Some(before)) => {
            let before = before.outer_span().end;
            Ok((before..own.end, slice(before..own.start)))
        }
        (None, None) => Err(refuse(list, "an item that is alone cannot be moved")),
    }
}

/// The text of an item with one more entry, which stands before its second.
fn with_entry(item: Node<'_>, put: &(String, Data), span: Span) -> Result<String, Refusal> {
    let second = item.entries().nth(1).and_then(|entry| entry.key.text());
    let before = second.ok_or_else(|| refuse(item, "this item has too little in it to be moved"))?;
    let (at, more) = entry(item, &put.0, &put.1, before)?;
    let slice = |span: Span| item.file().text().get(span).unwrap_or("");
    Ok(format!("{}{more}{}", slice(span.start..at.start), slice(at.start..span.end)))
}

/// The reverse of [`with_entry`].
fn without_entry(item: Node<'_>, put: &str, span: Span) -> Result<String, Refusal> {
    let (put, _) = splice(item, &Change::DropEntry(put.to_owned()))?;
    let slice = |span: Span| item.file().text().get(span).unwrap_or("");
    Ok(format!("{}{}", slice(span.start..put.start), slice(put.end..span.end)))
}

/// How many lines directly above an item are comments as far to the right as its dash: they are about it.
fn comments_above(list: Node<'_>, index: usize) -> Result<usize, Refusal> {
    let item = list.items().nth(index).ok_or_else(|| refuse(list, "this item is not here"))?;
    let file = list.file();
    let dash = file.place(item_start(list, item)?);
    let is_comment = |line: &usize| {
        let line = file.line(*line);
        let text = line.trim_start_matches(' ');
        text.starts_with('#') && line.len() - text.len() + 1 == dash.column
    };
    Ok((1..dash.line).rev().take_while(is_comment).count())
}

/// The lines of an item.
struct Lines {
    /// From its dash, or the comments above it, to the end of its last line, comments there included, without the line break.
    core: Span,
    /// With its indentation and one line break: what is taken away.
    whole: Span,
}

impl Lines {
    /// With so many lines of comments above it.
    fn of(list: Node<'_>, index: usize, comments: usize) -> Result<Lines, Refusal> {
        let item = list.items().nth(index).ok_or_else(|| refuse(list, "this item is not here"))?;
        may_touch(item)?;
        if comments > comments_above(list, index)? {
            return Err(refuse(item, "a comment above this item is gone, so its lines cannot be moved"));
        }
        let text = list.file().text();
        let dash = item_start(list, item)?;
        let start = line_start(list.file(), dash);
        let blank = text.get(start..dash).is_some_and(|indent| indent.bytes().all(|byte| byte == b' '));
        if !blank {
            return Err(refuse(item, "this item does not begin its line, so its lines cannot be moved"));
        }
        let first = (0..comments).fold(start, |at, _| line_start(list.file(), at.saturating_sub(1)));
        let end = item.outer_span().end;
        let newline = text.get(end..).and_then(|rest| rest.find('\n')).map(|at| end + at);
        let last = text.get(end..newline.unwrap_or(text.len())).unwrap_or("");
        if !last.trim_start().is_empty() && !last.trim_start().starts_with('#') {
            return Err(refuse(item, "this item does not end its line, so its lines cannot be moved"));
        }
        let mut core_end = end + last.len();
        if newline.is_some() && last.ends_with('\r') {
            core_end -= 1;
        }
        let whole = match newline {
            Some(at) => first..at + 1,
            None => {
                let before = text.get(..first).unwrap_or("");
                let before = before.strip_suffix('\n').unwrap_or(before);
                before.strip_suffix('\r').unwrap_or(before).len()..core_end
            }
        };
        Ok(Lines { core: first + (dash - start)..core_end, whole })
    }
}

/// Text for an item's lines at a place: behind a line break, or behind the last line of a file without one.
fn lines_at(file: &File, at: usize, core: &str, column_of: usize) -> (Span, String) {
    let line = line_break(file, column_of);
    let bare = line.trim_end_matches(' ');
    let indent = line.strip_prefix(bare).unwrap_or("");
    let fresh = at == 0 || file.text().get(..at).is_some_and(|before| before.ends_with('\n'));
    (at..at, if fresh { format!("{indent}{core}{bare}") } else { format!("{line}{core}") })
}

fn move_item(
    map: Node<'_>,
    from: &str,
    index: usize,
    to: &str,
    put: &(String, Data),
) -> Result<Vec<(Span, String)>, Refusal> {
    let file = map.file();
    let list = list_of(map, from)?;
    let other = map.entry(to).map(|_| list_of(map, to)).transpose()?;
    if let Some(other) = other.filter(|other| other.style() != list.style()) {
        return Err(refuse(other, &format!("{from} has a line for each dash or {to} has, not both; write them alike")));
    }
    let key = map.entry(from).map(|entry| entry.key).unwrap_or(map);
    if list.style() == Style::Flow {
        return move_in_brackets(map, (list, index), (key, to), other, put);
    }
    let lines = Lines::of(list, index, comments_above(list, index)?)?;
    let item = list.items().nth(index).unwrap_or(list);
    let core = with_entry(item, put, lines.core.clone())?;
    let (place, text) = if let Some(other) = other {
        let last = other.items().len().saturating_sub(1);
        let end = Lines::of(other, last, 0)?;
        let column = |at: usize| file.place(at).column;
        if column(end.core.start) != column(lines.core.start) {
            return Err(refuse(other, &format!("{to} and {from} are indented differently; make them alike")));
        }
        let at = if end.whole.end == end.core.end { end.core.end } else { end.whole.end };
        lines_at(file, at, &core, lines.core.start)
    } else {
        let at = visible(key)?.outer_span().start;
        if !begins_line(file, at) {
            return Err(refuse(key, "there is no line of its own for the list that has to be made here"));
        }
        let line = line_break(file, lines.core.start);
        before(file, at, format!("{to}:{line}{core}{}", line_break(file, at)))
    };
    Ok(vec![(lines.whole, String::new()), (place, text)])
}

/// The same between brackets, as JSON and KYAML have them. `key` is that of the list, and `to` of the other.
fn move_in_brackets(
    map: Node<'_>,
    (list, index): (Node<'_>, usize),
    (key, to): (Node<'_>, &str),
    other: Option<Node<'_>>,
    put: &(String, Data),
) -> Result<Vec<(Span, String)>, Refusal> {
    let file = list.file();
    let (taken, _) = between_brackets(list, index)?;
    let item = list.items().nth(index).unwrap_or(list);
    let core = with_entry(item, put, item.outer_span())?;
    let (at, text) = match other.map(|other| (other, other.items().last())) {
        Some((_, Some(last))) => (last.outer_span().end..last.outer_span().end, format!(", {core}")),
        Some((other, None)) => (other.span().start + 1..other.span().start + 1, core),
        None => {
            let at = visible(key)?.outer_span().start;
            let braces = map.style() == Style::Flow;
            let comma = if braces { "," } else { "" };
            let gap = if !braces || begins_line(file, at) { line_break(file, at) } else { " ".to_owned() };
            let to = flow_key(to, key.style() == Style::Double);
            before(file, at, format!("{to}: [{core}]{comma}{gap}"))
        }
    };
    Ok(vec![(taken, String::new()), (at, text)])
}

fn move_back_in_brackets(
    map: Node<'_>,
    (list, other): (Node<'_>, Node<'_>),
    left: &str,
    back: &Back<'_>,
) -> Result<Vec<(Span, String)>, Refusal> {
    let item = other.items().nth(back.now).unwrap_or(other);
    let core = without_entry(item, back.entry, item.outer_span())?;
    let taken = if back.made {
        splice(map, &Change::DropEntry(back.to.to_owned()))?.0
    } else if other.items().len() == 1 {
        item.outer_span()
    } else {
        between_brackets(other, back.now)?.0
    };
    let changed = || refuse(list, "this list was changed since; move the item back by hand");
    let (at, text) = match list.items().nth(back.index) {
        Some(next) => (next.outer_span().start, format!("{core}{left}")),
        None => {
            let before = back.index.checked_sub(1).and_then(|before| list.items().nth(before)).ok_or_else(changed)?;
            (before.outer_span().end, format!("{left}{core}"))
        }
    };
    Ok(vec![(taken, String::new()), (at..at, text)])
}

/// Where an item is and was, for the way back.
struct Back<'k> {
    from: &'k str,
    index: usize,
    gap: &'k Gap,
    to: &'k str,
    now: usize,
    made: bool,
    comments: usize,
    entry: &'k str,
}

fn move_back(map: Node<'_>, back: &Back<'_>) -> Result<Vec<(Span, String)>, Refusal> {
    let file = map.file();
    let (list, other) = (list_of(map, back.from)?, list_of(map, back.to)?);
    let changed = || refuse(list, "this list was changed since; move the item back by hand");
    let gap = match (back.gap, list.style(), other.style()) {
        (Gap::Text(left), Style::Flow, Style::Flow) => return move_back_in_brackets(map, (list, other), left, back),
        (Gap::Lines(gap), Style::Block, Style::Block) => *gap,
        _ => return Err(changed()),
    };
    let lines = Lines::of(other, back.now, back.comments)?;
    let item = other.items().nth(back.now).unwrap_or(other);
    let core = without_entry(item, back.entry, lines.core.clone())?;
    let (anchor, at) = match back.index.checked_sub(1) {
        Some(before) => {
            let before = list.items().nth(before).ok_or_else(changed)?;
            (item_start(list, before)?, before.outer_span().end.checked_add(gap))
        }
        None => {
            let first = list.items().next().map_or(Err(changed()), |first| item_start(list, first))?;
            (first, first.checked_sub(gap))
        }
    };
    let at = at.filter(|at| {
        let before = file.text().get(..*at);
        before.is_some_and(|before| before.ends_with('\n')) || *at == file.text().len()
            // The line break before the last line of a file that does not end with one.
            || (*at <= file.text().len() && file.text().get(*at..).is_some_and(|rest| rest.trim().is_empty()))
    });
    let (place, text) = lines_at(file, at.ok_or_else(changed)?, &core, anchor);
    let taken = if back.made { splice(map, &Change::DropEntry(back.to.to_owned()))?.0 } else { lines.whole };
    Ok(vec![(taken, String::new()), (place, text)])
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
    if edits.is_empty() {
        return Ok(file.text().to_owned());
    }
    let mut splices: Vec<(Span, String)> = Vec::new();
    let mut wanted: Vec<Value> = Vec::new();
    for document in file.documents() {
        wanted.push(document.root().map_or(Ok(Value::Null), Node::json)?);
    }
    for edit in edits {
        let node = touched(file, edit)?;
        match &edit.change {
            Change::Move { from, index, to, entry } => splices.extend(move_item(node, from, *index, to, entry)?),
            Change::MoveBack { from, index, gap, to, now, made, comments, entry } => {
                let back = Back { from, index: *index, gap, to, now: *now, made: *made, comments: *comments, entry };
                splices.extend(move_back(node, &back)?);
            }
            change => splices.push(splice(node, change)?),
        }
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
        .map_err(|refusal| failed(&format!("line {} would then be wrong: {}", refusal.place.line, refusal.message)))?;
    let mut found = Vec::new();
    for document in after.documents() {
        found.push(document.root().map_or(Ok(Value::Null), Node::json)?);
    }
    if found != wanted {
        Err(failed("it would mean something else, there or where an alias repeats it"))
    } else {
        Ok(())
    }
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
        return Err(refuse(node, TEMPLATE));
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
        Change::Move { from, index, to, entry: (key, value) } => {
            let map = node.as_object_mut()?;
            let mut item = take(map.get_mut(from)?, *index)?;
            item.as_object_mut()?.insert(key.clone(), value.json());
            map.entry(to.clone()).or_insert_with(|| Value::Array(Vec::new())).as_array_mut()?.push(item);
        }
        Change::MoveBack { from, index, to, now, made, entry, .. } => {
            let map = node.as_object_mut()?;
            let mut item = take(map.get_mut(to)?, *now)?;
            item.as_object_mut()?.remove(entry)?;
            let list = map.get_mut(from)?.as_array_mut()?;
            (*index <= list.len()).then(|| list.insert(*index, item))?;
            if *made {
                map.remove(to)?.as_array()?.is_empty().then_some(())?;
            }
        }
    }
    Some(())
}

fn take(list: &mut Value, index: usize) -> Option<Value> {
    let list = list.as_array_mut()?;
    (index < list.len()).then(|| list.remove(index))
}

/// What is replaced by what: an insertion replaces nothing.
fn splice(node: Node<'_>, change: &Change) -> Result<(Span, String), Refusal> {
    match change {
        Change::Front(items) => front(node, items),
        Change::Entry { key, value, before } => entry(node, key, value, before),
        Change::DropFront(count) => {
            let first = node.items().next().ok_or_else(|| refuse(node, "an empty list"))?;
            let last = node.items().nth(count.saturating_sub(1)).unwrap_or(first).outer_span().end;
            let next = node.items().nth(*count).map(|next| item_start(node, next)).transpose()?;
            Ok((taken(node.file(), item_start(node, first)?, last, next), String::new()))
        }
        Change::DropEntry(key) => {
            let mut entries = node.entries().skip_while(|entry| entry.key.text() != Some(key));
            let own = entries.next().ok_or_else(|| refuse(node, "this entry is not here"))?;
            let next = entries.next().map(|next| Ok(visible(next.key)?.outer_span().start)).transpose()?;
            let own = own.key.outer_span().start..own.value.outer_span().end;
            Ok((taken(node.file(), own.start, own.end, next), String::new()))
        }
        Change::Move { .. } | Change::MoveBack { .. } => Err(refuse(node, "two places are changed by this")),
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

/// Where the line of this offset starts.
fn line_start(file: &File, at: usize) -> usize {
    file.text().get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1)
}

/// Where the comments begin that stand in lines of their own above what is at this offset: at the start of the first line.
fn above(file: &File, at: usize) -> Option<usize> {
    if !begins_line(file, at) {
        return None;
    }
    let (mut top, mut below) = (None, line_start(file, at));
    let earlier = file.comments.partition_point(|comment| comment.start < at);
    for comment in file.comments.get(..earlier).unwrap_or(&[]).iter().rev() {
        let start = line_start(file, comment.start);
        let alone =
            file.text().get(start..comment.start).is_some_and(|indent| indent.trim_matches([' ', '\t']).is_empty());
        let next = file.text().get(comment.end..below).is_some_and(|between| between.trim().is_empty());
        if !(alone && next) {
            break;
        }
        (top, below) = (Some(start), start);
    }
    top
}

/// Text before what is at this offset, and before the comments above that. The text ends as the line does, with the
/// indentation of what follows.
fn before(file: &File, at: usize, text: String) -> (Span, String) {
    let line = line_break(file, at);
    let indent = line.trim_start_matches(['\r', '\n']);
    match (above(file, at), text.strip_suffix(&line)) {
        (Some(at), Some(text)) => (at..at, format!("{indent}{text}{}", line.strip_suffix(indent).unwrap_or(""))),
        _ => (at..at, text),
    }
}

/// What goes with something that was put in, from its start to its end, before what is at `next`: all up to that, or up to
/// the comments above it.
fn taken(file: &File, start: usize, end: usize, next: Option<usize>) -> Span {
    let Some(next) = next else { return start..end };
    match above(file, next) {
        // A comment stands where it stood, and what is put in before one has whole lines.
        Some(comment) if comment >= end && begins_line(file, start) => line_start(file, start)..comment,
        _ => start..next,
    }
}

/// Will what this change puts in stand before comments? Earlier versions of this program have put nothing there.
pub fn is_above_comments(file: &File, edit: &Edit) -> bool {
    let Ok(node) = touched(file, edit) else { return false };
    let start = |list: Node<'_>, item: Node<'_>| item_start(list, item).ok();
    let at = match &edit.change {
        Change::Front(_) => node.items().next().and_then(|first| start(node, first)),
        Change::Entry { before, .. } => node.entry(before).map(|entry| entry.key.outer_span().start),
        Change::Move { from, to, .. } if node.entry(to).is_none() => {
            node.entry(from).map(|entry| entry.key.outer_span().start)
        }
        _ => None,
    };
    at.is_some_and(|at| above(file, at).is_some())
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
    let lines = above(file, at).is_some();
    for (number, item) in items.iter().enumerate() {
        if flow {
            text.push_str(&flow_text(item, quoted(list)));
            let own_line = match item {
                Data::Map(_) => begins_line(file, at),
                _ => lines && number + 1 == items.len(),
            };
            text.push_str(&if own_line { format!(",{next}") } else { ", ".to_owned() });
        } else {
            item_text(&mut text, item, &format!("{next}  "), dash_offset(list));
            text.push_str(&next);
        }
    }
    Ok(before(file, at, text))
}

fn entry(map: Node<'_>, key: &str, value: &Data, neighbour: &str) -> Result<(Span, String), Refusal> {
    if map.shape() != Shape::Map {
        return Err(refuse(map, "a mapping is expected here; if it is empty, remove its key"));
    }
    let file = map.file();
    if map.entries().len() == 0 {
        let at = map.span().start + 1;
        return Ok((at..at, format!("{}: {}", flow_key(key, true), flow_text(value, true))));
    }
    let next = map.entry(neighbour).ok_or_else(|| refuse(map, "what is to be put in has no neighbour here"))?.key;
    visible(next)?;
    let at = next.outer_span().start;
    let line = line_break(file, at);
    if map.style() == Style::Flow {
        let quoted = next.style() == Style::Double;
        let own_line = begins_line(file, at);
        let text =
            format!("{}: {},{}", flow_key(key, quoted), flow_text(value, quoted), if own_line { &line } else { " " });
        return Ok(before(file, at, text));
    }
    let mut text = String::new();
    block_text(&mut text, &Data::Map(vec![(key.to_owned(), value.clone())]), &line, dash_offset(map));
    text.push_str(&line);
    Ok(before(file, at, text))
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
                    Data::Map(_) | Data::Seq(_) if let Some(short) = short(value, line.len() + key.len() + 2) => {
                        text.push(' ');
                        text.push_str(&short);
                    }
                    Data::Map(entries) if !entries.is_empty() => {
                        let line = format!("{line}  ");
                        text.push_str(&line);
                        block_text(text, value, &line, dash);
                    }
                    Data::Seq(items) if items.iter().any(|item| matches!(item, Data::Map(_))) => {
                        let line = format!("{line}{}", " ".repeat(dash));
                        for item in items {
                            text.push_str(&line);
                            item_text(text, item, &format!("{line}  "), dash);
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

/// An item of a list in block style, with its dash.
fn item_text(text: &mut String, item: &Data, line: &str, dash: usize) {
    text.push_str("- ");
    match short(item, line.len()) {
        Some(short) if matches!(item, Data::Map(_)) => text.push_str(&short),
        _ => block_text(text, item, line, dash),
    }
}

/// A list or mapping of words in one line, for whoever has to read what was put in; if it fits there.
fn short(value: &Data, column: usize) -> Option<String> {
    const WIDTH: usize = 110;
    let text = match value {
        // Words are written as people write them in `command`.
        Data::Seq(items) if items.iter().all(|item| matches!(item, Data::Str(_))) => flow_text(value, true),
        Data::Seq(items) => {
            let items: Option<Vec<_>> = items.iter().map(|item| short(item, 0)).collect();
            format!("[{}]", items?.join(", "))
        }
        Data::Map(entries) => {
            let entry = |(key, value): &(String, Data)| Some(format!("{key}: {}", short(value, 0)?));
            let entries: Option<Vec<_>> = entries.iter().map(entry).collect();
            format!("{{{}}}", entries?.join(", "))
        }
        Data::Str(word) if word.contains(' ') => return None,
        Data::Str(word) if plain(word) => word.clone(),
        _ => flow_text(value, true),
    };
    (column + text.len() <= WIDTH).then_some(text)
}

/// Can this be written without quotes, and stay text?
fn plain(word: &str) -> bool {
    let simple = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '@' | '=');
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '-')
        && word.trim_start_matches('-').starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && word.chars().all(simple)
        && !word.ends_with(':')
        && super::scalar::plain(word) == Kind::Str
        && !matches!(word, "y" | "Y" | "n" | "N")
}
