// SPDX-License-Identifier: GPL-2.0

//! From several recordings to the pages that are worth having in memory.

use super::super::format::slot::File;

/// With more than two recordings, a page must be in so many of them to be prefetched.
pub const AGE_SEEN: usize = 2;

/// What becomes of the recordings that are there when a new one is stored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Merge {
    /// They are forgotten.
    Replace,
    /// The pages of all of them are kept, in one plane.
    Or,
    /// The last ones are kept, a plane for each, and the oldest is forgotten.
    #[default]
    Age,
}

impl Merge {
    /// The way that `vm.pbitmap_merge` calls by this number.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Replace),
            1 => Some(Self::Or),
            2 => Some(Self::Age),
            _ => None,
        }
    }
}

/// The pages of a file that are worth prefetching: a bitmap that is computed a word at a time.
///
/// Of a file with one or two recordings these are all pages, of one with more those that are in at
/// least [`AGE_SEEN`] of them.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    planes: Planes<'a>,
    /// If there are any, only pages that are in these too.
    other: Option<Planes<'a>>,
    len: usize,
}

impl<'a> Wanted<'a> {
    /// The pages of `file`, which is in a profile of `runs` recordings.
    pub fn new(file: &File<'a>, runs: u32) -> Self {
        let planes = Planes::new(file, runs);
        Self {
            planes,
            other: None,
            len: planes.len,
        }
    }

    /// The pages that are wanted in both.
    pub(super) fn and(self, other: &Self) -> Self {
        Self {
            planes: self.planes,
            other: Some(other.planes),
            len: self.len.min(other.len),
        }
    }

    /// How many pages there are, wanted or not.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no pages at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Word `index`, the lowest page first.
    #[inline]
    pub fn word(&self, index: usize) -> u64 {
        let word = self.planes.word(index);
        match &self.other {
            Some(other) if word != 0 => word & other.word(index),
            _ => word,
        }
    }

    /// How many pages are wanted.
    pub fn count(&self) -> usize {
        (0..self.len.div_ceil(64))
            .map(|index| self.word(index).count_ones() as usize)
            .fold(0, usize::saturating_add)
    }

    /// Writes the bitmap to `out`, of which all bytes are overwritten; what does not fit is left
    /// out.
    pub fn write(&self, out: &mut [u8]) {
        for (index, bytes) in out.chunks_mut(8).enumerate() {
            for (to, from) in bytes.iter_mut().zip(self.word(index).to_le_bytes()) {
                *to = from;
            }
        }
    }
}

/// The planes of one file that count.
#[derive(Clone, Copy, Debug)]
struct Planes<'a> {
    /// At least as many whole planes as are valid.
    bytes: &'a [u8],
    /// Bytes of a plane, at least 8.
    stride: usize,
    /// Bits in a plane.
    len: usize,
    valid: usize,
}

impl<'a> Planes<'a> {
    fn new(file: &File<'a>, runs: u32) -> Self {
        let runs = usize::try_from(runs).unwrap_or(usize::MAX);
        let valid = usize::from(file.record.plane_count).min(runs.max(1));
        // Without planes there is not a byte of them.
        let stride = usize::try_from(file.record.plane_stride).unwrap_or(usize::MAX);
        let len = file.plane(0).map_or(0, |plane| plane.len());
        Self {
            bytes: file.planes(),
            stride: stride.max(8),
            len,
            valid,
        }
    }

    #[inline]
    fn word(&self, index: usize) -> u64 {
        let start = index.saturating_mul(8);
        let mask = match self.len.saturating_sub(index.saturating_mul(64)) {
            0 => return 0,
            bits @ 1..64 => !(u64::MAX << bits),
            _ => u64::MAX,
        };
        // Level `n` has the pages that are in more than `n` planes.
        let mut levels = [0; AGE_SEEN];
        for plane in self.bytes.chunks_exact(self.stride).take(self.valid) {
            let bytes = plane.get(start..).and_then(|bytes| bytes.first_chunk());
            let mut word = bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
            for level in &mut levels {
                let again = *level & word;
                *level |= word;
                word = again;
            }
        }
        let [any, .., often] = levels;
        mask & if self.valid <= AGE_SEEN { any } else { often }
    }
}
