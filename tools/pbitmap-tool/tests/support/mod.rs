// SPDX-License-Identifier: GPL-2.0

//! Small ELF files made by hand, what the kernel would do to them, and ways to look at the result.

#![expect(dead_code, reason = "each test program uses some of it")]

use std::fmt::Write as _;

use pbitmap_core::{
    format::{
        bitmap::{self, Bitmap},
        elf::{ProgramHeader, RawHeader, SectionHeader, EM_X86_64, ET_EXEC, PT_GNU_STACK, PT_LOAD},
        slot::{self, FileIdentity, Identity, Slot},
        turns::Turns,
        update::{update, Key, Run, Seen},
    },
    policy::merge::Merge,
};
use pbitmap_tool::{
    annotate::fresh_slots,
    capacity::{Capacity, Modes},
    elf_edit::{self, find_undo, Undo},
    image::Image,
    inspect::Inspection,
    libraries::Libraries,
};

/// What the tiny program exits with.
pub(crate) const EXIT_CODE: i32 = 42;

pub(crate) const SHT_PROGBITS: u32 = 1;
pub(crate) const SHT_STRTAB: u32 = 3;
pub(crate) const SHT_NOTE: u32 = 7;
pub(crate) const PT_NOTE: u32 = 4;

/// A program for x86-64 of a few hundred bytes, with all the parts that matter. It runs: it exits
/// with [`EXIT_CODE`].
#[derive(Clone, Debug)]
pub(crate) struct Tiny {
    pub(crate) header: RawHeader,
    pub(crate) segments: Vec<ProgramHeader>,
    /// Without the null section and the names, which are made.
    pub(crate) sections: Vec<(&'static str, SectionHeader)>,
    pub(crate) with_sections: bool,
}

const BASE: u64 = 0x40_0000;
const CODE_AT: u64 = 0x120;
/// mov $60, %eax; mov $42, %edi; syscall
const CODE: &[u8] = b"\xb8\x3c\0\0\0\xbf\x2a\0\0\0\x0f\x05";
const NOTE_AT: u64 = 0x140;
const NOTE: &[u8] = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0\
    \x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14";

impl Default for Tiny {
    fn default() -> Self {
        let mut e_ident = [0; 16];
        e_ident[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let note = NOTE.len() as u64;
        Self {
            header: RawHeader {
                e_ident,
                e_type: ET_EXEC,
                e_machine: EM_X86_64,
                e_version: 1,
                e_entry: BASE + CODE_AT,
                e_phoff: RawHeader::SIZE as u64,
                e_ehsize: RawHeader::SIZE as u16,
                e_phentsize: ProgramHeader::SIZE as u16,
                e_shentsize: SectionHeader::SIZE as u16,
                ..RawHeader::default()
            },
            segments: vec![
                ProgramHeader {
                    p_type: PT_LOAD,
                    p_flags: 5,
                    p_vaddr: BASE,
                    p_paddr: BASE,
                    p_filesz: NOTE_AT + note,
                    p_memsz: NOTE_AT + note,
                    p_align: 0x1000,
                    ..ProgramHeader::default()
                },
                ProgramHeader {
                    p_type: PT_NOTE,
                    p_flags: 4,
                    p_offset: NOTE_AT,
                    p_vaddr: BASE + NOTE_AT,
                    p_paddr: BASE + NOTE_AT,
                    p_filesz: note,
                    p_memsz: note,
                    p_align: 4,
                },
                ProgramHeader {
                    p_type: PT_GNU_STACK,
                    p_flags: 6,
                    p_align: 16,
                    ..ProgramHeader::default()
                },
            ],
            sections: vec![
                (
                    ".text",
                    SectionHeader {
                        sh_type: SHT_PROGBITS,
                        sh_flags: 6,
                        sh_addr: BASE + CODE_AT,
                        sh_offset: CODE_AT,
                        sh_size: CODE.len() as u64,
                        sh_addralign: 16,
                        ..SectionHeader::default()
                    },
                ),
                (
                    ".note.gnu.build-id",
                    SectionHeader {
                        sh_type: SHT_NOTE,
                        sh_flags: 2,
                        sh_addr: BASE + NOTE_AT,
                        sh_offset: NOTE_AT,
                        sh_size: note,
                        sh_addralign: 4,
                        ..SectionHeader::default()
                    },
                ),
            ],
            with_sections: true,
        }
    }
}

impl Tiny {
    /// The same without section headers.
    pub(crate) fn without_sections() -> Self {
        let mut tiny = Self {
            with_sections: false,
            ..Self::default()
        };
        tiny.header.e_shentsize = 0;
        tiny
    }

