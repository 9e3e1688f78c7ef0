// SPDX-License-Identifier: GPL-2.0

//! A lock that may be taken with interrupts off, also on a kernel with `PREEMPT_RT`, where
//! [`kernel::sync::SpinLock`] sleeps.

use super::ffi;
use kernel::{
    bindings,
    ffi::c_char,
    sync::lock::{
        Backend,
        Lock, //
    }, //
};

/// The kernel's `raw_spinlock_t`. Whoever holds it keeps everybody else from the processor: only
/// for a few steps.
pub(crate) type RawSpinLock<T> = Lock<T, RawSpinLockBackend>;

/// How a [`RawSpinLock`] locks.
pub(crate) struct RawSpinLockBackend;

// SAFETY: A `raw_spinlock_t` excludes everybody else. `relock` is the one that calls `lock`.
unsafe impl Backend for RawSpinLockBackend {
    type State = bindings::raw_spinlock_t;
    type GuardState = ();

    unsafe fn init(
        lock: *mut Self::State,
        name: *const c_char,
        key: *mut bindings::lock_class_key,
    ) {
        // SAFETY: By the contract of this function.
        unsafe { ffi::pbm_raw_lock_init(lock, name, key) }
    }

    unsafe fn lock(lock: *mut Self::State) {
        // SAFETY: As above: the lock was initialized.
        unsafe { ffi::pbm_raw_lock(lock) }
    }

    unsafe fn try_lock(lock: *mut Self::State) -> Option<()> {
        // SAFETY: As above.
        unsafe { ffi::pbm_raw_trylock(lock) }.then_some(())
    }

    unsafe fn unlock(lock: *mut Self::State, _state: &()) {
        // SAFETY: As above: the caller holds the lock.
        unsafe { ffi::pbm_raw_unlock(lock) }
    }

    unsafe fn assert_is_held(lock: *mut Self::State) {
        // SAFETY: As above.
        unsafe { ffi::pbm_raw_assert_held(lock) }
    }
}

/// A new lock around `inner`, of a class of its own.
macro_rules! new_raw_spinlock {
    ($inner:expr) => {
        $crate::sys::raw_spinlock::RawSpinLock::new(
            $inner,
            kernel::optional_name!(),
            kernel::static_lock_class!(),
        )
    };
}
pub(crate) use new_raw_spinlock;
