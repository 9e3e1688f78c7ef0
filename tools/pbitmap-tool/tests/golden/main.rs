// SPDX-License-Identifier: GPL-2.0

//! What each operation makes of a small ELF file, byte by byte.
//!
//! The files are in `files/`, the results in `snapshots/`, as a hexdump. `cargo insta review`
//! shows what a change does to them.

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use pbitmap_core::format::PF_PBITMAP;
use pbitmap_tool::{
    elf_edit,
    image::Image,
    inspect::{Inspection, State},
};
use support::{annotate, hexdump, record, remove, slots, unhex, Tiny};

const PROGRAM: &[u8] = include_bytes!("files/program.elf");
const WITHOUT_SECTIONS: &[u8] = include_bytes!("files/without_sections.elf");

/// A program that was annotated by the first version of the tool, and started once.
const ANNOTATED: &str = include_str!("files/annotated_first.hex");

#[test]
fn files_are_what_the_builder_makes() {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/files");
    for (name, file, built) in [
        ("program.elf", PROGRAM, Tiny::default().build()),
        (
            "without_sections.elf",
            WITHOUT_SECTIONS,
            Tiny::without_sections().build(),
        ),
    ] {
        if std::env::var_os("PBITMAP_BLESS").is_some() {
            std::fs::write(files.join(name), built).unwrap();
        } else {
            assert!(file == built, "{name}: PBITMAP_BLESS=1 writes it anew");
        }
    }
}

#[test]
fn annotate_program() {
    insta::assert_snapshot!("annotate", hexdump(&annotate(PROGRAM)));
}

#[test]
fn annotate_without_sections() {
    insta::assert_snapshot!(
        "annotate_without_sections",
        hexdump(&annotate(WITHOUT_SECTIONS))
    );
}

#[test]
fn annotate_with_capacity() {
    let image = Image::parse(PROGRAM).unwrap();
    let slots = slots(&image, Some(10_000));
    assert_eq!(slots.len(), 2 * 12288);
    let edit = elf_edit::annotate(&image, slots).unwrap();
    insta::assert_snapshot!(
        "annotate_with_capacity",
        hexdump(&edit.apply(PROGRAM).unwrap())
    );
}

/// On ARM a page can have 64 KiB, and the section must not share one with the program.
#[test]
fn annotate_aarch64() {
    let file = annotate(&Tiny::for_machine(183).build());
    insta::assert_snapshot!("annotate_aarch64", hexdump(&file));
}

#[test]
fn record_run() {
    let mut file = annotate(PROGRAM);
    record(&mut file, &[0], 1_700_000_000);
    insta::assert_snapshot!("record", hexdump(&file));
}

#[test]
fn arm_disarmed() {
    let mut file = annotate(PROGRAM);
    let image = Image::parse(&*file).unwrap();
    let stack = image.stack_offset() as usize;
    let mut disarmed = image.stack;
    disarmed.p_flags &= !PF_PBITMAP;
    disarmed.p_offset = 0;
    disarmed.p_filesz = 0;
    disarmed.encode(&mut file[stack..]).unwrap();

    let inspection = Inspection::new(&*file).unwrap();
    assert_eq!(inspection.state(), State::Disarmed);
    let section = inspection.section.unwrap();
    let image = Image::parse(&*file).unwrap();
    let armed = elf_edit::arm(&image, section.offset, section.len);
    assert!(armed.apply(&file).unwrap() == annotate(PROGRAM));
}

/// The no-op: what annotating does, removing undoes.
#[test]
fn remove_gives_the_original_back() {
    for original in [PROGRAM, WITHOUT_SECTIONS] {
        assert!(remove(&annotate(original)) == original);
    }
}

#[test]
fn remove_after_recordings() {
    let mut file = annotate(PROGRAM);
    for run in 1..=5 {
        record(&mut file, &[0], run);
        assert!(remove(&file) == PROGRAM);
    }
}

/// Files that earlier versions have annotated are out there.
#[test]
fn old_files_can_be_read_and_undone() {
    let file = unhex(ANNOTATED);
    let inspection = Inspection::new(&*file).unwrap();
    assert_eq!(inspection.state(), State::Valid);
    let (index, slot) = inspection.slot().unwrap();
    assert_eq!((index, slot.header().generation), (1, 2));
    assert_eq!(slot.header().updated, 1_700_000_000);
    assert!(remove(&file) == PROGRAM);
}

#[test]
fn hexdump_can_be_read_back() {
    let file = annotate(PROGRAM);
    assert!(unhex(&hexdump(&file)) == file);
}
