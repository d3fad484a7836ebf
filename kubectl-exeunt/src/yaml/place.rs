//! Where something stands, and why a file cannot be used.

use std::fmt;

/// A place as editors and SARIF count it: lines and columns from 1, columns in characters (Unicode scalar values), not in
/// bytes. A byte order mark at the start of a file is no character of its first line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// A file that cannot be read or must not be changed: one line that names file, line, column, reason and remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The file, as it was named by whoever asked.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// The reason, and what to do.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(out, "{}:{line}:{column}: error: {}", self.file, self.message.replace(['\n', '\r'], " "))
    }
}

impl std::error::Error for Refusal {}

/// The offset at which each line starts. A line ends with LF, CR LF or CR.
pub(super) fn line_starts(text: &str) -> Vec<u32> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (at, byte) in bytes.iter().enumerate() {
        let ends = *byte == b'\n' || (*byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
        if ends {
            starts.push(u32::try_from(at + 1).unwrap_or(u32::MAX));
        }
    }
    starts
}

/// The place of a byte offset.
pub(super) fn place(text: &str, starts: &[u32], at: usize) -> Place {
    let line = starts.partition_point(|start| *start as usize <= at).max(1);
    let start = starts.get(line - 1).copied().unwrap_or(0) as usize;
    let before = text.get(start..at.min(text.len())).unwrap_or("");
    Place { line, column: before.strip_prefix('\u{feff}').unwrap_or(before).chars().count() + 1 }
}
