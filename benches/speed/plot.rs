//! Plots, as SVG that is readable on a light page and on a dark one. By hand: three kinds of plots are less than what any
//! package for them brings along.

use super::numbers::{Samples, short};
use std::fmt::Write;

/// Which rows and lines are what: ours, what the kernel allows, and everybody else.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Ours,
    Floor,
    Other,
}

impl Look {
    fn class(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Floor => "floor",
            Self::Other => "other",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    Linear,
    Logarithmic,
}

/// A range of values laid onto a range of pixels.
struct Axis {
    scale: Scale,
    values: (f64, f64),
    pixels: (f64, f64),
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let map = |value: f64| match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic => value.max(f64::MIN_POSITIVE).ln(),
        };
        let (low, high) = (map(self.values.0), map(self.values.1));
        let part = ((map(value) - low) / (high - low)).clamp(0.0, 1.0);
        self.pixels.0 + part * (self.pixels.1 - self.pixels.0)
    }

    /// From a little below the least to a little above the most.
    fn over(scale: Scale, values: impl Iterator<Item = f64>, pixels: (f64, f64)) -> Self {
        let (least, most) = values
            .filter(|value| value.is_finite() && (scale == Scale::Linear || *value > 0.0))
            .fold((f64::INFINITY, 0.0f64), |(least, most), value| (least.min(value), most.max(value)));
        let most = if most > 0.0 { most } else { 1.0 };
        let values = match scale {
            Scale::Linear => (0.0, most * 1.04),
            Scale::Logarithmic => (least.min(most) / 1.3, most * 1.3),
        };
        Self { scale, values, pixels }
    }

    fn ticks(&self) -> Vec<f64> {
        let (low, high) = self.values;
        match self.scale {
            Scale::Linear => {
                let rough = (high - low) / 6.0;
                let unit = 10f64.powf(rough.log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|n| n * unit).find(|step| *step >= rough);
                let step = step.unwrap_or(10.0 * unit);
                (0..).map(|n| f64::from(n) * step).take_while(|tick| *tick <= high).collect()
            }
            Scale::Logarithmic => {
                let first = low.log10().floor() as i32;
                let last = high.log10().ceil() as i32;
                let within: &[f64] = if last - first > 4 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let all = (first..=last).flat_map(|power| within.iter().map(move |n| n * 10f64.powi(power)));
                all.filter(|tick| *tick >= low && *tick <= high).collect()
            }
        }
    }
}

const WIDTH: f64 = 760.0;
/// Lines that are neither ours nor the floor.
const OTHERS: [&str; 5] = ["c0", "c1", "c2", "c3", "c4"];
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',Helvetica,Arial,sans-serif;fill:#1f2328}\
.title{font-weight:600;font-size:14px}.small{font-size:11.5px;fill:#59636e}.page{fill:#ffffff}\
.grid{stroke:#d1d9e0;stroke-width:1}.limit{stroke:#cf222e;stroke-width:1.5;stroke-dasharray:5 4}.red{fill:#cf222e}\
.ours{color:#0969da}.floor{color:#1a7f37}.other{color:#6e7781}\
.c0{color:#bc4c00}.c1{color:#8250df}.c2{color:#bf3989}.c3{color:#9a6700}.c4{color:#6e7781}.dashed{stroke-dasharray:6 4}\
.box{fill:currentColor;fill-opacity:.3;stroke:currentColor}.line{stroke:currentColor;stroke-width:2;fill:none}\
.median{stroke:currentColor;stroke-width:3.5}.dot,.bar{fill:currentColor}text.name{fill:currentColor}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.small{fill:#9198a1}.page{fill:#0d1117}.grid{stroke:#3d444d}\
.limit{stroke:#f85149}.red{fill:#f85149}.ours{color:#58a6ff}.floor{color:#3fb950}.other,.c4{color:#9198a1}\
.c0{color:#f0883e}.c1{color:#bc8cff}.c2{color:#f778ba}.c3{color:#d29922}}}";

struct Drawing(String);

