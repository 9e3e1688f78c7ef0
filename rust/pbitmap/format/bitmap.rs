// SPDX-License-Identifier: GPL-2.0

//! A bitmap over bytes, read a 64-bit word at a time.

/// Bits in a word.
const WORD: usize = 64;

/// A bitmap over borrowed bytes: bit `b` of byte `n` is bit `8 * n + b`.
#[derive(Clone, Copy, Debug)]
pub struct Bitmap<'a> {
    bytes: &'a [u8],
    len: usize,
}

impl<'a> Bitmap<'a> {
    /// The first `len` bits of `bytes`, or as many as there are.
    pub fn new(bytes: &'a [u8], len: usize) -> Self {
        let len = len.min(bytes.len().saturating_mul(8));
        // Whole words if there are any, which are faster to read than single bytes.
        let words = len.div_ceil(WORD).saturating_mul(8);
        let bytes = bytes.get(..words).unwrap_or(bytes);
        Self { bytes, len }
    }

    /// How many bits there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bits at all.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes, up to a whole word if there are that many; bits past the end may be set.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether bit `bit` is set; bits past the end are clear.
    pub fn get(&self, bit: usize) -> bool {
        bit < self.len
            && self
                .bytes
                .get(bit / 8)
                .is_some_and(|byte| byte & mask(bit) != 0)
    }

    /// How many bits are set.
    pub fn count(&self) -> usize {
        (0..self.len.div_ceil(WORD))
            .map(|index| self.word(index).count_ones() as usize)
            .fold(0, usize::saturating_add)
    }

    /// Word `index`, the lowest bit first; bits past the end are clear.
    pub fn word(&self, index: usize) -> u64 {
        self.word_from(index.saturating_mul(WORD))
    }

    /// The word that starts at bit `base`, a multiple of 64.
    #[inline]
    fn word_from(&self, base: usize) -> u64 {
        let bytes = self.bytes.get(base / 8..).unwrap_or_default();
        let word = match bytes.first_chunk() {
            Some(bytes) => u64::from_le_bytes(*bytes),
            None => partial_word(bytes),
        };
        word & below(self.len.saturating_sub(base))
    }

    /// How many words there are up to the last one with a set bit.
    pub fn used_words(&self) -> usize {
        (0..self.len.div_ceil(WORD))
            .rev()
            .find(|index| self.word(*index) != 0)
            .map_or(0, |index| index.saturating_add(1))
    }

    /// The first set bit at or after `from`.
    pub fn next_set(&self, from: usize) -> Option<usize> {
        let mut base = base_of(from);
        let mut word = self.word_from(base) & !below(from % WORD);
        while word == 0 {
            base = base.saturating_add(WORD);
            if base >= self.len {
                return None;
            }
            word = self.word_from(base);
        }
        Some(base.saturating_add(word.trailing_zeros() as usize))
    }

    /// The first clear bit at or after `from`; the length if there is none.
    pub fn next_clear(&self, from: usize) -> usize {
        let mut base = base_of(from);
        let mut word = self.word_from(base) | below(from % WORD);
        while word == u64::MAX {
            base = base.saturating_add(WORD);
            if base >= self.len {
                return self.len;
            }
            word = self.word_from(base);
        }
        let bit = base.saturating_add(word.trailing_ones() as usize);
        bit.min(self.len)
    }

    /// The runs of set bits, in ascending order, as `(first bit, length)`.
    pub fn runs(&self) -> Runs<'a> {
        Runs {
            bitmap: *self,
            base: 0,
            word: self.word_from(0),
        }
    }

    /// Whether the same bits are set in both; a missing bit is a clear one.
    pub fn same_bits(&self, other: &Bitmap<'_>) -> bool {
        (0..self.len.max(other.len).div_ceil(WORD))
            .all(|index| self.word(index) == other.word(index))
    }
}

/// Iterator of [`Bitmap::runs`].
#[derive(Clone, Debug)]
pub struct Runs<'a> {
    bitmap: Bitmap<'a>,
    /// The first bit of the word that is looked at.
    base: usize,
    /// Its bits that were not yet reported.
    word: u64,
}

impl Runs<'_> {
    /// Goes on to the next word; [`None`] if that was the last one.
    #[inline]
    fn advance(&mut self) -> Option<()> {
        let base = self.base.saturating_add(WORD);
        if base >= self.bitmap.len {
            self.word = 0;
            return None;
        }
        self.base = base;
        self.word = self.bitmap.word_from(base);
        Some(())
    }
}

impl Iterator for Runs<'_> {
    type Item = (usize, usize);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.word == 0 {
            self.advance()?;
        }
        let start = self.word.trailing_zeros() as usize;
        let first = self.base.saturating_add(start);
        // As if the run began at bit 0, so that its end is where the ones end.
        let mut ones = self.word | below(start);
        while ones == u64::MAX {
            if self.advance().is_none() {
                return Some((first, self.bitmap.len.saturating_sub(first)));
            }
            ones = self.word;
        }
        let end = ones.trailing_ones() as usize;
        self.word &= !below(end);
        let end = self.base.saturating_add(end);
        Some((first, end.saturating_sub(first)))
    }
}

/// Sets bit `bit` of `bytes`; false if it lies outside.
pub fn set(bytes: &mut [u8], bit: usize) -> bool {
    match bytes.get_mut(bit / 8) {
        Some(byte) => {
            *byte |= mask(bit);
            true
        }
        None => false,
    }
}

/// Sets `count` bits of `bytes` from `first` on, those of them that exist.
pub fn set_range(bytes: &mut [u8], first: usize, count: usize) {
    let end = first
        .saturating_add(count)
        .min(bytes.len().saturating_mul(8));
    let mut bit = first;
    while bit < end {
        if bit % 8 == 0 && end.saturating_sub(bit) >= 8 {
            let whole = bytes.get_mut(bit / 8..end / 8).unwrap_or_default();
            whole.fill(0xff);
            bit = bit.saturating_add(whole.len().saturating_mul(8));
        } else {
            set(bytes, bit);
            bit = bit.saturating_add(1);
        }
    }
}

/// Clears the bits of `bytes` from `len` on.
pub fn clear_from(bytes: &mut [u8], len: usize) {
    if let Some(byte) = bytes.get_mut(len / 8) {
        *byte &= !(u8::MAX << (len % 8));
    }
    if let Some(rest) = bytes.get_mut((len / 8).saturating_add(1)..) {
        rest.fill(0);
    }
}

/// The mask of bit `bit` in its byte.
const fn mask(bit: usize) -> u8 {
    1 << (bit % 8)
}

/// The first bit of the word that bit `bit` is in.
#[inline]
const fn base_of(bit: usize) -> usize {
    bit.saturating_sub(bit % WORD)
}

/// The word that fewer than eight bytes make.
#[cold]
fn partial_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_le_bytes(word)
}

/// A word in which the lowest `bits` bits are set; all of them from 64 on.
#[inline]
fn below(bits: usize) -> u64 {
    if bits < WORD {
        !(u64::MAX << (bits % WORD))
    } else {
        u64::MAX
    }
}
