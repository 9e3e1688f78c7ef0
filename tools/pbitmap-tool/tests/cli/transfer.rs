// SPDX-License-Identifier: GPL-2.0

//! Bitmaps that go from one machine to another.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use pbitmap_core::{
    format::{
        bitmap::Bitmap,
        layout::{FILE_BY_PATH, PROFILE_BY_NAME},
        slot::{choose, BuildId, FileIdentity, Identity},
        turns::Turns,
        update::{Key, Run, Seen},
    },
    policy::merge::Merge,
};
use pbitmap_tool::{inspect::Inspection, selection::Selection};
use serde_json::Value;

use crate::{
    stores::{record_in_attribute, value},
    support::{annotate, record, record_run, record_seen, remove, run, Tiny, EXIT_CODE},
    world::{good, on, run as start, state, tool, World},
};

const NAME: &str = "0102030405060708090a0b0c0d0e0f1011121314.pbitmap";

/// A program that was recorded once, at `now`, with its name in the world.
fn recorded(world: &World, name: &str, now: u64) -> PathBuf {
    let mut file = annotate(&Tiny::default().build());
    record(&mut file, &[0], now);
    world.add(name, &file)
}

fn json(path: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&good(path, &[arguments, &["--json"]].concat())).unwrap()
}

/// Arguments of `import` from somewhere.
fn import<'a>(from: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["import"], more, &[from.to_str().unwrap()]].concat()
}

#[test]
fn from_one_machine_to_the_other() {
    let world = World::new();
    let trained = recorded(&world, "trained", 77);
    let archive = world.path("archive");
    let output = archive.to_str().unwrap();
    let printed = good(&trained, &["export", "-o", &format!("{output}/")]);
    assert!(
        printed.contains(&format!("{NAME}: 1 pages in 1 files\n")),
        "{printed}"
    );
    let file = fs::read(archive.join(NAME)).unwrap();
    assert_eq!(file.len(), 2 * 4096);
    assert!(file[4096..].iter().all(|byte| *byte == 0));
    let mode = fs::metadata(archive.join(NAME)).unwrap().mode();
    assert_eq!(mode & 0o777, 0o644);

    for store in ["section", "xattr"] {
        let path = world.add("program", &Tiny::default().build());
        let before = fs::read(&path).unwrap();
        let printed = good(&path, &import(&archive, &["--store", store]));
        assert!(printed.ends_with(": 1 pages in 1 files\n"), "{printed}");
        let report = json(&path, &["check"]);
        assert_eq!(
            (&report["store"], &report["updated"]),
            (&store.into(), &77.into())
        );
        assert_eq!(good(&path, &["show", "--pages"]), "0 1\n");
        assert_eq!(start(&path, &[]).code, Some(EXIT_CODE));
        if store == "xattr" {
            assert!(fs::read(&path).unwrap() == before);
        }
        // The same again changes nothing.
        let state_before = state(&path);
        let printed = good(&path, &import(&archive, &[]));
        assert!(
            printed.contains("has this bitmap, or a later one"),
            "{printed}"
        );
        assert_eq!(state(&path), state_before);
        good(&path, &["remove"]);
        assert!(fs::read(&path).unwrap() == before);
    }
}

/// What can be seen of a program comes back, be it from a section or an attribute.
#[test]
fn there_and_back() {
    let world = World::new();
    let mut file = annotate(&Tiny::default().build());
    for now in 1..6 {
        let key = Key {
            kind: PROFILE_BY_NAME,
            bytes: [&b"git"[..], b"upload"][now as usize % 2],
        };
        let run = Run {
            wanted: 12,
            hits: 8 + now as u32 % 2,
            ..run(key, Merge::Age, now)
        };
        record_run(&mut file, &run, &[("", &[0])]);
    }
    let path = world.add("program", &file);
    let seen = |path: &Path| json(path, &["show"])["profiles"].clone();
    let before = seen(&path);
    let bitmap = world.path("bitmap");
    good(&path, &["export", "-o", bitmap.to_str().unwrap()]);
    for store in ["xattr", "section"] {
        let path = world.add("other", &Tiny::default().build());
        good(&path, &import(&bitmap, &["--store", store]));
        assert_eq!(seen(&path), before, "{store}");
        good(&path, &["export", "-o", bitmap.to_str().unwrap()]);
    }
}

