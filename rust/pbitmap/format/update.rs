// SPDX-License-Identifier: GPL-2.0

//! Storing a recording: the slot that follows another.
//!
//! The files of the recorded profile pass by one at a time, as the recording and the old slot
//! together say; nothing is collected, for there may be a thousand of them and there is no memory
//! to allocate. They pass twice: the tables of a slot come before its data, so that the first time
//! they are only counted.

use core::{
    iter::Take,
    marker::PhantomData, //
};

use super::{
    super::policy::merge::{
        Merge,
        Wanted, //
    },
    bitmap::Bitmap,
    builder::{
        file_bytes,
        pages_in,
        profile_bytes,
        Builder,
        FileIdentity,
        Outcome, //
    },
    error::{
        Error,
        Result, //
    },
    layout::{
        FileRecord,
        ProfileRecord,
        SlotHeader,
        FILE_BY_PATH,
        FILE_EXECUTABLE,
        FILE_READ,
        FILE_TRUNCATED,
        PROFILE_BY_ARGUMENT,
        PROFILE_DEFAULT, //
    },
    metadata::part_of,
    near::{
        are_distinct,
        Near, //
    },
    slot::{
        is_same_path,
        to_usize,
        File,
        Files,
        Profile,
        Slot, //
    },
    turns::Turns,
    MAX_FILES,
    MAX_PATH,
    MAX_PLANES,
    MAX_PROFILES,
    PAGE_SIZE, //
};

/// A recording may differ from what is stored by one page in so many and not be worth a write.
const TOLERANCE: u64 = 128;

/// A profile that is used is written so often, in seconds, even if nothing changes, if there are
/// others: otherwise it would seem to be the one that was not used for the longest time.
const REFRESH: u64 = 24 * 60 * 60;

/// The way in which the program was used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Key<'a> {
    /// `PROFILE_*` of the [layout](super::layout).
    pub kind: u16,
    /// What it is; without meaning for [`PROFILE_DEFAULT`].
    pub bytes: &'a [u8],
}

impl<'a> Key<'a> {
    /// The key of the profile that is used when no other matches.
    pub const DEFAULT: Self = Self {
        kind: PROFILE_DEFAULT,
        bytes: b"",
    };

    /// Whether `profile` is for this way.
    pub fn is_of(&self, profile: &Profile<'_>) -> bool {
        self.kind == profile.record.kind
            && (self.kind == PROFILE_DEFAULT || self.bytes == profile.key())
    }

    /// The bytes that are stored.
    fn stored(&self) -> Result<&'a [u8]> {
        match self.kind {
            PROFILE_DEFAULT => Ok(b""),
            ..=PROFILE_BY_ARGUMENT if self.bytes.len() <= MAX_PATH => Ok(self.bytes),
            _ => Err(Error::BadRecord),
        }
    }
}

/// A file that was mapped, and the pages of it that were touched.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The path; empty for the executable.
    pub path: &'a [u8],
    /// What the file is; not looked at for the executable.
    pub identity: FileIdentity,
    /// Bit `n` is page `n` of the file.
    pub pages: Bitmap<'a>,
    /// The first page of its private data, or 0 if none was seen: see [`FileRecord::data_page`].
    pub data_page: u32,
    /// Nothing of it was mapped.
    pub is_read: bool,
    /// When its parts were needed, if that could be seen.
    pub turns: Turns,
}

/// A recording, but for its files.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// How the program was used.
    pub key: Key<'a>,
    /// What becomes of earlier recordings.
    pub merge: Merge,
    /// Pages that were prefetched, or found in memory.
    pub wanted: u32,
    /// Those of them that the program then touched.
    pub hits: u32,
    /// Seconds since the epoch.
    pub now: u64,
    /// Whether it was looked at which files were read, and which metadata. If not, what is stored of
    /// these remains as it is.
    pub saw_reads: bool,
}

/// What [`update`] wrote, and what did not fit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// Bytes that are in use.
    pub used: usize,
    /// Files of the recorded profile that are not there.
    pub files_dropped: usize,
    /// Files of the recorded profile of which pages are not there.
    pub files_truncated: usize,
    /// Other profiles that are not there any more.
    pub profiles_dropped: usize,
}

