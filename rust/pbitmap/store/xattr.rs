// SPDX-License-Identifier: GPL-2.0

//! The extended attribute `user.pbitmap` of a file: a packed slot.
//!
//! The file's content, size and time of modification stay as they are, and the filesystem replaces a
//! value whole: after a power cut it is the old or the new one.

use super::{
    super::{
        filesystem,
        format::{
            packed::{
                self,
                Packed,
                MAX_PACKED, //
            },
            slot::{
                Identity,
                Slot, //
            }, //
        },
        stats::{
            Counter,
            Reason,
            Refusal, //
        },
        sys::file::{
            self,
            Path, //
        },
    },
    zeroed, Loaded, WriteError,
};
use kernel::{
    fs::File,
    prelude::*, //
};

/// Its name.
const NAME: &CStr = c"user.pbitmap";

const _: () = {
    let (ours, shared) = (NAME.to_bytes(), packed::ATTRIBUTE.as_bytes());
    assert!(ours.len() == shared.len());
    let mut index = 0;
    while index < ours.len() {
        assert!(ours[index] == shared[index]);
        index += 1;
    }
};

/// What an attribute has become.
pub(crate) struct Unpacked {
    /// The slot.
    pub(crate) slot: Loaded,
    /// Bytes that the attribute may have.
    room: usize,
}

/// The value of `file`, if it has one. Nobody is asked who may not answer, such as a server.
pub(crate) fn of_file(file: &File) -> Result<Option<KVVec<u8>>, Refusal> {
    if !filesystem::is_local(file::data_filesystem(file)) {
        return Ok(None);
    }
    file::attribute(file, NAME, MAX_PACKED).map_err(|_| Reason::ReadError.into())
}

/// The value of the file at `path`, if it has one.
pub(crate) fn of_path(path: &Path) -> Result<Option<KVVec<u8>>, Refusal> {
    path.attribute(NAME, MAX_PACKED)
        .map_err(|_| Reason::ReadError.into())
}

/// Unpacks a value, which must be for `identity`.
pub(crate) fn unpack(value: &[u8], identity: &Identity) -> Result<Unpacked, Refusal> {
    let packed = Packed::parse(value)?;
    let mut slot = zeroed(packed.slot_size)?;
    let used = packed.unpack(&mut slot)?;
    Slot::parse(&slot, identity)?;
    // The rest of the slot is zeroes, and may be most of it.
    let mut bytes = zeroed(used)?;
    bytes.copy_from_slice(slot.get(..used).ok_or(Reason::ReadError)?);
    Ok(Unpacked {
        slot: Loaded(bytes),
        room: packed.room,
    })
}

/// Stores `next`, the slot that follows what was `unpacked`, with the rights of current. Says
/// whether there was something to store: what was left out to make it fit may have been all that
/// was new.
pub(crate) fn write(path: &Path, unpacked: &Unpacked, next: &[u8]) -> Result<bool, WriteError> {
    let mut value = zeroed(unpacked.room)?;
    let slot = Slot::checked_before(next).map_err(Refusal::from)?;
    let (len, loss) = packed::pack(&slot, unpacked.room, &mut value).map_err(Refusal::from)?;
    let value = value.get(..len).unwrap_or_default();
    if loss != packed::Loss::None {
        let mut again = zeroed(next.len())?;
        let packed = Packed::parse(value).map_err(Refusal::from)?;
        packed.unpack(&mut again).map_err(Refusal::from)?;
        let again = Slot::checked_before(&again).map_err(Refusal::from)?;
        if packed::have_same_pages(&again, &unpacked.slot.slot()?) {
            return Ok(false);
        }
        Counter::NoRoom.add(1);
    }
    path.set_attribute(NAME, value)?;
    Ok(true)
}
