// SPDX-License-Identifier: GPL-2.0

//! In which of its modes a program is started: the key of its profile.

use super::{
    format::{
        layout::{
            PROFILE_BY_ARGUMENT,
            PROFILE_BY_NAME,
            PROFILE_BY_SCRIPT,
            PROFILE_DEFAULT, //
        },
        update::Key, //
    },
    sys::exec::Exec, //
};
use kernel::{
    alloc::AllocError,
    prelude::*, //
};

/// Longest key; of a longer name the end is taken, which tells more than its beginning.
const MAX_KEY: usize = 256;

/// The arguments are looked for in so many bytes.
const ARGUMENTS: usize = 1024;

/// A key of its own.
pub(crate) struct Mode {
    kind: u16,
    bytes: KVec<u8>,
}

impl Mode {
    /// The key by what `profile_by` of the slot says; the default one if there is nothing to go by.
    pub(crate) fn of(exec: &Exec<'_>, profile_by: u16) -> Result<Self, AllocError> {
        match profile_by {
            PROFILE_BY_NAME => Self::by_name(exec.path().to_bytes()),
            PROFILE_BY_SCRIPT => match exec.script() {
                Some(script) => Self::new(PROFILE_BY_SCRIPT, script.to_bytes()),
                None => Self::by_argument(exec, PROFILE_BY_SCRIPT),
            },
            PROFILE_BY_ARGUMENT => Self::by_argument(exec, PROFILE_BY_ARGUMENT),
            _ => Self::new(PROFILE_DEFAULT, &[]),
        }
    }

    /// As a key for the slot.
    pub(crate) fn key(&self) -> Key<'_> {
        Key {
            kind: self.kind,
            bytes: &self.bytes,
        }
    }

    fn new(kind: u16, bytes: &[u8]) -> Result<Self, AllocError> {
        let start = bytes.len().saturating_sub(MAX_KEY);
        let mut key = KVec::new();
        key.extend_from_slice(bytes.get(start..).unwrap_or_default(), GFP_KERNEL)?;
        let kind = if key.is_empty() {
            PROFILE_DEFAULT
        } else {
            kind
        };
        Ok(Self { kind, bytes: key })
    }

    /// The last component of the path. A file descriptor has a number and no name.
    fn by_name(path: &[u8]) -> Result<Self, AllocError> {
        if path.starts_with(b"/dev/fd/") {
            return Self::new(PROFILE_DEFAULT, &[]);
        }
        let name = path.rsplit(|byte| *byte == b'/').next();
        Self::new(PROFILE_BY_NAME, name.unwrap_or_default())
    }

    /// The first argument that is no option: the script, or the subcommand.
    fn by_argument(exec: &Exec<'_>, kind: u16) -> Result<Self, AllocError> {
        let mut buffer = KVec::from_elem(0u8, ARGUMENTS, GFP_KERNEL)?;
        let len = exec.arguments(&mut buffer);
        let arguments = buffer.get(..len).unwrap_or_default();
        Self::new(kind, first_word(arguments, exec.argument_count()))
    }
}

/// Of `count` strings that end with a zero byte each, the second or a later one that does not start
/// with a dash; nothing if there is none in here as a whole.
pub(crate) fn first_word(arguments: &[u8], count: usize) -> &[u8] {
    let mut rest = arguments;
    for index in 0..count {
        let Some(end) = rest.iter().position(|byte| *byte == 0) else {
            break;
        };
        let (word, after) = rest.split_at(end);
        if index != 0 && !word.is_empty() && word.first() != Some(&b'-') {
            return word;
        }
        rest = after.get(1..).unwrap_or_default();
    }
    &[]
}
