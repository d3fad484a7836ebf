//! What a person has decided not to hear of.

use super::{Bench, Finding, rule};
use crate::pod::Object;
use crate::yaml::{Node, Place};

/// A comment that ignores.
pub(super) struct Comment {
    /// Where its `#` stands.
    place: Place,
    /// The line that it is about.
    line: usize,
    names: Vec<String>,
    /// For each name: has it ignored something?
    used: Vec<bool>,
}

/// Every comment of a file that ignores: on the line that it is about, or above it.
pub(super) fn comments(file: &crate::yaml::File) -> Vec<Comment> {
    let of = |comment: crate::yaml::Comment<'_>| {
        let rest = comment.text.trim().strip_prefix("exeunt: ignore[")?;
        let (names, _) = rest.split_once(']')?;
        let alone = file.line(comment.place.line).trim_start().starts_with('#');
        let line = comment.place.line + usize::from(alone);
        let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
        Some(Comment { place: comment.place, line, used: vec![false; names.len()], names })
    };
    file.comments().filter_map(of).collect()
}

const PREFIX: &str = "exeunt.dev/ignore.";

/// Takes out what is ignored by a comment or by an annotation of the template.
pub(super) fn apply(bench: Bench<'_>, comments: &mut [Comment]) -> Vec<Finding> {
    let annotations = annotations(&bench.object);
    let mut used = vec![false; annotations.len()];
    let mut ignored = |finding: &Finding| {
        let name = finding.rule.name;
        let mut found = false;
        for (annotation, used) in annotations.iter().zip(&mut used) {
            if annotation.0 == name {
                (found, *used) = (true, true);
            }
        }
        for comment in comments.iter_mut().filter(|comment| comment.line == finding.place.line) {
            for (its, used) in comment.names.iter().zip(&mut comment.used) {
                if its == name {
                    (found, *used) = (true, true);
                }
            }
        }
        found
    };
    let (object, mut findings) = (bench.object, bench.findings);
    findings.retain(|finding| !ignored(finding));
    let mut bench = Bench { object, findings };
    for ((name, at), used) in annotations.iter().zip(used) {
        if !used {
            bench.find("ignore-without-effect", *at, None, without(name), "", &[]);
        }
    }
    bench.findings
}

/// The annotations that ignore: the rule, and where.
fn annotations<'a>(object: &Object<'a>) -> Vec<(&'a str, Node<'a>)> {
    let all = object.template.path(&["metadata", "annotations"]);
    let entries = all.into_iter().flat_map(Node::entries);
    entries.filter_map(|entry| Some((entry.key.text()?.strip_prefix(PREFIX)?, entry.key))).collect()
}

fn without(name: &str) -> String {
    match rule(name) {
        Some(_) => format!("{name} is ignored here, and is not found"),
        None => format!("there is no rule {name} that could be ignored"),
    }
}

/// Comments that have ignored nothing, as findings of the object in which they stand.
pub(super) fn unused(bench: &mut Bench<'_>, comments: &mut Vec<Comment>, until: usize) {
    comments.retain(|comment| {
        if comment.place.line >= until {
            return true;
        }
        for (name, _) in comment.names.iter().zip(&comment.used).filter(|(_, used)| !**used) {
            bench.find_at("ignore-without-effect", comment.place, without(name));
        }
        false
    });
}
