// SPDX-License-Identifier: GPL-2.0

//! Address spaces: what is mapped of which file, what of it was touched, and mapping more of it.
//!
//! A *region* is what one page table covers: 512 pages on most machines.

use super::{
    ffi,
    KERNEL_PAGE_ORDER,
    KERNEL_PAGE_SIZE,
    PAGE_SHIFT, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    fs::File,
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    sync::aref::ARef,
    task::Task,
    types::NotThreadSafe, //
};

/// Pages of the kernel in a region: a page table is one of them, of entries of 8 bytes.
const REGION_PAGES: usize = KERNEL_PAGE_SIZE / 8;

const _: () = assert!(64 << PAGE_SHIFT >= KERNEL_PAGE_SIZE);

/// Bits of the address of a region.
const REGION_SHIFT: u32 = (REGION_PAGES * KERNEL_PAGE_SIZE).trailing_zeros();

/// Words of a bitmap of the kernel's pages in a region.
pub(crate) const REGION_WORDS: usize = REGION_PAGES / u64::BITS as usize;

/// So many mappings are read at a time.
const BATCH: usize = 16;

/// The addresses of one page table, by number.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Region(usize);

impl Region {
    /// The region of an address.
    pub(crate) fn of(address: usize) -> Self {
        Self(address >> REGION_SHIFT)
    }

    /// The part of the addresses from `start` to `end` that is in the region.
    pub(crate) fn part(self, start: usize, end: usize) -> (usize, usize) {
        let first = self.0 << REGION_SHIFT;
        let past = first.saturating_add(1 << REGION_SHIFT);
        (start.max(first), end.min(past))
    }
}

/// Whether `known` has all pages of the kernel from address `from` to `to`, in one region.
pub(crate) fn are_known(known: &[u64; REGION_WORDS], from: usize, to: usize) -> bool {
    (from..to).step_by(KERNEL_PAGE_SIZE).all(|address| {
        let index = address / KERNEL_PAGE_SIZE % REGION_PAGES;
        known
            .get(index / u64::BITS as usize)
            .is_some_and(|word| word >> (index % u64::BITS as usize) & 1 != 0)
    })
}

/// Addresses from `start` to `end`, where a file is mapped from page `first_page` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) first_page: u64,
}

impl Span {
    /// The page of the file that is mapped at `address`, which is in the span or its end.
    pub(crate) fn page_at(&self, address: usize) -> u64 {
        let offset = address.saturating_sub(self.start) >> PAGE_SHIFT;
        self.first_page.saturating_add(offset as u64)
    }

    /// The addresses of `pages` pages of the file from `first` on, as far as they are mapped here,
    /// from and to the limits of pages of the kernel.
    pub(crate) fn addresses_of(&self, first: u64, pages: u64) -> Option<(usize, usize)> {
        let past = self.page_at(self.end);
        let from = first.max(self.first_page);
        let to = first.saturating_add(pages).min(past);
        if from >= to {
            return None;
        }
        let address = |page: u64| -> Option<usize> {
            let offset = usize::try_from(page.checked_sub(self.first_page)?).ok()?;
            self.start.checked_add(offset.checked_mul(1 << PAGE_SHIFT)?)
        };
        let from = address(from)? & !(KERNEL_PAGE_SIZE - 1);
        let to = address(to)?.checked_next_multiple_of(KERNEL_PAGE_SIZE)?;
        Some((from, to))
    }
}

/// One mapping of a regular file.
pub(crate) struct Area {
    span: Span,
    flags: u32,
    file: ARef<File>,
}

