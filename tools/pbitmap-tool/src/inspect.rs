// SPDX-License-Identifier: GPL-2.0

//! What is to be said about the bitmap of a file, by the rules that the kernel goes by.

use std::io;

use object::ReadRef;
use pbitmap_core::format::{
    elf::{
        find_section, gnu_stack, is_section_name, layout_crc, overlaps_load, section_alignment,
        section_headers, Header, Marker, SectionHeader,
    },
    error::Error,
    slot::{self, Identity, Slot},
    MAX_SLOT,
};
use serde::Serialize;

use crate::{
    attribute::Attribute,
    directory::{any_slot, BitmapFile},
    image,
    store::Store,
    system::System,
    target::Target,
};

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
    /// There is a section, an attribute or a file, but nothing in it that can be used.
    Corrupt,
}

impl State {
    fn of(chosen: Result<(), Error>) -> Self {
        match chosen {
            Ok(()) => Self::Valid,
            Err(Error::Stale) => Self::Stale,
            Err(_) => Self::Corrupt,
        }
    }
}

/// The bitmaps of a program that are not in its file.
#[derive(Clone, Debug, Default)]
pub struct Outside {
    /// The attribute of the file.
    pub attribute: Option<Attribute>,
    /// The file in the directory of bitmaps.
    pub file: Option<BitmapFile>,
}

impl Outside {
    /// Looks for those of `target`; in the directory only if there is a system that has one.
    pub fn of<'d, R: ReadRef<'d>>(
        target: &Target,
        data: R,
        system: Option<&System>,
    ) -> io::Result<Self> {
        let directory = system.and_then(System::directory);
        Ok(Self {
            attribute: Attribute::read(&target.file)?,
            file: match directory {
                Some(directory) => {
                    match BitmapFile::find(&directory, &image::build_id(data)) {
                        // It is root's; who may not read it learns of the others all the same.
                        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
                        found => found?,
                    }
                }
                None => None,
            },
        })
    }
}

/// What was found in a file, and beside it.
#[derive(Clone, Copy, Debug)]
pub struct Inspection<'d> {
    /// What a bitmap must have been made for.
    pub identity: Identity,
    /// What `PT_GNU_STACK` says; [`None`] if there is none.
    pub marker: Option<Marker>,
    /// The section, if there is one.
    pub section: Option<Section<'d>>,
    /// The attribute, if there is one.
    pub attribute: Option<Other<'d>>,
    /// The file in the directory of bitmaps, if there is one.
    pub directory: Option<Other<'d>>,
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

/// A bitmap that is not in the file of its program.
#[derive(Clone, Copy, Debug)]
pub struct Other<'d> {
    /// The slot in it.
    pub chosen: Result<(usize, Slot<'d>), Error>,
    /// The slot that it would be if it were for this program.
    any: Option<(usize, Slot<'d>)>,
}

impl Other<'_> {
    /// The state of it.
    pub fn state(&self) -> State {
        State::of(self.chosen.map(|_| ()))
    }
}

impl<'d> Inspection<'d> {
    /// Looks for the bitmap in a file.
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
            attribute: None,
            directory: None,
        })
    }

    /// The same with what there is `outside` of the file.
    pub fn with(self, outside: &'d Outside) -> Self {
        let attribute = outside.attribute.as_ref().map(|attribute| Other {
            chosen: attribute.slot(&self.identity).map(|slot| (0, slot)),
            any: attribute.any_slot().map(|slot| (0, slot)),
        });
        let directory = outside.file.as_ref().map(|file| Other {
            chosen: file.slot(&self.identity),
            any: file.any_slot(),
        });
        Self {
            attribute,
            directory,
            ..self
        }
    }

    /// The same as if there were nothing in any other place.
    pub fn only(self, store: Store) -> Self {
        Self {
            section: self.section.filter(|_| store == Store::Section),
            attribute: self.attribute.filter(|_| store == Store::Xattr),
            directory: self.directory.filter(|_| store == Store::Directory),
            ..self
        }
    }

    /// Where the bitmap is that the kernel uses, or else the one there is most to be said about.
    pub fn store(&self) -> Option<Store> {
        let travels = match (self.attribute, self.section) {
            (Some(attribute), _) if attribute.state() == State::Valid => Store::Xattr,
            (_, Some(_)) if self.section_state() == State::Valid => Store::Section,
            (Some(_), _) => Store::Xattr,
            (None, Some(_)) => Store::Section,
            // Without either, what is in the directory is not looked for.
            (None, None) => return self.directory.map(|_| Store::Directory),
        };
        let updated = |chosen: Option<Result<(usize, Slot<'_>), Error>>| {
            let (_, slot) = chosen?.ok()?;
            Some(slot.header().updated)
        };
        let own = match travels {
            Store::Xattr => self.attribute.map(|attribute| attribute.chosen),
            _ => self
                .section
                .filter(|_| self.section_state() == State::Valid)
                .map(|section| section.chosen),
        };
        let other = updated(self.directory.map(|directory| directory.chosen));
        match (updated(own), other) {
            (Some(own), Some(other)) if other >= own => Some(Store::Directory),
            _ => Some(travels),
        }
    }

    /// The state of the bitmap that the kernel uses, or would if it could.
    pub fn state(&self) -> State {
        match self.store() {
            Some(Store::Section) => self.section_state(),
            Some(Store::Xattr) => self.attribute.map_or(State::NotAnnotated, |it| it.state()),
            Some(Store::Directory) if self.section.is_some() || self.attribute.is_some() => {
                self.directory.map_or(State::NotAnnotated, |it| it.state())
            }
            Some(Store::Directory) | None => State::NotAnnotated,
        }
    }

    /// The state of the section.
    pub fn section_state(&self) -> State {
        match self.section.map(|section| section.chosen.map(|_| ())) {
            None => State::NotAnnotated,
            Some(Ok(())) if self.is_armed() && !self.is_mapped() => State::Valid,
            Some(Ok(())) => State::Disarmed,
            Some(refused) => State::of(refused),
        }
    }

    /// What is wrong with the bitmap, if it cannot be used.
    pub fn refused(&self) -> Option<Error> {
        self.chosen()?.err()
    }

    /// The slot that is used, with its index, or why there is none.
    pub fn chosen(&self) -> Option<Result<(usize, Slot<'d>), Error>> {
        match self.store()? {
            Store::Section => self.section.map(|section| section.chosen),
            Store::Xattr => self.attribute.map(|attribute| attribute.chosen),
            Store::Directory => self.directory.map(|directory| directory.chosen),
        }
    }

    /// Whether the marker is set.
    pub fn is_armed(&self) -> bool {
        self.marker.is_some_and(|marker| marker.armed)
    }

    /// Whether the bitmap in the section lies where the kernel must not write.
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
        let any = match self.store()? {
            Store::Section => any_slot(self.section?.bytes),
            Store::Xattr => self.attribute?.any,
            Store::Directory => self.directory?.any,
        };
        self.chosen()?.ok().or(any)
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