impl Drawing {
    fn new(title: &str, height: f64) -> Self {
        let mut drawing = Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\">\n<title>{}</title>\n<style>{STYLE}</style>\n\
             <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
            escaped(title)
        ));
        drawing.text(12.0, 22.0, "title", "start", title);
        drawing
    }

    fn text(&mut self, x: f64, y: f64, class: &str, anchor: &str, text: &str) {
        let text = escaped(text);
        self.put(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((a, b), (c, d)) = (from, to);
        self.put(format_args!("<line class=\"{class}\" x1=\"{a:.1}\" y1=\"{b:.1}\" x2=\"{c:.1}\" y2=\"{d:.1}\"/>"));
    }

    fn rectangle(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let (width, height) = ((to.0 - from.0).max(1.0), to.1 - from.1);
        let ((x, y), class) = (from, class);
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\"/>"
        ));
    }

    fn dot(&mut self, class: &str, x: f64, y: f64, radius: f64) {
        self.put(format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>"));
    }

    fn put(&mut self, element: std::fmt::Arguments) {
        writeln!(self.0, "{element}").expect("memory");
    }

    fn finish(self) -> String {
        self.0 + "</svg>\n"
    }
}

/// A row a thing: the middle half as a box, p10 to p90 as a line, the median, and a dot for p99.
pub fn boxes(title: &str, unit: &str, scale: Scale, rows: &[(String, Look, &Samples)]) -> String {
    let (left, top, row) = (labels(rows.iter().map(|(name, ..)| name)), 40.0, 28.0);
    let bottom = top + row * rows.len() as f64;
    let mut drawing = Drawing::new(title, bottom + 52.0);
    // On a linear scale a single late p99 must not press all boxes together: what lies outside is shown as an arrow.
    let last = if scale == Scale::Linear { 0.9 } else { 0.99 };
    let values = rows.iter().flat_map(|(.., samples)| [samples.quantile(0.1), samples.quantile(last) * 1.1]);
    let axis = Axis::over(scale, values, (left, WIDTH - 90.0));
    grid(&mut drawing, &axis, top, bottom, unit);
    for (index, (name, look, samples)) in rows.iter().enumerate() {
        let middle = top + row * (index as f64 + 0.5);
        let class = |what: &str| format!("{what} {}", look.class());
        let at = |part: f64| axis.at(samples.quantile(part));
        drawing.text(left - 10.0, middle + 4.5, &class("name"), "end", name);
        drawing.line(&class("line"), (at(0.1), middle), (at(0.9), middle));
        drawing.rectangle(&class("box"), (at(0.25), middle - 8.0), (at(0.75), middle + 8.0));
        drawing.line(&class("median"), (at(0.5), middle - 9.0), (at(0.5), middle + 9.0));
        if samples.quantile(0.99) <= axis.values.1 {
            drawing.dot(&class("dot"), at(0.99), middle, 2.5);
        } else {
            drawing.text(axis.pixels.1, middle + 4.5, &class("name"), "end", "›");
        }
        drawing.text(WIDTH - 12.0, middle + 4.5, "", "end", &with_unit(samples.median(), unit));
    }
    let key =
        "box: middle half · thick line: median (also as a number) · thin line: p10 to p90 · dot: p99, › if outside";
    drawing.text(left, bottom + 42.0, "small", "start", key);
    drawing.finish()
}

/// A row a thing, as long as its value.
pub fn bars(title: &str, unit: &str, rows: &[(String, Look, f64)]) -> String {
    let (left, top, row) = (labels(rows.iter().map(|(name, ..)| name)), 40.0, 24.0);
    let bottom = top + row * rows.len() as f64;
    let mut drawing = Drawing::new(title, bottom + 34.0);
    let axis = Axis::over(Scale::Linear, rows.iter().map(|(.., value)| *value), (left, WIDTH - 90.0));
    grid(&mut drawing, &axis, top, bottom, unit);
    for (index, (name, look, value)) in rows.iter().enumerate() {
        let middle = top + row * (index as f64 + 0.5);
        drawing.text(left - 10.0, middle + 4.5, "", "end", name);
        let class = format!("bar {}", look.class());
        drawing.rectangle(&class, (left, middle - 8.0), (axis.at(*value), middle + 8.0));
        drawing.text(axis.at(*value) + 7.0, middle + 4.5, "", "start", &format!("{} {unit}", short(*value)));
    }
    drawing.finish()
}

