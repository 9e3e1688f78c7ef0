// SPDX-License-Identifier: GPL-2.0

//! Address spaces that are watched: each page fault that may map a file's page, each read of a file,
//! and the end.
//!
//! The end comes from an interval notifier, not a plain notifier: the release of a plain one waits
//! for a grace period inside exit. The interval is one page that no program can map, so that
//! nothing but the end calls it. Faults and reads come from [probes](super::probe::Probe), which look
//! at nothing but address spaces that have a notifier.
//!
//! # Who owns what
//!
//! Each watch is in at most one list at a time, which owns it. From [`Watches::add`] on it is in
//! one of `live`, by its mm; the callback moves it to `ended`. Whoever takes it out of a list,
//! [`Watches::reap`] from `ended`, [`Watches::close`] from `live` or [`Watches::clear`] from
//! either, removes the notifier, waits so for a callback that runs, and then gives its reference
//! up. A callback that finds its watch in no list leaves it to the one that took it.
//!
//! A work that handles a fault or a read, and a sampler, hold references of their own; the memory
//! lives until the last is gone, but the mm has no notifier any more.
//!
//! The locks are leaves: under them lists are changed and nothing else is done. That of `ended` is
//! taken under one of `live`, and so is that of a watcher when it is told of a read. Those of `live`
//! are taken by the probes, with interrupts or preemption off.

use super::{
    device,
    file::Identity,
    mm::Space,
    raw_spinlock::{
        new_raw_spinlock,
        RawSpinLock, //
    },
    task_work::{
        Repeated,
        RepeatedWork,
        Waiter, //
    },
};
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
        aref::ARef,
        atomic::{
            Atomic,
            AtomicFlag,
            Relaxed, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// What to do about an address space.
pub(crate) trait Watcher: Send + Sync + 'static {
    /// The mm has no users any more and still has its page tables. Runs in any task: nothing of
    /// current is to be used. May sleep; the end of the mm waits for it.
    fn ended(&self, space: &Space<'_>);

    /// Current, which runs in `space`, had a page fault at `address`, which is handled, and returns
    /// to user mode. Of faults of many threads at a time some are `missed`, from then on that is
    /// true.
    fn faulted(&self, space: &Space<'_>, address: usize, missed: bool);

    /// Current reads a file. Says whether it is to call [`Watcher::find_files`] before it returns to
    /// user mode. With preemption off and a lock held: nothing may be allocated or freed.
    fn read(&self, read: &Read) -> bool;

    /// Current brings `pages` pages of `device` to memory, from `first` on. As above.
    fn added(&self, device: device::Key, first: u64, pages: u64);

    /// Current has read a file, and returns to user mode.
    fn find_files(&self);

    /// The watches that this one was added to, which it keeps alive.
    fn home(&self) -> &Watches<Self>
    where
        Self: Sized;

    /// One more watch is to be reaped, `waiting` of them now.
    fn reap_later(&self, waiting: usize);
}

/// A part of a file that is read, with `read()` or the like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    /// The file.
    pub(crate) inode: Identity,
    /// The first page.
    pub(crate) first: u64,
    /// How many pages.
    pub(crate) pages: u64,
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
    #[pin]
    faults: [Repeated; FAULTS],
    #[pin]
    reads: [Repeated; READS],
    missed: AtomicFlag,
    mm: ARef<Mm>,
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

/// Faults of one address space that are followed up at a time: one a thread, and one of a parent
/// that waits in `vfork()`.
const FAULTS: usize = 4;

/// Reads that are followed up at a time, likewise.
const READS: usize = 4;

/// The argument of the work after a read: no address, as that after a fault.
const AFTER_READ: usize = usize::MAX;

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

    /// What is to be done about the address space.
    pub(crate) fn watcher(&self) -> &T {
        &self.watcher
    }

    /// The address space, if it still has a user.
    pub(crate) fn mm(&self) -> Option<ARef<MmWithUser>> {
        self.mm.mmget_not_zero()
    }

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
            let space = unsafe { Space::dying(mm) };
            watch.watcher.ended(&space);
        }
        watch.watcher.home().end(watch);
        true
    }

    /// Removes the notifier and gives the list's reference up.
    fn remove(this: ListArc<Self>) {
        // SAFETY: By the invariant the notifier is inserted: the watch comes from a list, and its
        // one owner is here. This is not a callback.
        unsafe { bindings::mmu_interval_notifier_remove(this.notifier.get()) };
    }
}

