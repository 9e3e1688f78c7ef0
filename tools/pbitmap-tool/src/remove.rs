// SPDX-License-Identifier: GPL-2.0

//! `remove`: gives back the file that was annotated, byte for byte.

use std::{fmt, path::Path};

use anyhow::{bail, Result};
use clap::Args;
use serde::Serialize;

use crate::{
    elf_edit::{self, find_undo, Undo},
    image::Image,
    inspect::{Inspection, State},
    replace::replace,
    target::Target,
};

/// What `--help` says at its end.
pub const HELP: &str = "\
What the kernel has recorded since is lost. The times of the file stay as they are. A file that
another program has rewritten (strip) or edited (patchelf) since it was annotated is refused.

Exit codes:
  0  no file has a bitmap any more
  1  some have; the others were handled all the same
  2  the command line was wrong

Example:
  pbitmap-tool remove ./program";

/// What `remove` may do.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Replace a file that has other hard links; those keep the annotated file
    #[arg(long)]
    pub break_hard_links: bool,
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Done {
    /// It is as it was before it was annotated.
    Removed,
    /// The same, but it had a bitmap even then.
    RemovedLast,
    /// It had no bitmap, but the marker of one.
    Disarmed,
    /// Nothing: it has no bitmap.
    Nothing,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Removed {
    /// What was done.
    pub done: Done,
}

impl From<Done> for Removed {
    fn from(done: Done) -> Self {
        Self { done }
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "as it was before it was annotated",
            Self::RemovedLast => {
                "as it was before it was annotated the last time, with a bitmap that is not in \
                 use; `objcopy --remove-section=.pbitmap FILE` takes that out"
            }
            Self::Disarmed => "the marker was cleared; there was no bitmap",
            Self::Nothing => "not annotated: nothing to remove",
        })
    }
}

/// Takes the bitmap out of the program at `path`.
pub fn remove(path: &Path, options: &Options) -> Result<Removed> {
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let inspection = Inspection::new(&contents)?;
    let (edit, done) = match (find_undo(&contents), inspection.state()) {
        (Undo::Possible(undo), _) => {
            let original = Image::parse_original(&contents, &undo)?;
            let done = match original.bitmap_section() {
                Some(_) => Done::RemovedLast,
                None => Done::Removed,
            };
            (elf_edit::remove(&original), done)
        }
        (_, State::NotAnnotated) if inspection.is_armed() => {
            (elf_edit::disarm(&Image::parse(&contents)?), Done::Disarmed)
        }
        (_, State::NotAnnotated) => return Ok(Done::Nothing.into()),
        (Undo::Missing, _) => bail!(
            "another program has rewritten the file since it was annotated (strip and objcopy do \
             that), and what it was before is not known; \
             `objcopy --remove-section=.pbitmap FILE` takes the bitmap out"
        ),
        (Undo::Edited, _) => bail!(
            "another program has edited the file since it was annotated (patchelf does that), so \
             that putting the old headers back would break it; \
             `objcopy --remove-section=.pbitmap FILE` takes the bitmap out"
        ),
    };
    let facts = target.facts()?;
    facts.check(options.break_hard_links)?;
    replace(&target, &facts, &edit)?;
    Ok(done.into())
}
