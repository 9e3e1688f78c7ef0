// SPDX-License-Identifier: GPL-2.0

use std::{
    ffi::CString,
    fs::{self, File},
    os::{
        fd::OwnedFd,
        unix::fs::{symlink, MetadataExt as _, PermissionsExt as _},
    },
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use pbitmap_core::format::elf::PT_LOAD;
use pbitmap_tool::{
    elf_edit::Edit,
    replace::replace,
    target::{xattrs, Refused, Target},
};
use rustix::{
    fs::{IFlags, StatxAttributes, Timespec, Timestamps, XattrFlags},
    io::Errno,
};

use crate::{
    support::{record, remove, Tiny, EXIT_CODE},
    world::{complaints, good, must, on, run, state, tool, World},
};

const KINDS: [(&str, &[&str]); 5] = [
    ("pie", &["-pie", "-fPIE"]),
    ("fixed", &["-no-pie"]),
    ("static", &["-static"]),
    ("static_pie", &["-static-pie", "-fPIE"]),
    ("debug", &["-g", "-Wl,-z,noseparate-code"]),
];

#[test]
fn programs_run_as_before() {
    let world = World::new();
    for (name, how) in KINDS {
        let path = world.compile(name, how);
        let before = run(&path, &["x"]);
        assert_eq!(before.code, Some(7));
        let printed = good(&path, &["annotate"]);
        assert!(printed.contains(": annotated: "), "{printed}");
        assert_eq!(run(&path, &["x"]), before, "{name}");
        assert_eq!(complaints(&path), [""; 0], "{name}");
        let printed = good(&path, &["check"]);
        assert!(printed.contains("valid and armed"), "{printed}");
    }
}

/// The tool is a Rust program: it annotates itself, while it runs.
#[test]
fn itself() {
    let world = World::new();
    let path = world.copy(Path::new(env!("CARGO_BIN_EXE_pbitmap-tool")), "tool");
    let before = run(&path, &["--version"]);
    let target = path.to_str().unwrap();
    let ran = run(&path, &["annotate", target]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
    assert_eq!(run(&path, &["--version"]), before);
    assert_eq!(run(&path, &["check", target]).code, Some(0));
}

#[test]
fn without_section_headers() {
    let world = World::new();
    let path = world.add("program", &Tiny::without_sections().build());
    good(&path, &["annotate"]);
    assert_eq!(run(&path, &[]).code, Some(EXIT_CODE));
    let listed = must(Command::new("readelf").arg("-SW").arg(&path));
    assert!(listed.contains(" .pbitmap "), "{listed}");
    assert_eq!(complaints(&path), [""; 0]);
}

#[test]
fn annotated_already() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    good(&path, &["annotate"]);
    let before = state(&path);
    let printed = good(&path, &["annotate"]);
    assert!(printed.ends_with(": annotated already\n"), "{printed}");
    assert_eq!(state(&path), before);
}

#[test]
fn force_makes_a_fresh_bitmap() {
    let world = World::new();
    let original = Tiny::default().build();
    let mut annotated = crate::support::annotate(&original);
    record(&mut annotated, &[0], 7);
    let path = world.add("program", &annotated);
    assert!(good(&path, &["check"]).contains("generation 2, 1 of 1 pages"));

    good(&path, &["annotate", "--force"]);
    assert!(good(&path, &["check"]).contains("generation 1, nothing recorded yet"));
    // In place of the old one, not after it.
    assert_eq!(fs::metadata(&path).unwrap().len(), annotated.len() as u64);
    assert!(remove(&fs::read(&path).unwrap()) == original);

    good(&path, &["annotate", "--force", "--slot-size", "64K"]);
    let shown = good(&path, &["show", "--json"]);
    assert!(shown.contains(r#""slot_size": 65536"#), "{shown}");
    assert!(remove(&fs::read(&path).unwrap()) == original);
    assert_eq!(run(&path, &[]).code, Some(EXIT_CODE));
}

#[test]
fn several_files() {
    let world = World::new();
    let paths = [
        world.add("first", &Tiny::default().build()),
        world.add("script", b"#!/bin/sh\n"),
        world.path("missing"),
        world.add("last", &Tiny::default().build()),
    ];
    let ran = tool(
        ["annotate".as_ref()]
            .into_iter()
            .chain(paths.iter().map(|p| p.as_os_str())),
    );
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("script: not an ELF file"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("missing: No such file"),
        "{}",
        ran.stderr
    );
    good(&paths[0], &["check"]);
    good(&paths[3], &["check"]);
    assert_eq!(good(&paths[0], &["annotate", "--quiet"]), "");
}

#[test]
fn hard_links() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let other = world.path("other");
    fs::hard_link(&path, &other).unwrap();
    let before = state(&path);
    let ran = on(&path, &["annotate"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("has 2 hard links"), "{}", ran.stderr);
    assert_eq!(state(&path), before);

    good(&path, &["annotate", "--break-hard-links"]);
    good(&path, &["check"]);
    assert_eq!(on(&other, &["check"]).code, Some(3));
    assert_eq!(fs::metadata(&other).unwrap().nlink(), 1);
}

#[test]
fn symbolic_link() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let link = world.path("link");
    symlink("program", &link).unwrap();
    good(&link, &["annotate"]);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("program"));
    good(&path, &["check"]);

    let dangling = world.path("dangling");
    symlink("nowhere", &dangling).unwrap();
    let ran = on(&dangling, &["annotate"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("No such file"), "{}", ran.stderr);
}

#[test]
fn running_program_goes_on() {
    let world = World::new();
    let path = world.compile("program", &[]);
    let mut running = Command::new(&path)
        .args(["sleep", "please"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let inode = fs::metadata(&path).unwrap().ino();
    good(&path, &["annotate"]);
    assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
    assert_eq!(run(&path, &[]).code, Some(7));
    assert!(running.try_wait().unwrap().is_none());
    good(&path, &["remove"]);
    assert!(running.try_wait().unwrap().is_none());
    running.kill().unwrap();
    running.wait().unwrap();
}

/// At no moment does starting the program fail, be it annotated or not.
#[test]
fn starts_meanwhile() {
    let world = World::new();
    let path = world.compile("program", &["-static"]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let starts = scope.spawn(|| {
            let mut starts = 0;
            while !done.load(Ordering::Relaxed) || starts < 100 {
                // Not `run`, which would try again.
                let code = Command::new(&path).stdout(Stdio::null()).status();
                assert_eq!(code.unwrap().code(), Some(7));
                starts += 1;
            }
            starts
        });
        for _ in 0..40 {
            good(&path, &["annotate"]);
            good(&path, &["remove"]);
        }
        done.store(true, Ordering::Relaxed);
        assert!(starts.join().unwrap() >= 100);
    });
}

/// Values of attributes as the kernel defines them.
const ACCESS_LIST: &[u8] = b"\x02\0\0\0\
    \x01\0\x07\0\xff\xff\xff\xff\
    \x02\0\x04\0\xd2\x04\0\0\
    \x04\0\x05\0\xff\xff\xff\xff\
    \x10\0\x05\0\xff\xff\xff\xff\
    \x20\0\0\0\xff\xff\xff\xff";
const CAPABILITY: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Sets an attribute; false if this is not possible here.
fn set(path: &Path, name: &str, value: &[u8]) -> bool {
    let name = CString::new(name).unwrap();
    match rustix::fs::setxattr(path, &name, value, XattrFlags::empty()) {
        Ok(()) => true,
        Err(Errno::NOTSUP | Errno::PERM) => {
            eprintln!("skipped: {name:?} cannot be set here");
            false
        }
        Err(error) => panic!("{name:?}: {error}"),
    }
}

#[test]
fn metadata_is_kept() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let file = File::open(&path).unwrap();
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(1234), Some(5678)).unwrap();
    } else {
        eprintln!("skipped: not root, so the owner cannot be changed");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o754)).unwrap();
    set(&path, "user.note", b"kept");
    set(&path, "user.big", &[7; 3000]);
    set(&path, "system.posix_acl_access", ACCESS_LIST);
    set(&path, "security.capability", CAPABILITY);
    set(&path, "trusted.note", b"kept too");
    set(&path, "security.selinux", b"system_u:object_r:bin_t:s0\0");
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 1_111_111_111,
            tv_nsec: 123_456_789,
        },
        last_modification: Timespec {
            tv_sec: 999_999_999,
            tv_nsec: 987_654_321,
        },
    };
    rustix::fs::futimens(&file, &times).unwrap();
    // A directory whose files get another access control list.
    let mut other = ACCESS_LIST.to_vec();
    other[16] += 1;
    set(world.path("").as_path(), "system.posix_acl_default", &other);

    let look = || {
        let metadata = fs::metadata(&path).unwrap();
        let mut attributes = xattrs(&File::open(&path).unwrap()).unwrap();
        attributes.sort();
        (
            (metadata.mode(), metadata.uid(), metadata.gid()),
            (metadata.mtime(), metadata.mtime_nsec()),
            (metadata.atime(), metadata.atime_nsec()),
            attributes,
        )
    };
    let before = look();
    let inode = file.metadata().unwrap().ino();
    on(&path, &["annotate"]);
    assert_eq!(look(), before);
    assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
    on(&path, &["remove"]);
    assert_eq!(look(), before);
    assert_eq!(fs::read(&path).unwrap(), Tiny::default().build());
}