    /// The same for another architecture.
    pub(crate) fn for_machine(machine: u16) -> Self {
        let mut tiny = Self::default();
        tiny.header.e_machine = machine;
        tiny
    }

    /// The file.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut file = vec![0; NOTE_AT as usize];
        file[CODE_AT as usize..][..CODE.len()].copy_from_slice(CODE);
        file.extend_from_slice(NOTE);

        let mut header = self.header;
        header.e_phnum = self.segments.len() as u16;
        for (segment, bytes) in self
            .segments
            .iter()
            .zip(file[RawHeader::SIZE..].chunks_exact_mut(ProgramHeader::SIZE))
        {
            segment.encode(bytes).unwrap();
        }
        if self.with_sections {
            let mut names = vec![0];
            let mut table = vec![SectionHeader::default()];
            let mut add = |name: &str, section: SectionHeader| {
                table.push(SectionHeader {
                    sh_name: names.len() as u32,
                    ..section
                });
                names.extend_from_slice(name.as_bytes());
                names.push(0);
            };
            for (name, section) in &self.sections {
                add(name, *section);
            }
            add(
                ".shstrtab",
                SectionHeader {
                    sh_type: SHT_STRTAB,
                    sh_offset: file.len() as u64,
                    sh_addralign: 1,
                    ..SectionHeader::default()
                },
            );
            table.last_mut().unwrap().sh_size = names.len() as u64;
            file.extend_from_slice(&names);
            file.resize(file.len().next_multiple_of(8), 0);
            header.e_shoff = file.len() as u64;
            header.e_shnum = table.len() as u16;
            header.e_shstrndx = table.len() as u16 - 1;
            for section in &table {
                let start = file.len();
                file.resize(start + SectionHeader::SIZE, 0);
                section.encode(&mut file[start..]).unwrap();
            }
        }
        header.encode(&mut file).unwrap();
        file
    }
}

/// What a fresh section holds if the command line says nothing but a size.
pub(crate) fn slots(image: &Image, slot_size: Option<u32>) -> Vec<u8> {
    let modes = Modes::default();
    let capacity = Capacity::new(image, &Libraries::default(), &modes, slot_size);
    fresh_slots(image, &modes, capacity.slot_size).unwrap()
}

/// Annotates a file in memory.
pub(crate) fn annotate(file: &[u8]) -> Vec<u8> {
    annotated(file, None)
}

/// The same with slots of a certain size.
pub(crate) fn annotate_with(file: &[u8], slot_size: u32) -> Vec<u8> {
    annotated(file, Some(slot_size))
}

fn annotated(file: &[u8], slot_size: Option<u32>) -> Vec<u8> {
    let image = Image::parse(file).unwrap();
    let slots = slots(&image, slot_size);
    let edit = elf_edit::annotate(&image, slots).unwrap();
    edit.apply(file).unwrap()
}

/// Gives the original back, in memory.
pub(crate) fn remove(file: &[u8]) -> Vec<u8> {
    let Undo::Possible(undo) = find_undo(file) else {
        panic!("cannot be undone: {:?}", find_undo(file));
    };
    let original = Image::parse_original(file, &undo).unwrap();
    elf_edit::remove(&original).apply(file).unwrap()
}

/// A recording of `now`.
pub(crate) fn run(key: Key<'_>, merge: Merge, now: u64) -> Run<'_> {
    Run {
        key,
        merge,
        wanted: 0,
        hits: 0,
        now,
        saw_reads: true,
    }
}

/// What the kernel does after a run: writes the slot that is not in force.
pub(crate) fn record(file: &mut [u8], pages: &[usize], updated: u64) {
    let run = run(Key::DEFAULT, Merge::Replace, updated);
    record_run(file, &run, &[("", pages)]);
}

/// The same for a run with several files; the executable has no name.
pub(crate) fn record_run(file: &mut [u8], run: &Run<'_>, files: &[(&str, &[usize])]) {
    with_seen(files, |seen| record_seen(file, run, seen));
}

/// The same for files that somebody has seen.
pub(crate) fn record_seen(file: &mut [u8], run: &Run<'_>, seen: &[Seen<'_>]) {
    let inspection = Inspection::new(&*file).unwrap();
    let section = inspection.section.unwrap();
    let range = section.offset as usize..(section.offset + section.len) as usize;
    let identity: Identity = inspection.identity;
    let (index, new) = {
        let (index, old) = slot::choose(&file[range.clone()], &identity).unwrap();
        (1 - index, next_slot(&old, run, seen))
    };
    let at = range.start + index * new.len();
    file[at..][..new.len()].copy_from_slice(&new);
}

/// The slot that follows `old`.
pub(crate) fn recorded_slot(old: &Slot<'_>, run: &Run<'_>, files: &[(&str, &[usize])]) -> Vec<u8> {
    with_seen(files, |seen| next_slot(old, run, seen))
}

fn next_slot(old: &Slot<'_>, run: &Run<'_>, seen: &[Seen<'_>]) -> Vec<u8> {
    let mut new = vec![0; old.header().slot_size as usize];
    update(old, &mut new, run, seen.iter().copied()).unwrap();
    new
}

/// Calls `then` with what the kernel would have seen of these files.
fn with_seen<R>(files: &[(&str, &[usize])], then: impl FnOnce(&[Seen<'_>]) -> R) -> R {
    let bitmaps: Vec<[u8; 512]> = files
        .iter()
        .map(|(_, pages)| {
            let mut bitmap = [0; 512];
            for page in *pages {
                bitmap::set(&mut bitmap, *page);
            }
            bitmap
        })
        .collect();
    let seen: Vec<_> = files
        .iter()
        .zip(&bitmaps)
        .map(|((path, _), bitmap)| Seen {
            path: path.as_bytes(),
            identity: FileIdentity {
                ino: 1,
                size: 4096 * 1000,
                ..FileIdentity::default()
            },
            pages: Bitmap::new(bitmap, 4096),
            data_page: 0,
            turns: Turns::default(),
            is_read: false,
        })
        .collect();
    then(&seen)
}

/// Bytes as `hexdump -C` shows them.
pub(crate) fn hexdump(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut last: Option<&[u8]> = None;
    let mut starred = false;
    for (index, line) in bytes.chunks(16).enumerate() {
        if last == Some(line) {
            if !starred {
                text.push_str("*\n");
            }
            starred = true;
            continue;
        }
        (last, starred) = (Some(line), false);
        write!(text, "{:08x} ", index * 16).unwrap();
        for (index, byte) in line.iter().enumerate() {
            let gap = if index == 8 { " " } else { "" };
            write!(text, "{gap} {byte:02x}").unwrap();
        }
        let hex = 3 * line.len() + usize::from(line.len() > 8);
        write!(text, "{:width$}  |", "", width = 49 - hex).unwrap();
        for byte in line {
            let shown = byte.is_ascii_graphic() || *byte == b' ';
            text.push(if shown { char::from(*byte) } else { '.' });
        }
        text.push_str("|\n");
    }
    writeln!(text, "{:08x}", bytes.len()).unwrap();
    text
}

/// The bytes that [`hexdump`] shows.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && *line != "*") {
        let (at, rest) = line.split_at(8);
        let at = usize::from_str_radix(at, 16).unwrap();
        // After a star, the last line is repeated.
        while bytes.len() < at {
            bytes.extend_from_within(bytes.len() - 16..);
        }
        let hex = rest.split('|').next().unwrap_or_default();
        for byte in hex.split_whitespace() {
            bytes.push(u8::from_str_radix(byte, 16).unwrap());
        }
    }
    bytes
}
