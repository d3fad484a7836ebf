//! As much of Markdown as the reference uses, turned into roff, so that the manual page says what the reference says.

/// A page of the manual, the same for the same source.
pub struct Page(String);

impl Page {
    /// Its head, with the name in capitals. Its date is that of the version, which has none before it is released.
    pub fn new(name: &str, version: &str) -> Self {
        let date = date(version);
        Self(format!(".TH {} 1 \"{date}\" \"exeunt {version}\" \"User Commands\"\n", escaped(name)))
    }

    /// One more section.
    pub fn section(&mut self, title: &str, text: &str) {
        self.0 += &format!(".SH {title}\n{}", text.trim_start_matches(".PP\n"));
    }

    /// The whole page.
    pub fn text(self) -> String {
        self.0
    }
}

/// From the line `## 1.2.3 (2026-01-31)` of the changelog.
fn date(version: &str) -> &'static str {
    let changelog = include_str!("../../CHANGELOG.md");
    let heading = changelog.lines().find_map(|line| line.strip_prefix(&format!("## {version} (")));
    let date = heading.and_then(|rest| rest.strip_suffix(')')).unwrap_or_default();
    if date.starts_with(|c: char| c.is_ascii_digit()) { date } else { "" }
}

/// The text below a heading, without its subsections. `heading` is the whole line.
pub fn section(text: &str, heading: &str) -> String {
    let mut lines = text.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "the reference has no line {heading:?}");
    let mut fenced = false;
    let body = lines.take_while(|line| {
        fenced ^= line.starts_with("```");
        fenced || !line.starts_with('#')
    });
    body.map(|line| format!("{line}\n")).collect()
}

/// The cells of a row, or `None` where the line is none.
pub fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split(" |").map(str::trim).collect())
}

/// A section as roff: paragraphs, lists, blocks of code, and tables. A table of two columns becomes a list with tags; in one
/// of more, each cell follows the head of its column.
pub fn roff(markdown: &str) -> String {
    let mut out = String::new();
    let mut lines = markdown.lines().peekable();
    let mut listed = false;
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            out += ".PP\n.in +4n\n.nf\n";
            for code in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                out += &format!("{}\n", shielded(&escaped(code)));
            }
            out += ".fi\n.in\n";
        } else if let Some(head) = cells(line) {
            lines.next();
            while let Some(row) = lines.peek().copied().and_then(cells) {
                out += &table_row(&head, &row);
                lines.next();
            }
            listed = true;
        } else if let Some(item) = line.strip_prefix("- ") {
            out += &format!(".IP \\(bu 2\n{}\n", inline(item));
            listed = true;
        } else if line.is_empty() {
            let text_follows = lines.peek().is_some_and(|next| !next.is_empty() && !next.starts_with(['|', '-', '`']));
            if text_follows {
                out += ".PP\n";
                listed = false;
            }
        } else {
            assert!(!listed || line.starts_with("  "), "text directly after a list: {line:?}");
            out += &format!("{}\n", inline(line.trim_start()));
        }
    }
    out
}

fn table_row(head: &[&str], row: &[&str]) -> String {
    if row.len() == 2 {
        return format!(".TP\n{}\n{}\n", inline(row[0]), inline(row[1]));
    }
    let mut out = String::from(".PP\n");
    for (title, cell) in head.iter().zip(row).filter(|(_, cell)| !cell.is_empty()) {
        out += &format!("{}: {}\n.br\n", inline(title), inline(cell));
    }
    out.trim_end_matches(".br\n").to_owned()
}

/// One line of text: `code` and **strong** words become bold, *words* italic, links their text.
pub fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['`', '*', '[']) {
        let (before, marked) = rest.split_at(at);
        out += &escaped(before);
        let kinds = [("`", "`", "\\fB"), ("**", "**", "\\fB"), ("*", "*", "\\fI"), ("[", "](", "")];
        let found = kinds.into_iter().find_map(|(open, close, font)| {
            let (inside, after) = marked.strip_prefix(open)?.split_once(close)?;
            Some((inside, after, open, font))
        });
        rest = match found {
            Some((inside, after, "[", _)) => {
                out += &inline(inside);
                after.split_once(')').expect("the end of a link").1
            }
            Some((inside, after, "`", font)) => {
                out += &format!("{font}{}\\fR", escaped(inside));
                after
            }
            Some((inside, after, _, font)) => {
                out += &format!("{font}{}\\fR", inline(inside));
                after
            }
            None => {
                out += &escaped(&marked[..1]);
                &marked[1..]
            }
        };
    }
    shielded(&(out + &escaped(rest)))
}

/// Characters that mean something else to roff than to a reader, and those that are not ASCII.
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out += "\\e",
            '-' => out += "\\-",
            '\'' => out += "\\(aq",
            '`' => out += "\\(ga",
            '^' => out += "\\(ha",
            '~' => out += "\\(ti",
            '–' => out += "\\(en",
            c if c.is_ascii() => out.push(c),
            c => out += &format!("\\[u{:04X}]", u32::from(c)),
        }
    }
    out
}

/// A line that begins with a dot would be a request.
fn shielded(line: &str) -> String {
    if line.starts_with('.') { format!("\\&{line}") } else { line.to_owned() }
}
