// SPDX-License-Identifier: GPL-2.0

//! Which bitmaps may be updated, where, and on whose behalf.
//!
//! Anybody who may execute a file has its bitmap used. It is updated for a user who could write the
//! file anyway, who so gains nothing; for others only as `vm.pbitmap_update_policy` says. And a file
//! is written only where that is known to do no harm.

use super::{
    filesystem,
    stats::Reason,
    store::{
        folder::Folder,
        Place, //
    },
    sys::{
        cred,
        file::{
            Inode,
            Path, //
        },
    },
    sysctl,
};
use kernel::prelude::*;

/// Seconds between two updates of a bitmap on behalf of users who may not write the file.
const OTHERS_INTERVAL: u32 = 60;

/// `vm.pbitmap_update_policy`: members of the group `vm.pbitmap_update_gid`.
const MEMBERS: u32 = 1;

/// `vm.pbitmap_update_policy`: whoever may execute the file.
const ANYBODY: u32 = 2;

/// On whose account a bitmap is updated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Account {
    /// The user's, who could write the file.
    User,
    /// The kernel's, on behalf of a user who could not.
    Kernel,
}

/// How a bitmap may be updated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Permit {
    /// Where it is written.
    pub(crate) place: Place,
    /// By whom.
    pub(crate) account: Account,
}

impl Permit {
    /// Seconds from one update to the next.
    pub(crate) fn interval(&self) -> u64 {
        let interval = sysctl::update_interval();
        match self.account {
            Account::User => interval,
            Account::Kernel => interval.max(OTHERS_INTERVAL),
        }
        .into()
    }
}

/// Whether, how and where the bitmap of the file at `path` may be updated on behalf of current. It
/// travels with the file in the place `travels`; to the folder it can go only if it `has_build_id`.
///
/// Asked at exec, where current is still the user who runs the program, and again as that user when
/// the recording is written.
pub(crate) fn may_update(
    path: &Path,
    inode: &Inode,
    travels: Place,
    has_build_id: bool,
) -> Result<Permit, Reason> {
    let never = [
        (inode.is_setid(), Reason::Setid),
        (inode.is_swapfile(), Reason::Swapfile),
        (inode.is_dax(), Reason::Dax),
        (inode.is_encrypted(), Reason::Encrypted),
    ];
    if let Some((_, reason)) = never.into_iter().find(|(found, _)| *found) {
        return Err(reason);
    }
    let (place, is_own) = match may_be_written(path, inode, travels) {
        Ok(is_own) => (travels, is_own),
        Err(reason) if Folder::configured().is_none() => return Err(reason),
        // The writer would ask for attributes, and all other recordings wait for it.
        Err(reason) if !filesystem::answers(path) => return Err(reason),
        Err(_) if !has_build_id => return Err(Reason::NoBuildId),
        // Nobody can write it as it is; its owner could if it were elsewhere.
        Err(_) => (Place::Folder, path.is_owner()),
    };
    let account = if is_own {
        Account::User
    } else {
        if !is_entitled() {
            return Err(Reason::NotWritable);
        }
        Account::Kernel
    };
    Ok(Permit { place, account })
}

/// Whether current may have bitmaps updated that it could not write.
fn is_entitled() -> bool {
    match sysctl::update_policy() {
        MEMBERS => cred::is_member(sysctl::update_gid()),
        ANYBODY => true,
        _ => false,
    }
}

/// Whether current, who starts the program, may do what its user is permitted.
///
/// Landlock and seccomp judge `open()`, and nothing is opened for writing here: what a process that
/// they confine may not write cannot be told. So that holds for all with their mark.
pub(crate) fn outside_a_sandbox(permit: Permit) -> Result<Permit, Reason> {
    if permit.account == Account::User && cred::gave_up_privileges() && !is_entitled() {
        return Err(Reason::Sandboxed);
    }
    Ok(permit)
}

/// Whether current may write the bitmap to where it travels, if anybody may.
fn may_be_written(path: &Path, inode: &Inode, travels: Place) -> Result<bool, Reason> {
    let name = path.filesystem();
    let known = match travels {
        // The filesystem replaces an attribute by itself. One that is stacked would copy the file.
        Place::Attribute => filesystem::is_local(name),
        Place::Section | Place::Folder => filesystem::is_written_in_place(name),
    };
    if !known {
        return Err(Reason::Filesystem);
    }
    if inode.is_immutable() || inode.is_append_only() {
        return Err(Reason::Immutable);
    }
    // Of these the content counts, and an attribute is none of it.
    if travels != Place::Attribute {
        if inode.is_verity() {
            return Err(Reason::Verity);
        }
        if inode.is_measured() {
            return Err(Reason::Measured);
        }
    }
    match path.may_write() {
        Ok(()) => Ok(true),
        // The mount, the filesystem, or the subvolume.
        Err(error) if error == EROFS => Err(Reason::ReadOnly),
        Err(_) => Ok(false),
    }
}

/// What is checked only when there is something to write, because it costs more.
pub(crate) fn may_write_now(path: &Path, place: Place) -> Result<(), Reason> {
    if path.has_capabilities() {
        return Err(Reason::Capabilities);
    }
    // Also where no policy has it looked at yet.
    if place == Place::Section && path.has_ima_hash() {
        return Err(Reason::Measured);
    }
    Ok(())
}
