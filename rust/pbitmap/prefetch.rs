// SPDX-License-Identifier: GPL-2.0

//! A bitmap becomes page-cache reads of one open file.

use super::{
    format::{
        bitmap::Bitmap,
        turns::Turns, //
    },
    policy::{
        device::Device,
        plan::{
            self,
            Limits,
            Part,
            Plan, //
        }, //
    },
    stats::Counter,
    sys::{
        file::Inode,
        page_cache,
        trace,
        PAGE_SIZE, //
    },
    sysctl,
};
use kernel::{
    fs::File,
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Pages that may still be asked for, filled gaps counted, by all who share it.
pub(crate) struct Allowance(Atomic<i64>);

impl Allowance {
    /// So many.
    pub(crate) fn new(pages: u32) -> Self {
        Self(Atomic::new(pages.into()))
    }

    /// What is left, at most [`u32::MAX`] pages.
    pub(crate) fn left(&self) -> u32 {
        let left = self.0.load(Relaxed).max(0);
        u32::try_from(left).unwrap_or(u32::MAX)
    }

    /// Takes `pages`, or what is left of them.
    fn take(&self, pages: u64) -> u64 {
        let pages = i64::try_from(pages).unwrap_or(i64::MAX);
        let had = self.0.fetch_sub(pages, Relaxed).clamp(0, pages);
        let missing = pages.saturating_sub(had);
        if missing != 0 {
            self.0.fetch_add(missing, Relaxed);
        }
        had.unsigned_abs()
    }
}

/// What may still be asked for.
pub(crate) struct Budget<'a> {
    pub(crate) pages: &'a Allowance,
    /// Runs.
    pub(crate) runs: u32,
}

/// What was asked for, in pages but for `runs`.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Pages that the bitmap names.
    pub(crate) wanted: u64,
    /// Pages of the planned runs that were cached.
    pub(crate) cached: u64,
    /// Pages that were not, and were asked for.
    pub(crate) asked: u64,
    /// Runs with such pages.
    pub(crate) runs: u64,
    /// The page from which on nothing was asked for because the runs were used up.
    pub(crate) rest: Option<u64>,
}

/// The device that `file` is on, or is.
pub(crate) fn device_of(file: &File) -> Device {
    let (requests, rotational) = page_cache::queue_of(file);
    Device {
        requests,
        rotational,
    }
}

/// Whether all pages of `bitmap`, of which the first is page 0, are cached, or are being read.
pub(crate) fn is_cached(file: page_cache::Mapping<'_>, bitmap: Bitmap<'_>) -> bool {
    bitmap
        .runs()
        .all(|(first, pages)| file.is_cached(first as u64, pages as u64))
}

/// What is asked for of a file.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// The pages.
    pub(crate) bitmap: Bitmap<'a>,
    /// The page of the file that the first bit stands for.
    pub(crate) first_page: u64,
    /// The pages from here on are asked for first, if the device takes many requests at once. One
    /// that serves them singly takes them in the order in which they lie.
    pub(crate) data_page: u64,
    /// When its parts are needed.
    pub(crate) turns: Turns,
    /// What of them.
    pub(crate) part: Part,
}

/// Asks for those pages of a wish that are not cached, and does not wait, until it `is_over`. `budget`
/// becomes less.
pub(crate) fn run(
    file: &File,
    wish: &Wish<'_>,
    budget: &mut Budget<'_>,
    is_over: impl Fn() -> bool,
) -> Outcome {
    let inode = Inode::of(file);
    let device = device_of(file);
    let pages = inode.size().div_ceil(PAGE_SIZE as u64);
    let data_page = match device.serves_singly() {
        true => 0,
        false => wish.data_page,
    };
    let limits = Limits {
        gap_pages: match sysctl::gap_pages() {
            0 => device.gap_pages(),
            pages => pages,
        },
        max_pages: budget.pages.left(),
        file_pages: pages,
    };
    let mapping = page_cache::Mapping::of(file);
    let longest = page_cache::will_need_limit(file);
    let mut outcome = Outcome::default();
    page_cache::plugged(|| {
        let parts = plan::in_order(pages, data_page, &wish.turns, wish.part);
        let runs = parts.flat_map(|part| {
            let limits = Limits {
                file_pages: part.end,
                ..limits
            };
            Plan::new(wish.bitmap, wish.first_page, limits).starting_at(part.start)
        });
        for run in runs {
            let left = u64::from(budget.pages.left());
            if left == 0 {
                break;
            }
            // What comes is paid for, not only what is named.
            let (first, pages) = page_cache::whole(run.first, run.pages.into());
            let mut pages = pages.min(left);
            if mapping.is_cached(first, pages) {
                outcome.wanted = outcome.wanted.saturating_add(u64::from(run.wanted));
                outcome.cached = outcome.cached.saturating_add(pages);
                continue;
            }
            if budget.runs == 0 {
                outcome.rest = Some(run.first);
                break;
            }
            pages = budget.pages.take(pages);
            outcome.wanted = outcome.wanted.saturating_add(u64::from(run.wanted));
            let cached = mapping.cached(first, pages).min(pages);
            outcome.cached = outcome.cached.saturating_add(cached);
            outcome.asked = outcome.asked.saturating_add(pages.saturating_sub(cached));
            outcome.runs = outcome.runs.saturating_add(1);
            budget.runs = budget.runs.saturating_sub(1);
            if ask(file, first, pages, longest, &is_over).is_err() {
                // What one run may not, the next one may not either.
                break;
            }
        }
    });
    Counter::PagesWanted.add(outcome.wanted);
    Counter::PagesCached.add(outcome.cached);
    Counter::PagesRead.add(outcome.asked);
    Counter::Runs.add(outcome.runs);
    trace::prefetch(
        inode.identity(),
        outcome.wanted,
        outcome.cached,
        outcome.asked,
        outcome.runs,
    );
    outcome
}

/// Asks for one run, in parts that the kernel does not cut. Each may wait, for memory, or because a
/// control group has more than it ought to.
fn ask(file: &File, first: u64, pages: u64, longest: u64, is_over: &impl Fn() -> bool) -> Result {
    let end = first.saturating_add(pages);
    let mut next = first;
    while next < end {
        if is_over() {
            return Err(EINTR);
        }
        let part = longest.min(end.saturating_sub(next)).max(1);
        page_cache::will_need(file, next, part)?;
        next = next.saturating_add(part);
    }
    Ok(())
}
