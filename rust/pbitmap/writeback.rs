// SPDX-License-Identifier: GPL-2.0

//! Recordings on their way to the store.
//!
//! A recording pins its mount from the program's end until it is written, and no longer. There is
//! at most one a file and mode in the queue: a later one takes the place of an earlier one.
//!
//! The lock of the queue is a leaf; nothing but the list is touched under it.

use super::{
    access::{
        self,
        Account,
        Permit, //
    },
    capture::Capture,
    format::{
        elf::Header,
        slot::SlotHeader,
        update::{
            self,
            Run, //
        },
    },
    launch::Launch,
    policy::window,
    programs::{
        Device,
        Programs, //
    },
    recorder,
    stats::{
        Counter,
        Reason,
        Refusal, //
    },
    store::{
        self,
        folder::Folder,
        section::Section,
        xattr,
        Loaded,
        Place,
        WriteError, //
    },
    sys::{
        cred,
        file::{
            self,
            InPlace,
            Inode, //
        },
        time,
        trace,
        work, //
    },
    sysctl,
};
use kernel::{
    alloc::kvec::PushError,
    cred::Credential,
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
};

/// So many recordings may wait. A file that is run all the time has one at most.
const MAX_WAITING: usize = 256;

/// What a program touched, to be stored with its file.
pub(crate) struct Recording {
    /// The start that was recorded.
    pub(crate) launch: Arc<Launch>,
    /// How it may be written.
    pub(crate) permit: Permit,
    /// What was touched, and where the executable is.
    pub(crate) capture: Capture,
    /// Pages that were wanted.
    pub(crate) wanted: u64,
    /// Those of them that were touched.
    pub(crate) hits: u64,
    /// Whether it was looked at what the program read.
    pub(crate) saw_reads: bool,
}

impl Recording {
    fn run(&self) -> Run<'_> {
        Run {
            key: self.launch.mode.key(),
            merge: recorder::merge(),
            wanted: self.wanted.try_into().unwrap_or(u32::MAX),
            hits: self.hits.try_into().unwrap_or(u32::MAX),
            now: time::seconds(),
            saw_reads: self.saw_reads,
        }
    }

    /// Whether a later recording of the same mode of the same file makes this one needless.
    fn is_like(&self, other: &Self) -> bool {
        let (own, others) = (self.launch.mode.key(), other.launch.mode.key());
        self.launch.executable == other.launch.executable
            && own.kind == others.kind
            && own.bytes == others.bytes
    }
}

/// The queue, and the chore of writing what is in it.
#[pin_data]
pub(crate) struct Writer {
    #[pin]
    waiting: Mutex<KVVec<Recording>>,
    /// Recordings that wait or are being written.
    pending: Atomic<u64>,
    programs: Arc<Programs>,
    kernel: ARef<Credential>,
}

impl Writer {
    /// Nothing to write. What is not written as its user is written as `kernel`.
    pub(crate) fn new(programs: Arc<Programs>, kernel: ARef<Credential>) -> impl PinInit<Self> {
        pin_init!(Self {
            waiting <- new_mutex!(KVVec::new()),
            pending: Atomic::new(0),
            programs,
            kernel,
        })
    }

