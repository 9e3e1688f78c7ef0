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

/// Which inode it is, for as long as nobody holds a reference on it. On a stacked filesystem it is
/// the one that has the pages.
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
        // SAFETY: A referenced open file keeps its path, which has an inode and a superblock.
        unsafe { ffi::pbm_inode_read(path_of(file), &mut inode) };
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

/// The file with this inode among those that current has open; [`None`] if it is not there, or not
/// among the first thousand.
pub(crate) fn open_in_current(inode: &Identity) -> Option<ARef<File>> {
    // SAFETY: May always be called by a task for itself.
    let file = unsafe { ffi::pbm_open_file(inode.dev, inode.ino, inode.generation) };
    let file = NonNull::new(file)?;
    // SAFETY: It gave a reference of its own. That the file is in a descriptor table does not matter
    // here: nothing of this module uses its position.
    Some(unsafe { ARef::from_raw(file.cast()) })
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

/// The name of the filesystem that has the pages of `file`, which is another one if [`filesystem`]
/// is stacked.
pub(crate) fn data_filesystem(file: &File) -> &CStr {
    // SAFETY: The open file keeps its path, and so both filesystems and their names.
    unsafe { CStr::from_char_ptr(ffi::pbm_data_filesystem(path_of(file))) }
}

/// Where `file` was opened; there for as long as the file is.
pub(super) fn path_of(file: &File) -> *const bindings::path {
    // SAFETY: The file is referenced; `f_path` does not change while it is open.
    unsafe { &raw const (*file.as_ptr()).__bindgen_anon_1.f_path }
}

/// Where `file` keeps its pages.
pub(super) fn mapping(file: &File) -> *mut bindings::address_space {
    // SAFETY: An open file has a path with an inode, and that a mapping.
    unsafe { ffi::pbm_mapping(path_of(file)) }
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
    /// Where the user opened `file`, also if that is the file of a mapping below a stacked filesystem.
    pub(crate) fn of(file: &File) -> Self {
        // SAFETY: The file is referenced, and its paths do not change while it is open.
        let path = unsafe { *ffi::pbm_user_path(file.as_ptr()) };
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
        // SAFETY: It is what `dentry_open` returned.
        unsafe { opened(file) }
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

    /// As the kernel knows it.
    pub(super) fn as_raw(&self) -> *const bindings::path {
        &self.0
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
        // SAFETY: The path is referenced; one that was looked up has an inode.
        unsafe { ffi::pbm_inode_read(&self.0, &mut inode) };
        Inode(inode)
    }

    /// Where the inode there keeps its pages.
    pub(super) fn mapping(&self) -> *mut bindings::address_space {
        // SAFETY: The path is referenced; one that was looked up has an inode, and that a mapping.
        unsafe { ffi::pbm_mapping(&self.0) }
    }

    /// The name of the filesystem there, as in `/proc/filesystems`.
    pub(crate) fn filesystem(&self) -> &CStr {
        // SAFETY: The path keeps its superblock and the filesystem's module, and so the name.
        unsafe { CStr::from_char_ptr((*(*(*self.0.dentry).d_sb).s_type).name) }
    }

    /// The name of the filesystem that has the pages of the file there; see [`data_filesystem`].
    pub(crate) fn data_filesystem(&self) -> &CStr {
        // SAFETY: The path keeps both filesystems and their names.
        unsafe { CStr::from_char_ptr(ffi::pbm_data_filesystem(&self.0)) }
    }

    /// Writes the way from `root`, or from the topmost mount, to the end of `buffer`, and returns
    /// it.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW`.
    pub(crate) fn name<'b>(&self, root: Option<&Self>, buffer: &'b mut [u8]) -> Result<&'b [u8]> {
        self.name_and_mode(root, buffer).map(|(name, _)| name)
    }

    /// As [`Path::name`], if the modes of the file and of the folders on the way let everybody read
    /// it.
    ///
    /// # Errors
    ///
    /// `EOVERFLOW`, or `EACCES` if they do not.
    pub(crate) fn public_name<'b>(
        &self,
        root: Option<&Self>,
        buffer: &'b mut [u8],
    ) -> Result<&'b [u8]> {
        let (name, is_public) = self.name_and_mode(root, buffer)?;
        is_public.then_some(name).ok_or(EACCES)
    }

    fn name_and_mode<'b>(
        &self,
        root: Option<&Self>,
        buffer: &'b mut [u8],
    ) -> Result<(&'b [u8], bool)> {
        let root = root.map_or(core::ptr::null(), |root| &raw const root.0);
        let len = i32::try_from(buffer.len())?;
        let mut is_public = false;
        // SAFETY: The paths are referenced; `buffer` may be written for its whole length.
        let start =
            unsafe { ffi::pbm_path_name(&self.0, root, buffer.as_mut_ptr(), len, &mut is_public) };
        let start = usize::try_from(start).map_err(|_| EOVERFLOW)?;
        Ok((buffer.get(start..).ok_or(EOVERFLOW)?, is_public))
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
        // SAFETY: It is what `kernel_file_open` returned.
        unsafe { opened(file) }
    }

    /// Whether the filesystem was mounted in a user namespace: who did that decides when it answers.
    pub(crate) fn is_mounted_by_user(&self) -> bool {
        // SAFETY: The path is referenced.
        unsafe { ffi::pbm_is_users(&self.0) }
    }

    /// Whether current owns the file, or may do what its owner may.
    pub(crate) fn is_owner(&self) -> bool {
        // SAFETY: The path is referenced.
        unsafe { ffi::pbm_is_owner(&self.0) }
    }

    /// Whether current could write the file: mode, owner, ACL, mount and security module.
    pub(crate) fn may_write(&self) -> Result {
        // SAFETY: The path is referenced.
        to_result(unsafe { ffi::pbm_may_write(&self.0) })
    }

    /// The extended attribute `name`; [`None`] if the file has none.
    ///
    /// # Errors
    ///
    /// `E2BIG` if it has more than `most` bytes, or the filesystem's error.
    pub(crate) fn attribute(&self, name: &CStr, most: usize) -> Result<Option<KVVec<u8>>> {
        // SAFETY: The path is referenced.
        unsafe { attribute_at(&self.0, name, most) }
    }

    /// Sets the extended attribute `name` with the rights of current.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the filesystem is frozen, or why it cannot be set.
    pub(crate) fn set_attribute(&self, name: &CStr, value: &[u8]) -> Result {
        // SAFETY: The path is referenced; `value` may be read for its whole length.
        to_result(unsafe {
            ffi::pbm_attribute_set(
                &self.0,
                name.as_char_ptr(),
                value.as_ptr().cast(),
                value.len(),
            )
        })
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
        // SAFETY: Whoever made the value took the references that are dropped here.
        unsafe { bindings::path_put(&self.0) };
    }
}

