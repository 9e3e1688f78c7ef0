// SPDX-License-Identifier: GPL-2.0

//! The wall clock, and the one that only goes forward.

use kernel::bindings;

/// Seconds since the epoch; 0 for a clock that is before it.
pub(crate) fn seconds() -> u64 {
    // SAFETY: Reads the clock, at any time after boot.
    let now = unsafe { bindings::ktime_get_real_seconds() };
    u64::try_from(now).unwrap_or(0)
}

/// Milliseconds since some moment, not counting when the machine slept.
pub(crate) fn milliseconds() -> u64 {
    const NANOSECONDS: u64 = 1_000_000;

    // SAFETY: Reads the clock.
    let now = unsafe { bindings::ktime_get_mono_fast_ns() };
    now / NANOSECONDS
}
