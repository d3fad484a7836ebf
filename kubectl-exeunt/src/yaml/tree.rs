//! The tree of a file: nodes in one vector, seen through handles that can be copied.

use super::place::{self, Place, Refusal};
use super::scalar::{self, Kind};
use std::collections::HashMap;
use std::ops::Range;

/// A range of bytes of the file.
pub type Span = Range<usize>;

/// How a node is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A scalar without quotes; also the nothing after `key:`.
    Plain,
    /// `'text'`.
    Single,
    /// `"text"`.
    Double,
    /// `|` and lines.
    Literal,
    /// `>` and lines.
    Folded,
    /// A list or mapping by indentation.
    Block,
    /// A list or mapping in brackets, as in JSON.
    Flow,
}

pub(super) type Id = u32;

/// Small on purpose: a file of ten megabytes has more than a million of them.
#[derive(Debug)]
pub(super) struct Raw {
    /// Without tag and anchor. Of a block collection: from its first key or dash to the end of its last value.
    pub start: u32,
    pub end: u32,
    /// Of a text that is not the source, of an alias and of a collection: which.
    pub number: u32,
    pub what: What,
    pub style: Style,
    /// Has it a tag, or an anchor? They stand in maps of their own: hardly a node has one.
    pub named: bool,
    /// Does it begin earlier, by a tag, an anchor or the `|` or `>` of a block scalar? Where stands in [`File::outers`].
    pub early: bool,
}

const _: () = assert!(std::mem::size_of::<Raw>() == 16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// What stands in the file.
    Source,
    /// Another text than what stands in the file: [`Raw::number`] of [`File::texts`].
    Text,
    /// [`Raw::number`] is where its members begin in [`File::members`], behind their count.
    Seq,
    /// The same; keys and values in turn.
    Map,
    /// Of the node [`Raw::number`].
    Alias,
}

/// A file that has been read.
#[derive(Debug)]
pub struct File {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) starts: Vec<u32>,
    /// So many lines of the whole stand before it.
    pub(super) lines_before: usize,
    pub(super) nodes: Vec<Raw>,
    /// Of each collection that is not empty: how many there are, and then they.
    pub(super) members: Vec<u32>,
    /// Where nodes begin that begin early, in the order of their numbers.
    pub(super) outers: Vec<(Id, u32)>,
    pub(super) texts: Vec<Box<str>>,
    pub(super) anchors: HashMap<Id, Box<str>>,
    pub(super) tags: HashMap<Id, Box<str>>,
    pub(super) documents: Vec<(Span, Option<Id>)>,
    pub(super) comments: Vec<Span>,
    pub(super) templates: Vec<usize>,
}

/// One comment.
#[derive(Clone, Copy, Debug)]
pub struct Comment<'a> {
    /// From `#` to the end of its line.
    pub start: usize,
    /// What follows `#`, without the line break.
    pub text: &'a str,
    /// Where its `#` stands.
    pub place: Place,
}

/// One document of a file.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    file: &'a File,
    index: usize,
}

/// A handle on a node. Cheap to copy; compares by identity.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    file: &'a File,
    id: Id,
}

/// One entry of a mapping.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The key.
    pub key: Node<'a>,
    /// The value as written: perhaps an alias.
    pub value: Node<'a>,
}

/// What a node is, aliases followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    Scalar,
    /// A list.
    Seq,
    /// A mapping.
    Map,
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.file, other.file) && self.id == other.id
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = self.place();
        write!(out, "{}:{}: {:?}", place.line, place.column, self.source())
    }
}

