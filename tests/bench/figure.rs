//! Measured figures, as a table and as JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Figure {
    row: u8,
    measure: String,
    value: Option<f64>,
    unit: &'static str,
    bar: Option<Bar>,
    /// Conditions, and the figures of both sides of a ratio.
    conditions: String,
    raw: Map<String, Value>,
}

#[derive(Debug, Clone, Copy)]
enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// Between 1 ÷ this factor and this factor.
    Within(f64),
}

impl Figure {
    pub fn new(row: u8, measure: impl Into<String>, value: f64) -> Self {
        Self { value: Some(value), ..Self::without(row, measure, "") }
    }

    /// A line without a figure, with the reason.
    pub fn without(row: u8, measure: impl Into<String>, why: impl Into<String>) -> Self {
        let (measure, conditions) = (measure.into(), why.into().replace('\n', " "));
        Self { row, measure, value: None, unit: "", bar: None, conditions, raw: Map::new() }
    }

    pub fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    pub fn at_least(self, bar: f64) -> Self {
        Self { bar: Some(Bar::AtLeast(bar)), ..self }
    }

    pub fn at_most(self, bar: f64) -> Self {
        Self { bar: Some(Bar::AtMost(bar)), ..self }
    }

    /// Sets a bar for a ratio of two figures that must agree: 1.2 means within 20 %.
    pub fn within(self, factor: f64) -> Self {
        Self { bar: Some(Bar::Within(factor)), ..self }
    }

    pub fn conditions(self, conditions: impl Into<String>) -> Self {
        Self { conditions: conditions.into(), ..self }
    }

    /// Adds to the conditions.
    pub fn also(mut self, condition: &str) -> Self {
        self.conditions.push_str(condition);
        self
    }

    /// Adds a raw value to the JSON.
    pub fn raw(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.raw.insert(name.to_owned(), value.into());
        self
    }

    fn met(&self) -> Option<bool> {
        let value = self.value?;
        self.bar.map(|bar| match bar {
            Bar::AtLeast(bar) => value >= bar,
            Bar::AtMost(bar) => value <= bar,
            Bar::Within(factor) => value <= factor && value * factor >= 1.0,
        })
    }

    fn cells(&self) -> [String; 5] {
        let bar = match self.bar {
            Some(Bar::AtLeast(bar)) => format!("≥ {}", number(bar)),
            Some(Bar::AtMost(bar)) => format!("≤ {}", number(bar)),
            Some(Bar::Within(factor)) => format!("{} to {}", number(1.0 / factor), number(factor)),
            None => "reported".to_owned(),
        };
        let met = match self.met() {
            Some(true) => "met",
            Some(false) => "NOT met",
            None => "",
        };
        let value = self.value.map_or_else(|| "-".to_owned(), |value| format!("{}{}", number(value), self.unit));
        [self.row.to_string(), self.measure.clone(), value, bar, met.to_owned()]
    }

    /// The line alone, printed during the run.
    pub fn line(&self) -> String {
        let [row, measure, value, bar, met] = self.cells();
        format!("  row {row}: {measure}: {value} ({bar}) {met}\n      {}", self.conditions)
    }

    fn json(&self) -> Value {
        let (kind, bar) = match self.bar {
            Some(Bar::AtLeast(bar)) => (Some("at_least"), Some(bar)),
            Some(Bar::AtMost(bar)) => (Some("at_most"), Some(bar)),
            Some(Bar::Within(factor)) => (Some("within"), Some(factor)),
            None => (None, None),
        };
        json!({
            "row": self.row, "measure": self.measure, "value": self.value, "unit": self.unit,
            "bar": bar, "bar_is": kind, "met": self.met(), "said": self.conditions, "raw": self.raw,
        })
    }
}

/// The whole table, aligned.
pub fn table(figures: &[Figure]) -> String {
    let head = ["#", "measure", "figure", "bar", ""].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(figures.iter().map(Figure::cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            // Figures and bars are right-aligned, text is left-aligned; widths are in characters.
            let space = " ".repeat(widths[column] - cell.chars().count());
            let (before, after) =
                if (2..4).contains(&column) { (space, String::new()) } else { (String::new(), space) };
            write!(text, "{before}{cell}{after}  ").unwrap_or_default();
        }
        let conditions = index.checked_sub(1).map_or("conditions", |at| figures[at].conditions.as_str());
        writeln!(text, "{conditions}").unwrap_or_default();
    }
    text
}

/// Writes the report under its start time, and as `latest.json`.
pub fn write_json(folder: &Path, started: &str, conditions: &Value, figures: &[Figure]) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let report = json!({
        "started": started,
        "conditions": conditions,
        "figures": figures.iter().map(Figure::json).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&report)?;
    let path = folder.join(format!("{}.json", started.replace(':', "-")));
    for path in [&path, &folder.join("latest.json")] {
        fs::write(path, &text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(path)
}

/// A number in short form: `0.73`, `12.1`, `51,234`.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        return whole(value);
    }
    let text = if value.abs() >= 10.0 { format!("{value:.1}") } else { format!("{value:.2}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A number rounded to an integer, with commas between thousands.
pub fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_parted() {
        for (value, text) in
            [(0.6, "0.6"), (0.734, "0.73"), (12.06, "12.1"), (5_000_000.0, "5,000,000"), (123.6, "124")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_bar_is_met_from_its_own_side() {
        assert_eq!(Figure::new(1, "x", 0.6).at_least(0.6).met(), Some(true));
        assert_eq!(Figure::new(1, "x", 0.59).at_least(0.6).met(), Some(false));
        assert_eq!(Figure::new(1, "x", 1.3).at_most(1.2).met(), Some(false));
        assert_eq!(Figure::new(1, "x", 1.3).met(), None);
    }
}
