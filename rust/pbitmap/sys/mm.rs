// SPDX-License-Identifier: GPL-2.0

//! Address spaces: what is mapped of a file, and mapping more of it.

use super::ffi;
use kernel::{
    bindings,
    fs::File,
    mm::Mm,
    page::PAGE_SHIFT,
    task::Task, //
};

/// Most mappings of one file in one address space that are looked at. An executable has one a
/// `PT_LOAD`, and one or two more where a part was made read-only.
pub(crate) const MAX_MAPPINGS: usize = 32;

/// One mapping of a file: `struct pbm_mapping`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Mapping {
    start: usize,
    end: usize,
    /// The file's page at `start`.
    first_page: u64,
}

// C has an `unsigned long` for each.
const _: () = assert!(size_of::<Mapping>() == 3 * size_of::<usize>());

impl Mapping {
    /// The addresses from `start` to `end`, where the file is mapped from page `first_page` on.
    #[cfg(CONFIG_KUNIT)]
    pub(crate) fn new(start: usize, end: usize, first_page: u64) -> Self {
        Self {
            start,
            end,
            first_page,
        }
    }

    /// How many pages it maps.
    pub(crate) fn pages(&self) -> u64 {
        (self.end.saturating_sub(self.start) >> PAGE_SHIFT) as u64
    }

    /// The addresses of `pages` pages of the file from `first` on, as far as they are in here.
    pub(crate) fn addresses(&self, first: u64, pages: u64) -> Option<(usize, usize)> {
        let from = first.max(self.first_page);
        let to = first
            .saturating_add(pages)
            .min(self.first_page.saturating_add(self.pages()));
        if from >= to {
            return None;
        }
        let address = |page: u64| -> Option<usize> {
            let offset = usize::try_from(page.checked_sub(self.first_page)?).ok()?;
            self.start.checked_add(offset.checked_mul(1 << PAGE_SHIFT)?)
        };
        Some((address(from)?, address(to)?))
    }
}

/// The mappings of one file in one address space, in ascending order of addresses.
pub(crate) struct Mappings {
    found: [Mapping; MAX_MAPPINGS],
    count: usize,
}

impl Mappings {
    /// Looks for mappings of `file` in `mm`, whose lock is held for reading.
    ///
    /// # Safety
    ///
    /// The caller holds the mmap lock of `mm`.
    unsafe fn find(mm: *mut bindings::mm_struct, file: &File) -> Self {
        let mut mappings = Self {
            found: [Mapping::default(); MAX_MAPPINGS],
            count: 0,
        };
        // SAFETY: A referenced open file has an inode. The lock is held, so that the tree and what
        // is in it stay. `found` has room for as many.
        let count = unsafe {
            let inode = (*file.as_ptr()).f_inode;
            let found = mappings.found.as_mut_ptr();
            ffi::pbm_mappings(mm, inode, found, MAX_MAPPINGS as u32)
        };
        mappings.count = count as usize;
        mappings
    }

    /// The mappings.
    pub(crate) fn as_slice(&self) -> &[Mapping] {
        self.found.get(..self.count).unwrap_or_default()
    }
}

/// An address space that has lost its last user and is about to be taken apart.
pub(crate) struct Dying(*mut bindings::mm_struct);

impl Dying {
    /// # Safety
    ///
    /// `exit_mmap()` has announced the end of `mm` and waits until the value is dropped.
    pub(super) unsafe fn new(mm: *mut bindings::mm_struct) -> Self {
        Self(mm)
    }

    /// Whether a program ran in it: its exec succeeded, it was neither dumped nor reaped.
    pub(crate) fn ran(&self) -> bool {
        // SAFETY: By the contract of `new`, the mm is there.
        unsafe { ffi::pbm_mm_ran(self.0) }
    }

    /// The program's file, if there is one.
    pub(crate) fn executable(&self) -> Option<&File> {
        // SAFETY: Without users nobody changes `exe_file`; `__mmput()` drops it after
        // `exit_mmap()`.
        let file = unsafe { (*self.0).__bindgen_anon_1.exe_file };
        if file.is_null() {
            return None;
        }
        // SAFETY: The mm holds a reference until after this value is dropped. The file is in no
        // descriptor table of a task that could use it without a lock: exec opened it.
        Some(unsafe { File::from_raw_file(file) })
    }

    /// Sets a bit in `pages` for each page of `file` that is mapped, or was written and swapped
    /// out since; bits past the end of `pages` are left out.
    pub(crate) fn mark_mapped(&self, file: &File, pages: &mut [u64]) {
        let bits = (pages.len() as u64).saturating_mul(u64::from(u64::BITS));
        // SAFETY: The mm is there; nobody holds its lock for long any more.
        unsafe { bindings::mmap_read_lock(self.0) };
        // SAFETY: The lock is held.
        let mappings = unsafe { Mappings::find(self.0, file) };
        for mapping in mappings.as_slice() {
            let Some((start, end)) = mapping.addresses(0, bits) else {
                continue;
            };
            // SAFETY: The lock is held. By `addresses`, the bits from `first_page` on, one for each
            // page between the addresses, are inside of `pages`.
            unsafe {
                ffi::pbm_mark_mapped(
                    self.0,
                    start,
                    end,
                    pages.as_mut_ptr(),
                    mapping.first_page as usize,
                );
            }
        }
        // SAFETY: Locked above.
        unsafe { bindings::mmap_read_unlock(self.0) };
    }
}

/// The address space of current, while it is not exiting.
pub(crate) struct Current<'a>(&'a Mm);

impl<'a> Current<'a> {
    /// `mm`, if it is that of current and current goes on to use it.
    pub(crate) fn new(mm: &'a Mm) -> Option<Self> {
        let task = Task::current_raw();
        // SAFETY: `current` is valid, and only the task itself changes these.
        let (own, flags) = unsafe { ((*task).mm, (*task).flags) };
        (own == mm.as_raw() && flags & bindings::PF_EXITING == 0).then_some(Self(mm))
    }

    /// The mappings of `file`; none if current was killed.
    pub(crate) fn mappings(&self, file: &File) -> Mappings {
        let mm = self.0.as_raw();
        // SAFETY: Current uses the mm.
        unsafe { bindings::mmap_read_lock(mm) };
        // SAFETY: The lock is held.
        let mappings = unsafe { Mappings::find(mm, file) };
        // SAFETY: Locked above.
        unsafe { bindings::mmap_read_unlock(mm) };
        mappings
    }

    /// Maps those of `pages` pages of `file` from `first` on that are cached and in `mapping`. It
    /// does not read. Says how many pages it could have mapped.
    pub(crate) fn map_cached(&self, file: &File, mapping: &Mapping, first: u64, pages: u64) -> u64 {
        let Some((start, end)) = mapping.addresses(first, pages) else {
            return 0;
        };
        // SAFETY: Current uses the mm, and the file is open. That the addresses are still of a
        // mapping of this file is checked under the lock.
        unsafe { ffi::pbm_map_cached(self.0.as_raw(), file.as_ptr(), start, end) as u64 }
    }
}
