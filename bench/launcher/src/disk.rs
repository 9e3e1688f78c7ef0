// SPDX-License-Identifier: GPL-2.0

//! The counters of one disk, from `/sys/block/NAME/stat`.

use std::fs;

use anyhow::{Context, Result};

/// Completed requests and the 512-byte sectors they moved, since the disk was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) reads: u64,
    pub(crate) sectors_read: u64,
    pub(crate) writes: u64,
    pub(crate) sectors_written: u64,
}

impl Counters {
    /// The counters of `/sys/block/NAME/stat` now; zeros when no disk was named.
    pub(crate) fn now(name: Option<&str>) -> Result<Self> {
        let Some(name) = name else {
            return Ok(Self::default());
        };
        let path = format!("/sys/block/{name}/stat");
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        Self::parse(&text).with_context(|| format!("{path}: not the fields of a disk: {text:?}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<u64> = text
            .split_whitespace()
            .map_while(|field| field.parse().ok())
            .collect();
        Some(Self {
            reads: *fields.first()?,
            sectors_read: *fields.get(2)?,
            writes: *fields.get(4)?,
            sectors_written: *fields.get(6)?,
        })
    }

    /// What happened between `earlier` and this.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            reads: self.reads.wrapping_sub(earlier.reads),
            sectors_read: self.sectors_read.wrapping_sub(earlier.sectors_read),
            writes: self.writes.wrapping_sub(earlier.writes),
            sectors_written: self.sectors_written.wrapping_sub(earlier.sectors_written),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stat_file_of_a_disk_is_read_by_position() {
        let text = "     130        5     9218       44       7        3      56       11        0       32       55\n";
        let expected = Counters {
            reads: 130,
            sectors_read: 9218,
            writes: 7,
            sectors_written: 56,
        };
        assert_eq!(Counters::parse(text), Some(expected));
    }

    #[test]
    fn a_short_stat_file_is_refused() {
        assert_eq!(Counters::parse("1 2 3"), None);
    }
}
