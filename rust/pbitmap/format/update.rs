// SPDX-License-Identifier: GPL-2.0

//! The slot that follows another when a run was recorded.

use super::{
    super::policy::{
        merge::{
            Merge,
            Wanted, //
        },
        profile, //
    },
    bitmap::Bitmap,
    builder::{
        Builder,
        FileIdentity,
        FileInput,
        Outcome,
        ProfileInput, //
    },
    error::{
        Error,
        Result, //
    },
    layout::{
        FILE_BY_PATH,
        FILE_EXECUTABLE,
        PROFILE_DEFAULT, //
    },
    slot::{
        File,
        Profile,
        Slot, //
    },
    MAX_FILES,
    MAX_PLANES,
    MAX_PROFILES, //
};

/// What tells a mode of a program from the others.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key<'a> {
    /// `PROFILE_*` of the [layout](super::layout).
    pub kind: u16,
    /// The name, script or argument; empty for the default.
    pub bytes: &'a [u8],
}

/// A file that a run touched.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// Its path from the program's root; empty for the executable.
    pub path: &'a [u8],
    /// What it was.
    pub identity: FileIdentity,
    /// The pages that were touched.
    pub pages: Bitmap<'a>,
}

/// One run of a program.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// Its mode.
    pub key: Key<'a>,
    /// How it and those before it are kept.
    pub merge: Merge,
    /// Pages that had been prefetched for it, or were in memory.
    pub wanted: u32,
    /// Those of them that it touched.
    pub hits: u32,
    /// When it was, in seconds since the epoch.
    pub now: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Bytes of the slot that are in use.
    pub used: usize,
    /// Files of the run for which there was no room.
    pub files_dropped: usize,
    /// Files of the run of which the end is missing.
    pub files_truncated: usize,
    /// Other modes for which there was no room.
    pub profiles_dropped: usize,
}

/// A recording that differs from the last one by at most one page in so many is not worth a write.
const CLOSE_ENOUGH: u64 = 128;

/// The planes of one file, the newest first.
#[derive(Clone, Copy)]
struct Planes<'a> {
    planes: [&'a [u8]; MAX_PLANES],
    count: usize,
    pages: u32,
}

impl<'a> Planes<'a> {
    const EMPTY: Self = Self {
        planes: [&[]; MAX_PLANES],
        count: 0,
        pages: 0,
    };

    fn push(&mut self, plane: Bitmap<'a>) {
        if let Some(place) = self.planes.get_mut(self.count) {
            *place = plane.bytes();
            self.count = self.count.saturating_add(1);
            self.pages = self.pages.max(trimmed(&plane));
        }
    }

    fn push_old(&mut self, old: &File<'a>, limit: usize) {
        for index in 0..usize::from(old.record.plane_count) {
            if self.count >= limit {
                break;
            }
            if let Some(plane) = old.plane(index) {
                self.push(plane);
            }
        }
    }

    fn as_slice(&self) -> &[&'a [u8]] {
        self.planes.get(..self.count).unwrap_or_default()
    }
}

/// Pages up to the last one that is set, in whole words.
fn trimmed(plane: &Bitmap<'_>) -> u32 {
    let mut words = plane.len().div_ceil(64);
    while let Some(last) = words.checked_sub(1) {
        if plane.word(last) != 0 {
            break;
        }
        words = last;
    }
    let pages = words.saturating_mul(64).min(plane.len());
    u32::try_from(pages).unwrap_or(u32::MAX)
}

/// Whether a record is of the file that was seen, unchanged.
fn is_same(old: &File<'_>, seen: &Seen<'_>) -> bool {
    if seen.path.is_empty() {
        return old.record.kind == FILE_EXECUTABLE;
    }
    let (one, other) = (old.identity(), seen.identity);
    old.record.kind == FILE_BY_PATH
        && old.record.first_page == 0
        && old.path() == seen.path
        && one.ino == other.ino
        && one.generation == other.generation
        && one.size == other.size
        && one.mtime_sec == other.mtime_sec
        && one.mtime_nsec == other.mtime_nsec
}

/// How many planes a file gets.
fn plane_limit(old: &Slot<'_>, merge: Merge, runs: u32) -> usize {
    match merge {
        Merge::Replace | Merge::Or => 1,
        Merge::Age => usize::from(old.header().planes)
            .clamp(1, MAX_PLANES)
            .min(usize::try_from(runs).unwrap_or(usize::MAX)),
    }
}

