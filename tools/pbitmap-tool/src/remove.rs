// SPDX-License-Identifier: GPL-2.0

//! `remove`: gives back the file that was annotated, byte for byte and without the attribute.

use std::{fmt, path::Path};

use anyhow::{bail, Result};
use clap::Args;
use pbitmap_core::format::packed::ATTRIBUTE;
use serde::Serialize;

use crate::{
    attribute::{self, Attribute},
    elf_edit::{self, find_undo, Edit, Undo},
    image::Image,
    inspect::{Inspection, State},
    replace::replace,
    store::Store,
    target::Target,
};

/// What `--help` says at its end.
pub const HELP: &str = "\
What the kernel has recorded since is lost. The times of the file stay as they are. A file that
another program has rewritten (strip) or edited (patchelf) since it was annotated is refused.

Without --store a program loses both its section and its attribute. Bitmaps in the directory that
vm.pbitmap_dir names stay: they are of no use to a program that has neither.

Exit codes:
  0  no file has a bitmap any more
  1  some have; the others were handled all the same
  2  the command line was wrong

Examples:
  pbitmap-tool remove ./program
  pbitmap-tool remove --store=xattr ./program";

/// What `remove` may do.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Replace a file that has other hard links; those keep the annotated file
    #[arg(long)]
    pub break_hard_links: bool,

    /// Remove only this one
    #[arg(long, value_name = "WHERE", value_parser = Store::of_file())]
    pub store: Option<Store>,
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
    /// It had no section, or that stays; the attribute is gone.
    RemovedAttribute,
    /// Nothing: it has no bitmap.
    Nothing,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Removed {
    /// What was done.
    pub done: Done,
    /// Whether it had an attribute, which is gone.
    pub attribute: bool,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.done)?;
        match (self.attribute, self.done) {
            (false, _) | (true, Done::RemovedAttribute) => Ok(()),
            (true, _) => write!(f, "; the attribute is gone, too"),
        }
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
            Self::RemovedAttribute => "the attribute is gone",
            Self::Disarmed => "the marker was cleared; there was no bitmap",
            Self::Nothing => "not annotated: nothing to remove",
        })
    }
}

/// Takes the bitmap from the program at `path`.
pub fn remove(path: &Path, options: &Options) -> Result<Removed> {
    let target = Target::open(path)?;
    let attribute =
        options.store != Some(Store::Section) && Attribute::read(&target.file)?.is_some();
    let section = match options.store {
        Some(Store::Xattr) => None,
        _ => section(&target)?,
    };
    let mut facts = target.facts()?;
    let done = match section {
        Some((edit, done)) => {
            facts.check(options.break_hard_links)?;
            if attribute {
                // The new file does not get it.
                facts
                    .xattrs
                    .retain(|(name, _)| name.as_bytes() != ATTRIBUTE.as_bytes());
            }
            replace(&target, &facts, &edit)?;
            done
        }
        None if attribute => {
            facts.check_attributes()?;
            attribute::remove(&target.file)?;
            Done::RemovedAttribute
        }
        None => Done::Nothing,
    };
    Ok(Removed { done, attribute })
}

/// How the section is taken out of a file, if it has one.
fn section(target: &Target) -> Result<Option<(Edit, Done)>> {
    let contents = target.contents()?;
    let inspection = Inspection::new(&contents)?;
    Ok(Some(match (find_undo(&contents), inspection.state()) {
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
        (_, State::NotAnnotated) => return Ok(None),
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
    }))
}
