// SPDX-License-Identifier: GPL-2.0

//! What is to be said about the bitmap of a file, by the rules that the kernel goes by.

use object::ReadRef;
use pbitmap_core::format::{
    elf::{
        find_section, gnu_stack, is_section_name, layout_crc, overlaps_load, section_alignment,
        section_headers, Header, Marker, SectionHeader,
    },
    error::Error,
    slot::{self, Identity, Slot, SlotHeader},
    MAX_SLOT,
};
use serde::Serialize;

/// The state of a file's bitmap.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// There is a bitmap, it is for this file, and the kernel will find it.
    Valid,
    /// There is none.
    NotAnnotated,
    /// There is one for this file, but the kernel will not use it: the marker that leads to it is
    /// gone, or it lies where the kernel must not write.
    Disarmed,
    /// There is one, but for another version of this file.
    Stale,
    /// There is a section, but nothing in it that can be used.
    Corrupt,
}

/// What was found in a file.
#[derive(Clone, Copy, Debug)]
pub struct Inspection<'d> {
    /// What a bitmap must have been made for.
    pub identity: Identity,
    /// What `PT_GNU_STACK` says; [`None`] if there is none.
    pub marker: Option<Marker>,
    /// The section, if there is one.
    pub section: Option<Section<'d>>,
}

/// The section with the bitmap.
#[derive(Clone, Copy, Debug)]
pub struct Section<'d> {
    /// Where it is in the file.
    pub offset: u64,
    /// Its size.
    pub len: u64,
    /// Its contents; none if it cannot be used.
    pub bytes: &'d [u8],
    /// Whether it shares a page with a part of the program that is mapped, so that the kernel
    /// leaves it alone.
    pub mapped: bool,
    /// The slot that is in force.
    pub chosen: Result<(usize, Slot<'d>), Error>,
}

impl<'d> Inspection<'d> {
    /// Looks for the bitmap of a file.
    ///
    /// # Errors
    ///
    /// If the file is not one that could have a bitmap.
    pub fn new<R: ReadRef<'d>>(data: R) -> Result<Self, Error> {
        let len = data.len().map_err(|()| Error::Truncated)?;
        let raw = data
            .read_bytes_at(0, len.min(Header::SIZE as u64))
            .map_err(|()| Error::Truncated)?;
        let header = Header::parse(raw)?;
        let range = header.program_headers()?;
        let segments = data
            .read_bytes_at(range.offset, range.len as u64)
            .map_err(|()| Error::BadProgramHeaders)?;
        let identity = Identity::new(layout_crc(&header, segments));
        Ok(Self {
            identity,
            marker: gnu_stack(segments),
            section: find(data, &header)
                .map(|section| Section::new(data, &header, segments, &section, &identity)),
        })
    }

    /// The state of the bitmap.
    pub fn state(&self) -> State {
        match self.section.map(|section| section.chosen) {
            None => State::NotAnnotated,
            Some(Err(Error::Stale)) => State::Stale,
            Some(Err(_)) => State::Corrupt,
            Some(Ok(_)) if self.is_armed() && !self.is_mapped() => State::Valid,
            Some(Ok(_)) => State::Disarmed,
        }
    }

    /// Whether the marker is set.
    pub fn is_armed(&self) -> bool {
        self.marker.is_some_and(|marker| marker.armed)
    }

    /// Whether the bitmap lies where the kernel must not write.
    pub fn is_mapped(&self) -> bool {
        self.section.is_some_and(|section| section.mapped)
    }

    /// Whether the marker also says where the section is, which saves the kernel a read.
    pub fn has_locator(&self) -> bool {
        self.section.is_some_and(|section| {
            let locator = self.marker.and_then(|marker| marker.locator);
            locator == Some((section.offset, section.len))
        })
    }

    /// The slot that is in force, or would be if it were for this file.
    pub fn slot(&self) -> Option<(usize, Slot<'d>)> {
        let section = self.section?;
        section.chosen.ok().or_else(|| {
            let (first, second) = section.bytes.split_at(section.bytes.len() / 2);
            [first, second]
                .into_iter()
                .filter_map(|bytes| SlotHeader::parse(bytes).ok())
                .filter_map(|header| {
                    let identity = Identity {
                        layout_crc: header.layout_crc,
                        page_size: header.page_size,
                    };
                    slot::choose(section.bytes, &identity).ok()
                })
                .max_by_key(|(_, slot)| slot.header().generation)
        })
    }
}

impl<'d> Section<'d> {
    fn new<R: ReadRef<'d>>(
        data: R,
        header: &Header,
        segments: &[u8],
        section: &SectionHeader,
        identity: &Identity,
    ) -> Self {
        let (offset, len) = (section.sh_offset, section.sh_size);
        let bytes = if len > 2 * MAX_SLOT as u64 || len % 2 != 0 {
            Err(Error::BadSlotSize)
        } else {
            data.read_bytes_at(offset, len)
                .map_err(|()| Error::Truncated)
        };
        Self {
            offset,
            len,
            bytes: bytes.unwrap_or_default(),
            mapped: overlaps_load(segments, offset, len, section_alignment(header.machine)),
            chosen: bytes.and_then(|bytes| slot::choose(bytes, identity)),
        }
    }
}

/// The first section of the right type and name.
fn find<'d, R: ReadRef<'d>>(data: R, header: &Header) -> Option<SectionHeader> {
    let range = header.section_headers().ok()?;
    let table = data.read_bytes_at(range.offset, range.len as u64).ok()?;
    let names = section_headers(table).nth(usize::from(header.shstrndx))?;
    find_section(table)
        .map(|(_, section)| section)
        .find(|section| {
            // The name and its terminator.
            let at = u64::from(section.sh_name);
            let wanted = pbitmap_core::format::SECTION_NAME.len() as u64 + 1;
            at.checked_add(wanted)
                .filter(|end| *end <= names.sh_size)
                .and_then(|_| names.sh_offset.checked_add(at))
                .and_then(|at| data.read_bytes_at(at, wanted).ok())
                .is_some_and(is_section_name)
        })
}

/// Pages of `size` bytes.
pub fn pages_of(size: u64) -> u64 {
    size.div_ceil(u64::from(pbitmap_core::format::PAGE_SIZE))
}
