// SPDX-License-Identifier: GPL-2.0

//! The page cache of a file: what is in it, and asking for more.

use super::{
    ffi,
    file::{
        self,
        Path, //
    },
    KERNEL_PAGE_ORDER,
    PAGE_SHIFT, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};
use kernel::{
    bindings,
    error::to_result,
    fs::File,
    prelude::*, //
};

/// `POSIX_FADV_WILLNEED`, which the bindings do not have.
const WILL_NEED: i32 = 3;

/// Runs `ask` with a block plug: the reads that it asks for go to the device together.
pub(crate) fn plugged<R>(ask: impl FnOnce() -> R) -> R {
    /// Ends the plug; after it was begun, current points to it.
    struct Finish(*mut bindings::blk_plug);

    impl Drop for Finish {
        fn drop(&mut self) {
            // SAFETY: The plug was begun by this task, which has not left its frame since.
            unsafe { bindings::blk_finish_plug(self.0) };
        }
    }

    let mut plug = MaybeUninit::<bindings::blk_plug>::uninit();
    // SAFETY: The plug is initialized here. It does not move, and outlives its `Finish`.
    unsafe { bindings::blk_start_plug(plug.as_mut_ptr()) };
    let _finish = Finish(plug.as_mut_ptr());
    ask()
}

/// The most pages that one [`will_need`] asks for; more are cut off. At least 1.
pub(crate) fn will_need_limit(file: &File) -> u64 {
    // SAFETY: The file is open and so has a mapping with a backing device.
    let limit = unsafe { ffi::pbm_readahead_limit(file.as_ptr()) };
    ((limit as u64) << KERNEL_PAGE_ORDER).max(1)
}

/// Asks for `pages` pages from `first` on, without waiting for them. Pages that are cached or lie
/// after the end of the file are left out.
pub(crate) fn will_need(file: &File, first: u64, pages: u64) -> Result {
    let bytes = |pages: u64| -> Result<bindings::loff_t> {
        let bytes = pages.checked_mul(1 << PAGE_SHIFT).ok_or(EOVERFLOW)?;
        Ok(bindings::loff_t::try_from(bytes)?)
    };
    let (offset, len) = (bytes(first)?, bytes(pages)?);
    if let Some((first, last)) = kernel_pages(first, pages) {
        // SAFETY: The file is open; the call checks the range and what the file can do.
        if unsafe {
            ffi::pbm_read_large_folios(
                file.as_ptr(),
                first,
                last.saturating_sub(first).saturating_add(1),
            )
        } {
            return Ok(());
        }
    }
    // SAFETY: The file is open; the call checks the range and what the file can do.
    to_result(unsafe { bindings::vfs_fadvise(file.as_ptr(), offset, len, WILL_NEED) })
}

/// `pages` pages from `first` on, and those that come with them: the others of the kernel's pages.
pub(crate) fn whole(first: u64, pages: u64) -> (u64, u64) {
    const REST: u64 = (1 << KERNEL_PAGE_ORDER) - 1;
    let start = first & !REST;
    let end = first.saturating_add(pages).saturating_add(REST) & !REST;
    (start, end.saturating_sub(start))
}

/// The first and the last page of the kernel that `pages` pages from `first` on lie in; [`None`] if
/// they are none, or too many.
fn kernel_pages(first: u64, pages: u64) -> Option<(usize, usize)> {
    let last = first.checked_add(pages.checked_sub(1)?)?;
    let first = usize::try_from(first).ok()?;
    let last = usize::try_from(last).ok()?;
    Some((first >> KERNEL_PAGE_ORDER, last >> KERNEL_PAGE_ORDER))
}

/// The cached pages of a file that need not be open.
#[derive(Clone, Copy)]
pub(crate) struct Mapping<'a> {
    mapping: *mut bindings::address_space,
    _file: PhantomData<&'a File>,
}

impl<'a> Mapping<'a> {
    /// Those of an open file.
    pub(crate) fn of(file: &'a File) -> Self {
        Self {
            mapping: file::mapping(file),
            _file: PhantomData,
        }
    }

    /// Those of the file at `path`.
    pub(crate) fn at(path: &'a Path) -> Self {
        Self {
            mapping: path.mapping(),
            _file: PhantomData,
        }
    }

    /// Whether all of `pages` pages from `first` on are cached, or are being read. Cheaper than
    /// counting them with [`Mapping::cached`].
    pub(crate) fn is_cached(self, first: u64, pages: u64) -> bool {
        let Some((first, last)) = kernel_pages(first, pages) else {
            return pages == 0;
        };
        // SAFETY: The mapping is there for the lifetime of the borrow.
        unsafe { ffi::pbm_is_cached(self.mapping, first, last - first + 1) }
    }

    /// How many of `pages` pages from `first` on are cached, or are being read, with those that
    /// share the kernel's pages with them.
    pub(crate) fn cached(self, first: u64, pages: u64) -> u64 {
        let Some((first, last)) = kernel_pages(first, pages) else {
            return 0;
        };
        // SAFETY: As above.
        let cached = unsafe { ffi::pbm_cached_pages(self.mapping, first, last) };
        (cached as u64) << KERNEL_PAGE_ORDER
    }
}

/// Whether `page` is cached and up to date.
pub(crate) fn is_ready(file: &File, page: u64) -> bool {
    // SAFETY: The file is open and so has a mapping.
    unsafe { ffi::pbm_is_ready(file.as_ptr(), page as usize >> KERNEL_PAGE_ORDER) }
}

/// Copies the beginning of the file to `buffer`, up to a page of it; gives the part that was
/// filled. Waits for nothing: what is not cached is not copied.
pub(crate) fn cached_head<'a>(file: &File, buffer: &'a mut [u8]) -> &'a [u8] {
    // SAFETY: The file is open and so has a mapping; the buffer has room for so many bytes.
    let copied =
        unsafe { ffi::pbm_cached_head(file.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) };
    buffer.get(..copied).unwrap_or_default()
}

/// How many requests the device that `file` is on, or is, takes at once, [`None`] if nobody knows,
/// and whether it is rotational.
pub(crate) fn queue_of(file: &File) -> (Option<u32>, bool) {
    let mut rotational = false;
    // SAFETY: The file is open and so has a superblock; the answer has a place.
    let depth = unsafe { ffi::pbm_queue_depth(file.as_ptr(), &mut rotational) };
    ((depth != 0).then_some(depth), rotational)
}

/// Pages of memory that could be had without swapping.
pub(crate) fn available_pages() -> u64 {
    // SAFETY: Reads counters.
    let available = unsafe { ffi::pbm_available_pages() };
    (available as u64) << KERNEL_PAGE_ORDER
}
