// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::near`](super::super::format::near).

use super::super::format::near::Near;

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_near))]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_in_order_is_found_next() {
        let list = [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')];
        let mut near = Near::new(list.iter());
        let mut find = |key| near.find(|(other, _)| *other == key).map(|(_, name)| *name);
        assert_eq!(find(1), Some('a'));
        assert_eq!(find(1), Some('c'));
        assert_eq!(find(3), Some('d'));
    }

    #[test]
    fn what_comes_earlier_is_found_as_well() {
        let list = [1, 2, 3, 4];
        let mut near = Near::new(list.iter());
        for key in [4, 1, 3, 2, 4] {
            assert_eq!(near.find(|other| **other == key), Some(&key));
        }
    }

    #[test]
    fn what_is_not_there_changes_nothing() {
        let list = [1, 2, 1];
        let mut near = Near::new(list.iter());
        assert_eq!(near.find(|other| **other == 2), Some(&2));
        assert_eq!(near.find(|other| **other == 5), None);
        let last = near.find(|other| **other == 1);
        assert!(last.is_some_and(|last| core::ptr::eq(last, &list[2])));
    }
}
