// SPDX-License-Identifier: GPL-2.0

//! Small files and slots for the tests.

use super::super::{
    format::{
        bitmap::Bitmap,
        crc32c::crc32c,
        elf::{
            ProgramHeader,
            RawHeader,
            SectionHeader,
            EM_X86_64,
            ET_DYN,
            PT_GNU_STACK,
            PT_LOAD, //
        },
        error::{
            Error,
            Result, //
        },
        layout::{
            FILE_BY_PATH,
            FILE_EXECUTABLE,
            PROFILE_BY_NAME,
            PROFILE_DEFAULT, //
        },
        slot::{
            Builder,
            File,
            FileIdentity,
            FileInput,
            Identity,
            Profile,
            ProfileInput,
            Slot,
            SlotHeader, //
        },
        turns::Turns,
        update::{
            is_stored,
            update,
            Key,
            Report,
            Run,
            Seen, //
        },
        PF_PBITMAP,
        SHT_PRESENT_BITMAP, //
    },
    policy::merge::Merge,
};

/// The layout CRC of the sample slots.
pub(super) const LAYOUT: u32 = 0x1234_5678;

/// What the sample slots were made for.
pub(super) const IDENTITY: Identity = Identity::new(LAYOUT);

/// Bytes of a sample slot. Few, for two of them are on the stack of most tests.
pub(super) const SLOT: usize = 384;

/// Bytes of a section of two sample slots.
pub(super) const SECTION: usize = 2 * SLOT;

/// Pages of the sample executable.
pub(super) const PAGES: u32 = 300;

/// An ELF header with three program headers and two section headers.
pub(super) fn elf_header() -> RawHeader {
    RawHeader {
        e_ident: *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
        e_type: ET_DYN,
        e_machine: EM_X86_64,
        e_version: 1,
        e_entry: 0x1040,
        e_phoff: 64,
        e_shoff: 0x9000,
        e_flags: 0,
        e_ehsize: 64,
        e_phentsize: 56,
        e_phnum: 3,
        e_shentsize: 64,
        e_shnum: 2,
        e_shstrndx: 1,
    }
}

/// The bytes of a header.
pub(super) fn encode(header: &RawHeader) -> [u8; RawHeader::SIZE] {
    let mut bytes = [0; RawHeader::SIZE];
    let _ = header.encode(&mut bytes);
    bytes
}

/// Two segments, [0, 0x1800) and [0x3000, 0x4800), and an armed `PT_GNU_STACK`.
pub(super) fn program_headers() -> [u8; 3 * ProgramHeader::SIZE] {
    let load = |offset, size| ProgramHeader {
        p_type: PT_LOAD,
        p_flags: 5,
        p_offset: offset,
        p_vaddr: offset,
        p_paddr: offset,
        p_filesz: size,
        p_memsz: size,
        p_align: 0x1000,
    };
    let stack = ProgramHeader {
        p_type: PT_GNU_STACK,
        p_flags: 6 | PF_PBITMAP,
        p_offset: 0x8000,
        p_filesz: 0x2000,
        p_align: 16,
        ..ProgramHeader::default()
    };
    let mut bytes = [0; 3 * ProgramHeader::SIZE];
    let headers = [load(0, 0x1800), load(0x3000, 0x1800), stack];
    for (raw, header) in bytes.chunks_exact_mut(ProgramHeader::SIZE).zip(headers) {
        let _ = header.encode(raw);
    }
    bytes
}

/// An empty section header and that of the bitmap.
pub(super) fn section_headers() -> [u8; 2 * SectionHeader::SIZE] {
    let mut bytes = [0; 2 * SectionHeader::SIZE];
    let bitmap = SectionHeader {
        sh_name: 1,
        sh_type: SHT_PRESENT_BITMAP,
        sh_offset: 0x8000,
        sh_size: 0x2000,
        sh_addralign: 0x1000,
        ..SectionHeader::default()
    };
    let _ = bitmap.encode(&mut bytes[SectionHeader::SIZE..]);
    bytes
}

/// A header for slots of the sample executable.
pub(super) fn template() -> SlotHeader {
    SlotHeader::template(LAYOUT, b"0123456789abcdefghij", u64::from(PAGES) * 4096)
}

/// Fills `slot` with a default profile that has one plane of the executable.
pub(super) fn build(slot: &mut [u8], generation: u64, pages: &[u8]) -> Result<usize> {
    let mut builder = Builder::new(slot, &template(), 1, 1)?;
    let _ = builder.profile(&ProfileInput {
        kind: PROFILE_DEFAULT,
        ..ProfileInput::default()
    })?;
    let _ = builder.file(&FileInput {
        kind: FILE_EXECUTABLE,
        page_count: PAGES,
        planes: &[pages],
        ..FileInput::default()
    })?;
    builder.finish(generation, 0)
}

/// Makes a section with the given generations in its slots; 0 leaves a slot empty. Page `n` is set
/// in slot `n`, and page 299 in both.
pub(super) fn fill(section: &mut [u8; SECTION], generations: [u64; 2]) -> Result {
    section.fill(0);
    for (index, slot) in section.chunks_exact_mut(SLOT).enumerate() {
        let mut pages = [0; 38];
        pages[0] = 1 << index;
        pages[37] = 1 << 3;
        let generation = generations.get(index).copied().ok_or(Error::NoRoom)?;
        if generation != 0 {
            build(slot, generation, &pages)?;
        }
    }
    Ok(())
}

