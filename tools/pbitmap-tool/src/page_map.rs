// SPDX-License-Identifier: GPL-2.0

//! A bitmap as a picture: each character stands for a few pages, in the order of the file.

use std::fmt::Write as _;

use pbitmap_core::format::bitmap::Bitmap;

/// Most lines of a picture.
const LINES: usize = 24;

/// Columns of a line of a picture are a multiple of this, so that lines start at round numbers.
const COLUMN_STEP: usize = 16;

/// The characters to draw with: for no page, up to a quarter of them, up to half of them, more,
/// and all of them.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    shades: [char; 5],
}

/// For terminals with Unicode.
pub const UNICODE: Style = Style {
    shades: ['·', '░', '▒', '▓', '█'],
};

/// For all others.
pub const ASCII: Style = Style {
    shades: ['.', '-', '+', '*', '#'],
};

/// Draws the first `pages` bits of `bitmap` in lines of at most `width` characters.
pub fn draw(bitmap: &Bitmap<'_>, pages: usize, width: usize, style: &Style) -> String {
    let label = pages.to_string().len();
    let columns = width.saturating_sub(label + 3) / COLUMN_STEP * COLUMN_STEP;
    let columns = columns.max(COLUMN_STEP);
    let mut cell = 1;
    while pages.div_ceil(cell) > columns * LINES {
        cell *= 2;
    }

    let [none, quarter, half, more, all] = style.shades;
    let mut picture = match cell {
        1 => format!("  one character a page: {all} recorded, {none} not\n"),
        _ => format!(
            "  one character for {cell} pages ({} KiB): {none} none recorded, {quarter} {half} \
             {more} some, {all} all\n",
            cell * 4
        ),
    };
    for line in (0..pages).step_by(columns * cell) {
        let end = (line + columns * cell).min(pages);
        let _ = write!(picture, "  {line:>label$} ");
        for first in (line..end).step_by(cell) {
            let len = cell.min(end - first);
            // A file may claim any number of pages: count no further than the bitmap goes.
            let last = (first + len).min(bitmap.len());
            let set = (first..last).filter(|page| bitmap.get(*page)).count();
            picture.push(match (set, len) {
                (0, _) => none,
                (set, len) if set == len => all,
                (set, len) if set * 4 <= len => quarter,
                (set, len) if set * 2 <= len => half,
                _ => more,
            });
        }
        picture.push('\n');
    }
    picture
}
