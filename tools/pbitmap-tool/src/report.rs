// SPDX-License-Identifier: GPL-2.0

//! What is known of a file's bitmap, in a form for machines.

use std::{fmt::Write, path::Path};

use pbitmap_core::{
    format::{
        bitmap::Bitmap,
        error::Error,
        layout::{
            FILE_EXECUTABLE, PROFILE_BY_ARGUMENT, PROFILE_BY_NAME, PROFILE_BY_SCRIPT,
            PROFILE_DEFAULT,
        },
        slot::{File, Profile, Slot},
    },
    policy::{
        merge::Wanted,
        plan::{Limits, Plan},
    },
};
use serde::Serialize;

use crate::inspect::{pages_of, Inspection, State};

/// All there is to know. Later versions only add fields.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file as it was named.
    pub file: String,
    /// The state of the bitmap.
    pub state: State,
    /// Why it cannot be used: the name of a reason, as the kernel counts them.
    pub reason: Option<&'static str>,
    /// Whether the marker is set.
    pub armed: bool,
    /// Whether the marker says where the section is.
    pub locator: bool,
    /// Whether the section lies where the kernel must not write.
    pub mapped: bool,
    /// The section, if there is one.
    pub section: Option<SectionReport>,
    /// The slot in force, 0 or 1; what follows is about that, or is null or empty.
    pub slot: Option<usize>,
    /// Bytes of a slot.
    pub slot_size: Option<u32>,
    /// How often a slot was written, annotating included.
    pub generation: Option<u64>,
    /// When the last recording was stored, in seconds since the epoch; null if there is none.
    pub updated: Option<u64>,
    /// Recordings that went into the profile that was used last, or the one that was asked for.
    pub runs: Option<u32>,
    /// Bytes of a page.
    pub page_size: Option<u32>,
    /// Bytes of the program before it was annotated.
    pub elf_size: Option<u64>,
    /// Pages of the program.
    pub pages_total: u64,
    /// Pages of it that are set in the bitmap.
    pub pages_set: u64,
    /// The same as a part of all pages, in percent.
    pub percent: f64,
    /// Whether pages were dropped for lack of room.
    pub truncated: bool,
    /// What the kernel would read.
    pub planned: Planned,
    /// Whom the bitmap was made for.
    pub identity: Option<IdentityReport>,
    /// Everything in the slot.
    pub profiles: Vec<ProfileReport>,
}

/// Where the section is.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SectionReport {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

/// The reads that the kernel would make of a bitmap.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Planned {
    /// Holes of so many pages are read as well.
    pub gap_pages: u32,
    /// How many reads.
    pub runs: u64,
    /// How many pages, holes counted.
    pub pages: u64,
}

/// Identity of an ELF file.
#[derive(Clone, Debug, Serialize)]
pub struct IdentityReport {
    /// Checksum of the layout that the bitmap was made for, in hexadecimal.
    pub layout_crc: String,
    /// Checksum of the layout that the file has.
    pub file_layout_crc: String,
    /// GNU build id, in hexadecimal; null if there is none.
    pub build_id: Option<String>,
}

/// A profile of the slot.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileReport {
    /// What the key is compared with.
    pub kind: &'static str,
    /// The key; empty for the default profile.
    pub key: String,
    /// Recordings that went into it.
    pub runs: u32,
    /// When it was last recorded, in seconds since the epoch; null for never.
    pub last_used: Option<u64>,
    /// Pages that had been made ready for that run.
    pub wanted: u32,
    /// Those of them that it touched.
    pub hits: u32,
    /// Its files.
    pub files: Vec<FileReport>,
}

/// A file of a profile.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// "executable" or "path".
    pub kind: &'static str,
    /// The path; empty for the executable.
    pub path: String,
    /// The page that the first bit stands for.
    pub first_page: u64,
    /// Bits in a plane.
    pub page_count: u32,
    /// Set bits of each plane, the newest first.
    pub planes: Vec<u64>,
    /// Pages that the kernel has ready for a start: those that several of the planes have.
    pub wanted: u64,
    /// The same as runs: the first page and how many.
    pub wanted_runs: Vec<[u64; 2]>,
    /// Whether pages were dropped for lack of room.
    pub truncated: bool,
}

/// The pages of one file that the kernel has ready for a start.
#[derive(Clone, Debug)]
pub struct Pages {
    /// A bit for each page of the file.
    bytes: Vec<u8>,
    /// How many pages the file has.
    pub total: u64,
}

impl Pages {
    /// What is wanted of `file` in `profile`.
    pub fn of(profile: &Profile<'_>, file: &File<'_>) -> Self {
        let wanted = Wanted::new(file, profile.record.runs);
        Self {
            bytes: (0..wanted.len().div_ceil(64))
                .flat_map(|index| wanted.word(index).to_le_bytes())
                .collect(),
            total: match file.record.kind {
                FILE_EXECUTABLE => u64::from(file.record.page_count),
                _ => pages_of(file.record.size),
            },
        }
    }

    /// The pages.
    pub fn bitmap(&self) -> Bitmap<'_> {
        Bitmap::new(&self.bytes, usize::try_from(self.total).unwrap_or(usize::MAX))
    }

    /// What the kernel would read of them.
    pub fn plan(&self, gap_pages: u32) -> Planned {
        let limits = Limits {
            gap_pages,
            max_pages: u32::MAX,
            file_pages: self.total,
        };
        let start = Planned {
            gap_pages,
            ..Planned::default()
        };
        Plan::new(self.bitmap(), 0, limits).fold(start, |planned, run| Planned {
            runs: planned.runs + 1,
            pages: planned.pages + u64::from(run.pages),
            ..planned
        })
    }
}

