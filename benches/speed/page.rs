//! docs/performance.md: whatever is a number on it is written here, between marks, from the raw numbers of the last run.

use super::numbers::{Section, Table};
use super::part::{self, Part, Record};
use std::fmt::Write;
use std::path::Path;

const END: &str = "<!-- /speed -->";

/// Writes the page in `directory`, and its plots below: what it says of the parts that are `wanted`. Of the others it keeps
/// what it said, and when that was measured.
pub fn write(directory: &Path, wanted: impl Fn(&Part) -> bool, failed: &[&str]) {
    let file = directory.join("performance.md");
    let mut page = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let plots = directory.join("performance");
    std::fs::create_dir_all(&plots).expect("a directory for the plots");
    let (mut measured, mut bars) = (Vec::new(), Vec::new());
    for part in part::ALL {
        let name = part.name;
        if let Some((record, section)) = part.last().filter(|_| wanted(part)) {
            for plot in &section.plots {
                std::fs::write(plots.join(format!("{}.svg", plot.name)), &plot.svg).expect("a plot");
            }
            measured.push([vec![name.to_owned()], when(&record)].concat());
            bars.extend(section.bars.iter().map(|bar| [bar.row(), vec![name.to_owned()]].concat()));
            page = replaced(&page, name, &show(&record, &section));
        } else if failed.contains(&name) || !between_marks(&page, name).contains('|') {
            println!("MISSING: {name} has not been measured; the page says so");
            page = replaced(&page, name, "Not measured.\n");
        } else {
            println!("KEPT: what the page says of {name}");
            measured.extend(rows_of(&page, "machine", name));
            bars.extend(rows_of(&page, "bars", name));
        }
    }
    let table = |head, rows| Table { title: String::new(), head, rows }.text();
    page = replaced(&page, "machine", &table(vec!["part", "measured", "load then", "on"], measured));
    page = replaced(&page, "bars", &table(vec!["what", "bar", "measured", "verdict", "part"], bars));
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

/// When a part was measured, how busy the machine was then, and which machine that was.
fn when(record: &Record) -> Vec<String> {
    let (machine, rest) = record.machine.split_once(", load ").unwrap_or((&record.machine, ""));
    let (load, date) = rest.split_once(", ").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("-");
    [date, load, machine].map(str::to_owned).to_vec()
}

/// The rows of a table on the page that are about a part, which stands at one end of them.
fn rows_of(page: &str, mark: &str, part: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let line = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(line.split('|').map(|cell| cell.trim().to_owned()).collect())
    };
    let rows = between_marks(page, mark).lines().filter_map(cells);
    rows.filter(|row| [row.first(), row.last()].into_iter().flatten().any(|cell| cell == part)).collect()
}

/// What stands between the marks of `name`.
fn between_marks<'a>(page: &'a str, name: &str) -> &'a str {
    let begin = format!("<!-- speed: {name} -->\n");
    let rest = page.split_once(&begin).and_then(|(_, rest)| rest.split_once(END));
    rest.unwrap_or_else(|| panic!("performance.md has no mark {begin:?}, or no {END:?} after it")).0
}

/// `page` with `text` between the marks of `name`.
fn replaced(page: &str, name: &str, text: &str) -> String {
    let before = between_marks(page, name);
    let at = before.as_ptr().addr() - page.as_ptr().addr();
    format!("{}\n{}\n\n{}", &page[..at], text.trim_end(), &page[at + before.len()..])
}
