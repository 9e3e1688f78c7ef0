// SPDX-License-Identifier: GPL-2.0

//! What is known of a file's bitmap, in a form for machines.

use std::path::Path;

use pbitmap_core::{
    format::{
        error::Error,
        layout::FILE_EXECUTABLE,
        metadata::part_of,
        slot::{File, Profile, Slot},
        turns::TURNS,
    },
    policy::profile::Choice,
};
use serde::Serialize;

use crate::{
    capacity::ProfileBy,
    directory::hex,
    inspect::{Inspection, Outside, State},
    pages::{Pages, Planned},
    programs,
    selection::{self, Selection},
    store::Store,
};

/// All there is to know. Later versions only add fields.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file as it was named.
    pub file: String,
    /// The state of the bitmap that the kernel uses, or would if it could.
    pub state: State,
    /// Where that is: "section", "xattr" or "directory"; null if there is none.
    pub store: Option<Store>,
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
    /// The attribute, if there is one.
    pub attribute: Option<AttributeReport>,
    /// The file in the directory of bitmaps, if there is one.
    pub directory: Option<DirectoryReport>,
    /// The slot in force, 0 or 1 (0 for an attribute); what follows is about that, or is null or
    /// empty.
    pub slot: Option<usize>,
    /// Bytes of a slot.
    pub slot_size: Option<u32>,
    /// How often a slot was written, annotating included.
    pub generation: Option<u64>,
    /// When the last recording was stored, in seconds since the epoch; null if there is none.
    pub updated: Option<u64>,
    /// What tells profiles apart: "name", "script", "arg1" or "none".
    pub profile_by: Option<&'static str>,
    /// Most profiles that are kept.
    pub max_profiles: Option<u16>,
    /// Recordings of each that are remembered.
    pub planes: Option<u16>,
    /// Recordings that went into the profile that was used last.
    pub runs: Option<u32>,
    /// Bytes of a page.
    pub page_size: Option<u32>,
    /// Bytes of the program before it was annotated.
    pub elf_size: Option<u64>,
    /// Pages of the program.
    pub pages_total: u64,
    /// Pages of it that the next start wants, by the profile that was used last.
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
    /// The state of the bitmap in it.
    pub state: State,
}

/// What there is of the attribute.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AttributeReport {
    /// Bytes of its value.
    pub size: usize,
    /// Bytes that it may have; null if it is no bitmap.
    pub room: Option<usize>,
    /// The state of the bitmap in it.
    pub state: State,
}

/// What there is of the file in the directory of bitmaps.
#[derive(Clone, Debug, Serialize)]
pub struct DirectoryReport {
    /// Where it is.
    pub path: String,
    /// The state of the bitmap in it.
    pub state: State,
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
    /// Pages that the next start wants, of all files.
    pub pages: u64,
    /// Pages that were prefetched, or found in memory, for the last recording.
    pub wanted: u32,
    /// Those of them that the program then touched.
    pub hits: u32,
    /// The same in percent; null if there were none.
    pub precision: Option<f64>,
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
    /// GNU build id, in hexadecimal; null if there is none, and for the executable.
    pub build_id: Option<String>,
    /// The page that the first bit stands for.
    pub first_page: u64,
    /// Bits in a plane.
    pub page_count: u32,
    /// The first page of its private data, which is read before what lies before it; null if it has
    /// none, or none was seen.
    pub data_page: Option<u32>,
    /// Pages of the file.
    pub pages_total: u64,
    /// Pages that the next start wants.
    pub wanted: u64,
    /// They, as runs of first page and number of pages.
    pub wanted_runs: Vec<(u64, usize)>,
    /// They, counted by the turn in which they are asked for where a device takes many requests;
    /// null if it is not known when they are needed.
    pub wanted_by_turn: Option<[u64; TURNS as usize]>,
    /// Set bits of each plane, the newest first.
    pub planes: Vec<u64>,
    /// Whether pages were dropped for lack of room.
    pub truncated: bool,
}

