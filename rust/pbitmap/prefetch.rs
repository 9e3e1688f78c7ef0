// SPDX-License-Identifier: GPL-2.0

//! A plan becomes page-cache reads.

use super::{
    format::bitmap::Bitmap,
    policy::plan::{
        Limits,
        Plan, //
    },
    stats::Counter,
    sys::{
        file::Inode,
        page_cache,
        trace, //
    },
    sysctl,
};
use kernel::{
    fs::File,
    prelude::*, //
};

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
}

/// The limits of a plan for a file of `size` bytes, with gaps of `gap_pages` filled.
pub(crate) fn limits(size: u64, gap_pages: u32) -> Limits {
    Limits {
        gap_pages,
        max_pages: sysctl::max_pages(),
        file_pages: size.div_ceil(kernel::page::PAGE_SIZE as u64),
    }
}

/// Asks for the pages of `bitmap` that are not cached, in ascending order, and does not wait.
pub(crate) fn run(file: &File, inode: &Inode, bitmap: Bitmap<'_>) -> Outcome {
    let plan = Plan::new(bitmap, 0, limits(inode.size(), sysctl::gap_pages()));
    let longest = page_cache::will_need_limit(file);
    let mut outcome = Outcome::default();
    page_cache::plugged(|| {
        for run in plan {
            let pages = u64::from(run.pages);
            outcome.wanted = outcome.wanted.saturating_add(u64::from(run.wanted));
            if page_cache::is_cached(file, run.first, pages) {
                outcome.cached = outcome.cached.saturating_add(pages);
                continue;
            }
            let cached = page_cache::cached(file, run.first, pages).min(pages);
            outcome.cached = outcome.cached.saturating_add(cached);
            outcome.asked = outcome.asked.saturating_add(pages.saturating_sub(cached));
            outcome.runs = outcome.runs.saturating_add(1);
            if ask(file, run.first, pages, longest).is_err() {
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
