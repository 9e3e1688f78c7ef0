// SPDX-License-Identifier: GPL-2.0

//! Tests of [`policy::profile`](super::super::policy::profile): which profile is used, and what
//! two of them have in common.

use super::{
    super::{
        format::{
            error::{
                Error,
                Result, //
            },
            layout::{
                PROFILE_BY_ARGUMENT,
                PROFILE_BY_NAME, //
            },
            slot::{
                Builder,
                FileIdentity,
                FileInput,
                ProfileInput,
                Slot, //
            },
            update::Key,
        },
        policy::{
            merge::Merge,
            profile::{
                choose,
                Choice, //
            },
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
        SLOT, //
    },
};

/// Whether the one profile with this key is chosen, and not another or two.
fn chooses(store: &Store, key: &Key<'_>, expected: &Key<'_>) -> Result<bool> {
    let choice = choose(&store.slot()?, key);
    Ok(matches!(choice, Some(Choice::One(profile)) if expected.is_of(&profile)))
}

/// Whether both of these names are chosen, in this order.
fn chooses_both(store: &Store, key: &Key<'_>, expected: [&[u8]; 2]) -> Result<bool> {
    let choice = choose(&store.slot()?, key);
    Ok(matches!(choice, Some(Choice::Common(one, other)) if [one.key(), other.key()] == expected))
}

/// A profile of three recordings under a name.
fn mode(key: &[u8], last_used: u64) -> ProfileInput<'_> {
    ProfileInput {
        kind: PROFILE_BY_NAME,
        key,
        runs: 3,
        last_used,
    }
}

/// A file of 16 pages with an inode number; the executable without a path.
fn file<'a>(path: &'a [u8], ino: u64, planes: &'a [&'a [u8]]) -> FileInput<'a> {
    FileInput {
        kind: u16::from(!path.is_empty()),
        path,
        identity: FileIdentity {
            ino,
            ..FileIdentity::default()
        },
        page_count: 16,
        planes,
        ..FileInput::default()
    }
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_profile))]
mod tests {
    use super::*;

    #[test]
    fn the_mode_itself_is_used() -> Result {
        let mut store = Store::new(1, 4)?;
        for name in [b"a", b"b", b"c"] {
            let _ = store.update(&by_name(name, 1), &[seen(b"", &[1])])?;
        }
        assert!(chooses(&store, &named(b"a"), &named(b"a"))?);
        assert!(chooses(&store, &named(b"b"), &named(b"b"))?);
        // A key of another kind is another key.
        let argument = Key {
            kind: PROFILE_BY_ARGUMENT,
            bytes: b"a",
        };
        assert!(!chooses(&store, &argument, &named(b"a"))?);
        Ok(())
    }

    #[test]
    fn a_new_mode_uses_the_default() -> Result {
        let mut store = Store::new(1, 4)?;
        let _ = store.update(&run(Merge::Age, 1), &[seen(b"", &[1])])?;
        for name in [b"a", b"b"] {
            let _ = store.update(&by_name(name, 1), &[seen(b"", &[1])])?;
        }
        assert!(chooses(&store, &named(b"new"), &Key::DEFAULT)?);
        assert!(chooses(&store, &named(b"b"), &named(b"b"))?);
        assert!(chooses(&store, &Key::DEFAULT, &Key::DEFAULT)?);
        Ok(())
    }

    #[test]
    fn without_a_default_the_last_two_modes_are_asked() -> Result {
        let mut store = Store::new(1, 4)?;
        let _ = store.update(&by_name(b"a", 1), &[seen(b"", &[1])])?;
        assert!(chooses(&store, &named(b"new"), &named(b"a"))?);
        let _ = store.update(&by_name(b"b", 3), &[seen(b"", &[1])])?;
        assert!(chooses_both(&store, &named(b"new"), [b"b", b"a"])?);
        let _ = store.update(&by_name(b"c", 2), &[seen(b"", &[1])])?;
        assert!(chooses_both(&store, &named(b"new"), [b"b", b"c"])?);
        assert!(chooses_both(&store, &Key::DEFAULT, [b"b", b"c"])?);
        Ok(())
    }

    #[test]
    fn what_was_never_recorded_is_used_if_there_is_nothing_else() -> Result {
        let mut store = Store::new(1, 4)?;
        assert!(chooses(&store, &named(b"a"), &Key::DEFAULT)?);
        assert!(chooses(&store, &Key::DEFAULT, &Key::DEFAULT)?);
        let mut builder = Builder::new(&mut store.bytes, &template(), 3, 0)?;
        let _ = builder.profile(&ProfileInput::default())?;
        for (key, runs) in [(b"a", 0), (b"b", 1)] {
            let _ = builder.profile(&ProfileInput {
                kind: PROFILE_BY_NAME,
                key,
                runs,
                last_used: 0,
            })?;
        }
        let _ = builder.finish(1, 0)?;
        assert!(chooses(&store, &named(b"a"), &named(b"b"))?);
        assert!(chooses(&store, &Key::DEFAULT, &named(b"b"))?);
        store.bytes[128 + 2 * 64 + 0x14] = 0;
        reseal(&mut store.bytes);
        assert!(chooses(&store, &named(b"a"), &named(b"a"))?);
        assert!(chooses(&store, &named(b"new"), &Key::DEFAULT)?);
        Ok(())
    }

