// SPDX-License-Identifier: GPL-2.0

//! One subscription for each program that is recorded: from exec until its end.
//!
//! A recorder holds no reference on the file, the mount or the module, so that a program that runs
//! keeps nothing from going; it knows the inode by its identity. When the mm ends, its page tables
//! are read; what differs from the stored bitmap is handed to the [`Writer`], and the recorder
//! waits in a list for the [`Reaper`], because a notifier cannot be removed from its callback.

use super::{
    capture,
    pages::Pages,
    policy::window,
    stats::{
        Counter,
        Reason,
        Refusal, //
    },
    sys::{
        file::{
            Identity,
            Inode,
            Path, //
        },
        mm::Dying,
        time, trace,
        watch::{
            Watcher,
            Watches, //
        },
        work::{
            Chore,
            Run, //
        },
    },
    sysctl,
    writeback::{
        Recording,
        Writer, //
    },
};
use kernel::{
    cred::Credential,
    mm::MmWithUser,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};

/// Ended recorders are freed after so many milliseconds, together, off the path of exit.
const REAP_DELAY: u32 = 200;

/// So many ended recorders are freed at once: each keeps a `struct mm_struct`.
const REAP_AT: usize = 64;

/// What is known of a program when it starts.
pub(crate) struct Start {
    /// The file it was started from.
    pub(crate) executable: Identity,
    /// When that file had last been changed.
    pub(crate) last_change: u64,
    /// The pages that were stored then, of which there can be as many as the record has room for.
    pub(crate) stored: Arc<Pages>,
    /// When they were stored, in seconds since the epoch.
    pub(crate) updated: u64,
    /// Who started it.
    pub(crate) user: ARef<Credential>,
}

/// A program that is recorded.
pub(crate) struct Recorder {
    start: Start,
    reaper: Arc<Chore<Reaper>>,
    writer: Arc<Chore<Writer>>,
}

impl Recorder {
    /// Records the program that will run in `mm`.
    pub(crate) fn watch(
        mm: &MmWithUser,
        start: Start,
        reaper: &Arc<Chore<Reaper>>,
        writer: &Arc<Chore<Writer>>,
    ) -> Result {
        let recorder = Self {
            start,
            reaper: reaper.clone(),
            writer: writer.clone(),
        };
        reaper.subject().recorders.add(mm, recorder)
    }

    /// Reads the page tables. [`None`] if there is nothing to store.
    fn record(&self, mm: &Dying) -> Result<Option<Recording>, Refusal> {
        if sysctl::enabled() == 0 {
            return Ok(None);
        }
        // An exec that failed ends with another file or none, or before the program ran.
        let Some(file) = mm.executable() else {
            return Ok(None);
        };
        let inode = Inode::of(file);
        let identity = inode.identity();
        if identity != self.start.executable {
            return Ok(None);
        }
        if inode.is_unlinked() {
            // Nobody will start it again, and a write would only keep its mount busy.
            return Err(Reason::Changed.into());
        }
        if !mm.ran() {
            return Err(Reason::NotRun.into());
        }
        let stored = self.start.stored.bitmap();
        let pages = capture::executable(mm, file, stored.len()).map_err(|_| Reason::NoRecorder)?;
        let count = pages.bitmap().count() as u64;
        let changed = !pages.bitmap().same_bits(&stored);
        Counter::Recordings.add(1);
        Counter::RecordedPages.add(count);
        trace::record(identity, count, changed);
        if !changed {
            Counter::Unchanged.add(1);
            return Ok(None);
        }
        let interval = u64::from(sysctl::update_interval());
        if !window::is_due(self.start.updated, time::seconds(), interval) {
            Counter::RateLimited.add(1);
            return Ok(None);
        }
        Ok(Some(Recording {
            executable: identity,
            last_change: self.start.last_change,
            path: Path::of(file),
            user: self.start.user.clone(),
            pages,
        }))
    }
}

impl Watcher for Recorder {
    fn ended(&self, mm: &Dying) {
        match self.record(mm) {
            Ok(None) => {}
            Ok(Some(recording)) => {
                if self.writer.subject().submit(recording) {
                    self.writer.request(0);
                }
            }
            Err(refusal) => refusal.count(),
        }
    }

    fn home(&self) -> &Watches<Self> {
        &self.reaper.subject().recorders
    }

    fn reap_later(&self, waiting: usize) {
        let delay = if waiting >= REAP_AT { 0 } else { REAP_DELAY };
        self.reaper.request(delay);
    }
}

/// All recorders, and the chore of freeing those that have ended.
#[pin_data]
pub(crate) struct Reaper {
    #[pin]
    recorders: Watches<Recorder>,
}

impl Reaper {
    /// No recorders.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            recorders <- Watches::new(),
        })
    }

    /// How many programs that run are recorded.
    pub(crate) fn live(&self) -> u64 {
        self.recorders.live()
    }

    /// Ends all recordings. To be called when no more can begin.
    pub(crate) fn clear(&self) {
        self.recorders.clear();
    }
}

impl Run for Reaper {
    fn run(&self) {
        self.recorders.reap();
    }
}
