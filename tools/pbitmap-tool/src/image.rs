// SPDX-License-Identifier: GPL-2.0

//! An executable as it is before it is annotated: what of it matters, and whether it can have a
//! bitmap at all.

use object::{
    elf::{FileHeader64, DF_1_PIE, DT_FLAGS_1, DT_NEEDED, DT_SONAME},
    read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _},
    LittleEndian, ReadRef,
};
use pbitmap_core::format::{
    elf::{
        go_action, is_section_name, layout_crc, program_headers, section_alignment,
        section_headers, FileRange, Header, ProgramHeader, RawHeader, SectionHeader, ET_DYN,
        PT_GNU_STACK, PT_LOAD,
    },
    error::Error as FormatError,
    layout::UndoRecord,
    slot::BuildId,
    MAX_SHNUM, SHT_PRESENT_BITMAP,
};
use thiserror::Error;

const ET_REL: u16 = 1;
const ET_CORE: u16 = 4;
const PT_INTERP: u32 = 3;
const PN_XNUM: u16 = 0xffff;
const SHN_XINDEX: u16 = 0xffff;
const SHT_NULL: u32 = 0;
const SHT_STRTAB: u32 = 3;
const SHT_NOBITS: u32 = 8;
const SHF_ALLOC: u64 = 2;

/// Bytes after the last structure that are looked at to see whether they are only padding.
const LONGEST_PADDING: u64 = 64 << 10;

/// Why an ELF file cannot have a bitmap.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Unsupported {
    #[error("not an ELF file")]
    NotElf,
    #[error("a 32-bit ELF file: only 64-bit programs can have a bitmap")]
    NotElf64,
    #[error("a big-endian ELF file: only little-endian programs can have a bitmap")]
    BigEndian,
    #[error("an ELF file of an unknown version")]
    Version,
    #[error("a kernel module: only programs can have a bitmap")]
    KernelModule,
    #[error("an object file: link it into a program first")]
    Object,
    #[error("a core file: only programs can have a bitmap")]
    Core,
    #[error("an ELF file of type {0}: only programs can have a bitmap")]
    Type(u16),
    #[error("the program headers are missing or malformed")]
    ProgramHeaders,
    #[error("the ELF file has more than 65534 program headers or 65279 sections (extended numbering), which no bitmap supports")]
    ExtendedNumbering,
    #[error("the section headers are malformed")]
    SectionHeaders,
    #[error("the file has {0} sections, and a bitmap needs room for more than the {MAX_SHNUM} that are looked at")]
    TooManySections(u16),
    #[error("the sections have no usable table of names")]
    SectionNames,
    #[error("the file is truncated: the {0} would end after it")]
    Truncated(&'static str),
    #[error("the {0} overlap the {1}")]
    Overlap(&'static str, &'static str),
    #[error("there is no PT_GNU_STACK program header to put the marker in; linking it with `-z noexecstack` makes one")]
    NoGnuStack,
    #[error("there is more than one PT_GNU_STACK program header")]
    ManyGnuStacks,
    #[error("no part of the file is mapped: it only holds debugging information")]
    NothingMapped,
    #[error("the file is too big")]
    TooBig,
}

impl From<FormatError> for Unsupported {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::NotElf => Self::NotElf,
            FormatError::NotElf64 => Self::NotElf64,
            FormatError::NotLittleEndian => Self::BigEndian,
            FormatError::BadElfVersion => Self::Version,
            FormatError::Truncated => Self::Truncated("ELF header"),
            FormatError::NoSectionHeaders | FormatError::BadSectionHeaders => Self::SectionHeaders,
            _ => Self::ProgramHeaders,
        }
    }
}

/// What an ELF file is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// To be started.
    Program,
    /// To be loaded by a program, the dynamic loader included.
    Library,
}

/// The parts of an executable that annotating changes or depends on.
#[derive(Clone, Debug)]
pub struct Image {
    /// Bytes of the file.
    pub size: u64,
    /// The ELF header.
    pub header: RawHeader,
    /// Index of `PT_GNU_STACK` among the program headers.
    pub stack_index: usize,
    /// `PT_GNU_STACK`.
    pub stack: ProgramHeader,
    /// The section headers; empty if the file has none.
    pub sections: Vec<SectionHeader>,
    /// The contents of the table of the sections' names.
    pub names: Vec<u8>,
    /// Identity of the ELF file.
    pub layout_crc: u32,
    /// Its GNU build id.
    pub build_id: BuildId,
    /// What it is for.
    pub purpose: Purpose,
    /// Bytes after everything that the headers know of.
    pub appended: u64,
}

