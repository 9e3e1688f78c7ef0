// SPDX-License-Identifier: GPL-2.0

//! Mapping the recorded pages before the program's first instruction.
//!
//! It waits for the reads that the exec hook asked for, in the order in which they were asked, so
//! that the program does not fault on each of them; what is mapped is what was recorded, not the
//! gaps that were read beside it.

use super::{
    pages::Pages,
    policy::plan::Plan,
    prefetch,
    stats::Counter,
    sys::{
        file::Inode,
        mm::Current,
        page_cache,
        task_work::{
            on_return,
            OnReturn,
            Waiter, //
        },
    },
};
use kernel::{
    fs::File,
    mm::Mm,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};

/// What to map where.
struct EarlyFault {
    mm: ARef<Mm>,
    file: ARef<File>,
    pages: Arc<Pages>,
    being_read: bool,
}

/// Has current map `pages` of `file` in `mm`, the address space of the exec under way, when it
/// returns to user mode. If that exec fails, nothing is mapped. Pages that are `being_read` are
/// waited for.
pub(crate) fn arm(
    mm: &Mm,
    file: &File,
    pages: Arc<Pages>,
    being_read: bool,
    waiter: &Waiter,
) -> Result {
    let work = EarlyFault {
        mm: ARef::from(mm),
        file: ARef::from(file),
        pages,
        being_read,
    };
    on_return(work, waiter)
}

impl OnReturn for EarlyFault {
    fn run(self) {
        let Some(current) = Current::new(&self.mm) else {
            return;
        };
        let mappings = current.mappings(&self.file);
        let limits = prefetch::limits(Inode::of(&self.file).size(), 0);
        let mut mapped = 0u64;
        for run in Plan::new(self.pages.bitmap(), 0, limits) {
            let pages = u64::from(run.pages);
            if self.being_read && page_cache::wait(&self.file, run.first, pages).is_err() {
                break;
            }
            for mapping in mappings.as_slice() {
                let count = current.map_cached(&self.file, mapping, run.first, pages);
                mapped = mapped.saturating_add(count);
            }
        }
        Counter::EarlyFaulted.add(mapped);
    }
}
