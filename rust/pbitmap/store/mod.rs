// SPDX-License-Identifier: GPL-2.0

//! Where bitmaps live.
//!
//! A bitmap travels with its file, in an extended [`attribute`](xattr) or in a [`section`]. If
//! there are both, the attribute is in force: whoever administers the machine has put it there,
//! while a section may have come with the package.
//!
//! Where neither can be written, what was recorded goes to a [`folder`]. A file there is in force as
//! long as the bitmap that travels with the program is not a later one.

use super::{
    format::{
        elf::{
            self,
            Header, //
        },
        slot::{
            Identity,
            Slot, //
        },
        MAX_PHNUM,
        PAGE_SIZE, //
    },
    stats::{
        Counter,
        Reason,
        Refusal, //
    },
    sys::{
        cred,
        file::{
            self,
            Inode, //
        }, //
    },
};
use folder::Folder;
use kernel::{
    cred::Credential,
    fs::File,
    prelude::*, //
};
use section::Section;

pub(crate) mod folder;
pub(crate) mod section;
mod slots;
pub(crate) mod xattr;

/// Program headers up to this many bytes are read to the stack: 18 of them. Few programs have more.
const SMALL: usize = 1024;

/// Where a bitmap is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// In the attribute `user.pbitmap` of the file.
    Attribute,
    /// In the section `.pbitmap` of the file.
    Section,
    /// In a file of the folder `vm.pbitmap_dir`.
    Folder,
}

/// The used bytes of a slot that was found valid.
pub(crate) struct Loaded(KVVec<u8>);

impl Loaded {
    /// The slot.
    pub(crate) fn slot(&self) -> Result<Slot<'_>, Refusal> {
        Ok(Slot::checked_before(&self.0)?)
    }
}

/// A bitmap that was found for a file.
pub(crate) struct Stored {
    /// What it says.
    pub(crate) loaded: Loaded,
    /// Where the one is that travels with the file: not [`Place::Folder`].
    pub(crate) travels: Place,
    /// What a bitmap must have been made for.
    pub(crate) identity: Identity,
}

/// The bitmap for `file`, an ELF file with this header and these first bytes; [`None`] if it has
/// none, which costs one look at its program headers and one for its attribute. The folder is read
/// as `kernel`.
pub(crate) fn find(
    file: &File,
    header: &Header,
    head: &[u8],
    kernel: &Credential,
) -> Result<Option<Stored>, Refusal> {
    let stored = with_program_headers(file, header, head, |phdrs| {
        let found = xattr::of_file(file).and_then(|value| match value {
            Some(value) => xattr::unpack(&value, &identity(header, phdrs)).map(Some),
            None => Ok(None),
        });
        let stored = |loaded, travels| Stored {
            loaded,
            travels,
            identity: identity(header, phdrs),
        };
        if let Ok(Some(unpacked)) = found {
            Counter::Armed.add(1);
            Counter::UsedAttribute.add(1);
            return Ok(Some(stored(unpacked.slot, Place::Attribute)));
        }
        let section = Section::find(file, Inode::of(file).size(), header, phdrs);
        match (found, section?) {
            (Err(refusal), None) => {
                Counter::Armed.add(1);
                Err(refusal)
            }
            (Ok(_), None) => Ok(None),
            (found, Some(section)) => {
                Counter::Armed.add(1);
                if let Err(refusal) = found {
                    // The section is as good as without.
                    refusal.count();
                }
                let (_, loaded) = section.read(file)?;
                Ok(Some(stored(loaded, Place::Section)))
            }
        }
    })?;
    let Some(mut stored) = stored else {
        return Ok(None);
    };
    if let Some(folder) = Folder::configured() {
        let _as_kernel = cred::Override::new(kernel);
        match folder.newer(&stored) {
            Ok(Some(loaded)) => {
                Counter::UsedFolder.add(1);
                stored.loaded = loaded;
            }
            Ok(None) => {}
            Err(refusal) => refusal.count(),
        }
    }
    Ok(Some(stored))
}

/// What a bitmap for an ELF file must have been made for.
pub(crate) fn identity(header: &Header, phdrs: &[u8]) -> Identity {
    Identity::new(elf::layout_crc(header, phdrs))
}

/// Calls `look` with the program headers of `file`. Mostly they are in its first bytes, which exec
/// has read.
pub(crate) fn with_program_headers<R>(
    file: &File,
    header: &Header,
    head: &[u8],
    look: impl FnOnce(&[u8]) -> Result<R, Refusal>,
) -> Result<R, Refusal> {
    let range = header.program_headers()?;
    let in_head = usize::try_from(range.offset)
        .ok()
        .and_then(|start| head.get(start..start.checked_add(range.len)?));
    if let Some(phdrs) = in_head {
        return look(phdrs);
    }
    if range.len <= SMALL {
        let mut buffer = [0; SMALL];
        let phdrs = buffer.get_mut(..range.len).ok_or(Reason::ReadError)?;
        read(file, range.offset, phdrs)?;
        return look(phdrs);
    }
    const { assert!(MAX_PHNUM as usize * elf::ProgramHeader::SIZE <= 2 * PAGE_SIZE as usize) };
    let mut phdrs = zeroed(range.len)?;
    read(file, range.offset, &mut phdrs)?;
    look(&phdrs)
}

/// Why a bitmap was not written.
pub(crate) enum WriteError {
    /// It was not tried.
    Refused(Refusal),
    /// The filesystem failed.
    Failed(Error),
}

impl From<Refusal> for WriteError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Reason> for WriteError {
    fn from(reason: Reason) -> Self {
        Self::Refused(reason.into())
    }
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error {
            EROFS => Self::Refused(Reason::ReadOnly.into()),
            EACCES | EPERM => Self::Refused(Reason::Denied.into()),
            // What a frozen filesystem says.
            EBUSY => Self::Refused(Reason::Frozen.into()),
            // Somebody else is at it.
            EAGAIN => Self::Refused(Reason::Busy.into()),
            _ if file::is_full(error) => Self::Refused(Reason::Full.into()),
            _ => Self::Failed(error),
        }
    }
}

fn read(file: &File, offset: u64, buffer: &mut [u8]) -> Result<(), Refusal> {
    file::read_exact(file, offset, buffer).map_err(|_| Reason::ReadError.into())
}

fn zeroed(len: usize) -> Result<KVVec<u8>, Refusal> {
    // A program keeps its slot until it is recorded.
    KVVec::from_elem(0, len, GFP_KERNEL_ACCOUNT).map_err(|_| Reason::ReadError.into())
}
