// SPDX-License-Identifier: GPL-2.0

//! When a bitmap may be written again.

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

/// What to do after a sample of a program that starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// Take another one after so many milliseconds.
    After(u32),
    /// The start is over.
    Close,
}

/// The first sample is taken after so many milliseconds; each interval is twice the one before.
pub const FIRST_SAMPLE: u32 = 500;

/// After so many samples the start is over in any case: 63 intervals of half a second.
pub const MAX_SAMPLES: u32 = 6;

/// The start is over when a sample adds less than one page in so many.
pub const SHARE: u64 = 16;

/// When to take the next sample, after `sample` of them: the last one but one had `before` pages,
/// the last one has `now`.
pub const fn next_sample(sample: u32, before: u64, now: u64) -> Next {
    let added = now.saturating_sub(before);
    if sample >= MAX_SAMPLES || sample > 1 && added < now.div_ceil(SHARE) {
        return Next::Close;
    }
    Next::After(FIRST_SAMPLE << sample)
}
