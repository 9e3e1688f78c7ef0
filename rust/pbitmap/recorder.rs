// SPDX-License-Identifier: GPL-2.0

//! One subscription for each program that is recorded: from exec until its start is over, or its
//! end if that comes first.
//!
//! A recorder holds no reference on a file, a mount or the module, so that a program that runs
//! keeps nothing from going; it knows the inode by its identity. The page tables are read once:
//! by the [`Sampler`] when the startup window closes, which then ends the subscription, or in the
//! callback when the mm ends. There the recorder waits in a list for the [`Reaper`], because a
//! notifier cannot be removed from its callback.

use super::{
    capture,
    format::{
        near::Near,
        update::{
            self,
            Run, //
        }, //
    },
    launch::Launch,
    mapper::Mapper,
    order::FaultLog,
    policy::{
        merge::Merge,
        window::{
            self,
            Next, //
        },
    },
    programs::Programs,
    reads::Reads,
    stats::{
        Counter,
        Reason,
        Refusal, //
    },
    sys::{
        device,
        file::Inode,
        mm::{
            Locked,
            Space, //
        },
        probe::Probe,
        time, trace,
        watch::{
            Read,
            Watch,
            Watcher,
            Watches, //
        },
        work::{
            self,
            Chore, //
        },
    },
    sysctl,
    writeback::{
        Recording,
        Writer, //
    },
};
use kernel::{
    mm::MmWithUser,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            AtomicFlag,
            Full,
            Relaxed, //
        },
        Arc, //
    },
};

/// Ended recorders are freed after so many milliseconds, together, off the path of exit.
const REAP_DELAY: u32 = 200;

/// So many ended recorders are freed at once: each keeps a `struct mm_struct`.
const REAP_AT: usize = 64;

/// Open windows are looked at every so many milliseconds.
const TICK: u32 = 250;

/// The probes go when nothing was recorded for one to two times as many milliseconds: putting them
/// there costs every processor an interruption or some.
const REST_DELAY: u32 = 3000;

/// What all recorders share.
pub(crate) struct Rooms {
    pub(crate) reaper: Arc<Chore<Reaper>>,
    pub(crate) sampler: Arc<Chore<Sampler>>,
    /// On page faults.
    pub(crate) faults: Arc<Probe>,
    /// On reads.
    pub(crate) reads: Arc<Probe>,
    pub(crate) rester: Arc<Chore<Rester>>,
    pub(crate) writer: Arc<Chore<Writer>>,
    pub(crate) programs: Arc<Programs>,
}

/// A program that is recorded.
pub(crate) struct Recorder {
    launch: Arc<Launch>,
    mapper: Pin<KBox<Mapper>>,
    /// What it reads, if that is recorded.
    reads: Option<Pin<KBox<Reads>>>,
    /// Its page faults, if nothing is read ahead for it.
    faults: Option<Pin<KBox<FaultLog>>>,
    rooms: Arc<Rooms>,
    /// Whoever sets it reads the page tables.
    taken: AtomicFlag,
    began: u64,
    samples: Atomic<u32>,
    next_sample: Atomic<u64>,
    /// Pages at the last sample.
    pages: Atomic<u64>,
}

/// `vm.pbitmap_window_ms`: until the program ends.
const UNTIL_EXIT: u32 = 0;

/// `vm.pbitmap_window_ms`: until hardly anything is added.
const ADAPTIVE: u32 = 1;

impl Recorder {
    /// Records the program that will run in `mm`; `reads` is for what it will read, if that is to be
    /// recorded.
    pub(crate) fn watch(
        mm: &MmWithUser,
        launch: Arc<Launch>,
        reads: Option<Pin<KBox<Reads>>>,
        rooms: &Arc<Rooms>,
    ) -> Result<Arc<Watch<Self>>> {
        let began = time::milliseconds();
        let first = match sysctl::window_ms() {
            UNTIL_EXIT => u64::MAX,
            ADAPTIVE => match window::next_sample(0, 0, 0) {
                Next::After(delay) => began.saturating_add(delay.into()),
                Next::Close => began,
            },
            fixed => began.saturating_add(fixed.into()),
        };
        let with_reads = reads.is_some();
        let faults = match launch.wanted() {
            0 => Some(KBox::pin_init(FaultLog::new(), GFP_KERNEL)?),
            _ => None,
        };
        let recorder = Self {
            launch,
            mapper: KBox::pin_init(Mapper::new(), GFP_KERNEL)?,
            reads,
            faults,
            rooms: rooms.clone(),
            taken: AtomicFlag::new(false),
            began,
            samples: Atomic::new(0),
            next_sample: Atomic::new(first),
            pages: Atomic::new(0),
        };
        let watch = rooms.reaper.subject().recorders.add(mm, recorder)?;
        let faults = rooms.faults.wake();
        if with_reads && rooms.reads.wake() || faults {
            rooms.rester.request(REST_DELAY);
        }
        if first != u64::MAX {
            rooms.sampler.request(TICK);
        }
        Ok(watch)
    }