    /// Puts `recording` in the queue.
    pub(crate) fn submit(&self, recording: Recording) {
        // Dropped after the lock: it puts a path.
        let dropped;
        {
            let mut waiting = self.waiting.lock();
            let same = waiting.iter_mut().find(|other| other.is_like(&recording));
            if let Some(other) = same {
                Counter::Superseded.add(1);
                dropped = core::mem::replace(other, recording);
            } else if waiting.len() < MAX_WAITING && waiting.reserve(1, GFP_KERNEL).is_ok() {
                match waiting.push_within_capacity(recording) {
                    Ok(()) => {
                        self.pending.fetch_add(1, Relaxed);
                        return;
                    }
                    Err(PushError(recording)) => dropped = recording,
                }
            } else {
                Refusal::from(Reason::Backlog).count();
                dropped = recording;
            }
        }
        drop(dropped);
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

impl work::Run for Writer {
    fn run(&self) {
        while let Some(recording) = self.next() {
            let executable = recording.launch.executable;
            let pages = recording.capture.pages();
            let reason = match self.write(&recording) {
                Ok(Written::Generation(generation)) => {
                    count_write(&recording);
                    trace::write(executable, generation, pages, Ok(()));
                    sysctl::log!("wrote {pages} pages, generation {generation}\n");
                    None
                }
                Ok(Written::Not(reason)) => Some(reason),
                Err(WriteError::Refused(refusal)) => {
                    refusal.count();
                    sysctl::log!("not written: {}\n", refusal.name());
                    Some(refusal.name())
                }
                Err(WriteError::Failed(error)) => {
                    Counter::WriteFailed.add(1);
                    trace::write(executable, 0, pages, Err(error));
                    sysctl::log!("not written: error {}\n", error.to_errno());
                    Some("write_failed")
                }
            };
            match reason {
                None => self.programs.written(&executable),
                Some(reason) => self.programs.not_written(&executable, reason),
            }
            // It has let go of its mount by the time that this says so.
            drop(recording);
            self.pending.fetch_sub(1, Relaxed);
        }
    }
}

/// What became of a recording.
enum Written {
    /// It is in the store, with this generation.
    Generation(u64),
    /// It was not to be written after all.
    Not(&'static str),
}

impl Writer {
    /// Writes one recording.
    fn write(&self, recording: &Recording) -> Result<Written, WriteError> {
        let cred = match recording.permit.account {
            Account::User => &recording.launch.user,
            Account::Kernel => &self.kernel,
        };
        match recording.permit.place {
            Place::Attribute => to_attribute(recording, cred),
            Place::Section => to_section(recording, cred),
            Place::Folder => to_folder(recording, &self.kernel),
        }
    }
}

/// Counts what was written, and says so if its user could not have done it.
fn count_write(recording: &Recording) {
    let Permit { place, account } = recording.permit;
    Counter::Writes.add(1);
    if place == Place::Folder {
        Counter::WritesFolder.add(1);
    }
    if account == Account::Kernel {
        Counter::WritesForOthers.add(1);
        let launch = &recording.launch;
        pr_info!(
            "bitmap of inode {} on device {} updated on behalf of user {}\n",
            launch.executable.ino,
            Device(launch.executable.dev),
            cred::user(&launch.user)
        );
    }
}

/// Writes one recording to the section, as `cred`.
fn to_section(recording: &Recording, cred: &Credential) -> Result<Written, WriteError> {
    let launch = &recording.launch;
    let path = &recording.capture.executable;
    let target = InPlace::open(path, cred).map_err(|error| match error {
        EAGAIN => Reason::Busy,
        _ => Reason::NotWritable,
    })?;
    // The slot in force must outlast a power cut during the write of the other one. That may take
    // its time: so neither under the lease, nor after what may change meanwhile.
    file::sync(target.file())?;
    let inode = Inode::of(target.file());
    check(recording, &inode)?;
    let writers = target.hold_off_writers().map_err(|_| Reason::Busy)?;
    // Edited in place since the program started, it may have another program in it, which this
    // recording does not describe.
    if file::last_change(target.file()) != launch.last_change {
        return Err(Reason::Changed.into());
    }
    let mut head = [0; Header::SIZE];
    file::read_exact(target.file(), 0, &mut head).map_err(|_| Reason::ReadError)?;
    let header = Header::parse(&head).map_err(Refusal::from)?;
    let section = store::with_program_headers(target.file(), &header, &head, |phdrs| {
        Section::find(target.file(), inode.size(), &header, phdrs)
    })?
    .ok_or(Reason::Changed)?;
    let (index, loaded) = section.read(target.file())?;
    write_next(recording, &loaded, |next| {
        section.write_beside(&target, index, next, &writers)?;
        Ok(true)
    })
}

/// Writes one recording to the attribute, as `cred`.
fn to_attribute(recording: &Recording, cred: &Credential) -> Result<Written, WriteError> {
    let path = &recording.capture.executable;
    check(recording, &path.inode())?;
    let value = xattr::of_path(path)?.ok_or(Reason::Changed)?;
    let unpacked = xattr::unpack(&value, &recording.launch.stored.identity)?;
    write_next(recording, &unpacked.slot, |next| {
        let _as_writer = cred::Override::new(cred);
        xattr::write(path, &unpacked, next)
    })
}

/// Writes one recording to the folder, as `kernel`.
fn to_folder(recording: &Recording, kernel: &Credential) -> Result<Written, WriteError> {
    let stored = &recording.launch.stored;
    check(recording, &recording.capture.executable.inode())?;
    let folder = Folder::configured().ok_or(Reason::Changed)?;
    let _as_kernel = cred::Override::new(kernel);
    let trusted =
        recording.permit.account == Account::Kernel || cred::user(&recording.launch.user) == 0;
    let target = folder.target(stored, trusted)?;
    let base = match &target.current {
        Some((_, current)) => current,
        None => &stored.loaded,
    };
    write_next(recording, base, |next| {
        target.write(next)?;
        Ok(true)
    })
}

/// Checks that the executable, with this `inode` now, is the one that was recorded, and that its
/// user may still have it updated.
fn check(recording: &Recording, inode: &Inode) -> Result<(), WriteError> {
    let launch = &recording.launch;
    let path = &recording.capture.executable;
    if !launch.is_of(inode) {
        return Err(Reason::Changed.into());
    }
    let _as_user = cred::Override::new(&launch.user);
    let permit = access::may_update(path, inode, launch.stored.travels, true)?;
    access::may_write_now(path, permit.place)?;
    if permit != recording.permit {
        return Err(Reason::Changed.into());
    }
    Ok(())
}

/// Has `write` store the slot that follows `old`, unless there is nothing to store. It says whether
/// there was.
fn write_next(
    recording: &Recording,
    old: &Loaded,
    write: impl FnOnce(&[u8]) -> Result<bool, WriteError>,
) -> Result<Written, WriteError> {
    let slot = old.slot()?;
    let run = recording.run();
    if update::is_stored(&slot, &run, recording.capture.files()) {
        Counter::Unchanged.add(1);
        return Ok(Written::Not("unchanged"));
    }
    let interval = recording.permit.interval();
    if !window::is_due(slot.header().updated, run.now, interval) {
        Counter::RateLimited.add(1);
        return Ok(Written::Not("rate_limited"));
    }
    let size = slot.header().slot_size as usize;
    let mut next = KVVec::from_elem(0, size, GFP_KERNEL).map_err(Error::from)?;
    let report =
        update::update(&slot, &mut next, &run, recording.capture.files()).map_err(Refusal::from)?;
    if !write(&next)? {
        Counter::Unchanged.add(1);
        return Ok(Written::Not("unchanged"));
    }
    if report.files_dropped != 0 || report.files_truncated != 0 || report.profiles_dropped != 0 {
        Counter::NoRoom.add(1);
    }
    let header = SlotHeader::parse(&next).map_err(Refusal::from)?;
    Ok(Written::Generation(header.generation))
}
