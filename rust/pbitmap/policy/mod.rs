// SPDX-License-Identifier: GPL-2.0

//! Decisions that depend on numbers alone, shared with the tool so that it can show and test what
//! the kernel would do.

#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod backoff;
pub mod device;
pub mod merge;
pub mod plan;
pub mod profile;
pub mod window;
