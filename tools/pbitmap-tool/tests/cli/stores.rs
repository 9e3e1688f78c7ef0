// SPDX-License-Identifier: GPL-2.0

//! Bitmaps in an attribute, beside or instead of those in a section, and in the directory.

use std::{
    fs,
    os::unix::fs::{symlink, MetadataExt as _},
    path::Path,
};

use pbitmap_core::{
    format::{
        packed::ATTRIBUTE,
        slot::{Identity, Slot},
        update::Key,
    },
    policy::merge::Merge,
};
use pbitmap_tool::{
    attribute::{packed, Attribute},
    elf_edit::Edit,
    replace::replace,
    target::Target,
};
use rustix::{fs::XattrFlags, io::Errno};
use serde_json::Value;

use crate::{
    support::{annotate, record, recorded_slot, run, Tiny, EXIT_CODE},
    world::{good, on, run as start, World},
};

/// What an attribute must not change. The time of the last change of the inode does.
fn contents(path: &Path) -> (u64, Vec<u8>, u32, i64, i64) {
    let metadata = fs::metadata(path).unwrap();
    (
        metadata.ino(),
        fs::read(path).unwrap(),
        metadata.mode(),
        metadata.mtime(),
        metadata.mtime_nsec(),
    )
}

/// The value of the attribute.
pub(crate) fn value(path: &Path) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 65536];
    match rustix::fs::getxattr(path, ATTRIBUTE, &mut buffer) {
        Ok(len) => {
            buffer.truncate(len);
            Some(buffer)
        }
        Err(Errno::NODATA) => None,
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn set_value(path: &Path, value: &[u8]) {
    rustix::fs::setxattr(path, ATTRIBUTE, value, XattrFlags::empty()).unwrap();
}

/// What the kernel does after a run of a program with the attribute.
pub(crate) fn record_in_attribute(path: &Path, now: u64, files: &[(&str, &[usize])]) {
    let attribute = Attribute::new(&value(path).unwrap());
    let old = attribute.any_slot().unwrap();
    let identity = Identity::new(old.header().layout_crc);
    let new = recorded_slot(&old, &run(Key::DEFAULT, Merge::Age, now), files);
    let slot = Slot::parse(&new, &identity).unwrap();
    let (value, _) = packed(&slot, attribute.room().unwrap()).unwrap();
    set_value(path, &value);
}

fn json(path: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&good(path, &[arguments, &["--json"]].concat())).unwrap()
}

#[test]
fn attribute_changes_no_byte_and_no_time() {
    let world = World::new();
    let path = world.compile("program", &[]);
    let before = contents(&path);
    let printed = good(&path, &["annotate", "--store=xattr"]);
    assert!(
        printed.contains("an attribute of up to 4000 bytes\n"),
        "{printed}"
    );
    assert_eq!(contents(&path), before);
    let printed = good(&path, &["check"]);
    assert!(
        printed.contains("valid: the attribute user.pbitmap, "),
        "{printed}"
    );
    assert!(printed.contains("nothing recorded yet"), "{printed}");
    assert_eq!(start(&path, &["x"]).code, Some(7));

    let printed = good(&path, &["remove"]);
    assert!(printed.ends_with(": the attribute is gone\n"), "{printed}");
    assert_eq!(contents(&path), before);
    assert_eq!(value(&path), None);
    assert_eq!(on(&path, &["check"]).code, Some(3));
    assert!(good(&path, &["remove"]).contains("nothing to remove"));
}

#[test]
fn annotated_already() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    good(&path, &["annotate", "--store=xattr"]);
    record_in_attribute(&path, 7, &[("", &[0])]);
    let before = value(&path);
    for arguments in [
        &["annotate"][..],
        &["annotate", "--store=xattr"],
        &["annotate", "--store=xattr", "--room=4000"],
    ] {
        let printed = good(&path, arguments);
        assert!(printed.ends_with(": annotated already\n"), "{printed}");
        assert_eq!(value(&path), before);
    }
    for other in [
        "--room=8K",
        "--planes=2",
        "--profiles=9",
        "--profile-by=arg1",
    ] {
        let printed = good(&path, &["annotate", "--store=xattr", other]);
        assert!(printed.contains("with other options"), "{printed}");
        assert_eq!(value(&path), before);
    }
    good(&path, &["annotate", "--force", "--room=1K", "--planes=2"]);
    let report = json(&path, &["show"]);
    assert_eq!(report["attribute"]["room"], 1024);
    assert_eq!(
        (&report["planes"], &report["generation"]),
        (&2.into(), &1.into())
    );
    assert_eq!(
        on(&path, &["annotate", "--store=xattr", "--room=255"]).code,
        Some(2)
    );
    let ran = on(&path, &["annotate", "--store=section", "--room=4000"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("is for attributes"), "{}", ran.stderr);
}

