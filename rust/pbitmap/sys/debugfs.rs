// SPDX-License-Identifier: GPL-2.0

//! The module's file in debugfs.
//!
//! Not `kernel::debugfs`: in 7.2 its file operations have no owner, so that a module could go while
//! one of its files is open, and closing that file then ran code that was gone.

use super::ffi;
use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    seq_file::SeqFile, //
};

/// What the file shows.
pub(crate) trait Show: Send + Sync + 'static {
    /// Writes all of it.
    fn show(&self, to: &SeqFile);
}

/// What the file's data points to.
type Data = KBox<dyn Show>;

/// `debugfs/pbitmap/stats`, gone when dropped.
pub(crate) struct Registration {
    // None without debugfs, which nobody misses.
    folder: Option<NonNull<bindings::dentry>>,
    _data: KBox<Data>,
}

// SAFETY: A folder may be removed by any task.
unsafe impl Send for Registration {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for Registration {}

impl Registration {
    /// Makes the file.
    pub(crate) fn new(show: Data) -> Result<Self> {
        let data = KBox::new(show, GFP_KERNEL)?;
        // SAFETY: The data stays where it is until the folder is removed, which waits for readers.
        let folder = unsafe { ffi::pbm_debugfs_create(core::ptr::from_ref(&*data).cast()) };
        Ok(Self {
            folder: from_err_ptr(folder).ok().and_then(NonNull::new),
            _data: data,
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(folder) = self.folder {
            // SAFETY: `new` made the folder, and it is removed once.
            unsafe { ffi::pbm_debugfs_remove(folder.as_ptr()) };
        }
    }
}

/// Called by `shim.c` when the file is read.
///
/// # Safety
///
/// `file` is being filled, and its data is that of a `Registration`.
#[no_mangle]
unsafe extern "C" fn pbm_stats_show(file: *mut bindings::seq_file, _unused: *mut c_void) -> c_int {
    // SAFETY: By the contract; the `Registration` is not dropped while the file is read.
    let (to, data) = unsafe { (SeqFile::from_raw(file), &*(*file).private.cast::<Data>()) };
    data.show(to);
    0
}
