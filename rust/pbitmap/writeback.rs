// SPDX-License-Identifier: GPL-2.0

//! Recordings on their way to the store.
//!
//! A recording pins its mount from the program's end until it is written, and no longer. There is
//! at most one a file in the queue: a later one takes the place of an earlier one.
//!
//! The lock of the queue is a leaf; nothing but the list is touched under it.

use super::{
    access,
    format::{
        elf::Header,
        slot::{
            rewrite_executable,
            Slot, //
        },
    },
    pages::Pages,
    policy::window,
    stats::{
        Counter,
        Reason,
        Refusal, //
    },
    store::section::{
        Buffer,
        Section,
        WriteError, //
    },
    sys::{
        cred,
        file::{
            self,
            Identity,
            InPlace,
            Inode,
            Path, //
        },
        time,
        trace,
        work::Run, //
    },
    sysctl,
};
use kernel::{
    cred::Credential,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    },
};

/// So many recordings may wait. A file that is run all the time has one at most.
const MAX_WAITING: usize = 256;

/// What a program touched, to be stored with its file.
pub(crate) struct Recording {
    /// The file.
    pub(crate) executable: Identity,
    /// When it had last been changed when the program started.
    pub(crate) last_change: u64,
    /// Where it is.
    pub(crate) path: Path,
    /// Who ran the program, and writes.
    pub(crate) user: ARef<Credential>,
    /// The pages.
    pub(crate) pages: Pages,
}

/// The queue, and the chore of writing what is in it.
#[pin_data]
pub(crate) struct Writer {
    #[pin]
    waiting: Mutex<KVVec<Recording>>,
    /// Recordings that wait or are being written.
    pending: Atomic<u64>,
}

impl Writer {
    /// Nothing to write.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            waiting <- new_mutex!(KVVec::new()),
            pending: Atomic::new(0),
        })
    }

    /// Puts `recording` in the queue. Says whether there is something to do.
    pub(crate) fn submit(&self, recording: Recording) -> bool {
        // Dropped after the lock: it puts a path.
        let dropped;
        {
            let mut waiting = self.waiting.lock();
            let same = waiting
                .iter_mut()
                .find(|other| other.executable == recording.executable);
            if let Some(other) = same {
                Counter::Superseded.add(1);
                dropped = core::mem::replace(other, recording);
            } else if waiting.len() < MAX_WAITING {
                match waiting.push(recording, GFP_KERNEL) {
                    Ok(()) => {
                        self.pending.fetch_add(1, Relaxed);
                        return true;
                    }
                    Err(_) => {
                        Refusal::from(Reason::Backlog).count();
                        return false;
                    }
                }
            } else {
                Refusal::from(Reason::Backlog).count();
                dropped = recording;
            }
        }
        drop(dropped);
        true
    }

    /// How many recordings wait or are being written.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Relaxed)
    }

    fn next(&self) -> Option<Recording> {
        let mut waiting = self.waiting.lock();
        if waiting.is_empty() {
            // A busy minute need not be paid for until the module goes.
            *waiting = KVVec::new();
            return None;
        }
        waiting.remove(0).ok()
    }
}

impl Run for Writer {
    fn run(&self) {
        while let Some(recording) = self.next() {
            let pages = recording.pages.bitmap().count() as u64;
            match write(&recording) {
                Ok(Some(generation)) => {
                    Counter::Writes.add(1);
                    trace::write(recording.executable, generation, pages, Ok(()));
                    sysctl::log!("wrote {pages} pages, generation {generation}\n");
                }
                Ok(None) => {}
                Err(WriteError::Refused(refusal)) => {
                    refusal.count();
                    sysctl::log!("not written: {}\n", refusal.name());
                }
                Err(WriteError::Failed(error)) if error == EBUSY => {
                    Refusal::from(Reason::Frozen).count();
                }
                Err(WriteError::Failed(error)) => {
                    Counter::WriteFailed.add(1);
                    trace::write(recording.executable, 0, pages, Err(error));
                    sysctl::log!("not written: error {}\n", error.to_errno());
                }
            }
            // It has let go of its mount by the time that this says so.
            drop(recording);
            self.pending.fetch_sub(1, Relaxed);
        }
    }
}

/// Writes one recording, as its user. Says which generation it became; [`None`] if it was not to
/// be written after all.
fn write(recording: &Recording) -> Result<Option<u64>, WriteError> {
    let target = InPlace::open(&recording.path, &recording.user).map_err(|error| {
        Refusal::from(if error == EROFS {
            Reason::ReadOnly
        } else {
            Reason::NotWritable
        })
    })?;
    let inode = Inode::of(target.file());
    if inode.identity() != recording.executable {
        return Err(Refusal::from(Reason::Changed).into());
    }
    {
        let _as_user = cred::Override::new(&recording.user);
        access::may_update(target.file(), &inode).map_err(Refusal::from)?;
        access::may_write_now(&recording.path).map_err(Refusal::from)?;
    }

    // The slot in force must outlast a power cut during the write of the other one. Not under the
    // lease: it may take its time.
    target.sync()?;
    let writers = target
        .hold_off_writers()
        .map_err(|_| Refusal::from(Reason::Busy))?;
    // Edited in place since the program started, it may have another program in it, which this
    // recording does not describe.
    if file::last_change(target.file()) != recording.last_change {
        return Err(Refusal::from(Reason::Changed).into());
    }
    let mut head = [0; Header::SIZE];
    file::read_exact(target.file(), 0, &mut head).map_err(|_| Refusal::from(Reason::ReadError))?;
    let header = Header::parse(&head).map_err(Refusal::from)?;
    let section = Section::find(target.file(), inode.size(), &header, &head)?
        .ok_or(Refusal::from(Reason::Changed))?;
    let mut buffers = [Buffer::new(), Buffer::new()];
    let (index, slot) = section.read(target.file(), &mut buffers)?;
    let now = time::seconds();
    if is_stored(&slot, &recording.pages) {
        Counter::Unchanged.add(1);
        return Ok(None);
    }
    let interval = u64::from(sysctl::update_interval());
    if !window::is_due(slot.header().updated, now, interval) {
        Counter::RateLimited.add(1);
        return Ok(None);
    }
    let mut next = KVVec::from_elem(0, section.slot_size(), GFP_KERNEL).map_err(Error::from)?;
    rewrite_executable(&slot, &mut next, recording.pages.as_bytes(), now).map_err(Refusal::from)?;
    section.write_beside(&target, index, &next, &writers)?;
    Ok(Some(slot.header().generation.saturating_add(1)))
}

/// Whether the slot has these pages already.
fn is_stored(slot: &Slot<'_>, pages: &Pages) -> bool {
    slot.default_profile()
        .and_then(|profile| slot.executable(&profile)?.plane(0))
        .is_some_and(|plane| plane.same_bits(&pages.bitmap()))
}
