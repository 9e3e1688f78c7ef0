// SPDX-License-Identifier: GPL-2.0

//! `/etc/ld.so.cache`: where the dynamic loader finds libraries by their names.
//!
//! Only the format that glibc has written since 2.2 is read, which may follow the one before it in
//! the same file.

use std::{collections::HashMap, ffi::OsStr, os::unix::ffi::OsStrExt as _, path::PathBuf};

/// Where it is.
pub const PATH: &str = "/etc/ld.so.cache";

/// The first bytes: name and version of the format.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";

/// Bytes of the header, in which the number of entries follows the magic.
const HEADER: usize = 48;

/// Bytes of an entry: flags, where name and path are, and what the processor must be able to do.
const ENTRY: usize = 24;

/// The paths of each library, for every architecture.
#[derive(Clone, Debug, Default)]
pub struct LdCache {
    paths: HashMap<Vec<u8>, Vec<PathBuf>>,
}

impl LdCache {
    /// Reads what can be read of it; what cannot is left out.
    pub fn parse(file: &[u8]) -> Self {
        let mut cache = Self::default();
        // Names and paths are counted from the magic on.
        let Some(start) = file.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) else {
            return cache;
        };
        let bytes = file.get(start..).unwrap_or_default();
        let count = number(bytes, MAGIC.len()).unwrap_or(0);
        let entries = bytes.get(HEADER..).unwrap_or_default();
        for entry in entries.chunks_exact(ENTRY).take(count) {
            let text = |at| number(entry, at).and_then(|at| string(bytes, at));
            if let (Some(name), Some(path)) = (text(4), text(8)) {
                let path = PathBuf::from(OsStr::from_bytes(path));
                cache.paths.entry(name.to_vec()).or_default().push(path);
            }
        }
        cache
    }

    /// The paths of the library called `name`.
    pub fn find(&self, name: &[u8]) -> &[PathBuf] {
        self.paths.get(name).map_or(&[], Vec::as_slice)
    }
}

/// The 32-bit number at `at`.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*bytes)).ok()
}

/// The text at `at`, up to its zero.
fn string(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let text = bytes.get(at..)?;
    // No path is longer; a file may be one that somebody made.
    let text = text.get(..4096).unwrap_or(text);
    let end = text.iter().position(|byte| *byte == 0)?;
    text.get(..end)
}