impl Area {
    /// # Safety
    ///
    /// `area` was filled by the shim, and its reference on the file is given away here.
    unsafe fn from_raw(area: &ffi::Area) -> Option<Self> {
        let file = NonNull::new(area.file)?;
        Some(Self {
            span: Span {
                start: area.start,
                end: area.end,
                first_page: (area.first_page as u64) << KERNEL_PAGE_ORDER,
            },
            flags: area.flags,
            // SAFETY: By the contract. That somebody has the file in a descriptor table and uses
            // its position does not matter here: nothing of this module does.
            file: unsafe { ARef::from_raw(file.cast()) },
        })
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where it is, and what of the file.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Whether the program could write the file through it.
    pub(crate) fn is_shared_for_writing(&self) -> bool {
        self.flags & ffi::AREA_SHARED_WRITE != 0
    }

    /// Whether the program wrote to it without changing the file, as a loader does that relocates.
    pub(crate) fn has_private_pages(&self) -> bool {
        self.flags & ffi::AREA_PRIVATE_PAGES != 0
    }

    /// Whether pages of it may be mapped before they are asked for.
    pub(crate) fn is_mappable(&self) -> bool {
        self.flags & ffi::AREA_MAPPABLE != 0
    }
}

/// An address space whose page tables are there for as long as this is.
///
/// # Invariants
///
/// `mm` is valid for `'a`: it has a user, is that of current, which goes on to use it, or its end
/// waits.
pub(crate) struct Space<'a> {
    mm: *mut bindings::mm_struct,
    _mm: PhantomData<&'a Mm>,
}

impl<'a> Space<'a> {
    /// # Safety
    ///
    /// `exit_mmap()` has announced the end of `mm` and waits for as long as the value lives.
    pub(super) unsafe fn dying(mm: *mut bindings::mm_struct) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            mm,
            _mm: PhantomData,
        }
    }

    /// One that has a user.
    pub(crate) fn of(mm: &'a MmWithUser) -> Self {
        // INVARIANT: `MmWithUser` holds a user.
        Self {
            mm: mm.as_raw(),
            _mm: PhantomData,
        }
    }

    /// `mm`, if it is that of current and current goes on to use it.
    pub(crate) fn of_current(mm: &'a Mm) -> Option<Self> {
        let task = Task::current_raw();
        // SAFETY: `current` is valid, and only the task itself changes these.
        let (own, flags) = unsafe { ((*task).mm, (*task).flags) };
        // INVARIANT: A task has its mm until it exits or calls exec; here it does neither.
        (own == mm.as_raw() && flags & bindings::PF_EXITING == 0).then_some(Self {
            mm: own,
            _mm: PhantomData,
        })
    }

    /// Whether a program ran in it, in `task`: its exec succeeded, it was neither dumped nor reaped.
    pub(crate) fn ran(&self, task: &Task) -> bool {
        // SAFETY: By the type's invariant the mm is there; the task is referenced, and keeps its
        // `signal` for as long.
        unsafe { ffi::pbm_mm_ran(self.mm, task.as_ptr()) }
    }

    /// Locks it for reading.
    pub(crate) fn lock(&self) -> Locked<'_> {
        // SAFETY: By the type's invariant the mm is there.
        unsafe { bindings::mmap_read_lock(self.mm) };
        Locked::new(self.mm)
    }

    /// Locks it for reading, unless somebody changes it.
    pub(crate) fn try_lock(&self) -> Option<Locked<'_>> {
        // SAFETY: By the type's invariant the mm is there.
        unsafe { bindings::mmap_read_trylock(self.mm) }.then(|| Locked::new(self.mm))
    }
}

/// An address space that is locked for reading.
pub(crate) struct Locked<'a> {
    mm: *mut bindings::mm_struct,
    _mm: PhantomData<&'a Mm>,
    _task: NotThreadSafe,
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // SAFETY: Locked by this task when the value was made.
        unsafe { bindings::mmap_read_unlock(self.mm) };
    }
}

