// SPDX-License-Identifier: GPL-2.0

//! Just enough of ELF64 little-endian to find a bitmap and to tell whether it belongs to the file.
//!
//! Nothing is read from the file here: a function says which bytes it needs as a [`FileRange`],
//! and the caller brings them. Everything else about the file is the kernel's or the tool's to
//! check.

use core::ops::Range;

use super::{
    crc32c::Crc32c,
    error::{
        Error,
        Result, //
    },
    record::record,
    MAX_PHNUM,
    MAX_SHNUM,
    PF_PBITMAP,
    SECTION_NAME,
    SHT_PRESENT_BITMAP, //
};

/// `e_type` of an executable at fixed addresses.
pub const ET_EXEC: u16 = 2;
/// `e_type` of a shared object or position-independent executable.
pub const ET_DYN: u16 = 3;
/// `e_machine` of the 32-bit x86.
pub const EM_386: u16 = 3;
/// `e_machine` of x86-64.
pub const EM_X86_64: u16 = 62;
/// `p_type` of a segment that is mapped.
pub const PT_LOAD: u32 = 1;
/// `p_type` of a segment of notes.
pub const PT_NOTE: u32 = 4;
/// `p_type` of the segment that says how the stack is to be, and nothing else.
pub const PT_GNU_STACK: u32 = 0x6474_e551;

/// `n_type` of the note of GNU that identifies a build.
const NT_GNU_BUILD_ID: u32 = 3;

/// `n_type` of Go's, whose linker makes none of GNU by itself before Go 1.24.
const NT_GO_BUILD_ID: u32 = 4;

/// Bytes of a part of Go's build id.
const GO_PART: usize = 20;

/// The bytes of a file from [`offset`](Self::offset) on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileRange {
    /// Where they start.
    pub offset: u64,
    /// How many they are.
    pub len: usize,
}

impl FileRange {
    /// `count` entries of `size` bytes, all of them at offsets that a file can have.
    fn table(offset: u64, count: u16, size: usize) -> Option<Self> {
        let len = usize::from(count).checked_mul(size)?;
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        i64::try_from(end).ok()?;
        Some(Self { offset, len })
    }

    /// The offset after the last byte.
    pub fn end(&self) -> u64 {
        self.offset
            .saturating_add(u64::try_from(self.len).unwrap_or(u64::MAX))
    }
}

record! {
    /// The ELF header as it is in the file; [`Header::parse`] checks it.
    pub struct RawHeader: 64 {
        /// Magic, class, byte order, version.
        0x00 e_ident: [u8; 16],
        /// Kind of file.
        0x10 e_type: u16,
        /// Architecture.
        0x12 e_machine: u16,
        /// Version.
        0x14 e_version: u32,
        /// Where the program starts.
        0x18 e_entry: u64,
        /// Where the program headers are.
        0x20 e_phoff: u64,
        /// Where the section headers are.
        0x28 e_shoff: u64,
        /// Flags of the architecture.
        0x30 e_flags: u32,
        /// Bytes of this header.
        0x34 e_ehsize: u16,
        /// Bytes of a program header.
        0x36 e_phentsize: u16,
        /// How many program headers there are.
        0x38 e_phnum: u16,
        /// Bytes of a section header.
        0x3a e_shentsize: u16,
        /// How many section headers there are.
        0x3c e_shnum: u16,
        /// Index of the section with the sections' names.
        0x3e e_shstrndx: u16,
    }
}

record! {
    /// A program header.
    pub struct ProgramHeader: 56 {
        /// Kind of segment.
        0x00 p_type: u32,
        /// Access, and [`PF_PBITMAP`].
        0x04 p_flags: u32,
        /// Where in the file it is.
        0x08 p_offset: u64,
        /// Where in memory it goes.
        0x10 p_vaddr: u64,
        /// Where in physical memory it goes.
        0x18 p_paddr: u64,
        /// Bytes in the file.
        0x20 p_filesz: u64,
        /// Bytes in memory.
        0x28 p_memsz: u64,
        /// Alignment.
        0x30 p_align: u64,
    }
}

