// SPDX-License-Identifier: GPL-2.0

//! How the recordings of several runs become what is prefetched.

use super::super::format::{
    bitmap::Bitmap,
    slot::File,
    MAX_PLANES, //
};

/// How a recording and those before it are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Merge {
    /// Only the last one.
    Replace,
    /// All of them, as one.
    Or,
    /// The last few, each in a plane of its own, so that what is not used any more is forgotten.
    Age,
}

/// Of several recordings a page must be in so many; of one or two, in one.
pub const AGE_SEEN: u32 = 2;

/// The pages to prefetch of a file.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    planes: [Option<Bitmap<'a>>; MAX_PLANES],
    count: usize,
    pages: usize,
    seen: u32,
}

impl<'a> Wanted<'a> {
    /// What is wanted of `file`, in a profile to which `runs` recordings went.
    pub fn new(file: &File<'a>, runs: u32) -> Self {
        let runs = usize::try_from(runs).unwrap_or(usize::MAX);
        let count = usize::from(file.record.plane_count)
            .min(MAX_PLANES)
            .min(runs);
        let mut planes = [None; MAX_PLANES];
        for (index, plane) in planes.iter_mut().take(count).enumerate() {
            *plane = file.plane(index);
        }
        Self {
            planes,
            count,
            pages: file.record.page_count as usize,
            seen: if count > 2 { AGE_SEEN } else { 1 },
        }
    }

    /// How many pages there are to tell about.
    pub fn len(&self) -> usize {
        self.pages
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pages == 0
    }

    /// The pages from `64 * index` on, the first in the lowest bit.
    pub fn word(&self, index: usize) -> u64 {
        let words = self
            .planes
            .iter()
            .take(self.count)
            .flatten()
            .map(|plane| plane.word(index));
        let mut once = 0;
        let mut twice = 0;
        for word in words {
            twice |= once & word;
            once |= word;
        }
        if self.seen > 1 {
            twice
        } else {
            once
        }
    }
}
