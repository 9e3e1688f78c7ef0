// SPDX-License-Identifier: GPL-2.0

//! `annotate`: gives a program an empty bitmap for the kernel to fill, or arms the one it has.

use std::{fmt, path::Path};

use anyhow::{bail, ensure, Context as _, Result};
use clap::Args;
use object::ReadRef;
use pbitmap_core::format::{
    layout::{FILE_EXECUTABLE, PROFILE_DEFAULT},
    slot::{slot_size_for, Builder, FileInput, ProfileInput, SlotHeader},
    MAX_PLANES, MAX_PROFILES, MAX_SLOT,
};

use crate::{
    capacity::{slot_bytes, Libraries, ProfileBy},
    elf_edit::{self, find_undo, Undo, Write},
    image::{Image, Purpose},
    inspect::{pages_of, Inspection, State},
    replace::replace,
    target::Target,
};

/// What `annotate` may do.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Replace a bitmap that the file has already by an empty one
    #[arg(short, long)]
    pub force: bool,

    /// Bytes for each of the two copies of the bitmap, such as 64K: at most 1M, rounded up to the
    /// alignment. Without this: enough for the program, the libraries that it is linked with and
    /// some more files
    #[arg(long, value_name = "BYTES", value_parser = parse_capacity)]
    pub capacity: Option<u32>,

    /// What tells the modes of the program apart, each of which has a profile of its own
    #[arg(long, value_name = "WHAT", value_enum, default_value_t)]
    pub profile_by: ProfileBy,

    /// How many profiles are kept, the least recently used one being replaced: 1 to 64 [default: 4
    /// by name, 8 by script or argument]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=MAX_PROFILES as i64))]
    pub profiles: Option<u16>,

    /// How many runs are remembered of each profile: 1 to 8
    #[arg(long, value_name = "NUMBER", default_value_t = DEFAULT_PLANES, value_parser = clap::value_parser!(u16).range(1..=MAX_PLANES as i64))]
    pub planes: u16,

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

/// Runs that are remembered if nobody says.
const DEFAULT_PLANES: u16 = 4;

impl Default for Options {
    fn default() -> Self {
        Self {
            force: false,
            capacity: None,
            profile_by: ProfileBy::default(),
            profiles: None,
            planes: DEFAULT_PLANES,
            break_hard_links: false,
            allow_library: false,
            allow_appended: false,
        }
    }
}

/// What was done to a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Done {
    /// It has a fresh bitmap.
    Annotated {
        /// Bytes of a slot.
        slot_size: u32,
        /// Pages of the program.
        pages: u64,
        /// Whether a slot has room for all of them.
        fits: bool,
    },
    /// It had one, which the kernel will use again.
    Armed,
    /// Nothing: it had one already.
    Nothing,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Annotated {
                slot_size,
                pages,
                fits,
            } => {
                write!(
                    f,
                    "annotated: {pages} pages, two slots of {slot_size} bytes"
                )?;
                match fits {
                    true => Ok(()),
                    false => write!(f, ", too small for all pages"),
                }
            }
            Self::Armed => write!(f, "armed again: the bitmap it had is in use"),
            Self::Nothing => write!(f, "annotated already"),
        }
    }
}

/// What became of a file, and what its owner should know.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Annotated {
    /// What was done.
    pub done: Done,
    /// What keeps the kernel from ever storing a recording in it.
    pub never_updated: Option<&'static str>,
}

/// Annotates the program at `path`.
pub fn annotate(path: &Path, options: &Options) -> Result<Annotated> {
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
                return Ok(Annotated {
                    done: Done::Nothing,
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
            let slots = Slots::new(&image, Libraries::of(path), options)?;
            let done = Done::Annotated {
                slot_size: slots.slot_size,
                pages: pages_of(image.size),
                fits: slots.fits,
            };
            (elf_edit::annotate(&image, slots.bytes)?, done)
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

/// The contents of a fresh section.
#[derive(Clone, Debug)]
pub struct Slots {
    /// Both slots.
    pub bytes: Vec<u8>,
    /// Bytes of one.
    pub slot_size: u32,
    /// Whether a slot has room for all pages of the program.
    pub fits: bool,
}

impl Slots {
    /// Two slots for `image`: the first one says that nothing was recorded yet.
    pub fn new(image: &Image, libraries: Option<Libraries>, options: &Options) -> Result<Self> {
        let alignment = u32::try_from(image.alignment())?;
        let page_count = u32::try_from(pages_of(image.size)).unwrap_or(u32::MAX);
        let profiles = options
            .profiles
            .unwrap_or_else(|| options.profile_by.profiles());
        let needed = slot_size_for(page_count, alignment);
        let wanted = slot_bytes(
            page_count.into(),
            libraries,
            options.profile_by,
            profiles,
            options.planes,
        );
        let slot_size = options
            .capacity
            .map_or(u32::try_from(wanted)?, |capacity| capacity.max(1))
            .next_multiple_of(alignment)
            .min(MAX_SLOT as u32);

        let mut bytes = vec![0; 2 * slot_size as usize];
        let (first, _) = bytes.split_at_mut(slot_size as usize);
        let template = SlotHeader {
            profile_by: options.profile_by.kind(),
            max_profiles: profiles,
            planes: options.planes,
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
            page_count,
            ..FileInput::default()
        })?;
        builder.finish(1, 0)?;
        Ok(Self {
            bytes,
            slot_size,
            fits: needed.is_some_and(|needed| needed <= slot_size),
        })
    }
}

/// Reads a number of bytes, with or without a unit.
fn parse_capacity(text: &str) -> Result<u32> {
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
