// SPDX-License-Identifier: GPL-2.0

//! Tables of numbers in `/proc/sys`.

use core::ptr::NonNull;
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::atomic::Atomic, //
};

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
    /// Shows `knobs` in the folder `path` of `/proc/sys`.
    pub(crate) fn new(path: &'static CStr, knobs: &[Knob]) -> Result<Self> {
        let mut table = KVec::with_capacity(knobs.len(), GFP_KERNEL)?;
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
        // SAFETY: The path, the names, the values and their bounds are static. The table lives on
        // the heap until the header is unregistered. The handler reads and writes the value whole,
        // which is how `Atomic` is read.
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
