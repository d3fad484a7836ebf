//! What inject says in the manifest about what it has done, so that whoever reads it, in whatever version, can undo it.
//!
//! An annotation of the Pod template holds words separated by spaces. The first is the version of these words. Then, for
//! each thing put in: `OWNER/FIELD` is an entry, `OWNER/FIELD:N` are the first N items of a list that was there. OWNER is the
//! name of a container, or empty for the Pod's own spec. `metadata` or `annotations` says that this was made for the
//! annotation itself.

use crate::yaml::{Change, Edit, Gap, Moved, Node, Refusal, Step};

/// The annotation, and the label of everything that is exeunt's in a manifest.
pub const ANNOTATION: &str = "exeunt.dev/injected";

const VERSION: &str = "1";

/// The same words, but something that was put in stands before the comments above what follows it, or a container took those
/// above it along. Whoever knows only the first version would take the comments out, too.
const WITH_COMMENTS: &str = "2";

/// The variable that ties a record to one Pod, where the volume outlives it.
pub const RUN_ID: &str = "EXEUNT_RUN_ID";

/// One thing that was put in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// A container, or empty for the Pod.
    pub owner: String,
    /// The field of it.
    pub field: String,
    /// The first so many items, or the whole entry.
    pub items: Option<usize>,
}

/// A container that was moved to `initContainers`: `move:NAME:INDEX:GAP`, and `:new` if that list was made for it. GAP is a
/// number of bytes, or between brackets the text that was there, with `%` and two digits for what is no comma. `GAP+N` says
/// that N lines of comments went with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The container.
    pub name: String,
    /// Which of `containers` it was when it was moved.
    pub index: usize,
    /// How to find its place again.
    pub moved: Moved,
}

/// The text of the annotation. `comments` says whether something of this stands before comments.
pub fn write(puts: &[Put], moves: &[Move], made: Option<&str>, comments: bool) -> String {
    let comments = comments || moves.iter().any(|mov| mov.moved.comments > 0);
    let mut words = vec![if comments { WITH_COMMENTS } else { VERSION }.to_owned()];
    words.extend(made.map(str::to_owned));
    for put in puts {
        let count = put.items.map_or_else(String::new, |count| format!(":{count}"));
        words.push(format!("{}/{}{count}", put.owner, put.field));
    }
    for Move { name, index, moved } in moves {
        let gap = match &moved.gap {
            Gap::Lines(bytes) => bytes.to_string(),
            Gap::Text(text) => {
                text.bytes().map(|byte| if byte == b',' { ",".to_owned() } else { format!("%{byte:02x}") }).collect()
            }
        };
        let with = if moved.comments > 0 { format!("+{}", moved.comments) } else { String::new() };
        words.push(format!("move:{name}:{index}:{gap}{with}{}", if moved.made { ":new" } else { "" }));
    }
    words.join(" ")
}

fn gap(text: &str) -> Option<Gap> {
    if let Ok(bytes) = text.parse() {
        return Some(Gap::Lines(bytes));
    }
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            ',' => {
                bytes.push(b',');
                rest.get(1..)?
            }
            '%' => {
                bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
                rest.get(3..)?
            }
            _ => return None,
        };
    }
    String::from_utf8(bytes).ok().map(Gap::Text)
}

/// The moves that the annotation tells, the first first.
///
/// # Errors
/// One of them cannot be read.
pub fn moves(template: Node<'_>) -> Result<Vec<Move>, Refusal> {
    let Some(annotation) = of(template) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for word in annotation.text().unwrap_or("").split_ascii_whitespace() {
        let Some(told) = word.strip_prefix("move:") else { continue };
        let mut parts = told.split(':');
        let mut read = || {
            let (name, index, left) = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
            let (left, comments) = left.split_once('+').unwrap_or((left, "0"));
            let moved = Moved { gap: gap(left)?, made: parts.next() == Some("new"), comments: comments.parse().ok()? };
            Some(Move { name: name.to_owned(), index, moved })
        };
        found.push(read().ok_or_else(|| unknown(annotation, word))?);
    }
    Ok(found)
}

/// A word that no version of this program has written.
fn unknown(annotation: Node<'_>, word: &str) -> Refusal {
    let message = format!("{word} cannot be understood; take exeunt out by hand");
    annotation.file().refusal(annotation.span().start, message)
}

