//! From the parser's events to the tree.

use super::TEMPLATE;
use super::place::{self, Place, Refusal};
use super::tree::{File, Id, Raw, Span, Style, What, braces};
use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};
use std::collections::HashMap;

/// What a file may be at most. Beyond it is answered, not tried.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a file.
    pub bytes: usize,
    /// Nodes of a file: scalars, lists, mappings.
    pub nodes: usize,
    /// Lists and mappings inside each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, nodes: 4_000_000, depth: 200 }
    }
}

pub(super) const BOMB: &str =
    "its aliases (*name) repeat each other until a million nodes are reached; write out what is meant";

/// A collection that has not ended.
struct Open {
    id: Id,
    /// Where its members begin among those that are not yet placed.
    from: usize,
    /// How many nodes it is so far, aliases expanded.
    size: u64,
    /// Its anchor, by the parser's number; 0: none.
    anchor: usize,
}

struct Loader<'t> {
    text: &'t str,
    nodes: Vec<Raw>,
    members: Vec<u32>,
    outers: Vec<(Id, u32)>,
    texts: Vec<Box<str>>,
    open: Vec<Open>,
    /// The members of all that is open, the innermost last.
    waiting: Vec<Id>,
    root: Option<Id>,
    /// What each anchor stands for, and how many nodes that is.
    targets: HashMap<usize, (Id, u64)>,
    anchors: HashMap<Id, Box<str>>,
    tags: HashMap<Id, Box<str>>,
    comments: Vec<Span>,
    templates: Vec<usize>,
}

impl File {
    /// Reads a file of YAML, JSON or KYAML. `name` is for messages.
    ///
    /// # Errors
    /// Anything that is not: with the place, the reason and what to do.
    pub fn read(name: &str, bytes: Vec<u8>) -> Result<File, Refusal> {
        Self::read_within(name, bytes, Limits::default())
    }

    /// The same with limits of one's own.
    ///
    /// # Errors
    /// As [`File::read`].
    pub fn read_within(name: &str, bytes: Vec<u8>, limits: Limits) -> Result<File, Refusal> {
        File::of(name, text_of(name, bytes, limits)?, 0, limits)
    }

    fn of(name: &str, text: String, lines_before: usize, limits: Limits) -> Result<File, Refusal> {
        let starts = place::line_starts(&text);
        let mut file = File {
            name: name.to_owned(),
            text,
            starts,
            lines_before,
            nodes: Vec::new(),
            members: Vec::new(),
            outers: Vec::new(),
            texts: Vec::new(),
            anchors: HashMap::new(),
            tags: HashMap::new(),
            documents: Vec::new(),
            comments: Vec::new(),
            templates: Vec::new(),
        };
        match Loader::run(&file.text, limits) {
            Ok((loader, documents)) => {
                file.nodes = loader.nodes;
                (file.members, file.outers) = (loader.members, loader.outers);
                file.texts = loader.texts;
                (file.anchors, file.tags) = (loader.anchors, loader.tags);
                file.comments = loader.comments;
                file.templates = loader.templates;
                file.documents = documents;
                Ok(file)
            }
            Err((at, message)) => {
                // A template is seldom good YAML; that it is one helps more than where the parser has given up.
                Err(match file.braces() {
                    Some(at) => file.refusal(at, TEMPLATE),
                    None => file.refusal(at, message),
                })
            }
        }
    }
}

/// The text of a file, if it is one that can be read at all.
fn text_of(name: &str, bytes: Vec<u8>, limits: Limits) -> Result<String, Refusal> {
    let first = |message: String| Refusal { file: name.to_owned(), place: Place { line: 1, column: 1 }, message };
    if bytes.len() > limits.bytes.min(u32::MAX as usize - 1) {
        return Err(first(format!("more than {} bytes; split it", limits.bytes)));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(first("it is UTF-16; convert it first: iconv -f UTF-16 -t UTF-8".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let bytes = error.into_bytes();
        let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or(&[])).into_owned();
        let place = place::place(&before, &place::line_starts(&before), before.len());
        Refusal { place, ..first("it is not UTF-8; convert it, or is it no text at all?".to_owned()) }
    })
}

