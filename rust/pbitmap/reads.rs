// SPDX-License-Identifier: GPL-2.0

//! What a program reads and its page tables do not show: files, and blocks of metadata.
//!
//! The [probe](super::sys::probe) tells of each read that a recorded program does, by the inode and
//! the pages. Of an inode that is not known yet current looks for the file on its way out of the
//! call, when it is still in the table of descriptors, and remembers its path. Reads of a known one
//! set bits, at once. So a file that another thread closes meanwhile is missed.
//!
//! What a program maps, and unmaps before its page tables are read, as a compiler does with the
//! metadata of libraries, is taken for read where it had page faults.
//!
//! # What is not recorded
//!
//! Files that were opened for writing too, or that are on a filesystem whose files are not read
//! ahead. And what not everybody may read: whoever may read the program may read its bitmap, and
//! there the path, which is data rather than a part of the program.
//!
//! # Metadata
//!
//! Looking files up, and finding their blocks, makes the filesystem read blocks of its device, each
//! of which comes to the page cache of the device on the way. Those that the program's own tasks
//! bring are noted; what becomes of them is in [`metadata`](super::metadata).
//!
//! # Lock order
//!
//! The lock is taken by the probe, with preemption off and under that of the list of watches; so
//! under it nothing is allocated, freed, or waited for.

