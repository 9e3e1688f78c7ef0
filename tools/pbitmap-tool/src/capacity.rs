// SPDX-License-Identifier: GPL-2.0

//! How large the slots of a program are made: what recordings of it will need, as far as its
//! executable and its libraries tell.

use clap::ValueEnum;
use pbitmap_core::format::{
    layout::{
        FileRecord, ProfileRecord, SlotHeader, PROFILE_BY_ARGUMENT, PROFILE_BY_NAME,
        PROFILE_BY_SCRIPT,
    },
    MAX_SLOT, PAGE_SIZE,
};

use crate::{image::Image, inspect::pages_of, libraries::Libraries};

/// Bytes that the path of a file is taken to have.
const PATH: u64 = 64;

/// Files that a program with libraries is taken to map beside them: plugins, locales, caches.
const MORE_FILES: u64 = 32;

/// Bytes for the files that a program with libraries reads beside, and for blocks of metadata: those
/// of 40 files, and of 40 parts of the device. Of several profiles the one that is used most needs it.
const READS: u64 = 20480;

/// Profiles that there is room for if they are kept by name. Most programs have one name and use
/// the room for the files that cannot be foreseen.
const NAMED_PROFILES: u64 = 2;

/// Bytes that the slots of a program with libraries have at least.
const LEAST: u64 = 8192;

/// What tells the ways apart in which a program is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ProfileBy {
    /// The name it is started under
    #[default]
    Name,
    /// The script that it runs
    Script,
    /// Its first argument
    Arg1,
    /// Nothing: one profile for all starts
    None,
}

impl ProfileBy {
    /// The value of [`SlotHeader::profile_by`].
    pub const fn code(self) -> u16 {
        match self {
            Self::Name => PROFILE_BY_NAME,
            Self::Script => PROFILE_BY_SCRIPT,
            Self::Arg1 => PROFILE_BY_ARGUMENT,
            Self::None => 0,
        }
    }

    /// The name of a value of [`SlotHeader::profile_by`], as on the command line.
    pub const fn name(code: u16) -> &'static str {
        match code {
            0 => "none",
            PROFILE_BY_NAME => "name",
            PROFILE_BY_SCRIPT => "script",
            PROFILE_BY_ARGUMENT => "arg1",
            _ => "unknown",
        }
    }

    /// How many profiles are kept if nobody says.
    pub const fn default_profiles(self) -> u16 {
        match self {
            Self::None => 1,
            Self::Name => 4,
            Self::Script | Self::Arg1 => 8,
        }
    }
}

/// What a bitmap remembers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Modes {
    /// What tells profiles apart.
    pub by: ProfileBy,
    /// Most profiles.
    pub profiles: u16,
    /// Recordings of each that are remembered.
    pub planes: u16,
}

impl Modes {
    /// Recordings that are remembered if nobody says.
    pub const DEFAULT_PLANES: u16 = 4;
}

impl Default for Modes {
    fn default() -> Self {
        let by = ProfileBy::default();
        Self {
            by,
            profiles: by.default_profiles(),
            planes: Self::DEFAULT_PLANES,
        }
    }
}

/// The size of a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Capacity {
    /// Bytes of one.
    pub slot_size: u32,
    /// Whether all pages of all the files that are known would fit.
    pub fits: bool,
}

impl Capacity {
    /// The size of the slots of `image`; `slot_size` if somebody asks for one. It is rounded up so
    /// that the section is whole pages.
    pub fn new(
        image: &Image,
        libraries: &Libraries,
        modes: &Modes,
        slot_size: Option<u32>,
    ) -> Self {
        let alignment = image.alignment().max(u64::from(PAGE_SIZE));
        let needed = needed(image, libraries, modes);
        let wanted = match slot_size {
            Some(slot_size) => u64::from(slot_size),
            None if libraries.is_empty() => with_reserve(needed),
            None => with_reserve(needed).max(LEAST),
        };
        let largest = MAX_SLOT as u64;
        let size = wanted.clamp(1, largest).next_multiple_of(alignment);
        Self {
            slot_size: u32::try_from(size.min(largest)).unwrap_or(MAX_SLOT as u32),
            fits: needed <= size,
        }
    }
}

/// Bytes of a slot with all pages of all files in as many profiles as there is to be room for.
fn needed(image: &Image, libraries: &Libraries, modes: &Modes) -> u64 {
    let record = FileRecord::SIZE as u64 + PATH;
    let file = |pages: u64| {
        let plane = pages.div_ceil(64).saturating_mul(8);
        plane
            .saturating_mul(modes.planes.into())
            .saturating_add(record)
    };
    let libraries_and_more = match libraries.is_empty() {
        true => 0,
        false => libraries
            .found
            .iter()
            .chain(&libraries.beside)
            .map(|library| file(library.pages))
            .fold(MORE_FILES * record, u64::saturating_add),
    };
    let profiles = match modes.by {
        ProfileBy::Name => u64::from(modes.profiles).min(NAMED_PROFILES),
        _ => u64::from(modes.profiles),
    };
    let reads = if libraries.is_empty() { 0 } else { READS };
    (ProfileRecord::SIZE as u64)
        .saturating_add(file(pages_of(image.size)))
        .saturating_add(libraries_and_more)
        .saturating_mul(profiles)
        .saturating_add(reads)
        .saturating_add(SlotHeader::SIZE as u64)
}

/// A quarter more: programs and libraries grow.
const fn with_reserve(bytes: u64) -> u64 {
    bytes.saturating_add(bytes / 4)
}