impl Image {
    /// Reads the file as it is.
    pub fn parse<'d, R: ReadRef<'d>>(data: R) -> Result<Self, Unsupported> {
        let size = data.len().map_err(|()| Unsupported::TooBig)?;
        Self::parse_as(data, size, |_, _| ())
    }

    /// Reads an annotated file as it was before.
    pub fn parse_original<'d, R: ReadRef<'d>>(
        data: R,
        undo: &UndoRecord,
    ) -> Result<Self, Unsupported> {
        Self::parse_as(data, undo.original_size, |header, stack| {
            restore(undo, header, stack);
        })
    }

    fn parse_as<'d, R: ReadRef<'d>>(
        data: R,
        size: u64,
        restore: impl Fn(&mut RawHeader, &mut ProgramHeader),
    ) -> Result<Self, Unsupported> {
        // No offset of a file exceeds this, so that sums of two of them cannot overflow.
        if i64::try_from(size).is_err() {
            return Err(Unsupported::TooBig);
        }
        let (mut header, parsed) = read_header(data, size)?;
        let program_headers_at = parsed.program_headers()?;
        let raw_program_headers = read(data, size, program_headers_at, "program headers")?.to_vec();
        if program_headers_at.offset < RawHeader::SIZE as u64 {
            return Err(Unsupported::Overlap("program headers", "ELF header"));
        }
        let (stack_index, mut stack) = find_stack(&raw_program_headers)?;
        restore(&mut header, &mut stack);

        let mut end = program_headers_at.end();
        let mut mapped = false;
        for segment in program_headers(&raw_program_headers) {
            let Some(segment_end) = segment.p_offset.checked_add(segment.p_filesz) else {
                return Err(Unsupported::Truncated("segments"));
            };
            if segment.p_type == PT_LOAD && segment.p_filesz != 0 {
                mapped = true;
                if segment_end > size {
                    return Err(Unsupported::Truncated("segments"));
                }
            }
            if segment_end <= size {
                end = end.max(segment_end);
            }
        }
        if !mapped {
            return Err(Unsupported::NothingMapped);
        }

        let sections = read_sections(data, size, &header, program_headers_at)?;
        let names = read_names(data, size, &header, &sections)?;
        for section in &sections {
            if section.sh_type == SHT_NULL || section.sh_type == SHT_NOBITS {
                continue;
            }
            let section_end = section.sh_offset.checked_add(section.sh_size);
            match section_end.filter(|end| *end <= size) {
                Some(section_end) => end = end.max(section_end),
                None => return Err(Unsupported::Truncated("sections")),
            }
        }
        if !sections.is_empty() {
            let table = u64::from(header.e_shnum) * SectionHeader::SIZE as u64;
            end = end.max(header.e_shoff.saturating_add(table));
        }

        Ok(Self {
            size,
            stack_index,
            stack,
            sections,
            names,
            layout_crc: layout_crc(&parsed, &raw_program_headers),
            build_id: build_id(data),
            purpose: purpose(data, &header, &raw_program_headers),
            appended: appended(data, size, end),
            header,
        })
    }

    /// The alignment of the section in the file.
    pub fn alignment(&self) -> u64 {
        u64::from(section_alignment(self.header.e_machine))
    }

    /// Where `PT_GNU_STACK` is in the file.
    pub fn stack_offset(&self) -> u64 {
        let index = self.stack_index.saturating_mul(ProgramHeader::SIZE);
        self.header.e_phoff.saturating_add(index as u64)
    }

    /// The section header of a bitmap that the file has already.
    pub fn bitmap_section(&self) -> Option<usize> {
        find_bitmap(&self.sections, &self.names)
    }
}

/// The section header of a bitmap, the sections being called what `names` says.
pub fn find_bitmap(sections: &[SectionHeader], names: &[u8]) -> Option<usize> {
    sections.iter().position(|section| {
        section.sh_type == SHT_PRESENT_BITMAP
            && usize::try_from(section.sh_name)
                .ok()
                .and_then(|name| names.get(name..))
                .is_some_and(is_section_name)
    })
}