/// The profile of the run in `old`.
fn own<'a>(old: &Slot<'a>, run: &Run<'_>) -> Option<Profile<'a>> {
    old.profiles()
        .find(|profile| profile::is_of(profile, &run.key))
}

/// The pages that a record of the executable has room for.
fn executable_pages(old: &Slot<'_>) -> u32 {
    old.profiles()
        .filter_map(|profile| old.executable(&profile))
        .map(|file| file.record.page_count)
        .max()
        .unwrap_or(0)
}

/// Writes the slot that follows `old` to `out`, all of which is the slot. `files` are what the run
/// touched, the executable first.
///
/// # Errors
///
/// [`Error::GenerationExhausted`], or [`Error::BadSlotSize`] if `out` is not as long as a slot.
pub fn update<'a>(
    old: &Slot<'_>,
    out: &mut [u8],
    run: &Run<'_>,
    files: impl Iterator<Item = Seen<'a>> + Clone,
) -> Result<Report> {
    let header = *old.header();
    let generation = header
        .generation
        .checked_add(1)
        .ok_or(Error::GenerationExhausted)?;
    let most = usize::from(header.max_profiles).clamp(1, MAX_PROFILES);
    let own = own(old, run);
    let runs = own.map_or(0, |profile| profile.record.runs).saturating_add(1);
    let is_kept = |profile: &Profile<'_>| {
        // The default one that a fresh slot has goes when there is another.
        !profile::is_of(profile, &run.key)
            && !(profile.record.kind == PROFILE_DEFAULT && profile.record.runs == 0)
    };
    let others = old.profiles().filter(is_kept).count();
    let profiles = others.min(most.saturating_sub(1)).saturating_add(1);

    let limit = plane_limit(old, run.merge, runs);
    let kept_files = own.map_or(0, |profile| kept(old, &profile, run, limit, files.clone()).count());
    let other_files = ranked(old, is_kept)
        .take(profiles.saturating_sub(1))
        .map(|profile| old.files(&profile).count())
        .fold(0, usize::saturating_add);
    let count = files
        .clone()
        .count()
        .saturating_add(kept_files)
        .saturating_add(other_files)
        .min(MAX_FILES);
    let mut builder = Builder::new(out, &header, profiles, count)?;
    let mut report = Report {
        profiles_dropped: others.saturating_sub(profiles.saturating_sub(1)),
        ..Report::default()
    };

    let added = builder.profile(&ProfileInput {
        kind: run.key.kind,
        key: run.key.bytes,
        runs,
        last_used: run.now,
        wanted: run.wanted,
        hits: run.hits,
    })?;
    if added == Outcome::Dropped {
        return Err(Error::NoRoom);
    }
    for seen in files.clone() {
        let mut planes = Planes::EMPTY;
        planes.push(seen.pages);
        let before = own.and_then(|own| old.files(&own).find(|file| is_same(file, &seen)));
        let outcome = match (run.merge, before) {
            (Merge::Or, Some(file)) => {
                // Both planes are given; the builder makes one of them.
                planes.push_old(&file, 2);
                add(&mut builder, old, &seen, &planes, true)?
            }
            (Merge::Age, Some(file)) => {
                planes.push_old(&file, limit);
                add(&mut builder, old, &seen, &planes, false)?
            }
            _ => add(&mut builder, old, &seen, &planes, false)?,
        };
        match outcome {
            Outcome::Stored => {}
            Outcome::Truncated => report.files_truncated = report.files_truncated.saturating_add(1),
            Outcome::Dropped => report.files_dropped = report.files_dropped.saturating_add(1),
        }
    }
    if let Some(own) = own {
        for file in kept(old, &own, run, limit, files.clone()) {
            let seen = Seen {
                path: file.path(),
                identity: file.identity(),
                pages: Bitmap::new(&[], 0),
            };
            let mut planes = Planes::EMPTY;
            if run.merge == Merge::Age {
                planes.push(seen.pages);
            }
            planes.push_old(&file, limit);
            let _ = add(&mut builder, old, &seen, &planes, false)?;
        }
    }
    for profile in ranked(old, is_kept).take(profiles.saturating_sub(1)) {
        let record = &profile.record;
        let added = builder.profile(&ProfileInput {
            kind: record.kind,
            key: profile.key(),
            runs: record.runs,
            last_used: record.last_used,
            wanted: record.wanted,
            hits: record.hits,
        })?;
        let mut dropped = added == Outcome::Dropped;
        for file in old.files(&profile) {
            let mut planes = Planes::EMPTY;
            planes.push_old(&file, MAX_PLANES);
            let outcome = builder.file(&FileInput {
                kind: file.record.kind,
                path: file.path(),
                identity: file.identity(),
                first_page: file.record.first_page,
                page_count: file.record.page_count,
                planes: planes.as_slice(),
                merged: false,
            })?;
            dropped |= outcome != Outcome::Stored;
        }
        if dropped {
            report.profiles_dropped = report.profiles_dropped.saturating_add(1);
        }
    }
    report.used = builder.finish(generation, run.now)?;
    Ok(report)
}

