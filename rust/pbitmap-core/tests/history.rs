// SPDX-License-Identifier: GPL-2.0

//! Series of recordings, compared with a model that keeps sets of pages and has room for all of
//! them.

use std::collections::BTreeSet;

use pbitmap_core::{
    format::{
        bitmap::{self, Bitmap},
        layout::{FILE_EXECUTABLE, PROFILE_BY_NAME},
        slot::{
            file_bytes, profile_bytes, Builder, FileIdentity, FileInput, Identity, ProfileInput,
            Slot, SlotHeader,
        },
        turns::Turns,
        update::{is_stored, update, Key, Report, Run, Seen},
        MAX_PLANES,
    },
    policy::merge::{Merge, Wanted},
};
use proptest::{collection::vec, prelude::*};

/// Pages of the executable.
const PAGES: u32 = 300;

/// A library's pages are below this one.
const LIBRARY_PAGES: u32 = 700;

type Pages = BTreeSet<u32>;

/// A file of a recording; the executable without a path.
#[derive(Clone, Debug)]
struct Touched {
    path: &'static str,
    /// Another one after every upgrade.
    version: u8,
    pages: Pages,
}

/// A run: under which name (none for the default), how it is merged, when it was.
#[derive(Clone, Debug)]
struct Recording {
    name: &'static str,
    merge: Merge,
    now: u64,
    files: Vec<Touched>,
}

impl Recording {
    fn run(&self) -> Run<'_> {
        let kind = if self.name.is_empty() {
            0
        } else {
            PROFILE_BY_NAME
        };
        Run {
            key: Key {
                kind,
                bytes: self.name.as_bytes(),
            },
            merge: self.merge,
            wanted: 7,
            hits: 5,
            now: self.now,
            saw_reads: true,
        }
    }

    /// Its files as the core wants them, one after the other with their bitmaps.
    fn with_seen<T>(&self, use_it: impl FnOnce(&[Seen<'_>]) -> T) -> T {
        let bitmaps: Vec<Vec<u8>> = self.files.iter().map(|file| bits(&file.pages)).collect();
        let seen: Vec<Seen<'_>> = self
            .files
            .iter()
            .zip(&bitmaps)
            .map(|(file, bits)| Seen {
                path: file.path.as_bytes(),
                identity: identity(file.version),
                pages: Bitmap::new(bits, usize::MAX),
                data_page: 0,
                turns: Turns::default(),
                is_read: false,
            })
            .collect();
        use_it(&seen)
    }
}

fn identity(version: u8) -> FileIdentity {
    FileIdentity {
        ino: u64::from(version) + 1,
        ..FileIdentity::default()
    }
}

fn bits(pages: &Pages) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    for page in pages {
        bitmap::set(&mut bytes, *page as usize);
    }
    bytes
}

fn pages_of(bitmap: &Bitmap<'_>) -> Pages {
    let pages = (0..bitmap.len()).filter(|page| bitmap.get(*page));
    pages.map(|page| page as u32).collect()
}

/// What is stored of a file.
#[derive(Clone, Debug, Eq, PartialEq)]
struct StoredFile {
    path: String,
    version: u8,
    /// The newest first.
    planes: Vec<Pages>,
}

impl StoredFile {
    fn is_executable(&self) -> bool {
        self.path.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.planes.iter().all(BTreeSet::is_empty)
    }

    /// Bits of a plane if there is room for all.
    fn page_count(&self) -> u32 {
        if self.is_executable() {
            return PAGES;
        }
        let last = self.planes.iter().flatten().max();
        last.map_or(0, |page| (page / 64 + 1) * 64)
    }

    fn bytes(&self) -> usize {
        file_bytes(self.path.len(), self.page_count(), self.planes.len())
    }

    /// What is left of it in a record of so many pages.
    fn cut(&self, page_count: u32) -> Self {
        let cut = |plane: &Pages| plane.range(..page_count).copied().collect();
        Self {
            planes: self.planes.iter().map(cut).collect(),
            ..self.clone()
        }
    }

