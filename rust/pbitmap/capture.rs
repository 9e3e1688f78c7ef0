// SPDX-License-Identifier: GPL-2.0

//! From page tables to a bitmap.
//!
//! A page counts if it has an entry in the page tables: mapped for reading or writing, or written
//! and swapped out since. Private pages that were written count, for they were read before.
//! Fault-around maps more than is touched, so that a recording has about twice the touched pages.

use super::{
    pages::Pages,
    sys::mm::Dying, //
};
use kernel::{
    alloc::AllocError,
    fs::File,
    prelude::*, //
};

/// The pages of `file` that are mapped in `mm`, of its first `count` pages.
pub(crate) fn executable(mm: &Dying, file: &File, count: usize) -> Result<Pages, AllocError> {
    let mut pages = Pages::empty(count)?;
    mm.mark_mapped(file, pages.words_mut());
    Ok(pages)
}
