// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::bitmap`](super::super::format::bitmap).

use super::super::format::bitmap::{
    clear_from,
    set,
    set_range,
    Bitmap, //
};

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_bitmap))]
mod tests {
    use super::*;

    #[test]
    fn bit_zero_is_the_lowest_of_the_first_byte() {
        let bitmap = Bitmap::new(&[0b0000_0001, 0b1000_0000], 16);
        assert!(bitmap.get(0));
        assert!(!bitmap.get(1));
        assert!(bitmap.get(15));
        assert_eq!(bitmap.count(), 2);
    }

    #[test]
    fn bits_past_the_end_are_clear() {
        let bitmap = Bitmap::new(&[0xff; 9], 67);
        assert_eq!(bitmap.count(), 67);
        assert!(bitmap.get(66));
        assert!(!bitmap.get(67));
        assert!(!bitmap.get(usize::MAX));
        assert_eq!(bitmap.word(1), 0b111);
        assert_eq!(bitmap.word(2), 0);
        assert_eq!(bitmap.word(usize::MAX), 0);
        assert_eq!(bitmap.next_set(67), None);
        assert_eq!(bitmap.next_clear(0), 67);
    }

    #[test]
    fn a_bitmap_is_no_longer_than_its_bytes() {
        let bitmap = Bitmap::new(&[0xff; 2], 1000);
        assert_eq!(bitmap.len(), 16);
        assert!(Bitmap::new(&[], 1000).is_empty());
        assert_eq!(Bitmap::new(&[], 1000).runs().next(), None);
    }

    #[test]
    fn runs_cross_words() {
        let mut bytes = [0; 24];
        set_range(&mut bytes, 3, 1);
        set_range(&mut bytes, 60, 70);
        set_range(&mut bytes, 191, 1);
        let mut runs = Bitmap::new(&bytes, 192).runs();
        assert_eq!(runs.next(), Some((3, 1)));
        assert_eq!(runs.next(), Some((60, 70)));
        assert_eq!(runs.next(), Some((191, 1)));
        assert_eq!(runs.next(), None);
    }

    #[test]
    fn a_full_bitmap_is_one_run() {
        let bitmap = Bitmap::new(&[0xff; 32], 250);
        let mut runs = bitmap.runs();
        assert_eq!(runs.next(), Some((0, 250)));
        assert_eq!(runs.next(), None);
    }

    #[test]
    fn set_stays_inside() {
        let mut bytes = [0; 2];
        assert!(set(&mut bytes, 9));
        assert_eq!(bytes, [0, 2]);
        assert!(!set(&mut bytes, 16));
        assert!(!set(&mut bytes, usize::MAX));
    }

    #[test]
    fn set_range_takes_any_bounds() {
        let mut bytes = [0; 4];
        set_range(&mut bytes, 5, 14);
        assert_eq!(bytes, [0b1110_0000, 0xff, 0b0000_0111, 0]);
        set_range(&mut bytes, 31, usize::MAX);
        assert_eq!(bytes, [0b1110_0000, 0xff, 0b0000_0111, 0x80]);
        set_range(&mut bytes, usize::MAX, usize::MAX);
        set_range(&mut bytes, 8, 0);
        assert_eq!(bytes, [0b1110_0000, 0xff, 0b0000_0111, 0x80]);
    }

    #[test]
    fn clear_from_clears_the_rest() {
        let mut bytes = [0xff; 4];
        clear_from(&mut bytes, 11);
        assert_eq!(bytes, [0xff, 0b111, 0, 0]);
        clear_from(&mut bytes, 32);
        clear_from(&mut bytes, usize::MAX);
        assert_eq!(bytes, [0xff, 0b111, 0, 0]);
        clear_from(&mut bytes, 0);
        assert_eq!(bytes, [0; 4]);
    }

    #[test]
    fn same_bits_ignores_what_is_past_the_end() {
        let short = Bitmap::new(&[0b0000_0101], 3);
        assert!(short.same_bits(&Bitmap::new(&[0b1111_0101, 0xff], 4)));
        assert!(short.same_bits(&Bitmap::new(&[0b101, 0, 0, 0, 0, 0, 0, 0, 0], 72)));
        assert!(!short.same_bits(&Bitmap::new(&[0b101, 0, 0, 0, 0, 0, 0, 0, 1], 72)));
        assert!(!short.same_bits(&Bitmap::new(&[0b001], 3)));
    }

    #[test]
    fn used_words_end_with_the_last_set_bit() {
        let mut bytes = [0; 40];
        assert_eq!(Bitmap::new(&bytes, 320).used_words(), 0);
        assert_eq!(Bitmap::new(&[], 320).used_words(), 0);
        bytes[0] = 1;
        assert_eq!(Bitmap::new(&bytes, 320).used_words(), 1);
        bytes[16] = 0x80;
        assert_eq!(Bitmap::new(&bytes, 320).used_words(), 3);
        assert_eq!(Bitmap::new(&bytes, 136).used_words(), 3);
        assert_eq!(Bitmap::new(&bytes, 135).used_words(), 1);
        assert_eq!(Bitmap::new(&bytes[..17], 320).used_words(), 3);
    }
}
