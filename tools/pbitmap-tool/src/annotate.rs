// SPDX-License-Identifier: GPL-2.0

//! `annotate`: gives a program an empty bitmap for the kernel to fill, or arms the one it has.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context as _, Result};
use clap::Args;
use object::ReadRef;
use pbitmap_core::format::{
    layout::{FILE_EXECUTABLE, PROFILE_DEFAULT},
    slot::{Builder, FileInput, ProfileInput, SlotHeader},
    MAX_PLANES, MAX_PROFILES, MAX_SLOT,
};
use serde::Serialize;

use crate::{
    capacity::{Capacity, Modes, ProfileBy},
    elf_edit::{self, find_undo, Undo, Write},
    image::{Image, Purpose},
    inspect::{pages_of, Inspection, State},
    libraries::{Libraries, Root},
    replace::replace,
    target::Target,
};

/// What `--help` says at its end.
pub const HELP: &str = "\
Refused, with the reason: what is not a 64-bit little-endian program; shared libraries and the
dynamic loader, whose bitmaps starting a program does not use; programs with data after the ELF
image; files that are immutable, protected by fs-verity or signed for IMA; files with other hard
links. A file that is refused is not touched.

Exit codes:
  0  all files have a bitmap now
  1  some have not; the others were handled all the same
  2  the command line was wrong

Examples:
  pbitmap-tool annotate ./program
  pbitmap-tool annotate --profile-by script /usr/bin/python3.13
  pbitmap-tool annotate --force --slot-size 64K ./program
  pbitmap-tool annotate --root /srv/image /srv/image/usr/bin/program";

/// What `annotate` may do.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Replace a bitmap that the file has already by an empty one
    #[arg(short, long)]
    pub force: bool,

    /// Keep a profile of its own for each name that the program is started under, for each script
    /// that it runs, for each first argument; or one for all starts [default: name]
    #[arg(long, value_name = "WHAT", value_enum)]
    pub profile_by: Option<ProfileBy>,

    /// Keep so many profiles, those that were used last [default: 4 by name, 8 by script and by
    /// first argument]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_PROFILES as i64))]
    pub profiles: Option<u16>,

    /// Remember the last so many recordings of each profile; a page that only one of them has is
    /// soon left out [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=MAX_PLANES as i64))]
    pub planes: Option<u16>,

    /// Bytes for each of the two slots, such as 64K: at most 1M, rounded up to whole pages. Without
    /// this: enough for all pages of the program and of its libraries, and for some files more
    #[arg(long, value_name = "BYTES", value_parser = parse_slot_size, alias = "capacity")]
    pub slot_size: Option<u32>,

    /// Look for the program's libraries below this directory, where the system is that the program
    /// will run on
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,

    /// Replace a file that has other hard links; those keep the old file
    #[arg(long)]
    pub break_hard_links: bool,

    /// Annotate shared libraries and the dynamic loader too, although starting a program does not
    /// use their bitmaps yet
    #[arg(long)]
    pub allow_library: bool,

    /// Annotate programs that carry data after the ELF image too, such as AppImages and
    /// self-extracting archives: many of those do not find it any more afterwards
    #[arg(long)]
    pub allow_appended: bool,
}

impl Options {
    /// What the bitmap is to remember.
    fn modes(&self) -> Result<Modes> {
        let by = self.profile_by.unwrap_or_default();
        ensure!(
            by != ProfileBy::None || self.profiles.is_none_or(|profiles| profiles == 1),
            "`--profile-by none` keeps one profile, not several"
        );
        Ok(Modes {
            by,
            profiles: self.profiles.unwrap_or(by.default_profiles()),
            planes: self.planes.unwrap_or(Modes::DEFAULT_PLANES),
        })
    }

    /// Whether a bitmap that is there already is as the command line wants it.
    fn agree_with(&self, header: &SlotHeader) -> bool {
        let same = |wanted: Option<u16>, is: u16| wanted.is_none_or(|wanted| wanted == is);
        same(self.profile_by.map(ProfileBy::code), header.profile_by)
            && same(self.profiles, header.max_profiles)
            && same(self.planes, header.planes)
            && self.slot_size.is_none_or(|size| size <= header.slot_size)
    }
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "done")]
pub enum Done {
    /// It has a fresh bitmap.
    Annotated {
        /// Bytes of a slot.
        slot_size: u32,
        /// Pages of the program.
        pages: u64,
        /// How many libraries were found.
        libraries: usize,
        /// Their pages.
        library_pages: u64,
        /// How many libraries were not found.
        missing: usize,
        /// Whether a slot has room for all of them.
        fits: bool,
    },
    /// It had one, which the kernel will use again.
    Armed,
    /// Nothing: it had one already.
    Nothing,
    /// Nothing: it had one already, though not one like that.
    NothingOther,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotated {
                slot_size,
                pages,
                libraries,
                library_pages,
                missing,
                fits,
            } => {
                write!(f, "annotated: {pages} pages, ")?;
                if *libraries != 0 {
                    write!(f, "{library_pages} in {libraries} libraries, ")?;
                }
                if *missing != 0 {
                    write!(f, "{missing} libraries not found, ")?;
                }
                write!(f, "two slots of {slot_size} bytes")?;
                match fits {
                    true => Ok(()),
                    false => write!(f, ", too small for all pages"),
                }
            }
            Self::Armed => write!(f, "armed again: the bitmap it had is in use"),
            Self::Nothing => write!(f, "annotated already"),
            Self::NothingOther => write!(
                f,
                "annotated already, with other options: `--force` makes a fresh bitmap with these"
            ),
        }
    }
}

