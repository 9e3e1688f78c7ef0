// SPDX-License-Identifier: GPL-2.0

//! How much room a program's bitmap needs: for itself, for the libraries that it is linked with,
//! and for some that it loads as it runs.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use object::{
    elf,
    read::elf::{Dyn as _, FileHeader as _},
    Endianness, ReadCache,
};
use pbitmap_core::format::{
    layout::{
        FileRecord, ProfileRecord, SlotHeader, PROFILE_BY_ARGUMENT, PROFILE_BY_NAME,
        PROFILE_BY_SCRIPT, PROFILE_DEFAULT,
    },
    MAX_SLOT,
};

use crate::inspect::pages_of;

/// Files that a dynamic program maps beside the libraries that it is linked with: locales, plugins,
/// caches. Room is left for so many.
const MORE_FILES: u64 = 32;

/// Pages of those that are recorded, on average.
const MORE_PAGES: u64 = 256;

/// Bytes of a path, on average, and of a key.
const PATH: u64 = 64;

/// Directories that the dynamic loader looks in, after those of `/etc/ld.so.conf`.
const DIRECTORIES: [&str; 4] = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"];

/// Libraries that are looked at; more are no ordinary program.
const MAX_LIBRARIES: usize = 512;

/// What tells the modes of a program apart.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum ProfileBy {
    /// Nothing: one profile for all
    None,
    /// The name that it is started under, as busybox's
    #[default]
    Name,
    /// The script that it runs, for interpreters
    Script,
    /// Its first argument that is no option, as git's subcommands
    Arg1,
}

impl ProfileBy {
    /// As it is stored.
    pub fn kind(self) -> u16 {
        match self {
            Self::None => PROFILE_DEFAULT,
            Self::Name => PROFILE_BY_NAME,
            Self::Script => PROFILE_BY_SCRIPT,
            Self::Arg1 => PROFILE_BY_ARGUMENT,
        }
    }

    /// How many profiles are kept if nobody says.
    pub fn profiles(self) -> u16 {
        match self {
            Self::None => 1,
            Self::Name => 4,
            Self::Script | Self::Arg1 => 8,
        }
    }

    /// Profiles for which there is room: few programs are started under more than two names, and
    /// those are small.
    fn room(self, profiles: u16) -> u64 {
        match self {
            Self::Name => u64::from(profiles.min(2)),
            _ => u64::from(profiles),
        }
    }
}

/// Pages of the libraries that a program needs, and how many they are; [`None`] for a static one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Libraries {
    /// How many.
    pub count: u64,
    /// Their pages.
    pub pages: u64,
}

impl Libraries {
    /// Those of the program at `path`, as far as they are found where the loader would look.
    pub fn of(path: &Path) -> Option<Self> {
        let needs = Needs::of(path)?;
        let mut found = BTreeSet::new();
        let mut waiting = vec![(path.to_owned(), needs)];
        let directories = directories();
        let mut libraries = Self { count: 0, pages: 0 };
        while let Some((of, needs)) = waiting.pop() {
            for name in &needs.names {
                let Some(file) = needs.find(&of, name, &directories) else {
                    continue;
                };
                if found.len() >= MAX_LIBRARIES || !found.insert(file.clone()) {
                    continue;
                }
                libraries.count += 1;
                libraries.pages += fs::metadata(&file).map_or(0, |file| pages_of(file.len()));
                if let Some(needs) = Needs::of(&file) {
                    waiting.push((file, needs));
                }
            }
        }
        Some(libraries)
    }
}

/// Bytes for a slot of a program of so many pages with these libraries.
pub fn slot_bytes(
    pages: u64,
    libraries: Option<Libraries>,
    profile_by: ProfileBy,
    profiles: u16,
    planes: u16,
) -> u64 {
    let plane = |pages: u64| pages.div_ceil(64) * 8 * u64::from(planes);
    let record = FileRecord::SIZE as u64;
    let own = record + plane(pages);
    let files = match libraries {
        None => own,
        Some(libraries) => {
            let files = libraries.count + MORE_FILES;
            own + files * (record + PATH)
                + plane(libraries.pages)
                + libraries.count * 8
                + plane(MORE_FILES * MORE_PAGES)
        }
    };
    let profile = ProfileRecord::SIZE as u64 + PATH + files;
    let room = SlotHeader::SIZE as u64 + profile * profile_by.room(profiles);
    room.min(MAX_SLOT as u64)
}

/// What an ELF file says that it needs.
struct Needs {
    names: Vec<Vec<u8>>,
    run_path: Vec<u8>,
}

impl Needs {
    /// [`None`] if it is not dynamic.
    fn of(path: &Path) -> Option<Self> {
        let cache = ReadCache::new(File::open(path).ok()?);
        let header = elf::FileHeader64::<Endianness>::parse(&cache).ok()?;
        let endian = header.endian().ok()?;
        let sections = header.sections(endian, &cache).ok()?;
        let (entries, strings) = sections.dynamic(endian, &cache).ok()??;
        let strings = sections.strings(endian, &cache, strings).ok()?;
        let mut needs = Self {
            names: Vec::new(),
            run_path: Vec::new(),
        };
        for entry in entries {
            let Ok(text) = entry.string(endian, strings) else {
                continue;
            };
            match entry.tag(endian) {
                elf::DT_NEEDED => needs.names.push(text.to_owned()),
                elf::DT_RUNPATH | elf::DT_RPATH => needs.run_path = text.to_owned(),
                _ => {}
            }
        }
        Some(needs)
    }

    /// Where the library `name` of the file `of` is.
    fn find(&self, of: &Path, name: &[u8], directories: &[PathBuf]) -> Option<PathBuf> {
        let name = Path::new(OsStr::from_bytes(name));
        if name.is_absolute() {
            return name.canonicalize().ok();
        }
        let origin = of.canonicalize().ok()?;
        let origin = origin.parent()?;
        let run_path = self
            .run_path
            .split(|byte| *byte == b':')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let part = String::from_utf8_lossy(part).into_owned();
                let origin = origin.to_string_lossy();
                PathBuf::from(part.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))
            });
        run_path
            .chain(directories.iter().cloned())
            .find_map(|directory| directory.join(name).canonicalize().ok())
    }
}

/// The directories of `/etc/ld.so.conf`, and the usual ones.
fn directories() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/etc/ld.so.conf")];
    if let Ok(entries) = fs::read_dir("/etc/ld.so.conf.d") {
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort();
    let mut directories: Vec<PathBuf> = files
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|text| {
            text.lines()
                .map(|line| line.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|line| line.starts_with('/'))
        .map(PathBuf::from)
        .collect();
    directories.extend(DIRECTORIES.map(PathBuf::from));
    directories
}
