// SPDX-License-Identifier: GPL-2.0

//! Being told of the end of an address space before it is taken apart.
//!
//! An interval notifier, not a plain notifier: the release of a plain one waits for a grace period
//! inside exit. The interval is one page that no program can map, so that nothing but the end
//! calls it.
//!
//! # Who owns what
//!
//! Each watch is in at most one list at a time. From [`Watches::add`] on it is in `live`; the
//! callback moves it to `ended`. Whoever takes it out of a list, [`Watches::reap`] from `ended` or
//! [`Watches::clear`] from either, removes the notifier, waits so for a callback that runs, and
//! then frees it. A callback that finds its watch in no list leaves it to the one that took it.
//!
//! The lock is a leaf: under it lists are changed and nothing else is done.

use super::mm::Dying;
use kernel::{
    bindings,
    list::{
        impl_list_arc_safe,
        impl_list_item,
        List,
        ListArc,
        ListLinks, //
    },
    mm::{
        Mm,
        MmWithUser, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_spinlock,
        SpinLock, //
    },
    types::Opaque, //
};

/// What to do at the end of an address space.
pub(crate) trait Watcher: Send + Sync + 'static {
    /// The mm has no users any more and still has its page tables. Runs in any task: nothing of
    /// current is to be used. May sleep; the end of the mm waits for it.
    fn ended(&self, mm: &Dying);

    /// The watches that this one was added to, which it keeps alive.
    fn home(&self) -> &Watches<Self>
    where
        Self: Sized;

    /// One more watch is to be reaped, `waiting` of them now.
    fn reap_later(&self, waiting: usize);
}

/// One address space, watched.
///
/// # Invariants
///
/// The notifier is inserted from the moment the watch is in a list until its owner removes it.
#[pin_data]
pub(crate) struct Watch<T: Watcher> {
    #[pin]
    links: ListLinks,
    #[pin]
    notifier: Opaque<bindings::mmu_interval_notifier>,
    watcher: T,
}

impl_list_arc_safe! {
    impl{T: Watcher} ListArcSafe<0> for Watch<T> { untracked; }
}

impl_list_item! {
    impl{T: Watcher} ListItem<0> for Watch<T> { using ListLinks { self.links }; }
}

// SAFETY: The notifier is used by C code that locks, `links` by the list's owner.
unsafe impl<T: Watcher> Send for Watch<T> {}
// SAFETY: As above.
unsafe impl<T: Watcher> Sync for Watch<T> {}

/// One past the last address that a program can map: `TASK_SIZE_MAX` or more on every 64-bit
/// machine, and still below the kernel's.
const NEVER_MAPPED: usize = 1 << 63;

impl<T: Watcher> Watch<T> {
    const OPS: bindings::mmu_interval_notifier_ops = bindings::mmu_interval_notifier_ops {
        invalidate: Some(Self::invalidate),
        invalidate_start: None,
        invalidate_finish: None,
    };
    const OPS_REF: &'static bindings::mmu_interval_notifier_ops = &Self::OPS;

    /// Called for ranges that meet the interval: those of a whole address space.
    ///
    /// # Safety
    ///
    /// `notifier` is in a `Watch<T>` and inserted; `range` is valid.
    unsafe extern "C" fn invalidate(
        notifier: *mut bindings::mmu_interval_notifier,
        range: *const bindings::mmu_notifier_range,
        _sequence: usize,
    ) -> bool {
        // SAFETY: By the contract.
        let (event, mm) = unsafe { ((*range).event, (*range).mm) };
        if event != bindings::mmu_notifier_event_MMU_NOTIFY_RELEASE {
            return true;
        }
        // SAFETY: The owner frees the watch only after it has removed the notifier, which waits
        // for this call.
        let watch = unsafe { &*kernel::container_of!(Opaque::cast_from(notifier), Self, notifier) };
        {
            // SAFETY: `exit_mmap()` calls this before it takes anything apart, and waits.
            let dying = unsafe { Dying::new(mm) };
            watch.watcher.ended(&dying);
        }
        watch.watcher.home().end(watch);
        true
    }

