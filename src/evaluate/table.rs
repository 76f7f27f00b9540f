//! Tables, for people and for programs.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map, Value, json};

/// Figures in rows.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Its name, and that of its files.
    pub name: &'static str,
    /// What it shows, in a line.
    pub title: String,
    /// Its columns; the first names the row.
    pub columns: Vec<Column>,
    /// As many cells as columns each.
    pub rows: Vec<Vec<Cell>>,
    /// Notes that explain it, one line each.
    pub notes: Vec<String>,
}

/// A column's name, and which of its figures is the best.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Cow<'static, str>,
    best: Best,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Best {
    Highest,
    Lowest,
    None,
}

impl Column {
    /// Of figures that are better higher.
    pub fn up(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), best: Best::Highest }
    }

    /// Of figures that are better lower.
    pub(crate) fn down(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), best: Best::Lowest }
    }

    /// Of anything else.
    pub fn plain(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), best: Best::None }
    }
}

/// A cell of a table. `None` is a figure that its definition does not give.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A count.
    Count(u64),
    /// A share, shown in percent.
    Share(Option<f64>),
    /// Mean of several shares and their standard deviation, shown in percent.
    Around {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        deviation: f64,
    },
    /// Any number, shown with three decimals.
    Number(Option<f64>),
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Cell {
    /// For people: shares in percent.
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Count(count) => count.to_string(),
            Self::Share(Some(share)) => format!("{:.1}", 100. * share),
            Self::Around { mean, deviation } => format!("{:.1} ± {:.1}", 100. * mean, 100. * deviation),
            Self::Number(Some(number)) => format!("{number:.3}"),
            Self::Share(None) | Self::Number(None) => "n/a".to_owned(),
        }
    }

    fn figure(&self) -> Option<f64> {
        match self {
            Self::Share(figure) | Self::Number(figure) => *figure,
            Self::Around { mean, .. } => Some(*mean),
            Self::Text(_) | Self::Count(_) => None,
        }
    }

    /// For programs: nothing rounded, nothing in percent.
    fn value(&self) -> Value {
        match self {
            Self::Text(text) => json!(text),
            Self::Count(count) => json!(count),
            Self::Share(number) | Self::Number(number) => json!(number),
            Self::Around { mean, deviation } => json!({ "mean": mean, "deviation": deviation }),
        }
    }

    /// Whether it is a number, set to the right.
    pub(crate) fn is_number(&self) -> bool {
        !matches!(self, Self::Text(_))
    }
}

impl Table {
    /// Whether the cell in this row and column is the best of its column, as people see it. A column of one figure has no best.
    pub(crate) fn is_best(&self, row: usize, column: usize) -> bool {
        let figures = || self.rows.iter().filter_map(|row| row.get(column)?.figure());
        let best = match self.columns[column].best {
            Best::Highest => figures().reduce(f64::max),
            Best::Lowest => figures().reduce(f64::min),
            Best::None => None,
        };
        let cell = &self.rows[row][column];
        let shown = |figure: f64| match cell {
            Cell::Share(_) | Cell::Around { .. } => Cell::Share(Some(figure)).shown(),
            _ => Cell::Number(Some(figure)).shown(),
        };
        figures().count() > 1 && best.is_some() && best.map(shown) == cell.figure().map(shown)
    }

    /// GitHub's Markdown, shares in percent; notes below.
    pub fn markdown(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| &*column.name).collect();
        let mut text = format!("| {} |\n|{}\n", names.join(" | "), "---|".repeat(names.len()));
        for row in &self.rows {
            let cells: Vec<String> = row.iter().map(|cell| cell.shown().replace('|', "\\|")).collect();
            // A string takes whatever is written to it.
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        self.notes.iter().for_each(|note| {
            let _ = writeln!(text, "\n{note}");
        });
        text
    }

    /// A line of names and a line per row; shares between 0 and 1, empty where there is none.
    pub fn csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.columns.iter().map(|column| &*column.name))?;
        for row in &self.rows {
            writer.write_record(row.iter().map(|cell| match (cell, cell.value()) {
                (Cell::Around { mean, deviation }, _) => format!("{mean} ± {deviation}"),
                (_, Value::String(text)) => text,
                (_, Value::Null) => String::new(),
                (_, number) => number.to_string(),
            }))?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }

    /// An object per row, by the names of the columns; shares between 0 and 1.
    pub fn json(&self) -> Value {
        let object = |row: &Vec<Cell>| -> Map<String, Value> {
            self.columns
                .iter()
                .map(|column| column.name.clone().into_owned())
                .zip(row.iter().map(Cell::value))
                .collect()
        };
        let rows: Vec<Map<String, Value>> = self.rows.iter().map(object).collect();
        json!({ "name": self.name, "title": self.title, "rows": rows, "notes": self.notes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            name: "errors",
            title: "Wrong pixels".into(),
            columns: vec![
                Column::plain("detector"),
                Column::up("AP"),
                Column::down("r"),
                Column::plain("images"),
            ],
            rows: vec![
                vec![
                    "a, b | c".into(),
                    Cell::Share(Some(0.123_456)),
                    Cell::Number(Some(0.5)),
                    Cell::Count(3),
                ],
                vec!["d".into(), Cell::Share(None), Cell::Number(None), Cell::Count(0)],
            ],
            notes: vec!["in percent".into()],
        }
    }

    #[test]
    fn people_see_percent() {
        let expected = "| detector | AP | r | images |\n|---|---|---|---|\n| a, b \\| c | 12.3 | 0.500 | 3 |\n\
                        | d | n/a | n/a | 0 |\n\nin percent\n";
        assert_eq!(table().markdown(), expected);
    }

    #[test]
    fn the_best_are_those_that_are_shown_as_the_best() {
        let mut table = table();
        table.rows.push(vec!["e".into(), Cell::Share(Some(0.123)), Cell::Number(Some(0.4)), Cell::Count(9)]);
        let best = |row, column| table.is_best(row, column);
        // 12.3 % twice: the digits that are not shown decide nothing.
        assert_eq!([best(0, 1), best(1, 1), best(2, 1)], [true, false, true]);
        assert_eq!([best(0, 2), best(1, 2), best(2, 2)], [false, false, true]);
        assert!(!best(2, 3) && !best(0, 0));
    }

    #[test]
    fn a_mean_of_seeds_is_the_best_by_its_mean() {
        let around = |mean, deviation| Cell::Around { mean, deviation };
        let mut table = table();
        table.columns = vec![Column::plain("detector"), Column::up("AP")];
        table.rows = vec![vec!["a".into(), around(0.5, 0.01)], vec!["b".into(), Cell::Share(Some(0.49))]];
        assert_eq!([table.is_best(0, 1), table.is_best(1, 1)], [true, false]);
        assert!(table.markdown().contains("| a | 50.0 ± 1.0 |"));
        assert_eq!(String::from_utf8(table.csv().unwrap()).unwrap(), "detector,AP\na,0.5 ± 0.01\nb,0.49\n");
        assert_eq!(table.json()["rows"][0]["AP"]["deviation"], 0.01);
    }

    #[test]
    fn programs_get_every_digit() {
        let csv = String::from_utf8(table().csv().unwrap()).unwrap();
        assert_eq!(csv, "detector,AP,r,images\n\"a, b | c\",0.123456,0.5,3\nd,,,0\n");
        let json = table().json();
        assert_eq!(json["rows"][0]["AP"], 0.123_456);
        assert_eq!(json["rows"][1]["r"], Value::Null);
    }
}