fn add(
    builder: &mut Builder<'_>,
    old: &Slot<'_>,
    seen: &Seen<'_>,
    planes: &Planes<'_>,
    merged: bool,
) -> Result<Outcome> {
    let own = seen.path.is_empty();
    let page_count = if own {
        executable_pages(old).max(planes.pages)
    } else {
        planes.pages
    };
    builder.file(&FileInput {
        kind: if own { FILE_EXECUTABLE } else { FILE_BY_PATH },
        path: seen.path,
        identity: if own {
            FileIdentity::default()
        } else {
            seen.identity
        },
        first_page: 0,
        page_count,
        planes: planes.as_slice(),
        merged,
    })
}

/// The files of the run's profile that were not seen now and are not forgotten.
fn kept<'s, 'a>(
    old: &Slot<'s>,
    own: &Profile<'s>,
    run: &Run<'_>,
    limit: usize,
    files: impl Iterator<Item = Seen<'a>> + Clone,
) -> impl Iterator<Item = File<'s>> {
    let merge = run.merge;
    old.files(own).filter(move |file| {
        file.record.kind == FILE_BY_PATH
            && file.record.first_page == 0
            && merge != Merge::Replace
            && !files.clone().any(|seen| seen.path == file.path())
            && (merge == Merge::Or
                || (0..limit.saturating_sub(1))
                    .filter_map(|index| file.plane(index))
                    .any(|plane| plane.next_set(0).is_some()))
    })
}

/// The profiles that `wanted` says yes to, the one that was used last first.
fn ranked<'a>(
    slot: &Slot<'a>,
    wanted: impl Fn(&Profile<'_>) -> bool + Copy,
) -> impl Iterator<Item = Profile<'a>> {
    let slot = *slot;
    let rank = |profile: &Profile<'_>| (profile.record.last_used, usize::MAX.saturating_sub(profile.index));
    let mut below = None;
    core::iter::from_fn(move || {
        let next = slot
            .profiles()
            .filter(|profile| wanted(profile))
            .filter(|profile| below.is_none_or(|below| rank(profile) < below))
            .max_by_key(|profile| rank(profile))?;
        below = Some(rank(&next));
        Some(next)
    })
}

/// Whether what is prefetched for this mode is what the run touched, so that a write would gain
/// nothing. Where recordings age, a difference of less than one page in 128 is let pass: the next
/// run would undo it.
pub fn is_stored<'a>(
    old: &Slot<'_>,
    run: &Run<'_>,
    files: impl Iterator<Item = Seen<'a>> + Clone,
) -> bool {
    let Some(own) = own(old, run).filter(|own| own.record.runs != 0) else {
        return false;
    };
    let (mut differ, mut touched) = (0u64, 0u64);
    for seen in files.clone() {
        let file = old.files(&own).find(|file| is_same(file, &seen));
        let wanted = file.map(|file| Wanted::new(&file, own.record.runs));
        let pages = wanted.map_or(0, |wanted| wanted.len()).max(seen.pages.len());
        for index in 0..pages.div_ceil(64) {
            let new = seen.pages.word(index);
            let old = wanted.map_or(0, |wanted| wanted.word(index));
            let other = match run.merge {
                Merge::Or => new & !old,
                Merge::Replace | Merge::Age => new ^ old,
            };
            touched = touched.saturating_add(u64::from(new.count_ones()));
            differ = differ.saturating_add(u64::from(other.count_ones()));
        }
    }
    if run.merge != Merge::Or {
        for file in old.files(&own) {
            if !files.clone().any(|seen| is_same(&file, &seen)) {
                let wanted = Wanted::new(&file, own.record.runs);
                for index in 0..wanted.len().div_ceil(64) {
                    differ = differ.saturating_add(u64::from(wanted.word(index).count_ones()));
                }
            }
        }
    }
    match run.merge {
        Merge::Replace | Merge::Or => differ == 0,
        Merge::Age => differ <= touched / CLOSE_ENOUGH,
    }
}