/// Writes the slot that follows `old` into `out`, which is as long as the slot.
///
/// `files` are the files of the recording, of which the first [`MAX_FILES`] count; of two with the
/// same path the first one does. The format says what is kept and what is dropped.
///
/// # Errors
///
/// [`Error::BadRecord`] if no profile can have the key, [`Error::NoRoom`] if `out` is too short or
/// the slot too small for a record of the executable, [`Error::GenerationExhausted`] if no
/// generation follows the one of `old`.
pub fn update<'a>(
    old: &Slot<'_>,
    out: &mut [u8],
    run: &Run<'_>,
    files: impl Iterator<Item = Seen<'a>> + Clone,
) -> Result<Report> {
    let header = old.header();
    let generation = header
        .generation
        .checked_add(1)
        .ok_or(Error::GenerationExhausted)?;
    let out = out
        .get_mut(..to_usize(header.slot_size))
        .ok_or(Error::NoRoom)?;
    let key = run.key.stored()?;
    let profile = Recorded::new(old, run);
    // They live as long as the slot, or shorter.
    let files = files.map(|seen| Seen { ..seen });

    let mut report = Report::default();
    let mut room = Room::new(header, key)?;
    let mut file_count = 0usize;
    for mut entry in profile.entries(files.clone()) {
        if !entry.is_needed() {
            continue;
        }
        match room.fit(&mut entry) {
            Outcome::Stored => {}
            Outcome::Truncated => increment(&mut report.files_truncated),
            Outcome::Dropped if entry.is_executable() => return Err(Error::NoRoom),
            Outcome::Dropped => {
                increment(&mut report.files_dropped);
                continue;
            }
        }
        increment(&mut file_count);
    }
    // If the recorded profile does not fit, no other one does.
    let others = if room.is_full {
        0
    } else {
        let most = usize::from(header.max_profiles.max(1)).min(MAX_PROFILES);
        let others = profile.others().take(most.saturating_sub(1));
        others
            .take_while(|other| room.fit_profile(old, other))
            .count()
    };
    report.profiles_dropped = profile.others().count().saturating_sub(others);
    for other in profile.others().take(others) {
        file_count = file_count.saturating_add(old.files(&other).count());
    }

    let profiles = others.saturating_add(1);
    let mut builder = Builder::new(out, header, profiles, file_count)?;
    let record = ProfileRecord {
        kind: run.key.kind,
        runs: profile.runs.saturating_add(1),
        last_used: run.now,
        wanted: run.wanted,
        hits: run.hits,
        ..profile
            .profile
            .map_or_else(ProfileRecord::default, |profile| profile.record)
    };
    expect_stored(builder.store_profile(&record, key)?)?;
    let mut room = Room::new(header, key)?;
    for mut entry in profile.entries(files) {
        if entry.is_needed() && room.fit(&mut entry) != Outcome::Dropped {
            let mut plane = 0usize;
            let outcome = builder.store_file(&entry.record, entry.path, |_, target| {
                entry.store(plane, target);
                increment(&mut plane);
            })?;
            expect_stored(outcome)?;
        }
    }
    for other in profile.others().take(others) {
        expect_stored(builder.store_profile(&other.record, other.key())?)?;
        for file in old.files(&other) {
            let mut planes = file.planes().chunks_exact(stride_of(&file));
            let outcome = builder.store_file(&file.record, file.path(), |_, target| {
                copy(target, planes.next().unwrap_or_default());
            })?;
            expect_stored(outcome)?;
        }
    }
    report.used = builder.finish(generation, run.now)?;
    Ok(report)
}

