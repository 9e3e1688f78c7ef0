// SPDX-License-Identifier: GPL-2.0

//! Two slots of the same size, one after the other in a file, that are written in turn.

use super::{
    super::{
        format::slot::{
            self,
            Identity,
            Slot,
            SlotHeader, //
        },
        stats::Refusal, //
    },
    read, zeroed, Loaded,
};
use kernel::{
    fs::File,
    prelude::*, //
};

/// Where they are, and whom they must be for.
#[derive(Clone, Copy)]
pub(crate) struct Slots {
    offset: u64,
    size: usize,
    identity: Identity,
}

impl Slots {
    /// Two slots of `size` bytes, at most [`MAX_SLOT`](super::super::format::MAX_SLOT), from
    /// `offset` on; they end inside the file.
    pub(crate) fn new(offset: u64, size: usize, identity: Identity) -> Self {
        Self {
            offset,
            size,
            identity,
        }
    }

    /// Bytes of one slot.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Where a slot starts.
    pub(crate) fn offset_of(&self, index: usize) -> u64 {
        // Both factors are below `MAX_SLOT`, and the slots end inside the file.
        self.offset
            .saturating_add((index as u64).saturating_mul(self.size as u64))
    }

    /// Where the slot starts that is written when `index` is in force.
    pub(crate) fn offset_beside(&self, index: usize) -> u64 {
        self.offset_of(1 - index.min(1))
    }

    /// Reads the slot in force and says which one it is.
    ///
    /// The older slot takes the place of a newer one that is no good, but not of one that cannot be
    /// read now: whoever writes beside it would write over what is sound.
    pub(crate) fn read(&self, file: &File) -> Result<(usize, Loaded), Refusal> {
        let mut headers = [[0; SlotHeader::SIZE]; 2];
        for (index, bytes) in headers.iter_mut().enumerate() {
            read(file, self.offset_of(index), bytes)?;
        }
        let [first, second] = &headers;
        let order = slot::order([first, second], self.size, &self.identity)?;
        self.read_slot(file, &order.newest).or_else(|refusal| {
            let is_bad = matches!(refusal, Refusal::Format(_));
            let older = order.older.filter(|_| is_bad).ok_or(refusal)?;
            self.read_slot(file, &older).map_err(|_| refusal)
        })
    }

    fn read_slot(
        &self,
        file: &File,
        (index, header): &(usize, SlotHeader),
    ) -> Result<(usize, Loaded), Refusal> {
        // At most the slot's size, which `order` has compared with ours.
        let mut bytes = zeroed(header.used_bytes as usize)?;
        read(file, self.offset_of(*index), &mut bytes)?;
        Slot::parse(&bytes, &self.identity)?;
        Ok((*index, Loaded(bytes)))
    }
}