impl Report {
    /// Reports on what was found in the file named `file`, and `outside` of it.
    pub fn new(
        file: &Path,
        inspection: &Inspection<'_>,
        outside: &Outside,
        gap_pages: u32,
    ) -> Self {
        let slot = inspection.slot();
        let header = slot.map(|(_, slot)| *slot.header());
        let selection = slot.map(|(_, slot)| Selection::of(&slot));
        let pages = selection.map_or_else(Pages::default, |selection| selection.pages());
        let (total, set) = (pages.total, pages.count());
        Self {
            file: file.to_string_lossy().into_owned(),
            state: inspection.state(),
            store: inspection.store(),
            reason: inspection.refused().map(Error::as_str),
            armed: inspection.is_armed(),
            locator: inspection.has_locator(),
            mapped: inspection.is_mapped(),
            section: inspection.section.map(|section| SectionReport {
                offset: section.offset,
                size: section.len,
                state: inspection.section_state(),
            }),
            attribute: inspection.attribute.zip(outside.attribute.as_ref()).map(
                |(found, attribute)| AttributeReport {
                    size: attribute.len,
                    room: attribute.room(),
                    state: found.state(),
                },
            ),
            directory: inspection
                .directory
                .zip(outside.file.as_ref())
                .map(|(found, file)| DirectoryReport {
                    path: file.path.to_string_lossy().into_owned(),
                    state: found.state(),
                }),
            slot: slot.map(|(index, _)| index),
            slot_size: header.map(|header| header.slot_size),
            generation: header.map(|header| header.generation),
            updated: header.and_then(|header| time(header.updated)),
            profile_by: header.map(|header| ProfileBy::name(header.profile_by)),
            max_profiles: header.map(|header| header.max_profiles),
            planes: header.map(|header| header.planes),
            runs: selection
                .and_then(|selection| selection.profile().copied())
                .map(|profile| profile.record.runs),
            page_size: header.map(|header| header.page_size),
            elf_size: header.map(|header| header.elf_size),
            pages_total: total,
            pages_set: set,
            percent: percent(set, total),
            truncated: selection
                .and_then(|selection| selection.file)
                .is_some_and(|(file, _)| file.is_truncated()),
            planned: pages.plan(gap_pages),
            identity: header.map(|header| IdentityReport {
                layout_crc: format!("{:08x}", header.layout_crc),
                file_layout_crc: format!("{:08x}", inspection.identity.layout_crc),
                build_id: hex(&header.build_id()),
            }),
            profiles: slot.map_or_else(Vec::new, |(_, slot)| {
                slot.profiles()
                    .map(|profile| profile_report(&slot, &profile))
                    .collect()
            }),
        }
    }
}

fn profile_report(slot: &Slot<'_>, profile: &Profile<'_>) -> ProfileReport {
    let files: Vec<FileReport> = Choice::One(*profile)
        .files(slot)
        .map(|(file, wanted)| file_report(&file, &Pages::of(slot, &file, &wanted)))
        .collect();
    ProfileReport {
        kind: selection::kind(profile),
        key: String::from_utf8_lossy(profile.key()).into_owned(),
        runs: profile.record.runs,
        last_used: time(profile.record.last_used),
        pages: files
            .iter()
            .fold(0, |sum, file| sum.saturating_add(file.wanted)),
        wanted: profile.record.wanted,
        hits: profile.record.hits,
        precision: precision(profile),
        files,
    }
}

/// How much of what was prefetched for the last recording was touched, in percent.
fn precision(profile: &Profile<'_>) -> Option<f64> {
    let (wanted, hits) = (profile.record.wanted, profile.record.hits);
    programs::precision(hits.into(), wanted.saturating_sub(hits).into())
}

fn file_report(file: &File<'_>, pages: &Pages) -> FileReport {
    FileReport {
        kind: match file.record.kind {
            FILE_EXECUTABLE => "executable",
            _ if part_of(file.path()).is_some() => "metadata",
            _ => "path",
        },
        path: String::from_utf8_lossy(file.path()).into_owned(),
        build_id: hex(&file.build_id()),
        first_page: file.record.first_page,
        page_count: file.record.page_count,
        data_page: (file.record.data_page != 0).then_some(file.record.data_page),
        pages_total: pages.total,
        wanted: pages.count(),
        wanted_runs: pages.runs().collect(),
        wanted_by_turn: wanted_by_turn(file, pages),
        planes: (0..usize::from(file.record.plane_count))
            .map_while(|plane| file.plane(plane))
            .map(|plane| plane.count() as u64)
            .collect(),
        truncated: file.is_truncated(),
    }
}

fn wanted_by_turn(file: &File<'_>, pages: &Pages) -> Option<[u64; TURNS as usize]> {
    let turns = file.turns();
    let mut counts = [0; TURNS as usize];
    for (first, count) in pages.bitmap().runs() {
        for page in first..first + count {
            let turn = turns.turn(turns.part_of(page as u64));
            if let Some(count) = counts.get_mut(usize::from(turn)) {
                *count += 1;
            }
        }
    }
    turns.are_known().then_some(counts)
}

/// A time of the format, in which 0 is never.
fn time(seconds: u64) -> Option<u64> {
    (seconds != 0).then_some(seconds)
}

/// `part` of `all` in percent, to one decimal.
pub fn percent(part: u64, all: u64) -> f64 {
    match all {
        0 => 0.0,
        all => (part as f64 * 1000.0 / all as f64).round() / 10.0,
    }
}