/// Which profile and which of its files to look at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Selection<'a> {
    /// The key of the profile; the one that was used last if there is none.
    pub profile: Option<&'a str>,
    /// The path of the file; the program itself if there is none.
    pub file: Option<&'a str>,
}

impl Selection<'_> {
    /// The profile and the file.
    pub fn find<'d>(&self, slot: &Slot<'d>) -> Option<(Profile<'d>, File<'d>)> {
        let profile = match self.profile {
            Some(key) => slot
                .profiles()
                .find(|profile| profile.key() == key.as_bytes()),
            None => slot
                .profiles()
                .max_by_key(|profile| (profile.record.runs != 0, profile.record.last_used)),
        }?;
        let file = match self.file {
            Some(path) => slot
                .files(&profile)
                .find(|file| file.path() == path.as_bytes()),
            None => slot.executable(&profile),
        }?;
        Some((profile, file))
    }
}

impl Report {
    /// Reports on what was found in the file named `file`.
    pub fn new(
        file: &Path,
        inspection: &Inspection<'_>,
        selection: Selection<'_>,
        gap_pages: u32,
    ) -> Self {
        let slot = inspection.slot();
        let header = slot.map(|(_, slot)| *slot.header());
        let selected = slot.and_then(|(_, slot)| selection.find(&slot));
        let pages = selected.map(|(profile, file)| Pages::of(&profile, &file));
        let total = match selection.file {
            None => header.map_or(0, |header| pages_of(header.elf_size)),
            Some(_) => pages.as_ref().map_or(0, |pages| pages.total),
        };
        let set = pages
            .as_ref()
            .map_or(0, |pages| pages.bitmap().count() as u64);
        Self {
            file: file.to_string_lossy().into_owned(),
            state: inspection.state(),
            reason: inspection
                .section
                .and_then(|section| section.chosen.err())
                .map(Error::as_str),
            armed: inspection.is_armed(),
            locator: inspection.has_locator(),
            mapped: inspection.is_mapped(),
            section: inspection.section.map(|section| SectionReport {
                offset: section.offset,
                size: section.len,
            }),
            slot: slot.map(|(index, _)| index),
            slot_size: header.map(|header| header.slot_size),
            generation: header.map(|header| header.generation),
            updated: header.and_then(|header| time(header.updated)),
            runs: selected.map(|(profile, _)| profile.record.runs),
            page_size: header.map(|header| header.page_size),
            elf_size: header.map(|header| header.elf_size),
            pages_total: total,
            pages_set: set,
            percent: percent(set, total),
            truncated: selected.is_some_and(|(_, file)| file.is_truncated()),
            planned: pages.map_or_else(
                || Planned {
                    gap_pages,
                    ..Planned::default()
                },
                |pages| pages.plan(gap_pages),
            ),
            identity: header.map(|header| {
                let id = hex(header.build_id().as_bytes());
                IdentityReport {
                    layout_crc: format!("{:08x}", header.layout_crc),
                    file_layout_crc: format!("{:08x}", inspection.identity.layout_crc),
                    build_id: (!id.is_empty()).then_some(id),
                }
            }),
            profiles: slot.map_or_else(Vec::new, |(_, slot)| profiles(&slot)),
        }
    }
}

fn profiles(slot: &Slot<'_>) -> Vec<ProfileReport> {
    slot.profiles()
        .map(|profile| ProfileReport {
            kind: match profile.record.kind {
                PROFILE_DEFAULT => "default",
                PROFILE_BY_NAME => "name",
                PROFILE_BY_SCRIPT => "script",
                PROFILE_BY_ARGUMENT => "argument",
                _ => "unknown",
            },
            key: String::from_utf8_lossy(profile.key()).into_owned(),
            runs: profile.record.runs,
            last_used: time(profile.record.last_used),
            wanted: profile.record.wanted,
            hits: profile.record.hits,
            files: slot
                .files(&profile)
                .map(|file| file_report(&profile, &file))
                .collect(),
        })
        .collect()
}

fn file_report(profile: &Profile<'_>, file: &File<'_>) -> FileReport {
    let pages = Pages::of(profile, file);
    FileReport {
        kind: match file.record.kind {
            FILE_EXECUTABLE => "executable",
            _ => "path",
        },
        path: String::from_utf8_lossy(file.path()).into_owned(),
        first_page: file.record.first_page,
        page_count: file.record.page_count,
        planes: (0..usize::from(file.record.plane_count))
            .map_while(|plane| file.plane(plane))
            .map(|plane| plane.count() as u64)
            .collect(),
        wanted: pages.bitmap().count() as u64,
        wanted_runs: pages
            .bitmap()
            .runs()
            .map(|(first, count)| [first as u64, count as u64])
            .collect(),
        truncated: file.is_truncated(),
    }
}

/// A time of the format, in which 0 is never.
fn time(seconds: u64) -> Option<u64> {
    (seconds != 0).then_some(seconds)
}

/// `part` of `all` in percent, to one decimal.
fn percent(part: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        all => (part as f64 * 1000.0 / all as f64).round() / 10.0,
    }
}

/// `bytes` in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
