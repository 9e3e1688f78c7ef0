// SPDX-License-Identifier: GPL-2.0

//! Files by what the module needs of them: identity, bytes, and writing in place.

use super::{
    cred,
    ffi, //
};
use core::{
    mem::MaybeUninit,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    cred::Credential,
    error::to_result,
    fs::File,
    prelude::*,
    str::CStr,
    sync::aref::ARef,
    task::Task, //
};

/// Which inode it is, for as long as nobody holds a reference on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Identity {
    /// The filesystem's device number.
    pub(crate) dev: u64,
    /// The inode's number.
    pub(crate) ino: u64,
    /// What tells apart inodes that had the same number one after the other.
    pub(crate) generation: u32,
}

/// An inode as it is at the moment.
#[derive(Clone, Copy)]
pub(crate) struct Inode(ffi::Inode);

impl Inode {
    /// The inode behind `file`.
    pub(crate) fn of(file: &File) -> Self {
        let mut inode = ffi::Inode::default();
        // SAFETY: A referenced open file has an inode and a superblock.
        unsafe { ffi::pbm_inode_read((*file.as_ptr()).f_inode, &mut inode) };
        Self(inode)
    }

    /// Which inode it is.
    pub(crate) fn identity(&self) -> Identity {
        Identity {
            dev: self.0.dev,
            ino: self.0.ino,
            generation: self.0.generation,
        }
    }

    /// When the content last changed, in seconds and nanoseconds.
    pub(crate) fn mtime(&self) -> (i64, u32) {
        (self.0.mtime_sec, self.0.mtime_nsec)
    }

    /// Whether it is a regular file.
    pub(crate) fn is_regular(&self) -> bool {
        self.0.mode & bindings::S_IFMT == bindings::S_IFREG
    }

    /// Bytes in the file.
    pub(crate) fn size(&self) -> u64 {
        self.0.size
    }

    /// Whether it is set-user-id or set-group-id, bits that a write can take away (the latter also
    /// where the group may not execute the file).
    pub(crate) fn is_setid(&self) -> bool {
        self.0.mode & (bindings::S_ISUID | bindings::S_ISGID) != 0
    }

    fn has(&self, flag: u32) -> bool {
        self.0.flags & flag != 0
    }

    /// `chattr +i`.
    pub(crate) fn is_immutable(&self) -> bool {
        self.has(ffi::INODE_IMMUTABLE)
    }

    /// `chattr +a`.
    pub(crate) fn is_append_only(&self) -> bool {
        self.has(ffi::INODE_APPEND)
    }

    /// fs-verity guards its bytes.
    pub(crate) fn is_verity(&self) -> bool {
        self.has(ffi::INODE_VERITY)
    }

    /// Its blocks belong to swap.
    pub(crate) fn is_swapfile(&self) -> bool {
        self.has(ffi::INODE_SWAPFILE)
    }

    /// IMA measures or appraises it.
    pub(crate) fn is_measured(&self) -> bool {
        self.has(ffi::INODE_IMA)
    }

    /// Its mappings bypass the page cache.
    pub(crate) fn is_dax(&self) -> bool {
        self.has(ffi::INODE_DAX)
    }

    /// fscrypt encrypts its blocks.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.has(ffi::INODE_ENCRYPTED)
    }

    /// It has no name any more: replaced or deleted since it was opened.
    pub(crate) fn is_unlinked(&self) -> bool {
        self.has(ffi::INODE_UNLINKED)
    }
}

/// The name of the filesystem that `file` is on, as in `/proc/filesystems`.
pub(crate) fn filesystem(file: &File) -> &CStr {
    // SAFETY: A referenced open file keeps its inode, its superblock and the filesystem's module,
    // and so the name, for as long as the borrow lasts.
    unsafe {
        let inode = (*file.as_ptr()).f_inode;
        CStr::from_char_ptr((*(*(*inode).i_sb).s_type).name)
    }
}

/// The inode of `file` as a number that tells open files apart, and no more.
pub(crate) fn inode_number(file: &File) -> usize {
    // SAFETY: A referenced open file has an inode.
    unsafe { (*file.as_ptr()).f_inode.addr() }
}

