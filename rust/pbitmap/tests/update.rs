// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::update`](super::super::format::update): what a recording makes of a slot,
//! and when it is not worth a write.

use super::{
    super::{
        format::{
            bitmap::Bitmap,
            error::{
                Error,
                Result, //
            },
            layout::{
                FILE_BY_PATH,
                FILE_EXECUTABLE,
                PROFILE_BY_NAME, //
            },
            slot::{
                Builder,
                File,
                FileIdentity,
                FileInput,
                Profile,
                ProfileInput,
                Slot,
                SlotHeader, //
            },
            update::{
                is_stored,
                update,
                Key,
                Report,
                Run,
                Seen, //
            },
        },
        policy::merge::Merge,
    },
    sample::{
        template,
        IDENTITY,
        PAGES, //
    },
};

/// Bytes of a slot that a few files and profiles fit into.
const SIZE: usize = 1024;

/// A slot that recordings go to, one after the other.
struct Store {
    slot: [u8; SIZE],
    planes: u16,
    profiles: u16,
}

impl Store {
    /// As the tool makes it, for so many planes and profiles.
    fn new(planes: u16, profiles: u16) -> Result<Self> {
        let mut store = Self {
            slot: [0; SIZE],
            planes,
            profiles,
        };
        store.clear()?;
        Ok(store)
    }

    fn clear(&mut self) -> Result {
        let header = SlotHeader {
            planes: self.planes,
            max_profiles: self.profiles,
            profile_by: PROFILE_BY_NAME,
            ..template()
        };
        let mut builder = Builder::new(&mut self.slot, &header, 1, 1)?;
        let _ = builder.profile(&ProfileInput::default())?;
        let _ = builder.file(&FileInput {
            kind: FILE_EXECUTABLE,
            page_count: PAGES,
            planes: &[&[]],
            ..FileInput::default()
        })?;
        let _ = builder.finish(1, 0)?;
        Ok(())
    }

    fn slot(&self) -> Result<Slot<'_>> {
        Slot::parse(&self.slot, &IDENTITY)
    }

    fn update(&mut self, run: &Run<'_>, files: &[Seen<'_>]) -> Result<Report> {
        let mut next = [0xee; SIZE];
        let report = update(&self.slot()?, &mut next, run, files.iter().copied())?;
        self.slot = next;
        let slot = self.slot()?;
        slot.verify()?;
        assert_eq!(slot.bytes().len(), report.used);
        assert!(self.slot[report.used..].iter().all(|byte| *byte == 0));
        Ok(report)
    }

    fn is_stored(&self, run: &Run<'_>, files: &[Seen<'_>]) -> Result<bool> {
        Ok(is_stored(&self.slot()?, run, files.iter().copied()))
    }

    fn profile(&self, key: &Key<'_>) -> Result<Profile<'_>> {
        let mut profiles = self.slot()?.profiles();
        profiles
            .find(|profile| key.is_of(profile))
            .ok_or(Error::BadRecord)
    }

    fn file(&self, key: &Key<'_>, path: &[u8]) -> Result<Option<File<'_>>> {
        let profile = self.profile(key)?;
        let kind = if path.is_empty() {
            FILE_EXECUTABLE
        } else {
            FILE_BY_PATH
        };
        Ok(self.slot()?.find(&profile, kind, path, 0))
    }

    /// The first word of a plane of the default profile.
    fn word(&self, path: &[u8], plane: usize) -> Result<u64> {
        let file = self.file(&Key::DEFAULT, path)?.ok_or(Error::BadRecord)?;
        let plane = file.plane(plane).ok_or(Error::BadRecord)?;
        Ok(plane.word(0))
    }

    /// How many planes a file of the default profile has; 0 if it is not there.
    fn planes(&self, path: &[u8]) -> Result<u16> {
        let file = self.file(&Key::DEFAULT, path)?;
        Ok(file.map_or(0, |file| file.record.plane_count))
    }
}

fn run(merge: Merge, now: u64) -> Run<'static> {
    Run {
        key: Key::DEFAULT,
        merge,
        wanted: 0,
        hits: 0,
        now,
    }
}

/// A file that was seen; the executable without a path.
fn seen<'a>(path: &'a [u8], pages: &'a [u8]) -> Seen<'a> {
    Seen {
        path,
        identity: FileIdentity {
            dev: 1,
            ino: 2,
            generation: 3,
            size: 4096,
            mtime_sec: 5,
            mtime_nsec: 6,
            ..FileIdentity::default()
        },
        pages: Bitmap::new(pages, usize::MAX),
    }
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_update))]
mod tests {
    use super::*;

    #[test]
    fn a_first_recording_is_one_plane() -> Result {
        let mut store = Store::new(4, 1)?;
        let recording = Run {
            wanted: 7,
            hits: 5,
            ..run(Merge::Age, 1000)
        };
        let files = [seen(b"", &[6]), seen(b"/lib/libc.so.6", &[0, 1])];
        assert!(!store.is_stored(&recording, &files)?);
        let report = store.update(&recording, &files)?;
        assert_eq!(report.files_dropped, 0);
        assert_eq!(report.files_truncated, 0);
        assert_eq!(report.profiles_dropped, 0);
        let header = *store.slot()?.header();
        assert_eq!(header.generation, 2);
        assert_eq!(header.updated, 1000);
        let profile = store.profile(&Key::DEFAULT)?.record;
        assert_eq!(profile.runs, 1);
        assert_eq!(profile.last_used, 1000);
        assert_eq!(profile.wanted, 7);
        assert_eq!(profile.hits, 5);
        assert_eq!(store.word(b"", 0)?, 6);
        assert_eq!(store.planes(b"")?, 1);
        assert_eq!(store.word(b"/lib/libc.so.6", 0)?, 0x100);
        assert_eq!(store.planes(b"/lib/libc.so.6")?, 1);
        Ok(())
    }

    #[test]
    fn age_moves_the_planes_down_and_forgets() -> Result {
        let mut store = Store::new(3, 1)?;
        for pages in [1, 2, 4, 8] {
            let _ = store.update(&run(Merge::Age, 1), &[seen(b"", &[pages])])?;
        }
        assert_eq!(store.planes(b"")?, 3);
        assert_eq!(store.word(b"", 0)?, 8);
        assert_eq!(store.word(b"", 1)?, 4);
        assert_eq!(store.word(b"", 2)?, 2);
        assert_eq!(store.profile(&Key::DEFAULT)?.record.runs, 4);
        Ok(())
    }
}
