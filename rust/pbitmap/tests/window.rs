// SPDX-License-Identifier: GPL-2.0

//! Tests of [`policy::window`](super::super::policy::window).

use super::super::policy::window::is_due;

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_window))]
mod tests {
    use super::*;

    #[test]
    fn a_first_recording_is_always_due() {
        assert!(is_due(0, 5, 3600));
        assert!(is_due(0, 0, u64::MAX));
    }

    #[test]
    fn the_interval_counts_from_the_last_write() {
        assert!(!is_due(1000, 1000, 60));
        assert!(!is_due(1000, 1059, 60));
        assert!(is_due(1000, 1060, 60));
    }

    #[test]
    fn no_interval_is_no_limit() {
        assert!(is_due(1000, 1000, 0));
    }

    #[test]
    fn a_time_in_the_future_does_not_hold_writes_off() {
        assert!(is_due(u64::MAX, 1000, 60));
    }
}
