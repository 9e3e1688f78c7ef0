// SPDX-License-Identifier: GPL-2.0

//! Files that look like those of a kernel with the module, so that what changes settings can be
//! tested without either.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::world::{tool, Ran, World};

/// The columns of the list of programs.
const COLUMNS: &str =
    "dev\tino\truns\trecorded\twanted\tcached\tread\thits\twaste\twritten\tbackoff\t\
    last_write\treason\tpath\n";

/// The settings, and what they are if nobody changes them.
const SETTINGS: [(&str, &str); 11] = [
    ("proc/sys/vm/pbitmap_enabled", "1\n"),
    ("proc/sys/vm/pbitmap_early_fault", "1\n"),
    ("proc/sys/vm/pbitmap_update_interval", "0\n"),
    ("proc/sys/vm/pbitmap_gap_pages", "4\n"),
    ("proc/sys/vm/pbitmap_max_pages", "65536\n"),
    ("proc/sys/vm/pbitmap_window_ms", "1\n"),
    ("proc/sys/vm/pbitmap_merge", "2\n"),
    ("proc/sys/vm/pbitmap_background", "1\n"),
    ("proc/sys/vm/pbitmap_backoff", "1\n"),
    ("proc/sys/vm/drop_caches", "0\n"),
    ("sys/kernel/debug/fault_around_bytes", "65536\n"),
];

pub(crate) struct Kernel {
    root: PathBuf,
}

impl Kernel {
    /// A kernel whose module is loaded and has done nothing yet.
    pub(crate) fn new(world: &World) -> Self {
        let kernel = Self::without_module(world);
        fs::create_dir_all(kernel.path("sys/kernel/debug/pbitmap")).unwrap();
        for (name, value) in SETTINGS {
            kernel.set(name, value);
        }
        kernel.stats(&[("used", 0), ("pages_read", 0), ("writes", 0)]);
        kernel.programs(&[]);
        kernel
    }

    pub(crate) fn without_module(world: &World) -> Self {
        let root = world.path("kernel");
        fs::create_dir_all(root.join("proc/sys/vm")).unwrap();
        Self { root }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn set(&self, name: &str, value: &str) {
        fs::write(self.path(name), value).unwrap();
    }

    pub(crate) fn stats(&self, counters: &[(&str, u64)]) {
        let gauges = [("recorders_live", 0), ("work_pending", 0)];
        let lines: Vec<String> = counters
            .iter()
            .chain(&gauges)
            .map(|(name, value)| format!("{name} {value}\n"))
            .collect();
        self.set("sys/kernel/debug/pbitmap/stats", &lines.concat());
    }

    /// Lists programs; of each, the columns from `runs` to `reason`, and the path.
    pub(crate) fn programs(&self, rows: &[(&str, &Path)]) {
        let rows: String = rows.iter().map(|(row, path)| line(row, path)).collect();
        let text = format!("{COLUMNS}{rows}");
        self.set("sys/kernel/debug/pbitmap/programs", &text);
    }

    /// All settings.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        SETTINGS
            .iter()
            .filter_map(|(name, _)| {
                let value = fs::read_to_string(self.path(name)).ok()?;
                Some(((*name).to_owned(), value))
            })
            .collect()
    }

    /// The tool, under this kernel.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pbitmap-tool"));
        command
            .arg("--system-root")
            .arg(&self.root)
            .args(arguments)
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs the tool under this kernel.
    pub(crate) fn tool(&self, arguments: &[&str]) -> Ran {
        let root = self.root.to_str().unwrap();
        tool(["--system-root", root].iter().chain(arguments))
    }
}

/// A line of the list of programs.
pub(crate) fn line(row: &str, path: &Path) -> String {
    let (dev, ino) = match fs::metadata(path) {
        Ok(metadata) => (metadata.dev(), metadata.ino()),
        Err(_) => (0, 1),
    };
    let (major, minor) = (rustix::fs::major(dev), rustix::fs::minor(dev));
    let columns: Vec<&str> = row.split(' ').collect();
    let columns = columns.join("\t");
    format!("{major}:{minor}\t{ino}\t{columns}\t{}\n", path.display())
}
