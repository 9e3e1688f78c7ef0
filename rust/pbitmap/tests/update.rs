// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::update`](super::super::format::update): what a recording makes of a slot,
//! and when it is not worth a write.

use super::{
    super::{
        format::{
            error::{
                Error,
                Result, //
            },
            layout::{
                FILE_BY_PATH,
                FILE_EXECUTABLE,
                PROFILE_BY_NAME,
                PROFILE_BY_SCRIPT, //
            },
            slot::{
                file_bytes,
                profile_bytes,
                BuildId,
                Builder,
                FileInput,
                ProfileInput,
                Slot,
                SlotHeader, //
            },
            turns::Turns,
            update::{
                update,
                Key,
                Run,
                Seen, //
            },
            MAX_PATH, //
        },
        policy::merge::{
            Merge,
            Wanted, //
        },
    },
    sample::{
        by_name,
        named,
        reseal,
        run,
        seen,
        template,
        Store,
        IDENTITY,
        PAGES,
        SLOT,
        STORE, //
    },
};

const AGE: Run<'static> = Run {
    key: Key::DEFAULT,
    merge: Merge::Age,
    wanted: 0,
    hits: 0,
    now: 1,
    saw_reads: true,
};
/// The same of a start that found all in memory.
const WARM: Run<'static> = Run {
    saw_reads: false,
    ..AGE
};

/// Offsets in a slot with one profile.
const PROFILE: usize = 128;
const RECORD: usize = 192;

/// What stands behind the keys of the profiles, in the order of the table; `-` for the default.
fn has_profiles(store: &Store, names: &[&[u8]]) -> Result<bool> {
    let slot = store.slot()?;
    Ok(slot.profiles().count() == names.len()
        && slot
            .profiles()
            .zip(names)
            .all(|(profile, name)| match profile.record.kind {
                PROFILE_BY_NAME => profile.key() == *name,
                _ => *name == b"-",
            }))
}