/// When content or attributes of the file last changed: a number that is another one after every
/// change.
pub(crate) fn last_change(file: &File) -> u64 {
    // SAFETY: The file is open and so has an inode.
    unsafe { ffi::pbm_last_change(file.as_ptr()) }
}

/// Reads until `buffer` is full or the file ends; says how many bytes that were.
fn read(file: &File, offset: u64, buffer: &mut [u8]) -> Result<usize> {
    let mut position = bindings::loff_t::try_from(offset)?;
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: `rest` may be written for its whole length.
        let got = unsafe {
            bindings::kernel_read(
                file.as_ptr(),
                rest.as_mut_ptr().cast(),
                rest.len(),
                &mut position,
            )
        };
        match usize::try_from(got) {
            Ok(0) => break,
            Ok(got) => filled = filled.saturating_add(got),
            Err(_) => return Err(Error::from_errno(i32::try_from(got)?)),
        }
    }
    Ok(filled)
}

/// Fills `buffer`.
///
/// # Errors
///
/// `EIO` if the file ends before that, or the error of the read.
pub(crate) fn read_exact(file: &File, offset: u64, buffer: &mut [u8]) -> Result {
    let position = bindings::loff_t::try_from(offset)?;
    // SAFETY: The file is open and so has a mapping; `buffer` may be written for its whole length.
    let cached = unsafe {
        ffi::pbm_read_cached(
            file.as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            position,
        )
    };
    if cached {
        return Ok(());
    }
    if read(file, offset, buffer)? == buffer.len() {
        Ok(())
    } else {
        Err(EIO)
    }
}

/// For reading, and without waiting for who has a lease on the file.
const OPEN_FLAGS: u32 =
    bindings::O_RDONLY | bindings::O_LARGEFILE | bindings::O_NOATIME | bindings::O_NONBLOCK;

/// Whether the filesystem said that there is no block left, or none for this user.
pub(crate) fn is_full(error: Error) -> bool {
    error == ENOSPC || error.to_errno() == -(bindings::EDQUOT as i32)
}

/// A place in a mount, which stays busy for as long as this lives.
pub(crate) struct Path(bindings::path);

// SAFETY: References on a mount and a dentry may be dropped by any task.
unsafe impl Send for Path {}
// SAFETY: Nothing in it is changed through a shared reference.
unsafe impl Sync for Path {}

impl Path {
    /// Where `file` was opened.
    pub(crate) fn of(file: &File) -> Self {
        // SAFETY: `f_path` does not change while a file is open.
        let path = unsafe { (*file.as_ptr()).__bindgen_anon_1.f_path };
        // SAFETY: The open file holds references on both parts, so that they may be counted up.
        unsafe { bindings::path_get(&path) };
        Self(path)
    }

    /// Opens the file for reading with the credentials `cred`.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if somebody has a lease on it that has to be given back first.
    pub(crate) fn open(&self, cred: &Credential) -> Result<ARef<File>> {
        let flags = OPEN_FLAGS;
        // SAFETY: The path is referenced, and so are the credentials.
        let file = unsafe { bindings::dentry_open(&self.0, flags as i32, cred.as_ptr()) };
        let file = kernel::error::from_err_ptr(file)?;
        let file = NonNull::new(file).ok_or(EIO)?;
        // SAFETY: `dentry_open` gave a reference of its own, to a file that is in no descriptor
        // table.
        Ok(unsafe { ARef::from_raw(file.cast()) })
    }

    /// The root folder of `task`; [`None`] if it has none any more.
    pub(crate) fn root_of(task: &Task) -> Option<Self> {
        let mut path = MaybeUninit::uninit();
        // SAFETY: The task is referenced. The path is filled, with references, if this says so.
        unsafe {
            ffi::pbm_task_root(task.as_ptr(), path.as_mut_ptr()).then(|| Self(path.assume_init()))
        }
    }

