// SPDX-License-Identifier: GPL-2.0

//! What must hold for any bytes whatever: one function for each fuzz target.
//!
//! libFuzzer calls them with what it makes up, `rust/pbitmap-core/tests` with what is kept in
//! `corpus/` and with what proptest makes up. They panic if something does not hold. Where there
//! is a simple and slow way to say what is right, they compare with that.

use pbitmap_core::policy::merge::Merge;

mod bytes;
mod elf;
mod model;
mod packed;
mod plan;
mod round_trip;
mod section;
mod update;

#[allow(unused_imports, reason = "a fuzz target uses one of them")]
pub(crate) use self::{
    elf::{elf, notes},
    packed::packed,
    plan::plan,
    round_trip::round_trip,
    section::section,
    update::update,
};

const MERGES: [Merge; 3] = [Merge::Replace, Merge::Or, Merge::Age];