use super::{
    capture::{
        MAX_BITS,
        MAX_PAGES, //
    },
    filesystem,
    format::{
        slot::FileIdentity,
        MAX_PATH, //
    },
    launch,
    order::AROUND,
    pages::Pages,
    sys::{
        device,
        file::{
            self,
            Identity,
            Inode,
            Path, //
        },
        mm::{
            Area,
            Span, //
        },
        raw_spinlock::{
            new_raw_spinlock,
            RawSpinLock, //
        },
        watch::Read,
        PAGE_SIZE, //
    },
};
use kernel::{
    alloc::kvec::PushError,
    fs::{
        file::flags::{
            O_ACCMODE,
            O_RDONLY, //
        },
        File, //
    },
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Files of one program that are remembered, and no more read ones are recorded.
const MAX_FILES: usize = 256;

/// Reads of files that are looked for at a time: one a thread.
const MAX_WAITING: usize = 32;

/// Pages of one file that are recorded. Of what is read from end to end the kernel itself is far
/// ahead by then.
const MAX_READ: u64 = 2048;

/// Most pages of one read that are noted at once: those of as many huge pages as one is told of. A
/// longer read comes by again for the rest.
const MAX_AT_ONCE: u64 = 16384;

/// A file that a program read, or that it mapped.
pub(crate) struct ReadFile {
    /// Which inode it is.
    pub(crate) inode: Identity,
    /// From the program's root.
    pub(crate) path: KVec<u8>,
    /// What it was when it was first read.
    pub(crate) identity: FileIdentity,
    /// The pages that were read; none of a file that is not recorded.
    pub(crate) read: Noted,
    /// Those around its page faults. They count if nothing of it is mapped in the end: then the
    /// page tables do not tell which of these were touched.
    pub(crate) faulted: Noted,
    /// When it was first read: the program's page faults until then.
    pub(crate) clock: u32,
}

/// Pages of a file, about [`MAX_READ`] of them at most.
#[derive(Default)]
pub(crate) struct Noted {
    pub(crate) pages: Pages,
    count: u64,
}

impl Noted {
    fn none_of(pages: u64) -> Result<Self> {
        Ok(Self {
            pages: Pages::charged(pages as usize)?,
            count: 0,
        })
    }

    fn add(&mut self, first: u64, pages: u64) {
        if self.count < MAX_READ {
            let new = self.pages.add(first, pages.min(MAX_AT_ONCE));
            self.count = self.count.saturating_add(new);
        }
    }
}

/// Runs of blocks that are noted; a folder or a table of inodes is one or a few.
const MAX_RUNS: usize = 128;

struct State {
    waiting: [Option<Read>; MAX_WAITING],
    files: KVVec<KBox<ReadFile>>,
    /// Pages of the device: the first and one past the last of each run.
    metadata: KVVec<(u64, u64)>,
    /// The recording is over.
    is_over: bool,
}

/// What one program reads.
#[pin_data]
pub(crate) struct Reads {
    /// The one under the program's filesystem.
    device: Option<device::Key>,
    /// Page faults so far.
    clock: Atomic<u32>,
    /// Pages of all files that were looked at.
    bits: Atomic<u64>,
    #[pin]
    state: RawSpinLock<State>,
}

impl Reads {
    /// Nothing yet, of a program on `device`.
    pub(crate) fn new(device: Option<device::Key>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            device,
            clock: Atomic::new(0),
            bits: Atomic::new(0),
            state <- new_raw_spinlock!(State {
                waiting: [None; MAX_WAITING],
                files: KVVec::with_capacity(MAX_FILES, GFP_KERNEL)?,
                metadata: KVVec::with_capacity(MAX_RUNS, GFP_KERNEL)?,
                is_over: false,
            }),
        }? Error)
    }

    /// The program had a page fault.
    pub(crate) fn tick(&self) {
        self.clock.fetch_add(1, Relaxed);
    }

    /// Notes that pages of a device came to memory.
    pub(crate) fn note_added(&self, device: device::Key, first: u64, pages: u64) {
        if self.device != Some(device) {
            return;
        }
        let end = first.saturating_add(pages);
        let mut state = self.state.lock();
        if state.is_over {
            return;
        }
        match state.metadata.last_mut() {
            Some((_, last)) if *last == first => *last = end,
            // Those for which there is no room are read as before.
            _ => drop(state.metadata.push_within_capacity((first, end))),
        }
    }

    /// Notes a read. Says whether its file is to be looked for, with [`Reads::find_files`].
    pub(crate) fn note(&self, read: &Read) -> bool {
        let mut state = self.state.lock();
        if state.is_over || state.is_noted(read) {
            return false;
        }
        if let Some(free) = state.waiting.iter_mut().find(|free| free.is_none()) {
            *free = Some(*read);
        }
        true
    }

    /// Looks for the files of what was noted; to be called by a task that has them open.
    pub(crate) fn find_files(&self) {
        while let Some(read) = self.next_waiting() {
            let described = match file::open_in_current(&read.inode) {
                Some(file) => self.describe(read.inode, &file),
                // Its next read need not have all descriptors gone through once more.
                None => self.unknown(read.inode),
            };
            self.add(described, |known| known.read.add(read.first, read.pages));
        }
    }

    /// Notes a page fault at `address`, on a file that is mapped there.
    pub(crate) fn note_fault(&self, area: &Area, address: usize) {
        let file = area.file();
        let inode = Inode::of(file).identity();
        let (first, pages) = around(area.span(), address);
        {
            let mut state = self.state.lock();
            if let Some(known) = state.file(inode) {
                known.faulted.add(first, pages);
                return;
            }
            if state.is_over || state.is_full() {
                return;
            }
        }
        let described = self.describe(inode, file);
        self.add(described, |known| known.faulted.add(first, pages));
    }

    fn next_waiting(&self) -> Option<Read> {
        let mut state = self.state.lock();
        loop {
            let read = state.waiting.iter_mut().find_map(Option::take)?;
            if !state.is_over && !state.is_noted(&read) {
                return Some(read);
            }
        }
    }

    /// Remembers a file, and that of it which `note` notes. Without memory it is not recorded.
    fn add(&self, described: Result<KBox<ReadFile>>, note: impl Fn(&mut ReadFile)) {
        let Ok(mut file) = described else { return };
        note(&mut file);
        let mut state = self.state.lock();
        let refused = match (state.is_over, state.file(file.inode)) {
            (true, _) => Some(file),
            // Another thread was faster.
            (false, Some(known)) => {
                note(known);
                Some(file)
            }
            (false, None) => {
                let pushed = state.files.push_within_capacity(file);
                pushed.err().map(|PushError(file)| file)
            }
        };
        drop(state);
        // Freed here, without the lock.
        drop(refused);
    }

    /// What there is to know of `file`, which current has open or mapped and whose inode this is.
    fn describe(&self, inode: Identity, file: &File) -> Result<KBox<ReadFile>> {
        let now = Inode::of(file);
        let mut path = KVec::new();
        let mut pages = 0;
        let is_wanted = file.flags() & O_ACCMODE == O_RDONLY
            && !now.is_unlinked()
            && !now.is_dax()
            && filesystem::is_local(file::data_filesystem(file));
        if is_wanted {
            let mut buffer = KVec::from_elem(0u8, MAX_PATH, GFP_KERNEL)?;
            let root = Path::root_of(kernel::current!());
            if let Ok(name) = Path::of(file).public_name(root.as_ref(), &mut buffer) {
                path.extend_from_slice(name, GFP_KERNEL)?;
                pages = now.size().div_ceil(PAGE_SIZE as u64).min(MAX_PAGES);
            }
        }
        let used = self.bits.fetch_add(pages, Relaxed).saturating_add(pages);
        if used > MAX_BITS {
            self.bits.fetch_sub(pages, Relaxed);
            pages = 0;
        }
        let described = ReadFile {
            inode,
            path,
            identity: launch::identity_of(&now),
            read: Noted::none_of(pages)?,
            faulted: Noted::none_of(pages)?,
            clock: self.clock.load(Relaxed),
        };
        Ok(KBox::new(described, GFP_KERNEL_ACCOUNT)?)
    }

    /// A file that is not recorded.
    fn unknown(&self, inode: Identity) -> Result<KBox<ReadFile>> {
        let unknown = ReadFile {
            inode,
            path: KVec::new(),
            identity: FileIdentity::default(),
            read: Noted::default(),
            faulted: Noted::default(),
            clock: self.clock.load(Relaxed),
        };
        Ok(KBox::new(unknown, GFP_KERNEL_ACCOUNT)?)
    }

    /// How many pages were read so far, or were around page faults: of what a program unmaps the
    /// latter is all that there is, and of what it does not it grows with what is mapped.
    pub(crate) fn pages(&self) -> u64 {
        let state = self.state.lock();
        state
            .files
            .iter()
            .map(|file| file.read.count.saturating_add(file.faulted.count))
            .fold(0, u64::saturating_add)
    }

    /// What there is. More is not recorded.
    pub(crate) fn take(&self) -> Taken {
        let mut state = self.state.lock();
        state.is_over = true;
        Taken {
            files: core::mem::take(&mut state.files),
            metadata: core::mem::take(&mut state.metadata),
        }
    }
}