/// Whether [`update`] would change nothing that is worth a write.
///
/// That is so if every plane of every file would be what it is. With [`Merge::Age`] it is so as
/// well when there are as many recordings as are remembered, of the same files as this one, and
/// this one differs from each of them and from what is prefetched by at most one page in 128: if
/// it were not stored because it is like the last one, one run in many would seem to be one in two.
pub fn is_stored<'a>(
    old: &Slot<'_>,
    run: &Run<'_>,
    files: impl Iterator<Item = Seen<'a>> + Clone,
) -> bool {
    let recorded = Recorded::new(old, run);
    let (Some(profile), Ok(key)) = (&recorded.profile, run.key.stored()) else {
        return false;
    };
    let Ok(mut room) = Room::new(old.header(), key) else {
        return false;
    };
    let age = run.now.saturating_sub(profile.record.last_used);
    if age >= REFRESH && recorded.others().next().is_some() {
        return false;
    }

    let files = files.map(|seen| Seen { ..seen });
    let is_full = run.merge == Merge::Age && recorded.history >= recorded.limit;
    let (mut is_same, mut is_close) = (true, is_full);
    let mut difference = Difference::default();
    let mut compared = 0usize;
    for mut entry in recorded.entries(files) {
        let is_needed = entry.is_needed();
        if is_needed && room.fit(&mut entry) == Outcome::Dropped {
            continue;
        }
        let Some(file) = &entry.old else {
            if is_needed {
                return false;
            }
            continue;
        };
        increment(&mut compared);
        let is_in = (is_same || entry.is_unknown) && is_needed && entry.is_in(file);
        is_same = is_same && is_in;
        is_close = is_close
            && match entry.is_unknown {
                true => is_in,
                false => difference.add(&entry, file, profile.record.runs),
            };
        if !is_same && !is_close {
            return false;
        }
    }
    // What did not come by would not be there any more.
    compared == old.files(profile).count() && (is_same || difference.is_small())
}

/// The profile of a recording.
#[derive(Clone, Copy)]
struct Recorded<'o, 'r> {
    old: &'r Slot<'o>,
    run: &'r Run<'r>,
    /// The old profile with the same key.
    profile: Option<Profile<'o>>,
    /// Recordings that went into that.
    runs: u32,
    /// Recordings that can be told apart in it.
    history: usize,
    /// Recordings that the slot is to remember.
    limit: usize,
}

impl<'o, 'r> Recorded<'o, 'r> {
    fn new(old: &'r Slot<'o>, run: &'r Run<'r>) -> Self {
        let profile = old.profiles().find(|profile| run.key.is_of(profile));
        let runs = profile.map_or(0, |profile| profile.record.runs);
        let planes = profile
            .and_then(|profile| {
                let files = old.files(&profile);
                files.map(|file| usize::from(file.record.plane_count)).max()
            })
            .unwrap_or(0);
        Self {
            old,
            run,
            profile,
            runs,
            history: planes.min(to_usize(runs)),
            limit: usize::from(old.header().planes.max(1)).min(MAX_PLANES),
        }
    }

    /// The planes that each file gets.
    fn plane_count(&self) -> usize {
        match self.run.merge {
            Merge::Age => self.limit.min(self.history.saturating_add(1)),
            Merge::Replace | Merge::Or => 1,
        }
    }

    /// The profiles that are kept beside this one if there is room, in the order in which they
    /// are stored.
    fn others(&self) -> impl Iterator<Item = Profile<'o>> + 'r
    where
        'o: 'r,
    {
        let Self { old, run, .. } = *self;
        old.profiles_by_use().filter(move |other| {
            // A default profile in which nothing was ever recorded has served its purpose.
            let is_unused = run.key.kind != PROFILE_DEFAULT
                && other.record.kind == PROFILE_DEFAULT
                && old.files(other).all(|file| is_clear(&file));
            !run.key.is_of(other) && !is_unused
        })
    }

    /// The files of the profile as they are to be stored if they are needed and there is room:
    /// the executable, the others of the recording in its order, and those that were not seen this
    /// time in the order in which they were stored. A recording that did not look at what was read
    /// does not know the order: then those that are stored come first, as they are.
    fn entries<'e, I>(&self, files: I) -> Entries<'e, 'o, 'r, I>
    where
        'o: 'e,
        I: Iterator<Item = Seen<'e>> + Clone,
    {
        let kept = self
            .profile
            .map(|profile| (profile, self.old.files(&profile)));
        let all = files.take(MAX_FILES);
        let stored = kept.iter().flat_map(|(_, files)| files.clone());
        Entries {
            recorded: *self,
            seen_are_distinct: are_distinct(all.clone().map(|seen| seen.path)),
            stored_are_distinct: are_distinct(stored.map(|file| file.path())),
            near: Near::new(all.clone()),
            seen: Some(all.clone()),
            all,
            index: 0,
            executable: true,
            hint: 0,
            kept,
            _entries: PhantomData,
        }
    }