    /// What is known of its page tables.
    pub(crate) fn mapper(&self) -> &Mapper {
        &self.mapper
    }

    /// Reads the page tables, if nobody has, and hands what is new to the writer. `locked` is the
    /// space, if it is locked already.
    fn finish(&self, space: &Space<'_>, locked: Option<Locked<'_>>) {
        if self.taken.xchg(true, Full) {
            return;
        }
        self.launch.end();
        let locked = locked.unwrap_or_else(|| space.lock());
        match self.record(space, locked) {
            Ok(None) => {}
            Ok(Some(recording)) => {
                self.rooms.writer.subject().submit(recording);
                self.rooms.writer.request(0);
            }
            Err(refusal) => {
                refusal.count();
                self.rooms
                    .programs
                    .not_written(&self.launch.executable, refusal.name());
            }
        }
    }

    /// Reads the page tables. [`None`] if there is nothing to store.
    fn record(&self, space: &Space<'_>, locked: Locked<'_>) -> Result<Option<Recording>, Refusal> {
        if sysctl::enabled() == 0 {
            return Ok(None);
        }
        let launch = &self.launch;
        // An exec that failed ends with another file or none, or before the program ran.
        let known = |inode: &Inode| launch.file(inode).is_some();
        let reads = self.reads.as_deref();
        let captured = capture::capture(
            locked,
            launch.executable,
            &launch.task,
            known,
            reads,
            self.faults.as_deref(),
            &launch.files,
        )
        .map_err(|_| Reason::NoRecorder)?;
        let Some(capture) = captured else {
            return Ok(None);
        };
        if capture.executable.inode().is_unlinked() {
            // Nobody will start it again, and a write would only keep its mount busy.
            return Err(Reason::Changed.into());
        }
        if !space.ran(&launch.task) {
            return Err(Reason::NotRun.into());
        }
        let (wanted, hits) = self.hits(&capture);
        launch_finished(&self.rooms.programs, launch, wanted, hits);
        let run = Run {
            key: launch.mode.key(),
            merge: merge(),
            wanted: wanted.try_into().unwrap_or(u32::MAX),
            hits: hits.try_into().unwrap_or(u32::MAX),
            now: time::seconds(),
            saw_reads: reads.is_some(),
        };
        let stored = launch.stored.loaded.slot()?;
        let changed = !update::is_stored(&stored, &run, capture.files());
        Counter::Recordings.add(1);
        Counter::RecordedPages.add(capture.pages());
        Counter::Hits.add(hits);
        Counter::Waste.add(wanted.saturating_sub(hits));
        trace::record(launch.executable, capture.pages(), changed);
        let permit = match launch.permit {
            Ok(permit) => permit,
            Err(reason) => {
                // Counted at exec.
                let refusal = Refusal::from(reason);
                self.rooms
                    .programs
                    .not_written(&launch.executable, refusal.name());
                return Ok(None);
            }
        };
        if !changed {
            Counter::Unchanged.add(1);
            self.rooms
                .programs
                .not_written(&launch.executable, "unchanged");
            return Ok(None);
        }
        if !window::is_due(stored.header().updated, time::seconds(), permit.interval()) {
            Counter::RateLimited.add(1);
            self.rooms
                .programs
                .not_written(&launch.executable, "rate_limited");
            return Ok(None);
        }
        Ok(Some(Recording {
            launch: launch.clone(),
            permit,
            capture,
            wanted,
            hits,
            saw_reads: reads.is_some(),
        }))
    }

    /// How many pages were wanted, and how many of these were touched.
    fn hits(&self, capture: &capture::Capture) -> (u64, u64) {
        let mut wanted = 0u64;
        let mut hits = 0u64;
        let mut files = Near::new(capture.files());
        for known in &self.launch.files {
            if self.reads.is_none() && (known.is_read() || known.first_page().is_some()) {
                continue;
            }
            let pages = known.wanted();
            wanted = wanted.saturating_add(pages.count() as u64);
            let path = known.path().map_or(&[][..], CStr::to_bytes);
            let seen = files.find(|seen| seen.path == path);
            if let Some(seen) = seen {
                for index in 0..pages.len().div_ceil(u64::BITS as usize) {
                    let both = pages.word(index) & seen.pages.word(index);
                    hits = hits.saturating_add(u64::from(both.count_ones()));
                }
            }
        }
        (wanted, hits)
    }

    /// Takes a sample. Says whether the window closes now.
    fn sample(&self, now: u64, locked: &Locked<'_>) -> bool {
        if sysctl::window_ms() != ADAPTIVE {
            return true;
        }
        let Ok(mapped) = capture::count(locked) else {
            return true;
        };
        let read = self.reads.as_deref().map_or(0, Reads::pages);
        let pages = mapped.saturating_add(read);
        let sample = self.samples.fetch_add(1, Relaxed).saturating_add(1);
        let before = self.pages.load(Relaxed);
        self.pages.store(pages, Relaxed);
        match window::next_sample(sample, before, pages) {
            Next::After(delay) => {
                self.next_sample
                    .store(now.saturating_add(delay.into()), Relaxed);
                false
            }
            Next::Close => true,
        }
    }
}

