// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers over the C API: the one room of the module with `unsafe` in it.
//!
//! Nothing here knows of bitmaps. What a wrapper takes, it borrows; what it must keep, it counts.
//!
//! Contexts: all of it runs in process context and may sleep, but for the callbacks' hand-over
//! under the lock of [`watch`], which is a leaf.

mod ffi;

pub(crate) mod crc32c;
pub(crate) mod cred;
pub(crate) mod debugfs;
pub(crate) mod exec;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod mm;
pub(crate) mod page_cache;
pub(crate) mod payer;
pub(crate) mod pool;
pub(crate) mod sysctl;
pub(crate) mod task_work;
pub(crate) mod time;
pub(crate) mod trace;
pub(crate) mod watch;
pub(crate) mod work;
