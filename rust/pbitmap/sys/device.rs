// SPDX-License-Identifier: GPL-2.0

//! The device under a filesystem, whose page cache has the filesystem's metadata, if it keeps that
//! in buffers.

use super::{
    ffi,
    file::{
        self,
        Path, //
    },
    KERNEL_PAGE_ORDER,
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};
use kernel::{
    bindings,
    fs::File, //
};

/// The device that a file is on, while somebody holds that file.
pub(crate) struct Device<'a> {
    raw: ffi::Device,
    _file: PhantomData<&'a File>,
}

/// Which device it is, for as long as its filesystem is mounted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Key(usize);

impl Key {
    /// That of the device with these pages.
    pub(super) fn of(mapping: *const bindings::address_space) -> Self {
        Self(mapping.addr())
    }
}

impl<'a> Device<'a> {
    /// That of an open file; [`None`] if the filesystem is on none, or has no UUID.
    pub(crate) fn of(file: &'a File) -> Option<Self> {
        // SAFETY: The open file keeps its path.
        unsafe { Self::at(file::path_of(file)) }
    }

    /// That of the file at `path`.
    pub(crate) fn of_path(path: &'a Path) -> Option<Self> {
        // SAFETY: The path is referenced.
        unsafe { Self::at(path.as_raw()) }
    }

    /// # Safety
    ///
    /// The path is referenced for as long as the value lives, and has an inode.
    unsafe fn at(path: *const bindings::path) -> Option<Self> {
        let mut raw = MaybeUninit::uninit();
        // SAFETY: By the contract. The device is filled if this says so.
        let raw = unsafe { ffi::pbm_device(path, raw.as_mut_ptr()).then(|| raw.assume_init())? };
        Some(Self {
            raw,
            _file: PhantomData,
        })
    }

    /// Which one it is.
    pub(crate) fn key(&self) -> Key {
        Key::of(self.raw.mapping)
    }

    /// It as a file.
    pub(crate) fn file(&self) -> &File {
        // SAFETY: The filesystem keeps its device open, and is there for as long as the file that
        // this was made of. Nobody has the device's file in a descriptor table.
        unsafe { File::from_raw_file(self.raw.file) }
    }

    /// Bytes of the device.
    pub(crate) fn size(&self) -> u64 {
        self.raw.size
    }

    /// The UUID of the filesystem.
    pub(crate) fn uuid(&self) -> &[u8; 16] {
        &self.raw.uuid
    }

    /// Whether the filesystem has used the page since it came to memory: what was only read ahead it
    /// has not.
    pub(crate) fn has_used(&self, page: u64) -> bool {
        let page = page >> KERNEL_PAGE_ORDER;
        // SAFETY: The device is there.
        unsafe { ffi::pbm_is_used_by_filesystem(&self.raw, page as usize) }
    }
}