/// The extended attribute `name` of `file`; as [`Path::attribute`], without taking a reference.
pub(crate) fn attribute(file: &File, name: &CStr, most: usize) -> Result<Option<KVVec<u8>>> {
    // SAFETY: The open file keeps its path.
    unsafe { attribute_at(path_of(file), name, most) }
}

/// What a filesystem says if a file does not have an attribute, or none has.
const NO_ATTRIBUTE: [u32; 2] = [bindings::ENODATA, bindings::EOPNOTSUPP];

/// The attribute of the file at `path`.
///
/// # Safety
///
/// The path is referenced and has an inode.
unsafe fn attribute_at(
    path: *const bindings::path,
    name: &CStr,
    most: usize,
) -> Result<Option<KVVec<u8>>> {
    let get = |to: &mut [u8]| -> Result<usize> {
        // SAFETY: By the contract; `to` may be written for its whole length.
        let len = unsafe {
            ffi::pbm_attribute_get(path, name.as_char_ptr(), to.as_mut_ptr().cast(), to.len())
        };
        usize::try_from(len).map_err(|_| Error::from_errno(len))
    };
    let len = match get(&mut []) {
        Ok(len) if len > most => return Err(E2BIG),
        Ok(len) => len,
        Err(error) if NO_ATTRIBUTE.contains(&error.to_errno().unsigned_abs()) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut value = KVVec::from_elem(0, len, GFP_KERNEL)?;
    if len != 0 {
        // If it has become another one meanwhile, what was read will not have the right checksum.
        get(&mut value)?;
    }
    Ok(Some(value))
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OpenFor {
    /// Reading.
    Reading,
    /// Reading and writing; it is made if it is not there.
    Writing,
    /// The same, with nothing in it.
    Anew,
}

/// The file `name` in the folder at the absolute path `folder`, as the first process sees it, with
/// the rights of current.
///
/// # Errors
///
/// `EPERM` if somebody else than root could have written it, `EBUSY` if its filesystem is frozen, and
/// those of a look-up.
pub(crate) fn open_in(folder: &CStr, name: &CStr, purpose: OpenFor) -> Result<ARef<File>> {
    let flags = match purpose {
        OpenFor::Reading => bindings::O_RDONLY,
        OpenFor::Writing => bindings::O_RDWR | bindings::O_CREAT,
        OpenFor::Anew => bindings::O_RDWR | bindings::O_CREAT | bindings::O_TRUNC,
    } as i32;
    // SAFETY: The strings end with a zero byte.
    let file = unsafe { ffi::pbm_folder_open(folder.as_char_ptr(), name.as_char_ptr(), flags) };
    // SAFETY: It is what `pbm_folder_open` returned.
    unsafe { opened(file) }
}

/// What one of the kernel's functions that open a file made of it.
///
/// # Safety
///
/// `file` is an error, or a reference of its own to a file that is in no descriptor table.
unsafe fn opened(file: *mut bindings::file) -> Result<ARef<File>> {
    let file = kernel::error::from_err_ptr(file)?;
    let file = NonNull::new(file).ok_or(EIO)?;
    // SAFETY: The caller has the reference.
    Ok(unsafe { ARef::from_raw(file.cast()) })
}

/// Writes all of `data` at `offset` into a file that was opened for writing.
pub(crate) fn write(file: &File, offset: u64, data: &[u8]) -> Result {
    let mut position = bindings::loff_t::try_from(offset)?;
    // SAFETY: The file is open; `data` may be read for its whole length.
    let written = unsafe {
        bindings::kernel_write(
            file.as_ptr(),
            data.as_ptr().cast(),
            data.len(),
            &mut position,
        )
    };
    written_all(written, data.len())
}

/// What a write of `len` bytes has come to.
fn written_all(written: isize, len: usize) -> Result {
    match usize::try_from(written) {
        Ok(written) if written == len => Ok(()),
        Ok(_) => Err(EIO),
        Err(_) => Err(Error::from_errno(i32::try_from(written)?)),
    }
}

/// Waits until all that was written to `file` is on the device.
pub(crate) fn sync(file: &File) -> Result {
    // SAFETY: The file is open.
    to_result(unsafe { bindings::vfs_fsync_range(file.as_ptr(), 0, i64::MAX, 1) })
}

/// A file that was opened for this purpose alone and is written although programs run from it.
pub(crate) struct InPlace<'a> {
    file: ARef<File>,
    cred: &'a Credential,
}

impl<'a> InPlace<'a> {
    /// Opens `path` with `cred`, on whose account it will be written.
    ///
    /// # Errors
    ///
    /// As of [`Path::open`]: whether the file may be written is not asked.
    pub(crate) fn open(path: &Path, cred: &'a Credential) -> Result<Self> {
        let _as_user = cred::Override::new(cred);
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
        written_all(written, data.len())
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
