//! docs/performance.md: whatever is a number on it is written here, between marks, from the raw numbers of the last run.

use super::numbers::{Section, Table};
use super::part::{self, Record};
use std::fmt::Write;
use std::path::Path;

/// Writes the page in `directory`, and its plots below.
pub fn write(directory: &Path) {
    let file = directory.join("performance.md");
    let mut page = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let plots = directory.join("performance");
    std::fs::create_dir_all(&plots).expect("a directory for the plots");
    let parts: Vec<_> = part::ALL.iter().map(|part| (part.name, part.last())).collect();
    for (name, last) in &parts {
        let text = match last {
            Some((record, section)) => {
                for plot in &section.plots {
                    std::fs::write(plots.join(format!("{}.svg", plot.name)), &plot.svg).expect("a plot");
                }
                show(record, section)
            }
            None => {
                println!("MISSING: {name} has not been measured; the page says so");
                "Not measured.\n".to_owned()
            }
        };
        page = replaced(&page, name, &text);
    }
    page =
        replaced(&page, "machine", &machines(parts.iter().filter_map(|(name, last)| Some((*name, &last.as_ref()?.0)))));
    page = replaced(&page, "bars", &bars(parts.iter().filter_map(|(_, last)| Some(&last.as_ref()?.1))));
    std::fs::write(&file, page).expect("the page");
    println!("Written: {}, and the plots in {}", file.display(), plots.display());
}

fn show(record: &Record, section: &Section) -> String {
    let mut text = String::new();
    if let Some(runs) = record.runs {
        writeln!(text, "**A short run (`--runs {runs}`): not to be believed.**\n").expect("memory");
    }
    for table in &section.tables {
        writeln!(text, "{}", table.text()).expect("memory");
    }
    for plot in &section.plots {
        writeln!(text, "![{}](performance/{}.svg)\n", plot.says, plot.name).expect("memory");
    }
    text.trim_end().to_owned() + "\n"
}

/// On which machine, when, and what else it did: a line for each machine, which is one line unless a part was measured again
/// somewhere else.
fn machines<'a>(records: impl Iterator<Item = (&'a str, &'a Record)>) -> String {
    let mut machines: Vec<(&str, Vec<&str>, Vec<&str>, f64)> = Vec::new();
    for (name, record) in records {
        let (what, rest) = record.machine.split_once(", load ").unwrap_or((&record.machine, ""));
        let (load, date) = rest.split_once(", ").unwrap_or_default();
        let load = load.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN);
        match machines.last_mut().filter(|machine| machine.0 == what) {
            Some((_, names, dates, most)) => {
                names.push(name);
                dates.push(date);
                *most = most.max(load);
            }
            None => machines.push((what, vec![name], vec![date], load)),
        }
    }
    let line = |(what, names, mut dates, load): (&str, Vec<&str>, Vec<&str>, f64)| {
        dates.sort_unstable();
        let (first, last) = (dates.first().copied().unwrap_or_default(), dates.last().copied().unwrap_or_default());
        let (names, load) = (names.join(", "), format!("{load:.1}"));
        format!("- {what}\n  from {first} to {last} ({names}); load at the start of a part: at most {load}\n")
    };
    machines.into_iter().map(line).collect()
}

fn bars<'a>(sections: impl Iterator<Item = &'a Section>) -> String {
    let rows = sections.flat_map(|section| section.bars.iter().map(super::numbers::Bar::row)).collect();
    Table { title: String::new(), head: vec!["what", "bar", "measured", "verdict"], rows }.text()
}

/// `page` with `text` between the marks of `name`.
fn replaced(page: &str, name: &str, text: &str) -> String {
    let (begin, end) = (format!("<!-- speed: {name} -->\n"), "<!-- /speed -->");
    let whole = || panic!("performance.md has no mark {begin:?}, or no {end:?} after it");
    let (head, rest) = page.split_once(&begin).unwrap_or_else(whole);
    let (_, tail) = rest.split_once(end).unwrap_or_else(whole);
    format!("{head}{begin}\n{}\n\n{end}{tail}", text.trim_end())
}
