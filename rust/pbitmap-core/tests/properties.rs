// SPDX-License-Identifier: GPL-2.0

//! Properties that hold for any input, tried on what proptest makes up: bytes without any sense,
//! and sound structures with some of their bytes changed.

use pbitmap_core::format::{
    crc32c::{crc32c, Crc32c},
    layout::{FileRecord, ProfileRecord, SlotHeader, UndoRecord, FILE_BY_PATH, FILE_EXECUTABLE},
    slot::{choose, Builder, FileInput, Identity, ProfileInput, Slot},
    MAX_PATH,
};
use proptest::{collection::vec, prelude::*};

#[path = "../../../fuzz/checks/mod.rs"]
mod checks;

/// A number that often is on a boundary.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        any::<u64>(),
        any::<u8>().prop_map(u64::from),
        (0u32..64).prop_map(|bit| 1 << bit),
        (0u32..64).prop_map(|bit| (1 << bit) - 1),
        (0u64..16).prop_map(|below| u64::MAX - below),
        (0u64..16).prop_map(|below| u64::from(u32::MAX) - below),
    ]
}

/// Bytes to put over those of a structure: where, what and how many of them.
fn changes() -> impl Strategy<Value = Vec<(usize, u64, usize)>> {
    vec((any::<usize>(), number(), 1usize..=8), 0..6)
}

fn apply(bytes: &mut [u8], changes: &[(usize, u64, usize)]) {
    for (at, value, len) in changes {
        let at = at % bytes.len();
        for (to, from) in bytes[at..].iter_mut().zip(&value.to_le_bytes()[..*len]) {
            *to = *from;
        }
    }
}

/// A section as the tool makes it and the module rewrites it.
fn sound_section(pages: u32, planes: &[Vec<u8>], generations: [u64; 2]) -> Vec<u8> {
    let slot_size = 1024;
    let mut section = vec![0; 2 * slot_size];
    for (slot, generation) in section.chunks_exact_mut(slot_size).zip(generations) {
        let template = SlotHeader::template(7, b"build id", 99);
        let mut builder = Builder::new(slot, &template, 1, 1).unwrap();
        let _ = builder.profile(&ProfileInput::default()).unwrap();
        let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let file = FileInput {
            kind: FILE_EXECUTABLE,
            page_count: pages,
            planes: &planes,
            ..FileInput::default()
        };
        let _ = builder.file(&file).unwrap();
        builder.finish(generation, 1).unwrap();
    }
    section
}

/// An ELF header with program and section headers that follow it.
fn sound_elf(phdrs: &[[u64; 7]], shdrs: &[[u64; 8]]) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let shoff = 64 + 56 * phdrs.len();
    for (at, value) in [
        (0x10, 3),
        (0x12, 62),
        (0x14, 1),
        (0x20, 64),
        (0x28, shoff),
        (0x36, 56),
        (0x38, phdrs.len()),
        (0x3a, 64),
        (0x3c, shdrs.len()),
    ] {
        file[at..at + 2].copy_from_slice(&(value as u16).to_le_bytes());
    }
    for phdr in phdrs {
        for (index, field) in phdr.iter().enumerate() {
            // Mostly the types that mean something.
            let field = match index {
                0 if field % 4 != 0 => [1, 0x6474_e551, 6][(field % 3) as usize] | (field << 32),
                _ => *field,
            };
            file.extend(field.to_le_bytes());
        }
    }
    for shdr in shdrs {
        for (index, field) in shdr.iter().enumerate() {
            let field = match index {
                0 if field % 2 != 0 => (field & 0xffff_ffff) | (0x6fff_fc18 << 32),
                _ => *field,
            };
            file.extend(field.to_le_bytes());
        }
    }
    file
}

