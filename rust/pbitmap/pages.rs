// SPDX-License-Identifier: GPL-2.0

//! A bitmap of a file's pages in memory, one bit a page.

use super::{
    format::{
        self,
        bitmap::Bitmap, //
    },
    sys,
};
use kernel::{
    alloc::{
        AllocError,
        Flags, //
    },
    prelude::*,
    transmute::AsBytes, //
};

// What is recorded and what is read is counted in pages of the format.
const _: () = assert!(sys::PAGE_SIZE == format::PAGE_SIZE as usize);

// The bytes of the words are taken for the bytes of a stored plane.
const _: () = assert!(cfg!(target_endian = "little"));

/// Pages of a file.
#[derive(Default)]
pub(crate) struct Pages {
    words: KVVec<u64>,
    count: usize,
}

impl Pages {
    /// None of `count` pages.
    pub(crate) fn empty(count: usize) -> Result<Self, AllocError> {
        Self::none_of(count, GFP_KERNEL)
    }

    /// As [`Pages::empty`], at the cost of current's control group: for what is kept as long as a
    /// program runs. Not for one that exits, in whose place another would be killed.
    pub(crate) fn charged(count: usize) -> Result<Self, AllocError> {
        Self::none_of(count, GFP_KERNEL_ACCOUNT)
    }

    fn none_of(count: usize, flags: Flags) -> Result<Self, AllocError> {
        let words = KVVec::from_elem(0, count.div_ceil(u64::BITS as usize), flags)?;
        Ok(Self { words, count })
    }

    /// The words, the lowest page in the lowest bit of the first.
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Adds `pages` pages from `first` on, as far as there are so many; says how many are new.
    pub(crate) fn add(&mut self, first: u64, pages: u64) -> u64 {
        const WORD: u64 = u64::BITS as u64;
        let end = first.saturating_add(pages).min(self.count as u64);
        let mut new = 0u64;
        let mut at = first;
        while at < end {
            let bit = at % WORD;
            let part = end.saturating_sub(at).min(WORD.saturating_sub(bit));
            let mask = u64::MAX >> WORD.saturating_sub(part) << bit;
            let Some(word) = self.words.get_mut((at / WORD) as usize) else {
                break;
            };
            new = new.saturating_add((mask & !*word).count_ones().into());
            *word |= mask;
            at = at.saturating_add(part);
        }
        new
    }

    /// Adds what `other` has, as far as there are so many.
    pub(crate) fn add_all(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(other.words.iter()) {
            *word |= *more;
        }
    }

    /// The pages as a bitmap.
    pub(crate) fn bitmap(&self) -> Bitmap<'_> {
        Bitmap::new(self.as_bytes(), self.count)
    }

    /// The pages as the bytes of a plane.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        AsBytes::as_bytes(self.words.as_slice())
    }
}
