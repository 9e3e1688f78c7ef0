// SPDX-License-Identifier: GPL-2.0

//! Tests of what only the module has; they run under KUnit alone.

use super::super::{
    mode::first_word,
    pages::Pages,
    stats::{
        Reason,
        Refusal, //
    },
    sys::mm::{
        Region,
        Span, //
    },
};

#[kernel::macros::kunit_tests(pbitmap_module)]
mod tests {
    use super::super::super::format::error::Error as FormatError;
    use super::*;
    use kernel::prelude::*;

    fn span(start: usize, end: usize, first_page: u64) -> Span {
        Span {
            start,
            end,
            first_page,
        }
    }

    #[test]
    fn a_region_has_its_part_of_an_area() {
        let size = 512 * kernel::page::PAGE_SIZE;
        let region = Region::of(5 * size + 7);
        assert_eq!(region.part(0, usize::MAX), (5 * size, 6 * size));
        assert_eq!(
            region.part(5 * size + 8, 9 * size),
            (5 * size + 8, 6 * size)
        );
        let (start, end) = region.part(6 * size, 9 * size);
        assert!(start >= end);
    }

    #[test]
    fn the_first_word_is_the_first_argument_that_is_no_option() {
        assert_eq!(first_word(b"git\0status\0", 2), b"status");
        assert_eq!(first_word(b"python3\0-B\0a.py\0b\0", 4), b"a.py");
        assert_eq!(first_word(b"git\0--version\0HOME=/\0", 2), b"");
        assert_eq!(first_word(b"git\0\0log\0", 3), b"log");
        // Cut off, or not there at all.
        assert_eq!(first_word(b"git\0stat", 2), b"");
        assert_eq!(first_word(b"", 9), b"");
    }

    #[test]
    fn pages_start_empty_and_have_a_bit_for_each() -> Result {
        let pages = Pages::empty(65)?;
        assert_eq!(pages.bitmap().len(), 65);
        assert_eq!(pages.bitmap().count(), 0);
        assert_eq!(pages.as_bytes().len(), 16);
        Ok(())
    }

    #[test]
    fn no_pages_are_fine() -> Result {
        let pages = Pages::empty(0)?;
        assert_eq!(pages.bitmap().len(), 0);
        assert!(pages.as_bytes().is_empty());
        Ok(())
    }

    #[test]
    fn a_word_is_the_bytes_of_a_plane() -> Result {
        let mut pages = Pages::empty(70)?;
        if let [first, second] = pages.words_mut() {
            *first = 1 << 9;
            *second = 1 << 3;
        }
        assert!(pages.bitmap().get(9));
        assert!(pages.bitmap().get(67));
        assert_eq!(pages.bitmap().count(), 2);
        assert_eq!(pages.as_bytes().get(1).copied(), Some(2));
        Ok(())
    }

    #[test]
    fn a_mapping_gives_the_addresses_of_its_part() {
        let page = kernel::page::PAGE_SIZE;
        let mapping = span(0x40_0000, 0x40_0000 + 8 * page, 16);
        assert_eq!(mapping.page_at(0x40_0000 + 3 * page), 19);
        // All of it, a part of it, and runs that hang over its ends.
        let all = Some((0x40_0000, 0x40_0000 + 8 * page));
        assert_eq!(mapping.addresses_of(16, 8), all);
        assert_eq!(mapping.addresses_of(0, u64::MAX), all);
        let second = Some((0x40_0000 + page, 0x40_0000 + 2 * page));
        assert_eq!(mapping.addresses_of(17, 1), second);
        let first = Some((0x40_0000, 0x40_0000 + page));
        assert_eq!(mapping.addresses_of(10, 7), first);
    }

    #[test]
    fn a_mapping_has_no_addresses_for_other_pages() {
        let page = kernel::page::PAGE_SIZE;
        let mapping = span(0x40_0000, 0x40_0000 + 8 * page, 16);
        assert_eq!(mapping.addresses_of(0, 16), None);
        assert_eq!(mapping.addresses_of(24, 100), None);
        assert_eq!(mapping.addresses_of(20, 0), None);
        assert_eq!(mapping.addresses_of(u64::MAX, u64::MAX), None);
    }

    #[test]
    fn a_mapping_at_the_end_of_a_huge_file_does_not_overflow() {
        let page = kernel::page::PAGE_SIZE;
        let mapping = span(0x40_0000, 0x40_0000 + 8 * page, u64::MAX - 3);
        let (start, end) = mapping.addresses_of(u64::MAX - 3, 100).unwrap_or_default();
        assert_eq!(start, 0x40_0000);
        assert!(end <= 0x40_0000 + 8 * page);
    }

    #[test]
    fn refusals_have_names() {
        let own = Refusal::from(Reason::Filesystem);
        assert_eq!(own.name(), "filesystem");
        let last = Refusal::from(Reason::Backlog);
        assert_eq!(last.name(), "backlog");
        let format = Refusal::from(FormatError::Stale);
        assert_eq!(format.name(), "stale");
    }
}
