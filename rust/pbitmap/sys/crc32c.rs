// SPDX-License-Identifier: GPL-2.0

//! CRC32C as the processor does it.

use super::ffi;

/// Feeds `bytes` to a checksum that is not finished.
pub(crate) fn update(crc: u32, bytes: &[u8]) -> u32 {
    // SAFETY: `bytes` may be read for its whole length.
    unsafe { ffi::crc32c(crc, bytes.as_ptr().cast(), bytes.len()) }
}
