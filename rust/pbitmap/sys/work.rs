// SPDX-License-Identifier: GPL-2.0

//! Chores: what a kernel thread does some time later.

use super::ffi;
use kernel::{
    bindings,
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    types::Opaque, //
};

/// What is to be done, and what it needs for that.
pub(crate) trait Run: Send + Sync {
    /// Does it. May sleep.
    fn run(&self);

    /// After how many milliseconds it is to be done once more, without being asked.
    fn again(&self) -> Option<u32> {
        None
    }
}

/// Something that can be asked for and is then done on the unbound workqueue. It is never done
/// twice at a time; a request while it is done has it done once more.
///
/// # Invariants
///
/// `work` is initialized, with `Self::call` as its function.
#[pin_data(PinnedDrop)]
pub(crate) struct Chore<T: Run> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    #[pin]
    subject: T,
}

// SAFETY: The workqueue's functions may be called from any task; `T` is `Send`.
unsafe impl<T: Run> Send for Chore<T> {}
// SAFETY: As above, and for the same work at once; `T` is `Sync`.
unsafe impl<T: Run> Sync for Chore<T> {}

impl<T: Run> Chore<T> {
    /// A chore that nobody has asked for.
    pub(crate) fn new<E>(
        subject: impl PinInit<T, E>,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> impl PinInit<Self, Error>
    where
        Error: From<E>,
    {
        try_pin_init!(Self {
            // INVARIANT: Initialized here.
            work <- Opaque::ffi_init(|work: *mut bindings::delayed_work| {
                // Of another class than the work: it is held in interrupts.
                let timer_key = kernel::static_lock_class!();
                // SAFETY: The memory is there and pinned; name and keys are static.
                unsafe {
                    bindings::init_work_with_key(
                        &raw mut (*work).work,
                        Some(Self::call),
                        false,
                        name.as_char_ptr(),
                        key.as_ptr(),
                    );
                    bindings::timer_init_key(
                        &raw mut (*work).timer,
                        Some(bindings::delayed_work_timer_fn),
                        bindings::TIMER_IRQSAFE,
                        name.as_char_ptr(),
                        timer_key.as_ptr(),
                    );
                }
            }),
            subject <- subject,
        }? Error)
    }

    /// What the chore is about.
    pub(crate) fn subject(&self) -> &T {
        &self.subject
    }

    /// Asks for it after `delay` milliseconds, or sooner if that was asked for before; 0 moves an
    /// earlier request up. After [`Chore::stop`] this does nothing.
    pub(crate) fn request(&self, delay: u32) {
        let cpu = bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32;
        // SAFETY: By the invariant the work is initialized, and it stays where it is until it was
        // disabled. The queue exists as long as the kernel runs.
        unsafe {
            let queue = ffi::system_dfl_wq;
            if delay == 0 {
                bindings::mod_delayed_work_on(cpu, queue, self.work.get(), 0);
            } else {
                let delay = kernel::time::msecs_to_jiffies(delay);
                bindings::queue_delayed_work_on(cpu, queue, self.work.get(), delay);
            }
        }
    }

    /// Does what was asked for, now, and takes no more requests. Not to be called by the chore.
    pub(crate) fn stop(&self) {
        // SAFETY: By the invariant the work is initialized. After the first call what was pending
        // is done; after the second nothing is done and nothing can be asked for.
        unsafe {
            bindings::flush_delayed_work(self.work.get());
            bindings::disable_delayed_work_sync(self.work.get());
        }
    }

    /// The work's function.
    ///
    /// # Safety
    ///
    /// `work` is inside a `Chore<T>`.
    unsafe extern "C" fn call(work: *mut bindings::work_struct) {
        // SAFETY: `new` gave this function only to the work of a `Chore<T>`, which is not freed
        // before the work is disabled, and that waits for this call.
        let chore = unsafe {
            let delayed = kernel::container_of!(work, bindings::delayed_work, work);
            &*kernel::container_of!(Opaque::cast_from(delayed), Self, work)
        };
        chore.subject.run();
        if let Some(delay) = chore.subject.again() {
            chore.request(delay);
        }
    }
}

#[pinned_drop]
impl<T: Run> PinnedDrop for Chore<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the invariant the work is initialized. Nobody can ask for it any more.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
    }
}
