// SPDX-License-Identifier: GPL-2.0

use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use pbitmap_core::{
    format::{
        elf::SectionHeader,
        layout::PROFILE_BY_NAME,
        update::{Key, Run},
    },
    policy::merge::Merge,
};
use rustix::fs::Advice;
use serde_json::Value;

use crate::{
    support::{annotate, annotate_with, record, record_run, run, Tiny, SHT_PROGBITS},
    world::{good, must, on, tool, World},
};

/// A program with many pages, of which some were recorded.
fn recorded(world: &World, pages: u64, set: &[usize]) -> PathBuf {
    let mut tiny = Tiny::default();
    tiny.sections.push((
        ".rodata",
        SectionHeader {
            sh_type: SHT_PROGBITS,
            sh_offset: 0x1000,
            sh_size: (pages - 1) * 4096,
            ..SectionHeader::default()
        },
    ));
    let mut file = tiny.build();
    file.resize(pages as usize * 4096, 0x55);
    let mut annotated = annotate(&file);
    record(&mut annotated, &[0], 1_600_000_000);
    record(&mut annotated, set, 1_700_000_000);
    world.add("program", &annotated)
}

fn some_pages() -> Vec<usize> {
    (0..20)
        .chain([30, 31, 90])
        .chain((200..400).step_by(3))
        .chain(600..700)
        .collect()
}

/// The output with the name of the directory taken out.
fn shown(world: &World, arguments: &[&str]) -> String {
    let path = world.path("program");
    let ran = on(&path, arguments);
    assert_eq!(ran.stderr, "");
    ran.stdout
        .replace(world.path("").to_str().unwrap(), "/bin/")
}

#[test]
fn summary() {
    let world = World::new();
    recorded(&world, 1000, &some_pages());
    let arguments = ["show", "--gap", "4", "--width", "80"];
    insta::assert_snapshot!("summary", shown(&world, &arguments));
    insta::assert_snapshot!(
        "summary_ascii",
        shown(&world, &[&arguments[..], &["--ascii"]].concat())
    );
}

#[test]
fn summary_of_a_large_program() {
    let world = World::new();
    recorded(&world, 4000, &some_pages());
    let arguments = ["show", "--gap", "4", "--width", "60"];
    insta::assert_snapshot!("summary_large", shown(&world, &arguments));
}

#[test]
fn json() {
    let world = World::new();
    recorded(&world, 1000, &[0, 1, 2, 5, 998, 999]);
    insta::assert_snapshot!("json", shown(&world, &["show", "--json", "--gap", "4"]));
}

#[test]
fn page_runs() {
    let world = World::new();
    recorded(&world, 1000, &[0, 1, 2, 5, 998, 999]);
    assert_eq!(shown(&world, &["show", "--pages"]), "0 3\n5 1\n998 2\n");
}

/// A program that was used in two ways, with libraries, and recorded several times.
fn modes(world: &World) -> PathBuf {
    let path = recorded(world, 40, &[]);
    let mut file = crate::support::remove(&fs::read(path).unwrap());
    file = annotate_with(&file, 16384);
    let mut record = |name: &str, now: u64, wanted: u32, hits: u32, files: &[(&str, &[usize])]| {
        let key = Key {
            kind: PROFILE_BY_NAME,
            bytes: name.as_bytes(),
        };
        let run = Run {
            wanted,
            hits,
            ..run(key, Merge::Age, now)
        };
        record_run(&mut file, &run, files);
    };
    let (libc, libz) = ("/lib/libc.so.6", "/lib/libz.so.1");
    // Pages 0 to 3 in every run, the others in one run each.
    let common = [0, 1, 2, 3];
    let once = |page: usize| [&common[..], &[page, page + 1]].concat();
    record("upload", 100, 0, 0, &[("", &[2, 3, 9]), (libc, &[0, 7])]);
    record("git", 1000, 0, 0, &[("", &once(10)), (libc, &common)]);
    record("git", 2000, 12, 8, &[("", &once(20)), (libc, &common)]);
    record(
        "git",
        3000,
        12,
        9,
        &[("", &once(30)), (libc, &common), (libz, &[5])],
    );
    world.add("program", &file)
}

