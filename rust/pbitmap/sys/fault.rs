// SPDX-License-Identifier: GPL-2.0

//! The probe on page faults, which is in the kernel's way only while somebody wants it.
//!
//! # Who owns what
//!
//! The one [`Armed`] owns whoever is told of faults, through a slot that the probe reads. It is
//! written only while no probe is registered. The lock of [`Probe`] serialises registering; it is
//! taken by tasks that hold nothing else.

use super::{
    ffi,
    task_work::Waiter,
    watch::{
        Watcher,
        Watches, //
    },
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData, //
};
use kernel::{
    bindings, new_mutex,
    prelude::*,
    sync::{
        atomic::{
            AtomicFlag,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        Mutex, //
    },
};

/// What the probe is doing.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nobody would be told, or the kernel has no such tracepoints.
    Unarmed,
    Resting,
    Registered,
}

/// Page faults of the machine. Each costs a little while they are looked at.
#[pin_data]
pub(crate) struct Probe {
    #[pin]
    state: Mutex<State>,
    /// Whether faults are looked at, for who wants no lock.
    awake: AtomicFlag,
    /// Whether somebody has asked since the last rest.
    wanted: AtomicFlag,
}

impl Probe {
    /// Of no use until somebody is told: see [`Armed`].
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(State::Unarmed),
                awake: AtomicFlag::new(false),
                wanted: AtomicFlag::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Looks at faults from now on. Says whether that is new, so that somebody has to ask for
    /// [`Probe::rest`] later. May sleep; cheap if it is not new.
    pub(crate) fn wake(&self) -> bool {
        // Fully ordered: whoever puts the probe to rest sees either what made the caller come, or
        // is seen here.
        self.wanted.xchg(true, Full);
        if self.awake.load(Relaxed) {
            return false;
        }
        let mut state = self.state.lock();
        // SAFETY: Armed, so that the slot is set and the tracepoints were found; and not registered.
        if *state != State::Resting || !unsafe { ffi::pbm_fault_register() } {
            return false;
        }
        *state = State::Registered;
        self.awake.store(true, Relaxed);
        true
    }

    /// Whether faults are looked at.
    pub(crate) fn is_awake(&self) -> bool {
        self.awake.load(Relaxed)
    }

    /// Looks at faults no more if nobody has asked since the last call, and `is_idle`. Says whether
    /// it rests now.
    pub(crate) fn rest(&self, is_idle: impl FnOnce() -> bool) -> bool {
        let mut state = self.state.lock();
        if *state != State::Registered {
            return true;
        }
        if self.wanted.xchg(false, Full) {
            return false;
        }
        // Fully ordered: see `wake`.
        self.awake.xchg(false, Full);
        if !is_idle() {
            self.awake.store(true, Relaxed);
            return false;
        }
        // SAFETY: Registered by `wake`.
        unsafe { ffi::pbm_fault_unregister() };
        *state = State::Resting;
        true
    }
}

/// What faults are handed to.
trait OnFault: Send + Sync {
    /// Current, whose address space is `mm`, has a page fault. Interrupts are off.
    fn fault(&self, mm: *const bindings::mm_struct, address: usize);
}

/// Watches whose address spaces' faults are seen.
struct Faults<T: Watcher, H: AsRef<Watches<T>> + Send + Sync> {
    home: H,
    waiter: Waiter,
    _watcher: PhantomData<fn() -> T>,
}

impl<T: Watcher, H: AsRef<Watches<T>> + Send + Sync> OnFault for Faults<T, H> {
    fn fault(&self, mm: *const bindings::mm_struct, address: usize) {
        self.home.as_ref().fault(mm, address, &self.waiter);
    }
}

/// The one that is told of faults.
struct Slot {
    taken: AtomicFlag,
    faults: UnsafeCell<Option<KBox<dyn OnFault>>>,
}

// SAFETY: `faults` is written only while no probe is registered, by the one `Armed` that `taken`
// admits, and read only by the probe.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    taken: AtomicFlag::new(false),
    faults: UnsafeCell::new(None),
};

/// While this lives, faults of watched address spaces that the probe sees are handed to their
/// watchers.
pub(crate) struct Armed(Arc<Probe>);

impl Armed {
    /// Has `home` told of what `probe` sees, if the kernel can tell of faults: x86 does. Without it
    /// what was mapped beside a page counts as touched.
    ///
    /// # Errors
    ///
    /// `EBUSY` if somebody is told already, `ENOMEM`.
    pub(crate) fn new<T: Watcher, H>(probe: Arc<Probe>, home: H) -> Result<Self>
    where
        H: AsRef<Watches<T>> + Send + Sync + 'static,
    {
        let faults = KBox::new(
            Faults {
                home,
                waiter: Waiter::new(),
                _watcher: PhantomData,
            },
            GFP_KERNEL,
        )?;
        if SLOT.taken.xchg(true, Full) {
            return Err(EBUSY);
        }
        // SAFETY: No probe is registered, and nobody else passed the flag.
        unsafe { *SLOT.faults.get() = Some(faults) };
        // SAFETY: May always be called.
        if unsafe { ffi::pbm_fault_find() } {
            *probe.state.lock() = State::Resting;
        }
        Ok(Self(probe))
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if *state == State::Registered {
            // SAFETY: Registered by `wake`. No probe runs any more afterwards.
            unsafe { ffi::pbm_fault_unregister() };
        }
        *state = State::Unarmed;
        drop(state);
        // SAFETY: No probe runs, and none will be registered. Dropping the waiter waits for the
        // works that were asked for.
        drop(unsafe { (*SLOT.faults.get()).take() });
        SLOT.taken.store(false, Release);
    }
}

/// Called by `shim/fault.c`.
///
/// # Safety
///
/// `mm` is that of current; the probe is registered.
#[no_mangle]
unsafe extern "C" fn pbm_fault(mm: *mut bindings::mm_struct, address: usize) {
    // SAFETY: The slot is written only while no probe is registered.
    if let Some(faults) = unsafe { &*SLOT.faults.get() } {
        faults.fault(mm, address);
    }
}
