// SPDX-License-Identifier: GPL-2.0

//! Blocks of metadata that a start needs: inodes, folders, extents.
//!
//! They are pages of the device that the filesystem of the program is on, and of no other: what is
//! recorded may have been written by anybody, and that device is one that the user who starts the
//! program has read from in this moment. Reading a block ahead shows nobody what is in it.
//!
//! What is noted during a start is what its tasks brought to memory, so that of a warm start it is
//! nothing, and of one that was prefetched what was missing. So those that were wanted are looked at
//! as well: what the filesystem has used since it came to memory counts as needed. Only of a page
//! that was there before it is not known for which program that was.
//!
//! Filesystems that keep metadata elsewhere, such as xfs and btrfs, have none recorded.

use super::{
    format::{
        metadata::{
            identity,
            Name,
            MAX_PAGES,
            PART_PAGES, //
        },
        slot::FileIdentity, //
    },
    launch::Known,
    pages::Pages,
    sys::device::Device, //
};
use kernel::prelude::*;

/// Parts of a device that are recorded of a program.
const MAX_PARTS: usize = 128;

/// Noted pages that are looked at.
const MAX_LOOKS: u64 = 8192;

/// What is stored to know the device by.
pub(crate) fn identity_of(device: &Device<'_>) -> FileIdentity {
    identity(device.uuid(), device.size())
}

/// Pages of one part of a device.
pub(crate) struct Part {
    number: u64,
    /// The path of its record.
    pub(crate) name: Name,
    pub(crate) pages: Pages,
}

/// The pages of `device` that a start needed, of the noted runs and of what was `wanted`, by part
/// in ascending order.
pub(crate) fn needed<'a>(
    device: &Device<'_>,
    noted: &[(u64, u64)],
    wanted: impl Iterator<Item = &'a Known>,
) -> Result<KVVec<Part>> {
    let mut needed = Needed {
        parts: KVVec::new(),
        left: MAX_PAGES.into(),
    };
    let mut looks = MAX_LOOKS;
    for (first, end) in noted {
        let mut page = *first;
        while page < *end && looks != 0 {
            looks = looks.saturating_sub(1);
            if device.has_used(page) {
                needed.add(page)?;
            }
            page = page.saturating_add(1);
        }
    }
    let own = identity_of(device);
    for known in wanted {
        let Some(start) = known.first_page().filter(|_| known.is_on(&own)) else {
            continue;
        };
        let pages = known.wanted();
        let mut next = pages.next_set(0);
        while let Some(bit) = next {
            let page = start.saturating_add(bit as u64);
            if device.has_used(page) {
                needed.add(page)?;
            }
            next = pages.next_set(bit.saturating_add(1));
        }
    }
    needed.parts.sort_unstable_by_key(|part| part.number);
    Ok(needed.parts)
}

struct Needed {
    parts: KVVec<Part>,
    /// Pages that there is room for.
    left: u64,
}

impl Needed {
    fn add(&mut self, page: u64) -> Result {
        let number = page / u64::from(PART_PAGES);
        // Neighbours come one after the other.
        let known = self.parts.iter().rposition(|part| part.number == number);
        let index = match known {
            Some(index) => index,
            None => {
                let Some(name) = Name::of(number) else {
                    return Ok(());
                };
                if self.left == 0 || self.parts.len() >= MAX_PARTS {
                    return Ok(());
                }
                let part = Part {
                    number,
                    name,
                    pages: Pages::empty(PART_PAGES as usize)?,
                };
                self.parts.push(part, GFP_KERNEL)?;
                self.parts.len().saturating_sub(1)
            }
        };
        if let Some(part) = self.parts.get_mut(index).filter(|_| self.left != 0) {
            let new = part.pages.add(page % u64::from(PART_PAGES), 1);
            self.left = self.left.saturating_sub(new);
        }
        Ok(())
    }
}