record! {
    /// A section header.
    pub struct SectionHeader: 64 {
        /// Where its name is in the string table of names.
        0x00 sh_name: u32,
        /// Kind of section.
        0x04 sh_type: u32,
        /// Flags.
        0x08 sh_flags: u64,
        /// Where in memory it goes.
        0x10 sh_addr: u64,
        /// Where in the file it is.
        0x18 sh_offset: u64,
        /// Bytes.
        0x20 sh_size: u64,
        /// Another section it refers to.
        0x28 sh_link: u32,
        /// More of that.
        0x2c sh_info: u32,
        /// Alignment.
        0x30 sh_addralign: u64,
        /// Bytes of an entry.
        0x38 sh_entsize: u64,
    }
}

/// What matters of the header of an ELF file that can have a bitmap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header {
    /// `e_type`: [`ET_EXEC`] or [`ET_DYN`].
    pub kind: u16,
    /// `e_machine`.
    pub machine: u16,
    /// `e_entry`.
    pub entry: u64,
    /// `e_phoff`.
    pub phoff: u64,
    /// `e_phnum`: at least 1, at most [`MAX_PHNUM`].
    pub phnum: u16,
    /// `e_shoff`.
    pub shoff: u64,
    /// `e_shentsize`; checked by [`Header::section_headers`].
    pub shentsize: u16,
    /// `e_shnum`; checked by [`Header::section_headers`].
    pub shnum: u16,
    /// `e_shstrndx`.
    pub shstrndx: u16,
}

impl Header {
    /// Bytes of the header.
    pub const SIZE: usize = RawHeader::SIZE;

    /// Reads the header from the first bytes of a file.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let Some(raw) = RawHeader::decode(bytes) else {
            return Err(if bytes.starts_with(b"\x7fELF") {
                Error::Truncated
            } else {
                Error::NotElf
            });
        };
        let [b'\x7f', b'E', b'L', b'F', class, data, version, ..] = raw.e_ident else {
            return Err(Error::NotElf);
        };
        if class != 2 {
            return Err(Error::NotElf64);
        }
        if data != 1 {
            return Err(Error::NotLittleEndian);
        }
        if version != 1 || raw.e_version != 1 {
            return Err(Error::BadElfVersion);
        }
        if raw.e_type != ET_EXEC && raw.e_type != ET_DYN {
            return Err(Error::NotExecutable);
        }
        if usize::from(raw.e_phentsize) != ProgramHeader::SIZE
            || raw.e_phnum == 0
            || raw.e_phnum > MAX_PHNUM
        {
            return Err(Error::BadProgramHeaders);
        }
        Ok(Self {
            kind: raw.e_type,
            machine: raw.e_machine,
            entry: raw.e_entry,
            phoff: raw.e_phoff,
            phnum: raw.e_phnum,
            shoff: raw.e_shoff,
            shentsize: raw.e_shentsize,
            shnum: raw.e_shnum,
            shstrndx: raw.e_shstrndx,
        })
    }

    /// Where the program headers are.
    pub fn program_headers(&self) -> Result<FileRange> {
        FileRange::table(self.phoff, self.phnum, ProgramHeader::SIZE)
            .ok_or(Error::BadProgramHeaders)
    }

    /// Where the section headers are.
    pub fn section_headers(&self) -> Result<FileRange> {
        if self.shoff == 0 || self.shnum == 0 {
            return Err(Error::NoSectionHeaders);
        }
        if usize::from(self.shentsize) != SectionHeader::SIZE || self.shnum > MAX_SHNUM {
            return Err(Error::BadSectionHeaders);
        }
        FileRange::table(self.shoff, self.shnum, SectionHeader::SIZE)
            .ok_or(Error::BadSectionHeaders)
    }
}

/// The alignment that the section needs in the file, so that it shares no page with a segment on
/// any page size of the architecture.
pub const fn section_alignment(machine: u16) -> u32 {
    match machine {
        EM_X86_64 | EM_386 => 4096,
        _ => 65536,
    }
}

