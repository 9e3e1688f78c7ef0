// SPDX-License-Identifier: GPL-2.0

//! One exec's journey: find the bitmap, have its pages read, arm the early fault and the recorder.
//!
//! Nothing here can fail the exec. What is refused is counted, and the program runs as if the
//! module were not there.

use super::{
    access, crew, early_fault,
    format::elf::Header,
    launch::{
        self,
        Launch, //
    },
    mode::Mode,
    programs::Programs,
    reads::Reads,
    recorder::{
        Reaper,
        Recorder,
        Recorders,
        Rester,
        Rooms,
        Sampler, //
    },
    stats::{
        Counter,
        Gauges,
        Reason,
        Refusal, //
    },
    store,
    sys::{
        cred,
        device::Device,
        exec::{
            Exec,
            Hook, //
        },
        file::{
            self,
            Inode,
            Path, //
        },
        pool::Pool,
        probe::{
            Armed,
            Event,
            Probe, //
        },
        task_work::Waiter,
        watch::Watch,
        work::Chore, //
    },
    sysctl,
    writeback::Writer,
};
use kernel::{
    cred::Credential,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// `e_machine` of the programs that this kernel runs natively; others have an emulator, whose own
/// pages matter.
const NATIVE: u16 = if cfg!(target_arch = "aarch64") {
    183
} else {
    super::format::elf::EM_X86_64
};

/// Threads that read behind the programs' backs, of all programs together.
const THREADS: u32 = 32;

/// What every exec needs.
pub(crate) struct Engine {
    rooms: Arc<Rooms>,
    pool: Pool,
    early_faults: Waiter,
    /// The kernel's own account.
    kernel: ARef<Credential>,
}

impl Engine {
    /// An engine that nobody calls yet.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let name = c"pbitmap";
        let programs = Arc::pin_init(Programs::new(), GFP_KERNEL)?;
        let kernel = cred::of_kernel()?;
        let reaper = Arc::pin_init(
            Chore::new(Reaper::new(), name, kernel::static_lock_class!()),
            GFP_KERNEL,
        )?;
        let sampler = Arc::pin_init(
            Chore::new(
                Sampler::new(reaper.clone()),
                name,
                kernel::static_lock_class!(),
            ),
            GFP_KERNEL,
        )?;
        let writer = Arc::pin_init(
            Chore::new(
                Writer::new(programs.clone(), kernel.clone()),
                name,
                kernel::static_lock_class!(),
            ),
            GFP_KERNEL,
        )?;
        let faults = Probe::new(Event::Fault)?;
        let reads = Probe::new(Event::Read)?;
        let rester = Arc::pin_init(
            Chore::new(
                Rester::new(reaper.clone(), [faults.clone(), reads.clone()]),
                name,
                kernel::static_lock_class!(),
            ),
            GFP_KERNEL,
        )?;
        let rooms = Rooms {
            reaper,
            sampler,
            faults,
            reads,
            rester,
            writer,
            programs,
        };
        let engine = Self {
            rooms: Arc::new(rooms, GFP_KERNEL)?,
            pool: Pool::new(name, THREADS, kernel::static_lock_class!())?,
            early_faults: Waiter::new(),
            kernel,
        };
        Ok(Arc::new(engine, GFP_KERNEL)?)
    }

    /// Waits for all that execs have set in motion, and undoes it. To be called when the hook is
    /// gone, and faults and reads are not seen any more.
    ///
    /// Recorders first: no callback runs after that, so that nobody asks for a chore. Then what
    /// was recorded is written, and what has ended is freed.
    pub(crate) fn stop(&self) {
        self.rooms.sampler.stop();
        self.rooms.rester.stop();
        self.rooms.reaper.subject().clear();
        self.rooms.writer.stop();
        self.rooms.reaper.stop();
    }

    /// From now on recorders are told of their programs' faults and reads.
    pub(crate) fn arm(&self) -> Result<Armed> {
        let rooms = &self.rooms;
        Armed::new(
            [rooms.faults.clone(), rooms.reads.clone()],
            Recorders(rooms.reaper.clone()),
        )
    }

    /// What is remembered of programs.
    pub(crate) fn programs(&self) -> &Arc<Programs> {
        &self.rooms.programs
    }

    /// Uses and records the bitmap of an ELF file, if it has one.
    fn start(&self, exec: &Exec<'_>, header: &Header) -> Result<(), Refusal> {
        let file = exec.file();
        let Some(stored) = store::find(file, header, exec.head(), &self.kernel)? else {
            return Ok(());
        };
        let no_memory = |_| Reason::NoRecorder;
        let inode = Inode::of(file);
        let slot = stored.loaded.slot()?;
        let mode = Mode::of(exec, slot.header().profile_by).map_err(no_memory)?;
        let files = launch::wanted_files(&slot, &mode, &inode)?;
        let has_build_id = !slot.header().build_id().as_bytes().is_empty();
        let permit = access::may_update(&Path::of(file), &inode, stored.travels, has_build_id)
            .and_then(access::outside_a_sandbox);
        let launch = Launch::new(
            &inode,
            file::last_change(file),
            stored,
            mode,
            files,
            cred::current(),
            ARef::from(&**kernel::current!()),
            permit,
        );
        let launch = Arc::new(launch, GFP_KERNEL).map_err(no_memory)?;
        Counter::Used.add(1);
        let advice = self
            .rooms
            .programs
            .started(&inode.identity(), || name_of(file));

        let is_warm = advice.prefetch && crew::is_warm(&launch, file);
        // The watch goes first: it takes the mmap lock of an mm that nobody else has yet, and
        // wants no signal pending.
        let mut recorded = None;
        if advice.record_if_cached || !advice.prefetch {
            recorded = Some(self.record(exec, &launch, is_warm));
        }
        let mut nothing_new = is_warm;
        if is_warm {
            sysctl::log!("exec: all in memory\n");
        } else if advice.prefetch {
            let outcome = crew::prefetch(&launch, file, &self.pool);
            nothing_new = outcome.asked == 0 && outcome.rest.is_none();
            sysctl::log!(
                "exec: {} pages wanted, {} cached, {} asked for in {} runs\n",
                outcome.wanted,
                outcome.cached,
                outcome.asked,
                outcome.runs
            );
        } else {
            Counter::BackedOff.add(1);
        }
        if recorded.is_none() {
            if nothing_new {
                Counter::Calm.add(1);
            } else {
                recorded = Some(self.record(exec, &launch, is_warm));
            }
        }
        let (watch, result) = match recorded {
            Some(Ok(watch)) => (Some(watch), Ok(())),
            Some(Err(refusal)) => (None, Err(refusal)),
            None => (None, Ok(())),
        };
        let permit = launch.permit;
        if sysctl::early_fault() != 0 && advice.prefetch {
            // Without it the program faults as it would anyway.
            let _ = early_fault::arm(exec.mm(), launch, watch, &self.early_faults);
        }
        result?;
        permit?;
        Ok(())
    }

    /// Has the program recorded; what it reads unless all is in memory.
    fn record(
        &self,
        exec: &Exec<'_>,
        launch: &Arc<Launch>,
        is_warm: bool,
    ) -> Result<Arc<Watch<Recorder>>, Refusal> {
        let watch = || -> Result<Arc<Watch<Recorder>>> {
            let reads = match sysctl::reads() != 0 && !is_warm {
                true => {
                    let device = Device::of(exec.file()).map(|device| device.key());
                    Some(KBox::pin_init(Reads::new(device), GFP_KERNEL)?)
                }
                false => None,
            };
            Recorder::watch(exec.mm(), launch.clone(), reads, &self.rooms)
        };
        watch().map_err(|_| Reason::NoRecorder.into())
    }
}

/// Where a file is, for people.
fn name_of(file: &kernel::fs::File) -> Result<KVec<u8>> {
    let mut buffer = KVec::from_elem(0u8, super::format::MAX_PATH, GFP_KERNEL)?;
    let mut name = KVec::new();
    name.extend_from_slice(Path::of(file).name(None, &mut buffer)?, GFP_KERNEL)?;
    Ok(name)
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
        self.0.rooms.reaper.subject().live()
    }

    fn work_pending(&self) -> u64 {
        self.0.rooms.writer.subject().pending()
    }

    fn faults_watched(&self) -> u64 {
        self.0.rooms.faults.is_awake().into()
    }

    fn reads_watched(&self) -> u64 {
        self.0.rooms.reads.is_awake().into()
    }
}
