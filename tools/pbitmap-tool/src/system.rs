// SPDX-License-Identifier: GPL-2.0

//! Where the kernel shows its settings and counters.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

/// What is assumed where the kernel does not say which holes it reads.
const DEFAULT_GAP_PAGES: u32 = 0;

/// What the names of the module's own settings start with.
const PREFIX: &str = "pbitmap_";

/// Bytes that a page fault maps around the page it is for, unless somebody changes that.
pub const DEFAULT_FAULT_AROUND: u64 = 65536;

/// A kernel, by the directories in which it shows itself.
#[derive(Clone, Debug)]
pub struct System {
    root: PathBuf,
}

/// Whether the module is there and works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Module {
    /// It is not loaded.
    Missing,
    /// It is loaded and does nothing: `vm.pbitmap_enabled` is 0.
    Off,
    /// It is loaded and works.
    On,
}

/// A number that can be read and changed in a file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Setting {
    /// What people call it.
    pub name: String,
    path: PathBuf,
}

impl Setting {
    /// What it is.
    pub fn read(&self) -> Result<u64> {
        read_number(&self.path).with_context(|| format!("cannot read {}", self.path.display()))
    }

    /// What it is; [`None`] if there is no such setting.
    pub fn read_if_there(&self) -> Result<Option<u64>> {
        match self.path.try_exists() {
            Ok(false) => Ok(None),
            _ => self.read().map(Some),
        }
    }

    /// Makes it `value`.
    pub fn write(&self, value: u64) -> Result<()> {
        fs::write(&self.path, format!("{value}\n"))
            .with_context(|| format!("cannot set {} to {value}", self.name))
    }

    /// The command that makes it `value`.
    pub fn command(&self, value: u64) -> String {
        match self.name.strip_prefix("vm.") {
            Some(_) => format!("sysctl {}={value}", self.name),
            None => format!("echo {value} >{}", self.path.display()),
        }
    }
}

impl System {
    /// The kernel whose files are below `root`; the one that runs for [`None`].
    pub fn new(root: Option<&Path>) -> Self {
        Self {
            root: root.unwrap_or(Path::new("/")).to_owned(),
        }
    }

    /// Whether it is not the kernel that runs, but files that look like one.
    pub fn is_fake(&self) -> bool {
        self.root != Path::new("/")
    }

    fn debugfs(&self) -> PathBuf {
        self.root.join("sys/kernel/debug")
    }

    fn sysctls(&self) -> PathBuf {
        self.root.join("proc/sys/vm")
    }

    /// The setting `vm.pbitmap_` and `name`.
    pub fn sysctl(&self, name: &str) -> Setting {
        Setting {
            name: format!("vm.{PREFIX}{name}"),
            path: self.sysctls().join(format!("{PREFIX}{name}")),
        }
    }

    /// How many bytes a page fault maps around the page it is for.
    pub fn fault_around(&self) -> Setting {
        Setting {
            name: "fault_around_bytes".to_owned(),
            path: self.debugfs().join("fault_around_bytes"),
        }
    }

    /// All settings of the module, without what their names start with.
    pub fn sysctl_values(&self) -> BTreeMap<String, u64> {
        let Ok(directory) = fs::read_dir(self.sysctls()) else {
            return BTreeMap::new();
        };
        directory
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let name = name.strip_prefix(PREFIX)?.to_owned();
                Some((name, read_number(&entry.path()).ok()?))
            })
            .collect()
    }

    /// Whether the module is there and works.
    pub fn module(&self) -> Result<Module> {
        Ok(match self.sysctl("enabled").read_if_there()? {
            None => Module::Missing,
            Some(0) => Module::Off,
            Some(_) => Module::On,
        })
    }

    /// How large a hole the kernel reads, as far as it says.
    pub fn gap_pages(&self) -> u32 {
        let gap = self.sysctl("gap_pages").read();
        gap.ok()
            .and_then(|gap| u32::try_from(gap).ok())
            .unwrap_or(DEFAULT_GAP_PAGES)
    }

    /// The directory in which the kernel keeps bitmaps of programs that it cannot write to, if
    /// there is one.
    pub fn directory(&self) -> Option<PathBuf> {
        let setting = fs::read(self.sysctls().join(format!("{PREFIX}dir"))).ok()?;
        let path = setting.strip_suffix(b"\n").unwrap_or(&setting);
        let path = Path::new(OsStr::from_bytes(path));
        let inside = path.strip_prefix("/").ok()?;
        Some(self.root.join(inside))
    }

    /// The file `name` of the module in debugfs.
    pub fn debugfs_file(&self, name: &str) -> PathBuf {
        self.debugfs().join("pbitmap").join(name)
    }

    /// The text of a file of the module in debugfs.
    pub fn read_debugfs(&self, name: &str) -> Result<String> {
        let path = self.debugfs_file(name);
        let text = fs::read(&path);
        let hint = match &text {
            Ok(_) => "",
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => ": only root may",
            Err(_) => ": is debugfs mounted?",
        };
        let text = text.with_context(|| format!("cannot read {}{hint}", path.display()))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The counters of the module.
    pub fn stats(&self) -> Result<BTreeMap<String, u64>> {
        let text = self.read_debugfs("stats")?;
        Ok(text
            .lines()
            .filter_map(|line| {
                let (name, value) = line.split_once(' ')?;
                Some((name.to_owned(), value.trim().parse().ok()?))
            })
            .collect())
    }

    /// Has the kernel forget all files that it keeps in memory and can read again.
    pub fn drop_caches(&self) -> Result<()> {
        if !self.is_fake() {
            // What is not on the disk yet cannot be dropped.
            rustix::fs::sync();
        }
        let path = self.root.join("proc/sys/vm/drop_caches");
        fs::write(&path, "3\n").with_context(|| format!("cannot write {}", path.display()))
    }
}

fn read_number(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    let number = text.trim().parse();
    number.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a number"))
}