/// What became of a file, and what its owner should know.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Annotated {
    /// What was done.
    #[serde(flatten)]
    pub done: Done,
    /// What keeps the kernel from ever storing a recording in it.
    pub never_updated: Option<&'static str>,
}

/// Annotates the program at `path`.
pub fn annotate(path: &Path, options: &Options) -> Result<Annotated> {
    let modes = options.modes()?;
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let data = &contents;
    let facts = target.facts()?;
    // What is wrong with the file is said better, and in more detail, by what follows.
    let inspection = Inspection::new(data).ok();

    let state = inspection.map_or(State::NotAnnotated, |inspection| inspection.state());
    let section = inspection.and_then(|inspection| inspection.section);
    let (edit, done) = match (state, section) {
        (State::Valid | State::Disarmed, Some(section)) if !options.force => {
            let hole = target.has_hole(section.offset, section.len);
            let armed = state == State::Valid
                && inspection.is_some_and(|inspection| inspection.has_locator());
            if armed && !hole {
                let slot = inspection.and_then(|inspection| inspection.slot());
                let agree = slot.is_none_or(|(_, slot)| options.agree_with(slot.header()));
                return Ok(Annotated {
                    done: match agree {
                        true => Done::Nothing,
                        false => Done::NothingOther,
                    },
                    never_updated: facts.never_updated(),
                });
            }
            let image = Image::parse(data)?;
            // In both cases the bitmap is written again, so that there are blocks for all of it.
            let edit = if section.mapped {
                elf_edit::annotate(&image, section.bytes.to_vec())?
            } else {
                let mut edit = elf_edit::arm(&image, section.offset, section.len);
                edit.writes.push(Write {
                    offset: section.offset,
                    bytes: section.bytes.to_vec(),
                });
                edit
            };
            (edit, Done::Armed)
        }
        (State::Stale, _) if !options.force => {
            bail!("has a bitmap that was made for another version of it; `--force` replaces it")
        }
        (State::Corrupt, _) if !options.force => {
            bail!("has a bitmap that cannot be used; `--force` replaces it")
        }
        _ => {
            let image = original(data)?;
            check_purpose(&image, options)?;
            let root = Root::new(options.root.as_deref()).context("the root cannot be opened")?;
            let libraries = Libraries::of(data, &root.inside(&target.path), &root);
            let capacity = Capacity::new(&image, &libraries, &modes, options.slot_size);
            let done = Done::Annotated {
                slot_size: capacity.slot_size,
                pages: pages_of(image.size),
                libraries: libraries.found.len(),
                library_pages: libraries.pages(),
                missing: libraries.missing.len(),
                fits: capacity.fits,
            };
            let slots = fresh_slots(&image, &modes, capacity.slot_size)?;
            (elf_edit::annotate(&image, slots)?, done)
        }
    };
    facts.check(options.break_hard_links)?;
    replace(&target, &facts, &edit)?;
    Ok(Annotated {
        done,
        never_updated: facts.never_updated(),
    })
}

/// The program as it was before it was annotated, as far as that can be known.
fn original<'d, R: ReadRef<'d>>(data: R) -> Result<Image> {
    Ok(match find_undo(data) {
        Undo::Possible(undo) => Image::parse_original(data, &undo)?,
        Undo::Missing | Undo::Edited => Image::parse(data)?,
    })
}

fn check_purpose(image: &Image, options: &Options) -> Result<()> {
    ensure!(
        image.purpose == Purpose::Program || options.allow_library,
        "a shared library or the dynamic loader, whose bitmap starting a program would not use; \
         `--allow-library` annotates it all the same"
    );
    ensure!(
        image.appended == 0 || options.allow_appended,
        "carries {} bytes of data after the ELF image (an AppImage or a self-extracting archive?), \
         which it may not find any more afterwards; `--allow-appended` annotates it all the same",
        image.appended
    );
    Ok(())
}

/// The contents of a fresh section, two slots of `slot_size` bytes: the first one says that nothing
/// was recorded yet.
pub fn fresh_slots(image: &Image, modes: &Modes, slot_size: u32) -> Result<Vec<u8>> {
    let slot_size = usize::try_from(slot_size)?;
    let mut bytes = vec![0; slot_size.checked_mul(2).context("too large")?];
    let (first, _) = bytes.split_at_mut(slot_size);
    let template = SlotHeader {
        profile_by: modes.by.code(),
        max_profiles: modes.profiles,
        planes: modes.planes,
        ..SlotHeader::template(image.layout_crc, image.build_id.as_bytes(), image.size)
    };
    let mut builder = Builder::new(first, &template, 1, 1)?;
    // There is room for both in the smallest slot.
    let _ = builder.profile(&ProfileInput {
        kind: PROFILE_DEFAULT,
        ..ProfileInput::default()
    })?;
    let _ = builder.file(&FileInput {
        kind: FILE_EXECUTABLE,
        page_count: u32::try_from(pages_of(image.size)).unwrap_or(u32::MAX),
        ..FileInput::default()
    })?;
    builder.finish(1, 0)?;
    Ok(bytes)
}

/// Reads a number of bytes, with or without a unit.
fn parse_slot_size(text: &str) -> Result<u32> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text.get(digits.len()..) {
        Some("") => 1,
        Some("K" | "k" | "KiB") => 1 << 10,
        Some("M" | "m" | "MiB") => 1 << 20,
        _ => bail!("the units are K and M"),
    };
    let number: u32 = digits.parse().context("not a number of bytes")?;
    number
        .checked_mul(factor)
        .filter(|bytes| *bytes != 0 && *bytes as usize <= MAX_SLOT)
        .context("it must be more than 0 and at most 1M")
}
