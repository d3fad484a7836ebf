//! What a person has decided not to hear of.

use super::Finding;
use crate::pod::Object;

/// Takes out what is ignored by a comment on or above the line, or by an annotation of the template.
pub(super) fn apply(object: &Object<'_>, findings: Vec<Finding>) -> Vec<Finding> {
    let file = object.node.file();
    let comments: Vec<(usize, bool, Vec<&str>)> = file
        .comments()
        .filter_map(|comment| {
            let rest = comment.text.trim().strip_prefix("exeunt: ignore[")?;
            let (names, _) = rest.split_once(']')?;
            let alone = file.line(comment.place.line).trim_start().starts_with('#');
            Some((comment.place.line, alone, names.split(',').map(str::trim).collect()))
        })
        .collect();
    let ignored = |finding: &Finding| {
        let name = finding.rule.name;
        object.annotation(&format!("exeunt.dev/ignore.{name}")).is_some()
            || comments.iter().any(|(line, alone, names)| {
                let here = if *alone { line + 1 } else { *line };
                here == finding.place.line && names.contains(&name)
            })
    };
    findings.into_iter().filter(|finding| !ignored(finding)).collect()
}
