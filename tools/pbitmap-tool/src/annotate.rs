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
    packed::{MAX_PACKED, MIN_PACKED},
    slot::{Builder, FileInput, Identity, ProfileInput, Slot, SlotHeader},
    MAX_PLANES, MAX_PROFILES, MAX_SLOT,
};
use serde::Serialize;

use crate::{
    attribute,
    capacity::{Capacity, Modes, ProfileBy},
    directory::two_slots,
    elf_edit::{self, find_undo, Undo, Write},
    image::{Image, Purpose},
    inspect::{pages_of, Inspection, Outside, State},
    libraries::{Libraries, Root},
    replace::replace,
    store::Store,
    target::{Facts, Target},
};

/// What `--help` says at its end.
pub const HELP: &str = "\
Refused, with the reason: what is not a 64-bit little-endian program; shared libraries and the
dynamic loader, whose bitmaps starting a program does not use; programs with data after the ELF
image; files that are immutable, protected by fs-verity or signed for IMA; files with other hard
links. A file that is refused is not touched.

With --store=xattr no byte, time or permission of the file changes, so what only a change would
harm is not refused: hard links, whose names share the attribute, data after the ELF image, fs-verity
and signatures. Not all filesystems have attributes of users, and not all ways of copying a file take
them along.

Exit codes:
  0  all files have a bitmap now
  1  some have not; the others were handled all the same
  2  the command line was wrong

Examples:
  pbitmap-tool annotate ./program
  pbitmap-tool annotate --store=xattr /usr/bin/git
  pbitmap-tool annotate --profile-by script /usr/bin/python3.13
  pbitmap-tool annotate --force --slot-size 64K ./program
  pbitmap-tool annotate --root /srv/image /srv/image/usr/bin/program";

/// What `annotate` may do.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Replace a bitmap that the file has already by an empty one
    #[arg(short, long)]
    pub force: bool,

    /// Where to put the bitmap [default: where there is one already, or else the section]
    #[arg(long, value_name = "WHERE", value_parser = Store::of_file())]
    pub store: Option<Store>,

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
    /// this: enough for all pages of the program, of its libraries and of the shared objects beside
    /// it, and for some files more
    #[arg(long, value_name = "BYTES", value_parser = parse_slot_size, alias = "capacity")]
    pub slot_size: Option<u32>,

    /// With --store=xattr, the most bytes of the attribute, such as 8K: 256 to 64K. What does not fit
    /// packed is left out [default: 4000, as an attribute of ext4 can have that has a block for
    /// itself, or what there is]
    #[arg(long, value_name = "BYTES", value_parser = parse_room)]
    pub room: Option<usize>,

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

    /// Where the bitmap is to be in a program with these.
    fn store(&self, has_section: bool, has_attribute: bool) -> Result<Store> {
        let store = self.store.unwrap_or(match (has_section, has_attribute) {
            (false, true) => Store::Xattr,
            _ => Store::Section,
        });
        ensure!(
            self.room.is_none() || store == Store::Xattr,
            "`--room` is for attributes: `--store=xattr`"
        );
        Ok(store)
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
        /// Bytes that an attribute may have; nothing for a section.
        room: Option<usize>,
        /// How many names the file has.
        names: u64,
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
                room,
                names,
            } => {
                write!(f, "annotated: {pages} pages, ")?;
                if *libraries != 0 {
                    write!(f, "{library_pages} in {libraries} libraries, ")?;
                }
                if *missing != 0 {
                    write!(f, "{missing} libraries not found, ")?;
                }
                match room {
                    Some(room) => write!(f, "an attribute of up to {room} bytes")?,
                    None => write!(f, "two slots of {slot_size} bytes")?,
                }
                if room.is_some() && *names > 1 {
                    write!(f, ", which its {names} names share")?;
                }
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
    /// Where the bitmap is.
    pub store: Store,
    /// Where it has another one.
    pub also: Option<Store>,
}

