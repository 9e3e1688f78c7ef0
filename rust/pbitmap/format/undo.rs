// SPDX-License-Identifier: GPL-2.0

//! The undo record: the last bytes of an annotated file, with which the original can be given
//! back byte by byte. Only the tool uses it; the module never looks at it.

use super::{
    crc32c::crc32c,
    error::{
        Error,
        Result, //
    },
    layout::UndoRecord, //
};

impl UndoRecord {
    /// The first bytes of the record.
    pub const MAGIC: [u8; 8] = *b"PBMUNDO\0";

    /// Reads and checks the record at the end of `file`.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] if the file is too short, [`Error::BadMagic`] if it does not end in an
    /// undo record, [`Error::BadCrc`] if the record was damaged.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let raw = file
            .last_chunk::<{ Self::SIZE }>()
            .ok_or(Error::Truncated)?;
        let record = Self::decode(raw).ok_or(Error::Truncated)?;
        if record.magic != Self::MAGIC {
            return Err(Error::BadMagic);
        }
        if Self::checksum(raw) != record.crc32c {
            return Err(Error::BadCrc);
        }
        Ok(record)
    }

    /// The record as it is stored, with magic and checksum filled in.
    pub fn to_bytes(&self) -> [u8; Self::SIZE] {
        let mut raw = [0; Self::SIZE];
        let mut record = Self {
            magic: Self::MAGIC,
            ..*self
        };
        // Neither can fail: the array is as long as the record.
        let _ = record.encode(&mut raw);
        record.crc32c = Self::checksum(&raw);
        let _ = record.encode(&mut raw);
        raw
    }

    /// The checksum of all bytes before the one that is stored.
    fn checksum(raw: &[u8; Self::SIZE]) -> u32 {
        raw.split_last_chunk::<4>()
            .map_or(0, |(before, _)| crc32c(before))
    }
}