/// A file that is read some documents at a time: of a long one, what has been looked at need not stay.
#[derive(Debug)]
pub struct Text {
    name: String,
    text: String,
    limits: Limits,
}

/// So many bytes of documents are read at once.
const AT_ONCE: usize = 256 << 10;

impl Text {
    /// # Errors
    /// It is no text, or too long.
    pub fn new(name: &str, bytes: Vec<u8>) -> Result<Text, Refusal> {
        let limits = Limits::default();
        Ok(Text { name: name.to_owned(), text: text_of(name, bytes, limits)?, limits })
    }

    /// The documents, some at a time and in their order: each file has the places of the whole. What one of them complains of
    /// may be said otherwise by [`Text::whole`], which knows all.
    pub fn pieces(&self) -> impl Iterator<Item = Result<File, Refusal>> + '_ {
        let (mut at, mut lines, mut limits) = (0, 0, self.limits);
        std::iter::from_fn(move || {
            let rest = self.text.get(at..).filter(|rest| at == 0 || !rest.is_empty())?;
            let piece = rest.get(..piece(rest, AT_ONCE)).unwrap_or(rest);
            let file = File::of(&self.name, piece.to_owned(), lines, limits);
            at += piece.len().max(1);
            if let Ok(file) = &file {
                // The last line has no end, and is the first of what follows.
                lines += file.starts.len() - 1;
                limits.nodes = limits.nodes.saturating_sub(file.nodes.len());
            }
            Some(file)
        })
    }

    /// Has it more than one piece, and none that is most of it? Everything else is read at once.
    pub fn is_long(&self) -> bool {
        piece(&self.text, AT_ONCE) < self.text.len() / 2
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the first `{{` stands that is in no comment line.
    pub fn braces(&self) -> Option<Place> {
        braces(&self.text).map(|at| place::place(&self.text, &place::line_starts(&self.text), at))
    }

    /// All of it at once.
    ///
    /// # Errors
    /// As [`File::read`].
    pub fn whole(self) -> Result<File, Refusal> {
        File::of(&self.name, self.text, 0, self.limits)
    }
}

/// Where the first documents end that are together as long as this: at a line `---`, which no scalar can hold. What stands
/// before the first document belongs to it.
fn piece(text: &str, least: usize) -> usize {
    let mut from = least.min(text.len());
    while let Some(found) =
        text.as_bytes().get(from..).and_then(|rest| rest.windows(4).position(|four| four == b"\n---"))
    {
        let at = from + found + 1;
        let ends = text.as_bytes().get(at + 3).is_none_or(|next| matches!(next, b' ' | b'\t' | b'\r' | b'\n'));
        if ends {
            return at;
        }
        from = at;
    }
    text.len()
}

type Failure = (usize, String);
type Documents = Vec<(Span, Option<Id>)>;

