//! Samples and tables.

/// What has been measured of one thing, many times.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The value below which this part of all lies; NaN without any.
    pub fn quantile(&self, part: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1) as f64;
        sorted.get((part * last).round() as usize).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The middle half, as a spread.
    pub fn spread(&self) -> String {
        format!("{:.0}..{:.0}", self.quantile(0.25), self.quantile(0.75))
    }

    pub fn raw(&self) -> serde_json::Value {
        self.0.iter().copied().collect()
    }
}

/// Prints rows under a title, the first column to the left, the others to the right.
pub fn table(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([head[column].chars().count()]).max().unwrap_or(0)
    };
    println!("{title}\n");
    let line = |cells: &[String]| {
        let cells = cells.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
    };
    line(&head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
    let rule = |column: usize| {
        let dashes = "-".repeat(width(column) + 1);
        if column == 0 { format!("{dashes}-") } else { format!("{dashes}:") }
    };
    println!("|{}|", (0..head.len()).map(rule).collect::<Vec<_>>().join("|"));
    for row in rows {
        line(row);
    }
    println!();
}
