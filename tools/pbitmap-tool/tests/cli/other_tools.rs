// SPDX-License-Identifier: GPL-2.0

//! What strip, objcopy and patchelf make of an annotated program: it runs, it has a valid bitmap or
//! none that is used, `check` says which, and `annotate` puts it right.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    support::record,
    world::{complaints, good, on, run, World},
};

const OPERATIONS: [&[&str]; 17] = [
    &["strip"],
    &["strip", "--strip-debug"],
    &["strip", "--keep-section=.pbitmap"],
    &["objcopy"],
    &["objcopy", "--strip-unneeded"],
    &["objcopy", "--compress-debug-sections"],
    &["objcopy", "--add-section=.extra=/etc/passwd"],
    &["objcopy", "--remove-section=.comment"],
    &["objcopy", "--remove-section=.pbitmap"],
    &["patchelf", "--set-rpath", "/lib"],
    &["patchelf", "--set-rpath", LONG_PATH],
    &["patchelf", "--remove-rpath"],
    &["patchelf", "--add-needed", "libm.so.6"],
    &["patchelf", "--set-interpreter", INTERPRETER],
    &["patchelf", "--set-interpreter", LONGER_INTERPRETER],
    &["patchelf", "--set-soname", "name.so"],
    &["patchelf", "--clear-symbol-version", "puts"],
];

const LONG_PATH: &str = "/usr/lib:/usr/local/lib:/a/path/that/needs/more/room/than/there/is";
const INTERPRETER: &str = "/lib64/ld-linux-x86-64.so.2";
const LONGER_INTERPRETER: &str = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";

const KINDS: [(&str, &[&str]); 4] = [
    ("pie", &["-pie", "-fPIE", "-g"]),
    ("fixed", &["-no-pie"]),
    ("static", &["-static"]),
    ("static_pie", &["-static-pie", "-fPIE"]),
];

/// Whether to leave these tests out, for lack of the tools.
fn left_out() -> bool {
    let out = env::var_os("PBITMAP_TEST_NO_BINUTILS").is_some_and(|value| value == "1");
    if out {
        eprintln!("skipped: PBITMAP_TEST_NO_BINUTILS=1");
    }
    out
}

/// Runs `operation` on a file; false if it failed.
fn apply(operation: &[&str], path: &Path) -> bool {
    let (program, arguments) = operation.split_first().unwrap();
    Command::new(program)
        .args(arguments)
        .arg(path)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap_or_else(|error| {
            panic!("{program}: {error}; install it, or set PBITMAP_TEST_NO_BINUTILS=1")
        })
        .success()
}

/// A program of one of the kinds, annotated and with a recording in it.
fn recorded(world: &World, plain: &Path) -> Vec<u8> {
    let path = world.copy(plain, "annotated");
    good(&path, &["annotate"]);
    let mut file = fs::read(&path).unwrap();
    record(&mut file, &[0, 2, 3], 1_700_000_000);
    file
}

#[test]
fn every_operation_on_every_kind() {
    if left_out() {
        return;
    }
    let world = World::new();
    let mut codes = [0; 7];
    for (kind, how) in KINDS {
        let plain = world.compile(kind, how);
        let annotated = recorded(&world, &plain);
        for operation in OPERATIONS {
            let what = format!("{kind}: {operation:?}");
            // Some operations break some kinds of programs, without a bitmap too.
            let control = world.copy(&plain, "control");
            if !apply(operation, &control) || run(&control, &[]).code != Some(7) {
                continue;
            }
            let path = world.add("program", &annotated);
            assert!(apply(operation, &path), "{what}");
            assert_eq!(run(&path, &[]).code, Some(7), "{what}");
            assert_eq!(complaints(&path), complaints(&control), "{what}");

            let checked = on(&path, &["check"]);
            let code = checked.code.unwrap();
            assert!(matches!(code, 0 | 3..=5), "{what}: {}", checked.stdout);
            if matches!(operation, ["strip" | "objcopy"]) {
                // As Documentation/admin-guide/pbitmap.rst says of Debian's.
                assert_eq!(code, 0, "{what}: {}", checked.stdout);
            }
            codes[code as usize] += 1;
            if matches!(code, 0 | 4) {
                assert_eq!(good(&path, &["show", "--pages"]), "0 1\n2 2\n", "{what}");
            }

            let annotated = on(&path, &["annotate"]);
            match code {
                5 => {
                    assert!(annotated.stderr.contains("--force"), "{what}");
                    good(&path, &["annotate", "--force"]);
                }
                _ => assert_eq!(annotated.code, Some(0), "{what}: {}", annotated.stderr),
            }
            let checked = good(&path, &["check"]);
            assert!(!checked.contains("note:"), "{what}: {checked}");
            assert_eq!(run(&path, &[]).code, Some(7), "{what}");
            assert_eq!(complaints(&path), complaints(&control), "{what}");
        }
    }
    let [valid, _, _, none, disarmed, stale, _] = codes;
    eprintln!("{valid} valid, {none} without, {disarmed} disarmed, {stale} stale");
    assert!(valid + disarmed >= 20, "{codes:?}");
    assert!(none >= 4, "{codes:?}");
    assert!(stale >= 4, "{codes:?}");
}

/// What was annotated after it was stripped can be given back like anything else.
#[test]
fn stripped_first() {
    if left_out() {
        return;
    }
    let world = World::new();
    for (kind, how) in KINDS {
        let path = world.compile(kind, how);
        assert!(apply(&["strip"], &path));
        let original = fs::read(&path).unwrap();
        good(&path, &["annotate"]);
        good(&path, &["remove"]);
        assert!(fs::read(&path).unwrap() == original, "{kind}");
    }
}

/// A bitmap that can no longer be taken out byte for byte says how it can.
#[test]
fn stripped_then_removed() {
    if left_out() {
        return;
    }
    let world = World::new();
    let path = world.compile("program", &[]);
    good(&path, &["annotate"]);
    assert!(apply(&["strip"], &path));
    let ran = on(&path, &["remove"]);
    assert_eq!(ran.code, Some(1));
    let advice = "objcopy --remove-section=.pbitmap";
    assert!(ran.stderr.contains(advice), "{}", ran.stderr);
    assert!(apply(&["objcopy", "--remove-section=.pbitmap"], &path));
    good(&path, &["remove"]);
    let ran = on(&path, &["check"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stdout.ends_with(": not annotated\n"), "{}", ran.stdout);
    assert_eq!(run(&path, &[]).code, Some(7));
}