    /// The pages that are prefetched.
    fn wanted(&self) -> Pages {
        let least = if self.planes.len() > 2 { 2 } else { 1 };
        let all: Pages = self.planes.iter().flatten().copied().collect();
        let runs = |page: &u32| self.planes.iter().filter(|p| p.contains(page)).count();
        all.into_iter().filter(|page| runs(page) >= least).collect()
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct StoredProfile {
    name: String,
    runs: u32,
    last_used: u64,
    files: Vec<StoredFile>,
}

impl StoredProfile {
    fn bytes(&self) -> usize {
        let files = self.files.iter().map(StoredFile::bytes).sum::<usize>();
        profile_bytes(self.name.len()) + files
    }
}

/// What is in a slot, or would be if it were large enough.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Contents {
    profiles: Vec<StoredProfile>,
}

impl Contents {
    fn of(slot: &Slot<'_>) -> Self {
        let file = |file: pbitmap_core::format::slot::File<'_>| StoredFile {
            path: String::from_utf8(file.path().to_vec()).unwrap(),
            version: file.record.ino.saturating_sub(1) as u8,
            planes: (0..usize::from(file.record.plane_count))
                .map(|index| pages_of(&file.plane(index).unwrap()))
                .collect(),
        };
        let profiles = slot.profiles().map(|profile| StoredProfile {
            name: String::from_utf8(profile.key().to_vec()).unwrap(),
            runs: profile.record.runs,
            last_used: profile.record.last_used,
            files: slot.files(&profile).map(file).collect(),
        });
        Self {
            profiles: profiles.collect(),
        }
    }

    fn profile(&self, name: &str) -> Option<&StoredProfile> {
        self.profiles.iter().find(|profile| profile.name == name)
    }

    /// What follows when a run is recorded, in a slot that remembers so many runs.
    fn after(&self, recording: &Recording, planes: u16, max_profiles: u16) -> Self {
        let Recording {
            name, merge, now, ..
        } = *recording;
        let old = self.profile(name);
        let old_files = old.map_or(&[][..], |old| &old.files);
        let runs = old.map_or(0, |old| old.runs);
        let history = old_files.iter().map(|file| file.planes.len()).max();
        let history = history.unwrap_or(0).min(runs as usize);
        let limit = usize::from(planes.max(1)).min(MAX_PLANES);
        let merged = |path: &str, version: u8, new: Pages, old: Option<&StoredFile>| {
            let old = |plane: usize| old.and_then(|old| old.planes.get(plane)).cloned();
            let planes = match merge {
                Merge::Replace => vec![new],
                Merge::Or => vec![&new | &old(0).unwrap_or_default()],
                Merge::Age => {
                    let older = (0..limit.min(history + 1) - 1).map(|n| old(n).unwrap_or_default());
                    [new].into_iter().chain(older).collect()
                }
            };
            StoredFile {
                path: path.to_owned(),
                version,
                planes,
            }
        };

        let own = recording.files.iter().find(|file| file.path.is_empty());
        let own = own.map_or_else(Pages::new, |own| {
            own.pages.range(..PAGES).copied().collect()
        });
        let old_own = old_files.iter().find(|file| file.is_executable());
        let mut files = vec![merged("", 0, own, old_own)];
        for seen in &recording.files {
            if files.iter().any(|file| file.path == seen.path) {
                continue;
            }
            let same = |old: &&StoredFile| old.path == seen.path && old.version == seen.version;
            let old = old_files.iter().find(same);
            files.push(merged(seen.path, seen.version, seen.pages.clone(), old));
        }
        for old in old_files {
            if merge != Merge::Replace && files.iter().all(|file| file.path != old.path) {
                files.push(merged(&old.path, old.version, Pages::new(), Some(old)));
            }
        }
        files.retain(|file| file.is_executable() || !file.is_empty());

        let is_unused = |profile: &StoredProfile| {
            profile.name.is_empty() && profile.files.iter().all(StoredFile::is_empty)
        };
        let others = self.profiles.iter();
        let others = others.filter(|other| other.name != name && !is_unused(other));
        let mut others: Vec<_> = others.cloned().collect();
        others.sort_by_key(|other| std::cmp::Reverse(other.last_used));
        let own = StoredProfile {
            name: name.to_owned(),
            runs: runs + 1,
            last_used: now,
            files,
        };
        let mut profiles = vec![own];
        profiles.extend(others);
        profiles.truncate(usize::from(max_profiles.max(1)));
        Self { profiles }
    }
}