#[test]
fn later_bitmaps_stay() {
    let world = World::new();
    let archive = world.path("bitmap");
    good(
        &recorded(&world, "old", 50),
        &["export", "-o", archive.to_str().unwrap()],
    );
    let path = recorded(&world, "program", 51);
    let before = state(&path);
    good(&path, &import(&archive, &[]));
    assert_eq!(state(&path), before);
    good(&path, &import(&archive, &["--force"]));
    let report = json(&path, &["check"]);
    // It counts on, so that nobody takes it for what was there.
    assert_eq!(
        (&report["updated"], &report["generation"]),
        (&50.into(), &3.into())
    );

    // A fresh annotation is never later.
    good(
        &path,
        &["annotate", "--force", "--planes=2", "--slot-size=16K"],
    );
    good(&path, &import(&archive, &[]));
    let report = json(&path, &["show"]);
    assert_eq!(
        (&report["updated"], &report["planes"]),
        (&50.into(), &2.into())
    );
    assert_eq!(report["slot_size"], 16384);
    // One that tells profiles apart by something else could not use those that come.
    good(
        &path,
        &["annotate", "--force", "--profile-by=arg1", "--planes=2"],
    );
    good(&path, &import(&archive, &[]));
    let report = json(&path, &["show"]);
    assert_eq!(
        (&report["profile_by"], &report["planes"]),
        (&"name".into(), &4.into())
    );
    assert_eq!(start(&path, &[]).code, Some(EXIT_CODE));
}

#[test]
fn other_builds_are_refused() {
    let world = World::new();
    let archive = world.path("bitmap");
    let trained = recorded(&world, "trained", 50);
    good(&trained, &["export", "-o", archive.to_str().unwrap()]);
    let mut other_build = Tiny::default().build();
    let id = other_build
        .windows(4)
        .position(|id| *id == [1, 2, 3, 4])
        .unwrap();
    other_build[id] = 0xff;
    let mut other_layout = Tiny::default();
    other_layout.header.e_entry += 2;
    let mut without = Tiny::default();
    without
        .segments
        .retain(|segment| segment.p_type != crate::support::PT_NOTE);
    for (name, file, reason) in [
        (
            "build",
            other_build.clone(),
            "is for the build 0102030405060708090a0b0c0d0e0f1011121314",
        ),
        (
            "layout",
            other_layout.build(),
            "another version of this file",
        ),
        ("without", without.build(), "has no build id"),
        ("script", b"#!/bin/sh\n".to_vec(), "not an ELF file"),
    ] {
        let path = world.add(name, &file);
        let before = state(&path);
        let ran = on(&path, &import(&archive, &[]));
        assert_eq!(ran.code, Some(1), "{name}: {}", ran.stdout);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert_eq!(state(&path), before);
    }

    // With a directory, there is just none for it.
    let directory = world.path("archive");
    fs::create_dir(&directory).unwrap();
    fs::copy(&archive, directory.join(NAME)).unwrap();
    let path = world.add("build", &other_build);
    let ran = on(&path, &import(&directory, &[]));
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stdout.contains("no bitmap for the build ff02"),
        "{}",
        ran.stdout
    );
    assert_eq!(
        on(&path, &import(&world.path("nowhere"), &[])).code,
        Some(1)
    );

    for bytes in [&b"nothing"[..], &[0; 8192], &[0xff; 100_000]] {
        fs::write(&archive, bytes).unwrap();
        let ran = on(&trained, &import(&archive, &["--force"]));
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("cannot use "), "{}", ran.stderr);
    }
}

