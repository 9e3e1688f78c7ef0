// SPDX-License-Identifier: GPL-2.0

//! One start of a program: what was stored about it, and what is to be had ready for it.
//!
//! A launch holds no reference on a file or a mount, so that a program that runs keeps nothing from
//! going.

use super::{
    access::Permit,
    format::{
        bitmap::Bitmap,
        metadata::{
            part_of,
            MAX_PAGES,
            PART_PAGES, //
        },
        slot::{
            FileIdentity,
            Slot, //
        },
        turns::Turns,
    },
    mode::Mode,
    pages::Pages,
    policy::plan::Part,
    policy::profile,
    prefetch::Wish,
    stats::{
        Reason,
        Refusal, //
    },
    store::Stored,
    sys::file::{
        Identity,
        Inode, //
    },
    sysctl, //
};
use kernel::{
    alloc::AllocError,
    cred::Credential,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
    },
    task::Task, //
};

/// A file whose pages a start needs, or a part of the device with metadata that it needs.
pub(crate) struct Known {
    /// Its path from the program's root, with a zero byte at the end; empty for the executable. Of
    /// metadata what stands for one.
    path: KVec<u8>,
    /// What it was when it was recorded; of the executable, what it is.
    identity: FileIdentity,
    /// The pages.
    wanted: Pages,
    /// The first page of its private data, or 0.
    data_page: u32,
    /// When its parts are needed.
    turns: Turns,
    /// Nothing of it was mapped.
    is_read: bool,
    /// Which part of the device, if it is metadata.
    part: Option<u64>,
}

impl Known {
    /// Its path from the program's root; [`None`] for the executable.
    pub(crate) fn path(&self) -> Option<&CStr> {
        if self.path.is_empty() {
            return None;
        }
        CStr::from_bytes_with_nul(&self.path).ok()
    }

    /// The pages that are wanted.
    pub(crate) fn wanted(&self) -> Bitmap<'_> {
        self.wanted.bitmap()
    }

    /// Whether it was only read, not mapped.
    pub(crate) fn is_read(&self) -> bool {
        self.is_read
    }

    /// The first page of its private data, or 0.
    pub(crate) fn data_page(&self) -> u64 {
        self.data_page.into()
    }

    /// Whether it is known when its parts are needed.
    pub(crate) fn has_turns(&self) -> bool {
        self.turns.are_known()
    }

    /// Whether something is wanted of what has this turn.
    pub(crate) fn is_wanted_in(&self, turn: u8) -> bool {
        let wanted = self.wanted();
        self.turns.ranges(turn, wanted.len() as u64).any(|range| {
            wanted
                .next_set(range.start as usize)
                .is_some_and(|page| (page as u64) < range.end)
        })
    }

    /// The pages of this part, as they are asked for.
    pub(crate) fn wish(&self, part: Part) -> Wish<'_> {
        Wish {
            bitmap: self.wanted(),
            first_page: self.first_page().unwrap_or(0),
            data_page: self.data_page(),
            turns: self.turns,
            part,
        }
    }

    /// Whether `inode` is the file, unchanged.
    pub(crate) fn is(&self, inode: &Inode) -> bool {
        self.part.is_none() && self.identity.is_met_by(&identity_of(inode))
    }

    /// The page of the device that the first of its pages is, if it is metadata.
    pub(crate) fn first_page(&self) -> Option<u64> {
        self.part?.checked_mul(PART_PAGES.into())
    }

    /// Whether it is of the device with this identity.
    pub(crate) fn is_on(&self, device: &FileIdentity) -> bool {
        self.identity.is_met_by(device)
    }
}

/// One start.
pub(crate) struct Launch {
    /// The file that is executed.
    pub(crate) executable: Identity,
    /// When that file had last been changed.
    pub(crate) last_change: u64,
    /// What was stored for it.
    pub(crate) stored: Stored,
    /// The mode that it is started in.
    pub(crate) mode: Mode,
    /// The files, the executable first.
    pub(crate) files: KVVec<Known>,
    /// Who started it.
    pub(crate) user: ARef<Credential>,
    /// The task that runs it at first.
    pub(crate) task: ARef<Task>,
    /// Whether and how its user may have the bitmap updated.
    pub(crate) permit: Result<Permit, Reason>,
    /// Pages that were in memory, and pages that were read for it.
    cached: Atomic<u64>,
    asked: Atomic<u64>,
    over: Atomic<u32>,
}