    fn executable<'e>(&self, seen: Option<&Seen<'e>>) -> Entry<'e>
    where
        'o: 'e,
    {
        let old = self
            .profile
            .and_then(|profile| self.old.executable(&profile));
        let size = self.old.header().elf_size;
        let page_count = size.div_ceil(u64::from(PAGE_SIZE));
        let mut record = FileIdentity::default().to_record();
        record.page_count = u32::try_from(page_count).unwrap_or(u32::MAX);
        record.data_page = seen.map_or(0, |seen| seen.data_page);
        record.turns = seen.map_or(Turns::default(), |seen| seen.turns).bytes();
        let pages = seen.map_or(Bitmap::new(&[], 0), |seen| seen.pages);
        self.entry(record, b"", pages, old)
    }

    fn library<'e>(&self, seen: &Seen<'e>, found: Option<File<'o>>) -> Entry<'e>
    where
        'o: 'e,
    {
        let mut record = seen.identity.to_record();
        record.kind = FILE_BY_PATH;
        record.data_page = seen.data_page;
        record.turns = seen.turns.bytes();
        let old = found.filter(|file| file.is_same_file(&record));
        if let Some(old) = old.filter(|_| record.build_id_len == 0) {
            record.build_id = old.record.build_id;
            record.build_id_len = old.record.build_id_len;
        }
        // The bits of such a record do not line up; this code never writes one.
        let old = old.filter(|old| old.record.first_page == 0);
        // What was once unmapped in the end may be so again.
        if seen.is_read || old.is_some_and(|old| old.is_read()) {
            record.flags = FILE_READ;
        }
        let mut entry = self.entry(record, seen.path, seen.pages, old);
        entry.trim();
        entry
    }

    /// Whether the files of the profile stay in the order in which they are stored.
    fn keeps_order(&self) -> bool {
        !self.run.saw_reads
    }

    /// Whether it is not known if `file` was needed this time.
    fn is_unknown(&self, file: &File<'_>) -> bool {
        !self.run.saw_reads && (file.is_read() || part_of(file.path()).is_some())
    }

    fn unseen<'e>(&self, file: File<'o>) -> Entry<'e>
    where
        'o: 'e,
    {
        let record = file.record;
        let is_unknown = self.is_unknown(&file);
        let mut entry = self.entry(record, file.path(), Bitmap::new(&[], 0), Some(file));
        entry.is_unknown = is_unknown;
        entry.trim();
        entry
    }

    fn entry<'e>(
        &self,
        record: FileRecord,
        path: &'e [u8],
        new: Bitmap<'e>,
        old: Option<File<'e>>,
    ) -> Entry<'e> {
        let planes = self.plane_count();
        // What was read ahead has no turn of its own: the one that was seen first counts.
        let are_new = Turns::from_bytes(record.turns).are_known();
        let stays = |old: &File<'_>| {
            old.turns().are_known() && (!are_new || self.run.merge != Merge::Replace)
        };
        let turns = match &old {
            Some(old) if stays(old) => old.record.turns,
            _ => record.turns,
        };
        // A start that only read the file, or ended early, does not know.
        let data_page = match (record.data_page, &old) {
            (0, Some(old)) => old.record.data_page,
            (page, _) => page,
        };
        Entry {
            record: FileRecord {
                // At most `MAX_PLANES`.
                plane_count: u16::try_from(planes).unwrap_or(u16::MAX),
                data_page,
                turns,
                ..record
            },
            path,
            new,
            old,
            merge: self.run.merge,
            planes,
            is_unknown: false,
        }
    }
}

/// A file of the recorded profile as it is to be stored.
struct Entry<'a> {
    /// Its record, without the places in the slot.
    record: FileRecord,
    path: &'a [u8],
    /// What was recorded.
    new: Bitmap<'a>,
    /// What is stored of the same file.
    old: Option<File<'a>>,
    merge: Merge,
    planes: usize,
    /// Its planes remain as they are: nobody looked.
    is_unknown: bool,
}

