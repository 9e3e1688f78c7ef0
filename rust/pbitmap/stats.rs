// SPDX-License-Identifier: GPL-2.0

//! Counters that say what the module did and what it refused, in `debugfs/pbitmap/stats`.

use super::{
    format::error::Error as FormatError,
    sys::debugfs::Show, //
};
use kernel::{
    seq_file::SeqFile,
    seq_print,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Declares an enum whose variants have a name for people and a place in a table.
macro_rules! named {
    ($(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(crate) enum $enum {
            $($(#[$doc])* $variant,)+
        }

        impl $enum {
            const NAMES: &'static [&'static str] = &[$($name,)+];
        }
    };
}

named! {
    /// What is counted. Pages and runs are counted one by one.
    Counter {
        /// 64-bit ELF files of this machine that exec looked at.
        Execs = "execs",
        /// Those with an attribute, or with the marker and a section.
        Armed = "armed",
        /// Those whose bitmap was applied.
        Used = "used",
        /// Bitmaps found in an attribute.
        UsedAttribute = "used_attribute",
        /// Bitmaps found in the folder, that were in force.
        UsedFolder = "used_folder",
        /// Pages that bitmaps named.
        PagesWanted = "pages_wanted",
        /// Pages of the planned runs that were cached already.
        PagesCached = "pages_cached",
        /// Pages that were asked for, filled gaps included.
        PagesRead = "pages_read",
        /// Runs that were asked for.
        Runs = "runs",
        /// Pages that were offered to the page tables before the first instruction.
        EarlyFaulted = "early_faulted",
        /// Programs whose page tables were read, at their end or when their start was over.
        Recordings = "recordings",
        /// Pages found then.
        RecordedPages = "recorded_pages",
        /// Of the wanted pages of recorded programs, those that were touched.
        Hits = "hits",
        /// Those that were not.
        Waste = "waste",
        /// Starts that were not prefetched because earlier ones gained nothing.
        BackedOff = "backed_off",
        /// Starts that were not recorded because all was in memory, as ever.
        Calm = "calm",
        /// Recordings that found what was stored already.
        Unchanged = "unchanged",
        /// Recordings not stored because the last one is too recent.
        RateLimited = "rate_limited",
        /// Recordings replaced by a later one of the same file before they were written.
        Superseded = "superseded",
        /// Bitmaps written.
        Writes = "writes",
        /// Those of them on behalf of a user who may not write the file.
        WritesForOthers = "writes_for_others",
        /// Those of them in the folder.
        WritesFolder = "writes_folder",
        /// Bitmaps for parts of which there was no room.
        NoRoom = "no_room",
        /// Writes that the filesystem failed.
        WriteFailed = "write_failed",
    }
}

named! {
    /// Why a bitmap was not used, not recorded or not written, where that is not the format's
    /// concern.
    Reason {
        /// The marker is set, but there is no such section (as after `strip`).
        NoSection = "no_section",
        /// The section's place or size is impossible, or it shares a page with a `PT_LOAD`.
        BadSection = "bad_section",
        /// The file could not be read.
        ReadError = "read_error",
        /// No memory, or a signal came while the recorder was set up.
        NoRecorder = "no_recorder",
        /// The user who ran the program may not write the file.
        NotWritable = "not_writable",
        /// A security module denies the write.
        Denied = "denied",
        /// The program was started in a sandbox.
        Sandboxed = "sandboxed",
        /// The mount or the filesystem is read-only.
        ReadOnly = "read_only",
        /// The filesystem is not one where writing in place is known to be safe.
        Filesystem = "filesystem",
        /// Set-user-id or set-group-id.
        Setid = "setid",
        /// It has file capabilities, or may have.
        Capabilities = "capabilities",
        /// `chattr +i` or `+a`.
        Immutable = "immutable",
        /// fs-verity.
        Verity = "verity",
        /// Swap lives in it.
        Swapfile = "swapfile",
        /// IMA measures or appraises it, or will.
        Measured = "measured",
        /// DAX: there is no page cache to fill.
        Dax = "dax",
        /// fscrypt.
        Encrypted = "encrypted",
        /// The bitmap goes to the folder, and the program has no build id.
        NoBuildId = "no_build_id",
        /// Somebody else than root could have written the folder, or a file in it.
        FolderUnsafe = "folder_unsafe",
        /// Somebody has it open for writing, or has a lease on it.
        Busy = "busy",
        /// The filesystem is frozen.
        Frozen = "frozen",
        /// There is no free block, or none for this user.
        Full = "full",
        /// The section has a hole.
        Hole = "hole",
        /// The file is another one, or has changed, since the program started.
        Changed = "changed",
        /// The program did not get to run, was dumped, or was reaped by the OOM killer.
        NotRun = "not_run",
        /// Too many recordings wait to be written.
        Backlog = "backlog",
        /// Nothing was prefetched because memory is short.
        Pressure = "pressure",
        /// Too many starts are being read for.
        Crowded = "crowded",
        /// A library is not there any more, or a link is on the way to it.
        LibraryGone = "library_gone",
        /// A library is another one, or has changed, since it was recorded.
        LibraryChanged = "library_changed",
        /// A library that the caller may not read.
        LibraryUnreadable = "library_unreadable",
        /// Metadata of another filesystem than the one that the program is on now.
        MetadataChanged = "metadata_changed",
        /// A library on, or behind, a filesystem that may not answer.
        LibraryFilesystem = "library_filesystem",
    }
}

/// A reason to refuse.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refusal {
    /// One of the module's.
    Reason(Reason),
    /// One of the format's: the bitmap is malformed, stale, and so on.
    Format(FormatError),
}

impl Refusal {
    /// The name that the counters and the log show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reason(reason) => Reason::NAMES
                .get(reason as usize)
                .copied()
                .unwrap_or_default(),
            Self::Format(error) => error.as_str(),
        }
    }

    /// Counts it.
    pub(crate) fn count(self) {
        let (table, index): (&[Atomic<u64>], usize) = match self {
            Self::Reason(reason) => (&REASONS, reason as usize),
            Self::Format(error) => (&FORMAT_ERRORS, error.index()),
        };
        if let Some(counter) = table.get(index) {
            counter.fetch_add(1, Relaxed);
        }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Reason(reason)
    }
}