#[test]
fn profiles_and_files() {
    let world = World::new();
    let path = modes(&world);
    let arguments = ["show", "--gap", "4", "--width", "60"];
    insta::assert_snapshot!("modes", shown(&world, &arguments));
    // With three recordings, a page must be in two of them.
    assert_eq!(good(&path, &["show", "--pages"]), "0 4\n");

    let pages = |arguments: &[&str]| good(&path, &[&["show", "--pages"], arguments].concat());
    assert_eq!(pages(&["--profile", "git"]), "0 4\n");
    assert_eq!(pages(&["--profile", "upload"]), "2 2\n9 1\n");
    assert_eq!(pages(&["--file", "/lib/libc.so.6"]), "0 4\n");
    assert_eq!(pages(&["--file", "/lib/libz.so.1"]), "");
    let upload = ["--profile", "upload", "--file", "/lib/libc.so.6"];
    assert_eq!(pages(&upload), "0 1\n7 1\n");

    let shown = good(
        &path,
        &[&["show", "--ascii", "--width=60"], &upload[..]].concat(),
    );
    for words in [
        "profile    upload\n",
        "recorded   once",
        "file       /lib/libc.so.6\n",
        "#......#",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
}

/// What a start of a kind that was not recorded yet would get.
#[test]
fn unknown_mode() {
    let world = World::new();
    let path = modes(&world);
    for key in ["fetch", "default"] {
        assert_eq!(good(&path, &["show", "--pages", "--profile", key]), "2 2\n");
        let shown = good(&path, &["show", "--profile", key]);
        let words = "none like that: the pages that git and upload both want";
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn file_that_is_not_there() {
    let world = World::new();
    let path = modes(&world);
    let ran = on(&path, &["show", "--file", "/lib/libm.so.6"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("no file /lib/libm.so.6 in profile git"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        on(&path, &["show", "--json", "--profile=git"]).code,
        Some(2)
    );
}

#[test]
fn json_of_modes() {
    let world = World::new();
    let path = modes(&world);
    let report: Value = serde_json::from_str(&good(&path, &["show", "--json"])).unwrap();
    assert_eq!(
        (&report["runs"], &report["pages_set"]),
        (&3.into(), &4.into())
    );
    assert_eq!(report["profile_by"], "name");
    let git = &report["profiles"][0];
    assert_eq!((&git["kind"], &git["key"]), (&"name".into(), &"git".into()));
    assert_eq!((&git["wanted"], &git["hits"]), (&12.into(), &9.into()));
    assert_eq!(
        (&git["precision"], &git["pages"]),
        (&75.0.into(), &8.into())
    );
    let libz = &git["files"][2];
    assert_eq!(libz["path"], "/lib/libz.so.1");
    assert_eq!(libz["pages_total"], 1000);
}

/// What somebody has put into a bitmap must not get at the terminal.
#[test]
fn control_characters() {
    let world = World::new();
    let mut file = annotate(&Tiny::default().build());
    let key = Key {
        kind: PROFILE_BY_NAME,
        bytes: b"\x1b[2Jkey",
    };
    let files: [(&str, &[usize]); 2] = [("", &[0]), ("/lib/\x1b[31mlib\nstate valid", &[0])];
    for now in [1, 2] {
        record_run(&mut file, &run(key, Merge::Age, now), &files);
    }
    let other = Key {
        bytes: b"other",
        ..key
    };
    record_run(&mut file, &run(other, Merge::Age, 1), &files);
    let path = world.add("program", &file);
    for arguments in [
        &["show"][..],
        &["show", "--profile", "fetch"],
        &["show", "--json"],
    ] {
        let shown = good(&path, arguments);
        assert!(shown.contains("[2Jkey"), "{shown:?}");
        assert!(!shown.contains('\x1b'), "{shown:?}");
        assert!(!shown.contains("\nstate"), "{shown:?}");
    }
}

/// Without recordings, bitmaps or sense.
#[test]
fn nothing_to_show() {
    let world = World::new();
    let original = Tiny::default().build();
    let fresh = world.add("program", &annotate(&original));
    insta::assert_snapshot!("fresh", shown(&world, &["show", "--gap", "4"]));
    assert_eq!(good(&fresh, &["show", "--pages"]), "");

    let plain = world.add("plain", &original);
    let ran = on(&plain, &["show"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stdout.contains("not annotated"), "{}", ran.stdout);

    let mut empty = annotate(&original);
    empty[4096..3 * 4096].fill(0);
    assert_eq!(on(&world.add("empty", &empty), &["show"]).code, Some(6));

    let ran = on(&world.add("script", b"#!/bin/sh\n"), &["show"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("script: not an ELF file"),
        "{}",
        ran.stderr
    );
}

/// A bitmap that is not used is shown all the same.
#[test]
fn stale() {
    let world = World::new();
    let path = recorded(&world, 10, &[1, 2, 3]);
    let mut file = fs::read(path).unwrap();
    file[0x18] += 2;
    let path = world.add("program", &file);
    let shown = good(&path, &["show"]);
    assert!(shown.contains("stale: "), "{shown}");
    assert!(shown.contains("3 of 10 (30 %"), "{shown}");
    assert_eq!(good(&path, &["show", "--pages"]), "1 3\n");
}

#[test]
fn locale_without_utf8() {
    let world = World::new();
    let path = recorded(&world, 10, &[1, 2, 3]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbitmap-tool"));
    let shown = must(command.arg("show").arg(path).env("LC_ALL", "C"));
    assert!(shown.is_ascii(), "{shown}");
    assert!(shown.contains(".###......"), "{shown}");
}

/// Looking at a program does not bring it into memory: what is cold stays cold.
#[test]
fn leaves_the_page_cache_alone() {
    let world = World::new();
    let path = recorded(&world, 2000, &some_pages());
    // What the shell and those it waited for have read from the disk. The first time, the tool
    // itself may be cold.
    let script = r#"
        "$0" show "$1" >/dev/null
        while read -r name value; do
            if [ "$name" = read_bytes: ]; then echo "$value"; fi
        done </proc/$$/io"#;
    let read_bytes = || -> u64 {
        let file = File::open(&path).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        let mut command = Command::new("bash");
        command.args(["-c", script, env!("CARGO_BIN_EXE_pbitmap-tool")]);
        must(command.arg(&path)).trim().parse().unwrap()
    };
    read_bytes();
    let read = read_bytes();
    if read == 0 {
        eprintln!("skipped: this filesystem cannot drop a file from memory");
    }
    assert!(read <= 5 * 4096, "{read} bytes");
}

/// As with `show | head -1`.
#[test]
fn reader_that_has_had_enough() {
    let world = World::new();
    let path = recorded(&world, 1000, &some_pages());
    let mut show = Command::new(env!("CARGO_BIN_EXE_pbitmap-tool"))
        .args(["show", "--pages"])
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(show.stdout.take());
    assert!(show.wait().unwrap().success());
    let mut errors = String::new();
    show.stderr.unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(errors, "");
}

#[test]
fn version_and_help() {
    let version = tool(["--version"]);
    assert_eq!(version.code, Some(0));
    assert_eq!(
        version.stdout,
        concat!("pbitmap-tool ", env!("CARGO_PKG_VERSION"), "\n")
    );
    for command in [
        "annotate", "show", "check", "remove", "status", "train", "export", "import",
    ] {
        let help = tool([command, "--help"]);
        assert_eq!(help.code, Some(0), "{command}");
        assert!(help.stdout.contains("Exit codes:\n  0  "), "{command}");
        assert!(help.stdout.contains("Example"), "{command}");
    }
    assert_eq!(tool(["frobnicate"]).code, Some(2));
    assert_eq!(tool(["annotate"]).code, Some(2));
}
