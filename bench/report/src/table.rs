// SPDX-License-Identifier: GPL-2.0

//! A table, and how figures are written in it.

use thousands::Separable as _;

use crate::results::Figure;

pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
}

pub(crate) struct Column {
    pub(crate) title: String,
    /// Figures stand at the right, words at the left.
    pub(crate) is_figure: bool,
}

pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Tone {
    Plain,
    Code,
    Good,
    Bad,
    Missing,
}

impl Table {
    /// A table without rows; the titles of `words` come before those of `figures`.
    pub(crate) fn new(caption: impl Into<String>, words: &[&str], figures: &[&str]) -> Self {
        let column = |title: &&str, is_figure| Column {
            title: (*title).to_owned(),
            is_figure,
        };
        Self {
            caption: caption.into(),
            columns: words
                .iter()
                .map(|title| column(title, false))
                .chain(figures.iter().map(|title| column(title, true)))
                .collect(),
            rows: Vec::new(),
        }
    }
}

impl Cell {
    pub(crate) fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    pub(crate) fn code(text: impl Into<String>) -> Self {
        Self::new(text, Tone::Code)
    }

    fn missing(text: &str) -> Self {
        Self::new(text, Tone::Missing)
    }

    /// A figure as `write` writes it.
    pub(crate) fn of(figure: impl Into<Figure>, write: impl Fn(f64) -> String) -> Self {
        match figure.into() {
            Figure::Of(value) => write(value).into(),
            Figure::NoGap => Self::missing("no gap"),
            Figure::NotMeasured => Self::missing("not measured"),
        }
    }

    /// How a figure changed.
    pub(crate) fn change(from: Option<f64>, to: Option<f64>, write: fn(f64) -> String) -> Self {
        match (from, to) {
            (None, None) => Self::missing("not measured"),
            (from, to) => {
                let [from, to] =
                    [from, to].map(|end| end.map_or_else(|| "not measured".to_owned(), write));
                format!("{from} → {to}").into()
            }
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(text, Tone::Plain)
    }
}

/// Microseconds as milliseconds, more exactly if they are few.
pub(crate) fn milliseconds(us: f64) -> String {
    let ms = us / 1000.0;
    if ms < 10.0 {
        format!("{ms:.2}")
    } else {
        format!("{ms:.1}").separate_with_commas()
    }
}

pub(crate) fn percent(share: f64) -> String {
    let percent = format!("{:.1} %", 100.0 * share);
    if percent == "-0.0 %" {
        "0.0 %".to_owned()
    } else {
        percent
    }
}

pub(crate) fn count(number: f64) -> String {
    format!("{number:.0}").separate_with_commas()
}

pub(crate) fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

/// A number as short as it gets.
pub(crate) fn plain(number: f64) -> String {
    number.separate_with_commas()
}

/// "1 program", "2 programs".
pub(crate) fn several(number: usize, one: &str) -> String {
    format!(
        "{} {one}{}",
        number.separate_with_commas(),
        if number == 1 { "" } else { "s" }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        assert_eq!(milliseconds(2_654.0), "2.65");
        assert_eq!(milliseconds(1_234_567.0), "1,234.6");
        assert_eq!(percent(0.9164), "91.6 %");
        assert_eq!(percent(-0.0001), "0.0 %");
        assert_eq!(percent(-0.25), "-25.0 %");
        assert_eq!(count(229_804.0), "229,804");
        assert_eq!(times(1.149), "1.15");
        assert_eq!(plain(0.5), "0.5");
        assert_eq!(several(1, "program"), "1 program");
        assert_eq!(several(1_600, "program"), "1,600 programs");
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(Cell::of(None, count).text, "not measured");
        assert_eq!(Cell::of(Figure::NoGap, percent).text, "no gap");
        assert_eq!(Cell::change(None, None, count).text, "not measured");
        assert_eq!(
            Cell::change(Some(3210.0), None, count).text,
            "3,210 → not measured"
        );
    }
}
