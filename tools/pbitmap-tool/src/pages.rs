// SPDX-License-Identifier: GPL-2.0

//! The pages of a file that the next start wants.

use pbitmap_core::{
    format::{
        bitmap::Bitmap,
        layout::FILE_EXECUTABLE,
        metadata::{part_of, PART_PAGES},
        slot::{File, Slot},
    },
    policy::{
        merge::Wanted,
        plan::{Limits, Plan},
    },
};
use serde::Serialize;

use crate::inspect::pages_of;

/// A bit for each page of a file.
#[derive(Clone, Debug, Default)]
pub struct Pages {
    bytes: Vec<u8>,
    /// How many bits there are.
    len: usize,
    /// The page that the first one stands for.
    first: u64,
    /// How many pages the file has, or the part of the device.
    pub total: u64,
}

/// The reads that the kernel would make of a bitmap.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Planned {
    /// Holes of so many pages are read as well.
    pub gap_pages: u32,
    /// How many reads.
    pub runs: u64,
    /// How many pages, holes counted.
    pub pages: u64,
}

impl Pages {
    /// The pages of `file` that are `wanted`.
    pub fn of(slot: &Slot<'_>, file: &File<'_>, wanted: &Wanted<'_>) -> Self {
        let mut bytes = vec![0; wanted.len().div_ceil(8)];
        wanted.write(&mut bytes);
        let part = part_of(file.path());
        Self {
            bytes,
            len: wanted.len(),
            first: match part {
                Some(part) => part.saturating_mul(PART_PAGES.into()),
                None => file.record.first_page,
            },
            total: match file.record.kind {
                FILE_EXECUTABLE => pages_of(slot.header().elf_size),
                _ if part.is_some() => PART_PAGES.into(),
                _ => pages_of(file.record.size),
            },
        }
    }

    /// The bits.
    pub fn bitmap(&self) -> Bitmap<'_> {
        Bitmap::new(&self.bytes, self.len)
    }

    /// The runs of pages that are wanted, as first page and length.
    pub fn runs(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let page = |first: usize| self.first.saturating_add(first as u64);
        self.bitmap()
            .runs()
            .map(move |(first, count)| (page(first), count))
    }

    /// How many are wanted.
    pub fn count(&self) -> u64 {
        self.bitmap().count() as u64
    }

    /// What the kernel would read of them.
    pub fn plan(&self, gap_pages: u32) -> Planned {
        let limits = Limits {
            gap_pages,
            max_pages: u32::MAX,
            file_pages: self.first.saturating_add(self.total),
        };
        let start = Planned {
            gap_pages,
            ..Planned::default()
        };
        Plan::new(self.bitmap(), self.first, limits).fold(start, |planned, run| Planned {
            runs: planned.runs + 1,
            pages: planned.pages + u64::from(run.pages),
            ..planned
        })
    }
}