impl fmt::Display for Annotated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.done)?;
        match self.also {
            None => Ok(()),
            Some(Store::Xattr) => write!(f, "; it has an attribute, too, which goes before that"),
            Some(_) => write!(f, "; it has a section, too, before which this goes"),
        }
    }
}

/// Annotates the program at `path`.
pub fn annotate(path: &Path, options: &Options) -> Result<Annotated> {
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let outside = Outside::of(&target, &contents, None)?;
    // What is wrong with the file is said better, and in more detail, by what follows.
    let inspection = Inspection::new(&contents).ok();
    let inspection = inspection.map(|inspection| inspection.with(&outside));
    let has_section = inspection.is_some_and(|inspection| inspection.section.is_some());
    let has_attribute = inspection.is_some_and(|inspection| inspection.attribute.is_some());
    let store = options.store(has_section, has_attribute)?;
    let inspection = inspection.map(|inspection| inspection.only(store));

    let facts = target.facts()?;
    let (done, also) = match store {
        Store::Xattr => (
            annotate_attribute(&target, &contents, &facts, inspection, &outside, options)?,
            has_section.then_some(Store::Section),
        ),
        _ => (
            annotate_section(&target, &contents, &facts, inspection, options)?,
            has_attribute.then_some(Store::Xattr),
        ),
    };
    Ok(Annotated {
        done,
        never_updated: facts.never_updated(),
        store,
        also,
    })
}

/// Gives a program the attribute.
fn annotate_attribute<'d, R: ReadRef<'d>>(
    target: &Target,
    data: R,
    facts: &Facts,
    inspection: Option<Inspection<'_>>,
    outside: &Outside,
    options: &Options,
) -> Result<Done> {
    let modes = options.modes()?;
    let state = inspection.map_or(State::NotAnnotated, |inspection| inspection.state());
    match state {
        State::Valid if !options.force => {
            let slot = inspection.and_then(|inspection| inspection.slot());
            let room = outside
                .attribute
                .as_ref()
                .and_then(|attribute| attribute.room());
            let agree = slot.is_none_or(|(_, slot)| options.agree_with(slot.header()))
                && options.room.is_none_or(|wanted| Some(wanted) == room);
            return Ok(match agree {
                true => Done::Nothing,
                false => Done::NothingOther,
            });
        }
        _ => refuse_other(state, options)?,
    }
    let image = Image::parse(data)?;
    check_purpose(&image, options)?;
    facts.check_attributes()?;
    let known = Known::of(target, data, &image, &modes, options)?;
    let slot = fresh_slot(&image, &modes, known.capacity.slot_size)?;
    let slot = Slot::parse(&slot, &Identity::new(image.layout_crc))?;
    let (room, _) = attribute::write(&target.file, &slot, options.room)?;
    Ok(known.done(&image, Some(room), facts.links))
}

/// Refuses to replace a bitmap that cannot be used.
fn refuse_other(state: State, options: &Options) -> Result<()> {
    match state {
        State::Stale if !options.force => {
            bail!("has a bitmap that was made for another version of it; `--force` replaces it")
        }
        State::Corrupt if !options.force => {
            bail!("has a bitmap that cannot be used; `--force` replaces it")
        }
        _ => Ok(()),
    }
}

/// What there is to know of the pages that a program may need.
struct Known {
    libraries: Libraries,
    capacity: Capacity,
}

impl Known {
    fn of<'d, R: ReadRef<'d>>(
        target: &Target,
        data: R,
        image: &Image,
        modes: &Modes,
        options: &Options,
    ) -> Result<Self> {
        let root = Root::new(options.root.as_deref()).context("the root cannot be opened")?;
        let libraries = Libraries::of(data, &root.inside(&target.path), &root);
        let capacity = Capacity::new(image, &libraries, modes, options.slot_size);
        Ok(Self {
            libraries,
            capacity,
        })
    }

