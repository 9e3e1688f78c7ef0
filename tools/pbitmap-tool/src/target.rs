// SPDX-License-Identifier: GPL-2.0

//! A file that was named on the command line: opened for reading, with all that has to be kept
//! when it is replaced and all that forbids replacing it.

use std::{
    ffi::{CString, OsString},
    fs::File,
    io,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{bail, Context as _, Result};
use object::ReadCache;
use rustix::{
    fs::{
        AtFlags, FileType, IFlags, Mode, OFlags, SeekFrom, Stat, StatxAttributes, StatxFlags,
        Timespec, Timestamps,
    },
    io::Errno,
};
use thiserror::Error;

/// An attribute of a file: name and value.
pub type Xattr = (CString, Vec<u8>);

/// A regular file, opened for reading.
#[derive(Debug)]
pub struct Target {
    /// Where it is, symbolic links resolved.
    pub path: PathBuf,
    /// The open file.
    pub file: File,
    /// What it was when it was opened.
    pub stat: Stat,
}

/// Why a file is not replaced, whatever is in it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum Refused {
    #[error("immutable: `chattr -i` allows changes")]
    Immutable,
    #[error("append-only: `chattr -a` allows changes")]
    AppendOnly,
    #[error("protected by fs-verity: its contents are final, annotate it before that is enabled")]
    Verity,
    #[error("signed for IMA or EVM (`{0}`): a change would make the signature wrong; take it off with `setfattr -x {0}`, and sign the file again afterwards")]
    Signed(&'static str),
    #[error("has {0} hard links, and replacing it would leave the other names with the old file; `--break-hard-links` does that")]
    HardLinks(u64),
}

/// What there is to know of a file beside its contents.
#[derive(Clone, Debug)]
pub struct Facts {
    /// How many names it has.
    pub links: u64,
    /// Type and permissions.
    pub mode: u32,
    /// fs-verity, immutable, append-only.
    pub attributes: StatxAttributes,
    /// Flags of `chattr`, if the filesystem has them.
    pub flags: Option<IFlags>,
    /// Extended attributes, access control lists and capabilities included.
    pub xattrs: Vec<Xattr>,
}

impl Target {
    /// Opens the file that `path` leads to.
    pub fn open(path: &Path) -> Result<Self> {
        let resolved = path.canonicalize()?;
        // Opening a device may do things and opening a FIFO may wait, so look first.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        check_regular(&rustix::fs::lstat(&resolved)?)?;
        let file = File::from(rustix::fs::open(&resolved, flags, Mode::empty())?);
        let stat = rustix::fs::fstat(&file)?;
        check_regular(&stat)?;
        Ok(Self {
            path: resolved,
            file,
            stat,
        })
    }

    /// The contents, of which only what is asked for is read.
    pub fn contents(&self) -> io::Result<ReadCache<File>> {
        // Without this the kernel reads ahead, and a look at the bitmap would fill the page cache
        // with parts of the program.
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::Random);
        Ok(ReadCache::new(self.file.try_clone()?))
    }

    /// Whether some of `len` bytes from `offset` on were never allocated on the disk. The kernel
    /// writes over blocks that exist and never has new ones made.
    pub fn has_hole(&self, offset: u64, len: u64) -> bool {
        match rustix::fs::seek(&self.file, SeekFrom::Hole(offset)) {
            Ok(hole) => hole < offset.saturating_add(len),
            // The filesystem does not tell.
            Err(_) => false,
        }
    }

    /// When the file was last read and written.
    pub fn times(&self) -> Timestamps {
        Timestamps {
            last_access: Timespec {
                tv_sec: self.stat.st_atime as _,
                tv_nsec: self.stat.st_atime_nsec as _,
            },
            last_modification: Timespec {
                tv_sec: self.stat.st_mtime as _,
                tv_nsec: self.stat.st_mtime_nsec as _,
            },
        }
    }

    /// Collects what there is to know of the file.
    pub fn facts(&self) -> Result<Facts> {
        let attributes = rustix::fs::statx(&self.file, c"", AtFlags::EMPTY_PATH, StatxFlags::TYPE)
            .map_or(StatxAttributes::empty(), |statx| statx.stx_attributes);
        Ok(Facts {
            links: self.file.metadata()?.nlink(),
            mode: self.stat.st_mode,
            attributes,
            flags: rustix::fs::ioctl_getflags(&self.file).ok(),
            xattrs: xattrs(&self.file).context("cannot read its extended attributes")?,
        })
    }
}

impl Facts {
    /// Whether the attributes of the file may be changed.
    pub fn check_attributes(&self) -> Result<(), Refused> {
        let has = |attribute, flag| {
            self.attributes.contains(attribute)
                || self.flags.is_some_and(|flags| flags.contains(flag))
        };
        if has(StatxAttributes::IMMUTABLE, IFlags::IMMUTABLE) {
            return Err(Refused::Immutable);
        }
        if has(StatxAttributes::APPEND, IFlags::APPEND) {
            return Err(Refused::AppendOnly);
        }
        Ok(())
    }

    /// Whether the file may be replaced by an edited copy.
    pub fn check(&self, break_hard_links: bool) -> Result<(), Refused> {
        self.check_attributes()?;
        if self.attributes.contains(StatxAttributes::VERITY) {
            return Err(Refused::Verity);
        }
        for name in ["security.ima", "security.evm"] {
            if self.has_xattr(name) {
                return Err(Refused::Signed(name));
            }
        }
        if self.links > 1 && !break_hard_links {
            return Err(Refused::HardLinks(self.links));
        }
        Ok(())
    }

    /// What keeps the kernel from ever storing a recording in the file.
    pub fn never_updated(&self) -> Option<&'static str> {
        let mode = Mode::from_raw_mode(self.mode);
        if mode.intersects(Mode::SUID | Mode::SGID) {
            Some("setuid or setgid")
        } else if self.has_xattr("security.capability") {
            Some("a file with capabilities")
        } else {
            None
        }
    }

    fn has_xattr(&self, wanted: &str) -> bool {
        self.xattrs
            .iter()
            .any(|(name, _)| name.as_bytes() == wanted.as_bytes())
    }
}

fn check_regular(stat: &Stat) -> Result<()> {
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "not a regular file",
    };
    bail!("{what}: only programs can have a bitmap");
}

/// All extended attributes of an open file; none where the filesystem has none.
pub fn xattrs(file: &File) -> io::Result<Vec<Xattr>> {
    let names = match grow(|buffer| rustix::fs::flistxattr(file, buffer)) {
        Ok(names) => names,
        Err(Errno::NOTSUP | Errno::NOSYS) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut xattrs = Vec::new();
    for name in names
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = CString::new(name).map_err(io::Error::other)?;
        match grow(|buffer| rustix::fs::fgetxattr(file, &name, buffer)) {
            Ok(value) => xattrs.push((name, value)),
            // It went away since it was listed, or is not for us to see.
            Err(Errno::NODATA) => (),
            Err(error) => {
                let name = OsString::from_vec(name.into_bytes());
                let text = format!("{}: {error}", name.to_string_lossy());
                return Err(io::Error::new(io::Error::from(error).kind(), text));
            }
        }
    }
    Ok(xattrs)
}

/// Calls `read` with more and more room until what it reads fits.
fn grow(read: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; 1024];
    loop {
        match read(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if buffer.len() < 1 << 24 => buffer.resize(buffer.len() * 4, 0),
            Err(error) => return Err(error),
        }
    }
}
