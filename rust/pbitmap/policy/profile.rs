// SPDX-License-Identifier: GPL-2.0

//! Which of the profiles of a program is the one to use.

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

/// What to prefetch.
#[derive(Clone, Copy, Debug)]
pub enum Choice<'a> {
    /// The pages of one profile.
    One(Profile<'a>),
    /// The pages that are wanted in both: the program is used in a way that was not recorded yet.
    Common(Profile<'a>, Profile<'a>),
}

/// The pages to prefetch when the program is started in the way that `key` says; [`None`] if there
/// is no profile at all.
///
/// That is the profile with this key. If it has none, it is the default one; without that as well,
/// what the two that were used last have in common, which is what the program needs in any mode.
/// Only profiles with a recording are looked at, unless there is none: then it is what the tool
/// made when it annotated the file.
pub fn choose<'a>(slot: &Slot<'a>, key: &Key<'_>) -> Option<Choice<'a>> {
    let recorded = |profile: &Profile<'_>| profile.record.runs != 0;
    let is_default = |profile: &Profile<'_>| profile.record.kind == PROFILE_DEFAULT;
    let mut exact = None;
    let mut default = None;
    // One pass: this is done for every start.
    for profile in slot.profiles() {
        if recorded(&profile) {
            if key.is_of(&profile) {
                exact = Some(profile);
                break;
            }
            if default.is_none() && is_default(&profile) {
                default = Some(profile);
            }
        }
    }
    if let Some(profile) = exact.or(default) {
        return Some(Choice::One(profile));
    }
    let mut recent = slot.profiles_by_use().filter(recorded);
    match (recent.next(), recent.next()) {
        (Some(first), Some(second)) => Some(Choice::Common(first, second)),
        (Some(only), None) => Some(Choice::One(only)),
        _ => slot
            .profiles()
            .find(|profile| key.is_of(profile))
            .or_else(|| slot.default_profile())
            .map(Choice::One),
    }
}

impl<'a> Choice<'a> {
    /// The profile that matched, or the one of two that was used last.
    pub fn profile(&self) -> &Profile<'a> {
        match self {
            Self::One(profile) | Self::Common(profile, _) => profile,
        }
    }

    /// The files of it and their pages, in the order of the table.
    ///
    /// Of two profiles these are the files that are in both and have not changed in between.
    pub fn files(&self, slot: &Slot<'a>) -> impl Iterator<Item = (File<'a>, Wanted<'a>)> + 'a {
        let slot = *slot;
        let (first, second) = match *self {
            Self::One(only) => (only, None),
            Self::Common(first, second) => (first, Some(second)),
        };
        let mut hint = 0;
        slot.files(&first).filter_map(move |file| {
            let wanted = Wanted::new(&file, first.record.runs);
            let Some(second) = &second else {
                return Some((file, wanted));
            };
            let other = slot.find(second, file.record.kind, file.path(), hint)?;
            hint = other.index.saturating_add(1);
            let comparable = other.is_same_file(&file.record)
                && other.record.first_page == file.record.first_page;
            comparable.then(|| {
                let other = Wanted::new(&other, second.record.runs);
                (file, wanted.and(&other))
            })
        })
    }
}