/// Makes the checksum of a slot right again after a test has changed it, if it still says how many
/// of its bytes are in use.
pub(super) fn reseal(slot: &mut [u8]) {
    let Some(header) = SlotHeader::decode(slot) else {
        return;
    };
    let Some(used) = slot.get_mut(..header.used_bytes as usize) else {
        return;
    };
    let mut sealed = SlotHeader {
        crc32c: 0,
        ..header
    };
    if sealed.encode(used).is_some() {
        sealed.crc32c = crc32c(used);
        let _ = sealed.encode(used);
    }
}

/// Bytes of a slot that a few files and profiles fit into.
pub(super) const STORE: usize = 1024;

/// A slot that recordings go to, one after the other.
pub(super) struct Store {
    pub(super) bytes: [u8; STORE],
}

impl Store {
    /// As the tool makes it, for so many planes and profiles.
    pub(super) fn new(planes: u16, max_profiles: u16) -> Result<Self> {
        let header = SlotHeader {
            planes,
            max_profiles,
            profile_by: PROFILE_BY_NAME,
            ..template()
        };
        let mut bytes = [0; STORE];
        let mut builder = Builder::new(&mut bytes, &header, 1, 1)?;
        let _ = builder.profile(&ProfileInput::default())?;
        let _ = builder.file(&FileInput {
            kind: FILE_EXECUTABLE,
            page_count: PAGES,
            planes: &[&[]],
            ..FileInput::default()
        })?;
        let _ = builder.finish(1, 0)?;
        Ok(Self { bytes })
    }

    /// The slot as it is now.
    pub(super) fn slot(&self) -> Result<Slot<'_>> {
        Slot::parse(&self.bytes, &IDENTITY)
    }

    /// Stores a recording. It is an error if what comes of it is not a sound slot.
    pub(super) fn update(&mut self, run: &Run<'_>, files: &[Seen<'_>]) -> Result<Report> {
        let mut next = [0xee; STORE];
        let old = self.slot()?;
        let report = update(&old, &mut next, run, files.iter().copied())?;
        let slot = Slot::parse(&next, &IDENTITY)?;
        slot.verify()?;
        let follows = Some(slot.header().generation) == old.header().generation.checked_add(1);
        let unused = next.get(report.used..).ok_or(Error::BadHeader)?;
        let is_clean = unused.iter().all(|byte| *byte == 0);
        if !follows || !is_clean || slot.bytes().len() != report.used {
            return Err(Error::BadHeader);
        }
        self.bytes = next;
        Ok(report)
    }

    /// Whether the recording would change nothing.
    pub(super) fn is_stored(&self, run: &Run<'_>, files: &[Seen<'_>]) -> Result<bool> {
        Ok(is_stored(&self.slot()?, run, files.iter().copied()))
    }

    /// The profile with this key, if it is there.
    pub(super) fn profile(&self, key: &Key<'_>) -> Result<Option<Profile<'_>>> {
        let mut profiles = self.slot()?.profiles();
        Ok(profiles.find(|profile| key.is_of(profile)))
    }

    /// A file of the default profile, if it is there; the executable without a path.
    pub(super) fn file(&self, path: &[u8]) -> Result<Option<File<'_>>> {
        let kind = if path.is_empty() {
            FILE_EXECUTABLE
        } else {
            FILE_BY_PATH
        };
        let profile = self.profile(&Key::DEFAULT)?.ok_or(Error::BadRecord)?;
        Ok(self.slot()?.find(&profile, kind, path, 0))
    }

    /// The first word of each plane that a file of the default profile has; none if it is not
    /// there.
    pub(super) fn words(&self, path: &[u8]) -> Result<Words> {
        let mut words = Words::default();
        let Some(file) = self.file(path)? else {
            return Ok(words);
        };
        words.count = usize::from(file.record.plane_count);
        for (index, word) in words.words.iter_mut().take(words.count).enumerate() {
            *word = file.plane(index).ok_or(Error::BadRecord)?.word(0);
        }
        Ok(words)
    }
}

/// A word of each plane.
#[derive(Debug, Default)]
pub(super) struct Words {
    words: [u64; 8],
    count: usize,
}

impl<const N: usize> PartialEq<[u64; N]> for Words {
    fn eq(&self, other: &[u64; N]) -> bool {
        self.words.get(..self.count) == Some(other)
    }
}

/// A recording of the default profile.
pub(super) fn run(merge: Merge, now: u64) -> Run<'static> {
    Run {
        key: Key::DEFAULT,
        merge,
        wanted: 0,
        hits: 0,
        now,
        saw_reads: true,
    }
}

/// A recording of the program under a name.
pub(super) fn by_name(name: &[u8], now: u64) -> Run<'_> {
    Run {
        key: named(name),
        ..run(Merge::Age, now)
    }
}

/// The key of the program under a name.
pub(super) fn named(name: &[u8]) -> Key<'_> {
    Key {
        kind: PROFILE_BY_NAME,
        bytes: name,
    }
}

/// A file that was seen; the executable without a path.
pub(super) fn seen<'a>(path: &'a [u8], pages: &'a [u8]) -> Seen<'a> {
    Seen {
        path,
        identity: FileIdentity {
            dev: 1,
            ino: 2,
            generation: 3,
            size: 4096,
            mtime_sec: -5,
            mtime_nsec: 6,
            ..FileIdentity::default()
        },
        pages: Bitmap::new(pages, usize::MAX),
        data_page: 0,
        turns: Turns::default(),
        is_read: false,
    }
}