/// How recordings are merged: `vm.pbitmap_merge`.
pub(crate) fn merge() -> Merge {
    Merge::from_number(sysctl::merge()).unwrap_or_default()
}

fn launch_finished(programs: &Programs, launch: &Launch, wanted: u64, hits: u64) {
    let (cached, asked) = launch.counted();
    programs.finished(&launch.executable, wanted, hits, cached, asked);
}

impl Watcher for Recorder {
    fn ended(&self, space: &Space<'_>) {
        self.finish(space, None);
    }

    fn faulted(&self, space: &Space<'_>, address: usize, missed: bool) {
        if let Some(faults) = &self.faults {
            faults.note(address);
        }
        if let Some(reads) = &self.reads {
            reads.tick();
        }
        let area = self.mapper.faulted(space, &self.launch, address, missed);
        if let Some((reads, area)) = self.reads.as_ref().zip(area) {
            reads.note_fault(&area, address);
        }
    }

    fn read(&self, read: &Read) -> bool {
        self.reads.as_deref().is_some_and(|reads| reads.note(read))
    }

    fn added(&self, device: device::Key, first: u64, pages: u64) {
        if let Some(reads) = &self.reads {
            reads.note_added(device, first, pages);
        }
    }

    fn find_files(&self) {
        if let Some(reads) = &self.reads {
            reads.find_files();
        }
    }

    fn home(&self) -> &Watches<Self> {
        &self.rooms.reaper.subject().recorders
    }

    fn reap_later(&self, waiting: usize) {
        let delay = if waiting >= REAP_AT { 0 } else { REAP_DELAY };
        self.rooms.reaper.request(delay);
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

    /// How many programs are recorded now.
    pub(crate) fn live(&self) -> u64 {
        self.recorders.live()
    }

    /// Ends all recordings. To be called when no more can begin.
    pub(crate) fn clear(&self) {
        self.recorders.clear();
    }
}

impl work::Run for Reaper {
    fn run(&self) {
        self.recorders.reap();
    }
}

/// The recorders, for who is told of their faults.
pub(crate) struct Recorders(pub(crate) Arc<Chore<Reaper>>);

impl AsRef<Watches<Recorder>> for Recorders {
    fn as_ref(&self) -> &Watches<Recorder> {
        &self.0.subject().recorders
    }
}

/// The chore of closing startup windows.
pub(crate) struct Sampler {
    reaper: Arc<Chore<Reaper>>,
    again: Atomic<u32>,
}

impl Sampler {
    /// Looks at the recorders of `reaper`.
    pub(crate) fn new(reaper: Arc<Chore<Reaper>>) -> Self {
        Self {
            reaper,
            again: Atomic::new(0),
        }
    }
}

impl work::Run for Sampler {
    fn run(&self) {
        let recorders = &self.reaper.subject().recorders;
        let now = time::milliseconds();
        // Without memory the windows close a tick later.
        let due = recorders.collect(|recorder| recorder.next_sample.load(Relaxed) <= now);
        for watch in due.iter().flatten() {
            let recorder = watch.watcher();
            // One that has no user ends by itself.
            let Some(mm) = watch.mm() else { continue };
            // If this is the last user, what ends with it may wait, for the program's requests.
            let mm = MmWithUser::into_mmput_async(mm);
            let space = Space::of(&mm);
            // Who changes it may wait, for a filesystem that does not answer; all others wait for
            // this thread. It is due again at the next tick.
            let Some(locked) = space.try_lock() else {
                continue;
            };
            if recorder.sample(now, &locked) {
                recorder.finish(&space, Some(locked));
                recorders.close(watch);
                sysctl::log!(
                    "the window closed after {} ms\n",
                    now.saturating_sub(recorder.began)
                );
            }
        }
        self.again.store(u32::from(recorders.live() != 0), Relaxed);
    }

    fn again(&self) -> Option<u32> {
        (self.again.load(Relaxed) != 0).then_some(TICK)
    }
}

/// The chore of not looking at page faults and reads any more when nothing is recorded.
pub(crate) struct Rester {
    reaper: Arc<Chore<Reaper>>,
    probes: [Arc<Probe>; 2],
    again: AtomicFlag,
}

impl Rester {
    /// Puts `probes` to rest when `reaper` has no recorders.
    pub(crate) fn new(reaper: Arc<Chore<Reaper>>, probes: [Arc<Probe>; 2]) -> Self {
        Self {
            reaper,
            probes,
            again: AtomicFlag::new(false),
        }
    }
}

impl work::Run for Rester {
    fn run(&self) {
        let mut rest = true;
        for probe in &self.probes {
            rest &= probe.rest(|| self.reaper.subject().live() == 0);
        }
        self.again.store(!rest, Relaxed);
    }

    fn again(&self) -> Option<u32> {
        self.again.load(Relaxed).then_some(REST_DELAY)
    }
}