    fn done(&self, image: &Image, room: Option<usize>, names: u64) -> Done {
        Done::Annotated {
            slot_size: self.capacity.slot_size,
            pages: pages_of(image.size),
            libraries: self.libraries.found.len(),
            library_pages: self.libraries.pages(),
            missing: self.libraries.missing.len(),
            fits: self.capacity.fits,
            room,
            names,
        }
    }
}

/// Gives a program the section, or arms the one it has.
fn annotate_section<'d, R: ReadRef<'d>>(
    target: &Target,
    data: R,
    facts: &Facts,
    inspection: Option<Inspection<'_>>,
    options: &Options,
) -> Result<Done> {
    let modes = options.modes()?;
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
                return Ok(match agree {
                    true => Done::Nothing,
                    false => Done::NothingOther,
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
        _ => {
            refuse_other(state, options)?;
            let image = original(data)?;
            check_purpose(&image, options)?;
            check_appended(&image, options)?;
            let known = Known::of(target, data, &image, &modes, options)?;
            let slots = fresh_slots(&image, &modes, known.capacity.slot_size)?;
            let done = known.done(&image, None, facts.links);
            (elf_edit::annotate(&image, slots)?, done)
        }
    };
    facts.check(options.break_hard_links)?;
    replace(target, facts, &edit)?;
    Ok(done)
}

/// The program as it was before it was annotated, as far as that can be known.
pub fn original<'d, R: ReadRef<'d>>(data: R) -> Result<Image> {
    Ok(match find_undo(data) {
        Undo::Possible(undo) => Image::parse_original(data, &undo)?,
        Undo::Missing | Undo::Edited => Image::parse(data)?,
    })
}

/// Refuses what starting a program does not use.
pub fn check_purpose(image: &Image, options: &Options) -> Result<()> {
    ensure!(
        image.purpose == Purpose::Program || options.allow_library,
        "a shared library or the dynamic loader, whose bitmap starting a program would not use; \
         `--allow-library` annotates it all the same"
    );
    Ok(())
}

/// Refuses programs that might not find their own data any more.
pub fn check_appended(image: &Image, options: &Options) -> Result<()> {
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
    Ok(two_slots(fresh_slot(image, modes, slot_size)?))
}

/// A slot that says that nothing was recorded yet.
pub fn fresh_slot(image: &Image, modes: &Modes, slot_size: u32) -> Result<Vec<u8>> {
    let mut slot = vec![0; usize::try_from(slot_size)?];
    let template = SlotHeader {
        profile_by: modes.by.code(),
        max_profiles: modes.profiles,
        planes: modes.planes,
        ..SlotHeader::template(image.layout_crc, image.build_id.as_bytes(), image.size)
    };
    let mut builder = Builder::new(&mut slot, &template, 1, 1)?;
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
    Ok(slot)
}

fn parse_slot_size(text: &str) -> Result<u32> {
    parse_bytes(text)?
        .filter(|bytes| *bytes != 0 && *bytes as usize <= MAX_SLOT)
        .context("it must be more than 0 and at most 1M")
}

fn parse_room(text: &str) -> Result<usize> {
    parse_bytes(text)?
        .map(|bytes| bytes as usize)
        .filter(|bytes| (MIN_PACKED..=MAX_PACKED).contains(bytes))
        .with_context(|| format!("it must be at least {MIN_PACKED} and at most 64K"))
}

/// Reads a number of bytes, with or without a unit; [`None`] if it is too large for anything.
fn parse_bytes(text: &str) -> Result<Option<u32>> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor = match &text.get(digits.len()..) {
        Some("") => 1,
        Some("K" | "k" | "KiB") => 1 << 10,
        Some("M" | "m" | "MiB") => 1 << 20,
        _ => bail!("the units are K and M"),
    };
    let number: u32 = digits.parse().context("not a number of bytes")?;
    Ok(number.checked_mul(factor))
}
