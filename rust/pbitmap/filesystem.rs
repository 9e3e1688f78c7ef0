// SPDX-License-Identifier: GPL-2.0

//! What is done on which filesystems.

use super::sys::file::Path;
use kernel::prelude::*;

/// Filesystems whose files are read, and whose folders are gone through: local ones, which answer.
const LOCAL: [&CStr; 10] = [
    c"ext4",
    c"xfs",
    c"btrfs",
    c"f2fs",
    c"ext2",
    c"ext3",
    c"squashfs",
    c"erofs",
    c"vfat",
    c"exfat",
];

/// Those on which writing in place was tested: allocated blocks of a file that runs.
const WRITTEN_IN_PLACE: [&CStr; 3] = [c"ext4", c"xfs", c"btrfs"];

/// Of these there are folders only: the files are in memory already.
const IN_MEMORY: [&CStr; 3] = [c"tmpfs", c"ramfs", c"rootfs"];

/// Of this too: the files are on other filesystems.
const OVERLAY: &CStr = c"overlay";

/// Whether files of the filesystem with this name are recorded and read.
pub(crate) fn is_local(filesystem: &CStr) -> bool {
    is_one_of(&LOCAL, filesystem)
}

/// Whether sections are written on the filesystem with this name.
pub(crate) fn is_written_in_place(filesystem: &CStr) -> bool {
    is_one_of(&WRITTEN_IN_PLACE, filesystem)
}

/// Whether looking for something at `path` ends soon: on a local filesystem, or layers of such that
/// no user put together.
pub(crate) fn answers(path: &Path) -> bool {
    let filesystem = path.filesystem();
    is_local(filesystem)
        || is_one_of(&IN_MEMORY, filesystem)
        || is_one_of(&[OVERLAY], filesystem) && !path.is_mounted_by_user()
}

fn is_one_of(names: &[&CStr], filesystem: &CStr) -> bool {
    names
        .iter()
        .any(|name| name.to_bytes() == filesystem.to_bytes())
}
