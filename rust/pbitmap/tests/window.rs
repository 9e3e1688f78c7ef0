// SPDX-License-Identifier: GPL-2.0

//! Tests of [`policy::window`](super::super::policy::window).

use super::super::policy::window::{
    is_due,
    next_sample,
    Next, //
};

/// When the start of a program is over, in milliseconds, of which `pages` says how many pages it
/// has at what time; [`None`] if that does not come to an end.
fn closes_after(pages: impl Fn(u32) -> u64) -> Option<u32> {
    let (mut time, mut before, mut now) = (0, 0, 0);
    for sample in 0..100 {
        match next_sample(sample, before, now) {
            Next::After(after) => time += after,
            Next::Close => return Some(time),
        }
        (before, now) = (now, pages(time));
    }
    None
}

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

    #[test]
    fn samples_are_taken_at_growing_intervals() {
        let intervals = [500, 1000, 2000, 4000, 8000, 16000];
        for (sample, interval) in (0..).zip(intervals) {
            // It doubles every time.
            let (before, now) = (1 << sample, 2 << sample);
            assert_eq!(next_sample(sample, before, now), Next::After(interval));
        }
        assert_eq!(next_sample(6, 64, 128), Next::Close);
        assert_eq!(next_sample(u32::MAX, 0, u64::MAX), Next::Close);
    }

    #[test]
    fn a_sample_that_adds_less_than_a_sixteenth_is_the_last() {
        assert_eq!(next_sample(1, 1500, 1600), Next::After(1000));
        assert_eq!(next_sample(1, 1501, 1600), Next::Close);
        // A sixteenth of 1601 is more than 100.
        assert_eq!(next_sample(1, 1501, 1601), Next::Close);
        assert_eq!(next_sample(2, 10, 10), Next::Close);
        assert_eq!(next_sample(2, 20, 10), Next::Close);
        assert_eq!(next_sample(2, 0, 1), Next::After(2000));
        let max = u64::MAX;
        assert_eq!(next_sample(1, max, max), Next::Close);
        assert_eq!(next_sample(1, 0, max), Next::After(1000));
    }

    #[test]
    fn a_program_that_has_no_page_yet_is_waited_for() {
        assert_eq!(next_sample(1, 0, 0), Next::After(1000));
        assert_eq!(next_sample(6, 0, 0), Next::Close);
    }

    #[test]
    fn a_start_is_over_when_it_is() {
        // One that needs all of it at once: the second sample adds nothing.
        assert_eq!(closes_after(|_| 1000), Some(1500));
        // One that starts for 3 seconds.
        assert_eq!(closes_after(|time| u64::from(time.min(3000))), Some(7500));
        // One that never stops, and one that never starts.
        assert_eq!(closes_after(u64::from), Some(31_500));
        assert_eq!(closes_after(|_| 0), Some(31_500));
    }
}