impl<'a> Entry<'a> {
    fn is_executable(&self) -> bool {
        self.record.kind == FILE_EXECUTABLE
    }

    /// Whether there is something to store: of any other file than the executable, a page.
    fn is_needed(&self) -> bool {
        self.is_executable() || self.words() != 0
    }

    fn sources(&self, index: usize) -> [Option<Bitmap<'a>>; 2] {
        let old = |index| self.old.as_ref().and_then(|old| old.plane(index));
        if self.is_unknown {
            // If there is to be one more, it is like the oldest.
            let count = self.old.as_ref().map_or(0, |old| old.record.plane_count);
            return [old(index.min(usize::from(count).saturating_sub(1))), None];
        }
        match (self.merge, index.checked_sub(1)) {
            (Merge::Replace, None) => [Some(self.new), None],
            (Merge::Or, None) => [Some(self.new), old(0)],
            (Merge::Age, None) => [Some(self.new), None],
            (Merge::Age, Some(older)) => [old(older), None],
            (Merge::Replace | Merge::Or, Some(_)) => [None, None],
        }
    }

    /// The two bitmaps that plane `index` consists of, up to the last page of the record.
    fn plane(&self, index: usize) -> [Bitmap<'a>; 2] {
        let pages = to_usize(self.record.page_count);
        self.sources(index).map(|source| match source {
            Some(bitmap) => Bitmap::new(bitmap.bytes(), bitmap.len().min(pages)),
            None => Bitmap::new(&[], 0),
        })
    }

    /// Words of a plane up to the last one that has a page in any of the planes.
    fn words(&self) -> usize {
        (0..self.planes)
            .flat_map(|plane| self.plane(plane))
            .map(|bitmap| bitmap.used_words())
            .fold(0, usize::max)
    }

    /// Has the record end with the word that has the last page.
    fn trim(&mut self) {
        self.record.page_count = u32::MAX;
        let pages = self.words().saturating_mul(64);
        self.record.page_count = u32::try_from(pages).unwrap_or(u32::MAX);
    }

    /// Puts plane `index` into `target`.
    fn store(&self, index: usize, target: &mut [u8]) {
        let [one, other] = self.plane(index);
        for (index, bytes) in target.chunks_exact_mut(8).enumerate() {
            copy(bytes, &(one.word(index) | other.word(index)).to_le_bytes());
        }
    }

    /// Whether `file` has exactly these planes.
    fn is_in(&self, file: &File<'_>) -> bool {
        usize::from(file.record.plane_count) == self.planes
            && (0..self.planes).all(|index| {
                let [one, other] = self.plane(index);
                file.plane(index).is_some_and(|plane| {
                    let len = one.len().max(other.len()).max(plane.len());
                    (0..len.div_ceil(64))
                        .all(|index| one.word(index) | other.word(index) == plane.word(index))
                })
            })
    }
}

/// How far a recording is from what is stored, in pages.
#[derive(Default)]
struct Difference {
    pages: u64,
    /// For each recording that is remembered: pages that only it or only this one has.
    each: [u64; MAX_PLANES],
    /// Pages that were not prefetched, or not used.
    wanted: u64,
}

impl Difference {
    /// Adds a file. Says whether it was touched both this time and the last or neither time, and
    /// has all planes that it should have.
    fn add(&mut self, entry: &Entry<'_>, file: &File<'_>, runs: u32) -> bool {
        let [new, _] = entry.plane(0);
        let pages = new.count();
        self.pages = self.pages.saturating_add(pages as u64);
        let mut is_in_last = false;
        let mut is_in_all = entry.planes != 0;
        for (index, each) in self.each.iter_mut().enumerate().take(entry.planes) {
            let Some(plane) = file.plane(index) else {
                return false;
            };
            is_in_last |= index == 0 && plane.next_set(0).is_some();
            let differs = differing(&new, plane.len(), |index| plane.word(index));
            *each = each.saturating_add(differs);
            is_in_all &= differs == 0;
        }
        // What was the same in every recording is what is wanted.
        if !is_in_all {
            let wanted = Wanted::new(file, runs);
            let differs = differing(&new, wanted.len(), |index| wanted.word(index));
            self.wanted = self.wanted.saturating_add(differs);
        }
        usize::from(file.record.plane_count) == entry.planes
            && (entry.is_executable() || (pages != 0) == is_in_last)
    }

