// SPDX-License-Identifier: GPL-2.0

//! Tests of [`policy::plan`](super::super::policy::plan).

use super::super::{
    format::{
        bitmap::{
            set_range,
            Bitmap, //
        },
        turns::Turns, //
    },
    policy::plan::{
        in_order,
        Limits,
        Part,
        Plan,
        Run, //
    },
};

use core::ops::Range;

/// No limit but those that a test sets.
const FREE: Limits = Limits {
    gap_pages: 0,
    max_pages: u32::MAX,
    file_pages: u64::MAX,
};

fn run(first: u64, pages: u32, wanted: u32) -> Option<Run> {
    Some(Run {
        first,
        pages,
        wanted,
    })
}

/// The two ranges of a file without turns.
fn order(pages: u64, data_page: u64, part: Part) -> [Range<u64>; 2] {
    let turns = Turns::default();
    let mut ranges = in_order(pages, data_page, &turns, part);
    [(); 2].map(|()| ranges.next().unwrap_or(0..0))
}

/// Pages 2, 3, then a hole of 4, then 8, then a hole of 56, then 65 to 199.
fn pages() -> [u8; 32] {
    let mut bytes = [0; 32];
    set_range(&mut bytes, 2, 2);
    set_range(&mut bytes, 8, 1);
    set_range(&mut bytes, 65, 135);
    bytes
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_plan))]
mod tests {
    use super::*;

    #[test]
    fn data_comes_first() {
        assert_eq!(order(100, 0, Part::All), [0..100, 0..0]);
        assert_eq!(order(100, 70, Part::All), [70..100, 0..70]);
        // As far as the file goes, whatever is stored.
        assert_eq!(order(100, 100, Part::All), [100..100, 0..100]);
        assert_eq!(order(100, u64::MAX, Part::All), [100..100, 0..100]);
        assert_eq!(order(0, 7, Part::All), [0..0, 0..0]);
    }

    #[test]
    fn data_and_what_is_left_are_all() {
        assert_eq!(order(100, 70, Part::Data), [70..100, 0..0]);
        assert_eq!(order(100, 70, Part::From(0)), [0..70, 100..100]);
        assert_eq!(order(100, 0, Part::Data), [0..0, 0..0]);
        assert_eq!(order(100, 0, Part::From(0)), [0..100, 0..0]);
        assert_eq!(order(100, u64::MAX, Part::Data), [100..100, 0..0]);
        assert_eq!(order(100, u64::MAX, Part::From(0)), [0..100, 100..100]);
    }

    #[test]
    fn the_rest_is_what_comes_later_in_that_order() {
        assert_eq!(order(100, 70, Part::From(70)), [70..100, 0..70]);
        assert_eq!(order(100, 70, Part::From(90)), [90..100, 0..70]);
        assert_eq!(order(100, 70, Part::From(0)), [0..70, 100..100]);
        assert_eq!(order(100, 70, Part::From(69)), [69..70, 100..100]);
        assert_eq!(order(100, 0, Part::From(30)), [30..100, 0..0]);
        assert_eq!(order(100, 70, Part::From(u64::MAX)), [100..100, 0..70]);
    }

    #[test]
    fn what_has_a_turn_comes_with_it() {
        let mut turns = Turns::new(92);
        turns.set(3, 0);
        turns.set(5, 0);
        let mut ranges = in_order(92, 70, &turns, Part::Turn(0, 0));
        assert_eq!([ranges.next(), ranges.next()], [Some(3..4), Some(5..6)]);
        assert_eq!(ranges.next(), None);
        let mut ranges = in_order(92, 70, &turns, Part::Turn(3, 50));
        assert_eq!(ranges.next(), Some(3..3));
        assert_eq!(ranges.next(), Some(5..5));
        assert_eq!(ranges.next(), Some(50..92));
    }

    #[test]
    fn no_bits_no_reads() {
        assert_eq!(Plan::new(Bitmap::new(&[0; 32], 256), 0, FREE).next(), None);
        assert_eq!(Plan::new(Bitmap::new(&[], 0), 0, FREE).next(), None);
    }

