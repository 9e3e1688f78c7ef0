// SPDX-License-Identifier: GPL-2.0

//! Replaces a file by an edited copy of itself, so that at every moment its name leads to a whole
//! file, and with everything kept that is not its contents.
//!
//! A program that is running keeps the file that it was started from.

use std::{fs::File, io, os::unix::fs::FileExt as _, path::Path};

use anyhow::{ensure, Context as _, Result};
use rustix::{
    fs::{IFlags, Mode, RawMode, Stat, XattrFlags},
    io::Errno,
};

use crate::{
    elf_edit::Edit,
    target::{xattrs, Facts, Target, Xattr},
};

/// The flags of `chattr` that are worth keeping and can be set on any file.
const KEPT_FLAGS: IFlags = IFlags::NODUMP
    .union(IFlags::NOATIME)
    .union(IFlags::SYNC)
    .union(IFlags::COMPRESSED)
    .union(IFlags::NOCOW);

/// Replaces `target` by what `edit` makes of it.
pub fn replace(target: &Target, facts: &Facts, edit: &Edit) -> Result<()> {
    let directory = target.path.parent().context("it has no directory")?;
    let (file, temporary) = tempfile::Builder::new()
        .prefix(".pbitmap-")
        .tempfile_in(directory)
        .with_context(|| format!("cannot make a file in {}", directory.display()))?
        .into_parts();

    // Some flags can only be set while a file is empty; none is worth failing for.
    let flags = facts.flags.unwrap_or(IFlags::empty()) & KEPT_FLAGS;
    if !flags.is_empty() {
        if let Ok(own) = rustix::fs::ioctl_getflags(&file) {
            let _ = rustix::fs::ioctl_setflags(&file, own | flags);
        }
    }
    write(target, edit, &file).context("cannot write the new file")?;
    keep_metadata(target, facts, &file)?;
    file.sync_all().context("cannot write the new file")?;
    // What was just written is cached in large folios, of which one touch maps 2 MiB: the first
    // recording would take all of that for touched. Read in again, it is not. Only advice.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    // While it is open for writing, starting it would fail with ETXTBSY.
    drop(file);

    check_unchanged(target)?;
    temporary
        .persist(&target.path)
        .map_err(|error| error.error)
        .context("cannot put the new file in place of the old one")?;
    sync_directory(directory).context("the file was replaced, but its directory not yet written")
}

/// Writes the new file. The old one is read and written, not cloned where the filesystem could do
/// that: the blocks of a clone are scattered as soon as one of them is changed, which would make
/// the program slower to start, and the old file is going away anyhow.
fn write(target: &Target, edit: &Edit, file: &File) -> Result<()> {
    let mut buffer = vec![0; 1 << 20];
    let mut copied = 0;
    while copied < edit.keep {
        let len = buffer.len() as u64;
        let part = buffer.get_mut(..len.min(edit.keep - copied) as usize);
        let part = part.unwrap_or_default();
        target
            .file
            .read_exact_at(part, copied)
            .context("cannot read the old file")?;
        file.write_all_at(part, copied)?;
        copied += part.len() as u64;
    }
    for write in &edit.writes {
        file.write_all_at(&write.bytes, write.offset)?;
    }
    Ok(())
}

/// Gives `file` the owner, the mode, the attributes and the times of `target`. The order matters:
/// a change of the owner takes away capabilities and set-ID bits, a mode that forbids writing
/// forbids attributes of the user, and a change of the mode changes access control lists.
fn keep_metadata(target: &Target, facts: &Facts, file: &File) -> Result<()> {
    let (old, new) = (&target.stat, rustix::fs::fstat(file)?);
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) {
        let owner = rustix::fs::Uid::from_raw(old.st_uid);
        let group = rustix::fs::Gid::from_raw(old.st_gid);
        rustix::fs::fchown(file, Some(owner), Some(group))
            .context("cannot keep its owner and group")?;
    }
    drop_other_xattrs(&facts.xattrs, file).context("cannot drop its extended attributes")?;
    let (lists, others): (Vec<_>, Vec<_>) = facts.xattrs.iter().partition(is_access_list);
    keep_xattrs(&others, file).context("cannot keep its extended attributes")?;
    let mode = Mode::from_raw_mode(old.st_mode as RawMode);
    rustix::fs::fchmod(file, mode).context("cannot keep its mode")?;
    keep_xattrs(&lists, file).context("cannot keep its access control lists")?;
    rustix::fs::futimens(file, &target.times()).context("cannot keep its times")?;

    // Without the privilege for it, the group's set-ID bit is dropped silently.
    let new = rustix::fs::fstat(file)?;
    let same = (old.st_mode, old.st_uid, old.st_gid) == (new.st_mode, new.st_uid, new.st_gid);
    ensure!(same, "cannot keep its owner, group and mode");
    Ok(())
}

fn is_access_list(xattr: &&Xattr) -> bool {
    xattr.0.as_bytes().starts_with(b"system.")
}

fn keep_xattrs(wanted: &[&Xattr], file: &File) -> Result<()> {
    let present = xattrs(file)?;
    for xattr @ (name, value) in wanted {
        if !present.contains(*xattr) {
            rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
                .with_context(|| name.to_string_lossy().into_owned())?;
        }
    }
    Ok(())
}

/// Removes what the directory or the system gave the new file and the old one does not have.
fn drop_other_xattrs(wanted: &[Xattr], file: &File) -> Result<()> {
    for (name, _) in xattrs(file)? {
        if wanted.iter().any(|(wanted, _)| *wanted == name) {
            continue;
        }
        match rustix::fs::fremovexattr(file, &name) {
            // A label that the system's policy gives to every file.
            Err(Errno::PERM | Errno::ACCESS) if name.as_bytes().starts_with(b"security.") => (),
            result => result.with_context(|| name.to_string_lossy().into_owned())?,
        }
    }
    Ok(())
}

/// Whether the file that was read is still the one that its name leads to.
fn check_unchanged(target: &Target) -> Result<()> {
    let same = |new: &Stat| {
        let key = |stat: &Stat| {
            (
                (stat.st_dev, stat.st_ino, stat.st_size),
                (stat.st_mtime, stat.st_mtime_nsec),
                (stat.st_ctime, stat.st_ctime_nsec),
            )
        };
        key(new) == key(&target.stat)
    };
    let new = rustix::fs::lstat(&target.path)?;
    ensure!(same(&new), "somebody changed the file meanwhile; try again");
    Ok(())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Not every filesystem can do that for directories.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
        result => result,
    }
}
