// SPDX-License-Identifier: GPL-2.0

//! Whatever is in a file: nothing panics, nothing takes for ever, and what can be annotated at all
//! is then valid and can be undone byte by byte.
//!
//! Inputs that ever broke this are kept in `corpus/`.

#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use pbitmap_core::format::{PF_PBITMAP, SHT_PRESENT_BITMAP};
use pbitmap_tool::{
    elf_edit::{self, find_undo, Undo},
    image::{Image, Unsupported},
    inspect::{Inspection, Outside, State},
    page_map,
    report::Report,
    selection::Selection,
};
use proptest::prelude::*;
use support::{annotate, record, remove, slots, Tiny};

/// Does to a file all that the tool does, in memory. Says whether it can be annotated.
fn exercise(file: &[u8]) -> bool {
    look(file);
    let undo = find_undo(file);
    if let Undo::Possible(undo) = undo {
        if let Ok(original) = Image::parse_original(file, &undo) {
            let original = elf_edit::remove(&original).apply(file).unwrap();
            look(&original);
        }
    }
    let Ok(image) = Image::parse(file) else {
        return false;
    };
    elf_edit::disarm(&image).apply(file).unwrap();
    let Ok(edit) = elf_edit::annotate(&image, slots(&image, None)) else {
        return false;
    };
    let annotated = edit.apply(file).unwrap();
    let inspection = Inspection::new(&*annotated).unwrap();
    assert_eq!(inspection.state(), State::Valid);
    assert!(inspection.has_locator());
    look(&annotated);
    assert!(remove(&annotated) == file, "not the original");
    true
}

/// Looks at a file in every way there is.
fn look(file: &[u8]) {
    let Ok(inspection) = Inspection::new(file) else {
        return;
    };
    let outside = Outside::default();
    let report = Report::new(Path::new("file"), &inspection, &outside, 16);
    serde_json::to_string(&report).unwrap();
    pbitmap_tool::check::describe(&inspection, &outside);
    if let Some((_, slot)) = inspection.slot() {
        for key in ["default", "program"] {
            let selection = Selection::find(&slot, Some(key), None).unwrap();
            selection.pages().plan(4);
            let _ = Selection::find(&slot, Some(key), Some("/lib/libc.so.6"));
        }
        let pages = Selection::of(&slot).pages();
        let total = usize::try_from(pages.total).unwrap();
        let picture = page_map::draw(&pages.bitmap(), total, 80, &page_map::UNICODE);
        assert!(picture.lines().count() <= 25);
    }
}

fn recorded() -> Vec<u8> {
    let mut file = annotate(&Tiny::default().build());
    record(&mut file, &[0], 7);
    file
}

/// The bytes of a file that mean something.
fn places(file: &[u8]) -> impl Iterator<Item = usize> {
    let original = Tiny::default().build().len();
    let slot = 400;
    (0..file.len()).filter(move |at| match at {
        0..4096 => *at < original,
        4096..12288 => at % 4096 < slot,
        _ => true,
    })
}

#[test]
fn whole_files_can_be_annotated() {
    assert!(exercise(&Tiny::default().build()));
    assert!(exercise(&Tiny::without_sections().build()));
    assert!(exercise(&recorded()));
}

#[test]
fn truncated_anywhere() {
    let file = Tiny::default().build();
    for len in 0..file.len() {
        assert!(!exercise(&file[..len]), "{len} bytes");
    }
    let file = recorded();
    for len in (0..file.len()).filter(|len| len % 64 < 2 || file.len() - len < 1024) {
        exercise(&file[..len]);
    }
}

#[test]
fn every_byte_of_the_headers() {
    for file in [
        Tiny::default().build(),
        Tiny::without_sections().build(),
        recorded(),
    ] {
        for at in places(&file) {
            for change in [0x00, 0x01, 0xff, !file[at]] {
                let mut file = file.clone();
                file[at] = change;
                exercise(&file);
            }
        }
    }
}

