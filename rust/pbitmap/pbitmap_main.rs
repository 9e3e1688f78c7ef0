// SPDX-License-Identifier: GPL-2.0

//! Predictive bitmaps for ELF executables.
//!
//! Most programs touch the same pages at every start. This module remembers which, in a bitmap that
//! lives with the executable, and has them in memory before the program asks for them. The idea is Andi
//! Kleen's (linux-kernel, March 2008).
//!
//! # The way of the data
//!
//! Down, at exec: [`exec`] finds the bitmap with [`store`], which reads it by the rules of
//! [`format`], and makes a [`launch`] of it, for the [`mode`] that the program is started in.
//! [`crew`] finds the files, [`policy`] makes a plan of each and [`prefetch`] has the pages read;
//! [`early_fault`] and [`mapper`] map them.
//!
//! Up, when the start is over or the program ends: [`recorder`] has [`capture`] read the page
//! tables, and add what [`reads`] has seen, [`metadata`] too; [`writeback`] takes what is new back
//! to the [`store`]; [`access`] says whether it may. [`programs`] remembers whether it was worth it.
//!
//! [`format`] and [`policy`] know nothing of the kernel and are shared with the tool; [`sys`] knows
//! nothing of bitmaps and has all of the module's `unsafe` code.
//!
//! # Lock order
//!
//! `mmap_lock` of the program, for reading: taken for its page tables, never while a lock of the
//! module is held. Under it the lock of [`mapper`] is taken. The other locks of the module, those
//! of [`writeback`]'s queue, of [`programs`] and of the lists of [`sys::watch`], are leaves: no
//! other lock of the module is taken under them (but for the two lists of `watch`, in one order, and
//! that of [`reads`] under the first). That of a [`crew`] is held while the executable's pages are
//! asked for, by threads of the crew only, and with no other lock of the module; that of its turns is
//! a leaf, under which they wait for each other.
//!
//! # Who owns what
//!
//! The exec hook, the chores and all that runs keep the [`exec::Engine`] by reference counts; a
//! recorder is owned by the list it is in; a queued early fault by its task; a crew by its threads.
//! Only a crew that reads and a recording that waits to be written pin a mount.

#![deny(unsafe_code)]

use kernel::{
    prelude::*,
    sync::Arc, //
};

mod access;
mod capture;
mod crew;
mod early_fault;
mod exec;
mod filesystem;
pub mod format;
mod launch;
mod mapper;
mod metadata;
mod mode;
mod order;
mod pages;
pub mod policy;
mod prefetch;
mod programs;
mod reads;
mod recorder;
mod stats;
mod store;
#[expect(unsafe_code, reason = "the one room")]
mod sys;
mod sysctl;
#[cfg(CONFIG_KUNIT)]
mod tests;
mod walk;
mod writeback;

module! {
    type: Pbitmap,
    name: "pbitmap",
    authors: ["The pbitmap authors"],
    description: "Predictive bitmaps: prefetch the working set of ELF executables at exec",
    license: "GPL v2",
}

/// The module while it is loaded.
///
/// The fields are dropped in the order in which they stand here: first nobody can start anything,
/// then what was started is waited for, and last the user's view of it goes.
struct Pbitmap {
    _hook: sys::exec::Registration,
    _probes: sys::probe::Armed,
    _engine: Stop,
    _debugfs: sys::debugfs::Registration,
    _sysctl: sys::sysctl::Registration,
}

/// Stops the engine when dropped.
struct Stop(Arc<exec::Engine>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl kernel::Module for Pbitmap {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let engine = exec::Engine::new()?;
        let sysctl = sysctl::register()?;
        let stats = stats::Stats(exec::EngineGauges(engine.clone()));
        let programs = programs::ProgramsFile(engine.programs().clone());
        let debugfs = sys::debugfs::Registration::new([
            (c"stats", KBox::new(stats, GFP_KERNEL)?),
            (c"programs", KBox::new(programs, GFP_KERNEL)?),
        ])?;
        let probes = engine.arm()?;
        // Last: from here on every exec on the machine comes by.
        let hook = sys::exec::Registration::new(engine.clone())?;
        Ok(Self {
            _hook: hook,
            _probes: probes,
            _engine: Stop(engine),
            _debugfs: debugfs,
            _sysctl: sysctl,
        })
    }
}