/// Puts the fields that annotating changes back to what they were.
pub fn restore(undo: &UndoRecord, header: &mut RawHeader, stack: &mut ProgramHeader) {
    header.e_shoff = undo.shoff;
    header.e_shentsize = undo.shentsize;
    header.e_shnum = undo.shnum;
    header.e_shstrndx = undo.shstrndx;
    stack.p_flags = undo.stack_flags;
    stack.p_offset = undo.stack_offset;
    stack.p_filesz = undo.stack_filesz;
}

/// The bytes of `range`, which must end before `size`.
fn read<'d, R: ReadRef<'d>>(
    data: R,
    size: u64,
    range: FileRange,
    what: &'static str,
) -> Result<&'d [u8], Unsupported> {
    if range.end() > size {
        return Err(Unsupported::Truncated(what));
    }
    data.read_bytes_at(range.offset, range.len as u64)
        .map_err(|()| Unsupported::Truncated(what))
}

fn read_header<'d, R: ReadRef<'d>>(data: R, size: u64) -> Result<(RawHeader, Header), Unsupported> {
    let len = size.min(RawHeader::SIZE as u64);
    let bytes = data
        .read_bytes_at(0, len)
        .map_err(|()| Unsupported::Truncated("ELF header"))?;
    let raw = RawHeader::decode(bytes);
    match (Header::parse(bytes), raw) {
        (Ok(header), Some(raw)) => Ok((raw, header)),
        (Err(FormatError::NotExecutable), Some(raw)) => Err(match raw.e_type {
            ET_REL if is_kernel_module(data) => Unsupported::KernelModule,
            ET_REL => Unsupported::Object,
            ET_CORE => Unsupported::Core,
            other => Unsupported::Type(other),
        }),
        (Err(FormatError::BadProgramHeaders), Some(raw)) if raw.e_phnum == PN_XNUM => {
            Err(Unsupported::ExtendedNumbering)
        }
        (Err(error), _) => Err(error.into()),
        (Ok(_), None) => Err(Unsupported::Truncated("ELF header")),
    }
}

fn find_stack(raw_program_headers: &[u8]) -> Result<(usize, ProgramHeader), Unsupported> {
    let mut stacks = program_headers(raw_program_headers)
        .enumerate()
        .filter(|(_, segment)| segment.p_type == PT_GNU_STACK);
    let stack = stacks.next().ok_or(Unsupported::NoGnuStack)?;
    match stacks.next() {
        Some(_) => Err(Unsupported::ManyGnuStacks),
        None => Ok(stack),
    }
}

fn read_sections<'d, R: ReadRef<'d>>(
    data: R,
    size: u64,
    header: &RawHeader,
    program_headers: FileRange,
) -> Result<Vec<SectionHeader>, Unsupported> {
    if header.e_shoff == 0 && header.e_shnum == 0 {
        return Ok(Vec::new());
    }
    if header.e_shnum == 0 || header.e_shstrndx == SHN_XINDEX {
        return Err(Unsupported::ExtendedNumbering);
    }
    if header.e_shoff == 0 || usize::from(header.e_shentsize) != SectionHeader::SIZE {
        return Err(Unsupported::SectionHeaders);
    }
    if header.e_shnum >= MAX_SHNUM {
        return Err(Unsupported::TooManySections(header.e_shnum));
    }
    let table = FileRange {
        offset: header.e_shoff,
        len: usize::from(header.e_shnum) * SectionHeader::SIZE,
    };
    let bytes = read(data, size, table, "section headers")?;
    if table.offset < RawHeader::SIZE as u64 {
        return Err(Unsupported::Overlap("section headers", "ELF header"));
    }
    if table.offset < program_headers.end() && program_headers.offset < table.end() {
        return Err(Unsupported::Overlap("section headers", "program headers"));
    }
    Ok(section_headers(bytes).collect())
}

fn read_names<'d, R: ReadRef<'d>>(
    data: R,
    size: u64,
    header: &RawHeader,
    sections: &[SectionHeader],
) -> Result<Vec<u8>, Unsupported> {
    if sections.is_empty() {
        return Ok(Vec::new());
    }
    let names = sections
        .get(usize::from(header.e_shstrndx))
        .filter(|names| names.sh_type == SHT_STRTAB && names.sh_flags & SHF_ALLOC == 0)
        .ok_or(Unsupported::SectionNames)?;
    let range = FileRange {
        offset: names.sh_offset,
        len: usize::try_from(names.sh_size).map_err(|_| Unsupported::SectionNames)?,
    };
    // The names of the sections that are added must be within reach of a 32-bit offset.
    if u32::try_from(range.len).is_err() {
        return Err(Unsupported::SectionNames);
    }
    read(data, size, range, "table of the sections' names").map(<[u8]>::to_vec)
}