#[test]
fn names_share_the_attribute() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let (other, link) = (world.path("other"), world.path("link"));
    fs::hard_link(&path, &other).unwrap();
    symlink("program", &link).unwrap();
    let printed = good(&link, &["annotate", "--store=xattr"]);
    assert!(printed.contains("which its 2 names share"), "{printed}");
    for path in [&path, &other, &link] {
        good(path, &["check"]);
    }
    good(&other, &["remove"]);
    assert_eq!(on(&path, &["check"]).code, Some(3));
}

/// What only a change of the file would harm is no reason to refuse.
#[test]
fn appended_data_does_not_matter() {
    let world = World::new();
    let mut file = Tiny::default().build();
    file.extend([0x55; 100_000]);
    let path = world.add("program", &file);
    assert_eq!(on(&path, &["annotate"]).code, Some(1));
    good(&path, &["annotate", "--store=xattr"]);
}

#[test]
fn refused() {
    let world = World::new();
    for (name, file, reason) in [
        ("script", b"#!/bin/sh\n".to_vec(), "not an ELF file"),
        (
            "object",
            {
                let mut tiny = Tiny::default();
                tiny.header.e_type = 1;
                tiny.build()
            },
            "an object file",
        ),
    ] {
        let path = world.add(name, &file);
        let ran = on(&path, &["annotate", "--store=xattr"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert_eq!(value(&path), None);
    }
    let library = world.compile("library.so", &["-shared", "-fPIC"]);
    let ran = on(&library, &["annotate", "--store=xattr"]);
    assert!(ran.stderr.contains("a shared library"), "{}", ran.stderr);
}

/// An attribute that cannot be used is said to be that, and not replaced unasked.
#[test]
fn attributes_that_cannot_be_used() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    good(&path, &["annotate", "--store=xattr"]);
    let sound = value(&path).unwrap();
    let other = {
        let mut tiny = Tiny::default();
        tiny.header.e_entry += 2;
        let other = world.add("other", &tiny.build());
        good(&other, &["annotate", "--store=xattr"]);
        value(&other).unwrap()
    };
    let mut torn = sound.clone();
    *torn.last_mut().unwrap() ^= 0x10;
    for (value, code, words) in [
        (other, 5, "stale: "),
        (torn, 6, "corrupt: the attribute user.pbitmap"),
        (b"something else".to_vec(), 6, "there is no bitmap"),
        (Vec::new(), 6, "corrupt: "),
    ] {
        set_value(&path, &value);
        let ran = on(&path, &["check"]);
        assert_eq!(ran.code, Some(code), "{}", ran.stdout);
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
        let ran = on(&path, &["annotate"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("--force"), "{}", ran.stderr);
        good(&path, &["annotate", "--force"]);
        assert_eq!(self::value(&path).unwrap(), sound);
    }
}

/// The attribute goes before the section if it is valid.
#[test]
fn both() {
    let world = World::new();
    let original = Tiny::default().build();
    let mut annotated = annotate(&original);
    record(&mut annotated, &[0], 7);
    let path = world.add("program", &annotated);
    let printed = good(&path, &["annotate", "--store=xattr"]);
    assert!(printed.contains("it has a section, too"), "{printed}");
    let report = json(&path, &["check"]);
    assert_eq!(report["store"], "xattr");
    assert_eq!(report["section"]["state"], "valid");
    assert_eq!(report["elf_size"], annotated.len());
    let printed = good(&path, &["check"]);
    assert!(
        printed.contains("note: there is a bitmap in the section too, which is valid and not used"),
        "{printed}"
    );
    let printed = good(&path, &["check", "--store=section"]);
    assert!(printed.contains("valid and armed: slot 1"), "{printed}");
    assert!(!printed.contains("note"), "{printed}");
    assert_eq!(
        json(&path, &["show", "--store=section"])["store"],
        "section"
    );

    // One that is not valid does not keep the section from being used.
    let sound = value(&path).unwrap();
    set_value(&path, b"something else");
    let report = json(&path, &["check"]);
    assert_eq!(
        (&report["store"], &report["state"]),
        (&"section".into(), &"valid".into())
    );
    assert_eq!(report["attribute"]["state"], "corrupt");
    let printed = good(&path, &["check"]);
    assert!(
        printed.contains("user.pbitmap, 14 bytes too, which cannot be read"),
        "{printed}"
    );
    set_value(&path, &sound);

    // Annotating the section anew keeps the attribute.
    let printed = good(&path, &["annotate", "--force", "--store=section"]);
    assert!(printed.contains("it has an attribute, too"), "{printed}");
    assert_eq!(value(&path).unwrap(), sound);

    let printed = good(&path, &["remove", "--store=section"]);
    assert!(!printed.contains("attribute"), "{printed}");
    assert!(fs::read(&path).unwrap() == original);
    assert_eq!(json(&path, &["check"])["store"], "xattr");

    good(&path, &["annotate", "--store=section"]);
    let printed = good(&path, &["remove"]);
    assert!(
        printed.ends_with("; the attribute is gone, too\n"),
        "{printed}"
    );
    assert!(fs::read(&path).unwrap() == original);
    assert_eq!(value(&path), None);

    good(&path, &["annotate"]);
    good(&path, &["annotate", "--store=xattr"]);
    good(&path, &["remove", "--store=xattr"]);
    assert_eq!(json(&path, &["check"])["store"], "section");
    assert_eq!(start(&path, &[]).code, Some(EXIT_CODE));
}

/// What is replaced keeps its attribute, whoever replaces it.
#[test]
fn replaced_file_keeps_the_attribute() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    good(&path, &["annotate", "--store=xattr"]);
    let before = value(&path);
    let target = Target::open(&path).unwrap();
    let edit = Edit {
        keep: target.stat.st_size as u64,
        writes: Vec::new(),
    };
    replace(&target, &target.facts().unwrap(), &edit).unwrap();
    assert_eq!(value(&path), before);
}

#[test]
fn show_attribute() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    good(&path, &["annotate", "--store=xattr"]);
    for now in [1_600_000_000, 1_700_000_000] {
        record_in_attribute(&path, now, &[("", &[0]), ("/lib/libc.so.6", &[0, 7])]);
    }
    let shown = good(&path, &["show", "--gap", "4", "--width", "60"]);
    let shown = shown.replace(world.path("").to_str().unwrap(), "/bin/");
    insta::assert_snapshot!("attribute", shown);
    let shown = good(&path, &["show", "--json", "--gap", "4"]);
    let shown = shown.replace(world.path("").to_str().unwrap(), "/bin/");
    insta::assert_snapshot!("attribute_json", shown);
    assert_eq!(good(&path, &["show", "--pages"]), "0 1\n");
}