    /// Removes the notifier and frees the watch.
    fn remove(this: ListArc<Self>) {
        // SAFETY: By the invariant the notifier is inserted: the watch comes from a list, and its
        // one owner is here. This is not a callback.
        unsafe { bindings::mmu_interval_notifier_remove(this.notifier.get()) };
    }
}

struct Lists<T: Watcher> {
    live: List<Watch<T>>,
    ended: List<Watch<T>>,
    waiting: usize,
}

/// All watches of one kind.
#[pin_data]
pub(crate) struct Watches<T: Watcher> {
    #[pin]
    lists: SpinLock<Lists<T>>,
    live: Atomic<u64>,
}

impl<T: Watcher> Watches<T> {
    /// None yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            lists <- new_spinlock!(Lists {
                live: List::new(),
                ended: List::new(),
                waiting: 0,
            }),
            live: Atomic::new(0),
        })
    }

    /// How many have not ended.
    pub(crate) fn live(&self) -> u64 {
        self.live.load(Relaxed)
    }

    /// Watches `mm`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINTR` if a signal is pending.
    pub(crate) fn add(&self, mm: &MmWithUser, watcher: T) -> Result {
        let watch = ListArc::pin_init(
            try_pin_init!(Watch {
                links <- ListLinks::new(),
                notifier: Opaque::uninit(),
                watcher,
            }? Error),
            GFP_KERNEL,
        )?;
        let mm: &Mm = mm;
        // SAFETY: The mm has users. The notifier is at an address that it keeps until it is
        // removed; a notifier need not be initialized before it is inserted.
        kernel::error::to_result(unsafe {
            bindings::mmu_interval_notifier_insert(
                watch.notifier.get(),
                mm.as_raw(),
                NEVER_MAPPED,
                kernel::page::PAGE_SIZE,
                Watch::<T>::OPS_REF,
            )
        })?;
        self.live.fetch_add(1, Relaxed);
        // INVARIANT: It was inserted just now.
        self.lists.lock().live.push_back(watch);
        Ok(())
    }

    /// Moves a watch whose mm has ended to the list of those to reap.
    fn end(&self, watch: &Watch<T>) {
        let waiting = {
            let mut lists = self.lists.lock();
            // SAFETY: The watch is in `live` or in no list: it comes into `ended` only here, once,
            // since an mm ends once; and its owner takes it out of the list it is in.
            let Some(owned) = (unsafe { lists.live.remove(watch) }) else {
                return;
            };
            lists.ended.push_back(owned);
            self.live.fetch_sub(1, Relaxed);
            lists.waiting = lists.waiting.saturating_add(1);
            lists.waiting
        };
        // The watch may be in another's hands now, but not freed: that waits for this callback.
        watch.watcher.reap_later(waiting);
    }

    /// Frees the watches of address spaces that have ended.
    pub(crate) fn reap(&self) {
        self.remove_while(|lists| {
            let watch = lists.ended.pop_front()?;
            lists.waiting = lists.waiting.saturating_sub(1);
            Some(watch)
        });
    }

    /// Ends all watches. Their callbacks have returned then, and none is called any more. No watch
    /// may be added meanwhile or later.
    pub(crate) fn clear(&self) {
        self.remove_while(|lists| {
            let watch = lists.live.pop_front()?;
            self.live.fetch_sub(1, Relaxed);
            Some(watch)
        });
        self.reap();
    }

    fn remove_while(&self, mut next: impl FnMut(&mut Lists<T>) -> Option<ListArc<Watch<T>>>) {
        loop {
            let Some(watch) = next(&mut self.lists.lock()) else {
                return;
            };
            Watch::remove(watch);
        }
    }
}
