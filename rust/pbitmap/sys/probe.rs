// SPDX-License-Identifier: GPL-2.0

//! The probes on page faults and on reads, which are in the kernel's way only while somebody wants
//! them.
//!
//! # Who owns what
//!
//! The one [`Armed`] owns whoever is told, through a slot that the probes read. It is written only
//! while no probe is registered. The lock of a [`Probe`] serialises registering; it is taken by
//! tasks that hold nothing else.

use super::{
    device, ffi,
    file::Identity,
    task_work::Waiter,
    watch::{
        Read,
        Watcher,
        Watches, //
    },
    KERNEL_PAGE_ORDER,
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

/// What a probe looks at.
#[derive(Clone, Copy)]
pub(crate) enum Event {
    /// Page faults: x86 can tell of them. Without that what was mapped beside a page counts as
    /// touched.
    Fault,
    /// Reads of files through the page cache, and of pages of devices into it.
    Read,
}

impl Event {
    /// Whether the kernel has the tracepoints.
    fn find(self) -> bool {
        // SAFETY: May always be called.
        unsafe {
            match self {
                Self::Fault => ffi::pbm_fault_find(),
                Self::Read => ffi::pbm_read_find(),
            }
        }
    }

    /// # Safety
    ///
    /// They were found, the probe is not registered, and the slot is set.
    unsafe fn register(self) -> bool {
        // SAFETY: By the contract.
        unsafe {
            match self {
                Self::Fault => ffi::pbm_fault_register(),
                Self::Read => ffi::pbm_read_register(),
            }
        }
    }

    /// No probe runs any more afterwards.
    ///
    /// # Safety
    ///
    /// The probe is registered.
    unsafe fn unregister(self) {
        // SAFETY: By the contract.
        unsafe {
            match self {
                Self::Fault => ffi::pbm_fault_unregister(),
                Self::Read => ffi::pbm_read_unregister(),
            }
        }
    }
}

/// What a probe is doing.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Nobody would be told, or the kernel has no such tracepoints.
    Unarmed,
    Resting,
    Registered,
}

/// Events of the machine. Each costs a little while they are looked at.
#[pin_data]
pub(crate) struct Probe {
    event: Event,
    #[pin]
    state: Mutex<State>,
    /// Whether they are looked at, for who wants no lock.
    awake: AtomicFlag,
    /// Whether somebody has asked since the last rest.
    wanted: AtomicFlag,
}

impl Probe {
    /// Of no use until somebody is told: see [`Armed`].
    pub(crate) fn new(event: Event) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                event,
                state <- new_mutex!(State::Unarmed),
                awake: AtomicFlag::new(false),
                wanted: AtomicFlag::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// Looks at the events from now on. Says whether that is new, so that somebody has to ask for
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
        if *state != State::Resting || !unsafe { self.event.register() } {
            return false;
        }
        *state = State::Registered;
        self.awake.store(true, Relaxed);
        true
    }

    /// Whether the events are looked at.
    pub(crate) fn is_awake(&self) -> bool {
        self.awake.load(Relaxed)
    }

    /// Looks at them no more if nobody has asked since the last call, and `is_idle`. Says whether
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
        unsafe { self.event.unregister() };
        *state = State::Resting;
        true
    }
}

/// What events are handed to.
trait OnEvent: Send + Sync {
    /// Current, whose address space is `mm`, has a page fault. Interrupts are off.
    fn fault(&self, mm: *const bindings::mm_struct, address: usize);

    /// Current, whose address space is `mm`, reads a file. Preemption is off.
    fn read(&self, mm: *const bindings::mm_struct, read: &Read);

    /// Current, whose address space is `mm`, brings pages of a device to memory. As above.
    fn added(&self, mm: *const bindings::mm_struct, device: device::Key, first: u64, pages: u64);
}

/// Watches of whose address spaces the events are seen.
struct Events<T: Watcher, H: AsRef<Watches<T>> + Send + Sync> {
    home: H,
    waiter: Waiter,
    _watcher: PhantomData<fn() -> T>,
}