impl<T: Watcher> RepeatedWork for Watch<T> {
    fn run(&self, address: usize) {
        if let Some(space) = Space::of_current(&self.mm) {
            if address == AFTER_READ {
                self.watcher.find_files();
                return;
            }
            self.watcher
                .faulted(&space, address, self.missed.load(Relaxed));
        }
    }
}

/// Lists of live watches, so that few share a lock.
const BUCKETS: usize = 64;

struct Ended<T: Watcher> {
    list: List<Watch<T>>,
    waiting: usize,
}

/// All watches of one kind.
#[pin_data]
pub(crate) struct Watches<T: Watcher> {
    #[pin]
    live: [RawSpinLock<List<Watch<T>>>; BUCKETS],
    #[pin]
    ended: RawSpinLock<Ended<T>>,
    count: Atomic<u64>,
}

impl<T: Watcher> Watches<T> {
    /// None yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            live <- pin_init::pin_init_array_from_fn(|_| new_raw_spinlock!(List::new())),
            ended <- new_raw_spinlock!(Ended {
                list: List::new(),
                waiting: 0,
            }),
            count: Atomic::new(0),
        })
    }

    /// How many have not ended.
    pub(crate) fn live(&self) -> u64 {
        self.count.load(Relaxed)
    }

    fn bucket(&self, mm: *const bindings::mm_struct) -> &RawSpinLock<List<Watch<T>>> {
        // Structures of that size differ in the bits above these.
        let index = (mm.addr() >> 8) % BUCKETS;
        #[allow(clippy::indexing_slicing, reason = "the remainder is below the length")]
        &self.live[index]
    }

    /// Watches `mm`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or `EINTR` if a signal is pending.
    pub(crate) fn add(&self, mm: &MmWithUser, watcher: T) -> Result<Arc<Watch<T>>> {
        let mm: &Mm = mm;
        let watch = ListArc::pin_init(
            try_pin_init!(Watch {
                links <- ListLinks::new(),
                notifier: Opaque::uninit(),
                faults <- pin_init::pin_init_array_from_fn(|_| Repeated::new()),
                reads <- pin_init::pin_init_array_from_fn(|_| Repeated::new()),
                missed: AtomicFlag::new(false),
                mm: ARef::from(mm),
                watcher,
            }? Error),
            GFP_KERNEL,
        )?;
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
        self.count.fetch_add(1, Relaxed);
        let found = watch.clone_arc();
        // INVARIANT: It was inserted just now.
        self.bucket(mm.as_raw()).lock().push_back(watch);
        Ok(found)
    }

    /// Has current handle the fault at `address` when it returns, if `mm` is watched.
    ///
    /// Under the lock, so that the list keeps the watch: with interrupts off it must not be freed.
    pub(super) fn fault(&self, mm: *const bindings::mm_struct, address: usize, waiter: &Waiter) {
        let bucket = self.bucket(mm).lock();
        let found = bucket
            .iter()
            .find(|watch| watch.mm.as_raw().cast_const() == mm);
        if let Some(watch) = found {
            let asked = watch.faults.iter().any(|fault| {
                // SAFETY: The works are inside of the watch.
                unsafe { Repeated::ask(watch, fault, address, waiter) }
            });
            if !asked {
                watch.missed.store(true, Relaxed);
            }
        }
    }

    /// Tells the watcher of `mm`, if it is watched, that current brings pages of a device to memory.
    pub(super) fn added(
        &self,
        mm: *const bindings::mm_struct,
        device: device::Key,
        first: u64,
        pages: u64,
    ) {
        let bucket = self.bucket(mm).lock();
        let found = bucket
            .iter()
            .find(|watch| watch.mm.as_raw().cast_const() == mm);
        if let Some(watch) = found {
            watch.watcher.added(device, first, pages);
        }
    }

    /// Tells the watcher of `mm`, if it is watched, that current reads a file.
    pub(super) fn read(&self, mm: *const bindings::mm_struct, read: &Read, waiter: &Waiter) {
        let bucket = self.bucket(mm).lock();
        let found = bucket
            .iter()
            .find(|watch| watch.mm.as_raw().cast_const() == mm);
        if let Some(watch) = found.filter(|watch| watch.watcher.read(read)) {
            // If all are asked for already, whoever is the next finds this read too.
            let _ = watch.reads.iter().any(|work| {
                // SAFETY: The works are inside of the watch.
                unsafe { Repeated::ask(watch, work, AFTER_READ, waiter) }
            });
        }
    }

    /// Those live watches that `wanted` says yes to. It is called under a lock and must not sleep.
    pub(crate) fn collect(&self, wanted: impl Fn(&T) -> bool) -> Result<KVVec<Arc<Watch<T>>>> {
        let mut all = KVVec::with_capacity(self.live() as usize + BUCKETS, GFP_KERNEL)?;
        for bucket in &self.live {
            for watch in bucket.lock().iter() {
                // Those for whom there is no room any more come the next time.
                if wanted(&watch.watcher) && all.push_within_capacity(Arc::from(watch)).is_err() {
                    return Ok(all);
                }
            }
        }
        Ok(all)
    }

    /// Takes `watch` out of the live ones; [`None`] if somebody else did.
    fn take(&self, watch: &Watch<T>, live: &mut List<Watch<T>>) -> Option<ListArc<Watch<T>>> {
        // SAFETY: `live` is that of its bucket, into which a watch comes once, when it is added. It
        // is in no other list: only `end` puts it into `ended`, when its mm has no user any more,
        // so that nobody calls `close`, and `end` is called once.
        let taken = unsafe { live.remove(watch) };
        if taken.is_some() {
            self.count.fetch_sub(1, Relaxed);
        }
        taken
    }

    /// Moves a watch whose mm has ended to the list of those to reap.
    fn end(&self, watch: &Watch<T>) {
        let waiting = {
            // Both locks, so that [`Watches::clear`] finds it in one list or in the other.
            let mut live = self.bucket(watch.mm.as_raw()).lock();
            let Some(owned) = self.take(watch, &mut live) else {
                return;
            };
            let mut ended = self.ended.lock();
            ended.list.push_back(owned);
            ended.waiting = ended.waiting.saturating_add(1);
            ended.waiting
        };
        // The watch may be in another's hands now, but not freed: that waits for this callback.
        watch.watcher.reap_later(waiting);
    }

    /// Watches an address space no longer that goes on to live. It pays nothing any more.
    pub(crate) fn close(&self, watch: &Watch<T>) {
        let owned = self.take(watch, &mut self.bucket(watch.mm.as_raw()).lock());
        if let Some(owned) = owned {
            Watch::remove(owned);
        }
    }

    /// Frees the watches of address spaces that have ended.
    pub(crate) fn reap(&self) {
        loop {
            let watch = {
                let mut ended = self.ended.lock();
                ended.waiting = ended.waiting.saturating_sub(1);
                ended.list.pop_front()
            };
            match watch {
                Some(watch) => Watch::remove(watch),
                None => return,
            }
        }
    }

    /// Ends all watches. Their callbacks have returned then, and none is called any more. No watch
    /// may be added meanwhile or later.
    pub(crate) fn clear(&self) {
        for bucket in &self.live {
            loop {
                let Some(watch) = bucket.lock().pop_front() else {
                    break;
                };
                self.count.fetch_sub(1, Relaxed);
                Watch::remove(watch);
            }
        }
        self.reap();
    }
}
