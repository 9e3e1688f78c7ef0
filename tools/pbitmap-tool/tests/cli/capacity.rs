// SPDX-License-Identifier: GPL-2.0

//! How large the slots are, and what they are to remember.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use pbitmap_tool::{
    capacity::{Capacity, Modes, ProfileBy},
    image::Image,
    ld_cache::LdCache,
    libraries::{Libraries, Library, Root},
};
use serde_json::Value;

use crate::{
    support::Tiny,
    world::{good, must, on, World},
};

#[test]
fn slot_size() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    for wrong in ["0", "x", "5X", "2M", "99999999999"] {
        let ran = on(&path, &["annotate", "--slot-size", wrong]);
        assert_eq!(ran.code, Some(2), "{wrong}");
        assert!(ran.stderr.contains("--slot-size"), "{}", ran.stderr);
    }
    let printed = good(&path, &["annotate", "--slot-size=4097"]);
    assert!(printed.contains("two slots of 8192 bytes"), "{printed}");
}

#[test]
fn slots_grow_with_the_program() {
    let mut image = Image::parse(&*Tiny::default().build()).unwrap();
    for (size, wanted, slot_size, fits) in [
        (1, None, 4096, true),
        (10_000_000, None, 4096, true),
        (13_000_000, None, 8192, true),
        (130_000_000, None, 40960, true),
        (130_000_000, Some(4096), 4096, false),
        (1 << 44, None, 1 << 20, false),
    ] {
        image.size = size;
        let capacity = Capacity::new(&image, &Libraries::default(), &Modes::default(), wanted);
        assert_eq!(capacity, Capacity { slot_size, fits }, "{size}");
    }
}

#[test]
fn slots_grow_with_libraries_profiles_and_planes() {
    let image = Image::parse(&*Tiny::default().build()).unwrap();
    let mut libraries = Libraries::default();
    let library = |pages| Library {
        path: "/lib/library.so".into(),
        pages,
    };
    libraries.found.push(library(500));
    let size = |libraries: &Libraries, by, profiles, planes| {
        let modes = Modes {
            by,
            profiles,
            planes,
        };
        Capacity::new(&image, libraries, &modes, None).slot_size
    };
    // One library, the program, room for 32 files that are not known, and for what is read.
    assert_eq!(size(&libraries, ProfileBy::None, 1, 1), 36864);
    assert_eq!(size(&libraries, ProfileBy::Name, 4, 4), 45056);
    assert_eq!(size(&libraries, ProfileBy::Name, 64, 4), 45056);
    assert_eq!(size(&libraries, ProfileBy::Script, 8, 4), 98304);
    libraries.found.push(library(50_000));
    assert_eq!(size(&libraries, ProfileBy::None, 1, 1), 45056);
    assert_eq!(size(&libraries, ProfileBy::None, 1, 8), 98304);
    libraries.found.push(library(u64::MAX));
    assert_eq!(size(&libraries, ProfileBy::None, 1, 1), 1 << 20);
}

/// The header of the bitmap, as `show --json` has it.
fn shown(path: &Path) -> Value {
    serde_json::from_str(&good(path, &["show", "--json"])).unwrap()
}

#[test]
fn what_is_remembered() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    for (arguments, by, profiles, planes) in [
        (&[][..], "name", 4, 4),
        (&["--profile-by", "name", "--planes=8"], "name", 4, 8),
        (&["--profile-by", "script"], "script", 8, 4),
        (&["--profile-by=arg1", "--profiles=64"], "arg1", 64, 4),
        (&["--profile-by=none", "--planes", "1"], "none", 1, 1),
    ] {
        good(&path, &[&["annotate", "--force"], arguments].concat());
        let shown = shown(&path);
        assert_eq!(shown["profile_by"], by, "{arguments:?}");
        assert_eq!(shown["max_profiles"], profiles, "{arguments:?}");
        assert_eq!(shown["planes"], planes, "{arguments:?}");
    }
    for wrong in [
        &["--profiles=65"][..],
        &["--profiles=0"],
        &["--planes=0"],
        &["--planes=9"],
        &["--profile-by=uid"],
    ] {
        let ran = on(&path, &[&["annotate"], wrong].concat());
        assert_eq!(ran.code, Some(2), "{wrong:?}: {}", ran.stderr);
    }
    let ran = on(&path, &["annotate", "--profile-by=none", "--profiles=2"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("one profile"), "{}", ran.stderr);
}

