//! Samples, tables, bars, and what a part of the benchmark has to show.

use serde::{Deserialize, Serialize};

/// What has been measured of one thing, many times.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Kept to a tenth: nothing here is more exact than that, and the file of raw numbers stays readable.
    pub fn add(&mut self, value: f64) {
        self.0.push((value * 10.0).round() / 10.0);
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

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All but the lowest and the highest tenth.
    pub fn spread(&self) -> String {
        format!("{}..{}", short(self.quantile(0.1)), short(self.quantile(0.9)))
    }
}

/// A number with as many digits as it deserves.
pub fn short(value: f64) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else if value.abs() >= 10.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// A ratio, or a dash without somebody to compare with.
pub fn ratio(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value:.2}") }
}

/// A count, or a dash for what could not be had on this machine.
pub fn count(value: Option<u64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

/// One of the marks that the program must meet, and whether it does.
pub struct Bar {
    pub what: &'static str,
    /// The most that is allowed.
    pub most: f64,
    pub measured: f64,
    pub unit: &'static str,
}

impl Bar {
    pub fn row(&self) -> Vec<String> {
        let digits = if self.unit == "×" { 2 } else { usize::from(self.most.fract() != 0.0) };
        let cell = |value: f64| match self.unit {
            "×" => format!("{value:.digits$} ×"),
            "" => short(value),
            unit => format!("{} {unit}", short(value)),
        };
        let (measured, verdict) = if self.measured.is_nan() {
            ("-".to_owned(), "not measured")
        } else {
            (cell(self.measured), if self.measured <= self.most { "met" } else { "**not met**" })
        };
        vec![self.what.to_owned(), format!("≤ {}", cell(self.most)), measured, verdict.to_owned()]
    }
}

/// What a part of the benchmark has to show: made of its raw numbers, and of nothing else.
#[derive(Default)]
pub struct Section {
    pub tables: Vec<Table>,
    pub plots: Vec<Plot>,
    pub bars: Vec<Bar>,
}

impl Section {
    /// What cannot be had on this machine, and why.
    pub fn missing(why: &str, bar: Bar) -> Self {
        let table = Table { title: why.to_owned(), head: Vec::new(), rows: Vec::new() };
        Self { tables: vec![table], bars: vec![bar], ..Self::default() }
    }
}

pub struct Plot {
    /// The name of its file, without `.svg`.
    pub name: &'static str,
    /// For those who do not see it.
    pub says: String,
    pub svg: String,
}

pub struct Table {
    pub title: String,
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// As Markdown that can be read as it is: the first column to the left, the others to the right.
    pub fn text(&self) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([self.head[column].chars().count()]).max().unwrap_or(0)
        };
        let mut text = if self.title.is_empty() { String::new() } else { format!("{}\n\n", self.title) };
        if self.head.is_empty() {
            return text;
        }
        let mut line = |cells: &[String]| {
            let cells = cells.iter().enumerate().map(|(column, cell)| {
                let width = width(column);
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            text += &format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        };
        line(&self.head.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
        let rule = |column: usize| {
            let dashes = "-".repeat(width(column).max(2) - 1);
            if column == 0 { format!("{dashes}-") } else { format!("{dashes}:") }
        };
        line(&(0..self.head.len()).map(rule).collect::<Vec<_>>());
        self.rows.iter().for_each(|row| line(row));
        text
    }
}
