// SPDX-License-Identifier: GPL-2.0

//! Tables of numbers in `/proc/sys`, and a path.

use core::ptr::NonNull;
use kernel::{
    bindings,
    ffi::{
        c_int,
        c_void, //
    },
    prelude::*,
    str::CStr,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        global_lock, //
    },
};

/// Bytes of a path, with the zero byte at its end.
pub(crate) const PATH_LEN: usize = 256;

global_lock! {
    // SAFETY: `Registration::new` initializes it before the module's init has registered anything
    // that could lock it.
    unsafe(uninit) static PATH: Mutex<[u8; PATH_LEN]> = [0; PATH_LEN];
}

/// The path; empty if none is set.
pub(crate) fn path() -> [u8; PATH_LEN] {
    *PATH.lock()
}

/// A number that root may set within a range; anything else is refused with `EINVAL`.
pub(crate) struct Knob {
    /// Its file's name.
    pub(crate) name: &'static CStr,
    /// Where it is kept.
    pub(crate) value: &'static Atomic<u32>,
    /// The least value.
    pub(crate) min: &'static u32,
    /// The greatest value.
    pub(crate) max: &'static u32,
}

/// A table of knobs, gone when dropped.
pub(crate) struct Registration {
    header: NonNull<bindings::ctl_table_header>,
    // The header points to it.
    _table: KVec<bindings::ctl_table>,
}

// SAFETY: A table may be unregistered by any task.
unsafe impl Send for Registration {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for Registration {}

impl Registration {
    /// Shows `knobs` in the folder `path` of `/proc/sys`, and the path as `path_name`. `EBUSY` if
    /// that was tried before: there is one path, and it is made once.
    pub(crate) fn new(
        path: &'static CStr,
        knobs: &[Knob],
        path_name: &'static CStr,
    ) -> Result<Self> {
        static TRIED: Atomic<u32> = Atomic::new(0);
        if TRIED.xchg(1, Relaxed) != 0 {
            return Err(EBUSY);
        }
        // SAFETY: Only the first caller comes here, before anything can lock it.
        unsafe { PATH.init() };
        let mut table = KVec::with_capacity(knobs.len().saturating_add(1), GFP_KERNEL)?;
        for knob in knobs {
            let entry = bindings::ctl_table {
                procname: knob.name.as_char_ptr(),
                data: core::ptr::from_ref(knob.value).cast_mut().cast(),
                maxlen: size_of::<u32>() as i32,
                mode: 0o644,
                proc_handler: Some(bindings::proc_douintvec_minmax),
                poll: core::ptr::null_mut(),
                extra1: core::ptr::from_ref(knob.min).cast_mut().cast(),
                extra2: core::ptr::from_ref(knob.max).cast_mut().cast(),
            };
            table.push(entry, GFP_KERNEL)?;
        }
        let entry = bindings::ctl_table {
            procname: path_name.as_char_ptr(),
            data: core::ptr::null_mut(),
            maxlen: PATH_LEN as i32,
            mode: 0o644,
            proc_handler: Some(handle_path),
            poll: core::ptr::null_mut(),
            extra1: core::ptr::null_mut(),
            extra2: core::ptr::null_mut(),
        };
        table.push(entry, GFP_KERNEL)?;
        // SAFETY: The path, the names, the values and their bounds are static. The table lives on
        // the heap until the header is unregistered. The numbers' handler reads and writes the value
        // whole, which is how `Atomic` is read.
        let header = unsafe {
            bindings::register_sysctl_sz(path.as_char_ptr(), table.as_ptr(), table.len())
        };
        Ok(Self {
            header: NonNull::new(header).ok_or(ENOMEM)?,
            _table: table,
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It was registered by `new` and is unregistered once. This waits for handlers
        // that run.
        unsafe { bindings::unregister_sysctl_table(self.header.as_ptr()) };
    }
}

/// Reads or writes the path for a user. One that does not start with a slash or is too long is
/// refused with `EINVAL`.
///
/// # Safety
///
/// To be called as a `proc_handler` of an entry of [`Registration::new`].
unsafe extern "C" fn handle_path(
    entry: *const bindings::ctl_table,
    write: c_int,
    buffer: *mut c_void,
    len: *mut usize,
    position: *mut bindings::loff_t,
) -> c_int {
    // Longer than the longest path, to tell one that is too long.
    let mut text = [0u8; PATH_LEN + 1];
    let (path, _) = text.split_at_mut(PATH_LEN);
    path.copy_from_slice(&*PATH.lock());
    // SAFETY: By the contract, the entry is valid.
    let mut entry = unsafe { *entry };
    entry.data = text.as_mut_ptr().cast();
    entry.maxlen = text.len() as i32;
    // SAFETY: The rest is what we were given; the entry's data is as long as it says.
    let result = unsafe { bindings::proc_dostring(&entry, write, buffer, len, position) };
    if write == 0 || result != 0 {
        return result;
    }
    let (path, past) = text.split_at(PATH_LEN - 1);
    let starts_well = matches!(path.first(), Some(0 | b'/'));
    if !starts_well || past.first() != Some(&0) {
        return EINVAL.to_errno();
    }
    if let Some(path) = text.first_chunk() {
        *PATH.lock() = *path;
    }
    0
}
