// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::turns`](super::super::format::turns).

use super::super::format::turns::{
    Turns,
    PARTS,
    TURNS, //
};
use core::ops::Range;

/// The first three ranges, empty ones for what is not there.
fn ranges(turns: &Turns, turn: u8, pages: u64) -> [Range<u64>; 3] {
    let mut ranges = turns.ranges(turn, pages);
    [(); 3].map(|()| ranges.next().unwrap_or(0..0))
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_turns))]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_at_first() {
        assert!(!Turns::default().are_known());
        assert!(Turns::new(0).are_known());
        assert_eq!(
            ranges(&Turns::new(100), TURNS - 1, 100),
            [0..100, 0..0, 0..0]
        );
        assert_eq!(ranges(&Turns::new(100), 0, 100), [0..0, 0..0, 0..0]);
    }

    #[test]
    fn parts_are_as_small_as_they_can_be() {
        let parts = PARTS as u64;
        assert_eq!(Turns::new(parts).part_of(parts - 1), PARTS - 1);
        assert_eq!(Turns::new(parts + 1).part_of(parts), PARTS / 2);
        assert_eq!(Turns::new(1 << 20).part_of((1 << 20) - 1), 63);
        assert!(Turns::new(u64::MAX).part_of(u64::MAX) >= PARTS);
    }

    #[test]
    fn neighbours_with_the_same_turn_are_one_range() {
        let mut turns = Turns::new(200);
        for (part, turn) in [(0, 0), (1, 0), (2, 1), (3, 0), (4, 2)] {
            turns.set(part, turn);
        }
        // Four pages each.
        assert_eq!(ranges(&turns, 0, 200), [0..8, 12..16, 0..0]);
        assert_eq!(ranges(&turns, 1, 200), [8..12, 0..0, 0..0]);
        assert_eq!(ranges(&turns, 2, 18), [16..18, 0..0, 0..0]);
        assert_eq!(ranges(&turns, 3, 200), [20..200, 0..0, 0..0]);
        assert_eq!(turns.turn(4), 2);
    }

    #[test]
    fn what_lies_behind_the_parts_comes_last() {
        let mut turns = Turns::new(10);
        for part in 0..PARTS + 5 {
            turns.set(part, 0);
        }
        let end = PARTS as u64;
        assert_eq!(ranges(&turns, 0, 1000), [0..end, 0..0, 0..0]);
        assert_eq!(ranges(&turns, TURNS - 1, 1000), [end..1000, 0..0, 0..0]);
    }

    #[test]
    fn any_bytes_will_do() {
        for byte in 0..=u8::MAX {
            let turns = Turns::from_bytes([byte; 24]);
            let mut pages = 0;
            for turn in 0..TURNS {
                pages += turns
                    .ranges(turn, 5000)
                    .map(|range| range.end - range.start)
                    .sum::<u64>();
            }
            assert_eq!(pages, 5000);
        }
    }
}