impl File {
    /// What the file is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text. Offsets are in bytes of it; a byte order mark is part of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every document, empty ones included, in their order.
    pub fn documents(&self) -> impl DoubleEndedIterator<Item = Document<'_>> + Clone {
        (0..self.documents.len()).map(|index| Document { file: self, index })
    }

    /// Every comment, in their order.
    pub fn comments(&self) -> impl DoubleEndedIterator<Item = Comment<'_>> + Clone {
        self.comments.iter().map(|span| Comment {
            start: span.start,
            text: self.text.get(span.start + 1..span.end).unwrap_or(""),
            place: self.place(span.start),
        })
    }

    /// The first `{{ … }}` that stands where a value should: the file is a template that nobody has rendered.
    pub fn template(&self) -> Option<Place> {
        self.templates.first().map(|at| self.place(*at))
    }

    /// The first `{{` that is in no comment line, wherever it stands.
    pub fn braces(&self) -> Option<usize> {
        braces(&self.text)
    }

    /// The place of a byte offset.
    pub fn place(&self, at: usize) -> Place {
        let Place { line, column } = place::place(&self.text, &self.starts, at);
        Place { line: line + self.lines_before, column }
    }

    /// The text of a line (from 1), without its end.
    pub fn line(&self, line: usize) -> &str {
        let line = line.saturating_sub(self.lines_before);
        let start =
            line.checked_sub(1).and_then(|line| self.starts.get(line)).map_or(self.text.len(), |at| *at as usize);
        let end = self.starts.get(line).map_or(self.text.len(), |at| *at as usize);
        self.text.get(start..end).unwrap_or("").trim_end_matches(['\n', '\r']).trim_start_matches('\u{feff}')
    }

    /// A refusal at a byte offset.
    pub fn refusal(&self, at: usize, message: impl Into<String>) -> Refusal {
        Refusal { file: self.name.clone(), place: self.place(at), message: message.into() }
    }

    fn raw(&self, id: Id) -> Option<&Raw> {
        self.nodes.get(id as usize)
    }

    /// The members of a collection; of anything else none.
    fn members(&self, raw: &Raw) -> &[Id] {
        let from = raw.number as usize;
        let own = || {
            let count = *self.members.get(from)? as usize;
            self.members.get(from + 1..from + 1 + count)
        };
        match raw.what {
            What::Seq | What::Map => own().unwrap_or(&[]),
            What::Source | What::Text | What::Alias => &[],
        }
    }
}

/// The first `{{` that is in no comment line.
pub(super) fn braces(text: &str) -> Option<usize> {
    text.match_indices("{{").map(|(at, _)| at).find(|at| {
        let line = text.get(..*at).unwrap_or("").rsplit(['\n', '\r']).next().unwrap_or("");
        !line.trim_start().starts_with('#')
    })
}

impl<'a> Document<'a> {
    /// The file it is in.
    pub fn file(self) -> &'a File {
        self.file
    }

    /// Which of the file's documents it is, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// Its root; nothing if there is nothing but comments.
    pub fn root(self) -> Option<Node<'a>> {
        let (_, root) = self.file.documents.get(self.index)?;
        root.map(|id| Node { file: self.file, id })
    }

    /// Its bytes, as far as they are known to be its own: from its first marker or node to the next document.
    pub fn span(self) -> Span {
        self.file.documents.get(self.index).map_or(0..0, |(span, _)| span.clone())
    }
}