#[test]
fn nothing_to_export() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let output = world.path("bitmap");
    let arguments = ["export", "-o", output.to_str().unwrap()];
    let ran = on(&path, &arguments);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stdout.contains("not annotated"), "{}", ran.stdout);
    good(&path, &["annotate"]);
    let ran = on(&path, &arguments);
    assert_eq!(ran.code, Some(3));
    assert!(
        ran.stdout.contains("nothing recorded yet"),
        "{}",
        ran.stdout
    );
    assert!(!output.exists());

    let mut without = Tiny::default();
    without
        .segments
        .retain(|segment| segment.p_type != crate::support::PT_NOTE);
    let mut file = annotate(&without.build());
    record(&mut file, &[0], 7);
    let ran = on(&world.add("without", &file), &arguments);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("has no build id"), "{}", ran.stderr);
}

/// As Go's linker makes it: the only note is its own.
fn go_program(id: &[u8]) -> Vec<u8> {
    let mut tiny = Tiny::default();
    let at = tiny.build().len();
    for segment in &mut tiny.segments {
        if segment.p_type == crate::support::PT_NOTE {
            segment.p_offset = at as u64;
            segment.p_filesz = 16 + id.len() as u64;
        }
    }
    let mut file = tiny.build();
    file.extend(b"\x04\0\0\0");
    file.extend((id.len() as u32).to_le_bytes());
    file.extend(b"\x04\0\0\0Go\0\0");
    file.extend(id);
    file
}

#[test]
fn programs_of_go() {
    let world = World::new();
    let archive = world.path("archive");
    std::fs::create_dir(&archive).unwrap();
    let arguments = ["export", "-o", archive.to_str().unwrap()];
    let id = b"0123456789abcdefghij/0123456789abcdefghij/0123456789abcdefghij/0123456789abcdefghij";
    let mut file = annotate(&go_program(id));
    record(&mut file, &[0], 7);
    good(&world.add("program", &file), &arguments);
    let name = "303132333435363738396162636465666768696a.pbitmap";
    assert!(archive.join(name).exists());

    let mut file = annotate(&go_program(b"redacted"));
    record(&mut file, &[0], 7);
    let ran = on(&world.add("redacted", &file), &arguments);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("has no build id"), "{}", ran.stderr);
}