/// A recording of few files, all of whose pages are touched but for a few: as `checks::update`
/// takes it.
fn recording() -> impl Strategy<Value = Vec<u8>> {
    let file = (0u8..8, 1u8..20, prop::option::of((any::<u8>(), 0u32..8)));
    let head = (0u8..4, 0u8..4, 0u8..4);
    (head, vec(file, 0..6)).prop_map(|((merge, kind, late), files)| {
        let mut bytes = vec![merge | (kind << 2) | (late << 6), files.len() as u8];
        for (path, len, clear) in files {
            bytes.push(path | (len << 3));
            let mut pages = vec![0xff; usize::from(len)];
            if let Some((at, bit)) = clear {
                pages[usize::from(at % len)] &= !(1u8 << bit);
            }
            bytes.extend(pages);
        }
        bytes
    })
}

/// Too long for the shared tests, which run on a small stack.
#[test]
fn the_longest_path_is_read_and_no_longer_one() {
    let build = |path_len: u32| {
        let mut slot = vec![0; 8192];
        let mut builder = Builder::new(&mut slot, &SlotHeader::template(7, b"", 99), 1, 1).unwrap();
        let _ = builder.profile(&ProfileInput::default()).unwrap();
        let path = vec![b'/'; MAX_PATH];
        let file = FileInput {
            kind: FILE_BY_PATH,
            path: &path,
            page_count: 1,
            planes: &[&[1]],
            ..FileInput::default()
        };
        let _ = builder.file(&file).unwrap();
        let used = builder.finish(1, 1).unwrap();
        slot[0xc0 + 0x0c..][..4].copy_from_slice(&path_len.to_le_bytes());
        slot[0x28..0x2c].fill(0);
        let crc = crc32c(&slot[..used]);
        slot[0x28..0x2c].copy_from_slice(&crc.to_le_bytes());
        slot
    };
    let paths = |slot: &[u8]| {
        let slot = Slot::parse(slot, &Identity::new(7)).unwrap();
        let profile = slot.default_profile().unwrap();
        slot.files(&profile)
            .map(|file| file.path().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths(&build(4095)), [4095]);
    assert_eq!(paths(&build(4096)), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_bytes_are_a_file(bytes in vec(any::<u8>(), 0..600)) {
        checks::elf(&bytes);
    }

    #[test]
    fn a_damaged_file_is_read_or_refused(
        phdrs in vec(prop::array::uniform7(number()), 1..12),
        shdrs in vec(prop::array::uniform8(number()), 0..6),
        changes in changes(),
    ) {
        let mut file = sound_elf(&phdrs, &shdrs);
        checks::elf(&file);
        apply(&mut file, &changes);
        checks::elf(&file);
    }

    #[test]
    fn any_bytes_are_a_section(bytes in vec(any::<u8>(), 0..2000)) {
        checks::section(&bytes);
    }

    #[test]
    fn a_damaged_section_is_read_or_refused(
        pages in 0u32..8000,
        planes in vec(vec(any::<u8>(), 0..200), 0..4),
        generations in prop::array::uniform2(number().prop_map(|n| n.max(1))),
        changes in changes(),
        in_tables in vec((0usize..320, number(), 1usize..=8), 0..4),
        seal in any::<bool>(),
    ) {
        let mut bytes = vec![u8::from(seal)];
        bytes.extend(sound_section(pages, &planes, generations));
        checks::section(&bytes);
        apply(&mut bytes[1..], &changes);
        apply(&mut bytes[1..], &in_tables);
        checks::section(&bytes);
    }

    #[test]
    fn one_damaged_slot_leaves_the_other(
        planes in vec(vec(any::<u8>(), 0..30), 1..3),
        at in any::<prop::sample::Index>(),
        change in 1u8..,
        newer in 0usize..2,
    ) {
        let mut generations = [1, 1];
        generations[newer] = 2;
        let mut section = sound_section(200, &planes, generations);
        let used = choose(&section, &Identity::new(7)).unwrap().1.bytes().len();
        let at = newer * 1024 + at.index(used);
        section[at] ^= change;
        let (index, slot) = choose(&section, &Identity::new(7)).unwrap();
        prop_assert_eq!(index, 1 - newer);
        prop_assert_eq!(slot.header().generation, 1);
    }

    #[test]
    fn any_bytes_make_the_plan_of_the_simple_planner(bytes in vec(any::<u8>(), 0..120)) {
        checks::plan(&bytes);
    }

    #[test]
    fn what_is_built_is_read_back(bytes in vec(any::<u8>(), 0..2500)) {
        checks::round_trip(&bytes);
    }

    #[test]
    fn any_bytes_are_packed(bytes in vec(any::<u8>(), 0..600)) {
        checks::packed(&bytes);
    }

    #[test]
    fn a_damaged_slot_is_packed_or_refused(
        pages in 0u32..8000,
        planes in vec(vec(any::<u8>(), 0..200), 0..9),
        room in any::<u8>(),
        changes in changes(),
        in_tables in vec((0usize..320, number(), 1usize..=8), 0..4),
    ) {
        let mut bytes = vec![3, room];
        let section = sound_section(pages, &planes, [1, 1]);
        bytes.extend(&section[..section.len() / 2]);
        checks::packed(&bytes);
        apply(&mut bytes[2..], &changes);
        apply(&mut bytes[2..], &in_tables);
        checks::packed(&bytes);
    }

    #[test]
    fn any_bytes_are_notes(bytes in vec(any::<u8>(), 0..80), at in 0usize..40) {
        checks::notes(&bytes);
        let mut bytes = bytes;
        let note = b"\x04\0\0\0\x08\0\0\0\x03\0\0\0GNU\0";
        for (to, from) in bytes.iter_mut().skip(at * 4).zip(note) {
            *to = *from;
        }
        checks::notes(&bytes);
    }

    #[test]
    fn records_are_what_they_were(bytes in prop::array::uniform32(any::<u32>())) {
        let bytes: Vec<u8> = bytes.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut copy = vec![0; 128];
        SlotHeader::decode(&bytes).unwrap().encode(&mut copy).unwrap();
        prop_assert_eq!(&copy, &bytes);
        copy.fill(0);
        FileRecord::decode(&bytes).unwrap().encode(&mut copy).unwrap();
        prop_assert_eq!(&copy, &bytes);
        copy.fill(0);
        ProfileRecord::decode(&bytes).unwrap().encode(&mut copy).unwrap();
        prop_assert_eq!(&copy[..64], &bytes[..64]);
        let undo = UndoRecord::decode(&bytes).unwrap();
        let mut file = bytes.clone();
        file.extend(undo.to_bytes());
        prop_assert_eq!(UndoRecord::parse(&file).unwrap().original_size, undo.original_size);
        // By chance of one in 2^64 these bytes are an undo record themselves.
        prop_assert!(UndoRecord::parse(&bytes).is_err());
    }

    #[test]
    fn the_checksum_is_that_of_the_simple_loop(
        bytes in vec(any::<u8>(), 0..300),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut simple = !0u32;
        for byte in &bytes {
            simple ^= u32::from(*byte);
            for _ in 0..8 {
                simple = (simple >> 1) ^ if simple & 1 == 1 { 0x82f6_3b78 } else { 0 };
            }
        }
        prop_assert_eq!(crc32c(&bytes), !simple);
        let (before, after) = bytes.split_at(cut.index(bytes.len() + 1));
        let mut crc = Crc32c::new();
        crc.update(before);
        crc.update(after);
        prop_assert_eq!(crc.finish(), !simple);
    }
}

// Each of these makes many slots.
proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn recordings_are_stored_as_the_simple_model_says(bytes in vec(any::<u8>(), 0..1500)) {
        checks::update(&bytes);
    }

    #[test]
    fn recordings_that_hardly_change_are_stored_too(
        start in prop::array::uniform4(any::<u8>()),
        recordings in vec(recording(), 1..12),
    ) {
        let mut bytes = start.to_vec();
        bytes.extend(recordings.into_iter().flatten());
        checks::update(&bytes);
    }
}
