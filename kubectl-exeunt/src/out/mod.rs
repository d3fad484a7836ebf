//! Results for people and for programs.

use crate::judge::{Finding, Judgement, RULES, Severity, Verdict};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Text for people. `colour`: for a terminal.
pub fn text(all: &[Judgement], colour: bool) -> String {
    let mut text = Text { colour, ..Text::default() };
    all.iter().for_each(|judgement| text.add(judgement));
    text.findings + &text.verdicts
}

/// Text for people, as it comes: what was found, and after all of that the verdicts.
#[derive(Debug, Default)]
pub struct Text {
    /// For a terminal.
    pub colour: bool,
    /// What was found.
    pub findings: String,
    /// A line for each object.
    pub verdicts: String,
}

impl Text {
    /// What comes of one more object.
    pub fn add(&mut self, judgement: &Judgement) {
        let colour = self.colour;
        let paint =
            |code: &str, text: &str| if colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() };
        let out = &mut self.findings;
        for finding in &judgement.findings {
            let code = match finding.severity {
                Severity::Error => "1;31",
                Severity::Warning => "1;33",
                Severity::Info => "1;36",
            };
            let place = finding.place;
            let name = paint(code, finding.severity.name());
            let _ = writeln!(
                out,
                "{}:{}:{}: {name}: {} [{}]",
                finding.file,
                place.line,
                place.column,
                clean(&finding.message),
                finding.rule.name
            );
            let number = format!("{:>5}", place.line);
            let room = " ".repeat(place.column - 1);
            let _ = writeln!(out, "{number} | {}", clean(&finding.line));
            let marks = paint(code, &"^".repeat(finding.width.min(60)));
            let mark = format!("      | {room}{marks} {}", clean(&finding.remark));
            let _ = writeln!(out, "{}", mark.trim_end());
            finding.notes.iter().for_each(|note| _ = writeln!(out, "      {}", clean(note)));
            out.push('\n');
        }
        let space = if judgement.namespace.is_empty() { "" } else { " in " };
        let name = clean(&format!("{}/{}{space}{}", judgement.kind, judgement.name, judgement.namespace));
        let _ = writeln!(self.verdicts, "{name} {}", clean(&judgement.words()));
    }
}

/// A manifest must not move the cursor of whoever reads what we say of it.
fn clean(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect::<String>().trim_end().to_owned()
}

fn findings(all: &[Judgement]) -> impl Iterator<Item = &Finding> {
    all.iter().flat_map(|judgement| &judgement.findings)
}

/// One object with all verdicts and findings.
pub fn json(all: &[Judgement]) -> Value {
    let objects: Vec<Value> = all
        .iter()
        .map(|one| json!({"file": one.file, "line": one.line, "kind": one.kind, "name": one.name, "namespace": one.namespace, "verdict": one.verdict.name(), "why": one.why, "deadline": one.deadline}))
        .collect();
    let found: Vec<Value> = findings(all)
        .map(|one| {
            json!({
                "rule": one.rule.name, "severity": one.severity.name(), "file": one.file, "line": one.place.line,
                "column": one.place.column, "object": one.object, "container": one.container, "message": one.message,
            })
        })
        .collect();
    json!({"objects": objects, "findings": found})
}

/// A path as a URI reference (RFC 3986): what stands for itself stays, of everything else each byte is written as `%XX`.
fn reference(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// SARIF 2.1.0.
pub fn sarif(all: &[Judgement]) -> Value {
    let level = |severity: Severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    };
    let rules: Vec<Value> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.name, "shortDescription": {"text": rule.what}, "fullDescription": {"text": rule.why},
                "defaultConfiguration": {"level": level(rule.severity)},
            })
        })
        .collect();
    let results: Vec<Value> = findings(all)
        .map(|one| {
            let region = json!({"startLine": one.place.line, "startColumn": one.place.column, "endColumn": one.place.column + one.width});
            json!({
                "ruleId": one.rule.name, "level": level(one.severity), "message": {"text": one.message},
                "ruleIndex": RULES.iter().position(|rule| rule == one.rule),
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": reference(&one.file)}, "region": region}}],
            })
        })
        .collect();
    let driver = json!({"name": "kubectl-exeunt", "version": env!("CARGO_PKG_VERSION"), "rules": rules});
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    })
}

/// JUnit: each object is a test, which fails by errors and warnings.
pub fn junit(all: &[Judgement]) -> String {
    let escape = |text: &str| {
        let text = clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        text.replace('"', "&quot;")
    };
    let bad = |one: &Judgement| one.findings.iter().any(|finding| finding.severity > Severity::Info);
    let failures = all.iter().filter(|one| bad(one)).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites>\n  <testsuite name=\"kubectl exeunt check\" tests=\"{}\" failures=\"{failures}\">",
        all.len()
    );
    for one in all {
        let name = escape(&format!("{}/{}", one.kind, one.name));
        let _ = writeln!(out, "    <testcase classname=\"{}\" name=\"{name}\">", escape(&one.file));
        if one.verdict == Verdict::NotJudged {
            let _ = writeln!(out, "      <skipped message=\"{}\"/>", escape(&one.why));
        } else if bad(one) {
            let _ = writeln!(out, "      <failure message=\"{name} {}\">", escape(&one.words()));
            for finding in &one.findings {
                let place = finding.place;
                let message = escape(&finding.message);
                let _ = writeln!(
                    out,
                    "{}:{}:{}: {message} [{}]",
                    escape(&finding.file),
                    place.line,
                    place.column,
                    finding.rule.name
                );
            }
            out.push_str("      </failure>\n");
        }
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Workflow commands of GitHub: annotations at the lines of a change.
pub fn github(all: &[Judgement]) -> String {
    let escape = |text: &str| clean(text).replace('%', "%25");
    let property = |text: &str| escape(text).replace(':', "%3A").replace(',', "%2C");
    let mut out = String::new();
    for one in findings(all) {
        let level = if one.severity == Severity::Info { "notice" } else { one.severity.name() };
        let place = one.place;
        let (file, rule) = (property(&one.file), one.rule.name);
        let _ = writeln!(
            out,
            "::{level} file={file},line={},col={},title={rule}::{}",
            place.line,
            place.column,
            escape(&one.message)
        );
    }
    out
}
