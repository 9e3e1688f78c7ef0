// SPDX-License-Identifier: GPL-2.0

//! Work that a task does itself, on its way back to user mode.

use core::{
    marker::PhantomData,
    mem::ManuallyDrop, //
};
use kernel::{
    bindings,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            AtomicFlag,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        ArcBorrow, //
    },
    task::Task,
    types::Opaque, //
};

/// After how long the kernel's log says what `rmmod` waits for.
const PATIENCE_MS: u32 = 3000;

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
    // Without memory the work is dropped, which it would not be inside.
    let queued = KBox::new_uninit(GFP_KERNEL)?.write(Queued {
        head: Opaque::zeroed(),
        work: ManuallyDrop::new(work),
    });
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

/// What a [`Repeated`] does, each time it was asked for.
pub(crate) trait RepeatedWork: Send + Sync + 'static {
    /// Does it, in the task that asked and with what it gave.
    fn run(&self, argument: usize);
}

/// A work that needs no memory to be asked for, so that this may be done anywhere but in an NMI.
/// It is queued once at a time.
#[pin_data]
pub(crate) struct Repeated {
    #[pin]
    head: Opaque<bindings::callback_head>,
    asked: AtomicFlag,
    argument: Atomic<usize>,
    /// The reference that the queued work holds, as a raw pointer.
    owner: Atomic<usize>,
}

impl Repeated {
    /// Not asked for.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            head: Opaque::zeroed(),
            asked: AtomicFlag::new(false),
            argument: Atomic::new(0),
            owner: Atomic::new(0),
        })
    }

    /// Has current do the work of `owner` before it next returns to user mode. False if it is
    /// queued already, or current is about to exit. The caller sees to it that `owner` does not
    /// lose its last reference meanwhile.
    ///
    /// # Safety
    ///
    /// `this` is inside of what `owner` refers to.
    pub(crate) unsafe fn ask<T: RepeatedWork>(
        owner: ArcBorrow<'_, T>,
        this: &Self,
        argument: usize,
        _waiter: &Waiter,
    ) -> bool {
        if this.asked.xchg(true, Full) {
            return false;
        }
        this.argument.store(argument, Relaxed);
        let head = this.head.get();
        let raw = Arc::into_raw(Arc::from(owner));
        this.owner.store(raw.expose_provenance(), Relaxed);
        // SAFETY: The flag gives the head to this caller; no queue has it.
        unsafe { (*head).func = Some(Self::call::<T>) };
        PENDING.fetch_add(1, Relaxed);
        // SAFETY: The head is initialized, and the reference that was given away keeps it alive
        // until its function has run.
        let added = unsafe {
            bindings::task_work_add(
                Task::current_raw(),
                head,
                bindings::task_work_notify_mode_TWA_RESUME,
            )
        };
        if added != 0 {
            this.asked.store(false, Release);
            // SAFETY: The work was refused, so that the reference is still ours.
            drop(unsafe { Arc::from_raw(raw) });
            PENDING.fetch_sub(1, Release);
        }
        added == 0
    }

    /// The function of the work.
    ///
    /// # Safety
    ///
    /// `head` is that of a `Repeated` which `ask::<T>` queued.
    unsafe extern "C" fn call<T: RepeatedWork>(head: *mut bindings::callback_head) {
        // SAFETY: By the contract; the queued work holds a reference on what it is in.
        let this = unsafe { &*kernel::container_of!(Opaque::cast_from(head), Self, head) };
        let argument = this.argument.load(Relaxed);
        let raw = core::ptr::with_exposed_provenance::<T>(this.owner.load(Relaxed));
        // SAFETY: `ask` gave the reference away, and it is taken back once.
        let owner = unsafe { Arc::from_raw(raw) };
        // A fault in what follows may ask again.
        this.asked.store(false, Release);
        owner.run(argument);
        drop(owner);
        PENDING.fetch_sub(1, Release);
    }
}

/// Proof that somebody will wait for all works before the module goes: dropping it does.
pub(crate) struct Waiter(PhantomData<()>);

impl Waiter {
    /// To be dropped when no more works are queued.
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl Drop for Waiter {
    /// A task that faulted inside of a system call and sleeps in it now does its work when the call
    /// ends. It could be woken, but then the call may do less than was asked for, which is worse for
    /// a program than `rmmod` that takes long.
    fn drop(&mut self) {
        let mut waited_ms = 0u32;
        while PENDING.load(Acquire) != 0 {
            if waited_ms == PATIENCE_MS {
                pr_info!("rmmod waits for programs that sleep in a system call\n");
            }
            waited_ms = waited_ms.saturating_add(1);
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
