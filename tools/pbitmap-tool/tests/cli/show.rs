// SPDX-License-Identifier: GPL-2.0

use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use pbitmap_core::format::elf::SectionHeader;
use rustix::fs::Advice;

use crate::{
    support::{annotate, record, Tiny, SHT_PROGBITS},
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
    recorded(&world, 1000, &some_pages());
    insta::assert_snapshot!("json", shown(&world, &["show", "--json", "--gap", "4"]));
}

#[test]
fn page_runs() {
    let world = World::new();
    recorded(&world, 1000, &[0, 1, 2, 5, 998, 999]);
    assert_eq!(shown(&world, &["show", "--pages"]), "0 3\n5 1\n998 2\n");
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
    for command in ["annotate", "show", "check", "remove", "status", "train"] {
        let help = tool([command, "--help"]);
        assert_eq!(help.code, Some(0));
        assert!(help.stdout.contains("Exit codes:\n  0  "), "{command}");
        assert!(help.stdout.contains("Example"), "{command}");
    }
    assert_eq!(tool(["frobnicate"]).code, Some(2));
    assert_eq!(tool(["annotate"]).code, Some(2));
}
