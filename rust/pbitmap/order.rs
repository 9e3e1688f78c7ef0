// SPDX-License-Identifier: GPL-2.0

//! In which order a program needed its pages: what gives each part of a file its turn.
//!
//! Each page fault of a recorded program is followed up, see [`mapper`](super::mapper), and its
//! address is noted here. That tells when a page was touched first, as exactly as the kernel lets
//! one see, which maps what is cached around it as well. Only a start for which nothing was read
//! ahead, let alone mapped, shows the order; whether it is warm or cold does not matter.

use super::{
    format::{
        bitmap::Bitmap,
        turns::{
            Turns,
            PARTS,
            TURNS, //
        },
    },
    sys::mm::Area,
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex, //
};

/// Page faults that are noted of one start.
const MAX_FAULTS: usize = 16384;

/// Pages that are told apart: what the kernel maps around a fault. A word of a bitmap is four times
/// that.
pub(crate) const AROUND: u64 = 16;

/// The addresses of the page faults of one start, in their order.
#[pin_data]
pub(crate) struct FaultLog {
    #[pin]
    addresses: Mutex<KVVec<usize>>,
}

impl FaultLog {
    /// Of a program that has not started.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { addresses <- new_mutex!(KVVec::new()) })
    }

    /// Notes one more. Without memory it is not noted.
    pub(crate) fn note(&self, address: usize) {
        let mut addresses = self.addresses.lock();
        if addresses.len() < MAX_FAULTS {
            let _ = addresses.push(address, GFP_KERNEL_ACCOUNT);
        }
    }

    /// When the pages of files were needed first, of each of which so many as its place in `files`
    /// says are recorded; `file_of` says which of them an area is of. The clock counts faults, and
    /// begins at 1.
    pub(crate) fn firsts(
        &self,
        areas: &[Area],
        files: impl ExactSizeIterator<Item = usize>,
        file_of: impl Fn(&Area) -> Option<usize>,
    ) -> Result<KVVec<Firsts>> {
        let mut indexes = KVVec::with_capacity(areas.len(), GFP_KERNEL)?;
        for area in areas {
            indexes.push(file_of(area), GFP_KERNEL)?;
        }
        let mut firsts = KVVec::with_capacity(files.len(), GFP_KERNEL)?;
        for pages in files {
            firsts.push(Firsts::new(pages), GFP_KERNEL)?;
        }
        let addresses = self.addresses.lock();
        let mut clock = 0u32;
        for address in addresses.iter() {
            clock = clock.saturating_add(1);
            let index = areas.partition_point(|area| area.span().end <= *address);
            let area = areas
                .get(index)
                .filter(|area| area.span().start <= *address);
            let file = indexes.get(index).copied().flatten();
            let (Some(area), Some(file)) = (area, file) else {
                continue;
            };
            if let Some(first) = firsts.get_mut(file) {
                first.note(area.span().page_at(*address), clock)?;
            }
        }
        Ok(firsts)
    }
}

/// When the pages of one file were needed first, by the clock; 0 for those that nobody saw.
pub(crate) struct Firsts {
    clocks: KVVec<u32>,
    pages: usize,
}

impl Firsts {
    fn new(pages: usize) -> Self {
        Self {
            clocks: KVVec::new(),
            pages,
        }
    }

    /// Notes a fault on `page`. It may lie anywhere: what is mapped may be longer than the file, and
    /// the fault have failed.
    fn note(&mut self, page: u64, clock: u32) -> Result {
        let Some(page) = usize::try_from(page).ok().filter(|page| *page < self.pages) else {
            return Ok(());
        };
        let index = page / AROUND as usize;
        if index >= self.clocks.len() {
            self.clocks.resize(index.saturating_add(1), 0, GFP_KERNEL)?;
        }
        if let Some(first) = self.clocks.get_mut(index).filter(|first| **first == 0) {
            *first = clock;
        }
        Ok(())
    }

