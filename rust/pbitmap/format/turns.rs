// SPDX-License-Identifier: GPL-2.0

//! When the parts of a file are needed: in which quarter of what a start needs.
//!
//! A device that serves many requests at once answers them in the order in which they come. So a
//! program that computes meanwhile goes on early if what it needs first is asked for first. Exactly
//! when each page was needed is not worth its room: a file is 92 parts of the same size, each of
//! which has one of four turns.

use core::ops::Range;

/// How many turns there are.
pub const TURNS: u8 = 4;

/// Bytes that they take.
pub const SIZE: usize = 24;

/// Parts of a file.
pub const PARTS: usize = (SIZE - 1) * 4;

/// The largest size of a part, as a power of two: with it the parts are more than a file can have.
const MAX_SHIFT: u8 = 31;

/// The turns of the parts of one file.
///
/// The first byte is one more than the power of two that is the pages of a part, or 0 if nothing is
/// known. Four parts follow in each byte, the first one in its lowest bits. What lies behind them
/// has the last turn. All bytes mean something, so that none need be refused.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Turns([u8; SIZE]);

impl Turns {
    /// Those of a file whose first `pages` pages matter: the last one for all parts.
    pub fn new(pages: u64) -> Self {
        let mut shift = 0u8;
        while shift < MAX_SHIFT && pages.div_ceil(1 << shift) > PARTS as u64 {
            shift = shift.saturating_add(1);
        }
        let mut bytes = [u8::MAX; SIZE];
        if let Some(first) = bytes.first_mut() {
            *first = shift.saturating_add(1);
        }
        Self(bytes)
    }

    /// What is stored.
    pub const fn from_bytes(bytes: [u8; SIZE]) -> Self {
        Self(bytes)
    }

    /// What to store.
    pub const fn bytes(&self) -> [u8; SIZE] {
        self.0
    }

    /// Whether anything is known.
    pub fn are_known(&self) -> bool {
        self.0.first().is_some_and(|first| *first != 0)
    }

    fn shift(&self) -> u32 {
        let first = self.0.first().copied().unwrap_or(0);
        u32::from(first.saturating_sub(1).min(MAX_SHIFT))
    }

    /// The part that a page is in, which may be past the last.
    pub fn part_of(&self, page: u64) -> usize {
        usize::try_from(page >> self.shift()).unwrap_or(usize::MAX)
    }

    /// The turn of a part.
    pub fn turn(&self, part: usize) -> u8 {
        let (index, at) = place(part);
        match self.0.get(index) {
            Some(byte) => byte.checked_shr(at).unwrap_or(0) % TURNS,
            None => TURNS - 1,
        }
    }

    /// Gives a part its turn.
    pub fn set(&mut self, part: usize, turn: u8) {
        let (index, at) = place(part);
        if let Some(byte) = self.0.get_mut(index) {
            let others = !3u8.checked_shl(at).unwrap_or(0);
            let own = (turn % TURNS).checked_shl(at).unwrap_or(0);
            *byte = (*byte & others) | own;
        }
    }

    /// The pages that have this turn, of a file that has `pages`: ranges in ascending order.
    pub fn ranges(&self, turn: u8, pages: u64) -> Ranges<'_> {
        Ranges {
            turns: self,
            turn,
            pages,
            part: 0,
        }
    }
}

/// The byte that a part is in, and at which bit.
const fn place(part: usize) -> (usize, u32) {
    let at = (part % 4).saturating_mul(2);
    ((part / 4).saturating_add(1), at as u32)
}

/// Iterator of [`Turns::ranges`].
#[derive(Clone, Debug)]
pub struct Ranges<'a> {
    turns: &'a Turns,
    turn: u8,
    pages: u64,
    part: usize,
}

impl Iterator for Ranges<'_> {
    type Item = Range<u64>;

    fn next(&mut self) -> Option<Range<u64>> {
        let shift = self.turns.shift();
        let start_of = |part: usize| (part as u64) << shift;
        while self.part <= PARTS && start_of(self.part) < self.pages {
            let first = self.part;
            self.part = first.saturating_add(1);
            if self.turns.turn(first) != self.turn {
                continue;
            }
            while self.part <= PARTS && self.turns.turn(self.part) == self.turn {
                self.part = self.part.saturating_add(1);
            }
            let end = match self.part > PARTS {
                true => self.pages,
                false => start_of(self.part).min(self.pages),
            };
            return Some(start_of(first)..end);
        }
        None
    }
}