/// A bitmap that is there already is not made anew just because of an option, but one is told.
#[test]
fn other_options_need_force() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    good(&path, &["annotate", "--profile-by=arg1"]);
    let again = |arguments: &[&str]| good(&path, &[&["annotate"], arguments].concat());
    for same in [
        &[][..],
        &["--profile-by=arg1"],
        &["--profiles=8"],
        &["--slot-size=4K"],
    ] {
        assert!(again(same).ends_with(": annotated already\n"), "{same:?}");
    }
    for other in [
        &["--profile-by=name"][..],
        &["--planes=2"],
        &["--slot-size=64K"],
    ] {
        let printed = again(other);
        assert!(printed.contains("`--force`"), "{other:?}: {printed}");
    }
    assert_eq!(shown(&path)["profile_by"], "arg1");
}

/// The libraries that the dynamic loader finds, no more and no less.
#[test]
fn libraries_of_this_system() {
    let world = World::new();
    let path = world.compile("program", &["-lm", "-Wl,--no-as-needed", "-lm"]);
    let listed = must(Command::new("ldd").arg(&path));
    let mut expected: Vec<PathBuf> = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(|path| Path::new(path).canonicalize().unwrap())
        .collect();
    expected.sort();

    let root = Root::new(None).unwrap();
    let libraries = Libraries::of(&*fs::read(&path).unwrap(), &path, &root);
    assert_eq!(libraries.missing, [""; 0]);
    let mut found: Vec<PathBuf> = libraries
        .found
        .iter()
        .map(|library| library.path.canonicalize().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, expected);
    for library in &libraries.found {
        let size = fs::metadata(&library.path).unwrap().len();
        assert_eq!(library.pages, size.div_ceil(4096));
    }

    let printed = good(&path, &["annotate"]);
    let words = format!("in {} libraries", expected.len());
    assert!(printed.contains(&words), "{printed}");
    let fixed = world.compile("static", &["-static"]);
    let printed = good(&fixed, &["annotate"]);
    assert!(!printed.contains("libraries"), "{printed}");
}

/// What a program has in its own folder it loads sooner or later.
#[test]
fn shared_objects_beside_the_program() {
    let world = World::new();
    let path = world.compile("program", &[]);
    let root = Root::new(None).unwrap();
    let data = fs::read(&path).unwrap();
    let beside = || {
        let mut beside = Libraries::of(&*data, &path, &root).beside;
        beside.sort_by(|one, other| one.path.cmp(&other.path));
        beside
            .into_iter()
            .map(|library| (library.path, library.pages))
            .collect::<Vec<_>>()
    };
    assert_eq!(beside(), []);
    let add = |name: &str, pages: u64| {
        let file = fs::File::create(path.with_file_name(name)).unwrap();
        file.set_len(4096 * pages).unwrap();
        (path.with_file_name(name), pages)
    };
    let big = add("libbig.so", 60_000);
    let versioned = add("libplugin.so.7.1", 3);
    add("library.sort", 5);
    fs::create_dir(path.with_file_name("folder.so")).unwrap();
    symlink("libbig.so", path.with_file_name("same.so")).unwrap();
    let names = beside();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&versioned), "{names:?}");
    assert!(names.iter().any(|(_, pages)| *pages == big.1), "{names:?}");
    good(&path, &["annotate"]);
    let with = shown(&path)["slot_size"].as_u64().unwrap();
    fs::remove_file(path.with_file_name("libbig.so")).unwrap();
    good(&path, &["annotate", "--force"]);
    let without = shown(&path)["slot_size"].as_u64().unwrap();
    // Four recordings of two profiles, a bit a page.
    assert!(with > without + 60_000, "{with} {without}");
    // So many are the system's.
    for index in 0..260 {
        add(&format!("lib{index}.so"), 1);
    }
    assert_eq!(beside(), []);
}

