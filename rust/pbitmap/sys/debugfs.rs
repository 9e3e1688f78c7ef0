// SPDX-License-Identifier: GPL-2.0

//! The module's files in debugfs.
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

/// What a file shows.
pub(crate) trait Show: Send + Sync + 'static {
    /// Writes all of it.
    fn show(&self, to: &SeqFile);
}

/// What a file's data points to.
type Data = KBox<dyn Show>;

/// The folder `debugfs/pbitmap` and its files, gone when dropped.
pub(crate) struct Registration {
    // None without debugfs, which nobody misses.
    folder: Option<NonNull<bindings::dentry>>,
    _data: KVec<KBox<Data>>,
}

// SAFETY: A folder may be removed by any task.
unsafe impl Send for Registration {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for Registration {}

impl Registration {
    /// Makes the files.
    pub(crate) fn new<const N: usize>(files: [(&'static CStr, Data); N]) -> Result<Self> {
        let mut names = KVec::with_capacity(N, GFP_KERNEL)?;
        let mut data = KVec::with_capacity(N, GFP_KERNEL)?;
        for (name, show) in files {
            names.push(name, GFP_KERNEL)?;
            data.push(KBox::new(show, GFP_KERNEL)?, GFP_KERNEL)?;
        }
        // SAFETY: Takes nothing.
        let folder = unsafe { ffi::pbm_debugfs_folder() };
        let folder = from_err_ptr(folder).ok().and_then(NonNull::new);
        for (name, show) in names.iter().zip(&data) {
            let show: *const Data = &**show;
            if let Some(folder) = folder {
                // SAFETY: The data stays where it is until the folder is removed, which waits for
                // readers.
                unsafe {
                    ffi::pbm_debugfs_file(folder.as_ptr(), name.as_char_ptr(), show.cast());
                }
            }
        }
        Ok(Self {
            folder,
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

/// Called by `shim/debugfs.c` when a file is read.
///
/// # Safety
///
/// `file` is being filled, and its data is that of a `Registration`.
#[no_mangle]
unsafe extern "C" fn pbm_debugfs_show(
    file: *mut bindings::seq_file,
    _unused: *mut c_void,
) -> c_int {
    // SAFETY: By the contract; the `Registration` is not dropped while the file is read.
    let (to, data) = unsafe { (SeqFile::from_raw(file), &*(*file).private.cast::<Data>()) };
    data.show(to);
    0
}
