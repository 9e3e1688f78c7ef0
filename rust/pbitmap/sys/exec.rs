// SPDX-License-Identifier: GPL-2.0

//! The hook at the head of the kernel's list of binary formats.

use super::ffi;
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};
use kernel::{
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
    raw: &'a ffi::Exec,
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

    /// The path that the file was started under: as exec was given it, or the interpreter's as the
    /// script gives it.
    pub(crate) fn path(&self) -> &'a CStr {
        // SAFETY: `bprm->interp` is a string that does not change before the hook has returned.
        unsafe { CStr::from_char_ptr(self.raw.interp) }
    }

    /// The script that the file interprets, if it was started by one.
    pub(crate) fn script(&self) -> Option<&'a CStr> {
        if self.raw.filename == self.raw.interp {
            return None;
        }
        // SAFETY: As above, for `bprm->filename`.
        Some(unsafe { CStr::from_char_ptr(self.raw.filename) })
    }

    /// How many arguments the program gets, its name counted.
    pub(crate) fn argument_count(&self) -> usize {
        usize::try_from(self.raw.argc).unwrap_or(0)
    }

    /// Copies the arguments, one after the other with a zero byte each, as far as they fit, and
    /// says how many bytes that are; what follows the last argument is the environment.
    pub(crate) fn arguments(&self, to: &mut [u8]) -> usize {
        // SAFETY: The new address space is exec's own, with the arguments in it, and nobody holds
        // its lock. `to` may be written for its whole length.
        unsafe { ffi::pbm_exec_arguments(self.raw.bprm, to.as_mut_ptr().cast(), to.len()) }
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

/// Called by `shim/exec.c` from the format's `load_binary`.
///
/// # Safety
///
/// `exec` is filled from a `struct linux_binprm` that is being executed by current: valid, and
/// unchanged until this returns.
#[no_mangle]
unsafe extern "C" fn pbm_exec(exec: *const ffi::Exec) {
    // SAFETY: The format is in the list, so that the hook is set and nobody writes it.
    let Some(hook) = (unsafe { &*SLOT.hook.get() }) else {
        return;
    };
    // SAFETY: By the contract.
    let raw = unsafe { &*exec };
    if raw.file.is_null() || raw.mm.is_null() {
        return;
    }
    // SAFETY: `bprm` holds a reference on its file until the exec is over. Nobody has the file in
    // a descriptor table, so no `fdget_pos` is under way.
    let file = unsafe { File::from_raw_file(raw.file) };
    // SAFETY: `bprm->mm` is exec's own until `begin_new_exec()`, with a user count of one.
    let mm = unsafe { MmWithUser::from_raw(raw.mm) };
    // SAFETY: `bprm->buf` has `BINPRM_BUF_SIZE` bytes, all initialized.
    let head = unsafe { &*raw.head.cast::<[u8; HEAD]>() };
    hook.exec(&Exec {
        file,
        mm,
        head,
        raw,
    });
}
