// SPDX-License-Identifier: GPL-2.0

//! The libraries that a program is started with, as the dynamic loader of this system, or of one
//! below another root, would find them. Only their sizes matter, so a library that is not found is
//! no failure.

use std::{
    collections::{HashSet, VecDeque},
    ffi::OsStr,
    fs::File,
    io::{self, Read as _},
    os::fd::OwnedFd,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use object::{
    elf::{FileHeader64, DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB},
    read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _},
    LittleEndian, ReadCache, ReadRef,
};
use pbitmap_core::format::{elf::EM_X86_64, MAX_FILES};
use rustix::fs::{Dir, Mode, OFlags, ResolveFlags};

use crate::{
    inspect::pages_of,
    ld_cache::{self, LdCache},
};

/// Most bytes of the loader's cache that are read.
const LONGEST_CACHE: u64 = 64 << 20;

/// More shared objects than a program brings along are those of the system.
const MOST_BESIDE: usize = 256;

/// Directories that the loader searches last, the first two on Debian and its kin.
const DIRECTORIES: [&str; 4] = ["/lib", "/usr/lib", "/lib64", "/usr/lib64"];

/// A file that a program maps at its start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Library {
    /// Where it is, seen from the root.
    pub path: PathBuf,
    /// Its pages.
    pub pages: u64,
}

/// The libraries of a program.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Libraries {
    /// Those that were found, in the order in which the loader maps them.
    pub found: Vec<Library>,
    /// The names of those that were not.
    pub missing: Vec<String>,
    /// Shared objects in the folder of the program that it does not name. A program that has its own
    /// lying beside it, as browsers and office suites do, loads them later.
    pub beside: Vec<Library>,
}

impl Libraries {
    /// Finds the libraries that the program `data` needs, and those that these need. `program` is
    /// where it is, seen from `root`.
    pub fn of<'d, R: ReadRef<'d>>(data: R, program: &Path, root: &Root) -> Self {
        let mut libraries = Self::default();
        let Some(needs) = Needs::parse(data, program) else {
            return libraries;
        };
        if needs.is_static() {
            return libraries;
        }
        let loader = Loader {
            root,
            cache: root.ld_cache(),
            machine: needs.machine,
            inherited: needs.inherited.clone(),
        };
        let mut names = HashSet::new();
        let mut files = HashSet::new();
        let mut queue = VecDeque::from([needs]);
        while let Some(needs) = queue.pop_front() {
            for name in needs.names() {
                if libraries.found.len() >= MAX_FILES || !names.insert(name.clone()) {
                    continue;
                }
                let Some(found) = loader.find(&name, &needs) else {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    libraries.missing.push(name);
                    continue;
                };
                if files.insert(found.id) {
                    libraries.found.push(found.library);
                    queue.push_back(found.needs);
                }
            }
        }
        let beside = program.parent().map(|folder| root.shared_objects(folder));
        let beside = beside.unwrap_or_default().into_iter();
        libraries.beside = beside
            .filter_map(|(id, library)| files.insert(id).then_some(library))
            .collect();
        libraries
    }

    /// Whether the program needs none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.missing.is_empty()
    }

    /// The pages of all of them.
    pub fn pages(&self) -> u64 {
        self.found
            .iter()
            .fold(0, |sum: u64, library| sum.saturating_add(library.pages))
    }
}

/// The directory below which the system is that a program will run on.
#[derive(Debug)]
pub struct Root {
    path: PathBuf,
    /// Open if it is not this system's own root.
    directory: Option<File>,
}

