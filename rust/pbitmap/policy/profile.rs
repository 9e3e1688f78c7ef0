// SPDX-License-Identifier: GPL-2.0

//! Which of a program's profiles tells what a start will need.

use super::{
    super::format::{
        layout::PROFILE_DEFAULT,
        slot::{
            File,
            Profile,
            Slot, //
        },
        update::Key, //
    },
    merge::Wanted,
};

/// What to go by.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// The profile of this mode, or the only one.
    One(Profile<'a>),
    /// A mode that was never seen: what the two last modes have in common.
    Common(Profile<'a>, Profile<'a>),
}

/// Whether `profile` is that of `key`.
pub fn is_of(profile: &Profile<'_>, key: &Key<'_>) -> bool {
    profile.record.kind == key.kind && profile.key() == key.bytes
}

/// What to go by when a program is started in the mode `key`; [`None`] if nothing was recorded.
pub fn choose<'a>(slot: &Slot<'a>, key: &Key<'_>) -> Option<Choice<'a>> {
    let recorded = |profile: &Profile<'_>| profile.record.runs != 0;
    let mut last = None::<Profile<'a>>;
    let mut before = None::<Profile<'a>>;
    let mut default = None;
    for profile in slot.profiles().filter(recorded) {
        if is_of(&profile, key) {
            return Some(Choice::One(profile));
        }
        if profile.record.kind == PROFILE_DEFAULT && default.is_none() {
            default = Some(profile);
        }
        if last.is_none_or(|last| profile.record.last_used > last.record.last_used) {
            before = last;
            last = Some(profile);
        } else if before.is_none_or(|before| profile.record.last_used > before.record.last_used) {
            before = Some(profile);
        }
    }
    if let Some(default) = default {
        return Some(Choice::One(default));
    }
    match (last, before) {
        (Some(last), Some(before)) => Some(Choice::Common(last, before)),
        (Some(last), None) => Some(Choice::One(last)),
        _ => None,
    }
}

/// The pages wanted of a file: those of one profile, or those that two have in common.
#[derive(Clone, Copy, Debug)]
pub struct Pages<'a> {
    one: Wanted<'a>,
    other: Option<Wanted<'a>>,
}

impl Pages<'_> {
    /// How many pages there are to tell about.
    pub fn len(&self) -> usize {
        self.one.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.one.is_empty()
    }

    /// The pages from `64 * index` on, the first in the lowest bit.
    pub fn word(&self, index: usize) -> u64 {
        let mask = self
            .other
            .as_ref()
            .map_or(u64::MAX, |other| other.word(index));
        self.one.word(index) & mask
    }
}

impl<'a> Choice<'a> {
    /// Calls `f` for each file that is wanted.
    pub fn for_each_file(&self, slot: &Slot<'a>, mut f: impl FnMut(&File<'a>, &Pages<'a>)) {
        match self {
            Self::One(profile) => {
                for file in slot.files(profile) {
                    let one = Wanted::new(&file, profile.record.runs);
                    f(&file, &Pages { one, other: None });
                }
            }
            Self::Common(last, before) => {
                for file in slot.files(last) {
                    let other = slot.files(before).find(|other| {
                        other.record.kind == file.record.kind && other.path() == file.path()
                    });
                    if let Some(other) = other {
                        let pages = Pages {
                            one: Wanted::new(&file, last.record.runs),
                            other: Some(Wanted::new(&other, before.record.runs)),
                        };
                        f(&file, &pages);
                    }
                }
            }
        }
    }
}