/// How many bytes there are after `end` that are neither padding nor an undo record.
fn appended<'d, R: ReadRef<'d>>(data: R, size: u64, end: u64) -> u64 {
    let rest = size.saturating_sub(end);
    if rest == 0 || rest > LONGEST_PADDING {
        return rest;
    }
    let Ok(bytes) = data.read_bytes_at(end, rest) else {
        return rest;
    };
    let padding = match bytes.split_last_chunk::<{ UndoRecord::SIZE }>() {
        Some((before, last)) if crate::elf_edit::decode_undo(last).is_some() => before,
        _ => bytes,
    };
    if padding.iter().all(|byte| *byte == 0) {
        0
    } else {
        rest
    }
}

/// The build id of an ELF file, GNU's or else Go's; none if it has none.
pub fn build_id<'d, R: ReadRef<'d>>(data: R) -> BuildId {
    const NT_GNU_BUILD_ID: u32 = 3;
    const NT_GO_BUILD_ID: u32 = 4;
    let gnu = note(data, b"GNU", NT_GNU_BUILD_ID);
    let go = || note(data, b"Go", NT_GO_BUILD_ID).and_then(go_action);
    gnu.or_else(go).map(BuildId::new).unwrap_or_default()
}

/// What the first note with this name and kind says, if it says anything.
fn note<'d, R: ReadRef<'d>>(data: R, name: &[u8], kind: u32) -> Option<&'d [u8]> {
    let elf = FileHeader64::<LittleEndian>::parse(data).ok()?;
    for segment in elf.program_headers(LittleEndian, data).ok()? {
        let Ok(Some(mut notes)) = segment.notes(LittleEndian, data) else {
            continue;
        };
        while let Ok(Some(note)) = notes.next() {
            let found = note.name() == name && note.n_type(LittleEndian).0 == kind;
            if found && !note.desc().is_empty() {
                return Some(note.desc());
            }
        }
    }
    None
}

/// Tells programs from libraries.
///
/// The linker says so in a program that was linked as `-pie`, static ones included. Older ones
/// name an interpreter; but so does libc.so.6, which can be started and yet is a library, as its
/// name in `DT_SONAME` shows. What has neither is a program if it needs no library and says where
/// it starts: the dynamic loader has a `DT_SONAME` too.
fn purpose<'d, R: ReadRef<'d>>(data: R, header: &RawHeader, raw_program_headers: &[u8]) -> Purpose {
    if header.e_type != ET_DYN {
        return Purpose::Program;
    }
    let (mut pie, mut named, mut needs) = (false, false, false);
    let dynamic = || {
        let elf = FileHeader64::<LittleEndian>::parse(data).ok()?;
        let segments = elf.program_headers(LittleEndian, data).ok()?;
        segments
            .iter()
            .find_map(|segment| segment.dynamic(LittleEndian, data).ok().flatten())
    };
    for entry in dynamic().unwrap_or_default() {
        match entry.tag(LittleEndian) {
            DT_FLAGS_1 => pie |= entry.val(LittleEndian) & DF_1_PIE.0 != 0,
            DT_SONAME => named = true,
            DT_NEEDED => needs = true,
            _ => (),
        }
    }
    let interpreted =
        program_headers(raw_program_headers).any(|segment| segment.p_type == PT_INTERP);
    let starts_alone = !needs && header.e_entry != 0;
    if pie || !named && (interpreted || starts_alone) {
        Purpose::Program
    } else {
        Purpose::Library
    }
}

fn is_kernel_module<'d, R: ReadRef<'d>>(data: R) -> bool {
    let find = || {
        let elf = FileHeader64::<LittleEndian>::parse(data).ok()?;
        let sections = elf.sections(LittleEndian, data).ok()?;
        let names: Vec<&[u8]> = sections
            .iter()
            .filter_map(|section| sections.section_name(LittleEndian, section).ok())
            .collect();
        Some(names.contains(&&b".gnu.linkonce.this_module"[..]))
    };
    find().unwrap_or(false)
}