    /// What `name`, one or more components, is from here with the rights of current. Symbolic links
    /// and automounts are not followed. With `cached` only if no filesystem need be asked.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if `cached` and it is not, `ELOOP` for a link on the way, and those of a look-up.
    pub(crate) fn look_up(&self, name: &CStr, cached: bool) -> Result<Self> {
        let mut path = MaybeUninit::uninit();
        // SAFETY: The path is referenced. The other is filled, with references, if this succeeds.
        unsafe {
            to_result(ffi::pbm_lookup(
                &self.0,
                name.as_char_ptr(),
                cached,
                path.as_mut_ptr(),
            ))?;
            Ok(Self(path.assume_init()))
        }
    }

    /// Another reference to the same place.
    pub(crate) fn again(&self) -> Self {
        // SAFETY: The path is referenced.
        unsafe { bindings::path_get(&self.0) };
        Self(self.0)
    }

    /// The inode there.
    pub(crate) fn inode(&self) -> Inode {
        let mut inode = ffi::Inode::default();
        // SAFETY: A path that was looked up has an inode.
        unsafe { ffi::pbm_inode_read((*self.0.dentry).d_inode, &mut inode) };
        Inode(inode)
    }

    /// Where the inode there keeps its pages.
    pub(super) fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: A path that was looked up has an inode, and it has a mapping.
        unsafe { (*(*self.0.dentry).d_inode).i_mapping }
    }

    /// The name of the filesystem there, as in `/proc/filesystems`.
    pub(crate) fn filesystem(&self) -> &CStr {
        // SAFETY: The path keeps its superblock and the filesystem's module, and so the name.
        unsafe { CStr::from_char_ptr((*(*(*self.0.dentry).d_sb).s_type).name) }
    }

    /// Writes the way from `root`, or from the topmost mount, to the end of `buffer`, and returns
    /// it.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW`.
    pub(crate) fn name<'b>(&self, root: Option<&Self>, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        let root = root.map_or(core::ptr::null(), |root| &raw const root.0);
        let len = i32::try_from(buffer.len())?;
        // SAFETY: The paths are referenced; `buffer` may be written for its whole length.
        let start = unsafe { ffi::pbm_path_name(&self.0, root, buffer.as_mut_ptr(), len) };
        let start = usize::try_from(start).map_err(|_| EOVERFLOW)?;
        buffer.get(start..).ok_or(EOVERFLOW)
    }

    /// Whether current may read the file: mode, owner, ACL and security module.
    pub(crate) fn may_read(&self) -> Result {
        // SAFETY: The path is referenced.
        to_result(unsafe { ffi::pbm_may_read(&self.0) })
    }

    /// Opens the file for reading ahead, with the credentials `cred` and without counting it.
    ///
    /// # Errors
    ///
    /// As of [`Path::open`].
    pub(crate) fn open_to_read_ahead(&self, cred: &Credential) -> Result<ARef<File>> {
        let flags = OPEN_FLAGS;
        // SAFETY: The path is referenced, and so are the credentials.
        let file = unsafe { ffi::kernel_file_open(&self.0, flags as i32, cred.as_ptr()) };
        let file = kernel::error::from_err_ptr(file)?;
        let file = NonNull::new(file).ok_or(EIO)?;
        // SAFETY: It gave a reference of its own, to a file that is in no descriptor table.
        Ok(unsafe { ARef::from_raw(file.cast()) })
    }

    /// Whether current could write the file: mode, owner, ACL, mount and security module.
    pub(crate) fn may_write(&self) -> Result {
        // SAFETY: The path is referenced.
        to_result(unsafe { ffi::pbm_may_write(&self.0) })
    }

    /// Whether the file gives capabilities to who executes it, or may.
    pub(crate) fn has_capabilities(&self) -> bool {
        self.has_attribute(c"security.capability")
    }

    /// Whether a hash or a signature of its content is kept with the file for IMA, or may be.
    pub(crate) fn has_ima_hash(&self) -> bool {
        self.has_attribute(c"security.ima")
    }

    fn has_attribute(&self, name: &CStr) -> bool {
        // SAFETY: The path is referenced; the name ends with a zero byte.
        unsafe { ffi::pbm_has_attribute(&self.0, name.as_char_ptr()) }
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // SAFETY: `of` took the references that are dropped here.
        unsafe { bindings::path_put(&self.0) };
    }
}

