// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::builder`](super::super::format::builder): writing, what is dropped, and the
//! slot that follows another.

use super::{
    super::format::{
        error::{
            Error,
            Result, //
        },
        layout::{
            FILE_BY_PATH,
            FILE_EXECUTABLE,
            PROFILE_BY_NAME,
            PROFILE_DEFAULT, //
        },
        slot::{
            file_bytes,
            profile_bytes,
            slot_size_for,
            Builder,
            FileIdentity,
            FileInput,
            Outcome,
            ProfileInput,
            Slot, //
        },
        MAX_SLOT, //
    },
    sample::{
        template,
        IDENTITY,
        SLOT, //
    },
};

const DEFAULT: ProfileInput<'static> = ProfileInput {
    kind: PROFILE_DEFAULT,
    key: b"",
    runs: 0,
    last_used: 0,
};

/// The executable with `page_count` pages and the given planes.
fn executable<'a>(page_count: u32, planes: &'a [&'a [u8]]) -> FileInput<'a> {
    FileInput {
        kind: FILE_EXECUTABLE,
        page_count,
        planes,
        ..FileInput::default()
    }
}

/// A library with one plane of `page_count` pages.
fn library<'a>(path: &'a [u8], page_count: u32, planes: &'a [&'a [u8]]) -> FileInput<'a> {
    FileInput {
        kind: FILE_BY_PATH,
        path,
        page_count,
        planes,
        ..FileInput::default()
    }
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_builder))]
mod tests {
    use super::*;

    #[test]
    fn profiles_files_and_planes_round_trip() -> Result {
        let mut buffer = [0xee; 720];
        let mut builder = Builder::new(&mut buffer, &template(), 2, 3)?;
        assert_eq!(builder.profile(&DEFAULT)?, Outcome::Stored);
        let own = executable(100, &[&[0x11; 13], &[0x22; 2]]);
        assert_eq!(builder.file(&own)?, Outcome::Stored);
        let identity = FileIdentity {
            dev: 1,
            ino: 2,
            generation: 3,
            size: 4,
            mtime_sec: -5,
            mtime_nsec: 6,
            build_id: Default::default(),
        };
        let lib = FileInput {
            first_page: 9,
            identity,
            ..library(b"/lib/libc.so.6", 8, &[&[0x81]])
        };
        assert_eq!(builder.file(&lib)?, Outcome::Stored);
        let by_name = ProfileInput {
            kind: PROFILE_BY_NAME,
            key: b"vi",
            runs: 7,
            last_used: 8,
        };
        assert_eq!(builder.profile(&by_name)?, Outcome::Stored);
        assert_eq!(
            builder.file(&executable(64, &[&[0xff; 8]]))?,
            Outcome::Stored
        );
        let used = builder.finish(5, 99)?;

        let slot = Slot::parse(&buffer[..used], &IDENTITY)?;
        assert_eq!(slot.verify(), Ok(()));
        assert_eq!(slot.header().updated, 99);
        assert_eq!(slot.header().file_count, 3);
        let mut profiles = slot.profiles();
        let first = profiles.next().ok_or(Error::BadRecord)?;
        let second = profiles.next().ok_or(Error::BadRecord)?;
        assert!(profiles.next().is_none());
        assert_eq!(slot.files(&first).count(), 2);
        assert_eq!(slot.files(&second).count(), 1);
        assert_eq!(second.key(), b"vi");
        assert_eq!(second.record.runs, 7);
        assert_eq!(second.record.last_used, 8);

        let own = slot.executable(&first).ok_or(Error::BadRecord)?;
        let newest = own.plane(0).ok_or(Error::BadRecord)?;
        // 25 bits of the 26: the last one lies past the end.
        assert_eq!(newest.count(), 25);
        let older = own.plane(1).ok_or(Error::BadRecord)?;
        assert_eq!(older.len(), 100);
        assert_eq!(older.count(), 4);

        let mut files = slot.files(&first);
        let lib = files.nth(1).ok_or(Error::BadRecord)?;
        assert_eq!(lib.path(), b"/lib/libc.so.6");
        assert_eq!(lib.record.first_page, 9);
        assert_eq!(lib.record.dev, 1);
        assert_eq!(lib.record.ino, 2);
        assert_eq!(lib.record.generation, 3);
        assert_eq!(lib.record.size, 4);
        assert_eq!(lib.record.mtime_sec, -5);
        assert_eq!(lib.record.mtime_nsec, 6);
        Ok(())
    }

