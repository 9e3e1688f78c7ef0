// SPDX-License-Identifier: GPL-2.0

//! The tracepoints `pbitmap:*`; `trace.h` has their fields.

use super::{
    ffi,
    file::Identity, //
};
use kernel::error::Error;

/// A bitmap was applied at exec. All but `runs` are in pages.
pub(crate) fn prefetch(id: Identity, wanted: u64, cached: u64, asked: u64, runs: u64) {
    // SAFETY: Takes numbers only.
    unsafe { ffi::pbm_trace_prefetch(id.dev, id.ino, wanted, cached, asked, runs) }
}

/// A program's page tables were read.
pub(crate) fn record(id: Identity, pages: u64, changed: bool) {
    // SAFETY: Takes numbers only.
    unsafe { ffi::pbm_trace_record(id.dev, id.ino, pages, changed) }
}

/// A bitmap was written, or could not be.
pub(crate) fn write(id: Identity, generation: u64, pages: u64, result: Result<(), Error>) {
    let error = result.err().map_or(0, Error::to_errno);
    // SAFETY: Takes numbers only.
    unsafe { ffi::pbm_trace_write(id.dev, id.ino, generation, pages, error) }
}
