// SPDX-License-Identifier: GPL-2.0

//! Whose cgroups and I/O priority a read counts for.

use super::ffi;
use core::mem::MaybeUninit;
use kernel::types::NotThreadSafe;

/// The memory cgroup, block cgroup and I/O priority of a task.
pub(crate) struct Payer(ffi::Payer);

// SAFETY: It holds references that any task may use and drop.
unsafe impl Send for Payer {}
// SAFETY: As above.
unsafe impl Sync for Payer {}

impl Payer {
    /// Those of current, which has an address space.
    pub(crate) fn current() -> Self {
        let mut payer = MaybeUninit::uninit();
        // SAFETY: It is filled, with references.
        unsafe {
            ffi::pbm_payer_get(payer.as_mut_ptr());
            Self(payer.assume_init())
        }
    }

    /// Current, a kernel thread, reads on this account until the answer is dropped.
    pub(crate) fn assume(&self) -> Assumed<'_> {
        let mut old = MaybeUninit::uninit();
        // SAFETY: The references are held until the end of the account, which `Assumed` is.
        let old = unsafe {
            ffi::pbm_payer_assume(&self.0, old.as_mut_ptr());
            old.assume_init()
        };
        Assumed {
            payer: self,
            old,
            _task: NotThreadSafe::default(),
        }
    }
}

impl Drop for Payer {
    fn drop(&mut self) {
        // SAFETY: Filled by `current`.
        unsafe { ffi::pbm_payer_put(&mut self.0) };
    }
}

/// While this lives, current reads on another's account.
pub(crate) struct Assumed<'a> {
    payer: &'a Payer,
    old: ffi::Payer,
    _task: NotThreadSafe,
}

impl Drop for Assumed<'_> {
    fn drop(&mut self) {
        // SAFETY: `assume` filled `old` and was called by this task.
        unsafe { ffi::pbm_payer_leave(&self.payer.0, &self.old) };
    }
}
