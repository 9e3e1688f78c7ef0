// SPDX-License-Identifier: GPL-2.0

//! What is changed in an ELF file to give it a bitmap, to arm that again, and to take it away.
//!
//! Nothing is written here: an [`Edit`] says how the new file is made from the old one.
//!
//! # An annotated file
//!
//! ```text
//! the original, but for e_shoff, e_shnum, e_shstrndx and e_shentsize in the ELF header
//!     and p_flags, p_offset and p_filesz of PT_GNU_STACK
//! zeroes up to the alignment: a page of the largest size that the architecture has
//! .pbitmap: two slots
//! .shstrtab: a copy of the names of the sections, and one more
//! the section headers: a copy, and one more
//! the undo record
//! ```
//!
//! The old names and the old section headers stay where they were, so that only what the undo
//! record holds has to be put back. The section and the headers that lead to it lie together, so
//! that one read brings both.

use object::ReadRef;
use pbitmap_core::format::{
    elf::{section_headers, Header, ProgramHeader, RawHeader, SectionHeader, PT_GNU_STACK},
    layout::UndoRecord,
    PF_PBITMAP, SECTION_NAME, SHT_PRESENT_BITMAP,
};

use crate::image::{find_bitmap, Image, Unsupported};

const SHT_STRTAB: u32 = 3;

/// How a new file is made from an old one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Edit {
    /// Bytes of the old file that are kept, from its start.
    pub keep: u64,
    /// What is then written over them and after them.
    pub writes: Vec<Write>,
}

/// Bytes to put somewhere in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Write {
    /// Where in the file.
    pub offset: u64,
    /// What.
    pub bytes: Vec<u8>,
}

impl Edit {
    /// Makes the new file.
    pub fn apply(&self, old: &[u8]) -> Option<Vec<u8>> {
        let keep = usize::try_from(self.keep).ok()?;
        let mut new = old.get(..keep)?.to_vec();
        for write in &self.writes {
            let start = usize::try_from(write.offset).ok()?;
            let end = start.checked_add(write.bytes.len())?;
            if new.len() < end {
                new.resize(end, 0);
            }
            new.get_mut(start..end)?.copy_from_slice(&write.bytes);
        }
        Some(new)
    }
}

/// Gives an executable the section `slots`, and the marker that leads to it.
///
/// If the file has such a section already, its header is made to lead to the new one.
pub fn annotate(image: &Image, slots: Vec<u8>) -> Result<Edit, Unsupported> {
    let mut sections = image.sections.clone();
    let mut names = image.names.clone();
    let mut header = image.header;
    if sections.is_empty() {
        names = vec![0];
        header.e_shentsize = SectionHeader::SIZE as u16;
        header.e_shstrndx = 1;
        sections.push(SectionHeader::default());
        sections.push(SectionHeader {
            sh_name: add_name(&mut names, b".shstrtab")?,
            sh_type: SHT_STRTAB,
            sh_addralign: 1,
            ..SectionHeader::default()
        });
    }
    terminate(&mut names);
    let old = find_bitmap(&sections, &names);
    let mut name = 0;
    if old.is_none() {
        // A header may have its name behind the end of the table, where one is added now: it must
        // not become that of a bitmap.
        let before = names.len();
        let mut gap = 0;
        loop {
            names.truncate(before);
            names.resize(before + gap, 0);
            name = add_name(&mut names, SECTION_NAME)?;
            match find_bitmap(&sections, &names) {
                Some(_) => gap += 1,
                None => break,
            }
        }
    }

    let mut layout = Layout { end: image.size };
    let alignment = image.alignment();
    let section_at = layout.place(slots.len(), alignment)?;
    let names_at = layout.place(names.len(), 1)?;

    let names_header = sections
        .get_mut(usize::from(header.e_shstrndx))
        .ok_or(Unsupported::SectionNames)?;
    names_header.sh_offset = names_at;
    names_header.sh_size = names.len() as u64;

    let section = SectionHeader {
        sh_type: SHT_PRESENT_BITMAP,
        sh_offset: section_at,
        sh_size: slots.len() as u64,
        sh_addralign: alignment,
        ..SectionHeader::default()
    };
    match old.and_then(|index| sections.get_mut(index)) {
        Some(old) => {
            *old = SectionHeader {
                sh_name: old.sh_name,
                ..section
            }
        }
        None => sections.push(SectionHeader {
            sh_name: name,
            ..section
        }),
    }

    let table = encode_sections(&sections);
    let table_at = layout.place(table.len(), 8)?;
    header.e_shoff = table_at;
    header.e_shnum = u16::try_from(sections.len())
        .map_err(|_| Unsupported::TooManySections(image.header.e_shnum))?;

    let mut stack = image.stack;
    stack.p_flags |= PF_PBITMAP;
    stack.p_offset = section_at;
    stack.p_filesz = slots.len() as u64;

    let undo_at = layout.place(UndoRecord::SIZE, 1)?;
    let undo = UndoRecord {
        original_size: image.size,
        shoff: image.header.e_shoff,
        shnum: image.header.e_shnum,
        shstrndx: image.header.e_shstrndx,
        shentsize: image.header.e_shentsize,
        stack_flags: image.stack.p_flags,
        stack_offset: image.stack.p_offset,
        stack_filesz: image.stack.p_filesz,
        stack_index: u32::try_from(image.stack_index).map_err(|_| Unsupported::ProgramHeaders)?,
        ..UndoRecord::default()
    };
    Ok(Edit {
        keep: image.size,
        writes: vec![
            write_header(&header),
            write_stack(image.stack_offset(), &stack),
            Write {
                offset: section_at,
                bytes: slots,
            },
            Write {
                offset: names_at,
                bytes: names,
            },
            Write {
                offset: table_at,
                bytes: table,
            },
            Write {
                offset: undo_at,
                bytes: undo.to_bytes().to_vec(),
            },
        ],
    })
}