impl<T: Watcher, H: AsRef<Watches<T>> + Send + Sync> OnEvent for Events<T, H> {
    fn fault(&self, mm: *const bindings::mm_struct, address: usize) {
        self.home.as_ref().fault(mm, address, &self.waiter);
    }

    fn read(&self, mm: *const bindings::mm_struct, read: &Read) {
        self.home.as_ref().read(mm, read, &self.waiter);
    }

    fn added(&self, mm: *const bindings::mm_struct, device: device::Key, first: u64, pages: u64) {
        self.home.as_ref().added(mm, device, first, pages);
    }
}

/// The one that is told of events.
struct Slot {
    taken: AtomicFlag,
    events: UnsafeCell<Option<KBox<dyn OnEvent>>>,
}

// SAFETY: `events` is written only while no probe is registered, by the one `Armed` that `taken`
// admits, and read only by the probes.
unsafe impl Sync for Slot {}

static SLOT: Slot = Slot {
    taken: AtomicFlag::new(false),
    events: UnsafeCell::new(None),
};

/// While this lives, events in watched address spaces that the probes see are handed to their
/// watchers.
pub(crate) struct Armed([Arc<Probe>; 2]);

impl Armed {
    /// Has `home` told of what `probes` see, as far as the kernel can tell of it.
    ///
    /// # Errors
    ///
    /// `EBUSY` if somebody is told already, `ENOMEM`.
    pub(crate) fn new<T: Watcher, H>(probes: [Arc<Probe>; 2], home: H) -> Result<Self>
    where
        H: AsRef<Watches<T>> + Send + Sync + 'static,
    {
        let events = KBox::new(
            Events {
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
        unsafe { *SLOT.events.get() = Some(events) };
        for probe in &probes {
            if probe.event.find() {
                *probe.state.lock() = State::Resting;
            }
        }
        Ok(Self(probes))
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        for probe in &self.0 {
            let mut state = probe.state.lock();
            if *state == State::Registered {
                // SAFETY: Registered by `wake`.
                unsafe { probe.event.unregister() };
            }
            *state = State::Unarmed;
        }
        // SAFETY: No probe runs, and none will be registered. Dropping the waiter waits for the
        // works that were asked for.
        drop(unsafe { (*SLOT.events.get()).take() });
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
    if let Some(events) = unsafe { &*SLOT.events.get() } {
        events.fault(mm, address);
    }
}

/// Called by `shim/read.c`.
///
/// # Safety
///
/// `mm` is that of current, `read` is valid; the probe is registered.
#[no_mangle]
unsafe extern "C" fn pbm_read(mm: *mut bindings::mm_struct, read: *const ffi::Read) {
    // SAFETY: By the contract.
    let raw = unsafe { &*read };
    let pages = (raw.last as u64)
        .saturating_sub(raw.first as u64)
        .saturating_add(1);
    let read = Read {
        inode: Identity {
            dev: raw.dev,
            ino: raw.ino,
            generation: raw.generation,
        },
        first: (raw.first as u64) << KERNEL_PAGE_ORDER,
        pages: pages << KERNEL_PAGE_ORDER,
    };
    // SAFETY: The slot is written only while no probe is registered.
    if let Some(events) = unsafe { &*SLOT.events.get() } {
        events.read(mm, &read);
    }
}

/// Called by `shim/read.c`.
///
/// # Safety
///
/// `mm` is that of current; the probe is registered.
#[no_mangle]
unsafe extern "C" fn pbm_added(
    mm: *mut bindings::mm_struct,
    device: *const bindings::address_space,
    first: usize,
    pages: usize,
) {
    let (first, pages) = (first as u64, pages as u64);
    // SAFETY: The slot is written only while no probe is registered.
    if let Some(events) = unsafe { &*SLOT.events.get() } {
        events.added(
            mm,
            device::Key::of(device),
            first << KERNEL_PAGE_ORDER,
            pages << KERNEL_PAGE_ORDER,
        );
    }
}
