// SPDX-License-Identifier: GPL-2.0

//! A bounded pool of kernel threads for what may wait for a disk.

use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    bindings,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        LockClassKey, //
    },
    types::Opaque, //
};

/// What a thread of the pool does once.
pub(crate) trait Job: Send + 'static {
    /// Does it. May sleep.
    fn run(self);
}

/// Jobs run on a workqueue of their own, so many at a time.
///
/// Dropping the pool waits for all of them; none may be added then.
pub(crate) struct Pool {
    queue: NonNull<bindings::workqueue_struct>,
    key: Pin<&'static LockClassKey>,
}

// SAFETY: Works may be queued by any task.
unsafe impl Send for Pool {}
// SAFETY: As above.
unsafe impl Sync for Pool {}

/// Jobs of all pools that wait or run.
static JOBS: Atomic<usize> = Atomic::new(0);

/// More than these are refused.
const MAX_JOBS: usize = 512;

/// A queued job.
#[repr(C)]
struct Queued<J> {
    work: Opaque<bindings::work_struct>,
    job: ManuallyDrop<J>,
}

impl Pool {
    /// A pool of at most `threads` threads, which run on any processor.
    pub(crate) fn new(
        name: &'static CStr,
        threads: u32,
        key: Pin<&'static LockClassKey>,
    ) -> Result<Self> {
        let flags = bindings::wq_flags_WQ_UNBOUND;
        // SAFETY: The format has one conversion, for the string that follows the numbers.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                flags,
                threads as i32,
                name.as_char_ptr(),
            )
        };
        Ok(Self {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
            key,
        })
    }

    /// Has `job` done.
    ///
    /// # Errors
    ///
    /// `EBUSY` if too many jobs wait, `ENOMEM`.
    pub(crate) fn add<J: Job>(&self, job: J) -> Result {
        if JOBS.load(Relaxed) >= MAX_JOBS {
            return Err(EBUSY);
        }
        // Without memory the job is dropped, which it would not be inside.
        let queued = KBox::new_uninit(GFP_KERNEL)?.write(Queued {
            work: Opaque::zeroed(),
            job: ManuallyDrop::new(job),
        });
        JOBS.fetch_add(1, Relaxed);
        let queued = KBox::into_raw(queued);
        let cpu = bindings::wq_misc_consts_WORK_CPU_UNBOUND as i32;
        // SAFETY: Nobody else knows of the box, which its function frees. The queue lives as long
        // as the pool, and waits for the work then.
        unsafe {
            let work = (*queued).work.get();
            bindings::init_work_with_key(
                work,
                Some(run::<J>),
                false,
                c"pbitmap_job".as_char_ptr(),
                self.key.as_ptr(),
            );
            bindings::queue_work_on(cpu, self.queue.as_ptr(), work);
        }
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: Made by `new`. This waits for the works, and for their functions to return.
        unsafe { bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}

/// The function of a queued job.
///
/// # Safety
///
/// `work` is that of a `Queued<J>` whose box `add` gave away.
unsafe extern "C" fn run<J: Job>(work: *mut bindings::work_struct) {
    // SAFETY: By the contract; `work` is the first field.
    let queued = unsafe { KBox::from_raw(work.cast::<Queued<J>>()) };
    ManuallyDrop::into_inner(KBox::into_inner(queued).job).run();
    JOBS.fetch_sub(1, Relaxed);
}