/// Sets the marker again in a file that has a section of `len` bytes at `offset`.
pub fn arm(image: &Image, offset: u64, len: u64) -> Edit {
    let mut stack = image.stack;
    stack.p_flags |= PF_PBITMAP;
    stack.p_offset = offset;
    stack.p_filesz = len;
    Edit {
        keep: image.size,
        writes: vec![write_stack(image.stack_offset(), &stack)],
    }
}

/// Clears a marker that leads to no section.
pub fn disarm(image: &Image) -> Edit {
    let mut stack = image.stack;
    stack.p_flags &= !PF_PBITMAP;
    stack.p_offset = 0;
    stack.p_filesz = 0;
    Edit {
        keep: image.size,
        writes: vec![write_stack(image.stack_offset(), &stack)],
    }
}

/// Whether and how an annotated file can be given back as it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Undo {
    /// With this record.
    Possible(UndoRecord),
    /// The file does not end in an undo record.
    Missing,
    /// It does, but what the record would change back is no longer what annotating made of it.
    Edited,
}

/// Finds the undo record and checks that it still goes with the file.
pub fn find_undo<'d, R: ReadRef<'d>>(data: R) -> Undo {
    let Some(undo) = last_undo(data) else {
        return Undo::Missing;
    };
    match goes_with(&undo, data) {
        Some(true) => Undo::Possible(undo),
        _ => Undo::Edited,
    }
}

/// Gives back the original, which was read with an undo record.
pub fn remove(original: &Image) -> Edit {
    Edit {
        keep: original.size,
        writes: vec![
            write_header(&original.header),
            write_stack(original.stack_offset(), &original.stack),
        ],
    }
}

/// The undo record in the last bytes of a file.
pub fn decode_undo(bytes: &[u8]) -> Option<UndoRecord> {
    UndoRecord::parse(bytes).ok()
}

fn last_undo<'d, R: ReadRef<'d>>(data: R) -> Option<UndoRecord> {
    let size = UndoRecord::SIZE as u64;
    let start = data.len().ok()?.checked_sub(size)?;
    decode_undo(data.read_bytes_at(start, size).ok()?)
}

