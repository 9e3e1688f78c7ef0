// SPDX-License-Identifier: GPL-2.0

//! The wall clock.

use kernel::bindings;

/// Seconds since the epoch; 0 for a clock that is before it.
pub(crate) fn seconds() -> u64 {
    // SAFETY: Reads the clock, at any time after boot.
    let now = unsafe { bindings::ktime_get_real_seconds() };
    u64::try_from(now).unwrap_or(0)
}
