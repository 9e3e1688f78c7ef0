// SPDX-License-Identifier: GPL-2.0

//! The way to a file that a bitmap names, as a user would go it.

use super::{
    filesystem,
    stats::{
        Reason,
        Refusal, //
    },
    sys::file::Path,
};
use kernel::prelude::*;

/// The way from a root through folders of local filesystems; it remembers the last folder, since
/// libraries are neighbours.
pub(crate) struct Walk<'a> {
    root: &'a Path,
    folder: KVec<u8>,
    place: Option<Path>,
}

impl<'a> Walk<'a> {
    /// From `root`.
    pub(crate) fn new(root: &'a Path) -> Self {
        Self {
            root,
            folder: KVec::new(),
            place: None,
        }
    }

    /// As [`known`].
    pub(crate) fn known(&self, path: &CStr) -> Result<Path> {
        known(self.root, path)
    }

    /// Goes to `path`, one component after the other, so that a filesystem is known before it is
    /// asked.
    pub(crate) fn to(&mut self, path: &CStr) -> Result<Path, Refusal> {
        let bytes = path.to_bytes();
        let split = bytes
            .iter()
            .rposition(|byte| *byte == b'/')
            .ok_or(Reason::LibraryGone)?;
        let (folder, name) = bytes.split_at(split);
        if self.place.is_none() || *self.folder != *folder {
            let mut place = self.root.again();
            for component in folder.split(|byte| *byte == b'/') {
                if !component.is_empty() {
                    place = step(&place, component)?;
                }
            }
            self.place = None;
            self.folder.clear();
            self.folder
                .extend_from_slice(folder, GFP_KERNEL)
                .map_err(|_| Reason::NoRecorder)?;
            self.place = Some(place);
        }
        let place = self.place.as_ref().ok_or(Reason::LibraryGone)?;
        step(place, name.get(1..).unwrap_or_default())
    }
}

/// What the kernel has by name at `path`, without asking a filesystem.
///
/// # Errors
///
/// `EAGAIN` if that is not known; what a look-up says.
pub(crate) fn known(root: &Path, path: &CStr) -> Result<Path> {
    root.look_up(relative(path), true)
}

/// One component further.
fn step(from: &Path, name: &[u8]) -> Result<Path, Refusal> {
    /// `NAME_MAX`, and a zero byte.
    const ROOM: usize = 256;

    if !filesystem::answers(from) {
        return Err(Reason::LibraryFilesystem.into());
    }
    if name == b"." || name == b".." {
        return Err(Reason::LibraryGone.into());
    }
    let mut buffer = [0; ROOM];
    buffer
        .get_mut(..name.len())
        .filter(|room| room.len() < ROOM)
        .ok_or(Reason::LibraryGone)?
        .copy_from_slice(name);
    let name = CStr::from_bytes_until_nul(&buffer).map_err(|_| Reason::LibraryGone)?;
    from.look_up(name, false).map_err(look_up_refusal)
}

pub(crate) fn look_up_refusal(error: Error) -> Refusal {
    if error == EACCES || error == EPERM {
        Reason::LibraryUnreadable.into()
    } else {
        Reason::LibraryGone.into()
    }
}

/// A path without the slash at its beginning, as it is looked up from a root.
fn relative(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let start = bytes.iter().take_while(|byte| **byte == b'/').count();
    bytes
        .get(start..)
        .and_then(|rest| CStr::from_bytes_with_nul(rest).ok())
        .unwrap_or(path)
}
