// SPDX-License-Identifier: GPL-2.0

//! Metadata of a filesystem, such as inodes and folders, as file records: pages of the device that
//! the filesystem of the executable is on, in parts.
//!
//! Such a record is one by path, but its path is no path: it is `metadata:` and the number of the
//! part in decimal digits. The pages of part `n` are those of the device from `n * PART_PAGES` on.
//! What the device was is said by its size and by the UUID of the filesystem, in fields that are
//! compared for other files as well.
//!
//! They are hints, and nothing else is made of them than reads ahead: a block may have become part
//! of a file since, and nobody would know.

use super::builder::FileIdentity;

/// What such a path starts with.
const PREFIX: &[u8] = b"metadata:";

/// Pages of a part.
pub const PART_PAGES: u32 = 512;

/// Pages of metadata that a start can want; of more the first ones count.
pub const MAX_PAGES: u32 = 1024;

/// Digits of the highest part: a device has less than 2 to the 63 bytes.
const MAX_DIGITS: usize = 13;

/// The number of the part that the record with this path is of; [`None`] if it is of a file.
pub fn part_of(path: &[u8]) -> Option<u64> {
    let digits = path.strip_prefix(PREFIX)?;
    let is_canonical = digits == b"0" || !digits.starts_with(b"0");
    if digits.is_empty() || digits.len() > MAX_DIGITS || !is_canonical {
        return None;
    }
    digits.iter().try_fold(0u64, |part, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        part.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The path of the record of a part.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    bytes: [u8; PREFIX.len().saturating_add(MAX_DIGITS)],
    start: usize,
}

impl Name {
    /// That of `part`; [`None`] if no device has so many.
    pub fn of(part: u64) -> Option<Self> {
        let mut name = Self {
            bytes: [0; PREFIX.len().saturating_add(MAX_DIGITS)],
            start: PREFIX.len().saturating_add(MAX_DIGITS),
        };
        let mut rest = part;
        loop {
            name.push(b'0'.checked_add(u8::try_from(rest % 10).ok()?)?)?;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        for byte in PREFIX.iter().rev() {
            name.push(*byte)?;
        }
        Some(name)
    }

    fn push(&mut self, byte: u8) -> Option<()> {
        self.start = self.start.checked_sub(1)?;
        *self.bytes.get_mut(self.start)? = byte;
        Some(())
    }

    /// It.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

/// What identifies a device of `size` bytes with a filesystem of this UUID.
pub fn identity(uuid: &[u8; 16], size: u64) -> FileIdentity {
    let (mut first, mut last) = ([0; 8], [0; 8]);
    for (to, from) in first.iter_mut().chain(&mut last).zip(uuid) {
        *to = *from;
    }
    FileIdentity {
        ino: u64::from_le_bytes(last),
        size,
        mtime_sec: i64::from_le_bytes(first),
        ..FileIdentity::default()
    }
}
