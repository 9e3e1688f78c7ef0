// SPDX-License-Identifier: GPL-2.0

//! What is remembered of the annotated programs that were started: does it work, does it pay?
//!
//! A program whose prefetch is mostly waste is not prefetched for a while, and one for which all is
//! in memory time after time is not recorded for a while; both are tried again later, see
//! [`backoff`].

use super::{
    policy::backoff::{
        Advice,
        Backoff, //
    },
    sys::{
        debugfs::Show,
        file::Identity,
        time, //
    },
    sysctl,
};
use kernel::{
    fmt, new_mutex,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    seq_file::SeqFile,
    seq_print,
    sync::{
        Arc,
        Mutex, //
    },
};

/// So many programs are remembered; the one that was not started for the longest time goes.
const MAX_PROGRAMS: usize = 1024;

/// An [`Identity`] that can be sorted.
type Key = (u64, u64, u32);

/// One program.
#[derive(Default)]
struct Program {
    path: KVec<u8>,
    runs: u64,
    recorded: u64,
    wanted: u64,
    cached: u64,
    read: u64,
    hits: u64,
    waste: u64,
    written: u64,
    last_write: u64,
    /// Why the last run was not stored; empty if it was.
    reason: &'static str,
    backoff: Backoff,
    /// Which start it was, of all programs.
    last_start: u64,
}

struct Table {
    programs: RBTree<Key, Program>,
    /// The same by the number of their last start.
    by_start: RBTree<u64, Key>,
    count: usize,
    starts: u64,
}

/// The programs. The lock is a leaf.
#[pin_data]
pub(crate) struct Programs {
    #[pin]
    table: Mutex<Table>,
}

fn key(identity: &Identity) -> Key {
    (identity.dev, identity.ino, identity.generation)
}

impl Programs {
    /// None yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            table <- new_mutex!(Table {
                programs: RBTree::new(),
                by_start: RBTree::new(),
                count: 0,
                starts: 0,
            }),
        })
    }

    /// A program is started; `path` says where it is, and is asked at the first start only.
    /// Says what is worth doing.
    pub(crate) fn started(
        &self,
        identity: &Identity,
        path: impl FnOnce() -> Result<KVec<u8>>,
    ) -> Advice {
        let mut guard = self.table.lock();
        let table = &mut *guard;
        table.starts = table.starts.saturating_add(1);
        let last = table.programs.get(&key(identity)).map(|it| it.last_start);
        let place = match last.and_then(|last| table.by_start.remove_node(&last)) {
            Some(node) => Ok(RBTreeNode::into_reservation(node)),
            None => RBTreeNodeReservation::new(GFP_KERNEL),
        };
        let Ok(place) = place else {
            return Advice::default();
        };
        if last.is_none() {
            if table.count >= MAX_PROGRAMS {
                table.drop_oldest();
            }
            let program = Program {
                path: path().unwrap_or_default(),
                ..Program::default()
            };
            if table
                .programs
                .try_create_and_insert(key(identity), program, GFP_KERNEL)
                .is_err()
            {
                return Advice::default();
            }
            table.count = table.count.saturating_add(1);
        }
        let place = place.into_node(table.starts, key(identity));
        table.by_start.insert(place);
        match table.programs.get_mut(&key(identity)) {
            Some(program) => {
                program.runs = program.runs.saturating_add(1);
                program.last_start = table.starts;
                if sysctl::backoff() == 0 {
                    program.backoff = Backoff::default();
                }
                program.backoff.advise()
            }
            None => Advice::default(),
        }
    }

    fn change(&self, identity: &Identity, change: impl FnOnce(&mut Program)) {
        if let Some(program) = self.table.lock().programs.get_mut(&key(identity)) {
            change(program);
        }
    }

    /// A start was recorded: pages that were wanted, those of them that were touched, those that
    /// were in memory, and those that were read.
    pub(crate) fn finished(
        &self,
        identity: &Identity,
        wanted: u64,
        hits: u64,
        cached: u64,
        read: u64,
    ) {
        self.change(identity, |program| {
            program.recorded = program.recorded.saturating_add(1);
            program.wanted = program.wanted.saturating_add(wanted);
            program.hits = program.hits.saturating_add(hits);
            program.waste = program.waste.saturating_add(wanted.saturating_sub(hits));
            program.cached = program.cached.saturating_add(cached);
            program.read = program.read.saturating_add(read);
            program.backoff.finished(wanted, hits, read);
        });
    }

    /// The last start was not stored, and why.
    pub(crate) fn not_written(&self, identity: &Identity, reason: &'static str) {
        self.change(identity, |program| {
            program.reason = reason;
            program.backoff.unchanged(reason == "unchanged");
        });
    }

    /// The last start was stored.
    pub(crate) fn written(&self, identity: &Identity) {
        self.change(identity, |program| {
            program.reason = "";
            program.written = program.written.saturating_add(1);
            program.last_write = time::seconds();
        });
    }
}

impl Table {
    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.by_start.cursor_front_mut() {
            let (_, key) = oldest.remove_current().1.to_key_value();
            self.programs.remove(&key);
            self.count = self.count.saturating_sub(1);
        }
    }
}

/// The file `debugfs/pbitmap/programs`.
pub(crate) struct ProgramsFile(pub(crate) Arc<Programs>);

impl Show for ProgramsFile {
    /// Writes a line a program, the columns separated by tabs, the path last and escaped.
    fn show(&self, to: &SeqFile) {
        seq_print!(
            to,
            "dev\tino\truns\trecorded\twanted\tcached\tread\thits\twaste\twritten\tbackoff\tlast_write\treason\tpath\n"
        );
        let table = self.0.table.lock();
        for ((dev, ino, _), program) in table.programs.iter() {
            let reason = if program.reason.is_empty() {
                "-"
            } else {
                program.reason
            };
            seq_print!(
                to,
                "{}\t{ino}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{reason}\t",
                Device(*dev),
                program.runs,
                program.recorded,
                program.wanted,
                program.cached,
                program.read,
                program.hits,
                program.waste,
                program.written,
                program.backoff.left(),
                program.last_write
            );
            for byte in &program.path {
                match byte {
                    b'\\' | 0..=b' ' | 0x7f.. => seq_print!(to, "\\{:03o}", byte),
                    _ => seq_print!(to, "{}", char::from(*byte)),
                }
            }
            seq_print!(to, "\n");
        }
    }
}

/// A device number of the kernel's own, written for people.
pub(crate) struct Device(pub(crate) u64);

impl fmt::Display for Device {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Bits of a minor number.
        const MINOR: u32 = 20;

        write!(to, "{}:{}", self.0 >> MINOR, self.0 & ((1 << MINOR) - 1))
    }
}