    fn is_small(&self) -> bool {
        let tolerance = self.pages / TOLERANCE;
        self.wanted <= tolerance && self.each.iter().all(|each| *each <= tolerance)
    }
}

/// How many pages are in only one of two bitmaps, the second one given by its length and words.
fn differing(one: &Bitmap<'_>, len: usize, word: impl Fn(usize) -> u64) -> u64 {
    (0..one.len().max(len).div_ceil(64))
        .map(|index| one.word(index) ^ word(index))
        // Most are the same, and processors that count bits at once are not what kernels are built for.
        .filter(|differs| *differs != 0)
        .map(|differs| u64::from(differs.count_ones()))
        .fold(0, u64::saturating_add)
}

/// Iterator of [`Recorded::entries`]. A type with a name: one that is made of closures is in the
/// symbols of all that is made for it, and those get longer than the kernel's tools take.
struct Entries<'e, 'o, 'r, I> {
    recorded: Recorded<'o, 'r>,
    /// The recording.
    all: Take<I>,
    /// The same, for files in the order in which they are stored.
    near: Near<Take<I>>,
    /// No path is twice in it, as is normal; nor in the old profile.
    seen_are_distinct: bool,
    stored_are_distinct: bool,
    /// What of it is left to pass by, from `index` on.
    seen: Option<Take<I>>,
    index: usize,
    /// The executable comes next.
    executable: bool,
    /// Where the file that is looked for next is likely to be in the old slot.
    hint: usize,
    /// What is left of the old profile.
    kept: Option<(Profile<'o>, Files<'o>)>,
    _entries: PhantomData<Seen<'e>>,
}

impl<'e, 'o, I> Entries<'e, 'o, '_, I>
where
    'o: 'e,
    I: Iterator<Item = Seen<'e>> + Clone,
{
    /// The next library of the recording.
    fn next_seen(&mut self) -> Option<Entry<'e>> {
        loop {
            let seen = self.seen.as_mut()?.next()?;
            let index = self.index;
            self.index = index.saturating_add(1);
            let mut earlier = self.all.clone().take(index);
            let is_again =
                !self.seen_are_distinct && earlier.any(|other| is_same_path(other.path, seen.path));
            if seen.path.is_empty() || is_again {
                continue;
            }
            let Recorded { old, profile, .. } = self.recorded;
            let found =
                profile.and_then(|profile| old.find(&profile, FILE_BY_PATH, seen.path, self.hint));
            if let Some(file) = &found {
                self.hint = file.index.saturating_add(1);
            }
            let first = match profile {
                Some(profile) if self.recorded.keeps_order() => match self.stored_are_distinct {
                    true => found,
                    false => old.find(&profile, FILE_BY_PATH, seen.path, 0),
                },
                _ => None,
            };
            if first.is_some_and(|first| first.record.first_page == 0) {
                continue;
            }
            return Some(self.recorded.library(&seen, found));
        }
    }

    /// The next file of the old profile: that was not seen this time, or any if the order is kept.
    fn next_kept(&mut self) -> Option<Entry<'e>> {
        let (profile, files) = self.kept.as_mut()?;
        let recorded = &self.recorded;
        let old = recorded.old;
        let is_replaced = recorded.run.merge == Merge::Replace;
        files.find_map(|file| {
            let (path, kind) = (file.path(), file.record.kind);
            let is_first = kind != FILE_EXECUTABLE
                && !path.is_empty()
                && file.record.first_page == 0
                && (self.stored_are_distinct
                    || old
                        .find(profile, kind, path, 0)
                        .is_some_and(|first| first.index == file.index));
            if !is_first {
                return None;
            }
            let is_it = |seen: &Seen<'_>| is_same_path(seen.path, path);
            let seen = match self.seen_are_distinct {
                true => self.near.find(is_it),
                false => self.all.clone().find(is_it),
            };
            match seen {
                Some(seen) if recorded.keeps_order() => Some(recorded.library(&seen, Some(file))),
                Some(_) => None,
                None if is_replaced && !recorded.is_unknown(&file) => None,
                None => Some(recorded.unseen(file)),
            }
        })
    }
}

