// SPDX-License-Identifier: GPL-2.0

//! The bitmap of a program in an extended attribute of its file.

use std::{ffi::CString, fs::File, io};

use anyhow::{bail, Result};
use pbitmap_core::format::{
    crc32c::crc32c,
    error::Error,
    packed::{pack, Loss, Packed, ATTRIBUTE, DEFAULT_PACKED, MAX_PACKED, MIN_PACKED},
    slot::{Identity, Slot},
};
use rustix::{fs::XattrFlags, io::Errno};

/// The attribute of a file.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Bytes of its value.
    pub len: usize,
    /// What it says of itself; nothing if it is something else.
    unpacked: Result<Unpacked, Error>,
}

#[derive(Clone, Debug)]
struct Unpacked {
    room: usize,
    slot: Vec<u8>,
}

impl Attribute {
    /// Reads the attribute of an open file, if it has one.
    pub fn read(file: &File) -> io::Result<Option<Self>> {
        let mut value = vec![0; MAX_PACKED];
        match rustix::fs::fgetxattr(file, name()?, &mut value) {
            Ok(len) => {
                value.truncate(len);
                Ok(Some(Self::new(&value)))
            }
            Err(Errno::NODATA | Errno::NOTSUP | Errno::NOSYS) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// An attribute with this value.
    pub fn new(value: &[u8]) -> Self {
        let unpack = || {
            let packed = Packed::parse(value)?;
            let mut slot = vec![0; packed.slot_size];
            packed.unpack(&mut slot)?;
            let room = packed.room;
            Ok(Unpacked { room, slot })
        };
        Self {
            len: value.len(),
            unpacked: unpack(),
        }
    }

    /// Bytes that its value may have.
    pub fn room(&self) -> Option<usize> {
        self.unpacked.as_ref().ok().map(|unpacked| unpacked.room)
    }

    /// The slot in it, if it was made for `identity`.
    pub fn slot(&self, identity: &Identity) -> Result<Slot<'_>, Error> {
        match &self.unpacked {
            Ok(unpacked) => Slot::parse(&unpacked.slot, identity),
            Err(error) => Err(*error),
        }
    }

    /// The slot in it, whatever it was made for.
    pub fn any_slot(&self) -> Option<Slot<'_>> {
        Slot::checked_before(&self.unpacked.as_ref().ok()?.slot).ok()
    }
}

/// Packs a slot into at most `room` bytes.
pub fn packed(slot: &Slot<'_>, room: usize) -> Result<(Vec<u8>, Loss), Error> {
    let mut value = vec![0; room];
    let (len, loss) = pack(slot, room, &mut value)?;
    value.truncate(len);
    Ok((value, loss))
}

/// Gives an open file the attribute, and says how much room there is for it: `room` bytes if
/// somebody asks for that, or else as much as the filesystem has of what is usual. What of the slot
/// does not fit is left out.
pub fn write(file: &File, slot: &Slot<'_>, room: Option<usize>) -> Result<(usize, Loss)> {
    let rooms = match room {
        Some(room) => vec![room],
        // There may be other attributes beside it.
        None => vec![DEFAULT_PACKED, 3072, 2048, 1024, 512, MIN_PACKED],
    };
    let mut last = None;
    for room in rooms {
        let Ok((value, loss)) = packed(slot, room) else {
            break;
        };
        match set(file, &padded(&value, room)) {
            Ok(()) => {
                set(file, &value).map_err(explain)?;
                return Ok((room, loss));
            }
            Err(error @ (Errno::NOSPC | Errno::TOOBIG | Errno::RANGE)) => last = Some(error),
            Err(error) => return Err(explain(error)),
        }
    }
    match last {
        Some(error) => Err(explain(error)),
        None => bail!("the bitmap does not fit into {} bytes", room.unwrap_or(0)),
    }
}

/// A value with zeroes after it, as long as it may become: what the filesystem takes now, it takes
/// later. Only the checksum is about them.
fn padded(value: &[u8], room: usize) -> Vec<u8> {
    let mut padded = value.to_vec();
    padded.resize(room, 0);
    if let Some((head, stream)) = padded.split_at_mut_checked(8) {
        let crc = crc32c(stream).to_le_bytes();
        for (to, from) in head.iter_mut().skip(4).zip(crc) {
            *to = from;
        }
    }
    padded
}

/// Takes the attribute from an open file.
pub fn remove(file: &File) -> Result<()> {
    rustix::fs::fremovexattr(file, name()?).map_err(explain)
}

fn set(file: &File, value: &[u8]) -> rustix::io::Result<()> {
    let name = name().map_err(|_| Errno::INVAL)?;
    rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
}

fn name() -> io::Result<CString> {
    CString::new(ATTRIBUTE).map_err(io::Error::other)
}

/// Why an attribute cannot be changed, and what can be done.
fn explain(error: Errno) -> anyhow::Error {
    let hint = match error {
        Errno::NOTSUP | Errno::NOSYS => {
            "the filesystem has no attributes of users; `--store=section` puts the bitmap into the \
             file"
        }
        Errno::NOSPC | Errno::TOOBIG | Errno::RANGE => {
            "the filesystem has no room for that beside the other attributes; `--room` asks for \
             less, `--store=section` puts the bitmap into the file"
        }
        Errno::PERM | Errno::ACCESS => "only who may write the file can change its attributes",
        _ => "cannot change the attribute",
    };
    anyhow::Error::new(io::Error::from(error)).context(hint)
}
