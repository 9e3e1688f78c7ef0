// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::slot`](super::super::format::slot): reading, and what is refused.

use super::{
    super::format::{
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
            choose,
            order,
            BuildId,
            Builder,
            FileInput,
            Identity,
            ProfileInput,
            Slot,
            SlotHeader, //
        },
        MAX_SLOT, //
    },
    sample::{
        fill,
        reseal,
        template,
        IDENTITY,
        LAYOUT,
        PAGES,
        SECTION,
        SLOT, //
    },
};

/// Offsets of the records in a sample slot.
const PROFILE: usize = 128;
const RECORD: usize = 192;

/// What the reader says to the first sample slot after a change to its bytes, the checksum made
/// right again.
fn refused(offset: usize, bytes: &[u8]) -> Option<Error> {
    let mut section = [0; SECTION];
    fill(&mut section, [1, 0]).ok()?;
    let slot = &mut section[..SLOT];
    slot[offset..offset + bytes.len()].copy_from_slice(bytes);
    reseal(slot);
    Slot::parse(slot, &IDENTITY).err()
}

/// Whether the executable is found in the first sample slot after a change to its file record.
fn has_executable(offset: usize, bytes: &[u8]) -> Result<bool> {
    let mut section = [0; SECTION];
    fill(&mut section, [1, 0])?;
    let slot = &mut section[..SLOT];
    let start = RECORD + offset;
    slot[start..start + bytes.len()].copy_from_slice(bytes);
    reseal(slot);
    let slot = Slot::parse(slot, &IDENTITY)?;
    let profile = slot.default_profile().ok_or(Error::BadRecord)?;
    let found = slot.executable(&profile).is_some();
    // What a reader skips is either unknown or noticed by the check.
    let unknown = offset == 0 || offset == 4;
    Ok(if found || unknown {
        found
    } else {
        slot.verify().is_ok()
    })
}

/// The index of the slot in force.
fn chosen(section: &[u8]) -> Result<usize> {
    choose(section, &IDENTITY).map(|(index, _)| index)
}

