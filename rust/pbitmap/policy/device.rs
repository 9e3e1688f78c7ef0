// SPDX-License-Identifier: GPL-2.0

//! What the device under a file asks for: how large a hole is worth reading, and who reads.

/// A block device, as far as it matters for reading ahead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Device {
    /// Requests that it takes before it has served one; [`None`] if nobody knows.
    pub requests: Option<u32>,
    /// It says that it rotates. So does virtio's driver, which is not told.
    pub rotational: bool,
}

/// Runs that are asked for inline if the device does not say how many requests it takes.
const INLINE_RUNS: u32 = 32;

/// A device that takes no more than so many requests serves one at a time: a scheduler doubles what
/// the hardware takes.
const FEW_REQUESTS: u32 = 2;

/// No device that rotates takes more requests than a disk with a command queue and a scheduler.
const MOST_REQUESTS: u32 = 64;

/// Holes worth reading, in pages, by `make bench`: 0.3 ms a request, then 8 ms. A disk that rotates
/// reads 240 pages in the time of a seek; with more than this, little is gained, and memory is
/// filled with what nobody needs.
const GAP_SINGLE: u32 = 8;
const GAP_ROTATIONAL: u32 = 96;

/// A start that wants more pages, and so many of each of its files in the mean, waits for a device
/// that serves one request at a time, whatever it gets first. With more files it has more to do
/// itself meanwhile.
const MANY_PAGES: u64 = 10240;
const MANY_OF_A_FILE: u64 = 256;

impl Device {
    /// Whether a request waits for the one before it, so that each of them costs.
    pub fn serves_singly(self) -> bool {
        self.rotates() || self.takes_at_most(FEW_REQUESTS)
    }

    /// Whether it goes from one place to the next for each request. Then what a program maps is best
    /// asked for by exec, in the order in which it lies: a program that runs meanwhile, and needs
    /// something in between, would have it go there and back.
    pub fn rotates(self) -> bool {
        self.rotational && self.takes_at_most(MOST_REQUESTS)
    }

    /// Whether the `pages` of the `files` that a start wants are best asked for by exec, in the
    /// order in which they lie and so in the fewest requests; or else what is needed first, and the
    /// rest beside the program.
    pub fn gets_all_at_exec(self, pages: u64, files: u64) -> bool {
        let is_bound = pages > MANY_PAGES && pages > files.saturating_mul(MANY_OF_A_FILE);
        self.rotates() || self.serves_singly() && is_bound
    }

    fn takes_at_most(self, most: u32) -> bool {
        self.requests.is_some_and(|requests| requests <= most)
    }

    /// A hole of so many pages costs less than another request.
    pub fn gap_pages(self) -> u32 {
        if self.rotates() {
            GAP_ROTATIONAL
        } else if self.serves_singly() {
            GAP_SINGLE
        } else {
            0
        }
    }

    /// Runs of what is needed first that exec asks for itself, if others are for threads beside the
    /// program: those that leave half of the device's queue. Where there is none, what is not asked
    /// for now waits behind what is asked for later.
    pub fn inline_runs(self) -> u32 {
        if self.serves_singly() {
            return u32::MAX;
        }
        self.requests.map_or(INLINE_RUNS, |requests| requests / 2)
    }
}