#[test]
fn several_programs() {
    let world = World::new();
    let archive = world.path("archive");
    let paths = [
        recorded(&world, "first", 5),
        world.add("script", b"#!/bin/sh\n"),
        world.add("plain", &Tiny::default().build()),
        recorded(&world, "last", 6),
    ];
    let all = |arguments: &[&str]| {
        let paths = paths.iter().map(|path| path.to_str().unwrap());
        tool(arguments.iter().copied().chain(paths))
    };
    let ran = all(&["export", "--json", "-o", archive.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("script: not an ELF file"),
        "{}",
        ran.stderr
    );
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let done: Vec<_> = lines
        .iter()
        .map(|line| line["done"].as_str().unwrap())
        .collect();
    assert_eq!(done, ["exported", "not-annotated", "exported"]);
    assert_eq!(lines[0]["output"], archive.join(NAME).to_str().unwrap());
    assert_eq!(
        (&lines[0]["pages"], &lines[0]["files"]),
        (&1.into(), &1.into())
    );

    let ran = all(&["import", "--json", archive.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1));
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let done: Vec<_> = lines
        .iter()
        .map(|line| line["done"].as_str().unwrap())
        .collect();
    assert_eq!(done, ["imported", "imported", "nothing"]);
    assert_eq!(
        (&lines[1]["store"], &lines[1]["annotated"]),
        (&"section".into(), &true.into())
    );
}

/// Libraries are the same if they are the same build, whenever they were installed; inode numbers
/// are never those of here, for an image is not on the disk where it will be.
#[test]
fn libraries_are_told_by_their_build() {
    let world = World::new();
    let root = world.path("root");
    let lib = root.join("usr/lib");
    fs::create_dir_all(&lib).unwrap();
    let library = Tiny::default().build();
    let id = BuildId::new(&(1..=20).collect::<Vec<u8>>());
    let now = UNIX_EPOCH + Duration::new(1_234_567, 890);
    for name in ["same.so", "changed.so"] {
        let file = fs::File::create(lib.join(name)).unwrap();
        std::io::Write::write_all(&mut &file, &library).unwrap();
        file.set_modified(now).unwrap();
    }
    for name in ["cache", "other-cache"] {
        let file = fs::File::create(lib.join(name)).unwrap();
        std::io::Write::write_all(&mut &file, b"no build id").unwrap();
        file.set_modified(now).unwrap();
    }

    let pages = [0x07];
    let seen = |path: &'static str, size: u64, mtime: (i64, u32), build_id: BuildId| Seen {
        path: path.as_bytes(),
        identity: FileIdentity {
            dev: 9,
            ino: 8,
            generation: 7,
            size,
            mtime_sec: mtime.0,
            mtime_nsec: mtime.1,
            build_id,
        },
        pages: Bitmap::new(&pages, 8),
        data_page: 3,
        is_read: false,
        turns: Turns::from_bytes([1; 24]),
    };
    let other = BuildId::new(b"another build");
    let same_time = (1_234_567, 890);
    let files = [
        seen("", 0, (0, 0), BuildId::default()),
        seen("/usr/lib/same.so", 1, (5, 5), id),
        seen(
            "/usr/lib/changed.so",
            library.len() as u64,
            same_time,
            other,
        ),
        seen("/usr/lib/gone.so", 1, (5, 5), id),
        seen("/usr/lib/cache", 11, same_time, BuildId::default()),
        seen(
            "/usr/lib/other-cache",
            11,
            (1_234_567, 891),
            BuildId::default(),
        ),
    ];
    let mut file = annotate(&Tiny::default().build());
    record_seen(&mut file, &run(Key::DEFAULT, Merge::Age, 7), &files);
    let trained = world.add("trained", &file);
    let archive = world.path("bitmap");
    let printed = good(&trained, &["export", "-o", archive.to_str().unwrap()]);
    assert!(printed.contains("16 pages in 6 files"), "{printed}");
    let exported = fs::read(&archive).unwrap();
    let identity = Inspection::new(&*file).unwrap().identity;
    let identities = |section: &[u8]| -> Vec<(String, FileIdentity)> {
        let (_, slot) = choose(section, &Identity::new(identity.layout_crc)).unwrap();
        let profile = *Selection::of(&slot).profile().unwrap();
        slot.files(&profile)
            .filter(|file| file.record.kind == FILE_BY_PATH)
            .map(|file| {
                assert_eq!(file.record.data_page, 3, "the same pages, wherever it is");
                assert_eq!(file.turns(), Turns::from_bytes([1; 24]), "at the same time");
                (
                    String::from_utf8(file.path().to_vec()).unwrap(),
                    file.identity(),
                )
            })
            .collect()
    };
    let nowhere = |identity: FileIdentity| FileIdentity {
        dev: 0,
        ino: 0,
        generation: 0,
        ..identity
    };
    let all: Vec<_> = files[1..]
        .iter()
        .map(|file| {
            let path = String::from_utf8(file.path.to_vec()).unwrap();
            (path, nowhere(file.identity))
        })
        .collect();
    assert_eq!(identities(&exported), all);

    let path = root.join("program");
    fs::copy(world.add("program", &Tiny::default().build()), &path).unwrap();
    let root = root.to_str().unwrap();
    let printed = good(&path, &import(&archive, &["--root", root]));
    assert!(
        printed.contains("7 pages in 3 files; 3 files are not those that were recorded\n"),
        "{printed}"
    );
    let imported = fs::read(&path).unwrap();
    let same = FileIdentity {
        size: library.len() as u64,
        mtime_sec: same_time.0,
        mtime_nsec: same_time.1,
        ..nowhere(files[1].identity)
    };
    let expected = [
        ("/usr/lib/same.so".to_owned(), same),
        ("/usr/lib/cache".to_owned(), nowhere(files[4].identity)),
    ];
    assert_eq!(identities(&imported[4096..3 * 4096]), expected);
    assert!(remove(&imported) == Tiny::default().build());
}