impl Root {
    /// The root at `path`; this system's own for [`None`].
    pub fn new(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self {
                path: "/".into(),
                directory: None,
            });
        };
        let path = path.canonicalize()?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Self {
            path,
            directory: Some(directory.into()),
        })
    }

    /// `path`, which lies on this system, as it is called below the root.
    pub fn inside(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.path) {
            Ok(path) => Path::new("/").join(path),
            Err(_) => path.to_owned(),
        }
    }

    /// Opens a regular file below the root. Symbolic links, absolute ones too, do not lead out.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = File::from(self.open_with(path, flags)?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Opens whatever is there below the root.
    fn open_with(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        match &self.directory {
            None => rustix::fs::open(path, flags, Mode::empty()),
            Some(directory) => {
                let inside = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
                rustix::fs::openat2(directory, path, flags, Mode::empty(), inside)
            }
        }
    }

    /// The shared objects in a folder; none if there are more than [`MOST_BESIDE`].
    fn shared_objects(&self, folder: &Path) -> Vec<((u64, u64), Library)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(entries) = self.open_with(folder, flags).and_then(Dir::new) else {
            return Vec::new();
        };
        let names = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name().to_bytes().to_owned();
            let is_object = name.ends_with(b".so") || name.windows(4).any(|part| part == b".so.");
            is_object.then_some(name)
        });
        let names: Vec<_> = names.take(MOST_BESIDE + 1).collect();
        if names.len() > MOST_BESIDE {
            return Vec::new();
        }
        let library = |name: Vec<u8>| {
            let path = folder.join(OsStr::from_bytes(&name));
            let metadata = self.open(&path).ok()?.metadata().ok()?;
            let pages = pages_of(metadata.len());
            Some(((metadata.dev(), metadata.ino()), Library { path, pages }))
        };
        names.into_iter().filter_map(library).collect()
    }

    fn ld_cache(&self) -> LdCache {
        let mut bytes = Vec::new();
        let read = self
            .open(Path::new(ld_cache::PATH))
            .and_then(|file| file.take(LONGEST_CACHE).read_to_end(&mut bytes));
        match read {
            Ok(_) => LdCache::parse(&bytes),
            Err(_) => LdCache::default(),
        }
    }
}

/// What an ELF file says about the files that it needs.
#[derive(Clone, Debug)]
struct Needs {
    machine: u16,
    interpreter: Option<Vec<u8>>,
    needed: Vec<Vec<u8>>,
    /// Directories to search for them: `DT_RUNPATH`, or else `DT_RPATH`.
    directories: Vec<PathBuf>,
    /// Directories to search for what those need, too: `DT_RPATH` without a `DT_RUNPATH`.
    inherited: Vec<PathBuf>,
}

impl Needs {
    fn parse<'d, R: ReadRef<'d>>(data: R, path: &Path) -> Option<Self> {
        let elf = FileHeader64::<LittleEndian>::parse(data).ok()?;
        let segments = elf.program_headers(LittleEndian, data).ok()?;
        let mut needs = Self {
            machine: elf.e_machine.get(LittleEndian).0,
            interpreter: segments
                .iter()
                .find_map(|segment| segment.interpreter(LittleEndian, data).ok().flatten())
                .map(<[u8]>::to_vec),
            needed: Vec::new(),
            directories: Vec::new(),
            inherited: Vec::new(),
        };
        let dynamic = segments
            .iter()
            .find_map(|segment| segment.dynamic(LittleEndian, data).ok().flatten())
            .unwrap_or_default();
        let value = |tag| {
            let entry = dynamic.iter().find(|entry| entry.tag(LittleEndian) == tag);
            entry.map(|entry| entry.val(LittleEndian))
        };
        let strings = value(DT_STRTAB)
            .zip(value(DT_STRSZ))
            .and_then(|(address, size)| {
                let range = |segment: &<FileHeader64<LittleEndian> as object::read::elf::FileHeader>::ProgramHeader| {
                    segment
                        .data_range(LittleEndian, data, address, size)
                        .ok()
                        .flatten()
                };
                segments.iter().find_map(range)
            })
            .unwrap_or_default();
        let (mut rpath, mut runpath) = (None, None);
        for entry in dynamic {
            let text = || string(strings, entry.val(LittleEndian));
            match entry.tag(LittleEndian) {
                DT_NEEDED => needs.needed.extend(text().map(<[u8]>::to_vec)),
                DT_RPATH => rpath = text(),
                DT_RUNPATH => runpath = text(),
                _ => (),
            }
        }
        let origin = path.parent().unwrap_or(Path::new("/"));
        let split = |list: &[u8]| -> Vec<PathBuf> {
            list.split(|byte| *byte == b':')
                .filter(|directory| !directory.is_empty())
                .map(|directory| expand(directory, origin))
                .collect()
        };
        match (runpath, rpath) {
            (Some(runpath), _) => needs.directories = split(runpath),
            (None, Some(rpath)) => {
                needs.directories = split(rpath);
                needs.inherited.clone_from(&needs.directories);
            }
            (None, None) => (),
        }
        Some(needs)
    }

