// SPDX-License-Identifier: GPL-2.0

//! Tests of [`policy::backoff`](super::super::policy::backoff).

use super::super::policy::backoff::{
    Advice,
    Backoff, //
};

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_backoff))]
mod tests {
    use super::*;

    /// Starts until one is prefetched, that one not counted.
    fn skipped(backoff: &mut Backoff) -> u32 {
        (0..1000)
            .take_while(|_| !backoff.advise().prefetch)
            .fold(0, |count, _| count + 1)
    }

    #[test]
    fn a_program_that_uses_what_it_gets_is_always_prefetched() {
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert_eq!(backoff.advise(), Advice::default());
            backoff.finished(100, 50, 7);
            backoff.unchanged(false);
        }
        assert_eq!(backoff.left(), 0);
    }

    #[test]
    fn waste_is_tried_again_less_and_less_often() {
        let mut backoff = Backoff::default();
        for expected in [1, 3, 7, 15, 31, 63, 63] {
            backoff.finished(100, 49, 100);
            assert_eq!(skipped(&mut backoff), expected);
        }
    }

    #[test]
    fn a_start_that_was_not_prefetched_does_not_add_to_it() {
        let mut backoff = Backoff::default();
        backoff.finished(100, 0, 100);
        backoff.finished(100, 0, 100);
        assert_eq!(backoff.left(), 1);
    }

    #[test]
    fn one_good_start_is_enough() {
        let mut backoff = Backoff::default();
        for _ in 0..4 {
            backoff.finished(100, 0, 100);
            let _ = skipped(&mut backoff);
        }
        backoff.finished(100, 90, 100);
        assert!(backoff.advise().prefetch);
        backoff.finished(100, 0, 100);
        assert_eq!(skipped(&mut backoff), 1);
    }

    #[test]
    fn few_pages_are_never_too_many() {
        let mut backoff = Backoff::default();
        backoff.finished(15, 0, 15);
        assert!(backoff.advise().prefetch);
    }

    #[test]
    fn calm_starts_are_recorded_now_and_then() {
        let mut backoff = Backoff::default();
        for _ in 0..8 {
            assert!(backoff.advise().record_if_cached);
            backoff.finished(100, 100, 0);
            backoff.unchanged(true);
        }
        let recorded = (0..80)
            .filter(|_| backoff.advise().record_if_cached)
            .fold(0, |count, _| count + 1);
        assert_eq!(recorded, 10);
        // Something new, or something that was not in memory.
        backoff.unchanged(false);
        assert!(backoff.advise().record_if_cached);
    }

    #[test]
    fn a_cold_start_ends_the_calm() {
        let mut backoff = Backoff::default();
        for _ in 0..20 {
            backoff.unchanged(true);
        }
        backoff.finished(100, 100, 5);
        assert!(backoff.advise().record_if_cached);
    }
}