#[test]
fn every_field_of_the_headers() {
    let values = [
        0,
        1,
        63,
        64,
        0xffff,
        0x7fff_ffff,
        u64::from(u32::MAX),
        i64::MAX as u64,
        i64::MAX as u64 - 4095,
        u64::MAX - 63,
        u64::MAX,
    ];
    for file in [Tiny::default().build(), recorded()] {
        let len = file.len();
        for at in places(&file).filter(|at| at % 8 == 0 && *at < len - 8) {
            for value in values.into_iter().chain([len as u64, len as u64 - 64]) {
                let mut file = file.clone();
                file[at..][..8].copy_from_slice(&value.to_le_bytes());
                exercise(&file);
            }
        }
    }
}

#[test]
fn corpus() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/malformed/corpus");
    let files: Vec<PathBuf> = std::fs::read_dir(corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!files.is_empty());
    for path in files {
        exercise(&std::fs::read(&path).unwrap());
    }
}

/// A slot may say of the program that it has any number of pages.
#[test]
fn huge_program_is_drawn_in_no_time() {
    let mut file = recorded();
    for slot in [4096, 8192] {
        file[slot + 0x60..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
        file[slot + 0x48..][..8].copy_from_slice(&u64::MAX.to_le_bytes());
        let used = u32::from_le_bytes(file[slot + 0x24..][..4].try_into().unwrap()) as usize;
        file[slot + 0x28..][..4].fill(0);
        let crc = pbitmap_core::format::crc32c::crc32c(&file[slot..][..used]);
        file[slot + 0x28..][..4].copy_from_slice(&crc.to_le_bytes());
    }
    let inspection = Inspection::new(&*file).unwrap();
    assert_eq!(inspection.state(), State::Valid);
    look(&file);
}

/// Reasons that are told apart, each with the smallest change that leads to it.
#[test]
fn reasons() {
    let refused = |change: &dyn Fn(&mut Tiny)| {
        let mut tiny = Tiny::default();
        change(&mut tiny);
        Image::parse(&*tiny.build()).unwrap_err()
    };
    let in_file = |at: usize, bytes: &[u8]| {
        let mut file = Tiny::default().build();
        file[at..][..bytes.len()].copy_from_slice(bytes);
        Image::parse(&*file).unwrap_err()
    };
    use Unsupported as U;
    assert_eq!(refused(&|t| t.header.e_ident[0] = 0), U::NotElf);
    assert_eq!(refused(&|t| t.header.e_ident[4] = 1), U::NotElf64);
    assert_eq!(refused(&|t| t.header.e_ident[5] = 2), U::BigEndian);
    assert_eq!(refused(&|t| t.header.e_version = 2), U::Version);
    assert_eq!(refused(&|t| t.header.e_type = 1), U::Object);
    assert_eq!(refused(&|t| t.header.e_type = 4), U::Core);
    assert_eq!(refused(&|t| t.header.e_type = 0xfe00), U::Type(0xfe00));
    assert_eq!(
        refused(&|t| {
            t.header.e_type = 1;
            t.sections[0].0 = ".gnu.linkonce.this_module";
        }),
        U::KernelModule
    );
    assert_eq!(refused(&|t| t.header.e_phentsize = 32), U::ProgramHeaders);
    assert_eq!(
        refused(&|t| t.header.e_phoff = 8),
        U::Overlap("program headers", "ELF header")
    );
    assert_eq!(
        refused(&|t| t.header.e_phoff = 1 << 40),
        U::Truncated("program headers")
    );
    assert_eq!(refused(&|t| t.segments.truncate(2)), U::NoGnuStack);
    assert_eq!(
        refused(&|t| t.segments[1] = t.segments[2]),
        U::ManyGnuStacks
    );
    assert_eq!(
        refused(&|t| t.segments[0].p_filesz = 1 << 30),
        U::Truncated("segments")
    );
    assert_eq!(
        refused(&|t| t.segments[0].p_offset = u64::MAX),
        U::Truncated("segments")
    );
    assert_eq!(refused(&|t| t.segments[0].p_filesz = 0), U::NothingMapped);
    assert_eq!(
        refused(&|t| t.sections[0].1.sh_size = 1 << 30),
        U::Truncated("sections")
    );
    // e_phnum, e_shoff, e_shentsize, e_shnum, e_shstrndx
    assert_eq!(in_file(0x38, &[0xff, 0xff]), U::ExtendedNumbering);
    assert_eq!(
        in_file(0x28, &[0x08, 0, 0]),
        U::Overlap("section headers", "ELF header")
    );
    assert_eq!(
        in_file(0x28, &[0x48, 0, 0]),
        U::Overlap("section headers", "program headers")
    );
    assert_eq!(in_file(0x28, &[0; 8]), U::SectionHeaders);
    assert_eq!(in_file(0x3a, &[40, 0]), U::SectionHeaders);
    assert_eq!(in_file(0x3c, &[0, 0]), U::ExtendedNumbering);
    assert_eq!(in_file(0x3c, &[0, 0x10]), U::TooManySections(4096));
    assert_eq!(in_file(0x3c, &[0x40, 0]), U::Truncated("section headers"));
    assert_eq!(in_file(0x3e, &[0xff, 0xff]), U::ExtendedNumbering);
    assert_eq!(in_file(0x3e, &[0, 0]), U::SectionNames);
    assert_eq!(in_file(0x3e, &[9, 0]), U::SectionNames);
}

/// Edits that another program could make after annotating, for which undoing is not possible.
#[test]
fn edited_after_annotating() {
    let file = annotate(&Tiny::default().build());
    let image = Image::parse(&*file).unwrap();
    let with = |at: u64, bytes: &[u8]| {
        let mut file = file.clone();
        file[at as usize..][..bytes.len()].copy_from_slice(bytes);
        find_undo(&*file)
    };
    assert!(matches!(find_undo(&*file), Undo::Possible(_)));
    // A section that grew.
    assert_eq!(
        with(image.header.e_shoff + 64 + 0x20, &[0xff]),
        Undo::Edited
    );
    // The marker cleared.
    assert_eq!(with(image.stack_offset() + 4, &[6]), Undo::Edited);
    assert_eq!(
        with(image.stack_offset() + 4, &[7 | PF_PBITMAP as u8]),
        Undo::Edited
    );
    // Other section headers altogether.
    assert_eq!(with(0x3c, &[4, 0]), Undo::Edited);
    // Bytes after the record, and a record that was damaged.
    assert_eq!(find_undo(&*[&*file, b"x"].concat()), Undo::Missing);
    assert_eq!(with(file.len() as u64 - 20, b"x"), Undo::Missing);
    // Contents are nobody's business.
    assert!(matches!(with(0x120, b"\x90"), Undo::Possible(_)));
}

/// Where a section of the right type is not ours, it is not touched.
#[test]
fn foreign_section_of_the_same_type() {
    let mut tiny = Tiny::default();
    tiny.sections[0].1.sh_type = SHT_PRESENT_BITMAP;
    let file = tiny.build();
    assert!(exercise(&file));
    let image = Image::parse(&*annotate(&file)).unwrap();
    assert_eq!(image.sections.len(), 5);
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Tiny::default().build()),
        Just(Tiny::without_sections().build()),
        Just(recorded()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes(file in proptest::collection::vec(any::<u8>(), 0..2048)) {
        exercise(&file);
    }

    #[test]
    fn any_bytes_after_a_good_start(
        header in proptest::collection::vec(any::<u8>(), 48..2048),
    ) {
        let mut file = Tiny::default().build();
        file.truncate(16);
        file.extend_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
        file.extend_from_slice(&header);
        exercise(&file);
    }

    #[test]
    fn fields_changed(
        file in any_file(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u64>(), 0..64u32, 1..=8usize), 1..8),
    ) {
        let mut file = file;
        let places: Vec<usize> = places(&file).collect();
        for (index, value, shift, len) in changes {
            let at = *index.get(&places) / len * len;
            let end = (at + len).min(file.len());
            let bytes = (value >> shift).to_le_bytes();
            file[at..end].copy_from_slice(&bytes[..end - at]);
        }
        exercise(&file);
    }

    #[test]
    fn parts_swapped_and_dropped(
        file in any_file(),
        cut in any::<proptest::sample::Index>(),
        to in any::<proptest::sample::Index>(),
        len in 1..256usize,
    ) {
        let mut file = file;
        let from = cut.index(file.len());
        let len = len.min(file.len() - from);
        let part: Vec<u8> = file.drain(from..from + len).collect();
        let to = to.index(file.len() + 1);
        file.splice(to..to, part);
        exercise(&file);
    }
}