impl<'a> Node<'a> {
    /// The file it is in.
    pub fn file(self) -> &'a File {
        self.file
    }

    fn raw(self) -> Option<&'a Raw> {
        self.file.raw(self.id)
    }

    /// Its bytes, without tag and anchor. A block collection ends with its last value, a block scalar with the last line
    /// that is part of its value, line break excluded. The nothing after `key:` or `-` is an empty span behind it.
    pub fn span(self) -> Span {
        self.raw().map_or(0..0, |raw| raw.start as usize..raw.end as usize)
    }

    /// Its bytes with tag and anchor, and of a block scalar its `|` or `>`.
    pub fn outer_span(self) -> Span {
        let own = self.span();
        if !self.raw().is_some_and(|raw| raw.early) {
            return own;
        }
        let early = self.file.outers.binary_search_by_key(&self.id, |(id, _)| *id).ok();
        early.and_then(|at| self.file.outers.get(at)).map_or(own.start, |(_, at)| *at as usize)..own.end
    }

    /// Where it starts.
    pub fn place(self) -> Place {
        self.file.place(self.span().start)
    }

    /// Where it ends: the place behind its last character.
    pub fn end_place(self) -> Place {
        self.file.place(self.span().end)
    }

    /// What stands in the file for it.
    pub fn source(self) -> &'a str {
        self.file.text.get(self.span()).unwrap_or("")
    }

    /// How it is written.
    pub fn style(self) -> Style {
        self.raw().map_or(Style::Plain, |raw| raw.style)
    }

    /// The name of its anchor.
    pub fn anchor(self) -> Option<&'a str> {
        self.file.anchors.get(&self.id).filter(|_| self.is_named()).map(|name| &**name)
    }

    /// Its tag as resolved, such as `tag:yaml.org,2002:str`.
    pub fn tag(self) -> Option<&'a str> {
        self.file.tags.get(&self.id).filter(|_| self.is_named()).map(|name| &**name)
    }

    fn is(self, what: What) -> bool {
        self.raw().is_some_and(|raw| raw.what == what)
    }

    fn is_named(self) -> bool {
        self.raw().is_some_and(|raw| raw.named)
    }

    /// Is it written as an alias, `*name`?
    pub fn is_alias(self) -> bool {
        self.is(What::Alias)
    }

    /// The node that an alias stands for; itself otherwise. An alias of an alias cannot be written in YAML.
    pub fn target(self) -> Node<'a> {
        match self.raw() {
            Some(raw) if raw.what == What::Alias => Node { file: self.file, id: raw.number },
            _ => self,
        }
    }

    /// What it is, aliases followed.
    pub fn shape(self) -> Shape {
        match self.target().raw().map(|raw| raw.what) {
            Some(What::Seq) => Shape::Seq,
            Some(What::Map) => Shape::Map,
            _ => Shape::Scalar,
        }
    }

    /// The text of a scalar, escapes read, whatever its kind: `8080` and `"8080"` alike. Nothing for collections.
    pub fn text(self) -> Option<&'a str> {
        let node = self.target();
        let raw = node.raw()?;
        match raw.what {
            What::Source => Some(node.source()),
            What::Text => node.file.texts.get(raw.number as usize).map(|text| &**text),
            What::Seq | What::Map | What::Alias => None,
        }
    }

    /// The kind of a scalar; nothing for collections.
    pub fn kind(self) -> Option<Kind> {
        let node = self.target();
        let text = node.text()?;
        Some(match node.tag() {
            Some("tag:yaml.org,2002:str" | "!") => Kind::Str,
            Some("tag:yaml.org,2002:null") => Kind::Null,
            None if node.style() == Style::Plain => scalar::plain(text),
            Some("tag:yaml.org,2002:int" | "tag:yaml.org,2002:bool" | "tag:yaml.org,2002:float") => scalar::plain(text),
            _ => Kind::Str,
        })
    }

    /// The text, if it is text and not a number, a truth value or nothing.
    pub fn str(self) -> Option<&'a str> {
        (self.kind()? == Kind::Str).then(|| self.text()).flatten()
    }

    /// The number, if it is one without fraction.
    pub fn int(self) -> Option<i64> {
        match self.kind()? {
            Kind::Int(value) => Some(value),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    pub fn bool(self) -> Option<bool> {
        match self.kind()? {
            Kind::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// Is it nothing: an absent value, `~` or `null`?
    pub fn is_null(self) -> bool {
        self.kind() == Some(Kind::Null)
    }

    /// The items of a list, aliases followed for the list itself but not for its items. Empty for everything else.
    pub fn items(self) -> impl DoubleEndedIterator<Item = Node<'a>> + ExactSizeIterator + Clone {
        let node = self.target();
        let ids: &'a [Id] = node.raw().filter(|raw| raw.what == What::Seq).map_or(&[], |raw| node.file.members(raw));
        ids.iter().map(move |id| Node { file: node.file, id: *id })
    }

    /// The entries of a mapping as written: merge keys (`<<`) are among them. Empty for everything else.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = Entry<'a>> + ExactSizeIterator + Clone {
        let node = self.target();
        let ids: &'a [Id] = node.raw().filter(|raw| raw.what == What::Map).map_or(&[], |raw| node.file.members(raw));
        let handle = move |id| Node { file: node.file, id };
        let (pairs, _) = ids.as_chunks::<2>();
        pairs.iter().map(move |[key, value]| Entry { key: handle(*key), value: handle(*value) })
    }

    /// The entry for a key as written here, not by a merge. Of a duplicate key the last, as Kubernetes' reader takes it.
    pub fn entry(self, key: &str) -> Option<Entry<'a>> {
        self.entries().rev().find(|entry| entry.key.text() == Some(key))
    }

    /// The value for a key, merge keys followed.
    pub fn get(self, key: &str) -> Option<Node<'a>> {
        if let Some(entry) = self.entry(key) {
            return Some(entry.value);
        }
        // Bounded: a mapping may be merged into itself by way of an alias.
        let mut merged: Vec<Node<'a>> = self.merges().collect();
        let mut left = 64;
        while let Some(node) = (!merged.is_empty()).then(|| merged.remove(0)) {
            if let Some(entry) = node.entry(key) {
                return Some(entry.value);
            }
            left -= 1;
            if left == 0 {
                return None;
            }
            merged.extend(node.merges());
        }
        None
    }

    /// The value at the end of a path of keys.
    pub fn path(self, keys: &[&str]) -> Option<Node<'a>> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The mappings that are merged into this one by `<<`, the stronger first.
    pub fn merges(self) -> impl Iterator<Item = Node<'a>> {
        self.entries().filter(|entry| entry.key.text() == Some("<<") && entry.key.style() == Style::Plain).flat_map(
            |entry| {
                let list = entry.value.target().shape() == Shape::Seq;
                let one = (!list).then_some(entry.value);
                one.into_iter().chain(entry.value.items().take(64))
            },
        )
    }

    /// Has it a merge key?
    pub fn has_merge(self) -> bool {
        self.merges().next().is_some()
    }

    /// The second place of every key that stands twice in this mapping.
    pub fn duplicates(self) -> Vec<Node<'a>> {
        let mut seen = std::collections::HashSet::new();
        self.entries().map(|entry| entry.key).filter(|key| key.text().is_some_and(|text| !seen.insert(text))).collect()
    }

    /// Is it, or does its own text hold, `{{ … }}`: something that Helm or another tool fills in before this is a manifest?
    pub fn is_template(self) -> bool {
        match self.text() {
            Some(text) => text.contains("{{"),
            None => self.style() == Style::Flow && self.source().starts_with("{{"),
        }
    }

    /// As JSON data, aliases and merges expanded, as Kubernetes' reader would see it.
    ///
    /// # Errors
    /// A refusal if that is more than a million nodes, or nested deeper than 600: an alias bomb.
    pub fn json(self) -> Result<serde_json::Value, Refusal> {
        let mut left = 1_000_000;
        self.json_below(&mut left, 0)
    }

    fn json_below(self, left: &mut usize, depth: usize) -> Result<serde_json::Value, Refusal> {
        // Aliases nest what is nested already; the reader's limit holds for what is written.
        if *left == 0 || depth > 600 {
            return Err(self.file.refusal(self.span().start, super::load::BOMB));
        }
        *left -= 1;
        let node = self.target();
        Ok(match node.shape() {
            Shape::Seq => serde_json::Value::Array(
                self.items().map(|item| item.json_below(left, depth + 1)).collect::<Result<_, _>>()?,
            ),
            Shape::Map => {
                let mut map = serde_json::Map::new();
                for merged in self.merges() {
                    if let serde_json::Value::Object(entries) = merged.json_below(left, depth + 1)? {
                        for (key, value) in entries {
                            map.entry(key).or_insert(value);
                        }
                    }
                }
                for entry in self.entries() {
                    let key = match entry.key.text() {
                        Some("<<") if entry.key.style() == Style::Plain => continue,
                        Some(text) => text.to_owned(),
                        None => entry.key.source().to_owned(),
                    };
                    map.insert(key, entry.value.json_below(left, depth + 1)?);
                }
                serde_json::Value::Object(map)
            }
            Shape::Scalar => node.json_scalar(),
        })
    }

    fn json_scalar(self) -> serde_json::Value {
        let text = self.text().unwrap_or("");
        match self.kind() {
            None | Some(Kind::Null) => serde_json::Value::Null,
            Some(Kind::Bool(value)) => value.into(),
            Some(Kind::Int(value)) => value.into(),
            Some(Kind::Float) => text.replace('_', "").parse::<f64>().ok().map_or_else(|| text.into(), Into::into),
            Some(Kind::Str) => text.into(),
        }
    }
}