impl<'e, 'o, I> Iterator for Entries<'e, 'o, '_, I>
where
    'o: 'e,
    I: Iterator<Item = Seen<'e>> + Clone,
{
    type Item = Entry<'e>;

    fn next(&mut self) -> Option<Entry<'e>> {
        if core::mem::take(&mut self.executable) {
            let own = self.all.clone().find(|seen| seen.path.is_empty());
            return Some(self.recorded.executable(own.as_ref()));
        }
        if self.recorded.keeps_order() {
            return self.next_kept().or_else(|| self.next_seen());
        }
        let entry = self.next_seen();
        if entry.is_none() {
            self.seen = None;
            return self.next_kept();
        }
        entry
    }
}

/// What is left of a slot while the files of the recorded profile, and then the other profiles,
/// are given their share.
struct Room {
    bytes: usize,
    files: usize,
    /// Something did not fit; nothing that comes later is to take its place.
    is_full: bool,
}

impl Room {
    /// What is left beside the profile with this key.
    fn new(header: &SlotHeader, key: &[u8]) -> Result<Self> {
        let taken = SlotHeader::SIZE.saturating_add(profile_bytes(key.len()));
        let bytes = to_usize(header.slot_size).checked_sub(taken);
        Ok(Self {
            bytes: bytes.ok_or(Error::NoRoom)?,
            files: MAX_FILES,
            is_full: false,
        })
    }

    /// Makes room for a file, of which pages may have to go.
    fn fit(&mut self, entry: &mut Entry<'_>) -> Outcome {
        if entry.path.len() > MAX_PATH {
            return Outcome::Dropped;
        }
        let fixed = file_bytes(entry.path.len(), 0, 0);
        let planes = self
            .bytes
            .checked_sub(fixed)
            .filter(|_| self.files != 0 && !self.is_full)
            .and_then(|room| pages_in(room, entry.record.page_count, entry.planes));
        let Some(page_count) = planes else {
            self.is_full = true;
            return Outcome::Dropped;
        };
        if page_count < entry.record.page_count {
            self.is_full = true;
            entry.record.page_count = page_count;
        }
        let bytes = file_bytes(entry.path.len(), page_count, entry.planes);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.files = self.files.saturating_sub(1);
        if self.is_full || entry.new.next_set(to_usize(page_count)).is_some() {
            entry.record.flags |= FILE_TRUNCATED;
            return Outcome::Truncated;
        }
        Outcome::Stored
    }

    /// Makes room for a profile with all its files; says whether there is enough.
    fn fit_profile(&mut self, slot: &Slot<'_>, profile: &Profile<'_>) -> bool {
        let bytes = slot
            .files(profile)
            .map(|file| {
                let planes = usize::from(file.record.plane_count);
                file_bytes(file.path().len(), file.record.page_count, planes)
            })
            .fold(profile_bytes(profile.key().len()), usize::saturating_add);
        let left = self.bytes.checked_sub(bytes);
        let files = self.files.checked_sub(slot.files(profile).count());
        let (Some(bytes), Some(files)) = (left, files) else {
            return false;
        };
        self.bytes = bytes;
        self.files = files;
        true
    }
}

/// Whether no page of `file` is set in any plane.
fn is_clear(file: &File<'_>) -> bool {
    (0..MAX_PLANES)
        .filter_map(|index| file.plane(index))
        .all(|plane| plane.next_set(0).is_none())
}

/// Bytes of a plane, at least 1, as iterators want it.
fn stride_of(file: &File<'_>) -> usize {
    to_usize(file.record.plane_stride).max(1)
}

/// Copies as many bytes as both have.
fn copy(target: &mut [u8], source: &[u8]) {
    for (to, from) in target.iter_mut().zip(source) {
        *to = *from;
    }
}

fn increment(count: &mut usize) {
    *count = count.saturating_add(1);
}

/// There was room for everything that was to be stored.
fn expect_stored(outcome: Outcome) -> Result {
    match outcome {
        Outcome::Stored => Ok(()),
        Outcome::Truncated | Outcome::Dropped => Err(Error::NoRoom),
    }
}