/// The whole program headers in `phdrs`, the bytes of [`Header::program_headers`].
pub fn program_headers(phdrs: &[u8]) -> impl Iterator<Item = ProgramHeader> + '_ {
    phdrs
        .chunks_exact(ProgramHeader::SIZE)
        .filter_map(ProgramHeader::decode)
}

/// The whole section headers in `shdrs`, the bytes of [`Header::section_headers`].
pub fn section_headers(shdrs: &[u8]) -> impl Iterator<Item = SectionHeader> + '_ {
    shdrs
        .chunks_exact(SectionHeader::SIZE)
        .filter_map(SectionHeader::decode)
}

/// What `PT_GNU_STACK` says about a bitmap.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Marker {
    /// Whether to look for one.
    pub armed: bool,
    /// Where it is said to be, as offset and bytes: only a hint.
    pub locator: Option<(u64, u64)>,
}

/// Reads the marker from the first `PT_GNU_STACK`; [`None`] if there is none.
pub fn gnu_stack(phdrs: &[u8]) -> Option<Marker> {
    // The type alone is looked at first: this runs for every program that is started.
    let raw = phdrs
        .chunks_exact(ProgramHeader::SIZE)
        .find(|raw| raw.starts_with(&PT_GNU_STACK.to_le_bytes()))?;
    let stack = ProgramHeader::decode(raw)?;
    let armed = stack.p_flags & PF_PBITMAP != 0;
    let inside = stack
        .p_offset
        .checked_add(stack.p_filesz)
        .is_some_and(|end| i64::try_from(end).is_ok());
    let locator = (armed && inside && stack.p_offset != 0 && stack.p_filesz != 0)
        .then_some((stack.p_offset, stack.p_filesz));
    Some(Marker { armed, locator })
}

/// The identity of an ELF file: what decides how it is laid out in memory.
///
/// It is the CRC32C of `e_type`, `e_machine`, `e_entry` and of all program headers, in the order
/// and the bytes of the file, but for `PT_GNU_STACK`, which annotating changes.
pub fn layout_crc(header: &Header, phdrs: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(&header.kind.to_le_bytes());
    crc.update(&header.machine.to_le_bytes());
    crc.update(&header.entry.to_le_bytes());
    for raw in phdrs.chunks_exact(ProgramHeader::SIZE) {
        if !raw.starts_with(&PT_GNU_STACK.to_le_bytes()) {
            crc.update(raw);
        }
    }
    crc.finish()
}

/// The sections of type [`SHT_PRESENT_BITMAP`], with their indexes. The name is still to be
/// checked with [`is_section_name`].
pub fn find_section(shdrs: &[u8]) -> impl Iterator<Item = (usize, SectionHeader)> + '_ {
    shdrs
        .chunks_exact(SectionHeader::SIZE)
        .enumerate()
        .filter(|(_, raw)| {
            raw.get(4..)
                .is_some_and(|raw| raw.starts_with(&SHT_PRESENT_BITMAP.to_le_bytes()))
        })
        .filter_map(|(index, raw)| Some((index, SectionHeader::decode(raw)?)))
}

/// Whether `name`, bytes of the string table from a section's name on, is [`SECTION_NAME`] with
/// its terminator.
pub fn is_section_name(name: &[u8]) -> bool {
    name.strip_prefix(SECTION_NAME)
        .is_some_and(|rest| rest.starts_with(b"\0"))
}

/// Whether `len` bytes from `offset` on share a page of `page_size` bytes with what a `PT_LOAD`
/// maps from the file. Ranges that no file can have count as sharing.
pub fn overlaps_load(phdrs: &[u8], offset: u64, len: u64, page_size: u32) -> bool {
    let Some(pages) = page_range(offset, len, page_size) else {
        return true;
    };
    program_headers(phdrs)
        .filter(|phdr| phdr.p_type == PT_LOAD && phdr.p_filesz != 0)
        .any(
            |phdr| match page_range(phdr.p_offset, phdr.p_filesz, page_size) {
                Some(load) => pages.start < load.end && load.start < pages.end,
                None => true,
            },
        )
}

