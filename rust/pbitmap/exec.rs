// SPDX-License-Identifier: GPL-2.0

//! One exec's journey: find the bitmap, have its pages read, arm the early fault and the recorder.
//!
//! Nothing here can fail the exec. What is refused is counted, and the program runs as if the
//! module were not there.

use super::{
    access, early_fault,
    format::{
        elf::Header,
        slot::Slot, //
    },
    pages::Pages,
    prefetch,
    recorder::{
        Reaper,
        Recorder,
        Start, //
    },
    stats::{
        Counter,
        Gauges,
        Reason,
        Refusal, //
    },
    store::section::{
        Buffer,
        Section, //
    },
    sys::{
        cred,
        exec::{
            Exec,
            Hook, //
        },
        file::{
            self,
            Inode, //
        },
        task_work::Waiter,
        work::Chore, //
    },
    sysctl,
    writeback::Writer,
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// `e_machine` of the programs that this kernel runs natively; others have an emulator, whose own
/// pages matter.
const NATIVE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else {
    super::format::elf::EM_X86_64
};

/// What every exec needs.
pub(crate) struct Engine {
    reaper: Arc<Chore<Reaper>>,
    writer: Arc<Chore<Writer>>,
    early_faults: Waiter,
}

impl Engine {
    /// An engine that nobody calls yet.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let name = c"pbitmap";
        let reaper = Arc::pin_init(
            Chore::new(Reaper::new(), name, kernel::static_lock_class!()),
            GFP_KERNEL,
        )?;
        let writer = Arc::pin_init(
            Chore::new(Writer::new(), name, kernel::static_lock_class!()),
            GFP_KERNEL,
        )?;
        let engine = Self {
            reaper,
            writer,
            early_faults: Waiter::new(),
        };
        Ok(Arc::new(engine, GFP_KERNEL)?)
    }

    /// Waits for all that execs have set in motion, and undoes it. To be called when the hook is
    /// gone.
    ///
    /// Recorders first: no callback runs after that, so that nobody asks for a chore. Then what
    /// was recorded is written, and what has ended is freed.
    pub(crate) fn stop(&self) {
        self.reaper.subject().clear();
        self.writer.stop();
        self.reaper.stop();
    }

    /// Uses and records the bitmap of an ELF file; [`None`] if it has no marker.
    fn start(&self, exec: &Exec<'_>, header: &Header) -> Result<Option<()>, Refusal> {
        let file = exec.file();
        let inode = Inode::of(file);
        let Some(section) = Section::find(file, inode.size(), header, exec.head())? else {
            return Ok(None);
        };
        Counter::Armed.add(1);
        let mut buffers = [Buffer::new(), Buffer::new()];
        let (_, slot) = section.read(file, &mut buffers)?;
        let stored = Arc::new(stored_pages(&slot)?, GFP_KERNEL).map_err(|_| Reason::NoRecorder)?;
        Counter::Used.add(1);

        // The watch goes first: it takes the mmap lock of an mm that nobody else has yet, and
        // wants no signal pending.
        let recorded = self.record(exec, &inode, &slot, &stored);
        let outcome = prefetch::run(file, &inode, stored.bitmap());
        if sysctl::early_fault() != 0 && outcome.wanted != 0 {
            // Without it the program faults as it would anyway.
            let reads = outcome.asked != 0;
            let _ = early_fault::arm(exec.mm(), file, stored, reads, &self.early_faults);
        }
        sysctl::log!(
            "exec: {} pages wanted, {} cached, {} asked for in {} runs\n",
            outcome.wanted,
            outcome.cached,
            outcome.asked,
            outcome.runs
        );
        recorded.map(Some)
    }

    /// Has the program recorded, if its user may update the file.
    fn record(
        &self,
        exec: &Exec<'_>,
        inode: &Inode,
        slot: &Slot<'_>,
        stored: &Arc<Pages>,
    ) -> Result<(), Refusal> {
        access::may_update(exec.file(), inode)?;
        let start = Start {
            executable: inode.identity(),
            last_change: file::last_change(exec.file()),
            stored: stored.clone(),
            updated: slot.header().updated,
            user: cred::current(),
        };
        Recorder::watch(exec.mm(), start, &self.reaper, &self.writer)
            .map_err(|_| Reason::NoRecorder.into())
    }
}

impl Hook for Engine {
    fn exec(&self, exec: &Exec<'_>) {
        if sysctl::enabled() == 0 {
            return;
        }
        // Scripts and all else that is not for us.
        let Ok(header) = Header::parse(exec.head()) else {
            return;
        };
        if header.machine != NATIVE {
            return;
        }
        Counter::Execs.add(1);
        if let Err(refusal) = self.start(exec, &header) {
            refusal.count();
            sysctl::log!("exec: refused: {}\n", refusal.name());
        }
    }
}

/// What the debugfs file shows of an engine.
pub(crate) struct EngineGauges(pub(crate) Arc<Engine>);

impl Gauges for EngineGauges {
    fn recorders_live(&self) -> u64 {
        self.0.reaper.subject().live()
    }

    fn work_pending(&self) -> u64 {
        self.0.writer.subject().pending()
    }
}

/// The pages of the executable that `slot` has; as many as there could be, but none set, in a slot
/// that was never recorded to.
fn stored_pages(slot: &Slot<'_>) -> Result<Pages, Refusal> {
    let profile = slot
        .default_profile()
        .ok_or(super::format::error::Error::NoExecutable)?;
    let file = slot
        .executable(&profile)
        .ok_or(super::format::error::Error::NoExecutable)?;
    let pages = match file.plane(0) {
        Some(plane) => Pages::copy_of(&plane),
        None => Pages::empty(file.record.page_count as usize),
    };
    pages.map_err(|_| Reason::NoRecorder.into())
}
