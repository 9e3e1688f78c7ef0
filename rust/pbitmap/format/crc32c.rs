// SPDX-License-Identifier: GPL-2.0

//! CRC32C (Castagnoli).
//!
//! The checksum is most of the cost of looking at a bitmap, which every exec of an annotated program
//! pays. So in the module it is the kernel's, which uses the processor's instruction: the one thing
//! that the format takes from there. Elsewhere it goes eight bytes a step, from tables made at
//! compile time. The tests hold for both.

#[cfg(pbitmap_kernel)]
use super::super::sys::crc32c as engine;

/// The checksum without help.
#[cfg(not(pbitmap_kernel))]
mod engine {
    /// The polynomial, bits reversed.
    const POLYNOMIAL: u32 = 0x82f6_3b78;

    /// `TABLES[k][b]`: what byte `b` adds to the checksum when `k` more bytes follow it in the step.
    static TABLES: [[u32; 256]; 8] = tables();

    #[expect(
        clippy::arithmetic_side_effects,
        clippy::indexing_slicing,
        reason = "runs at compile time, where an overflow or a bad index is an error"
    )]
    const fn tables() -> [[u32; 256]; 8] {
        let mut tables = [[0; 256]; 8];
        let mut byte = 0;
        while byte < 256 {
            let mut crc = byte as u32;
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 {
                    (crc >> 1) ^ POLYNOMIAL
                } else {
                    crc >> 1
                };
                bit += 1;
            }
            tables[0][byte] = crc;
            byte += 1;
        }
        let mut k = 1;
        while k < 8 {
            let mut byte = 0;
            while byte < 256 {
                let before = tables[k - 1][byte];
                tables[k][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
                byte += 1;
            }
            k += 1;
        }
        tables
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
    fn entry(table: &[u32; 256], byte: u8) -> u32 {
        table[usize::from(byte)]
    }

    /// Feeds `bytes` to a checksum that is not finished.
    pub(super) fn update(crc: u32, bytes: &[u8]) -> u32 {
        let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
        let mut crc = crc;
        let mut rest = bytes;
        while let Some((step, after)) = rest.split_first_chunk::<8>() {
            let [a, b, c, d, e, f, g, h] =
                (u64::from_le_bytes(*step) ^ u64::from(crc)).to_le_bytes();
            crc = entry(t7, a)
                ^ entry(t6, b)
                ^ entry(t5, c)
                ^ entry(t4, d)
                ^ entry(t3, e)
                ^ entry(t2, f)
                ^ entry(t1, g)
                ^ entry(t0, h);
            rest = after;
        }
        for byte in rest {
            let [low, ..] = crc.to_le_bytes();
            crc = (crc >> 8) ^ entry(t0, low ^ byte);
        }
        crc
    }
}

/// A checksum that is fed piece by piece.
#[derive(Clone, Copy, Debug)]
pub struct Crc32c(u32);

impl Crc32c {
    /// Starts a checksum.
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Feeds it `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = engine::update(self.0, bytes);
    }

    /// The checksum of everything that was fed.
    pub const fn finish(self) -> u32 {
        !self.0
    }
}

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

/// The CRC32C of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(bytes);
    crc.finish()
}
