// SPDX-License-Identifier: GPL-2.0

//! Which of the profiles and files of a bitmap to look at.

use anyhow::{Context as _, Result};
use pbitmap_core::format::{
    layout::{
        FILE_EXECUTABLE, PROFILE_BY_ARGUMENT, PROFILE_BY_NAME, PROFILE_BY_SCRIPT, PROFILE_DEFAULT,
    },
    slot::{File, Profile, Slot},
};

use crate::pages::Pages;

/// What the default profile is called where others are called by their keys.
pub const DEFAULT: &str = "default";

/// A profile of a slot and one of its files.
#[derive(Clone, Copy, Debug)]
pub struct Selection<'d> {
    /// The slot.
    pub slot: Slot<'d>,
    /// The profile.
    pub profile: Option<Profile<'d>>,
    /// The file.
    pub file: Option<File<'d>>,
}

impl<'d> Selection<'d> {
    /// The executable in the profile that was used last.
    pub fn of(slot: &Slot<'d>) -> Self {
        let profile = used_last(slot);
        Self {
            slot: *slot,
            profile,
            file: profile.and_then(|profile| slot.executable(&profile)),
        }
    }

    /// The profile and the file that somebody asks for by their names.
    pub fn find(slot: &Slot<'d>, profile: Option<&str>, file: Option<&str>) -> Result<Self> {
        let mut selection = Self::of(slot);
        if let Some(wanted) = profile {
            let found = slot
                .profiles()
                .find(|profile| profile.key() == wanted.as_bytes())
                .or_else(|| slot.default_profile().filter(|_| wanted == DEFAULT));
            let found = found.with_context(|| {
                let names: Vec<String> = slot.profiles().map(|profile| name(&profile)).collect();
                format!("no profile {wanted}; there are: {}", names.join(", "))
            })?;
            selection.profile = Some(found);
            selection.file = slot.executable(&found);
        }
        if let (Some(wanted), Some(profile)) = (file, selection.profile) {
            let found = slot.files(&profile).find(|file| {
                file.record.kind != FILE_EXECUTABLE && file.path() == wanted.as_bytes()
            });
            let found =
                found.with_context(|| format!("no file {wanted} in profile {}", name(&profile)))?;
            selection.file = Some(found);
        }
        Ok(selection)
    }

    /// The pages of the file that the next start wants.
    pub fn pages(&self) -> Pages {
        match (&self.profile, &self.file) {
            (Some(profile), Some(file)) => Pages::of(&self.slot, profile, file),
            _ => Pages::default(),
        }
    }
}

/// The profile that was used last.
pub fn used_last<'d>(slot: &Slot<'d>) -> Option<Profile<'d>> {
    // Of those with the same time, the first.
    slot.profiles().reduce(
        |last, profile| match profile.record.last_used > last.record.last_used {
            true => profile,
            false => last,
        },
    )
}

/// What a profile is called.
pub fn name(profile: &Profile<'_>) -> String {
    match profile.record.kind {
        PROFILE_DEFAULT => DEFAULT.to_owned(),
        _ => String::from_utf8_lossy(profile.key()).into_owned(),
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
