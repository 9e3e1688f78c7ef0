// SPDX-License-Identifier: GPL-2.0

//! The section `.pbitmap` of an ELF file: finding it, reading the slot in force, and writing the
//! other one.
//!
//! A cold file costs one read here. `PT_GNU_STACK` says where the section should be, the section
//! headers follow it in the same block, and all of that is asked for at once; then the headers are
//! believed and not the hint. A file without a hint costs a read more.

use super::super::{
    format::{
        elf,
        elf::{
            Header,
            SectionHeader, //
        },
        slot::{
            self,
            Identity,
            Slot,
            SlotHeader, //
        },
        MAX_PHNUM,
        MAX_SLOT,
        PAGE_SIZE,
        SECTION_NAME, //
    },
    stats::{
        Reason,
        Refusal, //
    },
    sys::{
        file::{
            self,
            InPlace,
            WritersWait, //
        },
        page_cache, //
    },
};
use kernel::{
    fs::File,
    prelude::*, //
};

/// Program headers up to this many bytes are read to the stack: 18 of them. Few programs have more.
const SMALL: usize = 1024;

/// The most that the hint may have read at once: two slots of the largest size and headers.
const MAX_BLOCK: u64 = 4 * MAX_SLOT as u64;

/// Bytes of the name with its terminator.
const NAME_LEN: usize = SECTION_NAME.len() + 1;

/// The used bytes of a slot that was found valid.
pub(crate) struct Loaded(KVVec<u8>);

impl Loaded {
    /// The slot.
    pub(crate) fn slot(&self) -> Result<Slot<'_>, Refusal> {
        Ok(Slot::checked_before(&self.0)?)
    }
}

/// A section whose place and size are sound.
#[derive(Clone, Copy)]
pub(crate) struct Section {
    offset: u64,
    slot_size: usize,
    identity: Identity,
}

impl Section {
    /// Looks for the section of `file`, an ELF file of `size` bytes with this header and these
    /// first bytes. [`None`] if the file does not have the marker, which costs one look at its
    /// program headers.
    pub(crate) fn find(
        file: &File,
        size: u64,
        header: &Header,
        head: &[u8],
    ) -> Result<Option<Self>, Refusal> {
        let range = header.program_headers()?;
        let in_head = usize::try_from(range.offset)
            .ok()
            .and_then(|start| head.get(start..start.checked_add(range.len)?));
        if let Some(phdrs) = in_head {
            return Self::behind_marker(file, size, header, phdrs);
        }
        if range.len <= SMALL {
            let mut buffer = [0; SMALL];
            let phdrs = buffer.get_mut(..range.len).ok_or(Reason::ReadError)?;
            read(file, range.offset, phdrs)?;
            return Self::behind_marker(file, size, header, phdrs);
        }
        const { assert!(MAX_PHNUM as usize * elf::ProgramHeader::SIZE <= 2 * PAGE_SIZE as usize) };
        let mut phdrs = zeroed(range.len)?;
        read(file, range.offset, &mut phdrs)?;
        Self::behind_marker(file, size, header, &phdrs)
    }

    fn behind_marker(
        file: &File,
        size: u64,
        header: &Header,
        phdrs: &[u8],
    ) -> Result<Option<Self>, Refusal> {
        let Some(marker) = elf::gnu_stack(phdrs).filter(|marker| marker.armed) else {
            return Ok(None);
        };
        let shdrs = header.section_headers()?;
        if let Some((offset, _)) = marker.locator {
            ask_for(file, size, offset, shdrs.end());
        }
        let found = find_header(file, header)?.ok_or(Reason::NoSection)?;
        Self::new(size, header, phdrs, &found).map(Some)
    }

    /// Checks what the section header says.
    fn new(
        size: u64,
        header: &Header,
        phdrs: &[u8],
        found: &SectionHeader,
    ) -> Result<Self, Refusal> {
        let slot_size = found.sh_size / 2;
        let end = found.sh_offset.checked_add(found.sh_size);
        let sound = found.sh_size % (2 * u64::from(PAGE_SIZE)) == 0
            && found.sh_offset % u64::from(PAGE_SIZE) == 0
            && (1..=MAX_SLOT as u64).contains(&slot_size)
            && end.is_some_and(|end| end <= size)
            && !elf::overlaps_load(phdrs, found.sh_offset, found.sh_size, PAGE_SIZE);
        if !sound {
            return Err(Reason::BadSection.into());
        }
        Ok(Self {
            offset: found.sh_offset,
            slot_size: usize::try_from(slot_size).map_err(|_| Reason::BadSection)?,
            identity: Identity::new(elf::layout_crc(header, phdrs)),
        })
    }

    fn slot_offset(&self, index: usize) -> u64 {
        // Both factors are below `MAX_SLOT`, and the section ends inside the file.
        self.offset
            .saturating_add((index as u64).saturating_mul(self.slot_size as u64))
    }

    /// Reads the slot in force and says which one it is.
    pub(crate) fn read(&self, file: &File) -> Result<(usize, Loaded), Refusal> {
        let mut headers = [[0; SlotHeader::SIZE]; 2];
        for (index, bytes) in headers.iter_mut().enumerate() {
            read(file, self.slot_offset(index), bytes)?;
        }
        let [first, second] = &headers;
        let order = slot::order([first, second], self.slot_size, &self.identity)?;
        self.read_slot(file, &order.newest).or_else(|refusal| {
            let older = order.older.ok_or(refusal)?;
            self.read_slot(file, &older).map_err(|_| refusal)
        })
    }

