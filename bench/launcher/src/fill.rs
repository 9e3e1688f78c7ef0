// SPDX-License-Identifier: GPL-2.0

//! Fills the disk under test from the disk that holds its image.
//!
//! Past the page cache, which would copy everything twice more, and without the parts that are all zeros, which a
//! null_blk disk that was never written reads as anyway: under emulation that is most of the time it takes to get
//! started.

use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};

const CHUNK: usize = 1 << 20;
/// What direct reads and writes want their memory aligned to, at most.
const ALIGNMENT: usize = 4096;

/// Copies `source` to `disk`, which is as large or larger.
pub(crate) fn fill(source: &Path, disk: &Path) -> Result<()> {
    let mut direct = OpenOptions::new();
    direct.custom_flags(libc::O_DIRECT);
    let from = direct
        .clone()
        .read(true)
        .open(source)
        .with_context(|| source.display().to_string())?;
    let to = direct
        .write(true)
        .open(disk)
        .with_context(|| disk.display().to_string())?;

    let mut memory = vec![0; CHUNK + ALIGNMENT];
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    let chunk = memory
        .get_mut(start..start + CHUNK)
        .context("memory cannot be aligned")?;
    let mut offset = 0;
    loop {
        let length = from
            .read_at(chunk, offset)
            .with_context(|| format!("reading at {offset}"))?;
        let Some(read) = chunk.get(..length).filter(|read| !read.is_empty()) else {
            return to.sync_all().context("syncing");
        };
        if read.iter().any(|byte| *byte != 0) {
            to.write_all_at(read, offset)
                .with_context(|| format!("writing at {offset}"))?;
        }
        offset += length as u64;
    }
}