/// The GNU build id in `notes`, the bytes of a `PT_NOTE` segment; [`None`] if there is none, or
/// one without a byte.
pub fn build_id(notes: &[u8]) -> Option<&[u8]> {
    Note::find(notes, b"GNU\0", NT_GNU_BUILD_ID).filter(|id| !id.is_empty())
}

/// What takes the place of a build id in a Go program's notes, [`go_action`].
fn go_build_id(notes: &[u8]) -> Option<&[u8]> {
    Note::find(notes, b"Go\0\0", NT_GO_BUILD_ID).and_then(go_action)
}

/// The first of the four parts of Go's build id: a hash of all that its linker was given.
///
/// [`None`] if the id was chosen by hand (`-buildid=redacted`): programs may have it in common.
pub fn go_action(id: &[u8]) -> Option<&[u8]> {
    let (part, rest) = id.split_at_checked(GO_PART)?;
    (rest.starts_with(b"/") && !part.contains(&b'/')).then_some(part)
}

/// The build id, GNU's or else Go's, of the ELF file of which `head` is the beginning; [`None`] if
/// there is none in it. Programs and libraries have their notes right behind the program headers.
pub fn build_id_in(head: &[u8]) -> Option<&[u8]> {
    let part = |offset: u64, len: u64| {
        let start = usize::try_from(offset).ok()?;
        head.get(start..start.checked_add(usize::try_from(len).ok()?)?)
    };
    let header = Header::parse(head).ok()?;
    let range = header.program_headers().ok()?;
    let phdrs = part(range.offset, range.len as u64)?;
    let notes = || {
        program_headers(phdrs)
            .filter(|phdr| phdr.p_type == PT_NOTE)
            .filter_map(|phdr| part(phdr.p_offset, phdr.p_filesz))
    };
    notes()
        .find_map(build_id)
        .or_else(|| notes().find_map(go_build_id))
}

/// An entry of a `PT_NOTE` segment.
struct Note<'a> {
    kind: u32,
    name: &'a [u8],
    contents: &'a [u8],
}

impl<'a> Note<'a> {
    /// What the first of `notes` with this name and kind says.
    fn find(notes: &'a [u8], name: &[u8], kind: u32) -> Option<&'a [u8]> {
        let mut rest = notes;
        loop {
            let note;
            (note, rest) = Self::split(rest)?;
            if note.kind == kind && note.name == name {
                return Some(note.contents);
            }
        }
    }

    /// The first of `notes`, and the others.
    fn split(notes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (name_len, rest) = split_number(notes)?;
        let (contents_len, rest) = split_number(rest)?;
        let (kind, rest) = split_number(rest)?;
        let (name, rest) = split_padded(rest, name_len)?;
        let (contents, rest) = split_padded(rest, contents_len)?;
        let note = Self {
            kind,
            name,
            contents,
        };
        Some((note, rest))
    }
}

fn split_number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*number), rest))
}

/// The first `len` bytes, and those after the padding to 4 bytes, which may be missing at the end.
fn split_padded(bytes: &[u8], len: u32) -> Option<(&[u8], &[u8])> {
    let len = usize::try_from(len).ok()?;
    let padded = len.checked_next_multiple_of(4)?;
    Some((bytes.get(..len)?, bytes.get(padded..).unwrap_or_default()))
}

/// The pages that hold any of `len` bytes from `offset` on; [`None`] if no file has those bytes.
fn page_range(offset: u64, len: u64, page_size: u32) -> Option<Range<u64>> {
    let page_size = u64::from(page_size);
    let end = offset.checked_add(len)?;
    i64::try_from(end).ok()?;
    let round_up = page_size.checked_sub(1)?;
    Some(offset.checked_div(page_size)?..end.checked_add(round_up)?.checked_div(page_size)?)
}