impl<'t> Loader<'t> {
    fn run(text: &'t str, limits: Limits) -> Result<(Self, Documents), Failure> {
        let mut loader = Loader {
            text,
            // What is not used is not paid for, and growing would be paid for twice.
            nodes: Vec::with_capacity(text.len() / 8),
            members: Vec::with_capacity(text.len() / 8),
            outers: Vec::new(),
            texts: Vec::new(),
            open: Vec::new(),
            waiting: Vec::new(),
            root: None,
            targets: HashMap::new(),
            anchors: HashMap::new(),
            tags: HashMap::new(),
            comments: Vec::new(),
            templates: Vec::new(),
        };
        let mut documents: Documents = Vec::new();
        let options = granit_parser::options! {
            emit_anchor_events: true,
            max_buffered_comment_events: usize::MAX,
            flow_nesting_limit: limits.depth,
            block_nesting_limit: limits.depth,
        };
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| {
                let at = error.marker().byte_offset().unwrap_or(0);
                let next = error.info().contains("<document start>");
                let what = if next { "; between two documents stands a line ---" } else { "" };
                (at, format!("this is not YAML: {}{what}", error.info()))
            })?;
            if loader.nodes.len() >= limits.nodes {
                return Err((offset(&span.start), format!("more than {} nodes; split it", limits.nodes)));
            }
            match event {
                Event::DocumentStart(..) => {
                    loader.targets.clear();
                    loader.root = None;
                    documents.push((offset(&span.start)..text.len(), None));
                }
                Event::DocumentEnd => {
                    if let Some((range, root)) = documents.last_mut() {
                        range.end = offset(&span.end).max(range.start);
                        *root = loader.root;
                    }
                }
                Event::Comment(..) => loader.comment(offset(&span.start)..offset(&span.end)),
                Event::Anchor(_, name) => loader.anchor(&span, &name),
                Event::Alias(anchor) => {
                    let (target, size) =
                        *loader.targets.get(&anchor).ok_or((offset(&span.start), "an unknown alias".to_owned()))?;
                    loader.add(&span, Style::Plain, (What::Alias, target), None, size);
                }
                Event::Scalar(value, style, anchor, tag) => {
                    let id = loader.scalar(&value, style, &span, tag.map(|tag| name_of(&tag)));
                    loader.remember(anchor, id);
                }
                Event::SequenceStart(style, anchor, tag) => {
                    let id = loader.start(&span, style, What::Seq, tag.map(|tag| name_of(&tag)));
                    loader.remember(anchor, id);
                }
                Event::MappingStart(style, anchor, tag) => {
                    let id = loader.start(&span, style, What::Map, tag.map(|tag| name_of(&tag)));
                    loader.remember(anchor, id);
                }
                Event::SequenceEnd | Event::MappingEnd => loader.end(&span),
                _ => {}
            }
            if loader.open.last().is_some_and(|open| open.size > 1_000_000_000) {
                return Err((offset(&span.start), BOMB.to_owned()));
            }
        }
        Ok((loader, documents))
    }

    /// Of what has no anchor the parser says 0.
    fn remember(&mut self, anchor: usize, id: Id) {
        if anchor != 0 {
            self.targets.insert(anchor, (id, 1));
            if let Some(open) = self.open.last_mut().filter(|open| open.id == id) {
                open.anchor = anchor;
            }
        }
    }

    fn add(
        &mut self,
        span: &granit_parser::Span,
        style: Style,
        (what, number_of): (What, u32),
        tag: Option<Box<str>>,
        size: u64,
    ) -> Id {
        let id = Id::try_from(self.nodes.len()).unwrap_or(Id::MAX);
        let start = offset(&span.start);
        let outer = span.tag_start.map_or(start, |tag| offset(&tag).min(start));
        let named = tag.is_some();
        if let Some(tag) = tag {
            self.tags.insert(id, tag);
        }
        self.nodes.push(Raw {
            start: number(start),
            end: number(offset(&span.end).max(start)),
            number: number_of,
            what,
            style,
            named,
            early: false,
        });
        self.begins(outer);
        match self.open.last_mut() {
            Some(parent) => {
                parent.size = parent.size.saturating_add(size);
                self.waiting.push(id);
            }
            None => self.root = Some(id),
        }
        id
    }

    /// The last node begins no later than here.
    fn begins(&mut self, at: usize) {
        let (id, at) = (number(self.nodes.len().saturating_sub(1)), number(at));
        let Some(raw) = self.nodes.last_mut().filter(|raw| at < raw.start) else { return };
        raw.early = true;
        match self.outers.last_mut().filter(|(other, _)| *other == id) {
            Some((_, outer)) => *outer = at.min(*outer),
            None => self.outers.push((id, at)),
        }
    }

    /// Comments are kept in the order of the file, in which the parser hands out nearly all of them.
    fn comment(&mut self, span: Span) {
        let later = self.comments.iter().rev().take_while(|other| other.start > span.start).count();
        self.comments.insert(self.comments.len() - later, span);
    }

    fn anchor(&mut self, span: &granit_parser::Span, name: &str) {
        let id = number(self.nodes.len().saturating_sub(1));
        if let Some(raw) = self.nodes.last_mut() {
            raw.named = true;
            self.anchors.insert(id, name.into());
            self.begins(offset(&span.start));
        }
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, span: &granit_parser::Span, tag: Option<Box<str>>) -> Id {
        let style = match style {
            ScalarStyle::SingleQuoted => Style::Single,
            ScalarStyle::DoubleQuoted => Style::Double,
            ScalarStyle::Literal => Style::Literal,
            ScalarStyle::Folded => Style::Folded,
            _ => Style::Plain,
        };
        let mut span = *span;
        let range = offset(&span.start)..offset(&span.end);
        let end = match style {
            Style::Literal | Style::Folded => block_scalar_end(self.text, range.clone()),
            _ => range.end,
        };
        // A nothing is reported where the next token stands, which may be lines further down.
        if style == Style::Plain && range.is_empty() {
            let at = self.nothing_at(range.start);
            span.start = span.start.with_byte_offset(Some(at));
            span.end = span.start;
        } else {
            span.end = span.end.with_byte_offset(Some(end));
        }
        // Of such a nothing the parser says "~".
        let value = if style == Style::Plain && range.is_empty() { "" } else { value };
        let same = self.text.get(offset(&span.start)..offset(&span.end)) == Some(value);
        let value = if same {
            (What::Source, 0)
        } else {
            self.texts.push(value.into());
            (What::Text, number(self.texts.len() - 1))
        };
        let id = self.add(&span, style, value, tag, 1);
        // The parser reports where the text begins; the node begins at its `|` or `>`.
        if matches!(style, Style::Literal | Style::Folded)
            && let Some(header) = header(self.text, range.start)
        {
            self.begins(header);
        }
        id
    }

    /// Where a value that is not there would start: right behind the colon or dash that announces it.
    fn nothing_at(&self, reported: usize) -> usize {
        if let Some(key) = self.awaiting() {
            let end = self.nodes.get(key as usize).map_or(reported, |raw| raw.end as usize);
            let rest = self.text.get(end..).unwrap_or("");
            let blanks = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            let colon = rest.get(blanks..).is_some_and(|rest| rest.starts_with(':'));
            return if colon { end + blanks + 1 } else { end };
        }
        let mut at = reported;
        loop {
            at = self.text.get(..at).unwrap_or("").trim_end().len();
            // A comment on the way back is jumped over.
            let found = self.comments.binary_search_by_key(&at, |comment| comment.end).ok();
            match found.and_then(|index| self.comments.get(index)) {
                Some(comment) => at = comment.start,
                None => return at,
            }
        }
    }

    /// The key whose value comes next.
    fn awaiting(&self) -> Option<Id> {
        let open = self.open.last()?;
        let map = self.nodes.get(open.id as usize)?.what == What::Map;
        self.waiting.last().copied().filter(|_| map && (self.waiting.len() - open.from) % 2 == 1)
    }

    fn start(&mut self, span: &granit_parser::Span, style: StructureStyle, what: What, tag: Option<Box<str>>) -> Id {
        let style = match style {
            StructureStyle::Flow => Style::Flow,
            _ => Style::Block,
        };
        let at = offset(&span.start);
        if style == Style::Flow && self.text.get(at..).is_some_and(|rest| rest.starts_with("{{")) {
            self.templates.push(at);
        }
        let id = self.add(span, style, (what, u32::MAX), tag, 1);
        self.open.push(Open { id, from: self.waiting.len(), size: 0, anchor: 0 });
        id
    }

    fn end(&mut self, span: &granit_parser::Span) {
        let Some(Open { id, from, size, anchor }) = self.open.pop() else { return };
        let (members, count) = (number(self.members.len()), number(self.waiting.len() - from));
        let last = self.waiting.last().copied().filter(|_| count > 0);
        if count > 0 {
            self.members.push(count);
            self.members.extend(self.waiting.drain(from..));
        }
        let last_end = last.and_then(|id| self.nodes.get(id as usize)).map(|raw| raw.end);
        if let Some(parent) = self.open.last_mut() {
            // Itself is counted there already.
            parent.size = parent.size.saturating_add(size);
        }
        let Some(raw) = self.nodes.get_mut(id as usize) else { return };
        // Of an empty one it stays out of them all.
        if count > 0 {
            raw.number = members;
        }
        let closed = number(offset(&span.end));
        // The end of a block collection is reported at the next token.
        raw.end = if raw.style == Style::Flow { closed } else { last_end.unwrap_or(raw.start) }.max(raw.start);
        if let Some((_, its)) = self.targets.get_mut(&anchor) {
            *its = size.saturating_add(1);
        }
    }
}