/// A directory gives new files an access control list; one that the old file does not have must
/// not appear.
#[test]
fn access_list_of_the_directory() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    if !set(
        world.path("").as_path(),
        "system.posix_acl_default",
        ACCESS_LIST,
    ) {
        return;
    }
    let mode = fs::metadata(&path).unwrap().mode();
    let before = xattrs(&File::open(&path).unwrap()).unwrap();
    good(&path, &["annotate"]);
    assert_eq!(xattrs(&File::open(&path).unwrap()).unwrap(), before);
    assert_eq!(fs::metadata(&path).unwrap().mode(), mode);
}

#[test]
fn read_only_program_with_attributes() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    set(&path, "user.note", b"kept");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o555)).unwrap();
    let before = xattrs(&File::open(&path).unwrap()).unwrap();
    good(&path, &["annotate"]);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o555);
    assert_eq!(xattrs(&File::open(&path).unwrap()).unwrap(), before);
}

#[test]
fn setuid_is_kept_with_a_warning() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).unwrap();
    let ran = on(&path, &["annotate"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.stderr.contains("warning: setuid"), "{}", ran.stderr);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o6755);
}

/// Runs `annotate`, which must refuse with `reason` and leave everything as it is.
#[track_caller]
fn refused(world: &World, path: &Path, reason: &str) {
    let (before, names) = (state(path), world.names());
    let ran = on(path, &["annotate"]);
    assert_eq!(ran.code, Some(1), "{reason}");
    assert!(ran.stderr.contains(reason), "{reason}: {}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert_eq!(state(path), before, "{reason}");
    assert_eq!(world.names(), names, "{reason}");
}

#[test]
fn refused_with_a_reason() {
    let world = World::new();
    let tiny = Tiny::default().build();
    let with = |at: usize, bytes: &[u8]| {
        let mut file = tiny.clone();
        file[at..][..bytes.len()].copy_from_slice(bytes);
        world.add("program", &file)
    };
    refused(&world, &world.add("program", b""), "not an ELF file");
    refused(
        &world,
        &world.add("program", b"#!/bin/sh\n"),
        "not an ELF file",
    );
    refused(&world, &with(4, &[1]), "a 32-bit ELF file");
    refused(&world, &with(5, &[2]), "a big-endian ELF file");
    refused(&world, &with(16, &[1]), "an object file");
    refused(&world, &with(16, &[4]), "a core file");
    refused(&world, &with(0x38, &[0xff, 0xff]), "extended numbering");
    refused(&world, &with(0x3c, &[0, 0]), "extended numbering");
    refused(
        &world,
        &with(0x20, &[8]),
        "the program headers overlap the ELF header",
    );
    refused(
        &world,
        &with(0x28, &[0x48, 0]),
        "the section headers overlap the program headers",
    );
    refused(
        &world,
        &world.add("program", &tiny[..40]),
        "the file is truncated",
    );
    refused(
        &world,
        &world.add("program", &tiny[..200]),
        "the file is truncated",
    );
    refused(
        &world,
        &world.add("program", &tiny[..tiny.len() - 1]),
        "the file is truncated",
    );

    let mut module = Tiny::default();
    module.header.e_type = 1;
    module.sections[0].0 = ".gnu.linkonce.this_module";
    refused(
        &world,
        &world.add("program", &module.build()),
        "a kernel module",
    );
    let mut no_stack = Tiny::default();
    no_stack.segments.pop();
    refused(
        &world,
        &world.add("program", &no_stack.build()),
        "there is no PT_GNU_STACK",
    );
    let mut debug = Tiny::default();
    for segment in &mut debug.segments {
        if segment.p_type == PT_LOAD {
            segment.p_filesz = 0;
        }
    }
    refused(
        &world,
        &world.add("program", &debug.build()),
        "only holds debugging information",
    );

    let object = world.compile("object.o", &["-c"]);
    refused(&world, &object, "an object file");
}

#[test]
fn not_a_regular_file() {
    let world = World::new();
    let fifo = world.path("fifo");
    must(Command::new("mkfifo").arg(&fifo));
    for (path, reason) in [
        (world.path(""), "a directory"),
        (fifo, "a FIFO"),
        ("/dev/null".into(), "a device"),
    ] {
        let ran = on(&path, &["annotate"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
}

/// Programs that look for something at the end of themselves, or from there.
#[test]
fn appended_data() {
    let world = World::new();
    let tiny = Tiny::default().build();
    let path = world.add("program", &[&*tiny, b"PK\x03\x04 and so on"].concat());
    refused(
        &world,
        &path,
        "carries 14 bytes of data after the ELF image",
    );
    good(&path, &["annotate", "--allow-appended"]);
    good(&path, &["remove"]);
    assert!(fs::read(&path).unwrap().ends_with(b"and so on"));

    // Padding is none of that.
    let path = world.add("program", &[&*tiny, &[0; 100]].concat());
    good(&path, &["annotate"]);
}

#[test]
fn libraries() {
    let world = World::new();
    let named = world.compile("named.so", &["-shared", "-fPIC", "-Wl,-soname,named.so"]);
    let plugin = world.compile("plugin.so", &["-shared", "-fPIC"]);
    for path in [named, plugin] {
        refused(&world, &path, "a shared library");
        let original = fs::read(&path).unwrap();
        good(&path, &["annotate", "--allow-library"]);
        good(&path, &["check"]);
        good(&path, &["remove"]);
        assert!(fs::read(&path).unwrap() == original);
    }
    // Can be started, and yet is a library; the dynamic loader as well.
    let program = world.compile("program", &[]);
    let listed = must(Command::new("ldd").arg(&program));
    let libraries: Vec<_> = listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .collect();
    assert!(libraries.len() >= 2, "{listed}");
    for library in libraries {
        let path = world.copy(Path::new(library), "copy.so");
        refused(&world, &path, "a shared library or the dynamic loader");
    }
}

#[test]
fn immutable_or_append_only() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let file = OwnedFd::from(File::open(&path).unwrap());
    for (flag, reason) in [
        (IFlags::IMMUTABLE, "immutable: `chattr -i`"),
        (IFlags::APPEND, "append-only: `chattr -a`"),
    ] {
        let Ok(flags) = rustix::fs::ioctl_getflags(&file) else {
            eprintln!("skipped: this filesystem has no such flags");
            return;
        };
        if let Err(error) = rustix::fs::ioctl_setflags(&file, flags | flag) {
            eprintln!("skipped: cannot set such flags here: {error}");
            return;
        }
        let (before, ran) = (state(&path), on(&path, &["annotate"]));
        let after = state(&path);
        rustix::fs::ioctl_setflags(&file, flags).unwrap();
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
        assert_eq!(after, before);
    }
    good(&path, &["annotate"]);
}

/// What needs a filesystem or a kernel that is not there in every test.
#[test]
fn protected_files() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let facts = Target::open(&path).unwrap().facts().unwrap();
    assert_eq!(facts.check(false), Ok(()));

    let mut verity = facts.clone();
    verity.attributes |= StatxAttributes::VERITY;
    assert_eq!(verity.check(true), Err(Refused::Verity));
    for name in ["security.ima", "security.evm"] {
        let mut signed = facts.clone();
        signed.xattrs.push((CString::new(name).unwrap(), vec![3]));
        assert_eq!(signed.check(true), Err(Refused::Signed(name)));
    }
    let mut capable = facts;
    assert_eq!(capable.never_updated(), None);
    capable
        .xattrs
        .push((c"security.capability".to_owned(), CAPABILITY.to_vec()));
    assert_eq!(capable.never_updated(), Some("a file with capabilities"));
}

/// A copy that leaves out blocks of zeroes: the kernel does not write into holes.
#[test]
fn holes_are_filled() {
    let world = World::new();
    let path = world.add(
        "program",
        &crate::support::annotate(&Tiny::default().build()),
    );
    let sparse = world.path("sparse");
    must(
        Command::new("cp")
            .arg("--sparse=always")
            .arg(&path)
            .arg(&sparse),
    );
    let shown = good(&sparse, &["check"]);
    if !shown.contains("note: the bitmap has holes") {
        eprintln!("skipped: this filesystem makes no holes");
        return;
    }
    let printed = good(&sparse, &["annotate"]);
    assert!(printed.contains("armed again"), "{printed}");
    assert!(!good(&sparse, &["check"]).contains("holes"));
    assert!(fs::read(&sparse).unwrap() == fs::read(&path).unwrap());
}

#[test]
fn other_architectures_use_larger_pages() {
    let world = World::new();
    let original = Tiny::for_machine(183).build();
    let path = world.add("program", &original);
    let printed = good(&path, &["annotate"]);
    assert!(printed.contains("two slots of 65536 bytes"), "{printed}");
    let shown = good(&path, &["show", "--json"]);
    assert!(shown.contains(r#""offset": 65536"#), "{shown}");
    good(&path, &["remove"]);
    assert!(fs::read(&path).unwrap() == original);
}

/// A file that changes between being read and being replaced: somebody else's change is kept.
#[test]
fn changed_meanwhile() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    let target = Target::open(&path).unwrap();
    let facts = target.facts().unwrap();
    let edit = Edit {
        keep: 100,
        writes: Vec::new(),
    };
    fs::write(&path, "changed").unwrap();
    let error = replace(&target, &facts, &edit).unwrap_err();
    assert!(
        format!("{error:#}").contains("cannot read the old file"),
        "{error:#}"
    );

    fs::write(&path, [7; 200]).unwrap();
    let error = replace(&target, &facts, &edit).unwrap_err();
    assert!(format!("{error:#}").contains("try again"), "{error:#}");
    assert_eq!(fs::read(&path).unwrap(), [7; 200]);
    assert_eq!(world.names(), ["program"]);
}

#[test]
fn nothing_is_left_behind() {
    let world = World::new();
    let path = world.add("program", &Tiny::default().build());
    good(&path, &["annotate"]);
    good(&path, &["remove"]);
    assert_eq!(world.names(), ["program"]);
}