/// A slot as the tool makes it.
fn fresh(slot_size: usize, planes: u16, max_profiles: u16) -> Vec<u8> {
    let header = SlotHeader {
        planes,
        max_profiles,
        profile_by: PROFILE_BY_NAME,
        ..SlotHeader::template(7, b"build id", u64::from(PAGES) * 4096)
    };
    let mut bytes = vec![0; slot_size];
    let mut builder = Builder::new(&mut bytes, &header, 1, 1).unwrap();
    let _ = builder.profile(&ProfileInput::default()).unwrap();
    let own = FileInput {
        kind: FILE_EXECUTABLE,
        page_count: PAGES,
        planes: &[&[]],
        ..FileInput::default()
    };
    let _ = builder.file(&own).unwrap();
    builder.finish(1, 0).unwrap();
    bytes
}

fn parse(bytes: &[u8]) -> Slot<'_> {
    let slot = Slot::parse(bytes, &Identity::new(7)).unwrap();
    assert_eq!(slot.verify(), Ok(()));
    slot
}

/// Makes the next slot.
fn store(bytes: &[u8], recording: &Recording) -> (Vec<u8>, Report) {
    let mut next = vec![0xee; bytes.len()];
    let report = recording.with_seen(|seen| {
        update(
            &parse(bytes),
            &mut next,
            &recording.run(),
            seen.iter().copied(),
        )
        .unwrap()
    });
    assert_eq!(parse(&next).bytes().len(), report.used);
    assert!(next[report.used..].iter().all(|byte| *byte == 0));
    (next, report)
}

/// Some pages, often many in a row.
fn pages(below: u32) -> impl Strategy<Value = Pages> {
    vec((0..below, 1u32..40), 0..5).prop_map(move |runs| {
        let runs = runs.into_iter();
        runs.flat_map(|(first, len)| first..below.min(first + len))
            .collect()
    })
}

/// The files of a run in any order, some of them twice or in another version.
fn files() -> impl Strategy<Value = Vec<Touched>> {
    let library = (
        prop::sample::select(vec!["/lib/a", "/lib/bb", "/usr/lib/long/c.so.6"]),
        0u8..2,
        pages(LIBRARY_PAGES),
    );
    let library = library.prop_map(|(path, version, pages)| Touched {
        path,
        version,
        pages,
    });
    // Past the end too: the module may see the file after somebody made it longer.
    (
        vec(library, 0..5),
        prop::option::weighted(0.9, pages(PAGES + 40)),
    )
        .prop_map(|(mut files, own)| {
            if let Some(pages) = own {
                let own = Touched {
                    path: "",
                    version: 0,
                    pages,
                };
                files.insert(0, own);
            }
            files
        })
}

fn recording(merge: impl Strategy<Value = Merge>) -> impl Strategy<Value = Recording> {
    (
        prop::sample::select(vec!["", "a", "vim", "ninenames"]),
        merge,
        0u64..6,
        files(),
    )
        .prop_map(|(name, merge, now, files)| Recording {
            name,
            merge,
            now,
            files,
        })
}

fn any_merge() -> impl Strategy<Value = Merge> {
    prop_oneof![1 => Just(Merge::Replace), 1 => Just(Merge::Or), 3 => Just(Merge::Age)]
}

/// Recordings of one mode.
fn of_one_mode(merge: Merge) -> impl Strategy<Value = Vec<Recording>> {
    let recording = recording(Just(merge)).prop_map(|recording| Recording {
        name: "",
        ..recording
    });
    vec(recording, 1..12)
}

