// SPDX-License-Identifier: GPL-2.0

//! Bitmaps, and the reads that they are turned into.

use super::bytes::Bytes;
use pbitmap_core::{
    format::{
        bitmap::Bitmap,
        turns::{Turns, TURNS},
    },
    policy::plan::{in_order, Limits, Part, Plan, Run},
};

/// Compares what a bitmap says about itself with its bits.
pub(super) fn bitmap(bitmap: &Bitmap<'_>) {
    let bits: Vec<bool> = (0..bitmap.len()).map(|bit| bitmap.get(bit)).collect();
    assert_eq!(bitmap.count(), bits.iter().filter(|bit| **bit).count());
    let mut covered = 0;
    let mut total = 0;
    for (first, len) in bitmap.runs() {
        assert!(first >= covered && len != 0);
        assert!(bits[covered..first].iter().all(|bit| !bit));
        assert!(bits[first..first + len].iter().all(|bit| *bit));
        assert!(bits.get(first + len) != Some(&true));
        assert_eq!(bitmap.next_set(covered), Some(first));
        assert_eq!(bitmap.next_clear(first), first + len);
        covered = first + len;
        total += len;
    }
    assert!(bits[covered..].iter().all(|bit| !bit));
    assert_eq!(bitmap.next_set(covered), None);
    assert_eq!(total, bitmap.count());
}

/// `bytes` are limits and a bitmap.
pub(crate) fn plan(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let limits = Limits {
        gap_pages: u32::from(bytes.byte()),
        max_pages: u32::from(bytes.byte()) << (bytes.byte() % 24),
        file_pages: u64::from(bytes.byte()) << (bytes.byte() % 56),
    };
    let first_page = u64::from(bytes.byte()) << (bytes.byte() % 57);
    let cut = usize::from(bytes.byte());
    let len = (bytes.0.len() * 8).saturating_sub(cut);
    let whole = Bitmap::new(bytes.0, len);
    bitmap(&whole);
    compare_plan(whole, first_page, limits);
    order(limits.file_pages, first_page, cut as u64);
}

/// Compares the order of a file's pages with one that is made page by page.
fn order(pages: u64, data_page: u64, from: u64) {
    let turns = Turns::from_bytes([data_page as u8 ^ from as u8; 24]);
    let all = |part| in_order(pages, data_page, &turns, part);
    assert!(all(Part::All).all(|range| range.start <= range.end && range.end <= pages));
    let count = |part| all(part).map(|range| range.end - range.start).sum::<u64>();
    assert_eq!(count(Part::All), pages);
    assert_eq!(count(Part::Data) + count(Part::From(0)), pages);
    let in_turns = || (0..TURNS).map(|turn| count(Part::Turn(turn, 0)));
    assert_eq!(in_turns().sum::<u64>(), pages);
    if pages < 1000 && from < pages {
        for turn in 0..TURNS {
            let left: Vec<u64> = all(Part::Turn(turn, from)).flatten().collect();
            let has_turn = |page: &u64| turns.turn(turns.part_of(*page)) == turn;
            let expected: Vec<u64> = (from..pages).filter(has_turn).collect();
            assert_eq!(left, expected);
        }
        let order: Vec<u64> = all(Part::All).flatten().collect();
        let left: Vec<u64> = all(Part::From(from)).flatten().collect();
        let expected = order.iter().position(|page| *page == from);
        assert_eq!(expected.map_or(&[][..], |at| &order[at..]), left);
    }
}

/// Compares a plan with one that is made page by page.
pub(super) fn compare_plan(bitmap: Bitmap<'_>, first_page: u64, limits: Limits) {
    let mut expected: Vec<Run> = Vec::new();
    let mut budget = limits.max_pages;
    for bit in (0..bitmap.len()).filter(|bit| bitmap.get(*bit)) {
        let Some(page) = first_page.checked_add(bit as u64) else {
            break;
        };
        if page >= limits.file_pages {
            break;
        }
        if let Some(run) = expected.last_mut() {
            let hole = page - run.first - u64::from(run.pages);
            let pages = page - run.first + 1;
            if hole <= u64::from(limits.gap_pages) && pages <= u64::from(budget) {
                run.pages = u32::try_from(pages).unwrap();
                run.wanted += 1;
                continue;
            }
            budget -= run.pages;
        }
        if budget == 0 {
            break;
        }
        expected.push(Run {
            first: page,
            pages: 1,
            wanted: 1,
        });
    }
    let plan: Vec<Run> = Plan::new(bitmap, first_page, limits).collect();
    assert_eq!(plan, expected);
    let pages: u64 = plan.iter().map(|run| u64::from(run.pages)).sum();
    assert!(pages <= u64::from(limits.max_pages));
}
