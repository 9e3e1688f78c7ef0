// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers over the C API: the one room of the module with `unsafe` in it.
//!
//! Nothing here knows of bitmaps. What a wrapper takes, it borrows; what it must keep, it counts.
//!
//! Contexts: all of it runs in process context and may sleep, but for the probes on page
//! faults and reads, which run with interrupts or preemption off, and what is done under the locks of [`watch`], which are leaves.
//!
//! A page is one of [`PAGE_SIZE`] bytes here, whatever those of the kernel are: where they are
//! larger, a page shares its fate with its neighbours.

mod ffi;

pub(crate) mod crc32c;
pub(crate) mod cred;
pub(crate) mod debugfs;
pub(crate) mod device;
pub(crate) mod exec;
pub(crate) mod file;
pub(crate) mod mm;
pub(crate) mod page_cache;
pub(crate) mod payer;
pub(crate) mod pool;
pub(crate) mod probe;
pub(crate) mod raw_spinlock;
pub(crate) mod sysctl;
pub(crate) mod task_work;
pub(crate) mod time;
pub(crate) mod trace;
pub(crate) mod watch;
pub(crate) mod work;

/// Bits of an address within a page.
const PAGE_SHIFT: usize = 12;

/// Bytes of a page.
pub(crate) const PAGE_SIZE: usize = 1 << PAGE_SHIFT;

/// Bytes of a page of the kernel.
pub(crate) const KERNEL_PAGE_SIZE: usize = kernel::page::PAGE_SIZE;

/// Shifts a number of pages to one of the kernel's pages.
const KERNEL_PAGE_ORDER: usize = kernel::page::PAGE_SHIFT - PAGE_SHIFT;