    fn is_static(&self) -> bool {
        self.interpreter.is_none() && self.needed.is_empty()
    }

    /// The names of what it needs; the loader, which the kernel maps, is first.
    fn names(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        self.interpreter.iter().chain(&self.needed).cloned()
    }
}

/// A library that was found.
struct Found {
    library: Library,
    needs: Needs,
    /// Device and inode: a library can have several names.
    id: (u64, u64),
}

/// Looks for libraries by the rules of the dynamic loader.
struct Loader<'r> {
    root: &'r Root,
    cache: LdCache,
    machine: u16,
    inherited: Vec<PathBuf>,
}

impl Loader<'_> {
    fn find(&self, name: &[u8], needs: &Needs) -> Option<Found> {
        let file = Path::new(OsStr::from_bytes(name));
        if name.contains(&b'/') {
            return self.open(file);
        }
        let in_directories = |directories: &[PathBuf]| {
            directories
                .iter()
                .find_map(|directory| self.open(&directory.join(file)))
        };
        in_directories(&needs.directories)
            .or_else(|| in_directories(&self.inherited))
            .or_else(|| {
                let paths = self.cache.find(name);
                paths.iter().find_map(|path| self.open(path))
            })
            .or_else(|| in_directories(&self.default_directories()))
    }

    fn default_directories(&self) -> Vec<PathBuf> {
        const EM_AARCH64: u16 = 183;
        let triplet = match self.machine {
            EM_X86_64 => "x86_64-linux-gnu",
            EM_AARCH64 => "aarch64-linux-gnu",
            _ => "",
        };
        let own = DIRECTORIES
            .iter()
            .take(2)
            .map(|directory| Path::new(directory).join(triplet));
        own.filter(|_| !triplet.is_empty())
            .chain(DIRECTORIES.iter().map(PathBuf::from))
            .collect()
    }

    /// Opens a library, if it is one for this machine.
    fn open(&self, path: &Path) -> Option<Found> {
        let file = self.root.open(path).ok()?;
        let metadata = file.metadata().ok()?;
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Random);
        let contents = ReadCache::new(file);
        let needs = Needs::parse(&contents, path)?;
        (needs.machine == self.machine).then(|| Found {
            library: Library {
                path: path.to_owned(),
                pages: pages_of(metadata.len()),
            },
            needs,
            id: (metadata.dev(), metadata.ino()),
        })
    }
}

/// A directory of a search path, with `$ORIGIN` as the directory of the file that names it.
fn expand(directory: &[u8], origin: &Path) -> PathBuf {
    for variable in [&b"$ORIGIN"[..], b"${ORIGIN}"] {
        if let Some(rest) = directory.strip_prefix(variable) {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            return origin.join(OsStr::from_bytes(rest));
        }
    }
    PathBuf::from(OsStr::from_bytes(directory))
}

/// The text at `at` of a table of strings.
fn string(strings: &[u8], at: u64) -> Option<&[u8]> {
    let text = strings.get(usize::try_from(at).ok()?..)?;
    let end = text.iter().position(|byte| *byte == 0)?;
    text.get(..end)
}