/// What a program has read.
#[derive(Default)]
pub(crate) struct Taken {
    /// The files, in the order in which they were read first.
    pub(crate) files: KVVec<KBox<ReadFile>>,
    /// Runs of pages of the device: the first and one past the last.
    pub(crate) metadata: KVVec<(u64, u64)>,
}

impl State {
    fn file(&mut self, inode: Identity) -> Option<&mut ReadFile> {
        // Mostly it is the one that came last.
        let mut files = self.files.iter_mut().rev();
        files
            .find(|file| file.inode == inode)
            .map(|file| &mut **file)
    }

    fn is_full(&self) -> bool {
        self.files.len() >= MAX_FILES
    }

    /// Notes `read` if its file is known, or if there is no room for another one.
    fn is_noted(&mut self, read: &Read) -> bool {
        if let Some(file) = self.file(read.inode) {
            file.read.add(read.first, read.pages);
            return true;
        }
        self.is_full()
    }
}

/// The first and the number of the pages that the kernel maps with that at `address`, if they are
/// cached, as far as they are mapped in `span`: [`AROUND`] of them, aligned in memory. That another
/// start, at other addresses, finds the same, they are those of the file's own such blocks.
fn around(span: &Span, address: usize) -> (u64, u64) {
    let block = AROUND as usize * PAGE_SIZE;
    let start = span.start.max(address & !block.saturating_sub(1));
    let last = span.end.min(start.saturating_add(block)).saturating_sub(1);
    let first = span.page_at(start) & !(AROUND - 1);
    let past = (span.page_at(last) | (AROUND - 1)).saturating_add(1);
    (first, past.saturating_sub(first))
}