/// Where the `|` or `>` stands of a block scalar whose text begins here: in the last line above that is not empty.
fn header(text: &str, at: usize) -> Option<usize> {
    let line = text.get(..at)?.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    if !text.get(line..at)?.trim().is_empty() {
        return None;
    }
    let above = text.get(..line)?.trim_end();
    let line = above.rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let above = above.get(line..)?;
    let is_header = |at: &usize| {
        let (before, rest) = above.split_at(*at);
        let rest = rest.trim_start_matches(['|', '>']).trim_start_matches(|c: char| "+-123456789".contains(c));
        let comment = rest.trim_start();
        (before.is_empty() || before.ends_with([' ', '\t']))
            && (comment.is_empty() || comment.starts_with('#') && rest != comment)
    };
    above.match_indices(['|', '>']).map(|(at, _)| at).find(is_header).map(|at| line + at)
}

/// A place that fits: no file is longer than 4 GiB.
fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The last byte that belongs to a block scalar, line break excluded: of `|+` with the empty lines that it keeps.
///
/// The parser reports the column of the next token, which may be in another mapping. What belongs to it are the lines that
/// are indented as its first one is, or empty.
fn block_scalar_end(text: &str, range: Span) -> usize {
    let source = text.get(range.clone()).unwrap_or("");
    if !source.contains(['\n', '\r']) {
        return range.start + source.trim_end().len();
    }
    // Where the text begins is told, and what is to be kept stands above it, behind `|` or `>`.
    let at = if source.starts_with(['|', '>']) { Some(range.start) } else { header(text, range.start) };
    let indicators = at.and_then(|at| text.get(at + 1..)).unwrap_or("");
    let keep = indicators.chars().take_while(|letter| "+-123456789".contains(*letter)).any(|letter| letter == '+');
    // The reported end stands in the line of the next token, behind its indentation, or at the very end.
    let mut end = source.len();
    let last = source.rfind(['\n', '\r']).map_or(0, |at| at + 1);
    if source.get(last..).is_some_and(|rest| rest.trim_matches([' ', '\t']).is_empty()) && range.end < text.len() {
        end = last;
    }
    let body = source.get(..end).unwrap_or("");
    if !keep {
        return range.start + body.trim_end().len();
    }
    let body = body.trim_end_matches([' ', '\t']);
    let body = body.strip_suffix('\n').unwrap_or(body);
    range.start + body.strip_suffix('\r').unwrap_or(body).len()
}

fn offset(marker: &granit_parser::Marker) -> usize {
    marker.byte_offset().unwrap_or(0)
}

fn name_of(tag: &granit_parser::Tag) -> Box<str> {
    format!("{}{}", tag.handle(), tag.suffix()).into()
}