/// A system for another machine, or a container, below a directory: what its libraries are called
/// there has nothing to do with this system, and no link of it leads out.
#[test]
fn libraries_below_a_root() {
    let world = World::new();
    let root = world.path("root");
    for directory in ["lib", "opt/app/bin", "opt/app/lib", "opt/other"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let library = |name: &str, how: &[&str]| {
        let soname = format!("-Wl,-soname,{name}");
        let how = [&["-shared", "-fPIC", "-nostdlib", &*soname], how].concat();
        world.compile_source(name, &how, "int value;")
    };
    let place = |from: &Path, to: &str| fs::copy(from, root.join(to)).unwrap();
    // program -> liba (by RUNPATH with $ORIGIN) -> libb (by a link that is absolute there)
    //         -> libc (nowhere) and libd (for another machine)
    let b = library("libb.so", &[]);
    place(&b, "opt/other/libb.so.1");
    symlink("/opt/other/libb.so.1", root.join("lib/libb.so")).unwrap();
    let missing = library("libc.so", &[]);
    let foreign = library("libd.so", &[]);
    let mut other_machine = fs::read(&foreign).unwrap();
    other_machine[0x12] = 183;
    fs::write(root.join("lib/libd.so"), other_machine).unwrap();
    let a = library("liba.so", &["-Wl,--no-as-needed", b.to_str().unwrap()]);
    place(&a, "opt/app/lib/liba.so");
    symlink("/etc/ld.so.cache", root.join("lib/ld.so.cache")).unwrap();
    let libraries = [&a, &missing, &foreign].map(|path| path.to_str().unwrap());
    let program = world.compile_source(
        "program",
        &[
            &["-nostdlib", "-pie", "-fPIC", "-Wl,--no-as-needed"][..],
            &[
                "-Wl,-rpath,$ORIGIN/../lib",
                "-Wl,-rpath-link,.",
                "-Wl,--enable-new-dtags",
            ],
            &[
                "-Wl,--allow-shlib-undefined",
                "-Wl,-dynamic-linker,/lib/libb.so",
            ],
            &libraries,
        ]
        .concat(),
        "void _start(void) {}",
    );
    // `compile_source` puts the libraries before the source, which is all the same to the linker.
    let path = root.join("opt/app/bin/program");
    fs::copy(program, &path).unwrap();

    let printed = good(&path, &["annotate", "--root", root.to_str().unwrap()]);
    assert!(
        printed.contains(" in 2 libraries, 2 libraries not found"),
        "{printed}"
    );
    let ran = on(&path, &["annotate", "--force", "--root", "/nonexistent"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("the root cannot be opened"),
        "{}",
        ran.stderr
    );
}

#[test]
fn json_a_line() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let json = |arguments: &[&str]| -> Value {
        let printed = good(&path, arguments);
        assert_eq!(printed.lines().count(), 1);
        serde_json::from_str(&printed).unwrap()
    };
    let done = json(&["annotate", "--json"]);
    assert_eq!(done["file"], path.to_str().unwrap());
    assert_eq!(done["done"], "annotated");
    assert_eq!(done["slot_size"], 4096);
    assert_eq!(done["fits"], true);
    assert_eq!(done["never_updated"], Value::Null);
    assert_eq!(json(&["annotate", "--json"])["done"], "nothing");
    assert_eq!(json(&["remove", "--json"])["done"], "removed");
    assert_eq!(json(&["remove", "--json"])["done"], "nothing");
}

/// A cache of one library, with `before` in front of it.
fn ld_cache(before: &[u8]) -> Vec<u8> {
    let mut file = b"glibc-ld.so.cache1.1".to_vec();
    file.extend(1u32.to_le_bytes());
    file.resize(48, 0);
    file.extend([0; 4]);
    file.extend(72u32.to_le_bytes());
    file.extend(80u32.to_le_bytes());
    file.resize(72, 0);
    file.extend(b"liba.so\0/lib/liba.so\0");
    [before, &file].concat()
}

#[test]
fn ld_cache_has_the_path() {
    for before in [&b""[..], b"ld.so-1.7.0\0\0\0\0\0"] {
        let cache = LdCache::parse(&ld_cache(before));
        assert_eq!(cache.find(b"liba.so"), [PathBuf::from("/lib/liba.so")]);
        assert_eq!(cache.find(b"libb.so"), [""; 0].map(PathBuf::from));
    }
}

#[test]
fn ld_cache_of_anything() {
    let file = ld_cache(b"");
    for len in 0..file.len() {
        LdCache::parse(&file[..len]);
    }
    for at in 0..file.len() {
        let mut file = file.clone();
        file[at] ^= 0xff;
        LdCache::parse(&file);
    }
}