    #[test]
    fn without_a_profile_nothing_is_used() -> Result {
        let mut store = Store::new(1, 4)?;
        let builder = Builder::new(&mut store.bytes, &template(), 0, 0)?;
        let _ = builder.finish(1, 0)?;
        assert!(choose(&store.slot()?, &Key::DEFAULT).is_none());
        assert!(choose(&store.slot()?, &named(b"a")).is_none());
        Ok(())
    }

    #[test]
    fn a_profile_gives_its_files_in_order() -> Result {
        let mut store = Store::new(4, 4)?;
        let files = [seen(b"", &[1]), seen(b"/b", &[2]), seen(b"/a", &[4])];
        for pages in [&[0xf0], &[2], &[2]] {
            let files = [files[0], seen(b"/b", pages), files[2]];
            let _ = store.update(&run(Merge::Age, 1), &files)?;
        }
        let slot = store.slot()?;
        let choice = choose(&slot, &Key::DEFAULT).ok_or(Error::BadRecord)?;
        assert_eq!(choice.profile().record.runs, 3);
        let mut files = choice.files(&slot);
        for (path, word) in [(&b""[..], 1), (b"/b", 2), (b"/a", 4)] {
            let (file, wanted) = files.next().ok_or(Error::BadRecord)?;
            assert_eq!(file.path(), path);
            assert_eq!(wanted.word(0), word);
        }
        assert!(files.next().is_none());
        Ok(())
    }

    #[test]
    fn two_profiles_give_what_they_have_in_common() -> Result {
        let mut slot = [0; 2048];
        let mut builder = Builder::new(&mut slot, &template(), 2, 10)?;
        let _ = builder.profile(&mode(b"b", 2))?;
        let _ = builder.file(&file(b"", 0, &[&[0b0110]]))?;
        let _ = builder.file(&file(b"/one", 1, &[&[0b011]]))?;
        let _ = builder.file(&file(b"/changed", 1, &[&[7]]))?;
        let _ = builder.file(&file(b"/only-b", 1, &[&[1]]))?;
        let _ = builder.file(&file(b"/two", 1, &[&[0b01, 1]]))?;
        let _ = builder.profile(&mode(b"a", 1))?;
        let _ = builder.file(&file(b"/only-a", 1, &[&[1]]))?;
        let _ = builder.file(&file(b"", 0, &[&[0b0011]]))?;
        let _ = builder.file(&file(b"/two", 1, &[&[0b11]]))?;
        let _ = builder.file(&file(b"/changed", 2, &[&[7]]))?;
        let _ = builder.file(&file(b"/one", 1, &[&[0b110]]))?;
        let _ = builder.finish(1, 0)?;

        let slot = Slot::parse(&slot, &IDENTITY)?;
        let choice = choose(&slot, &named(b"new")).ok_or(Error::BadRecord)?;
        assert_eq!(choice.profile().key(), b"b");
        let mut files = choice.files(&slot);
        for (path, word) in [(&b""[..], 0b0010), (b"/one", 0b010), (b"/two", 0b01)] {
            let (file, wanted) = files.next().ok_or(Error::BadRecord)?;
            assert_eq!(file.path(), path);
            assert_eq!(wanted.word(0), word);
            assert_eq!(wanted.count(), 1);
        }
        assert!(files.next().is_none());
        Ok(())
    }

    #[test]
    fn what_is_in_common_is_what_both_want() -> Result {
        let mut slot = [0; SLOT * 2];
        let mut builder = Builder::new(&mut slot, &template(), 2, 2)?;
        let planes: [&[u8]; 3] = [&[0b0011], &[0b0101], &[0b1001]];
        let _ = builder.profile(&mode(b"b", 2))?;
        let _ = builder.file(&file(b"", 0, &planes))?;
        let _ = builder.profile(&ProfileInput {
            runs: 2,
            ..mode(b"a", 1)
        })?;
        let _ = builder.file(&FileInput {
            page_count: 3,
            ..file(b"", 0, &planes)
        })?;
        let _ = builder.finish(1, 0)?;
        let slot = Slot::parse(&slot, &IDENTITY)?;
        // The one wants what is in two of three planes, the other all of two.
        let choice = choose(&slot, &named(b"new")).ok_or(Error::BadRecord)?;
        let (_, wanted) = choice.files(&slot).next().ok_or(Error::BadRecord)?;
        assert_eq!(wanted.len(), 3);
        assert_eq!(wanted.word(0), 0b001);
        Ok(())
    }
}