    #[test]
    fn bits_past_the_last_page_are_not_stored() -> Result {
        let mut buffer = [0; SLOT];
        let mut builder = Builder::new(&mut buffer, &template(), 1, 1)?;
        let _ = builder.profile(&DEFAULT)?;
        let _ = builder.file(&executable(3, &[&[0xff; 64]]))?;
        let used = builder.finish(1, 0)?;
        assert_eq!(used, 128 + 64 + 128 + 8);
        assert_eq!(buffer[320..328], [7, 0, 0, 0, 0, 0, 0, 0]);
        Ok(())
    }

    #[test]
    fn the_buffer_is_zeroed_past_what_is_used() -> Result {
        let mut buffer = [0xee; SLOT];
        let builder = Builder::new(&mut buffer, &template(), 0, 0)?;
        let used = builder.finish(1, 0)?;
        assert_eq!(used, 128);
        assert!(buffer[used..].iter().all(|byte| *byte == 0));
        assert!(Slot::parse(&buffer, &IDENTITY).is_ok());
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_cut_at_the_end() -> Result {
        // 48 bytes of planes: 384 pages of 1000.
        let mut buffer = [0; 368];
        let mut builder = Builder::new(&mut buffer, &template(), 1, 1)?;
        let _ = builder.profile(&DEFAULT)?;
        let own = executable(1000, &[&[0xff; 125]]);
        assert_eq!(builder.file(&own)?, Outcome::Truncated);
        let used = builder.finish(1, 0)?;
        assert_eq!(used, 368);
        let slot = Slot::parse(&buffer, &IDENTITY)?;
        let profile = slot.default_profile().ok_or(Error::BadRecord)?;
        let file = slot.executable(&profile).ok_or(Error::BadRecord)?;
        assert!(file.is_truncated());
        assert_eq!(file.record.page_count, 384);
        assert_eq!(file.plane(0).map(|plane| plane.count()), Some(384));
        Ok(())
    }

    #[test]
    fn all_planes_are_cut_at_the_same_page() -> Result {
        // 48 bytes for two planes: 3 words each.
        let mut buffer = [0; 368];
        let mut builder = Builder::new(&mut buffer, &template(), 1, 1)?;
        let _ = builder.profile(&DEFAULT)?;
        let own = executable(1000, &[&[0xff; 125], &[0xff; 125]]);
        assert_eq!(builder.file(&own)?, Outcome::Truncated);
        let _ = builder.finish(1, 0)?;
        let slot = Slot::parse(&buffer, &IDENTITY)?;
        let profile = slot.default_profile().ok_or(Error::BadRecord)?;
        let file = slot.executable(&profile).ok_or(Error::BadRecord)?;
        assert_eq!(file.plane(0).map(|plane| plane.count()), Some(192));
        assert_eq!(file.plane(1).map(|plane| plane.count()), Some(192));
        Ok(())
    }

    #[test]
    fn a_file_without_room_for_a_word_is_dropped() -> Result {
        let mut buffer = [0; 128 + 64 + 3 * 128 + 24];
        let mut builder = Builder::new(&mut buffer, &template(), 1, 3)?;
        let _ = builder.profile(&DEFAULT)?;
        let lib = library(b"/a/path/of/24/characters", 8, &[&[1]]);
        assert_eq!(builder.file(&lib)?, Outcome::Dropped);
        // What is dropped takes nothing away from the next.
        let lib = library(b"/short", 8, &[&[1]]);
        assert_eq!(builder.file(&lib)?, Outcome::Stored);
        assert_eq!(
            builder.file(&executable(8, &[&[1], &[1]]))?,
            Outcome::Dropped
        );
        let _ = builder.finish(1, 0)?;
        let slot = Slot::parse(&buffer, &IDENTITY)?;
        assert_eq!(slot.verify(), Ok(()));
        assert_eq!(slot.header().file_count, 1);
        let profile = slot.default_profile().ok_or(Error::BadRecord)?;
        assert_eq!(slot.files(&profile).count(), 1);
        Ok(())
    }

    #[test]
    fn more_records_than_asked_for_are_dropped() -> Result {
        let mut buffer = [0; SLOT];
        let mut builder = Builder::new(&mut buffer, &template(), 1, 1)?;
        assert_eq!(builder.profile(&DEFAULT)?, Outcome::Stored);
        let own = executable(8, &[&[1]]);
        assert_eq!(builder.file(&own)?, Outcome::Stored);
        assert_eq!(builder.file(&own)?, Outcome::Dropped);
        assert_eq!(builder.profile(&DEFAULT)?, Outcome::Dropped);
        assert_eq!(builder.file(&own)?, Outcome::Dropped);
        Ok(())
    }

    #[test]
    fn tables_shrink_to_the_slot() -> Result {
        let mut buffer = [0; 128 + 64];
        let mut builder = Builder::new(&mut buffer, &template(), 9, 9)?;
        assert_eq!(builder.profile(&DEFAULT)?, Outcome::Stored);
        assert_eq!(builder.profile(&DEFAULT)?, Outcome::Dropped);
        assert_eq!(builder.file(&executable(0, &[]))?, Outcome::Dropped);
        let _ = builder.finish(1, 0)?;
        assert!(Slot::parse(&buffer, &IDENTITY).is_ok());
        Ok(())
    }

    #[test]
    fn what_cannot_be_is_refused() -> Result {
        let mut buffer = [0; SLOT];
        let new = |len: usize| {
            let mut buffer = [0; SLOT];
            let slot = &mut buffer[..len];
            Builder::new(slot, &template(), 0, 0).err()
        };
        assert_eq!(new(120), Some(Error::BadSlotSize));
        assert_eq!(new(129), Some(Error::BadSlotSize));
        assert_eq!(new(128), None);

        let mut builder = Builder::new(&mut buffer, &template(), 1, 1)?;
        let bad = Err(Error::BadRecord);
        let mut profile = DEFAULT;
        profile.kind = 4;
        assert_eq!(builder.profile(&profile), bad);
        assert_eq!(builder.profile(&DEFAULT)?, Outcome::Stored);
        let mut file = executable(8, &[]);
        file.first_page = 1;
        assert_eq!(builder.file(&file), bad);
        file = executable(8, &[]);
        file.path = b"/bin/true";
        assert_eq!(builder.file(&file), bad);
        file = library(b"/lib", 8, &[]);
        file.first_page = u64::MAX;
        assert_eq!(builder.file(&file), bad);
        file = library(b"/lib", 8, &[&[], &[], &[], &[], &[], &[], &[], &[], &[]]);
        assert_eq!(builder.file(&file), bad);
        assert_eq!(builder.finish(0, 0), Err(Error::BadHeader));
        Ok(())
    }

    #[test]
    fn files_of_a_dropped_profile_go_with_it() -> Result {
        let mut buffer = [0; SLOT];
        let mut builder = Builder::new(&mut buffer, &template(), 1, 1)?;
        assert_eq!(builder.profile(&DEFAULT)?, Outcome::Stored);
        assert_eq!(builder.profile(&DEFAULT)?, Outcome::Dropped);
        assert_eq!(builder.file(&executable(8, &[&[1]]))?, Outcome::Dropped);
        let _ = builder.finish(1, 0)?;
        let slot = Slot::parse(&buffer, &IDENTITY)?;
        assert_eq!(slot.header().file_count, 0);
        Ok(())
    }

    #[test]
    fn the_smallest_slot_is_aligned() {
        assert_eq!(slot_size_for(0, 4096), Some(4096));
        // 3776 bytes are left for the plane.
        assert_eq!(slot_size_for(30_208, 4096), Some(4096));
        assert_eq!(slot_size_for(30_209, 4096), Some(8192));
        assert_eq!(slot_size_for(1, 65536), Some(65536));
        assert_eq!(slot_size_for(1, 0), Some(328));
        assert_eq!(slot_size_for((MAX_SLOT - 320) as u32 * 8, 8), Some(1 << 20));
        assert_eq!(slot_size_for((MAX_SLOT - 319) as u32 * 8, 8), None);
        assert_eq!(slot_size_for(u32::MAX, 4096), None);
    }

    #[test]
    fn profiles_and_files_take_what_is_said() -> Result {
        let mut buffer = [0; 720];
        for (key, path, pages) in [
            (&b""[..], &b""[..], 0),
            (b"k", b"/", 1),
            (b"12345678", b"/234567", 64),
            (b"123456789", b"/23456789", 65),
        ] {
            let mut builder = Builder::new(&mut buffer, &template(), 1, 1)?;
            let _ = builder.profile(&ProfileInput {
                kind: PROFILE_BY_NAME,
                key,
                ..DEFAULT
            })?;
            let _ = builder.file(&library(path, pages, &[&[], &[], &[]]))?;
            let used = 128 + profile_bytes(key.len()) + file_bytes(path.len(), pages, 3);
            assert_eq!(builder.finish(1, 0), Ok(used));
        }
        assert_eq!(profile_bytes(usize::MAX), usize::MAX);
        assert_eq!(file_bytes(usize::MAX, u32::MAX, usize::MAX), usize::MAX);
        Ok(())
    }
}