/// Of a program that is annotated, the later bitmap counts, and that of the directory if they are
/// of the same time.
#[test]
fn directory() {
    let world = World::new();
    let system = world.path("system");
    let bitmaps = system.join("var/bitmaps");
    fs::create_dir_all(&bitmaps).unwrap();
    fs::create_dir_all(system.join("proc/sys/vm")).unwrap();
    fs::write(system.join("proc/sys/vm/pbitmap_dir"), "/var/bitmaps\n").unwrap();
    let root = system.to_str().unwrap();
    let check = |path: &Path| {
        let ran = on(path, &["--system-root", root, "check", "--json"]);
        let report: Value = serde_json::from_str(&ran.stdout).unwrap();
        let word = |name: &str| report[name].as_str().unwrap_or("-").to_owned();
        (ran.code.unwrap(), word("store"), word("state"))
    };
    let found = |code, store: &str, state: &str| (code, store.to_owned(), state.to_owned());

    let original = Tiny::default().build();
    let mut annotated = annotate(&original);
    let section = 4096..3 * 4096;
    record(&mut annotated, &[0], 100);
    let file = bitmaps.join("0102030405060708090a0b0c0d0e0f1011121314.pbitmap");
    fs::write(&file, &annotated[section.clone()]).unwrap();
    let path = world.add("program", &annotated);
    assert_eq!(check(&path), found(0, "directory", "valid"));
    let plain = world.add("plain", &original);
    assert_eq!(check(&plain), found(3, "directory", "not-annotated"));
    good(&plain, &["annotate", "--store=xattr"]);
    assert_eq!(check(&plain), found(0, "directory", "valid"));
    record_in_attribute(&plain, 100, &[("", &[0])]);
    assert_eq!(check(&plain), found(0, "directory", "valid"));
    record_in_attribute(&plain, 101, &[("", &[0])]);
    assert_eq!(check(&plain), found(0, "xattr", "valid"));

    // A later one in the program.
    record(&mut annotated, &[0], 101);
    let path = world.add("program", &annotated);
    assert_eq!(check(&path), found(0, "section", "valid"));
    // One that cannot be used.
    fs::write(&file, b"nothing").unwrap();
    assert_eq!(check(&path), found(0, "section", "valid"));
    let ran = on(&path, &["--system-root", root, "check"]);
    assert!(
        ran.stdout.contains(".pbitmap too, which cannot be read"),
        "{}",
        ran.stdout
    );
}
