// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::crc32c`](super::super::format::crc32c).

use super::super::format::crc32c::{
    crc32c,
    Crc32c, //
};

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_crc32c))]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(crc32c(b""), 0);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn vectors_of_rfc_3720() {
        let mut ascending = [0; 32];
        for (byte, value) in ascending.iter_mut().zip(0..) {
            *byte = value;
        }
        let mut descending = ascending;
        descending.reverse();
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
        assert_eq!(crc32c(&descending), 0x113f_db5c);
    }

    #[test]
    fn pieces_make_the_same_sum() {
        let bytes = b"however it is cut, the sum of the whole is the same";
        let mut all_equal = true;
        for cut in 0..bytes.len() {
            let (before, after) = bytes.split_at(cut);
            let mut crc = Crc32c::new();
            crc.update(before);
            crc.update(after);
            all_equal &= crc.finish() == crc32c(bytes);
        }
        assert!(all_equal);
    }

    #[test]
    fn every_bit_counts() {
        let mut bytes = [0x5a; 40];
        let whole = crc32c(&bytes);
        let mut changed = 0;
        for bit in 0..320 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            changed += u32::from(crc32c(&bytes) != whole);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(changed, 320);
    }
}
