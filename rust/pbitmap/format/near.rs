// SPDX-License-Identifier: GPL-2.0

//! Looking for the files of one list in another that has mostly the same ones in the same order.
//!
//! A program may have a thousand files: comparing each with each takes longer than reading its
//! page tables, at its exit. Nothing is allocated.

use super::slot::is_same_path;

/// A list whose items are mostly asked for in its own order: each is looked for from where the last
/// one was found.
#[derive(Clone)]
pub struct Near<I> {
    all: I,
    rest: I,
}

impl<I: Iterator + Clone> Near<I> {
    /// Looks in `all`.
    pub fn new(all: I) -> Self {
        let rest = all.clone();
        Self { all, rest }
    }

    /// The next item after the last one found that `is_it`, or else the first one.
    pub fn find(&mut self, is_it: impl Fn(&I::Item) -> bool) -> Option<I::Item> {
        let mut rest = self.rest.clone();
        let mut found = rest.find(&is_it);
        if found.is_none() {
            rest = self.all.clone();
            found = rest.find(&is_it);
        }
        if found.is_some() {
            self.rest = rest;
        }
        found
    }
}

/// Whether no two of these paths are the same. Empty ones do not count.
///
/// Most are told apart by two bits that their hash chooses; only where both are taken already, the
/// path is compared with those before it (Bloom, 1970).
pub(super) fn are_distinct<'p>(paths: impl Iterator<Item = &'p [u8]> + Clone) -> bool {
    let mut taken = [0u64; 1 << (HASH_BITS - u64::BITS.ilog2())];
    for (index, path) in paths.clone().enumerate() {
        let is_taken = hashes_of(path).into_iter().fold(true, |all, hash| {
            let word = taken.get_mut((hash / u64::BITS) as usize);
            let bit = 1u64 << (hash % u64::BITS);
            all & word.is_none_or(|word| {
                let before = *word;
                *word |= bit;
                before & bit != 0
            })
        });
        let mut before = paths.clone().take(index);
        if is_taken && !path.is_empty() && before.any(|other| is_same_path(other, path)) {
            return false;
        }
    }
    true
}

/// Half a KiB of bits, four for each of as many files as a profile may have: of the last of these one
/// in six is compared for nothing.
const HASH_BITS: u32 = 12;

/// Two numbers of [`HASH_BITS`] bits.
fn hashes_of(path: &[u8]) -> [u32; 2] {
    /// 2^64 divided by the golden ratio (Knuth): it spreads what differs in a few bits.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

    let mix = |hash: u64, chunk: &[u8; 8]| {
        (hash.rotate_left(29) ^ u64::from_le_bytes(*chunk)).wrapping_mul(SPREAD)
    };
    let mut hash = path.len() as u64;
    let mut rest = path;
    while let Some((chunk, after)) = rest.split_first_chunk() {
        hash = mix(hash, chunk);
        rest = after;
    }
    let last = path.last_chunk().unwrap_or(&[0; 8]);
    let hash = mix(hash, last);
    [hash, hash << HASH_BITS].map(|hash| (hash >> (u64::BITS - HASH_BITS)) as u32)
}
