// SPDX-License-Identifier: GPL-2.0

//! Names that others have chosen, on a terminal that is ours.

/// `name` with its control characters spelt out: they could move the cursor, or worse.
pub fn printable(name: &str) -> String {
    let mut text = String::new();
    for letter in name.chars() {
        match letter.is_control() {
            true => text.extend(letter.escape_default()),
            false => text.push(letter),
        }
    }
    text
}
