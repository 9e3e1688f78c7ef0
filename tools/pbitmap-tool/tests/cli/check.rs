// SPDX-License-Identifier: GPL-2.0

use std::{fs, path::PathBuf};

use pbitmap_core::format::{elf::SectionHeader, PF_PBITMAP};
use pbitmap_tool::image::Image;

use crate::{
    support::{record, Tiny},
    world::{good, on, tool, World},
};

/// A file in each state, with the exit code and the word for it.
fn states() -> Vec<(&'static str, Vec<u8>, i32, &'static str)> {
    let original = Tiny::default().build();
    let annotated = crate::support::annotate(&original);
    let image = Image::parse(&*annotated).unwrap();

    let mut recorded = annotated.clone();
    record(&mut recorded, &[0], 7);

    let mut disarmed = annotated.clone();
    disarmed[image.stack_offset() as usize + 4] &= !(PF_PBITMAP as u8);

    // As llvm-strip leaves it.
    let mut mapped = annotated.clone();
    mapped.copy_within(4096..3 * 4096, 0x400);
    let (index, mut section) = (image.sections.len() - 1, *image.sections.last().unwrap());
    section.sh_offset = 0x400;
    let at = image.header.e_shoff as usize + index * SectionHeader::SIZE;
    section.encode(&mut mapped[at..]).unwrap();

    // Another entry point, as if it had been linked again.
    let mut stale = annotated.clone();
    stale[0x18] += 2;

    let mut corrupt = annotated.clone();
    corrupt[4096 + 0x90] += 1;

    let mut empty = annotated.clone();
    empty[4096..3 * 4096].fill(0);

    // One of two slots is enough.
    let mut torn = recorded.clone();
    torn[2 * 4096 + 0x90] += 1;

    vec![
        ("fresh", annotated, 0, "nothing recorded yet"),
        (
            "recorded",
            recorded,
            0,
            "slot 1, generation 2, 1 of 1 pages",
        ),
        ("torn", torn, 0, "slot 0, generation 1"),
        ("plain", original, 3, "not annotated"),
        ("disarmed", disarmed, 4, "disarmed"),
        (
            "mapped",
            mapped,
            4,
            "disarmed: the bitmap is valid, but it was moved",
        ),
        ("stale", stale, 5, "stale"),
        (
            "corrupt",
            corrupt,
            6,
            "corrupt: the checksum of the bitmap does not match",
        ),
        ("empty", empty, 6, "corrupt: there is no bitmap in the slot"),
        ("script", b"#!/bin/sh\n".to_vec(), 1, ""),
    ]
}

#[test]
fn exit_codes() {
    let world = World::new();
    for (name, file, code, words) in states() {
        let path = world.add(name, &file);
        let ran = on(&path, &["check"]);
        assert_eq!(ran.code, Some(code), "{name}");
        assert!(ran.stdout.contains(words), "{name}: {}", ran.stdout);
        assert_eq!(ran.stderr.is_empty(), code != 1, "{name}: {}", ran.stderr);

        let ran = on(&path, &["check", "--quiet"]);
        assert_eq!((ran.code, &*ran.stdout), (Some(code), ""), "{name}");
    }
}

/// What `annotate` makes of each, without and with `--force`.
#[test]
fn annotate_in_each_state() {
    let world = World::new();
    for (name, file, code, _) in states() {
        let path = world.add(name, &file);
        let ran = on(&path, &["annotate"]);
        let accepted = matches!(code, 0 | 3 | 4);
        assert_eq!(ran.code == Some(0), accepted, "{name}: {}", ran.stderr);
        if !accepted && code != 1 {
            assert!(ran.stderr.contains("--force"), "{name}: {}", ran.stderr);
            good(&path, &["annotate", "--force"]);
        }
        if code != 1 {
            good(&path, &["check"]);
        }
    }
}

#[test]
fn first_code_that_is_not_zero() {
    let world = World::new();
    let paths: Vec<PathBuf> = states()
        .iter()
        .map(|(name, file, ..)| world.add(name, file))
        .collect();
    let check = |indexes: &[usize]| {
        let paths = indexes.iter().map(|index| paths[*index].as_os_str());
        tool(["check".as_ref()].into_iter().chain(paths))
    };
    assert_eq!(check(&[0, 1, 2]).code, Some(0));
    assert_eq!(check(&[0, 6, 3]).code, Some(5));
    assert_eq!(check(&[0, 3, 6]).code, Some(3));
    let all = check(&[0, 9, 6]);
    assert_eq!(all.code, Some(1));
    assert_eq!(all.stdout.lines().count(), 2);
}

#[test]
fn json_a_line() {
    let world = World::new();
    let paths: Vec<PathBuf> = states()
        .iter()
        .filter(|(.., code, _)| *code != 1)
        .map(|(name, file, ..)| world.add(name, file))
        .collect();
    let ran = tool(
        ["check".as_ref(), "--json".as_ref()]
            .into_iter()
            .chain(paths.iter().map(|path| path.as_os_str())),
    );
    let states: Vec<String> = ran
        .stdout
        .lines()
        .map(|line| {
            let report: serde_json::Value = serde_json::from_str(line).unwrap();
            let reason = report["reason"].as_str().unwrap_or("-");
            format!("{} {reason}", report["state"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        states,
        [
            "valid -",
            "valid -",
            "valid -",
            "not-annotated -",
            "disarmed -",
            "disarmed -",
            "stale stale",
            "corrupt bad_crc",
            "corrupt bad_magic",
        ]
    );
}

#[test]
fn missing_locator_is_noted() {
    let world = World::new();
    let mut file = crate::support::annotate(&Tiny::default().build());
    let image = Image::parse(&*file).unwrap();
    let mut stack = image.stack;
    (stack.p_offset, stack.p_filesz) = (0, 0);
    stack
        .encode(&mut file[image.stack_offset() as usize..])
        .unwrap();
    let path = world.add("program", &file);
    let printed = good(&path, &["check"]);
    assert!(
        printed.contains("note: the marker does not say"),
        "{printed}"
    );
    good(&path, &["annotate"]);
    assert!(!good(&path, &["check"]).contains("note"));
}

/// A bitmap that was moved gets a place of its own again, with what was recorded.
#[test]
fn moved_bitmap_is_kept() {
    let world = World::new();
    let (_, file, ..) = states().remove(5);
    let path = world.add("program", &file);
    let before = good(&path, &["show", "--json"]);
    assert!(before.contains(r#""mapped": true"#), "{before}");
    let printed = good(&path, &["annotate"]);
    assert!(printed.contains("armed again"), "{printed}");
    let after = good(&path, &["show", "--json"]);
    assert!(after.contains(r#""state": "valid""#), "{after}");
    assert!(after.contains(r#""mapped": false"#), "{after}");
    let printed = good(&path, &["remove"]);
    assert!(
        printed.contains("with a bitmap that is not in use"),
        "{printed}"
    );
    assert!(fs::read(&path).unwrap() == file);
}
