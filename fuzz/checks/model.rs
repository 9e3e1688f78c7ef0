// SPDX-License-Identifier: GPL-2.0

//! What a recording makes of a slot, said in the simple way: with sets of pages and lists of
//! files, and with no regard for memory or time.

use std::collections::{BTreeMap, BTreeSet};

use pbitmap_core::{
    format::{
        bitmap::Bitmap,
        layout::{
            FileRecord, ProfileRecord, FILE_BY_PATH, FILE_EXECUTABLE, FILE_READ, FILE_TRUNCATED,
            PROFILE_DEFAULT,
        },
        metadata::part_of,
        slot::{File, Profile, Slot},
        update::{Key, Report, Run, Seen},
    },
    policy::merge::Merge,
};

pub(crate) type Pages = BTreeSet<u64>;

/// A file of a profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct FileModel {
    pub(crate) path: Vec<u8>,
    /// Without the places in the slot.
    pub(crate) record: FileRecord,
    pub(crate) planes: Vec<Pages>,
}

/// A profile with its files.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ProfileModel {
    pub(crate) key: Vec<u8>,
    /// Without the places in the slot.
    pub(crate) record: ProfileRecord,
    pub(crate) files: Vec<FileModel>,
}

fn pages(bitmap: &Bitmap<'_>) -> Pages {
    let runs = bitmap.runs();
    runs.flat_map(|(first, len)| first as u64..(first + len) as u64)
        .collect()
}

fn same_key(key: &Key<'_>, profile: &ProfileModel) -> bool {
    key.kind == profile.record.kind && (key.kind == PROFILE_DEFAULT || key.bytes == profile.key)
}

/// What is in a slot, in the order of its tables.
pub(crate) fn read(slot: &Slot<'_>) -> Vec<ProfileModel> {
    let file = |file: File<'_>| FileModel {
        path: file.path().to_vec(),
        record: FileRecord {
            path_offset: 0,
            path_len: 0,
            planes_offset: 0,
            plane_stride: 0,
            ..file.record
        },
        planes: (0..usize::from(file.record.plane_count))
            .map(|index| pages(&file.plane(index).unwrap()))
            .collect(),
    };
    let profile = |profile: Profile<'_>| ProfileModel {
        key: profile.key().to_vec(),
        record: ProfileRecord {
            key_offset: 0,
            key_len: 0,
            first_file: 0,
            file_count: 0,
            ..profile.record
        },
        files: slot.files(&profile).map(file).collect(),
    };
    slot.profiles().map(profile).collect()
}

/// The pages of a file that are worth having.
pub(crate) fn wanted(file: &FileModel, runs: u32) -> Pages {
    let valid = file.planes.len().min(runs.max(1) as usize);
    let mut seen = BTreeMap::new();
    for page in file.planes[..valid].iter().flatten() {
        *seen.entry(*page).or_insert(0) += 1;
    }
    let enough = if valid <= 2 { 1 } else { 2 };
    seen.retain(|_, times| *times >= enough);
    seen.into_keys().collect()
}

fn is_same_file(one: &FileRecord, other: &FileRecord) -> bool {
    (one.ino == 0 || (one.ino, one.generation) == (other.ino, other.generation))
        && one.size == other.size
        && (one.mtime_sec, one.mtime_nsec) == (other.mtime_sec, other.mtime_nsec)
}

/// What comes of a recording.
pub(crate) struct Expected {
    pub(crate) profiles: Vec<ProfileModel>,
    pub(crate) report: Report,
    /// Whether there would be nothing worth a write.
    pub(crate) is_stored: bool,
}