impl Locked<'_> {
    fn new(mm: *mut bindings::mm_struct) -> Self {
        Self {
            mm,
            _mm: PhantomData,
            _task: NotThreadSafe::default(),
        }
    }

    /// All mappings of regular files, in ascending order of addresses; at most `max`.
    pub(crate) fn areas(&self, max: usize) -> Result<KVVec<Area>> {
        let mut areas = KVVec::new();
        let mut from = 0;
        loop {
            let mut batch = [const { MaybeUninit::<ffi::Area>::uninit() }; BATCH];
            // SAFETY: The mm is locked, and `batch` has room for as many.
            let found = unsafe {
                let to = batch.as_mut_ptr().cast();
                ffi::pbm_areas(self.mm, from, to, BATCH as u32) as usize
            };
            let mut failed = None;
            for raw in batch.iter().take(found) {
                // SAFETY: Filled by the shim, and each is taken once.
                let area = unsafe { Area::from_raw(raw.assume_init_ref()) };
                let Some(area) = area else { continue };
                from = area.span.end;
                if areas.len() < max && failed.is_none() {
                    failed = areas.push(area, GFP_KERNEL).err();
                }
            }
            if let Some(error) = failed {
                return Err(error.into());
            }
            if found < BATCH || areas.len() >= max {
                return Ok(areas);
            }
        }
    }

    /// The mapping of a regular file at `address`.
    pub(crate) fn area_at(&self, address: usize) -> Option<Area> {
        let mut area = MaybeUninit::uninit();
        // SAFETY: The mm is locked; the area is filled if this says so, and taken once.
        unsafe {
            if !ffi::pbm_area_at(self.mm, address, area.as_mut_ptr()) {
                return None;
            }
            Area::from_raw(area.assume_init_ref())
        }
    }

    /// Sets a bit in `pages` for each page of the file that was touched through `area`: accessed,
    /// or written and swapped out since. Bits past the end of `pages` are left out.
    pub(crate) fn mark_touched(&self, area: &Area, pages: &mut [u64]) {
        let bits = (pages.len() as u64).saturating_mul(u64::from(u64::BITS));
        let Some((start, end)) = area.span.addresses_of(0, bits) else {
            return;
        };
        // SAFETY: The lock is held. By `addresses_of`, the bits from `first_page` on, one for each
        // page between the addresses, are inside of `pages`: a word is of whole pages of the kernel.
        unsafe {
            ffi::pbm_mark_touched(
                self.mm,
                start,
                end,
                pages.as_mut_ptr(),
                area.span.first_page as usize >> KERNEL_PAGE_ORDER,
            );
        }
    }

    /// As [`Locked::mark_touched`], but the first bit is for the first page of the area.
    pub(crate) fn mark_touched_from(&self, area: &Area, pages: &mut [u64]) {
        let bits = (pages.len() as u64).saturating_mul(u64::from(u64::BITS));
        let Some((start, end)) = area.span.addresses_of(area.span.first_page, bits) else {
            return;
        };
        // SAFETY: The lock is held, and `pages` has a bit for each page between the addresses, the
        // first of which is the start of the area.
        unsafe {
            ffi::pbm_mark_touched(self.mm, start, end, pages.as_mut_ptr(), 0);
        }
    }

    /// Forgets the accesses to the pages of `area` in `region` that were mapped since the last
    /// call, which `known` remembers: mapped is not touched. After a fault at an address, that
    /// page was touched, and what was mapped with it is around it. Without `forget` they are known
    /// then, but count as touched.
    pub(crate) fn settle(
        &self,
        area: &Area,
        region: Region,
        fault: Option<usize>,
        known: &mut [u64; REGION_WORDS],
        forget: bool,
    ) {
        let (start, end) = region.part(area.span.start, area.span.end);
        if start >= end {
            return;
        }
        let fault = fault.map_or(0, |address| address & !(KERNEL_PAGE_SIZE - 1));
        // SAFETY: The lock is held; the addresses are in one region, for which `known` has a bit a
        // page of the kernel.
        unsafe { ffi::pbm_settle(self.mm, start, end, fault, known.as_mut_ptr(), forget) };
    }

    /// Whether there is a page table for `address`.
    pub(crate) fn has_table(&self, address: usize) -> bool {
        // SAFETY: The lock is held.
        unsafe { ffi::pbm_has_table(self.mm, address) }
    }

    /// Has the page at `address` of current's address space mapped by an ordinary fault, which
    /// makes the page table.
    pub(crate) fn fault_in(&self, address: usize) -> Result {
        // SAFETY: The lock is held.
        if unsafe { ffi::pbm_fault_in(self.mm, address) } {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Maps those pages from `start` to `end`, in one region and in one mapping of `file`, that
    /// are cached; where that is not what is there, nothing.
    pub(crate) fn map_cached(&self, file: &File, start: usize, end: usize) {
        // SAFETY: The lock is held, and the shim looks at what is mapped there.
        unsafe { ffi::pbm_map_cached(self.mm, file.as_ptr(), start, end) };
    }
}
