// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format`](super::format) and [`policy`](super::policy) that run in both worlds: under
//! `cargo test`, and under KUnit when the kernel has it built in.
//!
//! In the kernel a panic is an oops and a stack is small. So these tests return errors instead of
//! unwrapping them, keep what they work on in small arrays, and use only `assert!` and
//! `assert_eq!` without messages, which KUnit maps. They are kept out of the modules that they
//! test because what KUnit makes of them is `unsafe`, which is forbidden there.

#![cfg(any(test, CONFIG_KUNIT = "y"))]

mod backoff;
mod bitmap;
mod builder;
mod crc32c;
mod device;
mod elf;
mod layout;
mod merge;
mod metadata;
#[cfg(pbitmap_kernel)]
mod module;
mod near;
mod plan;
mod profile;
mod sample;
mod slot;
mod turns;
mod update;
mod window;
