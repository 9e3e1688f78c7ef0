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
