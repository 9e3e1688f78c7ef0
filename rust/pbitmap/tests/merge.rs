// SPDX-License-Identifier: GPL-2.0

//! Tests of [`policy::merge`](super::super::policy::merge): which pages are wanted.

use super::{
    super::{
        format::{
            error::{
                Error,
                Result, //
            },
            layout::FILE_EXECUTABLE,
            slot::{
                Builder,
                File,
                FileInput,
                ProfileInput,
                Slot, //
            },
        },
        policy::merge::{
            Merge,
            Wanted, //
        },
    },
    sample::{
        template,
        IDENTITY,
        SLOT, //
    },
};

/// Has `look` see the executable with these planes of `page_count` pages.
fn with_file<T>(page_count: u32, planes: &[&[u8]], look: impl FnOnce(&File<'_>) -> T) -> Result<T> {
    let mut slot = [0; SLOT];
    let mut builder = Builder::new(&mut slot, &template(), 1, 1)?;
    let _ = builder.profile(&ProfileInput::default())?;
    let _ = builder.file(&FileInput {
        kind: FILE_EXECUTABLE,
        page_count,
        planes,
        ..FileInput::default()
    })?;
    let _ = builder.finish(1, 0)?;
    let slot = Slot::parse(&slot, &IDENTITY)?;
    let profile = slot.default_profile().ok_or(Error::BadRecord)?;
    let file = slot.executable(&profile).ok_or(Error::BadRecord)?;
    Ok(look(&file))
}

/// The first word of what is wanted after so many runs.
fn wanted(planes: &[&[u8]], runs: u32) -> Result<u64> {
    with_file(64, planes, |file| Wanted::new(file, runs).word(0))
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_merge))]
mod tests {
    use super::*;

    #[test]
    fn of_one_recording_all_pages_are_wanted() -> Result {
        assert_eq!(wanted(&[&[0b101]], 1)?, 0b101);
        // One plane stands for many recordings if they were merged otherwise.
        assert_eq!(wanted(&[&[0b101]], 9)?, 0b101);
        // The tool may have made it.
        assert_eq!(wanted(&[&[0b101]], 0)?, 0b101);
        Ok(())
    }

    #[test]
    fn of_two_recordings_all_pages_are_wanted() -> Result {
        assert_eq!(wanted(&[&[0b0101], &[0b1001]], 2)?, 0b1101);
        Ok(())
    }

    #[test]
    fn of_more_recordings_pages_in_two_are_wanted() -> Result {
        assert_eq!(wanted(&[&[0b001], &[0b011], &[0b101]], 3)?, 0b001);
        assert_eq!(wanted(&[&[1], &[2], &[2], &[4]], 4)?, 2);
        assert_eq!(wanted(&[&[1], &[0], &[0], &[1]], 4)?, 1);
        let all: [&[u8]; 8] = [&[1], &[2], &[4], &[8], &[16], &[32], &[64], &[64]];
        assert_eq!(wanted(&all, 100)?, 64);
        Ok(())
    }

    #[test]
    fn planes_from_before_the_first_recording_do_not_count() -> Result {
        let planes: [&[u8]; 4] = [&[1], &[2], &[4], &[4]];
        assert_eq!(wanted(&planes, 0)?, 1);
        assert_eq!(wanted(&planes, 1)?, 1);
        assert_eq!(wanted(&planes, 2)?, 3);
        assert_eq!(wanted(&planes, 3)?, 0);
        assert_eq!(wanted(&planes, 4)?, 4);
        Ok(())
    }

    #[test]
    fn nothing_is_wanted_past_the_last_page() -> Result {
        let planes: [&[u8]; 2] = [&[0xff; 13], &[0xff; 13]];
        with_file(100, &planes, |file| {
            let wanted = Wanted::new(file, 2);
            assert_eq!(wanted.len(), 100);
            assert!(!wanted.is_empty());
            assert_eq!(wanted.word(0), u64::MAX);
            assert_eq!(wanted.word(1), (1 << 36) - 1);
            assert_eq!(wanted.word(2), 0);
            assert_eq!(wanted.word(usize::MAX), 0);
            assert_eq!(wanted.count(), 100);
        })
    }

    #[test]
    fn without_planes_or_pages_nothing_is_wanted() -> Result {
        for (page_count, planes) in [(100, &[] as &[&[u8]]), (0, &[&[0xff]])] {
            with_file(page_count, planes, |file| {
                let wanted = Wanted::new(file, 1);
                assert_eq!(wanted.len(), 0);
                assert!(wanted.is_empty());
                assert_eq!(wanted.word(0), 0);
                assert_eq!(wanted.count(), 0);
            })?;
        }
        Ok(())
    }

    #[test]
    fn the_bitmap_is_written_as_far_as_there_is_room() -> Result {
        let planes: [&[u8]; 2] = [&[1, 0, 0, 0, 0, 0, 0, 0, 2], &[4, 0, 0, 0, 0, 0, 0, 0, 8]];
        with_file(128, &planes, |file| {
            let wanted = Wanted::new(file, 2);
            let mut out = [0xee; 24];
            wanted.write(&mut out);
            assert_eq!(out[..9], [5, 0, 0, 0, 0, 0, 0, 0, 10]);
            assert_eq!(out[9..], [0; 15]);
            let mut short = [0xee; 9];
            wanted.write(&mut short);
            assert_eq!(short, out[..9]);
        })
    }

    #[test]
    fn one_plane_is_taken_as_it_is() -> Result {
        let planes: [&[u8]; 2] = [&[5, 0xff], &[0xff]];
        with_file(9, &planes, |file| {
            let wanted = Wanted::new(file, 1);
            assert_eq!((wanted.len(), wanted.word(0)), (9, 0x105));
        })
    }

    #[test]
    fn the_ways_have_the_numbers_of_the_sysctl() {
        assert_eq!(Merge::from_number(0), Some(Merge::Replace));
        assert_eq!(Merge::from_number(1), Some(Merge::Or));
        assert_eq!(Merge::from_number(2), Some(Merge::Age));
        assert_eq!(Merge::from_number(3), None);
        assert_eq!(Merge::default(), Merge::Age);
    }
}