/// The index of the slot in force of a section with these generations.
fn chosen_of(generations: [u64; 2]) -> Result<usize> {
    let mut section = [0; SECTION];
    fill(&mut section, generations)?;
    chosen(&section)
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_slot))]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_back() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [7, 0])?;
        let slot = Slot::parse(&section[..SLOT], &IDENTITY)?;
        assert_eq!(slot.header().generation, 7);
        assert_eq!(slot.header().slot_size, 384);
        assert_eq!(slot.header().elf_size, u64::from(PAGES) * 4096);
        assert_eq!(slot.header().build_id().as_bytes(), b"0123456789abcdefghij");
        assert_eq!(slot.bytes().len(), 128 + 64 + 128 + 40);
        assert_eq!(slot.profiles().count(), 1);
        assert_eq!(slot.verify(), Ok(()));
        let profile = slot.default_profile().ok_or(Error::BadRecord)?;
        assert_eq!(profile.key(), b"");
        let file = slot.executable(&profile).ok_or(Error::BadRecord)?;
        assert!(!file.is_truncated());
        assert_eq!(file.path(), b"");
        assert_eq!(file.build_id(), BuildId::default());
        let plane = file.plane(0).ok_or(Error::BadRecord)?;
        assert_eq!(plane.len(), 300);
        assert_eq!(plane.count(), 2);
        assert!(plane.get(0));
        assert!(plane.get(299));
        assert!(file.plane(1).is_none());
        Ok(())
    }

    #[test]
    fn the_used_part_is_enough() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 0])?;
        assert!(Slot::parse(&section[..360], &IDENTITY).is_ok());
        let short = Slot::parse(&section[..359], &IDENTITY).err();
        assert_eq!(short, Some(Error::Truncated));
        let short = Slot::parse(&section[..127], &IDENTITY).err();
        assert_eq!(short, Some(Error::Truncated));
        assert_eq!(Slot::parse(&[], &IDENTITY).err(), Some(Error::BadMagic));
        Ok(())
    }

    #[test]
    fn the_higher_generation_is_in_force() -> Result {
        assert_eq!(chosen_of([1, 0]), Ok(0));
        assert_eq!(chosen_of([0, 1]), Ok(1));
        assert_eq!(chosen_of([1, 2]), Ok(1));
        assert_eq!(chosen_of([3, 2]), Ok(0));
        assert_eq!(chosen_of([u64::MAX, 2]), Ok(0));
        assert_eq!(chosen_of([5, 5]), Ok(0));
        Ok(())
    }

    #[test]
    fn the_chosen_slot_is_the_one_that_is_read() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 2])?;
        let (_, slot) = choose(&section, &IDENTITY)?;
        let profile = slot.default_profile().ok_or(Error::BadRecord)?;
        let plane = slot.executable(&profile).and_then(|file| file.plane(0));
        let plane = plane.ok_or(Error::BadRecord)?;
        assert!(!plane.get(0));
        assert!(plane.get(1));
        Ok(())
    }

    #[test]
    fn a_torn_write_leaves_the_older_slot() -> Result {
        for at in [SLOT, SLOT + 0x18, SLOT + 0x28, SLOT + 300, SLOT + 359] {
            let mut section = [0; SECTION];
            fill(&mut section, [1, 2])?;
            section[at] ^= 0x10;
            // A generation that turns out lower, or any other damage: slot 0 it is.
            assert_eq!(chosen(&section), Ok(0));
        }
        // What is not in use does not matter.
        let mut section = [0; SECTION];
        fill(&mut section, [1, 2])?;
        section[SLOT + 360] ^= 0x10;
        assert_eq!(chosen(&section), Ok(1));
        Ok(())
    }

    #[test]
    fn with_both_slots_torn_there_is_none() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 2])?;
        section[300] ^= 1;
        section[SLOT + 300] ^= 1;
        assert_eq!(chosen(&section), Err(Error::BadCrc));
        Ok(())
    }

    #[test]
    fn every_damaged_byte_is_noticed() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 0])?;
        let mut noticed = 0;
        for at in 0..360 {
            section[at] ^= 0x81;
            noticed += u32::from(Slot::parse(&section[..SLOT], &IDENTITY).is_err());
            section[at] ^= 0x81;
        }
        assert_eq!(noticed, 360);
        Ok(())
    }

    #[test]
    fn an_empty_section_has_no_bitmap() {
        assert_eq!(chosen(&[0; SECTION]), Err(Error::BadMagic));
        assert_eq!(chosen(&[0; 2]), Err(Error::BadMagic));
        assert_eq!(chosen(&[]), Err(Error::BadMagic));
    }

    #[test]
    fn a_section_has_two_slots_of_the_same_size() -> Result {
        let mut bytes = [0; SECTION];
        fill(&mut bytes, [1, 2])?;
        assert_eq!(chosen(&bytes[..SECTION - 1]), Err(Error::BadSlotSize));
        assert_eq!(chosen(&bytes[..SLOT]), Err(Error::BadSlotSize));
        assert_eq!(chosen(&bytes[..SECTION - 16]), Err(Error::BadSlotSize));
        let mut longer = [0; SECTION + 1];
        longer[..SECTION].copy_from_slice(&bytes);
        assert_eq!(chosen(&longer), Err(Error::BadSlotSize));
        Ok(())
    }

    #[test]
    fn a_slot_of_another_file_is_stale() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 2])?;
        let other = Identity::new(LAYOUT + 1);
        let stale = choose(&section, &other).err();
        assert_eq!(stale, Some(Error::Stale));
        let other = Identity {
            page_size: 65536,
            ..IDENTITY
        };
        let stale = choose(&section, &other).err();
        assert_eq!(stale, Some(Error::BadPageSize));
        Ok(())
    }

    #[test]
    fn a_stale_slot_does_not_hide_a_good_one() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 2])?;
        section[SLOT + 0x2c] ^= 1;
        reseal(&mut section[SLOT..]);
        assert_eq!(chosen(&section), Ok(0));
        Ok(())
    }

    #[test]
    fn the_headers_alone_give_the_order() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 2])?;
        let headers = [&section[..128], &section[SLOT..SLOT + 128]];
        let both = order(headers, SLOT, &IDENTITY)?;
        assert_eq!(both.newest.0, 1);
        assert_eq!(both.older.map(|(index, _)| index), Some(0));
        let one = order([&[0; 128], headers[1]], SLOT, &IDENTITY)?;
        assert_eq!(one.newest.0, 1);
        assert!(one.older.is_none());
        let none = order(headers, SLOT + 8, &IDENTITY).err();
        assert_eq!(none, Some(Error::BadSlotSize));
        let none = order([&[], &[]], SLOT, &IDENTITY).err();
        assert_eq!(none, Some(Error::BadMagic));
        Ok(())
    }

    #[test]
    fn the_header_is_checked() {
        let bad = Some(Error::BadHeader);
        assert_eq!(refused(0, b"X"), Some(Error::BadMagic));
        assert_eq!(refused(0x08, &[2, 0]), Some(Error::BadVersion));
        assert_eq!(refused(0x08, &[0, 0]), Some(Error::BadVersion));
        assert_eq!(refused(0x0a, &[64, 0]), bad);
        assert_eq!(refused(0x0c, &[0, 0, 1, 0]), Some(Error::BadPageSize));
        assert_eq!(refused(0x18, &[0; 8]), bad);
        assert_eq!(refused(0x44, &[21]), bad);
    }

    #[test]
    fn unknown_features_by_their_kind() {
        // A reader may ignore what is in COMPAT, and must not what is in INCOMPAT.
        assert_eq!(refused(0x10, &[0xff; 4]), None);
        assert_eq!(refused(0x14, &[1]), Some(Error::Incompatible));
        assert_eq!(refused(0x17, &[0x80]), Some(Error::Incompatible));
    }

    #[test]
    fn reserved_bytes_are_not_looked_at() {
        assert_eq!(refused(0x45, &[0xff; 3]), None);
        assert_eq!(refused(0x56, &[0xff; 2]), None);
        assert_eq!(refused(0x68, &[0xff; 24]), None);
        assert_eq!(refused(PROFILE + 0x20, &[0xff; 32]), None);
        assert_eq!(refused(RECORD + 0x64, &[0xff; 28]), None);
    }

    #[test]
    fn sizes_are_checked() {
        let bad = Some(Error::BadHeader);
        // slot_size: too large, not a multiple of 8, less than what is used.
        assert_eq!(refused(0x20, &(MAX_SLOT as u32 + 8).to_le_bytes()), bad);
        assert_eq!(refused(0x20, &u32::MAX.to_le_bytes()), bad);
        assert_eq!(refused(0x20, &383u32.to_le_bytes()), bad);
        assert_eq!(refused(0x20, &352u32.to_le_bytes()), bad);
        // used_bytes: less than the header, more than the slot, not a multiple of 8.
        assert_eq!(refused(0x24, &120u32.to_le_bytes()), bad);
        assert_eq!(refused(0x24, &0u32.to_le_bytes()), bad);
        assert_eq!(refused(0x24, &392u32.to_le_bytes()), bad);
        assert_eq!(refused(0x24, &359u32.to_le_bytes()), bad);
        assert_eq!(refused(0x24, &u32::MAX.to_le_bytes()), bad);
    }

    #[test]
    fn tables_are_inside_and_apart() {
        let bad = Some(Error::BadHeader);
        for offset in [0u32, 120, 132, 304, 512, u32::MAX, u32::MAX - 7] {
            assert_eq!(refused(0x50, &offset.to_le_bytes()), bad);
        }
        // 176 and 128: the file record would share bytes with the profile.
        for offset in [0u32, 120, 128, 176, 196, 240, 512, u32::MAX] {
            assert_eq!(refused(0x58, &offset.to_le_bytes()), bad);
        }
        assert_eq!(refused(0x54, &65u16.to_le_bytes()), bad);
        assert_eq!(refused(0x54, &4u16.to_le_bytes()), bad);
        assert_eq!(refused(0x5c, &3u32.to_le_bytes()), bad);
        assert_eq!(refused(0x5c, &1025u32.to_le_bytes()), bad);
        assert_eq!(refused(0x5c, &u32::MAX.to_le_bytes()), bad);
    }

    #[test]
    fn more_files_than_there_are_is_refused() {
        let bad = Some(Error::BadRecord);
        assert_eq!(refused(PROFILE + 0x10, &2u32.to_le_bytes()), bad);
        assert_eq!(refused(PROFILE + 0x10, &u32::MAX.to_le_bytes()), bad);
        assert_eq!(refused(0x5c, &0u32.to_le_bytes()), bad);
    }

    #[test]
    fn more_data_than_there_is_is_refused() {
        let bad = Some(Error::BadRecord);
        assert_eq!(refused(RECORD + 0x06, &2u16.to_le_bytes()), bad);
        assert_eq!(refused(RECORD + 0x06, &u16::MAX.to_le_bytes()), bad);
        assert_eq!(refused(RECORD + 0x1c, &48u32.to_le_bytes()), bad);
        assert_eq!(refused(RECORD + 0x1c, &u32::MAX.to_le_bytes()), bad);
        assert_eq!(refused(RECORD + 0x0c, &1u32.to_le_bytes()), bad);
        assert_eq!(refused(RECORD + 0x0c, &u32::MAX.to_le_bytes()), bad);
    }

    #[test]
    fn a_record_that_leads_outside_is_skipped() -> Result {
        for offset in [0u32, 128, 192, 312, 324, 328, 360, 512, u32::MAX - 7] {
            assert_eq!(has_executable(0x20, &offset.to_le_bytes()), Ok(false));
        }
        assert_eq!(has_executable(0x20, &320u32.to_le_bytes()), Ok(true));
        // One word, which could be anywhere in the data, but not off its alignment.
        let mut word = [1, 0, 0, 0, 8, 0, 0, 0, 0x48, 1, 0, 0];
        assert_eq!(has_executable(0x18, &word), Ok(true));
        word[8] = 0x44;
        assert_eq!(has_executable(0x18, &word), Ok(false));
        Ok(())
    }

    #[test]
    fn a_record_that_contradicts_itself_is_skipped() -> Result {
        // More pages than the plane has bits, an odd stride, and an executable whose pages do not
        // start at 0.
        assert_eq!(has_executable(0x18, &321u32.to_le_bytes()), Ok(false));
        assert_eq!(has_executable(0x18, &u32::MAX.to_le_bytes()), Ok(false));
        assert_eq!(has_executable(0x1c, &39u32.to_le_bytes()), Ok(false));
        assert_eq!(has_executable(0x10, &1u64.to_le_bytes()), Ok(false));
        assert_eq!(has_executable(0x10, &u64::MAX.to_le_bytes()), Ok(false));
        assert_eq!(has_executable(0x4c, &21u32.to_le_bytes()), Ok(false));
        // More planes than there can be, although they take no room.
        let mut planes = [0; 26];
        planes[0] = 8;
        assert_eq!(has_executable(0x06, &planes), Ok(true));
        planes[0] = 9;
        assert_eq!(has_executable(0x06, &planes), Ok(false));
        Ok(())
    }

    #[test]
    fn unknown_kinds_and_encodings_are_skipped_alone() -> Result {
        assert_eq!(has_executable(0x00, &2u16.to_le_bytes()), Ok(false));
        assert_eq!(has_executable(0x04, &1u16.to_le_bytes()), Ok(false));
        // Unknown flags are ignored.
        assert_eq!(has_executable(0x02, &0xfffeu16.to_le_bytes()), Ok(true));

        let mut section = [0; SECTION];
        fill(&mut section, [1, 0])?;
        section[PROFILE] = 4;
        reseal(&mut section[..SLOT]);
        let slot = Slot::parse(&section[..SLOT], &IDENTITY)?;
        assert_eq!(slot.profiles().count(), 0);
        assert_eq!(slot.verify(), Ok(()));
        Ok(())
    }

    #[test]
    fn files_past_the_table_are_not_there() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 0])?;
        section[PROFILE + 0x0c] = 1;
        reseal(&mut section[..SLOT]);
        let slot = Slot::parse(&section[..SLOT], &IDENTITY)?;
        let profile = slot.default_profile().ok_or(Error::BadRecord)?;
        assert!(slot.executable(&profile).is_none());
        assert_eq!(slot.verify(), Err(Error::BadRecord));
        Ok(())
    }

    #[test]
    fn a_key_outside_hides_its_profile() -> Result {
        let mut section = [0; SECTION];
        fill(&mut section, [1, 0])?;
        section[PROFILE + 4] = 8;
        section[PROFILE + 8..PROFILE + 12].copy_from_slice(&356u32.to_le_bytes());
        reseal(&mut section[..SLOT]);
        let slot = Slot::parse(&section[..SLOT], &IDENTITY)?;
        assert_eq!(slot.profiles().count(), 0);
        assert_eq!(slot.verify(), Err(Error::BadRecord));
        Ok(())
    }

    #[test]
    fn a_build_id_keeps_twenty_bytes() {
        assert_eq!(BuildId::new(b"").as_bytes(), b"");
        assert_eq!(BuildId::new(b"abc").as_bytes(), b"abc");
        assert_eq!(BuildId::new(&[7; 32]).as_bytes(), &[7; 20]);
        let header = SlotHeader::template(1, &[7; 32], 4096);
        assert_eq!(header.build_id_len, 20);
    }

    #[test]
    fn profiles_come_by_the_time_of_their_last_use() -> Result {
        let mut slot = [0; 768];
        let mut builder = Builder::new(&mut slot, &template(), 6, 0)?;
        for (key, last_used) in [
            (b"a", 5),
            (b"b", u64::MAX),
            (b"c", 0),
            (b"d", 5),
            (b"e", 9),
            (b"f", 0),
        ] {
            let _ = builder.profile(&ProfileInput {
                kind: PROFILE_BY_NAME,
                key,
                runs: 1,
                last_used,
            })?;
        }
        let _ = builder.finish(1, 0)?;
        let slot = Slot::parse(&slot, &IDENTITY)?;
        let mut profiles = slot.profiles_by_use();
        for key in [b"b", b"e", b"a", b"d", b"c", b"f"] {
            assert_eq!(profiles.next().map(|profile| profile.key()), Some(&key[..]));
        }
        assert!(profiles.next().is_none());
        Ok(())
    }

    #[test]
    fn a_file_is_found_wherever_the_search_begins() -> Result {
        let mut slot = [0; 1024];
        let mut builder = Builder::new(&mut slot, &template(), 3, 4)?;
        let file = |builder: &mut Builder<'_>, path| {
            builder.file(&FileInput {
                kind: FILE_BY_PATH,
                path,
                ..FileInput::default()
            })
        };
        for paths in [&[b"/x"][..], &[b"/a", b"/b"], &[b"/x"]] {
            let _ = builder.profile(&ProfileInput::default())?;
            for path in paths {
                let _ = file(&mut builder, path.as_slice())?;
            }
        }
        let _ = builder.finish(1, 0)?;
        let slot = Slot::parse(&slot, &IDENTITY)?;
        let profile = slot.profiles().nth(1).ok_or(Error::BadRecord)?;
        for hint in [0, 1, 2, 3, 4, usize::MAX] {
            let find = |kind, path: &[u8]| {
                let found = slot.find(&profile, kind, path, hint);
                found.map(|file| file.index)
            };
            assert_eq!(find(FILE_BY_PATH, b"/a"), Some(1));
            assert_eq!(find(FILE_BY_PATH, b"/b"), Some(2));
            assert_eq!(find(FILE_BY_PATH, b"/x"), None);
            assert_eq!(find(FILE_BY_PATH, b""), None);
            assert_eq!(find(FILE_EXECUTABLE, b""), None);
        }
        Ok(())
    }
}