/// For `vm.pbitmap_dir`: the program is not touched, and what is later stays.
#[test]
fn into_a_directory() {
    let world = World::new();
    let (archive, directory) = (world.path("bitmap"), world.path("directory"));
    good(
        &recorded(&world, "trained", 50),
        &["export", "-o", archive.to_str().unwrap()],
    );
    fs::create_dir(&directory).unwrap();
    let to = ["--dir", directory.to_str().unwrap()];
    let path = world.add("program", &Tiny::default().build());
    let before = state(&path);
    let printed = good(&path, &import(&archive, &to));
    assert!(
        printed.contains("not annotated, so that the kernel will not"),
        "{printed}"
    );
    assert_eq!(state(&path), before);
    let file = directory.join(NAME);
    let bytes = fs::read(&file).unwrap();
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);

    good(&path, &["annotate", "--store=xattr"]);
    record_in_attribute(&path, 50, &[("", &[0])]);
    let before = value(&path);
    let printed = good(&path, &import(&archive, &to));
    assert!(
        printed.contains("has this bitmap, or a later one"),
        "{printed}"
    );
    assert!(fs::read(&file).unwrap() == bytes);
    let printed = good(&path, &import(&archive, &[&to[..], &["--force"]].concat()));
    assert!(printed.ends_with("1 pages in 1 files\n"), "{printed}");
    assert!(fs::read(&file).unwrap() != bytes);
    assert_eq!(value(&path), before);

    // What is there is used by itself, and can be exported again.
    let system = world.path("system");
    fs::create_dir_all(system.join("proc/sys/vm")).unwrap();
    fs::rename(&directory, system.join("bitmaps")).unwrap();
    fs::write(system.join("proc/sys/vm/pbitmap_dir"), "/bitmaps\n").unwrap();
    let root = system.to_str().unwrap();
    let again = world.path("again");
    let arguments = [
        "--system-root",
        root,
        "export",
        "-o",
        again.to_str().unwrap(),
    ];
    good(&path, &arguments);
    let generation = |path: &Path| fs::read(path).unwrap()[0x18];
    assert_eq!(generation(&again), 2);
    good(&path, &[&arguments[..], &["--store=xattr"]].concat());
    assert_eq!(generation(&again), 2);
}

/// A bitmap that does not fit packed loses precision, no page, and says so.
#[test]
fn what_an_attribute_has_no_room_for() {
    let world = World::new();
    let mut file = annotate(&Tiny::default().build());
    let scattered: Vec<usize> = (0..990).filter(|page| page * page % 7 < 3).collect();
    let files: [(&str, &[usize]); 2] = [("", &[0]), ("/lib/a.so", &scattered)];
    record_run(&mut file, &run(Key::DEFAULT, Merge::Age, 5), &files);
    let trained = world.add("trained", &file);
    let bitmap = world.path("bitmap");
    good(&trained, &["export", "-o", bitmap.to_str().unwrap()]);
    let root = world.path("root");
    fs::create_dir_all(root.join("lib")).unwrap();
    let library = fs::File::create(root.join("lib/a.so")).unwrap();
    library.set_len(4096 * 1000).unwrap();
    library.set_modified(UNIX_EPOCH).unwrap();

    let path = world.add("program", &Tiny::default().build());
    let root = ["--root", root.to_str().unwrap()];
    good(&path, &["annotate", "--store=xattr", "--room=256"]);
    let printed = good(&path, &import(&bitmap, &root));
    let words = "pages in 2 files; packed with holes of up to 1 pages filled\n";
    assert!(printed.contains(words), "{printed}");
    assert!(value(&path).unwrap().len() <= 256);
    let pages = |path: &Path| -> Vec<usize> {
        let shown = good(path, &["show", "--pages", "--file", "/lib/a.so"]);
        let runs = shown.lines().map(|line| line.split_once(' ').unwrap());
        runs.map(|(first, len)| (first.parse::<usize>().unwrap(), len.parse().unwrap()))
            .flat_map(|(first, len): (usize, usize)| first..first + len)
            .collect()
    };
    assert!(scattered.iter().all(|page| pages(&path).contains(page)));
    assert!(pages(&path).len() > scattered.len());

    good(&path, &["annotate", "--force", "--room=4000"]);
    let printed = good(&path, &import(&bitmap, &root));
    assert!(printed.ends_with(" pages in 2 files\n"), "{printed}");
    assert_eq!(pages(&path), scattered);
}
