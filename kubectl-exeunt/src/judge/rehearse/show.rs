//! A rehearsal for people (a table and timelines), for programs (JSON), and drawn (SVG).

use super::{Broken, Fate, Move, PodEnd, Rehearsal, Row, Scenario};
use serde_json::{Value, json};

/// A step in words.
pub(super) fn words(scenario: &Scenario, fate: Fate, this: Move) -> String {
    let name = |index: usize| scenario.containers.get(index).map_or("?", |container| &container.name);
    match this {
        Move::Starts(index) => format!("{} starts", name(index)),
        Move::Sees(index) => format!("{} sees the shared directory change", name(index)),
        Move::GateOpens(index) => format!("what {} waits for is ready", name(index)),
        Move::Finds(index) => format!("{} finds the file that it looks for, and ends", name(index)),
        Move::Leaves(index, code) => format!("{} exits {code}, on a way that ends nobody else", name(index)),
        Move::Answers(index) => format!("{}, asked to end, ends", name(index)),
        Move::Passes(index) => format!("{} ends by itself, with 0", name(index)),
        Move::Elapses(index) => format!("a deadline of {} passes", name(index)),
        Move::Misses(index) => format!("{} gives up waiting for the job", name(index)),
        Move::Stops(index) => format!("the kubelet asks {} to end", name(index)),
        Move::GraceOver => "the grace period is used up: SIGKILL for all that still run".to_owned(),
        Move::DeadlinePasses => "activeDeadlineSeconds have passed".to_owned(),
        Move::GivenUp => "the Job has restarted it as often as it may, and deletes the Pod".to_owned(),
        Move::Befalls => match fate {
            Fate::Exits(index, code) => format!("{} exits {code}", name(index)),
            Fate::Killed(index) => format!("{} is killed, out of memory", name(index)),
            Fate::HelperFails(index) => format!("{} fails by itself", name(index)),
            Fate::Deleted => "the Pod is deleted".to_owned(),
            Fate::NeverStarts(index) => format!("{} does not start", name(index)),
            Fate::Serves(index) => format!("{} serves", name(index)),
        },
    }
}

fn pod(end: PodEnd) -> &'static str {
    match end {
        PodEnd::Succeeded => "Succeeded",
        PodEnd::Failed => "Failed",
        PodEnd::Gone | PodEnd::GivenUp => "gone",
        PodEnd::Stopped => "Failed, late",
        PodEnd::RunsOn => "RUNS ON",
    }
}

/// The cells of a row: every ending that there is, without repeating what they share.
fn cells(row: &Row, containers: usize) -> Vec<String> {
    let any = |of: &dyn Fn(&super::Ending) -> String| {
        let mut seen: Vec<String> = Vec::new();
        for ending in &row.endings {
            let cell = of(ending);
            if !seen.contains(&cell) {
                seen.push(cell);
            }
        }
        seen.join(" or ")
    };
    let mut cells = vec![row.what.clone()];
    for index in 0..containers {
        cells.push(any(&|ending| ending.containers.get(index).cloned().unwrap_or_default()));
    }
    cells.push(any(&|ending| pod(ending.pod).to_owned()));
    cells.push(any(&|ending| ending.job.clone()));
    cells
}

/// The table, and a timeline for each promise that breaks.
pub fn text(rehearsal: &Rehearsal) -> String {
    let mut head = vec![rehearsal.title.clone()];
    head.extend(rehearsal.names.iter().cloned());
    head.extend(["the Pod".to_owned(), "the Job".to_owned()]);
    let mut table = vec![head];
    table.extend(rehearsal.rows.iter().map(|row| cells(row, rehearsal.names.len())));
    let columns = table.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            table.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for row in &table {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line += &format!("{cell:<width$}  ");
        }
        out += line.trim_end();
        out.push('\n');
    }
    if rehearsal.suspended {
        out += "\nThe Job is suspended: none of this happens until it is resumed.\n";
    }
    for (promise, rows) in promises(rehearsal) {
        let Some((row, broken)) = rows.first() else { continue };
        out += &format!("\nbroken: {} [{}]\n", broken.promise.meaning, promise);
        let all: Vec<&str> = rows.iter().map(|(row, _)| row.what.as_str()).collect();
        out += &format!("  when {}\n", all.join("; when "));
        out += &format!("  the shortest such life, where {}:\n", row.what);
        for (number, step) in broken.steps.iter().enumerate() {
            out += &format!("  {:>3}. {step}\n", number + 1);
        }
    }
    for row in rehearsal.rows.iter().filter(|row| row.cut) {
        out += &format!("\nnot all lives in which {} were played: there are more than {}\n", row.what, super::BOUND);
    }
    out
}

/// The promises that break, each with the rows in which it does.
fn promises(rehearsal: &Rehearsal) -> Vec<(&'static str, Vec<(&Row, &Broken)>)> {
    let of = |name: &'static str| {
        let rows = rehearsal.rows.iter().flat_map(|row| row.broken.iter().map(move |broken| (row, broken)));
        (name, rows.filter(|(_, broken)| broken.promise.name == name).collect::<Vec<_>>())
    };
    super::PROMISES.iter().map(|promise| of(promise.name)).filter(|(_, rows)| !rows.is_empty()).collect()
}

/// The facts, for programs.
pub fn json(rehearsal: &Rehearsal) -> Value {
    let rows = rehearsal.rows.iter().map(|row| {
        let endings = row.endings.iter().map(|ending| {
            json!({
                "containers": ending.containers, "codes": ending.codes, "pod": pod(ending.pod), "job": ending.job,
            })
        });
        let broken = row.broken.iter().map(|broken| json!({"promise": broken.promise.name, "steps": broken.steps}));
        json!({
            "what": row.what,
            "endings": endings.collect::<Vec<_>>(),
            "broken": broken.collect::<Vec<_>>(),
            "complete": !row.cut,
        })
    });
    json!({
        "object": rehearsal.title,
        "containers": rehearsal.names,
        "suspended": rehearsal.suspended,
        "ends": rehearsal.ends(),
        "worlds": rehearsal.worlds,
        "lives": rows.collect::<Vec<_>>(),
    })
}

/// The timelines, drawn: one for each promise that breaks, or one line that says that none does.
pub fn svg(rehearsal: &Rehearsal) -> String {
    const LINE: usize = 22;
    let mut body = String::new();
    let mut y = LINE;
    let mut write = |x: usize, class: &str, text: &str| {
        body += &format!("<text x=\"{x}\" y=\"{y}\" class=\"{class}\">{}</text>\n", escape(text));
        if x > 20 {
            body += &format!("<circle cx=\"26\" cy=\"{}\" r=\"4\"/>\n", y - 5);
        }
        y += LINE;
    };
    write(16, "head", &rehearsal.title);
    let found = promises(rehearsal);
    if found.is_empty() {
        write(16, "note", "every life keeps every promise");
    }
    for (_, rows) in found {
        let Some((row, broken)) = rows.first() else { continue };
        write(16, "head", &format!("{}: broken when {}", broken.promise.meaning, row.what));
        for step in &broken.steps {
            write(44, "step", step);
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"900\" height=\"{y}\" viewBox=\"0 0 900 {y}\">\n\
         <style>text{{font:14px sans-serif;fill:#222}}.head{{font-weight:bold}}circle{{fill:#36c}}</style>\n\
         <rect width=\"900\" height=\"{y}\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
