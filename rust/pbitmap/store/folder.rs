// SPDX-License-Identifier: GPL-2.0

//! The folder `vm.pbitmap_dir`: bitmaps of programs that cannot be written, a file each.
//!
//! A file is called by the build id of the program and has what a section has: two slots that are
//! written in turn. The folder, the file and whoever wrote it are root's; a file or folder that
//! somebody else could have written is not read.

use super::{
    super::{
        format::{
            error::Error as FormatError,
            slot::{
                BuildId,
                SlotHeader, //
            },
            MAX_SLOT, //
        },
        stats::{
            Reason,
            Refusal, //
        },
        sys::file::{
            self,
            Inode,
            OpenFor, //
        },
        sysctl,
    },
    slots::Slots,
    zeroed, Loaded, Stored, WriteError,
};
use kernel::{
    fs::File,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
    }, //
};

/// What the name of a file ends with.
const SUFFIX: &[u8] = b".pbitmap\0";

/// Bytes of the longest name.
const NAME_LEN: usize = BuildId::MAX * 2 + SUFFIX.len();

/// Files that are made on behalf of users who are not trusted, until the module is loaded again: of 2
/// MiB at most, and none where less than a sixteenth is free.
const MAX_MADE: u64 = 1024;

static MADE: Atomic<u64> = Atomic::new(0);

/// The folder that the administrator named.
pub(crate) struct Folder(sysctl::Text);

/// A file of it, to be written.
pub(crate) struct Target {
    file: ARef<File>,
    slots: Slots,
    /// The slot in force, if there is one.
    pub(crate) current: Option<(usize, Loaded)>,
}

impl Folder {
    /// The folder; [`None`] if there is none.
    pub(crate) fn configured() -> Option<Self> {
        let path = sysctl::dir();
        (!path.is_empty()).then_some(Self(path))
    }

    /// What was recorded of the program of `stored`, unless that is later.
    pub(crate) fn newer(&self, stored: &Stored) -> Result<Option<Loaded>, Refusal> {
        let travelled = stored.loaded.slot()?;
        if travelled.header().build_id().as_bytes().is_empty() {
            return Ok(None);
        }
        let file = match self.open(&travelled.header().build_id(), OpenFor::Reading) {
            Ok(file) => file,
            Err(error) if error == ENOENT => return Ok(None),
            Err(error) => return Err(refusal(error)),
        };
        let (_, loaded) = slots_of(&file, stored)?.read(&file)?;
        let is_newer = updated(&loaded)? >= updated(&stored.loaded)?;
        Ok(is_newer.then_some(loaded))
    }

    /// The file for the program of `stored`, made if it is not there. A user who is not `trusted` may
    /// have the files of other programs neither replaced nor crowded out: anybody can make a program
    /// with any build id.
    pub(crate) fn target(&self, stored: &Stored, trusted: bool) -> Result<Target, WriteError> {
        let build_id = stored.loaded.slot()?.header().build_id();
        if !trusted && MADE.load(Relaxed) >= MAX_MADE {
            let there = self.open(&build_id, OpenFor::Reading);
            if there.is_err_and(|error| error == ENOENT) {
                return Err(Reason::Full.into());
            }
        }
        let file = self
            .open(&build_id, OpenFor::Writing)
            .map_err(write_error)?;
        let current = slots_of(&file, stored).and_then(|slots| {
            let (index, loaded) = slots.read(&file)?;
            let is_newest = updated(&loaded)? >= updated(&stored.loaded)?;
            Ok(is_newest.then_some((slots, index, loaded)))
        });
        match current {
            Ok(Some((slots, index, loaded))) => {
                return Ok(Target {
                    file,
                    slots,
                    current: Some((index, loaded)),
                });
            }
            // It may be sound.
            Err(refusal) if refusal == Reason::ReadError.into() => return Err(refusal.into()),
            // It is that of another program.
            Err(refusal) if refusal == FormatError::Stale.into() && !trusted => {
                return Err(refusal.into());
            }
            // Nothing in it is of use, such as after a power cut when it was made.
            Ok(None) | Err(_) => (),
        }
        let size = stored.loaded.slot()?.header().slot_size as usize;
        let file = if Inode::of(&file).size() == 0 {
            if !trusted {
                MADE.fetch_add(1, Relaxed);
            }
            file
        } else {
            drop(file);
            self.open(&build_id, OpenFor::Anew).map_err(write_error)?
        };
        Ok(Target {
            file,
            slots: Slots::new(0, size, stored.identity),
            current: None,
        })
    }

    fn open(&self, build_id: &BuildId, purpose: OpenFor) -> Result<ARef<File>> {
        let mut name = [0; NAME_LEN];
        let digits = build_id.as_bytes().iter().flat_map(|byte| {
            [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)])
        });
        let bytes = Iterator::chain(digits, SUFFIX.iter().copied());
        for (to, from) in name.iter_mut().zip(bytes) {
            *to = from;
        }
        let name = CStr::from_bytes_until_nul(&name).map_err(|_| EINVAL)?;
        file::open_in(self.0.as_c_str(), name, purpose)
    }
}

impl Target {
    /// Writes `next`, the slot that follows the one in force.
    pub(crate) fn write(&self, next: &[u8]) -> Result<(), WriteError> {
        // What is in force must outlast a power cut during this write.
        file::sync(&self.file)?;
        match &self.current {
            Some((index, _)) if next.len() == self.slots.size() => {
                file::write(&self.file, self.slots.offset_beside(*index), next)?;
            }
            Some(_) => return Err(Reason::BadSection.into()),
            None => {
                file::write(&self.file, self.slots.offset_of(1), &zeroed(next.len())?)?;
                file::write(&self.file, 0, next)?;
            }
        }
        Ok(())
    }
}

/// When a bitmap was last recorded.
fn updated(loaded: &Loaded) -> Result<u64, Refusal> {
    Ok(loaded.slot()?.header().updated)
}

/// The slots that fill `file`, of the program of `stored`.
fn slots_of(file: &File, stored: &Stored) -> Result<Slots, Refusal> {
    let size = usize::try_from(Inode::of(file).size() / 2).unwrap_or(usize::MAX);
    if !(SlotHeader::SIZE..=MAX_SLOT).contains(&size) {
        return Err(Reason::BadSection.into());
    }
    Ok(Slots::new(0, size, stored.identity))
}

fn refusal(error: Error) -> Refusal {
    if error == EPERM {
        Reason::FolderUnsafe.into()
    } else {
        Reason::ReadError.into()
    }
}

fn write_error(error: Error) -> WriteError {
    if error == EPERM {
        Reason::FolderUnsafe.into()
    } else {
        error.into()
    }
}
