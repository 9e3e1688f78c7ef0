// SPDX-License-Identifier: GPL-2.0

//! Tables for people: columns without lines around them.

use std::fmt::Write as _;

use comfy_table::{presets::NOTHING, CellAlignment, ContentArrangement, Table};

/// A table whose columns are aligned as `columns` says: a name, and whether numbers are in it.
pub fn new(columns: &[(&str, bool)]) -> Table {
    let mut table = Table::new();
    table
        .load_preset(NOTHING)
        // A path that is broken into two lines can neither be read nor copied.
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|(name, _)| *name));
    for (column, (_, is_number)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if *is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The lines of a table, with `indent` before each.
pub fn lines(table: &Table, indent: &str) -> String {
    table.lines().fold(String::new(), |mut text, line| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{indent}{}", line.trim_end());
        text
    })
}

/// A number with a separator between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share in percent; a dash if there is none.
pub fn percent(percent: Option<f64>) -> String {
    percent.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"))
}