    #[test]
    fn without_gaps_each_run_is_a_read() {
        let bytes = pages();
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, FREE);
        assert_eq!(plan.next(), run(2, 2, 2));
        assert_eq!(plan.next(), run(8, 1, 1));
        assert_eq!(plan.next(), run(65, 135, 135));
        assert_eq!(plan.next(), None);
        assert_eq!(plan.next(), None);
    }

    #[test]
    fn a_hole_up_to_the_limit_is_filled() {
        let bytes = pages();
        let limits = Limits {
            gap_pages: 4,
            ..FREE
        };
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, limits);
        assert_eq!(plan.next(), run(2, 7, 3));
        assert_eq!(plan.next(), run(65, 135, 135));
        assert_eq!(plan.next(), None);

        let limits = Limits {
            gap_pages: 3,
            ..FREE
        };
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, limits);
        assert_eq!(plan.next(), run(2, 2, 2));

        let limits = Limits {
            gap_pages: 56,
            ..FREE
        };
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, limits);
        assert_eq!(plan.next(), run(2, 198, 138));
        assert_eq!(plan.next(), None);
    }

    #[test]
    fn the_budget_cuts_a_run() {
        let bytes = pages();
        let limits = Limits {
            max_pages: 10,
            ..FREE
        };
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, limits);
        assert_eq!(plan.next(), run(2, 2, 2));
        assert_eq!(plan.next(), run(8, 1, 1));
        assert_eq!(plan.next(), run(65, 7, 7));
        assert_eq!(plan.next(), None);
    }

    #[test]
    fn the_budget_counts_filled_holes() {
        let bytes = pages();
        let limits = Limits {
            gap_pages: 100,
            max_pages: 64,
            ..FREE
        };
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, limits);
        assert_eq!(plan.next(), run(2, 64, 4));
        assert_eq!(plan.next(), None);
    }

    #[test]
    fn a_hole_that_uses_up_the_budget_is_not_read() {
        let bytes = pages();
        let limits = Limits {
            gap_pages: 100,
            max_pages: 63,
            ..FREE
        };
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, limits);
        assert_eq!(plan.next(), run(2, 7, 3));
        assert_eq!(plan.next(), run(65, 56, 56));
        assert_eq!(plan.next(), None);
    }

    #[test]
    fn no_budget_no_reads() {
        let bytes = pages();
        let limits = Limits {
            max_pages: 0,
            ..FREE
        };
        assert_eq!(Plan::new(Bitmap::new(&bytes, 256), 0, limits).next(), None);
    }

    #[test]
    fn the_budget_is_for_what_is_left() {
        let limits = Limits {
            max_pages: 4,
            ..FREE
        };
        let bytes = pages();
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, limits).starting_at(3);
        assert_eq!(plan.next(), run(3, 1, 1));
        assert_eq!(plan.next(), run(8, 1, 1));
        assert_eq!(plan.next(), run(65, 2, 2));
        assert_eq!(plan.next(), None);
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 100, limits).starting_at(300);
        assert_eq!(plan.next(), None);
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 100, limits).starting_at(0);
        assert_eq!(plan.next(), run(102, 2, 2));
    }

    #[test]
    fn nothing_is_read_past_the_end_of_the_file() {
        let bytes = pages();
        let limits = Limits {
            gap_pages: 1000,
            file_pages: 8,
            ..FREE
        };
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 0, limits);
        assert_eq!(plan.next(), run(2, 2, 2));
        assert_eq!(plan.next(), None);

        let limits = Limits {
            file_pages: 0,
            ..FREE
        };
        assert_eq!(Plan::new(Bitmap::new(&bytes, 256), 0, limits).next(), None);
    }

    #[test]
    fn pages_count_from_the_first_page() {
        let bytes = pages();
        let limits = Limits {
            file_pages: 1009,
            ..FREE
        };
        let mut plan = Plan::new(Bitmap::new(&bytes, 256), 1000, limits);
        assert_eq!(plan.next(), run(1002, 2, 2));
        assert_eq!(plan.next(), run(1008, 1, 1));
        assert_eq!(plan.next(), None);

        let limits = Limits {
            file_pages: 1000,
            ..FREE
        };
        assert_eq!(
            Plan::new(Bitmap::new(&bytes, 256), 1000, limits).next(),
            None
        );
        let end = Plan::new(Bitmap::new(&bytes, 256), u64::MAX, FREE).next();
        assert_eq!(end, None);
    }
}
