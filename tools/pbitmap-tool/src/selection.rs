// SPDX-License-Identifier: GPL-2.0

//! Which of the profiles and files of a bitmap to look at.

use anyhow::{Context as _, Result};
use pbitmap_core::{
    format::{
        layout::{
            FILE_EXECUTABLE, PROFILE_BY_ARGUMENT, PROFILE_BY_NAME, PROFILE_BY_SCRIPT,
            PROFILE_DEFAULT,
        },
        slot::{File, Profile, Slot},
        update::Key,
    },
    policy::{
        merge::Wanted,
        profile::{choose, Choice},
    },
};

use crate::{pages::Pages, printable::printable};

/// What the default profile is called where others are called by their keys.
pub const DEFAULT: &str = "default";

/// What the kernel would use of a slot, and one of its files.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'d> {
    /// The slot.
    pub slot: Slot<'d>,
    /// The profile, or two of them.
    pub choice: Option<Choice<'d>>,
    /// The file, and its pages that are wanted.
    pub file: Option<(File<'d>, Wanted<'d>)>,
}

impl<'d> Selection<'d> {
    /// The executable in the profile that was used last.
    pub fn of(slot: &Slot<'d>) -> Self {
        Self::new(slot, slot.profiles_by_use().next().map(Choice::One))
    }

    fn new(slot: &Slot<'d>, choice: Option<Choice<'d>>) -> Self {
        let executable = |choice: Choice<'d>| {
            choice
                .files(slot)
                .find(|(file, _)| file.record.kind == FILE_EXECUTABLE)
        };
        Self {
            slot: *slot,
            choice,
            file: choice.and_then(executable),
        }
    }

    /// What the kernel would use for a start with the key `profile`, and the file called `file`.
    pub fn find(slot: &Slot<'d>, profile: Option<&str>, file: Option<&str>) -> Result<Self> {
        let mut selection = match profile {
            Some(key) => Self::new(slot, chosen(slot, key)),
            None => Self::of(slot),
        };
        if let Some(wanted) = file {
            let is_wanted = |file: &File<'_>| {
                file.record.kind != FILE_EXECUTABLE && file.path() == wanted.as_bytes()
            };
            let found = selection
                .choice
                .and_then(|choice| choice.files(slot).find(|(file, _)| is_wanted(file)));
            let found = found.with_context(|| match selection.profile() {
                Some(profile) => format!("no file {wanted} in profile {}", name(profile)),
                None => format!("no file {wanted}"),
            })?;
            selection.file = Some(found);
        }
        Ok(selection)
    }

    /// The profile, or the one of two that was used last.
    pub fn profile(&self) -> Option<&Profile<'d>> {
        self.choice.as_ref().map(Choice::profile)
    }

    /// The pages of the file that are wanted.
    pub fn pages(&self) -> Pages {
        match &self.file {
            Some((file, wanted)) => Pages::of(&self.slot, file, wanted),
            None => Pages::default(),
        }
    }
}

/// What the kernel would use for a start with this key.
fn chosen<'d>(slot: &Slot<'d>, key: &str) -> Option<Choice<'d>> {
    let exact = slot
        .profiles()
        .find(|profile| profile.record.kind != PROFILE_DEFAULT && profile.key() == key.as_bytes());
    match (exact, key) {
        (Some(profile), _) => Some(Choice::One(profile)),
        (None, DEFAULT) => choose(slot, &Key::DEFAULT),
        (None, key) => {
            let kind = slot.header().profile_by;
            let bytes = key.as_bytes();
            choose(slot, &Key { kind, bytes })
        }
    }
}

/// What a profile is called.
pub fn name(profile: &Profile<'_>) -> String {
    match profile.record.kind {
        PROFILE_DEFAULT => DEFAULT.to_owned(),
        _ => printable(&String::from_utf8_lossy(profile.key())),
    }
}

/// What kind of profile it is.
pub fn kind(profile: &Profile<'_>) -> &'static str {
    match profile.record.kind {
        PROFILE_DEFAULT => "default",
        PROFILE_BY_NAME => "name",
        PROFILE_BY_SCRIPT => "script",
        PROFILE_BY_ARGUMENT => "argument",
        _ => "unknown",
    }
}
