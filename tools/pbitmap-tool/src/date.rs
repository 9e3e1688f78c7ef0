// SPDX-License-Identifier: GPL-2.0

//! Times of the format, for people.

use std::time::{Duration, UNIX_EPOCH};

/// The last second that can be written as a date, at the end of the year 9999.
const LAST: u64 = 253_402_300_799;

/// A time in seconds since the epoch as a date; as a number where no date fits.
pub fn date(seconds: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds.min(LAST))) {
        Some(time) if seconds <= LAST => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("second {seconds}"),
    }
}
