// SPDX-License-Identifier: GPL-2.0

//! On whose behalf something is done.

use super::ffi;
use core::ptr::NonNull;
use kernel::{
    bindings,
    cred::Credential,
    prelude::*,
    sync::aref::ARef,
    task::Task,
    types::NotThreadSafe, //
};

/// The credentials that current acts with.
pub(crate) fn current() -> ARef<Credential> {
    // SAFETY: `current` is valid, and only the task itself changes its `cred`, which it holds a
    // reference on.
    let credential = unsafe { Credential::from_ptr((*Task::current_raw()).cred) };
    ARef::from(credential)
}

/// Whether current has given up ever gaining privileges (`no_new_privs`).
pub(crate) fn gave_up_privileges() -> bool {
    // SAFETY: It looks at current only.
    unsafe { ffi::pbm_gave_up_privileges() }
}

/// Those of the kernel itself.
pub(crate) fn of_kernel() -> Result<ARef<Credential>> {
    // SAFETY: `init_task` is static and always valid.
    let cred = unsafe { bindings::prepare_kernel_cred(&raw mut bindings::init_task) };
    let cred = NonNull::new(cred).ok_or(ENOMEM)?;
    // SAFETY: The reference on the new credentials is given away.
    Ok(unsafe { ARef::from_raw(cred.cast()) })
}

/// The user of `cred`, as the first user namespace knows it.
pub(crate) fn user(cred: &Credential) -> u32 {
    // SAFETY: The credentials are referenced.
    unsafe { ffi::pbm_user(cred.as_ptr()) }
}

/// Whether current is a member of the group `gid` of the first user namespace.
pub(crate) fn is_member(gid: u32) -> bool {
    // SAFETY: Looks at current's own credentials.
    unsafe { ffi::pbm_is_member(gid) }
}

/// While this lives, current acts with other credentials.
pub(crate) struct Override<'a> {
    old: *const bindings::cred,
    _cred: &'a Credential,
    // The old ones must be restored by the same task.
    _task: NotThreadSafe,
}

impl<'a> Override<'a> {
    /// Acts with `cred` until dropped.
    pub(crate) fn new(cred: &'a Credential) -> Self {
        // SAFETY: `cred` outlives the override, which ends in `drop`.
        let old = unsafe { ffi::pbm_override_creds(cred.as_ptr()) };
        Self {
            old,
            _cred: cred,
            _task: NotThreadSafe::default(),
        }
    }
}

impl Drop for Override<'_> {
    fn drop(&mut self) {
        // SAFETY: `old` was what this task acted with when the override began.
        unsafe { ffi::pbm_revert_creds(self.old) };
    }
}
