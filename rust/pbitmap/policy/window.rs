// SPDX-License-Identifier: GPL-2.0

//! When the start of a program is over, and when a bitmap may be written again.

/// Whether a bitmap that was stored at `updated` may be stored again at `now`, with at least
/// `interval` between two writes (all in seconds, `updated` 0 for never).
///
/// A time in the future, from a clock that was wrong or a hostile file, does not hold writes off.
pub const fn is_due(updated: u64, now: u64, interval: u64) -> bool {
    match now.checked_sub(updated) {
        Some(age) => updated == 0 || age >= interval,
        None => true,
    }
}

/// The first sample is taken so many milliseconds after the start; each of the others after twice
/// the time that passed before the one before it.
const FIRST_SAMPLE: u32 = 500;

/// So many samples are taken at most, the last one 31.5 seconds after the start.
const SAMPLES: u32 = 6;

/// The start is over when a sample adds less than one in so many of the pages that are there.
const ADDED: u64 = 16;

/// What comes after a sample.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Another sample, after so many milliseconds.
    After(u32),
    /// Nothing: what there is now is what the start needed.
    Close,
}

/// What to do when `sample` samples have been taken: 0 at the start of the program. There were
/// `before` pages in the sample before the last one, 0 if there was none, and `now` in the last.
pub const fn next_sample(sample: u32, before: u64, now: u64) -> Next {
    if sample == 0 {
        return Next::After(FIRST_SAMPLE);
    }
    // Without a page it has not begun: it waits for a lock, or for the disk.
    let added = now.saturating_sub(before);
    if sample >= SAMPLES || now != 0 && added < now.div_ceil(ADDED) {
        return Next::Close;
    }
    match FIRST_SAMPLE.checked_shl(sample) {
        Some(after) => Next::After(after),
        None => Next::Close,
    }
}