impl Launch {
    /// The start of an executable with this `inode`; `files` is what [`wanted_files`] found.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn new(
        inode: &Inode,
        last_change: u64,
        stored: Stored,
        mode: Mode,
        files: KVVec<Known>,
        user: ARef<Credential>,
        task: ARef<Task>,
        permit: Result<Permit, Reason>,
    ) -> Self {
        Self {
            executable: inode.identity(),
            last_change,
            stored,
            mode,
            files,
            user,
            task,
            permit,
            cached: Atomic::new(0),
            asked: Atomic::new(0),
            over: Atomic::new(0),
        }
    }

    /// The file with this inode, if it is one of those.
    pub(crate) fn file(&self, inode: &Inode) -> Option<&Known> {
        let identity = identity_of(inode);
        self.files
            .iter()
            .find(|known| known.part.is_none() && known.identity.is_met_by(&identity))
    }

    /// Whether `inode` is the executable, with the same content.
    pub(crate) fn is_of(&self, inode: &Inode) -> bool {
        self.executable == inode.identity() && self.files.first().is_some_and(|own| own.is(inode))
    }

    /// Nothing need be read for it any more.
    pub(crate) fn end(&self) {
        self.over.store(1, Relaxed);
    }

    /// Whether the program has ended, or its start.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Relaxed) != 0
    }

    /// So many pages were in memory and so many were asked for.
    pub(crate) fn count(&self, cached: u64, asked: u64) {
        self.cached.fetch_add(cached, Relaxed);
        self.asked.fetch_add(asked, Relaxed);
    }

    /// What was counted: pages in memory, pages asked for.
    pub(crate) fn counted(&self) -> (u64, u64) {
        (self.cached.load(Relaxed), self.asked.load(Relaxed))
    }

    /// Pages that are wanted, of all files.
    pub(crate) fn wanted(&self) -> u64 {
        self.files
            .iter()
            .map(|known| known.wanted.bitmap().count() as u64)
            .fold(0, u64::saturating_add)
    }
}

/// The files of the profile of `slot` for `mode`, with the pages that are wanted of them. The
/// executable, with this `inode`, comes first even if nothing is wanted of it.
pub(crate) fn wanted_files(
    slot: &Slot<'_>,
    mode: &Mode,
    inode: &Inode,
) -> Result<KVVec<Known>, Refusal> {
    let no_memory = |_: AllocError| Refusal::from(Reason::NoRecorder);
    let mut files = KVVec::new();
    let own = Known {
        path: KVec::new(),
        identity: identity_of(inode),
        wanted: Pages::empty(0).map_err(no_memory)?,
        data_page: 0,
        turns: Turns::default(),
        is_read: false,
        part: None,
    };
    files.push(own, GFP_KERNEL_ACCOUNT).map_err(no_memory)?;
    let Some(choice) = profile::choose(slot, &mode.key()) else {
        return Ok(files);
    };
    let slurp = sysctl::slurp() != 0;
    let with_reads = sysctl::reads() != 0;
    let mut metadata_left = MAX_PAGES as usize;
    for (file, wanted) in choice.files(slot) {
        let part = part_of(file.path());
        if !with_reads && (file.is_read() || part.is_some()) {
            continue;
        }
        if part.is_some() {
            let count = wanted.count();
            let is_sound = wanted.len() <= PART_PAGES as usize;
            if !is_sound || count == 0 || count > metadata_left {
                continue;
            }
            metadata_left = metadata_left.saturating_sub(count);
        }
        let slurp = slurp && part.is_none();
        let mut pages = Pages::charged(wanted.len()).map_err(no_memory)?;
        for (index, word) in pages.words_mut().iter_mut().enumerate() {
            *word = if slurp { u64::MAX } else { wanted.word(index) };
        }
        if file.path().is_empty() {
            if let Some(own) = files.first_mut() {
                own.wanted = pages;
                own.data_page = file.record.data_page;
                own.turns = file.turns();
            }
            continue;
        }
        if file.path().contains(&0) || file.record.first_page != 0 {
            continue;
        }
        let path = terminated(file.path()).map_err(no_memory)?;
        let known = Known {
            path,
            identity: file.identity(),
            wanted: pages,
            data_page: file.record.data_page,
            turns: file.turns(),
            is_read: file.is_read(),
            part,
        };
        files.push(known, GFP_KERNEL_ACCOUNT).map_err(no_memory)?;
    }
    Ok(files)
}

/// `bytes` and a zero byte.
fn terminated(bytes: &[u8]) -> Result<KVec<u8>, AllocError> {
    let mut copy = KVec::with_capacity(bytes.len().saturating_add(1), GFP_KERNEL_ACCOUNT)?;
    copy.extend_from_slice(bytes, GFP_KERNEL_ACCOUNT)?;
    copy.push(0, GFP_KERNEL_ACCOUNT)?;
    Ok(copy)
}

/// The identity of a file as it is stored.
pub(crate) fn identity_of(inode: &Inode) -> FileIdentity {
    let identity = inode.identity();
    let (mtime_sec, mtime_nsec) = inode.mtime();
    FileIdentity {
        dev: identity.dev,
        ino: identity.ino,
        generation: identity.generation,
        size: inode.size(),
        mtime_sec,
        mtime_nsec,
        ..FileIdentity::default()
    }
}
