// SPDX-License-Identifier: GPL-2.0

//! Mapping the recorded pages in batches, and telling what was touched from what was only mapped.
//!
//! A page fault on a file maps up to 16 cached pages around the one that was asked for, or a whole
//! large folio, and on x86 such entries are born with the accessed bit set. For a program that is
//! recorded each fault is followed up before it returns to user mode: the accessed bits of what was
//! mapped beside are cleared, and then the recorded pages of the same file and the same region are
//! mapped as well, also without the bit. So the program has few faults, and what has the bit at the
//! end was touched.
//!
//! # Lock order
//!
//! `mmap_lock` for reading, then the lock of [`Mapper`].

use super::{
    launch::{
        Known,
        Launch, //
    },
    stats::Counter,
    sys::{
        file::Inode,
        mm::{
            self,
            Area,
            Locked,
            Region,
            Space,
            REGION_WORDS, //
        },
        page_cache, //
    },
    sysctl,
};
use kernel::{
    new_mutex,
    prelude::*,
    rbtree::RBTree,
    sync::Mutex, //
};

/// Regions that are remembered of a program: 8 GiB of mappings that were touched.
const MAX_REGIONS: usize = 4096;

/// Mappings that are looked at when a program starts: those of the executable and of its loader.
const MAX_AREAS: usize = 32;

/// Which of the kernel's pages of a region were looked at since they were mapped.
type Pages = [u64; REGION_WORDS];

struct Regions {
    known: RBTree<Region, Pages>,
    count: usize,
}

/// What is known of the page tables of one program.
#[pin_data]
pub(crate) struct Mapper {
    #[pin]
    regions: Mutex<Regions>,
}

impl Mapper {
    /// Of a program that has not started.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            regions <- new_mutex!(Regions {
                known: RBTree::new(),
                count: 0,
            }),
        })
    }

    /// Follows up a fault at `address` of current, which runs in `space`. If faults were `missed`,
    /// pages that are not known may have been touched. Says what of a file is mapped there.
    pub(crate) fn faulted(
        &self,
        space: &Space<'_>,
        launch: &Launch,
        address: usize,
        missed: bool,
    ) -> Option<Area> {
        // Who maps something at this moment has the next fault soon.
        let locked = space.try_lock()?;
        let area = locked.area_at(address).filter(Area::is_mappable)?;
        let region = Region::of(address);
        let mut regions = self.regions.lock();
        if let Some(known) = regions.get(region) {
            locked.settle(&area, region, Some(address), known, !missed);
            // Of what will not be mapped in the end faults are all that is seen.
            let file = launch
                .file(&Inode::of(area.file()))
                .filter(|file| sysctl::early_fault() != 0 && !file.is_read());
            if let Some(file) = file {
                map_region(&locked, &area, file, region, known, missed);
            }
        }
        Some(area)
    }

    /// Maps the recorded pages of all that is mapped in `space`, that of current.
    pub(crate) fn start(&self, space: &Space<'_>, launch: &Launch) {
        let locked = space.lock();
        let Ok(areas) = locked.areas(MAX_AREAS) else {
            return;
        };
        let mut regions = self.regions.lock();
        for area in areas.iter().filter(|area| area.is_mappable()) {
            let Some(file) = launch.file(&Inode::of(area.file())) else {
                continue;
            };
            let pages = file.wanted().len() as u64;
            let Some((start, end)) = area.span().addresses_of(0, pages) else {
                continue;
            };
            let mut at = start;
            while at < end {
                let region = Region::of(at);
                if let Some(known) = regions.get(region) {
                    map_region(&locked, area, file, region, known, false);
                }
                at = region.part(at, end).1;
            }
        }
    }
}

impl Regions {
    /// The pages of `region` that are known; [`None`] if there is no room for it.
    fn get(&mut self, region: Region) -> Option<&mut Pages> {
        if self.known.get(&region).is_none() {
            if self.count >= MAX_REGIONS {
                return None;
            }
            self.known
                .try_create_and_insert(region, [0; REGION_WORDS], GFP_KERNEL_ACCOUNT)
                .ok()?;
            self.count = self.count.saturating_add(1);
        }
        self.known.get_mut(&region)
    }
}

/// Maps those pages of `file` that are wanted, cached, and mapped by `area` in `region`.
fn map_region(
    locked: &Locked<'_>,
    area: &Area,
    file: &Known,
    region: Region,
    known: &mut Pages,
    missed: bool,
) {
    let span = area.span();
    let (start, end) = region.part(span.start, span.end);
    let wanted = file.wanted();
    let first = span.page_at(start) as usize;
    let past = span.page_at(end) as usize;
    let mut has_table = locked.has_table(start);
    let mut mapped = 0u64;
    let mut page = first;
    while let Some(set) = wanted.next_set(page).filter(|set| *set < past) {
        page = wanted.next_clear(set).min(past);
        let Some((from, to)) = span.addresses_of(set as u64, page.saturating_sub(set) as u64)
        else {
            break;
        };
        if mm::are_known(known, from, to) {
            continue;
        }
        if !has_table {
            // One ordinary fault makes the table; it must not wait for the disk.
            if !page_cache::is_ready(area.file(), set as u64) {
                continue;
            }
            if locked.fault_in(from).is_err() {
                return;
            }
            has_table = true;
        }
        locked.map_cached(area.file(), from, to);
        mapped = mapped.saturating_add(page.saturating_sub(set) as u64);
    }
    if mapped != 0 {
        locked.settle(area, region, None, known, !missed);
        Counter::EarlyFaulted.add(mapped);
    }
}
