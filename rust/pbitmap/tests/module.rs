// SPDX-License-Identifier: GPL-2.0

//! Tests of what only the module has; they run under KUnit alone.

use super::super::{
    pages::Pages,
    prefetch,
    stats::{
        Reason,
        Refusal, //
    },
    sys::mm::Mapping,
};

#[kernel::macros::kunit_tests(pbitmap_module)]
mod tests {
    use super::super::super::format::{
        bitmap::Bitmap,
        error::Error as FormatError, //
    };
    use super::*;
    use kernel::prelude::*;

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
    fn a_copy_of_a_plane_has_its_pages() -> Result {
        let plane = Bitmap::new(&[0x81, 0, 0x10, 0, 0, 0, 0, 0], 21);
        let pages = Pages::copy_of(&plane)?;
        assert!(pages.bitmap().same_bits(&plane));
        assert_eq!(pages.bitmap().len(), 21);
        Ok(())
    }

    #[test]
    fn a_plan_ends_with_the_last_started_page() {
        let page = kernel::page::PAGE_SIZE as u64;
        assert_eq!(prefetch::limits(0, 0).file_pages, 0);
        assert_eq!(prefetch::limits(1, 0).file_pages, 1);
        assert_eq!(prefetch::limits(page, 0).file_pages, 1);
        assert_eq!(prefetch::limits(page + 1, 0).file_pages, 2);
        assert_eq!(prefetch::limits(u64::MAX, 7).gap_pages, 7);
    }

    #[test]
    fn a_mapping_gives_the_addresses_of_its_part() {
        let page = kernel::page::PAGE_SIZE;
        let mapping = Mapping::new(0x40_0000, 0x40_0000 + 8 * page, 16);
        assert_eq!(mapping.pages(), 8);
        // All of it, a part of it, and runs that hang over its ends.
        let all = Some((0x40_0000, 0x40_0000 + 8 * page));
        assert_eq!(mapping.addresses(16, 8), all);
        assert_eq!(mapping.addresses(0, u64::MAX), all);
        let second = Some((0x40_0000 + page, 0x40_0000 + 2 * page));
        assert_eq!(mapping.addresses(17, 1), second);
        let first = Some((0x40_0000, 0x40_0000 + page));
        assert_eq!(mapping.addresses(10, 7), first);
    }

    #[test]
    fn a_mapping_has_no_addresses_for_other_pages() {
        let page = kernel::page::PAGE_SIZE;
        let mapping = Mapping::new(0x40_0000, 0x40_0000 + 8 * page, 16);
        assert_eq!(mapping.addresses(0, 16), None);
        assert_eq!(mapping.addresses(24, 100), None);
        assert_eq!(mapping.addresses(20, 0), None);
        assert_eq!(mapping.addresses(u64::MAX, u64::MAX), None);
    }

    #[test]
    fn a_mapping_at_the_end_of_a_huge_file_does_not_overflow() {
        let page = kernel::page::PAGE_SIZE;
        let mapping = Mapping::new(0x40_0000, 0x40_0000 + 8 * page, u64::MAX - 3);
        let (start, end) = mapping.addresses(u64::MAX - 3, 100).unwrap_or_default();
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
