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
    alloc::AllocError,
    prelude::*,
    transmute::AsBytes, //
};

// What is recorded and what is read is counted in pages of the format.
const _: () = assert!(sys::PAGE_SIZE == format::PAGE_SIZE as usize);

// The bytes of the words are taken for the bytes of a stored plane.
const _: () = assert!(cfg!(target_endian = "little"));

/// Pages of a file.
pub(crate) struct Pages {
    words: KVVec<u64>,
    count: usize,
}

impl Pages {
    /// None of `count` pages.
    pub(crate) fn empty(count: usize) -> Result<Self, AllocError> {
        let words = KVVec::from_elem(0, count.div_ceil(u64::BITS as usize), GFP_KERNEL)?;
        Ok(Self { words, count })
    }

    /// The words, the lowest page in the lowest bit of the first.
    pub(crate) fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
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