/// Whether the headers in force are what annotating makes of those that `undo` leads to. A program
/// that edits the file and writes new section headers would otherwise be undone by half.
fn goes_with<'d, R: ReadRef<'d>>(undo: &UndoRecord, data: R) -> Option<bool> {
    let raw = data.read_bytes_at(0, RawHeader::SIZE as u64).ok()?;
    let (header, parsed) = (RawHeader::decode(raw)?, Header::parse(raw).ok()?);
    let segments = parsed.program_headers().ok()?;
    let at = u64::from(undo.stack_index).checked_mul(ProgramHeader::SIZE as u64)?;
    let at = segments.offset.checked_add(at)?;
    if undo.original_size < segments.end() || at >= segments.end() {
        return Some(false);
    }
    let stack = data.read_bytes_at(at, ProgramHeader::SIZE as u64).ok()?;
    let stack = ProgramHeader::decode(stack)?;
    let marked = stack.p_type == PT_GNU_STACK
        && stack.p_flags == undo.stack_flags | PF_PBITMAP
        && stack.p_offset >= undo.original_size;
    if !marked {
        return Some(false);
    }

    let table = parsed.section_headers().ok()?;
    let table = data
        .read_bytes_at(table.offset, table.len as u64)
        .ok()
        .map(|bytes| section_headers(bytes).collect::<Vec<_>>())?;
    let leads_to_section = |section: &SectionHeader| {
        section.sh_type == SHT_PRESENT_BITMAP
            && section.sh_offset == stack.p_offset
            && section.sh_size == stack.p_filesz
    };
    if !table.iter().any(leads_to_section) {
        return Some(false);
    }
    if undo.shnum == 0 {
        // The null section, the names and the bitmap, all of them made by annotating.
        return Some(table.len() == 3);
    }

    let old_header = RawHeader {
        e_shoff: undo.shoff,
        e_shnum: undo.shnum,
        ..header
    };
    let mut encoded = [0; RawHeader::SIZE];
    old_header.encode(&mut encoded)?;
    let old_table = Header::parse(&encoded).ok()?.section_headers().ok()?;
    if old_table.end() > undo.original_size {
        return Some(false);
    }
    let bytes = data
        .read_bytes_at(old_table.offset, old_table.len as u64)
        .ok()?;
    let old_table: Vec<_> = section_headers(bytes).collect();
    let unchanged = old_table
        .iter()
        .zip(&table)
        .enumerate()
        .all(|(index, (old, new))| {
            let moved_names = SectionHeader {
                sh_offset: new.sh_offset,
                sh_size: new.sh_size,
                ..*old
            };
            old == new
                || index == usize::from(undo.shstrndx) && moved_names == *new
                || old.sh_type == SHT_PRESENT_BITMAP && leads_to_section(new)
        });
    let added = table.len().checked_sub(old_table.len());
    Some(unchanged && header.e_shstrndx == undo.shstrndx && matches!(added, Some(0 | 1)))
}

/// Where things go that are put at the end of a file, one after the other.
struct Layout {
    end: u64,
}

impl Layout {
    fn place(&mut self, len: usize, alignment: u64) -> Result<u64, Unsupported> {
        let place = || {
            let start = self.end.checked_next_multiple_of(alignment)?;
            let end = start.checked_add(u64::try_from(len).ok()?)?;
            i64::try_from(end).is_ok().then_some((start, end))
        };
        let (start, end) = place().ok_or(Unsupported::TooBig)?;
        self.end = end;
        Ok(start)
    }
}

/// Ends the last name of a table that does not end it.
fn terminate(names: &mut Vec<u8>) {
    if names.last().is_some_and(|last| *last != 0) {
        names.push(0);
    }
}

/// Adds a name to a table of names and says where it is.
fn add_name(names: &mut Vec<u8>, name: &[u8]) -> Result<u32, Unsupported> {
    terminate(names);
    let at = u32::try_from(names.len()).map_err(|_| Unsupported::SectionNames)?;
    names.extend_from_slice(name);
    names.push(0);
    Ok(at)
}

fn encode_sections(sections: &[SectionHeader]) -> Vec<u8> {
    let mut bytes = vec![0; sections.len() * SectionHeader::SIZE];
    for (section, bytes) in sections
        .iter()
        .zip(bytes.chunks_exact_mut(SectionHeader::SIZE))
    {
        // Cannot fail: there is room for each.
        let _ = section.encode(bytes);
    }
    bytes
}

fn write_header(header: &RawHeader) -> Write {
    let mut bytes = vec![0; RawHeader::SIZE];
    // Cannot fail: there is room for it.
    let _ = header.encode(&mut bytes);
    Write { offset: 0, bytes }
}

fn write_stack(offset: u64, stack: &ProgramHeader) -> Write {
    let mut bytes = vec![0; ProgramHeader::SIZE];
    // Cannot fail: there is room for it.
    let _ = stack.encode(&mut bytes);
    Write { offset, bytes }
}