/// The pages that the newest version of `path` has in any plane.
fn remembered(bytes: &[u8], path: &str) -> Pages {
    let contents = Contents::of(&parse(bytes));
    let files = contents.profiles[0].files.iter();
    let planes = files.filter(|file| file.path == path);
    planes
        .flat_map(|file| file.planes.clone())
        .flatten()
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn with_room_enough_the_model_is_right(
        recordings in vec(recording(any_merge()), 1..16),
        planes in 0u16..10,
        max_profiles in 0u16..5,
    ) {
        let mut bytes = fresh(1 << 16, planes, max_profiles);
        let mut model = Contents::of(&parse(&bytes));
        for recording in &recordings {
            model = model.after(recording, planes, max_profiles);
            let (next, report) = store(&bytes, recording);
            prop_assert_eq!(report.files_dropped, 0);
            bytes = next;
            let slot = parse(&bytes);
            prop_assert_eq!(Contents::of(&slot), model.clone());
            for (profile, expected) in slot.profiles().zip(&model.profiles) {
                for (file, expected) in slot.files(&profile).zip(&expected.files) {
                    let wanted = Wanted::new(&file, profile.record.runs);
                    let mut words = vec![0; 128];
                    wanted.write(&mut words);
                    let wanted = Bitmap::new(&words, usize::MAX);
                    prop_assert_eq!(pages_of(&wanted), expected.wanted());
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_goes_from_the_end(
        recordings in vec(recording(any_merge()), 1..12),
        planes in 1u16..6,
        max_profiles in 1u16..5,
        slot_size in 80usize..500,
    ) {
        let slot_size = slot_size * 8;
        let mut bytes = fresh(slot_size, planes, max_profiles);
        for recording in &recordings {
            let before = Contents::of(&parse(&bytes));
            let whole = before.after(recording, planes, max_profiles);
            let (next, report) = store(&bytes, recording);
            bytes = next;
            let slot = parse(&bytes);
            let left = Contents::of(&slot);
            prop_assert!(report.used <= slot_size);

            // Files of the recorded mode, of which the last one may have lost pages.
            let (all, kept) = (&whole.profiles[0].files, &left.profiles[0].files);
            let profile = slot.profiles().next().unwrap();
            let counts: Vec<u32> = slot.files(&profile).map(|file| file.record.page_count).collect();
            prop_assert_eq!(report.files_dropped, all.len() - kept.len());
            for (index, (file, count)) in kept.iter().zip(&counts).enumerate() {
                prop_assert_eq!(file, &all[index].cut(*count));
                prop_assert!(*count == all[index].page_count() || index + 1 == kept.len());
            }
            let is_cut = counts.last() < kept.last().map(|_| all[kept.len() - 1].page_count()).as_ref();
            if let Some(next) = all.get(kept.len()).filter(|_| !is_cut) {
                let least = file_bytes(next.path.len(), 64, next.planes.len());
                prop_assert!(report.used + least > slot_size);
            }

            // The other modes, all of each or nothing, those first that were used last.
            let (all, kept) = (&whole.profiles[1..], &left.profiles[1..]);
            prop_assert_eq!(kept, &all[..kept.len()]);
            if report.files_dropped != 0 || is_cut {
                prop_assert!(kept.is_empty());
            } else if let Some(next) = all.get(kept.len()) {
                prop_assert!(report.used + next.bytes() > slot_size);
            }
            let candidates = before.after(recording, planes, u16::MAX).profiles.len();
            prop_assert_eq!(report.profiles_dropped, candidates - 1 - kept.len());
        }
    }

    #[test]
    fn a_page_is_forgotten_after_as_many_runs_as_there_are_planes(
        recordings in of_one_mode(Merge::Age),
        planes in 1u16..6,
    ) {
        let mut bytes = fresh(1 << 16, planes, 1);
        for (index, recording) in recordings.iter().enumerate() {
            bytes = store(&bytes, recording).0;
            let last = &recordings[..=index];
            let last = &last[last.len().saturating_sub(planes.into())..];
            for path in ["", "/lib/a", "/lib/bb", "/usr/lib/long/c.so.6"] {
                let files = last.iter().flat_map(|run| &run.files);
                let touched: Pages = files
                    .filter(|file| file.path == path)
                    .flat_map(|file| file.pages.clone())
                    .collect();
                prop_assert!(remembered(&bytes, path).is_subset(&touched));
            }
        }
    }

    #[test]
    fn or_never_loses_a_page(recordings in of_one_mode(Merge::Or)) {
        let mut bytes = fresh(1 << 16, 4, 1);
        let mut own = Pages::new();
        for mut recording in recordings {
            // An upgrade is the one thing that makes it forget.
            recording.files.iter_mut().for_each(|file| file.version = 0);
            let libraries = ["/lib/a", "/lib/bb", "/usr/lib/long/c.so.6"];
            let before = libraries.map(|path| remembered(&bytes, path));
            bytes = store(&bytes, &recording).0;
            for (path, before) in libraries.iter().zip(before) {
                let seen = recording.files.iter().find(|file| file.path == *path);
                let seen = seen.map_or_else(Pages::new, |file| file.pages.clone());
                prop_assert_eq!(remembered(&bytes, path), &before | &seen);
            }
            let seen = recording.files.iter().filter(|file| file.path.is_empty());
            own.extend(seen.flat_map(|file| &file.pages).filter(|page| **page < PAGES));
            prop_assert_eq!(remembered(&bytes, ""), own.clone());
        }
    }

    #[test]
    fn replace_keeps_the_last_run_only(recordings in of_one_mode(Merge::Replace)) {
        let mut bytes = fresh(1 << 16, 4, 1);
        for recording in &recordings {
            bytes = store(&bytes, recording).0;
        }
        let last = recordings.last().unwrap();
        let (only, _) = store(&fresh(1 << 16, 4, 1), last);
        let files = |bytes: &[u8]| Contents::of(&parse(bytes)).profiles[0].files.clone();
        prop_assert_eq!(files(&bytes), files(&only));
    }

    #[test]
    fn what_is_stored_need_not_be_written(
        recordings in vec(recording(any_merge()), 1..8),
        planes in 1u16..6,
        slot_size in 80usize..1000,
    ) {
        let mut bytes = fresh(slot_size * 8, planes, 4);
        for recording in &recordings {
            bytes = store(&bytes, recording).0;
        }
        // The same again and again is written at most until all that is remembered is like that,
        // whether it fits or not. What is forgotten by then may leave room for another file.
        let last = recordings.last().unwrap();
        let stored = |bytes: &[u8]| {
            last.with_seen(|seen| is_stored(&parse(bytes), &last.run(), seen.iter().copied()))
        };
        for _ in 0..2 * planes {
            if stored(&bytes) {
                break;
            }
            bytes = store(&bytes, last).0;
        }
        prop_assert!(stored(&bytes));

        // Then what is prefetched is what the run touched, but for a page in 128 where recordings
        // age, and for what others touched where they are kept.
        let before = Contents::of(&parse(&bytes)).profiles[0].files.clone();
        bytes = store(&bytes, last).0;
        let after = Contents::of(&parse(&bytes)).profiles[0].files.clone();
        if last.merge != Merge::Age {
            prop_assert_eq!(before, after);
            return Ok(());
        }
        let paths: BTreeSet<&str> = before.iter().chain(&after).map(|f| f.path.as_str()).collect();
        let (mut differ, mut touched) = (0, 0);
        for path in paths {
            let find = |files: &[StoredFile]| files.iter().find(|file| file.path == path).cloned();
            let wanted = find(&before).map_or_else(Pages::new, |file| file.wanted());
            let new = find(&after).map_or_else(Pages::new, |file| file.planes[0].clone());
            differ += wanted.symmetric_difference(&new).count();
            touched += new.len();
        }
        prop_assert!(differ <= touched / 128);
    }
}
