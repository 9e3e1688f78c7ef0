// SPDX-License-Identifier: GPL-2.0

//! When a program that gains nothing is left alone, and when it is tried again.

/// What is worth doing at a start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Advice {
    /// Have the pages read and mapped.
    pub prefetch: bool,
    /// Record, also if all that is wanted is in memory.
    pub record_if_cached: bool,
}

impl Default for Advice {
    fn default() -> Self {
        Self {
            prefetch: true,
            record_if_cached: true,
        }
    }
}

/// Fewer pages than these are never worth a thought.
const FEW_PAGES: u64 = 16;

/// After so many starts in a row that found all in memory and nothing new, fewer are recorded.
const CALM: u8 = 8;

/// Then one of so many is recorded.
const CALM_PERIOD: u8 = 8;

/// After wasteful starts 1, 3, 7, ... up to this many starts are not prefetched.
const MOST_SKIPPED: u8 = 63;

/// What the last starts of a program were like.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Backoff {
    /// Starts that will not be prefetched.
    skip: u8,
    /// How many those were the last time.
    skipped: u8,
    /// Starts in a row that found all in memory and nothing new.
    calm: u8,
    /// Starts since the last one that was recorded although all was in memory.
    unrecorded: u8,
}

impl Backoff {
    /// What to do at the start that comes now.
    pub fn advise(&mut self) -> Advice {
        let prefetch = self.skip == 0;
        self.skip = self.skip.saturating_sub(1);
        let mut record_if_cached = true;
        if self.calm >= CALM {
            self.unrecorded = self.unrecorded.saturating_add(1);
            record_if_cached = self.unrecorded >= CALM_PERIOD;
            if record_if_cached {
                self.unrecorded = 0;
            }
        }
        Advice {
            prefetch,
            record_if_cached,
        }
    }

    /// A start was recorded: of `wanted` pages `hits` were touched, and `read` were not in memory.
    pub fn finished(&mut self, wanted: u64, hits: u64, read: u64) {
        if read != 0 {
            self.calm = 0;
        }
        if wanted < FEW_PAGES {
            return;
        }
        if hits.saturating_mul(2) >= wanted {
            self.skip = 0;
            self.skipped = 0;
        } else if self.skip == 0 {
            self.skipped = self
                .skipped
                .saturating_mul(2)
                .saturating_add(1)
                .min(MOST_SKIPPED);
            self.skip = self.skipped;
        }
    }

    /// Whether that start had nothing new.
    pub fn unchanged(&mut self, unchanged: bool) {
        if unchanged {
            self.calm = self.calm.saturating_add(1);
        } else {
            self.calm = 0;
        }
    }

    /// Starts that will not be prefetched.
    pub fn left(&self) -> u8 {
        self.skip
    }
}