    /// Calls `each` with the clock and the pages of each part of `pages` that has any. What no fault
    /// was seen of came with what lies before it.
    fn each(&self, pages: Bitmap<'_>, mut each: impl FnMut(u32, usize, u64)) {
        let mut clock = u32::MAX;
        for index in 0..pages.len().div_ceil(AROUND as usize) {
            if let Some(first) = self.clocks.get(index).filter(|first| **first != 0) {
                clock = *first;
            }
            let shift = index % 4 * AROUND as usize;
            let set = pages.word(index / 4) >> shift & 0xffff;
            if set != 0 {
                each(clock, index, set);
            }
        }
    }
}

/// How many pages were needed when, and from that when a turn ends.
#[derive(Default)]
pub(crate) struct Order {
    needs: KVVec<(u32, u32)>,
    /// The last moment of each turn but the last.
    ends: [u32; TURNS as usize - 1],
}

impl Order {
    /// Counts the pages of a file.
    pub(crate) fn add(&mut self, firsts: &Firsts, pages: Bitmap<'_>) -> Result {
        let mut result = Ok(());
        firsts.each(pages, |clock, _, set| {
            if result.is_ok() {
                result = self.needs.push((clock, set.count_ones()), GFP_KERNEL);
            }
        });
        Ok(result?)
    }

    /// Counts a file that was read from `clock` on.
    pub(crate) fn add_read(&mut self, clock: u32, pages: Bitmap<'_>) -> Result {
        let count = u32::try_from(pages.count()).unwrap_or(u32::MAX);
        Ok(self.needs.push((clock, count), GFP_KERNEL)?)
    }

    /// Has each turn be about the same number of pages.
    pub(crate) fn end(&mut self) {
        self.needs.sort_unstable_by_key(|(clock, _)| *clock);
        let count = |need: &(u32, u32)| u64::from(need.1);
        let total = self.needs.iter().map(count).fold(0, u64::saturating_add);
        let mut sum = 0u64;
        let mut needs = self.needs.iter();
        for (turn, end) in self.ends.iter_mut().enumerate() {
            let part = total.saturating_mul(turn as u64 + 1) / u64::from(TURNS);
            while sum < part {
                let Some(need) = needs.next() else { break };
                sum = sum.saturating_add(count(need));
                *end = need.0;
            }
        }
    }

    fn turn(&self, clock: u32) -> u8 {
        self.ends.iter().filter(|end| clock > **end).count() as u8
    }

    /// When the parts of a file are needed: as half of their pages are.
    pub(crate) fn turns(&self, firsts: &Firsts, pages: Bitmap<'_>) -> Result<Turns> {
        let mut turns = Turns::new(pages.used_words().saturating_mul(64) as u64);
        let mut counts = KVec::from_elem([0u32; TURNS as usize], PARTS, GFP_KERNEL)?;
        firsts.each(pages, |clock, index, set| {
            let turn = usize::from(self.turn(clock));
            for bit in 0..AROUND {
                let part = turns.part_of(index as u64 * AROUND + bit);
                if let Some(count) = counts.get_mut(part).and_then(|part| part.get_mut(turn)) {
                    *count = count.saturating_add(u32::from(set >> bit & 1 != 0));
                }
            }
        });
        // A part without pages goes with the one before it, which takes less room.
        let mut last = TURNS - 1;
        for (part, counts) in counts.iter().enumerate() {
            last = median(counts).unwrap_or(last);
            turns.set(part, last);
        }
        Ok(turns)
    }

    /// The same of a file that was read from `clock` on.
    pub(crate) fn turns_of_read(&self, clock: u32, pages: Bitmap<'_>) -> Turns {
        let mut turns = Turns::new(pages.used_words().saturating_mul(64) as u64);
        let turn = self.turn(clock);
        for part in 0..PARTS {
            turns.set(part, turn);
        }
        turns
    }
}

/// The turn in which half of these pages are needed; [`None`] if there are none.
fn median(counts: &[u32; TURNS as usize]) -> Option<u8> {
    let half = counts.iter().sum::<u32>().div_ceil(2);
    let mut sum = 0u32;
    let turn = counts.iter().position(|count| {
        sum = sum.saturating_add(*count);
        half != 0 && sum >= half
    });
    turn.map(|turn| turn as u8)
}