/// Whether the default profile has the executable and these files, in this order.
fn has_files(store: &Store, paths: &[&[u8]]) -> Result<bool> {
    let profile = store.profile(&Key::DEFAULT)?.ok_or(Error::BadRecord)?;
    let slot = store.slot()?;
    let mut files = slot.files(&profile);
    let own = files.next().ok_or(Error::BadRecord)?;
    Ok(own.record.kind == FILE_EXECUTABLE
        && slot.files(&profile).count() == paths.len() + 1
        && files.zip(paths).all(|(file, path)| file.path() == *path))
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
        assert_eq!(store.slot()?.header().updated, 1000);
        let profile = store.profile(&Key::DEFAULT)?.ok_or(Error::BadRecord)?;
        assert_eq!(profile.record.runs, 1);
        assert_eq!(profile.record.last_used, 1000);
        assert_eq!(profile.record.wanted, 7);
        assert_eq!(profile.record.hits, 5);
        assert_eq!(store.words(b"")?, [6]);
        assert_eq!(store.words(b"/lib/libc.so.6")?, [0x100]);
        Ok(())
    }

    #[test]
    fn the_identity_of_a_library_is_stored() -> Result {
        let mut store = Store::new(4, 1)?;
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/lib", &[1])])?;
        let record = store.file(b"/lib")?.ok_or(Error::BadRecord)?.record;
        assert_eq!(record.kind, FILE_BY_PATH);
        assert_eq!(record.first_page, 0);
        assert_eq!(record.dev, 1);
        assert_eq!(record.ino, 2);
        assert_eq!(record.generation, 3);
        assert_eq!(record.size, 4096);
        assert_eq!(record.mtime_sec, -5);
        assert_eq!(record.mtime_nsec, 6);
        // That of the executable is in the header.
        let record = store.file(b"")?.ok_or(Error::BadRecord)?.record;
        assert_eq!(record.ino, 0);
        assert_eq!(record.size, 0);
        Ok(())
    }

    #[test]
    fn replace_keeps_one_plane() -> Result {
        let mut store = Store::new(4, 1)?;
        let replace = run(Merge::Replace, 1);
        let _ = store.update(&replace, &[seen(b"", &[1]), seen(b"/a", &[1])])?;
        let _ = store.update(&replace, &[seen(b"", &[2]), seen(b"/b", &[1])])?;
        assert_eq!(store.words(b"")?, [2]);
        assert!(has_files(&store, &[b"/b"])?);
        let profile = store.profile(&Key::DEFAULT)?.ok_or(Error::BadRecord)?;
        assert_eq!(profile.record.runs, 2);
        Ok(())
    }

    #[test]
    fn or_adds_pages_and_files() -> Result {
        let mut store = Store::new(4, 1)?;
        let or = run(Merge::Or, 1);
        let _ = store.update(&or, &[seen(b"", &[1]), seen(b"/a", &[1])])?;
        let _ = store.update(&or, &[seen(b"", &[2]), seen(b"/b", &[8])])?;
        let _ = store.update(&or, &[seen(b"", &[4]), seen(b"/b", &[0, 2])])?;
        assert_eq!(store.words(b"")?, [7]);
        assert_eq!(store.words(b"/a")?, [1]);
        assert_eq!(store.words(b"/b")?, [0x208]);
        assert!(has_files(&store, &[b"/b", b"/a"])?);
        Ok(())
    }

    #[test]
    fn age_moves_the_planes_down_and_forgets() -> Result {
        let mut store = Store::new(3, 1)?;
        for pages in [1, 2, 4, 8] {
            let _ = store.update(&AGE, &[seen(b"", &[pages])])?;
        }
        assert_eq!(store.words(b"")?, [8, 4, 2]);
        let profile = store.profile(&Key::DEFAULT)?.ok_or(Error::BadRecord)?;
        assert_eq!(profile.record.runs, 4);
        Ok(())
    }

    #[test]
    fn age_drops_a_file_after_as_many_runs_without_it() -> Result {
        let mut store = Store::new(3, 1)?;
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/lib", &[5])])?;
        assert_eq!(store.words(b"/lib")?, [5]);
        let _ = store.update(&AGE, &[seen(b"", &[1])])?;
        assert_eq!(store.words(b"/lib")?, [0, 5]);
        let record = store.file(b"/lib")?.ok_or(Error::BadRecord)?.record;
        assert_eq!(record.ino, 2);
        // Mapped and not touched is as good as not mapped.
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/lib", &[0])])?;
        assert_eq!(store.words(b"/lib")?, [0, 0, 5]);
        let _ = store.update(&AGE, &[seen(b"", &[1])])?;
        assert!(has_files(&store, &[])?);
        assert_eq!(store.words(b"")?, [1, 1, 1]);
        Ok(())
    }

    #[test]
    fn a_file_that_is_new_was_not_there_before() -> Result {
        let mut store = Store::new(3, 1)?;
        let _ = store.update(&AGE, &[seen(b"", &[1])])?;
        let _ = store.update(&AGE, &[seen(b"", &[1])])?;
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/lib", &[5])])?;
        assert_eq!(store.words(b"/lib")?, [5, 0, 0]);
        Ok(())
    }

    #[test]
    fn the_executable_stays_although_nothing_of_it_was_seen() -> Result {
        let mut store = Store::new(2, 1)?;
        let _ = store.update(&AGE, &[seen(b"/lib", &[5])])?;
        let _ = store.update(&AGE, &[])?;
        let file = store.file(b"")?.ok_or(Error::BadRecord)?;
        assert_eq!(file.record.page_count, PAGES);
        assert_eq!(store.words(b"")?, [0, 0]);
        Ok(())
    }

    #[test]
    fn one_plane_that_was_made_otherwise_is_a_history_of_one() -> Result {
        let mut store = Store::new(4, 1)?;
        for _ in 0..3 {
            let _ = store.update(&run(Merge::Or, 1), &[seen(b"", &[1])])?;
        }
        let _ = store.update(&AGE, &[seen(b"", &[2])])?;
        assert_eq!(store.words(b"")?, [2, 1]);
        Ok(())
    }

    #[test]
    fn no_planes_or_profiles_count_as_one() -> Result {
        let mut store = Store::new(0, 0)?;
        let _ = store.update(&AGE, &[seen(b"", &[1])])?;
        let _ = store.update(&AGE, &[seen(b"", &[2])])?;
        assert_eq!(store.words(b"")?, [2]);
        let report = store.update(&by_name(b"vi", 2), &[seen(b"", &[1])])?;
        assert_eq!(report.profiles_dropped, 1);
        assert!(has_profiles(&store, &[b"vi"])?);
        Ok(())
    }

    #[test]
    fn no_more_planes_are_kept_than_there_can_be() -> Result {
        let mut store = Store::new(u16::MAX, 1)?;
        for _ in 0..10 {
            let _ = store.update(&AGE, &[seen(b"", &[1])])?;
        }
        assert_eq!(store.words(b"")?, [1; 8]);
        Ok(())
    }

    #[test]
    fn a_file_that_changed_starts_anew() -> Result {
        let changes: [fn(&mut Seen<'_>); 5] = [
            |seen| seen.identity.ino += 1,
            |seen| seen.identity.generation += 1,
            |seen| seen.identity.size += 1,
            |seen| seen.identity.mtime_sec += 1,
            |seen| seen.identity.mtime_nsec += 1,
        ];
        for change in changes {
            for merge in [Merge::Or, Merge::Age] {
                let mut store = Store::new(2, 1)?;
                let _ = store.update(&run(merge, 1), &[seen(b"", &[1]), seen(b"/a", &[1])])?;
                let mut other = seen(b"/a", &[2]);
                change(&mut other);
                let _ = store.update(&run(merge, 1), &[seen(b"", &[1]), other])?;
                assert!(has_files(&store, &[b"/a"])?);
                let file = store.file(b"/a")?.ok_or(Error::BadRecord)?;
                assert_eq!(file.plane(0).map(|plane| plane.word(0)), Some(2));
                let older = file.plane(1).map_or(0, |plane| plane.word(0));
                assert_eq!(older, 0);
            }
        }
        Ok(())
    }

    #[test]
    fn a_file_on_a_device_with_a_new_number_is_the_same() -> Result {
        let mut store = Store::new(2, 1)?;
        let mut lib = seen(b"/a", &[1]);
        lib.identity.build_id = BuildId::new(b"id");
        let _ = store.update(&AGE, &[seen(b"", &[1]), lib])?;
        let mut lib = seen(b"/a", &[2]);
        lib.identity.dev = 99;
        let _ = store.update(&AGE, &[seen(b"", &[1]), lib])?;
        assert_eq!(store.words(b"/a")?, [2, 1]);
        let file = store.file(b"/a")?.ok_or(Error::BadRecord)?;
        assert_eq!(file.record.dev, 99);
        // Nobody looked this time; it has not changed.
        assert_eq!(file.build_id().as_bytes(), b"id");
        Ok(())
    }

    #[test]
    fn of_two_files_with_one_path_the_first_counts() -> Result {
        let mut store = Store::new(2, 1)?;
        let mut other = seen(b"/a", &[2]);
        other.identity.ino = 77;
        let files = [
            seen(b"/a", &[1]),
            seen(b"", &[1]),
            other,
            seen(b"/b", &[4]),
            seen(b"", &[8]),
        ];
        for _ in 0..2 {
            let _ = store.update(&AGE, &files)?;
            assert!(has_files(&store, &[b"/a", b"/b"])?);
        }
        assert_eq!(store.words(b"/a")?, [1, 1]);
        assert_eq!(store.words(b"")?, [1, 1]);
        Ok(())
    }

    #[test]
    fn files_are_stored_in_the_order_of_the_recording() -> Result {
        let mut store = Store::new(3, 1)?;
        let [a, b, c] = [b"/a", b"/b", b"/c"].map(|path| seen(path, &[1]));
        let own = seen(b"", &[1]);
        let _ = store.update(&AGE, &[own, a, b, c])?;
        assert!(has_files(&store, &[b"/a", b"/b", b"/c"])?);
        let _ = store.update(&AGE, &[c, own, b])?;
        assert!(has_files(&store, &[b"/c", b"/b", b"/a"])?);
        assert_eq!(store.words(b"/c")?, [1, 1]);
        assert_eq!(store.words(b"/a")?, [0, 1]);
        Ok(())
    }

    #[test]
    fn a_plane_ends_with_the_word_of_the_last_page() -> Result {
        let mut store = Store::new(2, 1)?;
        let mut pages = [0; 40];
        pages[8] = 1;
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/a", &pages)])?;
        let file = store.file(b"/a")?.ok_or(Error::BadRecord)?;
        assert_eq!(file.record.page_count, 128);
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/a", &[1])])?;
        let file = store.file(b"/a")?.ok_or(Error::BadRecord)?;
        assert_eq!(file.record.page_count, 128);
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/a", &[1])])?;
        let file = store.file(b"/a")?.ok_or(Error::BadRecord)?;
        assert_eq!(file.record.page_count, 64);
        let own = store.file(b"")?.ok_or(Error::BadRecord)?;
        assert_eq!(own.record.page_count, PAGES);
        Ok(())
    }

    #[test]
    fn pages_past_the_executable_are_cut_and_marked() -> Result {
        let mut store = Store::new(2, 1)?;
        let report = store.update(&AGE, &[seen(b"", &[0xff; 100])])?;
        assert_eq!(report.files_truncated, 1);
        let file = store.file(b"")?.ok_or(Error::BadRecord)?;
        assert!(file.is_truncated());
        assert_eq!(file.plane(0).map(|plane| plane.count()), Some(300));
        // Clear bits there are no loss.
        let mut pages = [0; 100];
        pages[37] = 0b1111;
        let report = store.update(&AGE, &[seen(b"", &pages)])?;
        assert_eq!(report.files_truncated, 0);
        let file = store.file(b"")?.ok_or(Error::BadRecord)?;
        assert!(!file.is_truncated());
        Ok(())
    }

    #[test]
    fn a_first_mode_takes_the_place_of_an_unused_default() -> Result {
        let mut store = Store::new(1, 4)?;
        let report = store.update(&by_name(b"vi", 1), &[seen(b"", &[1])])?;
        assert_eq!(report.profiles_dropped, 0);
        assert!(has_profiles(&store, &[b"vi"])?);
        let profile = store.profile(&named(b"vi"))?.ok_or(Error::BadRecord)?;
        assert_eq!(profile.record.runs, 1);
        assert_eq!(store.slot()?.files(&profile).count(), 1);
        Ok(())
    }

    #[test]
    fn a_first_mode_leaves_a_default_that_is_used() -> Result {
        let mut store = Store::new(1, 4)?;
        let _ = store.update(&AGE, &[seen(b"", &[2]), seen(b"/a", &[4])])?;
        let _ = store.update(&by_name(b"vi", 1), &[seen(b"", &[1])])?;
        assert!(has_profiles(&store, &[b"vi", b"-"])?);
        assert_eq!(store.words(b"")?, [2]);
        assert_eq!(store.words(b"/a")?, [4]);
        Ok(())
    }

    #[test]
    fn modes_are_kept_apart() -> Result {
        let mut store = Store::new(1, 4)?;
        let _ = store.update(&by_name(b"vi", 1), &[seen(b"", &[1])])?;
        let _ = store.update(&by_name(b"view", 2), &[seen(b"", &[2])])?;
        let script = Run {
            key: Key {
                kind: PROFILE_BY_SCRIPT,
                bytes: b"vi",
            },
            ..by_name(b"", 3)
        };
        let _ = store.update(&script, &[seen(b"", &[4])])?;
        assert_eq!(store.slot()?.profiles().count(), 3);
        for (key, pages) in [(named(b"vi"), 1), (named(b"view"), 2), (script.key, 4)] {
            let profile = store.profile(&key)?.ok_or(Error::BadRecord)?;
            let file = store.slot()?.executable(&profile).ok_or(Error::BadRecord)?;
            assert_eq!(file.plane(0).map(|plane| plane.word(0)), Some(pages));
        }
        Ok(())
    }

    #[test]
    fn the_mode_that_was_not_used_for_longest_goes() -> Result {
        let mut store = Store::new(1, 3)?;
        for (name, now) in [(b"a", 30), (b"b", 10), (b"c", 20)] {
            let _ = store.update(&by_name(name, now), &[seen(b"", &[1])])?;
        }
        assert!(has_profiles(&store, &[b"c", b"a", b"b"])?);
        let report = store.update(&by_name(b"d", 5), &[seen(b"", &[1])])?;
        assert_eq!(report.profiles_dropped, 1);
        assert!(has_profiles(&store, &[b"d", b"a", b"c"])?);
        // One that is there already makes nobody go.
        let report = store.update(&by_name(b"c", 6), &[seen(b"", &[1])])?;
        assert_eq!(report.profiles_dropped, 0);
        assert!(has_profiles(&store, &[b"c", b"a", b"d"])?);
        Ok(())
    }

    #[test]
    fn modes_of_the_same_second_stay_in_order() -> Result {
        let mut store = Store::new(1, 3)?;
        for name in [b"a", b"b", b"c", b"d"] {
            let _ = store.update(&by_name(name, 7), &[seen(b"", &[1])])?;
        }
        assert!(has_profiles(&store, &[b"d", b"c", b"b"])?);
        Ok(())
    }

    #[test]
    fn other_modes_are_copied_as_they_are() -> Result {
        let mut store = Store::new(2, 4)?;
        let recording = Run {
            wanted: 11,
            hits: 12,
            ..by_name(b"vi", 9)
        };
        let files = [seen(b"", &[3]), seen(b"/a", &[5, 0, 0, 0, 0, 0, 0, 0, 1])];
        for _ in 0..2 {
            let _ = store.update(&recording, &files)?;
        }
        // What this code does not know: reserved bytes and flags.
        store.bytes[PROFILE + 0x02] = 0x41;
        store.bytes[PROFILE + 0x30] = 0x42;
        store.bytes[RECORD + 0x02] = 0x44;
        store.bytes[RECORD + 0x74] = 0x43;
        reseal(&mut store.bytes);
        let _ = store.update(&by_name(b"view", 10), &[seen(b"", &[1])])?;

        let vi = store.profile(&named(b"vi"))?.ok_or(Error::BadRecord)?;
        assert_eq!(vi.record.runs, 2);
        assert_eq!(vi.record.last_used, 9);
        assert_eq!(vi.record.wanted, 11);
        assert_eq!(vi.record.hits, 12);
        assert_eq!(vi.record.flags, 0x41);
        assert_eq!(vi.record.reserved[8], 0x42);
        let slot = store.slot()?;
        let own = slot.executable(&vi).ok_or(Error::BadRecord)?;
        assert_eq!(own.record.flags, 0x44);
        assert_eq!(own.record.turns[12], 0x43);
        assert_eq!(own.plane(1).map(|plane| plane.count()), Some(2));
        let lib = slot.find(&vi, FILE_BY_PATH, b"/a", 0);
        let lib = lib.ok_or(Error::BadRecord)?;
        assert_eq!(lib.record.page_count, 128);
        assert_eq!(lib.record.ino, 2);
        assert_eq!(lib.plane(1).map(|plane| plane.word(1)), Some(1));
        Ok(())
    }

    #[test]
    fn where_private_data_starts_is_remembered() -> Result {
        let mut store = Store::new(2, 4)?;
        let data = |seen: Seen<'static>, data_page| Seen { data_page, ..seen };
        let (own, lib) = (seen(b"", &[1]), seen(b"/a", &[1]));
        let _ = store.update(&AGE, &[data(own, 5), data(lib, 6)])?;
        let pages = |store: &Store| -> Result<[u32; 2]> {
            let slot = store.slot()?;
            let profile = slot.default_profile().ok_or(Error::BadRecord)?;
            let mut pages = slot.files(&profile).map(|file| file.record.data_page);
            Ok([(); 2].map(|()| pages.next().unwrap_or(0)))
        };
        assert_eq!(pages(&store)?, [5, 6]);
        // Who did not see it, does not make it forgotten; who saw it elsewhere does.
        let _ = store.update(&AGE, &[own, lib])?;
        assert_eq!(pages(&store)?, [5, 6]);
        let _ = store.update(&AGE, &[own])?;
        assert_eq!(pages(&store)?, [5, 6]);
        let _ = store.update(&AGE, &[data(own, 7), data(lib, 8)])?;
        assert_eq!(pages(&store)?, [7, 8]);
        // Nor of a file that has changed.
        let mut other = lib;
        other.identity.size = 9;
        let _ = store.update(&AGE, &[data(own, 7), other])?;
        assert_eq!(pages(&store)?, [7, 0]);
        Ok(())
    }

    #[test]
    fn the_turns_of_the_start_that_showed_them_are_kept() -> Result {
        let mut store = Store::new(2, 4)?;
        let at = |seen: Seen<'static>, byte| Seen {
            turns: Turns::from_bytes([byte; 24]),
            ..seen
        };
        let (own, lib) = (seen(b"", &[1]), seen(b"/a", &[1]));
        let turns = |store: &Store| -> Result<[u8; 2]> {
            let slot = store.slot()?;
            let profile = slot.default_profile().ok_or(Error::BadRecord)?;
            let mut turns = slot.files(&profile).map(|file| file.record.turns[7]);
            Ok([(); 2].map(|()| turns.next().unwrap_or(0)))
        };
        let _ = store.update(&AGE, &[own, lib])?;
        assert_eq!(turns(&store)?, [0, 0]);
        let _ = store.update(&AGE, &[at(own, 1), at(lib, 2)])?;
        assert_eq!(turns(&store)?, [1, 2]);
        // Who saw none, did not look, or did not need the file, changes nothing.
        let _ = store.update(&AGE, &[own, at(lib, 3)])?;
        let _ = store.update(&AGE, &[at(own, 3)])?;
        assert_eq!(turns(&store)?, [1, 2]);
        // A new beginning does.
        let replace = Run {
            merge: Merge::Replace,
            ..AGE
        };
        let _ = store.update(&replace, &[at(own, 4), lib])?;
        assert_eq!(turns(&store)?, [4, 2]);
        let mut other = lib;
        other.identity.size = 9;
        let _ = store.update(&AGE, &[own, at(other, 5)])?;
        assert_eq!(turns(&store)?, [4, 5]);
        Ok(())
    }

    #[test]
    fn what_is_read_is_left_alone_by_who_did_not_look() -> Result {
        let mut store = Store::new(4, 1)?;
        let (own, lib) = (seen(b"", &[1]), seen(b"/a", &[1]));
        let read = |pages| Seen {
            is_read: true,
            ..seen(b"/r", pages)
        };
        let block = seen(b"metadata:1", &[4]);
        let _ = store.update(&AGE, &[own, lib, block, read(&[2])])?;
        let wanted = |store: &Store, path: &[u8]| -> Result<u64> {
            let slot = store.slot()?;
            let profile = slot.default_profile().ok_or(Error::BadRecord)?;
            let file = slot.find(&profile, FILE_BY_PATH, path, 0);
            Ok(file.map_or(0, |file| Wanted::new(&file, profile.record.runs).word(0)))
        };
        for _ in 0..6 {
            let _ = store.update(&WARM, &[own])?;
        }
        // The library is forgotten, which nobody used.
        assert_eq!(wanted(&store, b"/a")?, 0);
        assert_eq!(wanted(&store, b"/r")?, 2);
        assert_eq!(wanted(&store, b"metadata:1")?, 4);
        assert!(store.is_stored(&WARM, &[own])?);
        // Of two starts that looked, what both had counts, whatever came in between.
        let _ = store.update(&AGE, &[own, block, read(&[8])])?;
        for _ in 0..6 {
            let _ = store.update(&WARM, &[own])?;
        }
        let _ = store.update(&AGE, &[own, block, read(&[8])])?;
        assert_eq!(wanted(&store, b"/r")?, 10);
        // Who maps it now is seen all the time.
        for _ in 0..4 {
            let _ = store.update(&WARM, &[own, seen(b"/r", &[16])])?;
        }
        assert_eq!(wanted(&store, b"/r")?, 16);
        // Also where all else is replaced.
        let replace = Run {
            merge: Merge::Replace,
            ..WARM
        };
        let _ = store.update(&AGE, &[own, lib, block, read(&[8])])?;
        let _ = store.update(&replace, &[own])?;
        assert_eq!(wanted(&store, b"/r")?, 8);
        assert_eq!(wanted(&store, b"/a")?, 0);
        Ok(())
    }

    #[test]
    fn who_saw_reads_says_the_order() -> Result {
        let mut store = Store::new(2, 4)?;
        let own = seen(b"", &[1]);
        let [a, b, c] = [b"/a", b"/b", b"/c"].map(|path| seen(path, &[1]));
        let order = |store: &Store| -> Result<[u8; 3]> {
            let slot = store.slot()?;
            let profile = slot.default_profile().ok_or(Error::BadRecord)?;
            let mut files = slot.files(&profile).skip(1);
            Ok([(); 3].map(|()| {
                let file = files.next();
                file.and_then(|file| file.path().last().copied())
                    .unwrap_or(0)
            }))
        };
        let _ = store.update(&AGE, &[own, b, a])?;
        assert_eq!(order(&store)?, [b'b', b'a', 0]);
        let _ = store.update(&WARM, &[own, c, a, b])?;
        assert_eq!(order(&store)?, [b'b', b'a', b'c']);
        // Each once, and with what was seen.
        let slot = store.slot()?;
        let profile = slot.default_profile().ok_or(Error::BadRecord)?;
        assert_eq!(slot.files(&profile).count(), 4);
        assert!(slot
            .files(&profile)
            .all(|file| file.plane(0).is_some_and(|plane| plane.word(0) == 1)));
        let _ = store.update(&WARM, &[own, c])?;
        assert_eq!(order(&store)?, [b'b', b'a', b'c']);
        let _ = store.update(&AGE, &[own, c, a, b])?;
        assert_eq!(order(&store)?, [b'c', b'a', b'b']);
        Ok(())
    }

    #[test]
    fn the_header_is_carried_over() -> Result {
        let mut store = Store::new(2, 4)?;
        store.bytes[0x10] = 0x40;
        store.bytes[0x70] = 0x41;
        reseal(&mut store.bytes);
        let before = *store.slot()?.header();
        let _ = store.update(&AGE, &[seen(b"", &[1])])?;
        let after = *store.slot()?.header();
        let expected = SlotHeader {
            generation: 2,
            updated: 1,
            crc32c: after.crc32c,
            ..before
        };
        assert_eq!(after, expected);
        assert_eq!(after.feature_compat, 0x40);
        assert_eq!(after.reserved1[4], 0x41);
        Ok(())
    }

    #[test]
    fn records_of_unknown_kinds_are_dropped() -> Result {
        // A kind of profile, a kind of file, an encoding, and a plane that is outside.
        for (offset, value) in [
            (PROFILE, 9),
            (RECORD + 128, 2),
            (RECORD + 132, 1),
            (RECORD + 131 + 0x20, 1),
        ] {
            let mut store = Store::new(2, 4)?;
            let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/a", &[1])])?;
            store.bytes[offset] = value;
            reseal(&mut store.bytes);
            let _ = store.update(&AGE, &[seen(b"", &[1])])?;
            assert!(has_files(&store, &[])?);
            assert!(has_profiles(&store, &[b"-"])?);
            assert_eq!(store.slot()?.header().profile_count, 1);
            assert_eq!(store.slot()?.header().file_count, 1);
        }
        Ok(())
    }

    #[test]
    fn records_that_start_at_another_page_are_not_merged() -> Result {
        let mut store = Store::new(2, 4)?;
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/a", &[1])])?;
        store.bytes[RECORD + 128 + 0x10..][..8].copy_from_slice(&(u64::MAX - 64).to_le_bytes());
        reseal(&mut store.bytes);
        let copy = store.bytes;
        let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/a", &[2])])?;
        assert_eq!(store.words(b"/a")?, [2, 0]);
        store.bytes = copy;
        let _ = store.update(&AGE, &[seen(b"", &[1])])?;
        assert!(has_files(&store, &[])?);
        // Beside another profile it is copied.
        store.bytes = copy;
        let _ = store.update(&by_name(b"vi", 1), &[seen(b"", &[1])])?;
        let file = store.file(b"/a")?.ok_or(Error::BadRecord)?;
        assert_eq!(file.record.first_page, u64::MAX - 64);
        Ok(())
    }

    #[test]
    fn a_slot_can_be_filled_to_the_last_byte() -> Result {
        let mut store = Store::new(1, 1)?;
        let used = 128 + profile_bytes(0) + file_bytes(0, PAGES, 1);
        // A path of so many bytes and a word.
        let path = [b'/'; STORE];
        let most = STORE - used - file_bytes(0, 64, 1);
        let files = [seen(b"", &[1]), seen(&path[..most], &[1])];
        let report = store.update(&AGE, &files)?;
        assert_eq!(report.used, STORE);
        assert_eq!(report.files_dropped, 0);
        let files = [seen(b"", &[1]), seen(&path[..most + 1], &[1])];
        let report = store.update(&AGE, &files)?;
        assert_eq!(report.files_dropped, 1);
        assert!(has_files(&store, &[])?);
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_dropped_from_the_end() -> Result {
        let mut store = Store::new(1, 1)?;
        // 664 bytes are left beside the executable. The second file gets 56 of its 100 words.
        let pages = [0xff; 800];
        let files = [
            seen(b"", &[1]),
            seen(b"/a", &[1]),
            seen(b"/b", &pages[..600]),
            seen(b"/c", &[1]),
            seen(b"/d", &[1]),
        ];
        let report = store.update(&AGE, &files)?;
        assert_eq!(report.files_truncated, 1);
        assert_eq!(report.files_dropped, 2);
        assert_eq!(report.used, STORE);
        assert!(has_files(&store, &[b"/a", b"/b"])?);
        let file = store.file(b"/b")?.ok_or(Error::BadRecord)?;
        assert!(file.is_truncated());
        let room = STORE - 192 - file_bytes(0, PAGES, 1) - file_bytes(2, 64, 1);
        let pages = (room - file_bytes(2, 0, 1)) * 8;
        assert_eq!(file.record.page_count as usize, pages);
        assert_eq!(file.plane(0).map(|plane| plane.count()), Some(pages));
        // The same again changes nothing, also what did not fit.
        assert!(store.is_stored(&AGE, &files)?);
        Ok(())
    }

    #[test]
    fn other_modes_go_before_pages_of_the_recorded_one() -> Result {
        let mut store = Store::new(1, 8)?;
        for (name, now) in [(b"a", 10), (b"b", 30), (b"c", 20)] {
            let _ = store.update(&by_name(name, now), &[seen(b"", &[1])])?;
        }
        // Each of them takes 64 + 8 + 128 + 40 bytes: there is room for three.
        assert!(has_profiles(&store, &[b"c", b"b", b"a"])?);
        let report = store.update(&by_name(b"d", 40), &[seen(b"", &[1])])?;
        assert_eq!(report.profiles_dropped, 1);
        assert!(has_profiles(&store, &[b"d", b"b", b"c"])?);
        let large = [seen(b"", &[1]), seen(b"/a", &[0xff; 400])];
        let report = store.update(&by_name(b"d", 40), &large)?;
        assert_eq!(report.profiles_dropped, 2);
        assert_eq!(report.files_truncated, 0);
        assert!(has_profiles(&store, &[b"d"])?);
        Ok(())
    }

    #[test]
    fn without_room_for_the_executable_nothing_is_written() -> Result {
        let mut slot = [0; SLOT];
        let header = SlotHeader {
            planes: 8,
            ..template()
        };
        let build = |slot: &mut [u8]| {
            let mut builder = Builder::new(slot, &header, 1, 0)?;
            let _ = builder.profile(&ProfileInput::default())?;
            builder.finish(1, 0)
        };
        let mut out = [0xee; SLOT];
        let files = [seen(b"", &[1])];
        for (size, expected) in [
            (192, Err(Error::NoRoom)),
            (320, Err(Error::NoRoom)),
            (328, Ok(328)),
        ] {
            let slot = &mut slot[..size];
            let _ = build(slot)?;
            let old = Slot::parse(slot, &IDENTITY)?;
            let result = update(&old, &mut out, &AGE, files.iter().copied());
            assert_eq!(result.map(|report| report.used), expected);
        }
        Ok(())
    }

    #[test]
    fn nothing_is_written_past_the_slot() -> Result {
        let store = Store::new(1, 1)?;
        let mut out = [0xee; STORE + 8];
        let files = [seen(b"", &[0xff; 38]), seen(b"/a", &[0xff; 1000])];
        let report = update(&store.slot()?, &mut out, &AGE, files.iter().copied())?;
        assert_eq!(report.used, STORE);
        assert_eq!(out[STORE..], [0xee; 8]);
        let short = &mut out[..STORE - 8];
        let error = update(&store.slot()?, short, &AGE, files.iter().copied());
        assert_eq!(error, Err(Error::NoRoom));
        Ok(())
    }

    #[test]
    fn the_last_generation_is_not_overrun() -> Result {
        let mut store = Store::new(1, 1)?;
        store.bytes[0x18..0x20].fill(0xff);
        reseal(&mut store.bytes);
        let error = store.update(&AGE, &[seen(b"", &[1])]);
        assert_eq!(error, Err(Error::GenerationExhausted));
        Ok(())
    }

    #[test]
    fn a_key_that_cannot_be_is_refused() -> Result {
        let mut store = Store::new(1, 1)?;
        let files = [seen(b"", &[1])];
        let mut recording = by_name(b"vi", 1);
        recording.key.kind = 4;
        let error = store.update(&recording, &files);
        assert_eq!(error, Err(Error::BadRecord));
        assert!(!store.is_stored(&recording, &files)?);
        // The default needs none.
        recording.key.kind = 0;
        let _ = store.update(&recording, &files)?;
        let profile = store.profile(&Key::DEFAULT)?.ok_or(Error::BadRecord)?;
        assert_eq!(profile.key(), b"");
        assert_eq!(profile.record.runs, 1);
        Ok(())
    }

    #[test]
    fn a_path_that_is_too_long_is_dropped_alone() -> Result {
        static LONG: [u8; MAX_PATH + 1] = [b'/'; MAX_PATH + 1];
        let mut store = Store::new(1, 1)?;
        let files = [seen(b"", &[1]), seen(&LONG, &[1]), seen(b"/a", &[1])];
        let report = store.update(&AGE, &files)?;
        assert_eq!(report.files_dropped, 1);
        assert!(has_files(&store, &[b"/a"])?);
        Ok(())
    }

    #[test]
    fn a_slot_without_any_record_is_filled() -> Result {
        let mut store = Store::new(1, 1)?;
        let builder = Builder::new(&mut store.bytes, &template(), 0, 0)?;
        let _ = builder.finish(1, 0)?;
        let _ = store.update(&AGE, &[seen(b"", &[5])])?;
        assert_eq!(store.words(b"")?, [5]);
        let file = store.file(b"")?.ok_or(Error::BadRecord)?;
        assert_eq!(file.record.page_count, PAGES);
        Ok(())
    }

    #[test]
    fn runs_stay_at_their_highest_value() -> Result {
        let mut store = Store::new(3, 1)?;
        let _ = store.update(&AGE, &[seen(b"", &[5])])?;
        store.bytes[PROFILE + 0x14..][..4].fill(0xff);
        reseal(&mut store.bytes);
        let _ = store.update(&AGE, &[seen(b"", &[5])])?;
        let profile = store.profile(&Key::DEFAULT)?.ok_or(Error::BadRecord)?;
        assert_eq!(profile.record.runs, u32::MAX);
        assert_eq!(store.words(b"")?, [5, 5]);
        Ok(())
    }

    #[test]
    fn the_same_again_is_stored() -> Result {
        let files = [seen(b"", &[1]), seen(b"/a", &[2])];
        for merge in [Merge::Replace, Merge::Or] {
            let mut store = Store::new(4, 1)?;
            assert!(!store.is_stored(&run(merge, 1), &files)?);
            let _ = store.update(&run(merge, 1), &files)?;
            assert!(store.is_stored(&run(merge, 1), &files)?);
            let turned = [files[1], files[0]];
            assert!(store.is_stored(&run(merge, 1), &turned)?);
            let more = [seen(b"", &[3]), files[1]];
            assert!(!store.is_stored(&run(merge, 1), &more)?);
        }
        Ok(())
    }

    #[test]
    fn less_is_a_change_but_to_or() -> Result {
        let mut store = Store::new(1, 1)?;
        let files = [seen(b"", &[3]), seen(b"/a", &[2])];
        let _ = store.update(&run(Merge::Or, 1), &files)?;
        let fewer = [seen(b"", &[1])];
        assert!(store.is_stored(&run(Merge::Or, 1), &fewer)?);
        assert!(!store.is_stored(&run(Merge::Replace, 1), &fewer)?);
        assert!(!store.is_stored(&run(Merge::Replace, 1), &files[..1])?);
        assert!(!store.is_stored(&AGE, &files[..1])?);
        Ok(())
    }

    #[test]
    fn with_age_the_same_is_stored_until_all_planes_are_full() -> Result {
        let mut store = Store::new(3, 1)?;
        let files = [seen(b"", &[1]), seen(b"/a", &[2])];
        for _ in 0..3 {
            assert!(!store.is_stored(&AGE, &files)?);
            let _ = store.update(&AGE, &files)?;
        }
        assert!(store.is_stored(&AGE, &files)?);
        // Other ways of merging leave fewer planes.
        assert!(!store.is_stored(&run(Merge::Replace, 1), &files)?);
        assert!(!store.is_stored(&run(Merge::Or, 1), &files)?);
        // The number of a device is nothing, another file is.
        let mut lib = files[1];
        lib.identity.dev = 9;
        assert!(store.is_stored(&AGE, &[files[0], lib])?);
        lib.identity.ino = 9;
        assert!(!store.is_stored(&AGE, &[files[0], lib])?);
        assert!(!store.is_stored(&AGE, &[files[0], files[1], seen(b"/b", &[1])])?);
        assert!(store.is_stored(&AGE, &[files[0], files[1], seen(b"/b", &[0])])?);
        Ok(())
    }

    #[test]
    fn with_age_one_page_in_128_is_no_change() -> Result {
        // 256 pages: two may differ, of all files together.
        let mut store = Store::new(2, 1)?;
        let (own, mut lib) = ([0xff; 16], [0xff; 16]);
        for _ in 0..2 {
            let _ = store.update(&AGE, &[seen(b"", &own), seen(b"/a", &lib)])?;
        }
        lib[3] = 0xfe;
        assert!(store.is_stored(&AGE, &[seen(b"", &own), seen(b"/a", &lib)])?);
        let mut more = [0xff; 17];
        more[16] = 1;
        assert!(store.is_stored(&AGE, &[seen(b"", &more), seen(b"/a", &lib)])?);
        more[16] = 3;
        assert!(!store.is_stored(&AGE, &[seen(b"", &more), seen(b"/a", &lib)])?);
        // Of 127 pages, none.
        let mut store = Store::new(2, 1)?;
        let mut own = [0xff; 16];
        own[0] = 0x7f;
        for _ in 0..2 {
            let _ = store.update(&AGE, &[seen(b"", &own)])?;
        }
        assert!(store.is_stored(&AGE, &[seen(b"", &own)])?);
        own[15] = 0x7f;
        assert!(!store.is_stored(&AGE, &[seen(b"", &own)])?);
        Ok(())
    }

    #[test]
    fn with_age_pages_that_would_be_read_for_nothing_are_a_change() -> Result {
        // Each recording has one page more than this start, of the two that may differ; all four are
        // in enough of them to be wanted.
        let mut store = Store::new(8, 1)?;
        for number in 0..8 {
            let mut own = [0xff; 33];
            own[32] = 1 << (number % 4);
            let _ = store.update(&AGE, &[seen(b"", &own)])?;
        }
        assert!(!store.is_stored(&AGE, &[seen(b"", &[0xff; 32])])?);
        Ok(())
    }

    #[test]
    fn with_age_a_change_is_written_until_nothing_else_is_remembered() -> Result {
        let mut store = Store::new(4, 1)?;
        for _ in 0..4 {
            let _ = store.update(&AGE, &[seen(b"", &[3]), seen(b"/a", &[1])])?;
        }
        // A page and a file are not needed any more.
        let files = [seen(b"", &[1])];
        for _ in 0..4 {
            assert!(!store.is_stored(&AGE, &files)?);
            let _ = store.update(&AGE, &files)?;
        }
        assert_eq!(store.words(b"")?, [1, 1, 1, 1]);
        assert!(store.is_stored(&AGE, &files)?);
        Ok(())
    }

    #[test]
    fn with_age_a_file_is_forgotten_also_if_nothing_else_changes() -> Result {
        for planes in 1..5 {
            let mut store = Store::new(planes, 1)?;
            for _ in 0..planes {
                let _ = store.update(&AGE, &[seen(b"", &[1]), seen(b"/a", &[1])])?;
            }
            let files = [seen(b"", &[1])];
            for _ in 0..planes {
                assert!(store.file(b"/a")?.is_some());
                assert!(!store.is_stored(&AGE, &files)?);
                let _ = store.update(&AGE, &files)?;
            }
            assert!(store.file(b"/a")?.is_none());
            assert!(store.is_stored(&AGE, &files)?);
        }
        Ok(())
    }

    #[test]
    fn another_mode_is_not_stored() -> Result {
        let mut store = Store::new(1, 4)?;
        let files = [seen(b"", &[1])];
        let _ = store.update(&by_name(b"vi", 1), &files)?;
        assert!(store.is_stored(&by_name(b"vi", 1), &files)?);
        assert!(!store.is_stored(&by_name(b"view", 1), &files)?);
        assert!(!store.is_stored(&run(Merge::Age, 1), &files)?);
        Ok(())
    }

    #[test]
    fn a_mode_that_is_used_is_written_once_a_day() -> Result {
        const DAY: u64 = 24 * 60 * 60;
        let mut store = Store::new(1, 4)?;
        let files = [seen(b"", &[1])];
        let _ = store.update(&by_name(b"vi", 1000), &files)?;
        // Alone, nobody asks when it was last used.
        assert!(store.is_stored(&by_name(b"vi", 1000 + DAY), &files)?);
        let _ = store.update(&by_name(b"view", 2000), &files)?;
        assert!(store.is_stored(&by_name(b"vi", 999 + DAY), &files)?);
        assert!(!store.is_stored(&by_name(b"vi", 1000 + DAY), &files)?);
        // A clock that was wrong.
        assert!(store.is_stored(&by_name(b"vi", 0), &files)?);
        Ok(())
    }

    #[test]
    fn a_default_that_is_unused_is_no_other_mode() -> Result {
        let mut slot = [0; STORE];
        let header = SlotHeader {
            max_profiles: 4,
            ..template()
        };
        let mut builder = Builder::new(&mut slot, &header, 2, 2)?;
        let _ = builder.profile(&ProfileInput {
            kind: PROFILE_BY_NAME,
            key: b"vi",
            runs: 1,
            last_used: 1,
        })?;
        let own = FileInput {
            kind: FILE_EXECUTABLE,
            page_count: PAGES,
            planes: &[&[]],
            ..FileInput::default()
        };
        let _ = builder.file(&own)?;
        let _ = builder.profile(&ProfileInput::default())?;
        let _ = builder.file(&own)?;
        let _ = builder.finish(1, 0)?;
        let mut store = Store { bytes: slot };
        let report = store.update(&by_name(b"vi", 1), &[seen(b"", &[1])])?;
        assert_eq!(report.profiles_dropped, 0);
        assert!(has_profiles(&store, &[b"vi"])?);
        Ok(())
    }
}