    fn read_slot(
        &self,
        file: &File,
        (index, header): &(usize, SlotHeader),
    ) -> Result<(usize, Loaded), Refusal> {
        // At most the slot's size, which `order` has compared with the section's.
        let mut bytes = zeroed(header.used_bytes as usize)?;
        read(file, self.slot_offset(*index), &mut bytes)?;
        Slot::parse(&bytes, &self.identity)?;
        Ok((*index, Loaded(bytes)))
    }

    /// Writes a slot of which `index` is the other one, the one in force.
    ///
    /// The slot in force must be on the device by then; a power cut while both are in flight could
    /// leave neither. And nobody else may write the file.
    pub(crate) fn write_beside(
        &self,
        file: &InPlace<'_>,
        index: usize,
        slot: &[u8],
        _writers: &WritersWait<'_>,
    ) -> Result<(), WriteError> {
        if slot.len() != self.slot_size {
            return Err(Refusal::from(Reason::BadSection).into());
        }
        let size = (self.slot_size as u64).saturating_mul(2);
        if !file.is_allocated(self.offset, size)? {
            return Err(Refusal::from(Reason::Hole).into());
        }
        file.write(self.slot_offset(1 - index.min(1)), slot)?;
        Ok(())
    }

    /// Bytes of one slot.
    pub(crate) fn slot_size(&self) -> usize {
        self.slot_size
    }
}

/// Why a slot was not written.
pub(crate) enum WriteError {
    /// It was not tried.
    Refused(Refusal),
    /// The filesystem failed.
    Failed(Error),
}

impl From<Refusal> for WriteError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        match error {
            EROFS => Self::Refused(Reason::ReadOnly.into()),
            EACCES | EPERM => Self::Refused(Reason::Denied.into()),
            // What a frozen filesystem says.
            EBUSY => Self::Refused(Reason::Frozen.into()),
            _ if file::is_full(error) => Self::Refused(Reason::Full.into()),
            _ => Self::Failed(error),
        }
    }
}

/// Has the block from `offset` to `end` read at once, if that can be what the tool made.
fn ask_for(file: &File, size: u64, offset: u64, end: u64) {
    let sound = offset % u64::from(PAGE_SIZE) == 0
        && end <= size
        && end.checked_sub(offset).is_some_and(|len| len <= MAX_BLOCK);
    if !sound {
        return;
    }
    let first = offset / u64::from(PAGE_SIZE);
    let pages = (end - offset).div_ceil(u64::from(PAGE_SIZE));
    // A warm file has them all; a hint that failed leaves the reads that follow as they are.
    if !page_cache::Mapping::of(file).is_cached(first, pages) {
        let _ = page_cache::will_need(file, first, pages);
    }
}

/// The section header of the section. The tool puts it last, so that it is looked for there first.
fn find_header(file: &File, header: &Header) -> Result<Option<SectionHeader>, Refusal> {
    let range = header.section_headers()?;
    // `section_headers` made sure of at least one, and of the arithmetic.
    let last = range.end().saturating_sub(SectionHeader::SIZE as u64);
    let mut bytes = [0; SectionHeader::SIZE];
    read(file, last, &mut bytes)?;
    for (_, candidate) in elf::find_section(&bytes) {
        if has_name(file, header, &candidate)? {
            return Ok(Some(candidate));
        }
    }
    let mut shdrs = zeroed(range.len)?;
    read(file, range.offset, &mut shdrs)?;
    for (_, candidate) in elf::find_section(&shdrs) {
        if has_name(file, header, &candidate)? {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// Whether the section that `candidate` describes is called `.pbitmap`.
fn has_name(file: &File, header: &Header, candidate: &SectionHeader) -> Result<bool, Refusal> {
    let range = header.section_headers()?;
    let index = u64::from(header.shstrndx);
    let mut bytes = [0; SectionHeader::SIZE];
    if index >= u64::from(header.shnum) {
        return Ok(false);
    }
    let at = range
        .offset
        .saturating_add(index.saturating_mul(SectionHeader::SIZE as u64));
    read(file, at, &mut bytes)?;
    let Some(strings) = SectionHeader::decode(&bytes) else {
        return Ok(false);
    };
    let inside = u64::from(candidate.sh_name)
        .checked_add(NAME_LEN as u64)
        .is_some_and(|end| end <= strings.sh_size);
    let Some(at) = strings.sh_offset.checked_add(u64::from(candidate.sh_name)) else {
        return Ok(false);
    };
    let mut name = [0; NAME_LEN];
    if !inside || file::read_exact(file, at, &mut name).is_err() {
        return Ok(false);
    }
    Ok(elf::is_section_name(&name))
}

fn read(file: &File, offset: u64, buffer: &mut [u8]) -> Result<(), Refusal> {
    file::read_exact(file, offset, buffer).map_err(|_| Reason::ReadError.into())
}

fn zeroed(len: usize) -> Result<KVVec<u8>, Refusal> {
    KVVec::from_elem(0, len, GFP_KERNEL).map_err(|_| Reason::ReadError.into())
}
