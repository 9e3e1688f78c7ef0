// SPDX-License-Identifier: GPL-2.0

//! The section `.pbitmap` of an ELF file: finding it, reading the slot in force, and writing the
//! other one.
//!
//! A cold file costs one read here. `PT_GNU_STACK` says where the section should be, the section
//! headers follow it in the same block, and all of that is asked for at once; then the headers are
//! believed and not the hint. A file without a hint costs a read more.

use super::{
    super::{
        format::{
            elf,
            elf::{
                Header,
                SectionHeader, //
            },
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
            page_cache,
            KERNEL_PAGE_SIZE, //
        },
    },
    identity, read,
    slots::Slots,
    zeroed, Loaded, WriteError,
};
use kernel::{
    fs::File,
    prelude::*, //
};

/// The most that the hint may have read at once: two slots of the largest size and headers.
const MAX_BLOCK: u64 = 4 * MAX_SLOT as u64;

/// Bytes of the name with its terminator.
const NAME_LEN: usize = SECTION_NAME.len() + 1;

/// A section whose place and size are sound.
#[derive(Clone, Copy)]
pub(crate) struct Section(Slots);

impl Section {
    /// Looks for the section of `file`, an ELF file of `size` bytes with this header and these
    /// program headers. [`None`] if the file does not have the marker.
    pub(crate) fn find(
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
            && !elf::overlaps_load(
                phdrs,
                found.sh_offset,
                found.sh_size,
                KERNEL_PAGE_SIZE as u32,
            );
        if !sound {
            return Err(Reason::BadSection.into());
        }
        Ok(Self(Slots::new(
            found.sh_offset,
            usize::try_from(slot_size).map_err(|_| Reason::BadSection)?,
            identity(header, phdrs),
        )))
    }

    /// Reads the slot in force and says which one it is.
    pub(crate) fn read(&self, file: &File) -> Result<(usize, Loaded), Refusal> {
        self.0.read(file)
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
        if slot.len() != self.0.size() {
            return Err(Reason::BadSection.into());
        }
        let size = (self.0.size() as u64).saturating_mul(2);
        if !file.is_allocated(self.0.offset_of(0), size)? {
            return Err(Reason::Hole.into());
        }
        file.write(self.0.offset_beside(index), slot)?;
        Ok(())
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
