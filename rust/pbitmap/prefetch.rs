// SPDX-License-Identifier: GPL-2.0

//! A bitmap becomes page-cache reads of one open file.

use super::{
    format::bitmap::Bitmap,
    policy::{
        device::Device,
        plan::{
            Limits,
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
    prelude::*, //
};

/// What may still be asked for.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    /// Pages, filled gaps counted.
    pub(crate) pages: u32,
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

/// The device that `file` is on.
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

/// Asks for the pages of `bitmap`, of which the first is page `first_page` of the file, from page
/// `from` on that are not cached, in ascending order, and does not wait. `budget` becomes less.
pub(crate) fn run(
    file: &File,
    bitmap: Bitmap<'_>,
    first_page: u64,
    from: u64,
    budget: &mut Budget,
) -> Outcome {
    let inode = Inode::of(file);
    let limits = Limits {
        gap_pages: match sysctl::gap_pages() {
            0 => device_of(file).gap_pages(),
            pages => pages,
        },
        max_pages: budget.pages,
        file_pages: inode.size().div_ceil(PAGE_SIZE as u64),
    };
    let mapping = page_cache::Mapping::of(file);
    let longest = page_cache::will_need_limit(file);
    let mut outcome = Outcome::default();
    page_cache::plugged(|| {
        for run in Plan::new(bitmap, first_page, limits).starting_at(from) {
            let left = u64::from(budget.pages);
            if left == 0 {
                break;
            }
            // What comes is paid for, not only what is named.
            let (first, pages) = page_cache::whole(run.first, run.pages.into());
            let pages = pages.min(left);
            if mapping.is_cached(first, pages) {
                outcome.wanted = outcome.wanted.saturating_add(u64::from(run.wanted));
                outcome.cached = outcome.cached.saturating_add(pages);
                continue;
            }
            if budget.runs == 0 {
                outcome.rest = Some(run.first);
                break;
            }
            outcome.wanted = outcome.wanted.saturating_add(u64::from(run.wanted));
            let cached = mapping.cached(first, pages).min(pages);
            outcome.cached = outcome.cached.saturating_add(cached);
            outcome.asked = outcome.asked.saturating_add(pages.saturating_sub(cached));
            outcome.runs = outcome.runs.saturating_add(1);
            budget.runs = budget.runs.saturating_sub(1);
            budget.pages = u32::try_from(left.saturating_sub(pages)).unwrap_or(0);
            if ask(file, first, pages, longest).is_err() {
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

/// Asks for one run, in parts that the kernel does not cut.
fn ask(file: &File, first: u64, pages: u64, longest: u64) -> Result {
    let end = first.saturating_add(pages);
    let mut next = first;
    while next < end {
        let part = longest.min(end.saturating_sub(next)).max(1);
        page_cache::will_need(file, next, part)?;
        next = next.saturating_add(part);
    }
    Ok(())
}
