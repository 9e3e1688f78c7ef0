// SPDX-License-Identifier: GPL-2.0

//! The hook at the head of the kernel's list of binary formats.

use super::ffi;
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};
use kernel::{
    bindings,
    fs::File,
    mm::MmWithUser,
    prelude::*,
    sync::{
        atomic::{
            AtomicFlag,
            Full,
            Release, //
        },
        Arc, //
    },
};

/// Bytes of the file that exec has read before it asks the formats (`BINPRM_BUF_SIZE`).
const HEAD: usize = 256;

/// A file that the kernel is about to execute, as the caller of exec sees it: the credentials are
/// still the caller's, and so is the address space.
pub(crate) struct Exec<'a> {
    file: &'a File,
    mm: &'a MmWithUser,
    head: &'a [u8; HEAD],
}

impl<'a> Exec<'a> {
    /// The file.
    pub(crate) fn file(&self) -> &'a File {
        self.file
    }

    /// The address space that the program will have, if the exec succeeds.
    pub(crate) fn mm(&self) -> &'a MmWithUser {
        self.mm
    }

    /// The first bytes of the file; zeros after its end.
    pub(crate) fn head(&self) -> &'a [u8] {
        self.head
    }
}

/// What is called for each file that exec tries, once a level of `#!`.
pub(crate) trait Hook: Send + Sync + 'static {
    /// Looks at `exec`. Whatever comes of it, the exec goes on.
    fn exec(&self, exec: &Exec<'_>);
}

/// The hook that is registered.
struct Slot {
    taken: AtomicFlag,
    hook: UnsafeCell<Option<Arc<dyn Hook>>>,
}

// SAFETY: `hook` is written only while the format is not in the list, by the one `Registration`
// that `taken` admits, and read only from the format's function.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    taken: AtomicFlag::new(false),
    hook: UnsafeCell::new(None),
};

/// A hook's place at the head of the list of formats, given up on drop.
///
/// A call of the hook that has begun holds a reference on the module, so none can be under way
/// when the module's exit drops this.
pub(crate) struct Registration(PhantomData<()>);

impl Registration {
    /// Puts `hook` at the head of the list. To be done as the last step of init: from here on
    /// every exec on the machine passes through it.
    ///
    /// # Errors
    ///
    /// `EBUSY` if a hook is registered.
    pub(crate) fn new(hook: Arc<dyn Hook>) -> Result<Self> {
        if SLOT.taken.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: The format is not in the list, and nobody else passed the flag.
        unsafe { *SLOT.hook.get() = Some(hook) };
        // SAFETY: The flag lets one registration exist at a time, and the format is static.
        unsafe { ffi::pbm_binfmt_register() };
        Ok(Self(PhantomData))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It was registered by `new`, once.
        unsafe { ffi::pbm_binfmt_unregister() };
        // SAFETY: The format is out of the list, and a call that had begun would hold a reference
        // on the module, whose exit or failed init this is.
        drop(unsafe { (*SLOT.hook.get()).take() });
        SLOT.taken.store(false, Release);
    }
}

/// Called by `shim.c` from the format's `load_binary`.
///
/// # Safety
///
/// The arguments are those of a `struct linux_binprm` that is being executed by current: valid,
/// and unchanged until this returns.
#[no_mangle]
unsafe extern "C" fn pbm_exec(
    file: *mut bindings::file,
    mm: *mut bindings::mm_struct,
    head: *const u8,
) {
    // SAFETY: The format is in the list, so that the hook is set and nobody writes it.
    let Some(hook) = (unsafe { &*SLOT.hook.get() }) else {
        return;
    };
    if file.is_null() || mm.is_null() {
        return;
    }
    // SAFETY: `bprm` holds a reference on its file until the exec is over. Nobody has the file in
    // a descriptor table, so no `fdget_pos` is under way.
    let file = unsafe { File::from_raw_file(file) };
    // SAFETY: `bprm->mm` is exec's own until `begin_new_exec()`, with a user count of one.
    let mm = unsafe { MmWithUser::from_raw(mm) };
    // SAFETY: `bprm->buf` has `BINPRM_BUF_SIZE` bytes, all initialized.
    let head = unsafe { &*head.cast::<[u8; HEAD]>() };
    hook.exec(&Exec { file, mm, head });
}
