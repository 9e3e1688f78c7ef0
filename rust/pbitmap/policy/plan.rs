// SPDX-License-Identifier: GPL-2.0

//! From a bitmap to reads: which runs of pages to ask for, in which order, up to which cost.

use core::ops::Range;

use super::super::format::{
    bitmap::{
        Bitmap,
        Runs, //
    },
    turns::{
        Ranges,
        Turns, //
    },
};

/// What of a file is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// All of it, its data first.
    All,
    /// Its data.
    Data,
    /// What follows this page in that order: what is left.
    From(u64),
    /// What has this turn, from this page on.
    Turn(u8, u64),
}

/// The pages of a file, in the order in which they are asked for: from `data_page` on, which is what
/// a loader writes to before anything of the file runs, and then what lies before it. A file whose
/// `data_page` is 0 has no data. What has a turn is asked for from its beginning.
pub fn in_order(pages: u64, data_page: u64, turns: &Turns, part: Part) -> InOrder<'_> {
    let data = data_page.min(pages);
    match part {
        Part::All => InOrder::Ranges([data..pages, 0..data].into_iter()),
        Part::Data if data == 0 => InOrder::Ranges([0..0, 0..0].into_iter()),
        Part::Data => InOrder::Ranges([data..pages, 0..0].into_iter()),
        Part::From(page) if page >= data => {
            InOrder::Ranges([page.min(pages)..pages, 0..data].into_iter())
        }
        Part::From(page) => InOrder::Ranges([page..data, pages..pages].into_iter()),
        Part::Turn(turn, page) => InOrder::Turn(turns.ranges(turn, pages), page),
    }
}

/// Iterator of [`in_order`].
#[derive(Clone, Debug)]
pub enum InOrder<'a> {
    /// These.
    Ranges(core::array::IntoIter<Range<u64>, 2>),
    /// What of these lies behind a page.
    Turn(Ranges<'a>, u64),
}

impl Iterator for InOrder<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        match self {
            Self::Ranges(ranges) => ranges.next(),
            Self::Turn(ranges, from) => {
                let range = ranges.next()?;
                Some(range.start.max(*from).min(range.end)..range.end)
            }
        }
    }
}

/// What a plan may ask for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// A hole of at most this many pages between two runs is read as well: one larger read costs
    /// less than two, but holes never merge by themselves. 0 fills none.
    pub gap_pages: u32,
    /// Most pages in all, filled holes counted.
    pub max_pages: u32,
    /// Pages of the file; nothing is asked for past its end.
    pub file_pages: u64,
}

/// Pages to read in one go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Run {
    /// The first page in the file.
    pub first: u64,
    /// How many pages.
    pub pages: u32,
    /// How many of them are set in the bitmap; the others are filled holes.
    pub wanted: u32,
}

/// The runs of a bitmap in ascending order, made one at a time.
///
/// The first and the last page of every run are set in the bitmap. Whatever the bitmap says, the
/// runs together have no more than [`Limits::max_pages`] pages.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    runs: Runs<'a>,
    /// The first run of the bitmap that is not yet in the plan.
    next: Option<(usize, usize)>,
    first_page: u64,
    gap: usize,
    /// Pages that may still be asked for.
    budget: usize,
}

impl<'a> Plan<'a> {
    /// Plans the reads for `bitmap`, of which bit 0 stands for page `first_page`.
    pub fn new(bitmap: Bitmap<'a>, first_page: u64, limits: Limits) -> Self {
        let pages = limits.file_pages.saturating_sub(first_page);
        let pages = usize::try_from(pages).unwrap_or(usize::MAX);
        let mut runs = Bitmap::new(bitmap.bytes(), bitmap.len().min(pages)).runs();
        Self {
            next: runs.next(),
            runs,
            first_page,
            gap: usize::try_from(limits.gap_pages).unwrap_or(usize::MAX),
            budget: usize::try_from(limits.max_pages).unwrap_or(usize::MAX),
        }
    }

    /// The same from this page on; what lies before it uses up no budget.
    #[must_use]
    pub fn starting_at(mut self, page: u64) -> Self {
        let page = page.saturating_sub(self.first_page);
        let page = usize::try_from(page).unwrap_or(usize::MAX);
        while let Some((first, len)) = self.next {
            let end = first.saturating_add(len);
            if end > page {
                let first = first.max(page);
                self.next = Some((first, end.saturating_sub(first)));
                break;
            }
            self.next = self.runs.next();
        }
        self
    }
}

impl Iterator for Plan<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if self.budget == 0 {
            return None;
        }
        let (first, mut wanted) = self.next?;
        let limit = first.saturating_add(self.budget);
        let mut end = first.saturating_add(wanted);
        self.next = self.runs.next();
        while let Some((set, len)) = self.next {
            // A hole that uses up the budget is not worth starting on.
            if set.saturating_sub(end) > self.gap || set >= limit {
                break;
            }
            end = set.saturating_add(len);
            wanted = wanted.saturating_add(len);
            self.next = self.runs.next();
        }
        // What is past the budget is the end of the last run, for that one starts before it.
        let excess = end.saturating_sub(limit);
        let pages = end.saturating_sub(first).saturating_sub(excess);
        self.budget = self.budget.saturating_sub(pages);
        Some(Run {
            first: self.first_page.checked_add(u64::try_from(first).ok()?)?,
            pages: u32::try_from(pages).ok()?,
            wanted: u32::try_from(wanted.saturating_sub(excess)).ok()?,
        })
    }
}
