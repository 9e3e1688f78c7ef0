// SPDX-License-Identifier: GPL-2.0

//! The part of the kernel module that the tool shares: the on-disk [`format`] and the [`policy`].
//!
//! The files belong to the module, in `rust/pbitmap/`; this crate only gives them a place in
//! Cargo's world, where they are tested, fuzzed and used by the tool.

#![cfg_attr(not(test), no_std)]

#[path = "../pbitmap/format/mod.rs"]
pub mod format;
#[path = "../pbitmap/policy/mod.rs"]
pub mod policy;
#[cfg(test)]
#[path = "../pbitmap/tests/mod.rs"]
mod tests;