impl From<FormatError> for Refusal {
    fn from(error: FormatError) -> Self {
        Self::Format(error)
    }
}

static COUNTERS: [Atomic<u64>; Counter::NAMES.len()] =
    [const { Atomic::new(0) }; Counter::NAMES.len()];
static REASONS: [Atomic<u64>; Reason::NAMES.len()] =
    [const { Atomic::new(0) }; Reason::NAMES.len()];
static FORMAT_ERRORS: [Atomic<u64>; FormatError::ALL.len()] =
    [const { Atomic::new(0) }; FormatError::ALL.len()];

impl Counter {
    /// Counts `amount` more.
    pub(crate) fn add(self, amount: u64) {
        if let Some(counter) = COUNTERS.get(self as usize) {
            counter.fetch_add(amount, Relaxed);
        }
    }
}

/// What is there now, beside what was counted.
pub(crate) trait Gauges: Send + Sync + 'static {
    /// Programs that run and will be recorded.
    fn recorders_live(&self) -> u64;
    /// Recordings that wait to be written.
    fn work_pending(&self) -> u64;
    /// Whether page faults are looked at: 0 or 1.
    fn faults_watched(&self) -> u64;
    /// Whether reads of files are looked at: 0 or 1.
    fn reads_watched(&self) -> u64;
}

/// The file `debugfs/pbitmap/stats` with these gauges.
pub(crate) struct Stats<G: Gauges>(pub(crate) G);

impl<G: Gauges> Show for Stats<G> {
    /// Writes one line a counter: its name and its value.
    fn show(&self, to: &SeqFile) {
        for (name, value) in Counter::NAMES.iter().zip(&COUNTERS) {
            seq_print!(to, "{name} {}\n", value.load(Relaxed));
        }
        for (name, value) in Reason::NAMES.iter().zip(&REASONS) {
            seq_print!(to, "refused_{name} {}\n", value.load(Relaxed));
        }
        for (error, value) in FormatError::ALL.iter().zip(&FORMAT_ERRORS) {
            seq_print!(to, "refused_{} {}\n", error.as_str(), value.load(Relaxed));
        }
        seq_print!(to, "recorders_live {}\n", self.0.recorders_live());
        seq_print!(to, "work_pending {}\n", self.0.work_pending());
        seq_print!(to, "faults_watched {}\n", self.0.faults_watched());
        seq_print!(to, "reads_watched {}\n", self.0.reads_watched());
    }
}
