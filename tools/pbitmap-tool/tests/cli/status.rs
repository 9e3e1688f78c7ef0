// SPDX-License-Identifier: GPL-2.0

use std::{fs, path::Path};

use pbitmap_tool::{
    programs::{Program, Programs},
    table,
};
use serde_json::Value;

use crate::{
    kernel::Kernel,
    support::Tiny,
    world::{must, World},
};

#[test]
fn without_the_module() {
    let world = World::new();
    let kernel = Kernel::without_module(&world);
    let ran = kernel.tool(&["status"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(3), ""));
    assert_eq!(
        ran.stdout,
        "module    not loaded: `modprobe pbitmap` loads it\n"
    );
    let ran = kernel.tool(&["status", "--json"]);
    assert_eq!(ran.code, Some(3));
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(status["module"], "missing");
}

#[test]
fn switched_off() {
    let world = World::new();
    let kernel = Kernel::new(&world);
    kernel.set("proc/sys/vm/pbitmap_enabled", "0\n");
    let ran = kernel.tool(&["status"]);
    assert_eq!(ran.code, Some(4));
    assert!(ran.stdout.contains("switched off"), "{}", ran.stdout);
}

#[test]
fn nothing_started_yet() {
    let world = World::new();
    let kernel = Kernel::new(&world);
    let ran = kernel.tool(&["status"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
    insta::assert_snapshot!("idle", ran.stdout);
}

/// With all that can be said of a program.
fn busy(world: &World) -> Kernel {
    let kernel = Kernel::new(world);
    kernel.stats(&[("used", 1234), ("pages_read", 98_765), ("writes", 4)]);
    kernel.programs(&[
        (
            "24 3 1200 800 400 1000 200 2 0 1700000000 -",
            Path::new("/opt/git/bin/git"),
        ),
        (
            "1 0 0 0 0 0 0 0 0 0 rate_limited",
            Path::new("/opt/with\\011tab\\033[2J"),
        ),
        (
            "7 7 70000 0 70000 7 69993 0 15 0 not_writable",
            Path::new("/opt/a program"),
        ),
    ]);
    kernel
}

#[test]
fn table_of_programs() {
    let world = World::new();
    let ran = busy(&world).tool(&["status"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
    insta::assert_snapshot!("busy", ran.stdout);
}

#[test]
fn json_has_the_sums() {
    let world = World::new();
    let ran = busy(&world).tool(&["status", "--json"]);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
    insta::assert_snapshot!("json", ran.stdout);
}

#[test]
fn named_programs() {
    let world = World::new();
    let kernel = Kernel::new(&world);
    let started = world.add("started", &Tiny::default().build());
    let other = world.add("other", &Tiny::default().build());
    let row = "3 3 1200 800 400 1000 200 2 0 0 -";
    kernel.programs(&[(row, Path::new("/opt/git/bin/git")), (row, &started)]);
    let status = |path: &Path| kernel.tool(&["status", path.to_str().unwrap()]);

    let ran = status(&started);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""));
    assert!(ran.stdout.contains("/started"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("git"), "{}", ran.stdout);

    let ran = status(&other);
    assert_eq!(ran.code, Some(5));
    assert!(
        ran.stdout.contains("/other: not started since"),
        "{}",
        ran.stdout
    );

    // A filesystem that shows other numbers than the kernel has.
    let list = "sys/kernel/debug/pbitmap/programs";
    let text = fs::read_to_string(kernel.path(list)).unwrap();
    let (header, _) = text.split_once('\n').unwrap();
    let row = row.replace(' ', "\t");
    let path = started.display();
    kernel.set(list, &format!("{header}\n0:99\t7\t{row}\t{path}\n"));
    assert_eq!(status(&started).code, Some(0));

    let ran = status(&world.path("missing"));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("missing"), "{}", ran.stderr);
}

#[test]
fn settings_that_are_left_over() {
    let world = World::new();
    let kernel = Kernel::new(&world);
    assert!(!kernel.tool(&["status"]).stdout.contains("note"));
    kernel.set("sys/kernel/debug/fault_around_bytes", "4096\n");
    kernel.set("proc/sys/vm/pbitmap_window_ms", "0\n");
    let ran = kernel.tool(&["status"]);
    assert_eq!(ran.code, Some(0));
    for (name, command) in [
        ("fault_around_bytes is 4096", "fault_around_bytes`"),
        (
            "vm.pbitmap_window_ms is 0",
            "`sysctl vm.pbitmap_window_ms=1`",
        ),
    ] {
        assert!(ran.stdout.contains(name), "{}", ran.stdout);
        assert!(ran.stdout.contains(command), "{}", ran.stdout);
    }
    // The command that is named does it.
    let commands = ran.stdout.lines().filter_map(|line| line.split('`').nth(1));
    let echo = commands.filter(|command| command.starts_with("echo"));
    for command in echo {
        must(std::process::Command::new("sh").args(["-c", command]));
    }
    let value = fs::read_to_string(kernel.path("sys/kernel/debug/fault_around_bytes")).unwrap();
    assert_eq!(value, "65536\n");
}

/// What can be said without debugfs is said.
#[test]
fn debugfs_cannot_be_read() {
    let world = World::new();
    let kernel = Kernel::new(&world);
    fs::remove_dir_all(kernel.path("sys/kernel/debug/pbitmap")).unwrap();
    let ran = kernel.tool(&["status"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains("loaded and on"), "{}", ran.stdout);
    assert!(ran.stderr.contains("is debugfs mounted?"), "{}", ran.stderr);
}

const HEADER: &str =
    "dev\tino\truns\trecorded\twanted\tcached\tread\thits\twaste\twritten\tbackoff\t\
    last_write\treason\tpath";

fn parse(line: &str) -> anyhow::Result<Program> {
    let programs = Programs::parse(&format!("{HEADER}\n{line}\n"))?;
    Ok(programs.0.into_iter().next().unwrap_or_default())
}

#[test]
fn columns() {
    let program = parse("8:1\t2\t9\t3\t4\t5\t6\t7\t8\t9\t10\t11\tunchanged\t/bin/a b").unwrap();
    assert_eq!((&*program.dev, program.ino), ("8:1", 2));
    assert_eq!(
        (program.runs, program.recorded, program.last_write),
        (9, 3, 11)
    );
    assert_eq!(program.reason.as_deref(), Some("unchanged"));
    assert_eq!(program.path, Path::new("/bin/a b"));
    assert_eq!(program.precision(), Some(46.7));
}

#[test]
fn escaped_path() {
    let program =
        parse("8:1\t2\t3\t3\t4\t5\t6\t0\t0\t9\t10\t0\t-\t/a\\011b\\012c\\134d\\9").unwrap();
    assert_eq!(program.path, Path::new("/a\tb\nc\\d\\9"));
    assert_eq!(
        (program.reason.as_deref(), program.precision()),
        (None, None)
    );
}

#[test]
fn unknown_columns_and_bad_lines() {
    let header = HEADER.replace("reason\t", "reason\tnew\t");
    let line = "8:1\t2\t3\t3\t4\t5\t6\t7\t8\t9\t10\t11\t-\t77\t/bin/a";
    let programs = Programs::parse(&format!("{header}\n{line}\n")).unwrap();
    assert_eq!(programs.0[0].path, Path::new("/bin/a"));
    assert!(parse("8:1\t2").is_err());
    assert_eq!(Programs::parse("").unwrap(), Programs::default());
}

#[test]
fn thousands() {
    let numbers = [0, 999, 1000, 1_234_567];
    assert_eq!(
        numbers.map(table::grouped),
        ["0", "999", "1,000", "1,234,567"]
    );
}