/// Says what `update` and `is_stored` are to do; [`None`] if there is no room for the executable.
/// The key must be one that a profile can have, and the old profile must not have two files with
/// the same path, of which it is not said which one counts.
pub(crate) fn expect(slot: &Slot<'_>, run: &Run<'_>, seen: &[Seen<'_>]) -> Option<Expected> {
    let header = *slot.header();
    let all = read(slot);
    let old = all.iter().find(|profile| same_key(&run.key, profile));
    let old_files = old.map_or(&[][..], |old| &old.files);
    let runs = old.map_or(0, |old| old.record.runs);
    let limit = usize::from(header.planes).clamp(1, 8);
    let most = old_files.iter().map(|file| file.planes.len()).max();
    let history = most.unwrap_or(0).min(runs as usize);
    let plane_count = match run.merge {
        Merge::Age => limit.min(history + 1),
        _ => 1,
    };
    let merged = |new: Pages, old: Option<&FileModel>| {
        let mut planes = vec![new];
        let older = old.map_or(&[][..], |old| &old.planes);
        match run.merge {
            Merge::Replace => {}
            Merge::Or => planes[0].extend(older.iter().take(1).flatten()),
            Merge::Age => planes.extend(older.iter().cloned()),
        }
        planes.resize(plane_count, Pages::new());
        planes
    };

    // The files that there should be.
    let mut seen: Vec<&Seen<'_>> = seen.iter().take(1024).collect();
    let mut paths = BTreeSet::new();
    seen.retain(|seen| paths.insert(seen.path));
    let mut files = Vec::new();
    let own = old_files
        .iter()
        .find(|file| file.record.kind == FILE_EXECUTABLE);
    let new = seen.iter().find(|seen| seen.path.is_empty());
    let elf_pages = u32::try_from(header.elf_size.div_ceil(4096)).unwrap_or(u32::MAX);
    let data_page = |new: Option<u32>, old: Option<&FileModel>| match (new, old) {
        (None | Some(0), Some(old)) => old.record.data_page,
        (new, _) => new.unwrap_or(0),
    };
    let turns = |new: [u8; 24], old: Option<&FileModel>| match old {
        Some(old) if old.record.turns[0] != 0 && (new[0] == 0 || run.merge != Merge::Replace) => {
            old.record.turns
        }
        _ => new,
    };
    let own_turns = turns(new.map_or([0; 24], |seen| seen.turns.bytes()), own);
    let own_data = data_page(new.map(|seen| seen.data_page), own);
    let new = new.map_or(Pages::new(), |seen| pages(&seen.pages));
    let lost = new.last().is_some_and(|page| *page >= u64::from(elf_pages));
    let cut = |pages: &mut Pages, end: u32| {
        pages.split_off(&u64::from(end));
    };
    let mut own = FileModel {
        path: Vec::new(),
        record: FileRecord {
            page_count: elf_pages,
            data_page: own_data,
            turns: own_turns,
            ..FileRecord::default()
        },
        planes: merged(new, own),
    };
    for plane in &mut own.planes {
        cut(plane, elf_pages);
    }
    files.push((own, lost));
    for seen in seen.iter().filter(|seen| !seen.path.is_empty()) {
        let identity = &seen.identity;
        let mut record = FileRecord {
            kind: FILE_BY_PATH,
            generation: identity.generation,
            dev: identity.dev,
            ino: identity.ino,
            size: identity.size,
            mtime_sec: identity.mtime_sec,
            mtime_nsec: identity.mtime_nsec,
            ..FileRecord::default()
        };
        let id = identity.build_id.as_bytes();
        record.build_id[..id.len()].copy_from_slice(id);
        record.build_id_len = id.len() as u32;
        let old = old_files.iter().find(|file| {
            file.record.kind == FILE_BY_PATH
                && file.path == seen.path
                && is_same_file(&file.record, &record)
        });
        if let (Some(old), []) = (old, id) {
            record.build_id = old.record.build_id;
            record.build_id_len = old.record.build_id_len;
        }
        let old = old.filter(|old| old.record.first_page == 0);
        if seen.is_read || old.is_some_and(|old| old.record.flags & FILE_READ != 0) {
            record.flags = FILE_READ;
        }
        record.data_page = data_page(Some(seen.data_page), old);
        record.turns = turns(seen.turns.bytes(), old);
        files.push((
            FileModel {
                path: seen.path.to_vec(),
                record,
                planes: merged(pages(&seen.pages), old),
            },
            false,
        ));
    }
    for old in old_files {
        let is_read = old.record.flags & FILE_READ != 0 || part_of(&old.path).is_some();
        let is_unknown = is_read && !run.saw_reads;
        if old.record.kind == FILE_BY_PATH
            && (run.merge != Merge::Replace || is_unknown)
            && old.record.first_page == 0
            && !old.path.is_empty()
            && !paths.contains(old.path.as_slice())
        {
            let planes = if is_unknown {
                let mut planes = old.planes.clone();
                let oldest = planes.last().cloned().unwrap_or_default();
                planes.resize(plane_count, oldest);
                planes
            } else {
                merged(Pages::new(), Some(old))
            };
            let old = FileModel {
                planes,
                ..old.clone()
            };
            files.push((old, false));
        }
    }
    if !run.saw_reads {
        // The order of those that are stored stays.
        files.sort_by_key(|(file, _)| {
            let same = |old: &FileModel| old.record.kind == FILE_BY_PATH && old.path == file.path;
            let at = old_files.iter().position(same);
            match at.filter(|at| old_files[*at].record.first_page == 0) {
                _ if file.record.kind == FILE_EXECUTABLE => 0,
                Some(at) => at + 1,
                None => usize::MAX,
            }
        });
    }
    files.retain(|(file, _)| {
        file.record.kind == FILE_EXECUTABLE || file.planes.iter().any(|plane| !plane.is_empty())
    });

    // Those of them that fit.
    let pad = |len: usize| len.next_multiple_of(8);
    let key = if run.key.kind == PROFILE_DEFAULT {
        &[]
    } else {
        run.key.bytes
    };
    let mut left = (header.slot_size as usize).checked_sub(128 + 64 + pad(key.len()))?;
    let mut report = Report::default();
    let mut stored = Vec::new();
    let mut is_full = false;
    for (mut file, lost) in files {
        file.record.plane_count = plane_count as u16;
        if file.record.kind != FILE_EXECUTABLE {
            let last = file.planes.iter().filter_map(|plane| plane.last()).max();
            let page_count = (last.unwrap() + 1).next_multiple_of(64);
            file.record.page_count = u32::try_from(page_count).unwrap();
        }
        let fixed = 128 + pad(file.path.len());
        let words = file.record.page_count.div_ceil(64) as usize;
        let fitting = left.checked_sub(fixed).map(|left| left / 8 / plane_count);
        let fits = fitting.is_some_and(|fitting| words == 0 || fitting >= 1);
        if file.path.len() > 4095 || is_full || !fits || stored.len() == 1024 {
            is_full |= file.path.len() <= 4095;
            report.files_dropped += 1;
            if file.record.kind == FILE_EXECUTABLE {
                return None;
            }
            continue;
        }
        let fitting = fitting.unwrap();
        if fitting < words {
            is_full = true;
            file.record.page_count = fitting as u32 * 64;
            for plane in &mut file.planes {
                cut(plane, file.record.page_count);
            }
        }
        if is_full || lost {
            file.record.flags |= FILE_TRUNCATED;
            report.files_truncated += 1;
        }
        left -= fixed + fitting.min(words) * 8 * plane_count;
        stored.push(file);
    }

    // The other profiles.
    let mut others: Vec<&ProfileModel> = all
        .iter()
        .filter(|profile| !same_key(&run.key, profile))
        .filter(|profile| {
            run.key.kind == PROFILE_DEFAULT
                || profile.record.kind != PROFILE_DEFAULT
                || profile
                    .files
                    .iter()
                    .any(|file| file.planes.iter().any(|plane| !plane.is_empty()))
        })
        .collect();
    others.sort_by_key(|profile| std::cmp::Reverse(profile.record.last_used));
    let is_alone = others.is_empty();
    let mut file_count = stored.len();
    let mut kept = Vec::new();
    let most = usize::from(header.max_profiles).clamp(1, 64) - 1;
    for other in &others {
        let size = other
            .files
            .iter()
            .fold(64 + pad(other.key.len()), |size, file| {
                let words = file.record.page_count.div_ceil(64) as usize;
                size + 128 + pad(file.path.len()) + words * 8 * file.planes.len()
            });
        if is_full || kept.len() == most || size > left || file_count + other.files.len() > 1024 {
            break;
        }
        left -= size;
        file_count += other.files.len();
        kept.push((*other).clone());
    }
    report.profiles_dropped = others.len() - kept.len();
    report.used = header.slot_size as usize - left;

    let is_stored = old.is_some_and(|old| {
        let by_path = |files: &[FileModel]| -> BTreeMap<_, _> {
            let entry = |file: &FileModel| {
                let id = [file.record.ino, file.record.size];
                let id = if file.path.is_empty() { [0, 0] } else { id };
                (
                    (file.record.kind, file.path.clone()),
                    (id, file.planes.clone()),
                )
            };
            files.iter().map(entry).collect()
        };
        let is_recent = is_alone || run.now.saturating_sub(old.record.last_used) < 86400;
        let is_plain = old.files.iter().all(|file| file.record.first_page == 0);
        is_recent && is_plain && by_path(&stored) == by_path(&old.files)
    });

    let mut profiles = vec![ProfileModel {
        key: key.to_vec(),
        record: ProfileRecord {
            kind: run.key.kind,
            runs: runs.saturating_add(1),
            last_used: run.now,
            wanted: run.wanted,
            hits: run.hits,
            ..old.map_or(ProfileRecord::default(), |old| old.record)
        },
        files: stored,
    }];
    profiles.extend(kept);
    Some(Expected {
        profiles,
        report,
        is_stored,
    })
}
