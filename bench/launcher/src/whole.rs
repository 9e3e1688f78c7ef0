// SPDX-License-Identifier: GPL-2.0

//! Reading whole files before the program asks for parts of them: what `vmtouch -t` and the like do for a start.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// So many bytes are asked for at a time: the kernel reads no more of a request than the device takes at once, and
/// forgets the rest.
const REQUEST: usize = 128 * 1024;

/// The files that `list` names, below `root`.
pub(crate) fn files(list: &Path, root: Option<&Path>) -> Result<Vec<PathBuf>> {
    let text = fs::read_to_string(list).with_context(|| list.display().to_string())?;
    let root = root.unwrap_or(Path::new("/"));
    Ok(text
        .lines()
        .map(|path| root.join(path.trim_start_matches('/')))
        .collect())
}

/// Asks for all of each file. Waits for nothing but the look-ups.
pub(crate) fn read(files: &[PathBuf]) -> Result<()> {
    for path in files {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let size = file.metadata()?.len();
        for offset in (0..size).step_by(REQUEST) {
            // SAFETY: Nothing but numbers goes in. What it can't read, the program will.
            unsafe { libc::readahead(file.as_raw_fd(), offset as libc::off64_t, REQUEST) };
        }
    }
    Ok(())
}