/// Whether current could write `file`; as [`Path::may_write`], without taking a reference.
pub(crate) fn may_write(file: &File) -> Result {
    // SAFETY: The open file holds the references on its path.
    let path = unsafe { &raw const (*file.as_ptr()).__bindgen_anon_1.f_path };
    // SAFETY: As above.
    to_result(unsafe { ffi::pbm_may_write(path) })
}

/// A file that was opened for this purpose alone and is written although programs run from it.
pub(crate) struct InPlace<'a> {
    file: ARef<File>,
    cred: &'a Credential,
}

impl<'a> InPlace<'a> {
    /// Opens `path` with `cred`, which must be able to write the file.
    pub(crate) fn open(path: &Path, cred: &'a Credential) -> Result<Self> {
        let _as_user = cred::Override::new(cred);
        path.may_write()?;
        let file = path.open(cred)?;
        Ok(Self { file, cred })
    }

    /// The file, for reading.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Whether all of `len` bytes from `offset` on have blocks, so that writing them allocates
    /// none.
    pub(crate) fn is_allocated(&self, offset: u64, len: u64) -> Result<bool> {
        let start = bindings::loff_t::try_from(offset)?;
        let end = bindings::loff_t::try_from(offset.checked_add(len).ok_or(EOVERFLOW)?)?;
        // SAFETY: The file is open and nobody else uses its position.
        let hole =
            unsafe { bindings::vfs_llseek(self.file.as_ptr(), start, bindings::SEEK_HOLE as i32) };
        if hole < 0 {
            return Err(Error::from_errno(i32::try_from(hole)?));
        }
        Ok(hole >= end)
    }

    /// Waits until all that was written to the file is on the device.
    pub(crate) fn sync(&self) -> Result {
        // SAFETY: The file is open.
        to_result(unsafe { bindings::vfs_fsync_range(self.file.as_ptr(), 0, i64::MAX, 1) })
    }

    /// Keeps others from opening the file for writing and from truncating it, until the answer is
    /// dropped. They wait meanwhile; an open with `O_NONBLOCK` says `EWOULDBLOCK`.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if somebody has it open for writing or has a lease on it, `EINVAL` where there are
    /// no leases.
    pub(crate) fn hold_off_writers(&self) -> Result<WritersWait<'_>> {
        // SAFETY: The file is open, and has no other lease of this owner.
        to_result(unsafe { ffi::pbm_hold_off_writers(self.file.as_ptr()) })?;
        Ok(WritersWait(&self.file))
    }

    /// Writes all of `data` at `offset`, into blocks that are allocated and inside the file.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the filesystem is frozen, `EIO` for a short write, or the filesystem's error.
    pub(crate) fn write(&self, offset: u64, data: &[u8]) -> Result {
        let _as_user = cred::Override::new(self.cred);
        let position = bindings::loff_t::try_from(offset)?;
        // SAFETY: The file belongs to this `InPlace` alone: `open` made it, and `file` lends it out
        // for reading only, to this task. `data` may be read for its whole length.
        let written = unsafe {
            ffi::pbm_write_in_place(
                self.file.as_ptr(),
                data.as_ptr().cast(),
                data.len(),
                position,
            )
        };
        match usize::try_from(written) {
            Ok(written) if written == data.len() => Ok(()),
            Ok(_) => Err(EIO),
            Err(_) => Err(Error::from_errno(i32::try_from(written)?)),
        }
    }
}

/// While this lives, nobody but its owner changes the file's content.
pub(crate) struct WritersWait<'a>(&'a File);

impl Drop for WritersWait<'_> {
    fn drop(&mut self) {
        // SAFETY: The file is open and has the lease.
        unsafe { ffi::pbm_let_writers_in(self.0.as_ptr()) };
    }
}
