// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::metadata`](super::super::format::metadata).

use super::super::format::metadata::{
    identity,
    part_of,
    Name, //
};

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_metadata))]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_part_says_which_it_is() {
        for part in [0, 1, 9, 10, 4096, 9_999_999_999_999] {
            let name = Name::of(part);
            assert!(name.is_some_and(|name| part_of(name.as_bytes()) == Some(part)));
        }
        let name = Name::of(305);
        assert!(name.is_some_and(|name| name.as_bytes() == b"metadata:305"));
    }

    #[test]
    fn no_device_has_more_parts_than_a_name_can_say() {
        assert!(Name::of(10_000_000_000_000).is_none());
        assert!(Name::of(u64::MAX).is_none());
        assert_eq!(part_of(b"metadata:10000000000000"), None);
    }

    #[test]
    fn other_paths_are_files() {
        for path in [
            &b""[..],
            b"/metadata:1",
            b"metadata:",
            b"metadata:01",
            b"metadata:-1",
            b"metadata:+1",
            b"metadata:1 ",
            b"metadata:1\0",
            b"metadata",
            b"Metadata:1",
            b"metadata:18446744073709551616",
        ] {
            assert_eq!(part_of(path), None);
        }
    }

    #[test]
    fn a_filesystem_is_known_by_its_uuid_and_its_size() {
        let uuid = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        let own = identity(&uuid, 1 << 30);
        assert!(own.is_met_by(&identity(&uuid, 1 << 30)));
        assert!(!own.is_met_by(&identity(&uuid, 1 << 31)));
        for index in 0..uuid.len() {
            let mut other = uuid;
            if let Some(byte) = other.get_mut(index) {
                *byte ^= 0x80;
            }
            assert!(!own.is_met_by(&identity(&other, 1 << 30)));
        }
    }
}
