// SPDX-License-Identifier: GPL-2.0

//! Work that a task does itself, on its way back to user mode.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed,
        Release, //
    },
    task::Task,
    types::Opaque, //
};

/// How many works are queued or run.
static PENDING: Atomic<u64> = Atomic::new(0);

/// What is to be done. It also runs when the task exits instead of returning.
pub(crate) trait OnReturn: Sized + 'static {
    /// Does it. Current is the task that queued it, but may have changed its address space.
    fn run(self);
}

/// A queued work.
#[repr(C)]
struct Queued<T> {
    head: Opaque<bindings::callback_head>,
    work: ManuallyDrop<T>,
}

/// Has current do `work` before it next returns to user mode.
///
/// # Errors
///
/// `ENOMEM`, or `ESRCH` if current is past the point in its exit where works are done.
pub(crate) fn on_return<T: OnReturn>(work: T, _waiter: &Waiter) -> Result {
    let queued = KBox::new(
        Queued {
            head: Opaque::zeroed(),
            work: ManuallyDrop::new(work),
        },
        GFP_KERNEL,
    )?;
    let queued = KBox::into_raw(queued);
    // SAFETY: Nobody else knows of the box yet.
    let head = unsafe { (*queued).head.get() };
    // SAFETY: As above.
    unsafe { (*head).func = Some(run::<T>) };
    PENDING.fetch_add(1, Relaxed);
    // SAFETY: The head is initialized, in memory that lives until its function frees it.
    let added = to_result(unsafe {
        bindings::task_work_add(
            Task::current_raw(),
            head,
            bindings::task_work_notify_mode_TWA_RESUME,
        )
    });
    if let Err(error) = added {
        // SAFETY: The work was refused, so that the box is still ours.
        let queued = unsafe { KBox::from_raw(queued) };
        drop(ManuallyDrop::into_inner(KBox::into_inner(queued).work));
        PENDING.fetch_sub(1, Release);
        return Err(error);
    }
    Ok(())
}

/// The function of a queued work.
///
/// # Safety
///
/// `head` is that of a `Queued<T>` whose box `on_return` gave away.
unsafe extern "C" fn run<T: OnReturn>(head: *mut bindings::callback_head) {
    // SAFETY: By the contract; `head` is the first field.
    let queued = unsafe { KBox::from_raw(head.cast::<Queued<T>>()) };
    ManuallyDrop::into_inner(KBox::into_inner(queued).work).run();
    PENDING.fetch_sub(1, Release);
}

/// Proof that somebody will wait for all works before the module goes: dropping it does.
pub(crate) struct Waiter(PhantomData<NonNull<()>>);

// SAFETY: It holds nothing.
unsafe impl Send for Waiter {}
// SAFETY: As above.
unsafe impl Sync for Waiter {}

impl Waiter {
    /// To be dropped when no more works are queued.
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        while PENDING.load(Acquire) != 0 {
            // SAFETY: Called from module exit, which may sleep.
            unsafe { bindings::msleep(1) };
        }
        // The last work has counted down but may not have returned from this module's text. It
        // does so without sleeping, and then its task is seen in another state.
        //
        // SAFETY: As above.
        unsafe { bindings::synchronize_rcu_tasks() };
    }
}
