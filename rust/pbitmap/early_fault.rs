// SPDX-License-Identifier: GPL-2.0

//! Mapping the recorded pages of the executable and of its loader before the first instruction.
//!
//! It does not wait for reads: the program's own faults do, for the pages that it needs first, and
//! each of them has what has arrived meanwhile mapped, see [`Mapper`].

use super::{
    launch::Launch,
    mapper::Mapper,
    recorder::Recorder,
    sys::{
        mm::Space,
        task_work::{
            on_return,
            OnReturn,
            Waiter, //
        },
        watch::Watch, //
    },
};
use kernel::{
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
    launch: Arc<Launch>,
    watch: Option<Arc<Watch<Recorder>>>,
}

/// Has current map what `launch` wants in `mm`, the address space of the exec under way, when it
/// returns to user mode. If that exec fails, nothing is mapped. `watch` is that of the recorder, if
/// the program is recorded.
pub(crate) fn arm(
    mm: &Mm,
    launch: Arc<Launch>,
    watch: Option<Arc<Watch<Recorder>>>,
    waiter: &Waiter,
) -> Result {
    let work = EarlyFault {
        mm: ARef::from(mm),
        launch,
        watch,
    };
    on_return(work, waiter)
}

impl OnReturn for EarlyFault {
    fn run(self) {
        let Some(space) = Space::of_current(&self.mm) else {
            return;
        };
        match &self.watch {
            Some(watch) => watch.watcher().mapper().start(&space, &self.launch),
            None => {
                if let Ok(mapper) = KBox::pin_init(Mapper::new(), GFP_KERNEL) {
                    mapper.start(&space, &self.launch);
                }
            }
        }
    }
}
