// SPDX-License-Identifier: GPL-2.0

//! `remove`: gives back the file that was annotated, byte for byte.

use std::{fmt, path::Path};

use anyhow::{bail, Result};
use clap::Args;

use crate::{
    elf_edit::{self, find_undo, Undo},
    inspect::{Inspection, State},
    replace::replace,
    target::Target,
};

/// What `remove` may do.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Replace a file that has other hard links; those keep the annotated file
    #[arg(long)]
    pub break_hard_links: bool,
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Done {
    /// It is as it was before it was annotated.
    Removed,
    /// Nothing: it has no bitmap.
    Nothing,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "as it was before it was annotated",
            Self::Nothing => "not annotated: nothing to remove",
        })
    }
}

/// Takes the bitmap out of the program at `path`.
pub fn remove(path: &Path, options: &Options) -> Result<Done> {
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let inspection = Inspection::new(&contents)?;
    let undo = match find_undo(&contents) {
        Undo::Possible(undo) => undo,
        _ if inspection.state() == State::NotAnnotated => return Ok(Done::Nothing),
        Undo::Missing => bail!(
            "another program has rewritten the file since it was annotated (strip and objcopy do \
             that), and what it was before is not known; \
             `objcopy --remove-section=.pbitmap FILE` takes the bitmap out"
        ),
        Undo::Edited => bail!(
            "another program has edited the file since it was annotated (patchelf does that), so \
             that putting the old headers back would break it; \
             `objcopy --remove-section=.pbitmap FILE` takes the bitmap out"
        ),
    };
    let edit = elf_edit::remove(&contents, &undo)?;
    let facts = target.facts()?;
    facts.check(options.break_hard_links)?;
    replace(&target, &facts, &edit)?;
    Ok(Done::Removed)
}
