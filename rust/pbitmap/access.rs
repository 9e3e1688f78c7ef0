// SPDX-License-Identifier: GPL-2.0

//! Which files may be updated, and on whose behalf.
//!
//! Anybody who may execute a file has its bitmap used. It is updated only for a user who could
//! write the file anyway, who so gains nothing; and only where writing a file that is being
//! executed is known to do no harm.

use super::{
    stats::Reason,
    sys::{
        cred,
        file::{
            self,
            Inode,
            Path, //
        },
    },
};
use kernel::{
    fs::File,
    prelude::*, //
};

/// Filesystems on which writing in place was tested: allocated blocks of a file that runs.
const FILESYSTEMS: [&CStr; 3] = [c"ext4", c"xfs", c"btrfs"];

/// Whether `file` may be updated on behalf of current. Asked at exec, where current is still the
/// user who runs the program, and again as that user when the recording is written.
pub(crate) fn may_update(file: &File, inode: &Inode) -> Result<(), Reason> {
    let filesystem = file::filesystem(file);
    if !FILESYSTEMS
        .iter()
        .any(|name| name.to_bytes() == filesystem.to_bytes())
    {
        return Err(Reason::Filesystem);
    }
    let refused = [
        (inode.is_setid(), Reason::Setid),
        (
            inode.is_immutable() || inode.is_append_only(),
            Reason::Immutable,
        ),
        (inode.is_verity(), Reason::Verity),
        (inode.is_swapfile(), Reason::Swapfile),
        (inode.is_measured(), Reason::Measured),
        (inode.is_dax(), Reason::Dax),
        (inode.is_encrypted(), Reason::Encrypted),
    ];
    for (found, reason) in refused {
        if found {
            return Err(reason);
        }
    }
    match file::may_write(file) {
        // Landlock and seccomp judge open(), which is not asked here: what a process that they
        // confine may not write cannot be told. So that holds for all with their mark.
        Ok(()) if cred::gave_up_privileges() => Err(Reason::Sandboxed),
        Ok(()) => Ok(()),
        Err(error) if error == EROFS => Err(Reason::ReadOnly),
        Err(_) => Err(Reason::NotWritable),
    }
}

/// What is checked only when there is something to write, because it costs more.
pub(crate) fn may_write_now(path: &Path) -> Result<(), Reason> {
    if path.has_capabilities() {
        return Err(Reason::Capabilities);
    }
    // Also where no policy has it looked at yet.
    if path.has_ima_hash() {
        return Err(Reason::Measured);
    }
    Ok(())
}