/// The edit that moves a container back, in a file without the annotation.
///
/// # Errors
/// It is not where it was moved to.
pub fn move_back(document: usize, path: &[Step], template: Node<'_>, mov: &Move) -> Result<Edit, Refusal> {
    let inits = template.path(&["spec", "initContainers"]);
    let now = inits.and_then(|list| list.items().position(|item| name(item) == Some(&mov.name)));
    let now = now.ok_or_else(|| {
        let what = format!("the container {}, which was moved to initContainers, is not there any more", mov.name);
        template.file().refusal(template.span().start, what)
    })?;
    let change = Change::MoveBack {
        from: "containers".to_owned(),
        index: mov.index,
        gap: mov.moved.gap.clone(),
        to: "initContainers".to_owned(),
        now,
        made: mov.moved.made,
        comments: mov.moved.comments,
        entry: "restartPolicy".to_owned(),
    };
    let path = path.iter().cloned().chain([Step::Key("spec".to_owned())]).collect();
    Ok(Edit { document, path, change })
}

/// The annotation of a template, if it has one.
pub fn of(template: Node<'_>) -> Option<Node<'_>> {
    template.path(&["metadata", "annotations", ANNOTATION])
}

/// The edits that undo what the annotation tells.
///
/// # Errors
/// It cannot be read, or what it tells of is not there any more.
pub fn undo(document: usize, path: &[Step], template: Node<'_>) -> Result<Vec<Edit>, Refusal> {
    let Some(annotation) = of(template) else { return Ok(Vec::new()) };
    let file = template.file();
    let refuse = |node: Node<'_>, message: String| file.refusal(node.span().start, message);
    let mut words = annotation.text().unwrap_or("").split_ascii_whitespace();
    if !words.next().is_some_and(|version| [VERSION, WITH_COMMENTS].contains(&version)) {
        return Err(refuse(
            annotation,
            "another version of exeunt wrote this annotation; use that to take it out".to_owned(),
        ));
    }
    let at = |steps: &[&str]| -> Vec<Step> {
        path.iter().cloned().chain(steps.iter().map(|step| Step::Key((*step).to_owned()))).collect()
    };
    let edit = |path, change| Edit { document, path, change };
    let mut edits = Vec::new();
    let mut made = None;
    for word in words.filter(|word| !word.starts_with("move:")) {
        let Some((owner, field)) = word.split_once('/') else {
            made = Some(word);
            continue;
        };
        let (field, count) = match field.split_once(':') {
            Some((field, count)) => (field, Some(count)),
            None => (field, None),
        };
        let spec = template.get("spec").unwrap_or(template);
        let (node, steps) = if owner.is_empty() {
            (spec, at(&["spec"]))
        } else {
            let containers = spec.get("containers").unwrap_or(spec);
            let found = containers.items().position(|container| name(container) == Some(owner));
            let index = found.ok_or_else(|| {
                refuse(containers, format!("the container {owner}, into which exeunt was put, is gone"))
            })?;
            let mut steps = at(&["spec", "containers"]);
            steps.push(Step::Index(index));
            (containers.items().nth(index).unwrap_or(containers), steps)
        };
        let list =
            node.get(field).ok_or_else(|| refuse(node, format!("{field}, which exeunt was put into, is gone")))?;
        let count = match count {
            None if field == "command" => None,
            None => Some((list.items().len(), true)),
            Some(count) => {
                let count = count.parse().map_err(|_| unknown(annotation, word))?;
                Some((count, false))
            }
        };
        // Whatever somebody has put before ours since then is not ours to take out.
        let ours = match count {
            None => list.items().next().is_some_and(is_exeunt),
            Some((count, _)) if field == "command" => {
                list.items().next().is_some_and(is_exeunt)
                    && list.items().nth(count.wrapping_sub(1)).and_then(Node::str) == Some("--")
            }
            Some((count, _)) => {
                let own = |item| name(item).is_some_and(|name| name.starts_with("exeunt") || name == RUN_ID);
                list.items().len() >= count && list.items().take(count).all(own)
            }
        };
        if !ours {
            return Err(refuse(list, format!("{field} was changed since exeunt was put in; take it out by hand")));
        }
        edits.push(match count {
            Some((count, false)) => {
                let mut steps = steps;
                steps.push(Step::Key(field.to_owned()));
                edit(steps, Change::DropFront(count))
            }
            _ => edit(steps, Change::DropEntry(field.to_owned())),
        });
    }
    edits.push(match made {
        Some("metadata") => edit(path.to_vec(), Change::DropEntry("metadata".to_owned())),
        Some("annotations") => edit(at(&["metadata"]), Change::DropEntry("annotations".to_owned())),
        _ => edit(at(&["metadata", "annotations"]), Change::DropEntry(ANNOTATION.to_owned())),
    });
    Ok(edits)
}

/// The name of a container, volume or mount.
pub fn name(node: Node<'_>) -> Option<&str> {
    node.get("name").and_then(Node::str)
}

/// Is this the first word of a command that exeunt runs?
pub fn is_exeunt(word: Node<'_>) -> bool {
    word.str().is_some_and(|word| word.rsplit('/').next() == Some("exeunt"))
}
