// SPDX-License-Identifier: GPL-2.0

//! Reading whole files before the program asks for parts of them: what `vmtouch -t` and the like do for a start.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sys;

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
        sys::read_ahead(&file, 0, size);
    }
    Ok(())
}
