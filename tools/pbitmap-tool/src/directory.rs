// SPDX-License-Identifier: GPL-2.0

//! Bitmaps in files of their own, which are called by the build id of their program: those of
//! `vm.pbitmap_dir`, and those that travel from one machine to another.

use std::{
    fs::{File, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use pbitmap_core::format::{
    error::Error,
    slot::{self, BuildId, Identity, Slot},
    MAX_SLOT,
};

/// What the name of such a file ends in.
const EXTENSION: &str = "pbitmap";

/// A file with the bytes of a section: two slots.
#[derive(Clone, Debug)]
pub struct BitmapFile {
    /// Where it is.
    pub path: PathBuf,
    bytes: Vec<u8>,
}

impl BitmapFile {
    /// Reads the file at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let largest = 2 * MAX_SLOT as u64;
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(largest + 1).read_to_end(&mut bytes)?;
        Ok(Self {
            path: path.to_owned(),
            bytes,
        })
    }

    /// Reads the file for `build_id` in `directory`, if there is one.
    pub fn find(directory: &Path, build_id: &BuildId) -> io::Result<Option<Self>> {
        let Some(name) = name(build_id) else {
            return Ok(None);
        };
        match Self::open(&directory.join(name)) {
            Ok(file) => Ok(Some(file)),
            // (what is set need not be a directory; the kernel finds nothing there either)
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The slot that is in force, with its index.
    pub fn slot(&self, identity: &Identity) -> Result<(usize, Slot<'_>), Error> {
        slot::choose(&self.bytes, identity)
    }

    /// The slot that would be in force if it were for this program.
    pub fn any_slot(&self) -> Option<(usize, Slot<'_>)> {
        any_slot(&self.bytes)
    }
}

/// The slot of a section that is in force, whatever it was made for.
pub fn any_slot(section: &[u8]) -> Option<(usize, Slot<'_>)> {
    let (first, second) = section.split_at(section.len() / 2);
    [first, second]
        .into_iter()
        .filter_map(|bytes| slot::SlotHeader::parse(bytes).ok())
        .filter_map(|header| {
            let identity = Identity {
                layout_crc: header.layout_crc,
                page_size: header.page_size,
            };
            slot::choose(section, &identity).ok()
        })
        .max_by_key(|(_, slot)| slot.header().generation)
}

/// What the file of a program is called; it has none without a build id.
pub fn name(build_id: &BuildId) -> Option<String> {
    hex(build_id).map(|id| format!("{id}.{EXTENSION}"))
}

/// A build id in hexadecimal, if there is one.
pub fn hex(id: &BuildId) -> Option<String> {
    let digits = id.as_bytes().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect();
    (!hex.is_empty()).then_some(hex)
}

/// The bytes of a section of which `slot` is the first slot and the other one is empty.
pub fn two_slots(mut slot: Vec<u8>) -> Vec<u8> {
    slot.resize(slot.len() * 2, 0);
    slot
}

/// Writes a file of two slots, of which everybody sees the old one or the new one.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let written = || -> Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".pbitmap-")
            .permissions(Permissions::from_mode(0o644))
            .tempfile_in(directory)?;
        file.write_all(bytes)?;
        // The umask does not count: who may start a program may know what it reads.
        file.as_file()
            .set_permissions(Permissions::from_mode(0o644))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_found_where_there_is_no_directory() -> io::Result<()> {
        let file = tempfile::NamedTempFile::new()?;
        let missing = file.path().with_extension("missing");
        let build_id = BuildId::new(&[7; 20]);
        for place in [file.path(), &missing] {
            assert!(BitmapFile::find(place, &build_id)?.is_none());
        }
        Ok(())
    }
}