pub struct Line {
    pub name: String,
    pub look: Look,
    /// Beside the line of the same look that matters more.
    pub is_dashed: bool,
    pub points: Vec<(f64, f64)>,
}

/// What a plot of lines says at its edges.
pub struct Lines<'a> {
    pub title: &'a str,
    pub across: &'a str,
    pub up: &'a str,
    pub scales: (Scale, Scale),
    /// A mark across: what the program has to reach.
    pub limit: Option<(f64, &'a str)>,
}

/// Lines with their names at their ends.
pub fn lines(about: &Lines, lines: &[Line]) -> String {
    const HEIGHT: f64 = 360.0;
    let right = WIDTH - labels(lines.iter().map(|line| &line.name));
    let (top, bottom) = (58.0, HEIGHT - 50.0);
    let mut drawing = Drawing::new(about.title, HEIGHT);
    drawing.text(12.0, 44.0, "small", "start", about.up);
    let all = || lines.iter().flat_map(|line| line.points.iter().copied());
    let across = Axis::over(about.scales.0, all().map(|point| point.0), (64.0, right));
    let up = Axis::over(about.scales.1, all().map(|point| point.1), (bottom, top));
    for tick in up.ticks() {
        drawing.line("grid", (64.0, up.at(tick)), (right, up.at(tick)));
        drawing.text(56.0, up.at(tick) + 4.0, "small", "end", &grouped(tick));
    }
    grid(&mut drawing, &across, top, bottom, "");
    drawing.text((64.0 + right) / 2.0, bottom + 38.0, "small", "middle", about.across);
    if let Some((at, says)) = about.limit {
        drawing.line("limit", (across.at(at), top), (across.at(at), bottom));
        drawing.text(across.at(at) + 6.0, (top + bottom) / 2.0, "small red", "start", says);
    }
    let mut others = OTHERS.iter().cycle();
    let colours: Vec<&str> = lines
        .iter()
        .map(|line| match line.look {
            Look::Other => others.next().unwrap_or(&OTHERS[0]),
            look => look.class(),
        })
        .collect();
    let mut ends: Vec<(f64, usize)> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let class = colours[index];
        let dashes = if line.is_dashed { " dashed" } else { "" };
        let path: Vec<String> =
            line.points.iter().map(|(x, y)| format!("{:.1},{:.1}", across.at(*x), up.at(*y))).collect();
        drawing.put(format_args!("<polyline class=\"line {class}{dashes}\" points=\"{}\"/>", path.join(" ")));
        if line.points.len() < 12 {
            for (x, y) in &line.points {
                drawing.dot(&format!("dot {class}"), across.at(*x), up.at(*y), 3.0);
            }
        }
        ends.extend(line.points.last().map(|(_, y)| (up.at(*y), index)));
    }
    // Names that would lie on each other are moved apart, upwards, because lines often end together on the ground.
    ends.sort_by(|one, other| other.0.total_cmp(&one.0));
    let mut above = f64::INFINITY;
    for (y, index) in ends {
        above = y.min(above - 16.0);
        let class = format!("name {}", colours[index]);
        drawing.text(right + 8.0, above + 4.0, &class, "start", &lines[index].name);
    }
    drawing.finish()
}

fn grid(drawing: &mut Drawing, axis: &Axis, top: f64, bottom: f64, unit: &str) {
    let ticks = axis.ticks();
    for (index, tick) in ticks.iter().enumerate() {
        drawing.line("grid", (axis.at(*tick), top), (axis.at(*tick), bottom));
        let unit = if index + 1 == ticks.len() && !unit.is_empty() { format!(" {unit}") } else { String::new() };
        drawing.text(axis.at(*tick), bottom + 18.0, "small", "middle", &(grouped(*tick) + &unit));
    }
}

/// Room for names beside the plot.
fn labels<'a>(names: impl Iterator<Item = &'a String>) -> f64 {
    names.map(|name| name.chars().count()).max().unwrap_or(0) as f64 * 7.1 + 24.0
}

/// A time that is long enough is easier to read in the next larger unit.
fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "µs" if value >= 10_000.0 => format!("{} ms", short(value / 1000.0)),
        unit => format!("{} {unit}", short(value)),
    }
}

/// With its thousands apart.
fn grouped(value: f64) -> String {
    if value < 1.0 && value > 0.0 {
        return format!("{value}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
