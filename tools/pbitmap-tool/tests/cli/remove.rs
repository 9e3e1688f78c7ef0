// SPDX-License-Identifier: GPL-2.0

use std::fs;

use pbitmap_core::format::PF_PBITMAP;
use pbitmap_tool::image::Image;

use crate::{
    support::{record, Tiny},
    world::{good, on, run, state, World},
};

#[test]
fn byte_for_byte() {
    let world = World::new();
    for (name, how) in [
        ("pie", &["-pie", "-fPIE"][..]),
        ("static", &["-static"]),
        ("debug", &["-g"]),
    ] {
        let path = world.compile(name, how);
        let original = fs::read(&path).unwrap();
        good(&path, &["annotate"]);
        assert!(fs::read(&path).unwrap() != original);
        let printed = good(&path, &["remove"]);
        assert!(printed.ends_with(": as it was before it was annotated\n"));
        assert!(fs::read(&path).unwrap() == original, "{name}");
        assert_eq!(run(&path, &[]).code, Some(7));
    }
}

#[test]
fn after_recordings() {
    let world = World::new();
    for original in [Tiny::default().build(), Tiny::without_sections().build()] {
        let mut annotated = crate::support::annotate(&original);
        for run in 1..4 {
            record(&mut annotated, &[0], run);
        }
        let path = world.add("program", &annotated);
        good(&path, &["remove"]);
        assert!(fs::read(&path).unwrap() == original);
    }
}

#[test]
fn not_annotated() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let before = state(&path);
    let printed = good(&path, &["remove"]);
    assert!(printed.contains("nothing to remove"), "{printed}");
    assert_eq!(state(&path), before);

    let ran = on(&world.add("script", b"#!/bin/sh\n"), &["remove"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("not an ELF file"), "{}", ran.stderr);
}

#[test]
fn lonely_marker() {
    let world = World::new();
    let original = Tiny::default().build();
    let mut marked = original.clone();
    let image = Image::parse(&*marked).unwrap();
    marked[image.stack_offset() as usize + 4] |= PF_PBITMAP as u8;
    let path = world.add("program", &marked);
    let ran = on(&path, &["check"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stdout.contains("the marker is set"), "{}", ran.stdout);
    good(&path, &["remove"]);
    assert!(fs::read(&path).unwrap() == original);
}

#[test]
fn edited_meanwhile() {
    let world = World::new();
    let annotated = crate::support::annotate(&Tiny::default().build());
    let image = Image::parse(&*annotated).unwrap();
    let mut edited = annotated.clone();
    edited[image.header.e_shoff as usize + 64 + 0x20] += 1;
    for (file, reason) in [
        (edited, "has edited the file"),
        (
            annotated[..annotated.len() - 64].to_vec(),
            "has rewritten the file",
        ),
    ] {
        let path = world.add("program", &file);
        let before = state(&path);
        let ran = on(&path, &["remove"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert!(ran.stderr.contains("objcopy"), "{}", ran.stderr);
        assert_eq!(state(&path), before);
    }
}

#[test]
fn hard_links() {
    let world = World::new();
    let original = Tiny::default().build();
    let path = world.add("program", &crate::support::annotate(&original));
    fs::hard_link(&path, world.path("other")).unwrap();
    let ran = on(&path, &["remove"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("has 2 hard links"), "{}", ran.stderr);
    good(&path, &["remove", "--break-hard-links"]);
    assert!(fs::read(&path).unwrap() == original);
    good(&world.path("other"), &["check"]);
}
