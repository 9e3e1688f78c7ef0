// SPDX-License-Identifier: GPL-2.0

//! The records of perf, one after the other in a buffer.

use anyhow::{bail, Context, Result};

pub(crate) const RECORD_LOST: u32 = 2;
pub(crate) const RECORD_COMM: u32 = 3;
pub(crate) const RECORD_FORK: u32 = 7;
pub(crate) const RECORD_SAMPLE: u32 = 9;
pub(crate) const RECORD_MMAP2: u32 = 10;
pub(crate) const MISC_COMM_EXEC: u16 = 1 << 13;

const HEADER_SIZE: usize = 8;

/// The records in a buffer. A record that says that others were lost is an error.
pub(crate) struct Records<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let next = self.split();
        if next.is_err() {
            self.0 = &[];
        }
        Some(next)
    }
}

impl<'a> Records<'a> {
    fn split(&mut self) -> Result<Record<'a>> {
        let size = usize::from(Record(self.0).u16(6)?);
        if size < HEADER_SIZE || size > self.0.len() {
            bail!("a perf record of {size} bytes");
        }
        let (record, rest) = self.0.split_at(size);
        self.0 = rest;
        let record = Record(record);
        if record.kind()? == RECORD_LOST {
            bail!("perf lost records");
        }
        Ok(record)
    }
}

/// One record, with its little-endian fields by offset.
pub(crate) struct Record<'a>(pub(crate) &'a [u8]);

impl Record<'_> {
    pub(crate) fn kind(&self) -> Result<u32> {
        self.u32(0)
    }

    pub(crate) fn misc(&self) -> Result<u16> {
        self.u16(4)
    }
    fn bytes<const N: usize>(&self, offset: usize) -> Result<[u8; N]> {
        self.0
            .get(offset..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .with_context(|| format!("a perf record shorter than {} bytes", offset + N))
    }

    pub(crate) fn u16(&self, offset: usize) -> Result<u16> {
        Ok(u16::from_le_bytes(self.bytes(offset)?))
    }

    pub(crate) fn u32(&self, offset: usize) -> Result<u32> {
        Ok(u32::from_le_bytes(self.bytes(offset)?))
    }

    pub(crate) fn u64(&self, offset: usize) -> Result<u64> {
        Ok(u64::from_le_bytes(self.bytes(offset)?))
    }
}
