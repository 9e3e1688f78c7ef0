// SPDX-License-Identifier: GPL-2.0

//! Sections and the slots in them, as they are read.

use std::collections::BTreeSet;

use super::{bytes::Bytes, model, plan::bitmap, plan::compare_plan, update::updates, MERGES};
use pbitmap_core::{
    format::bitmap::Bitmap,
    format::crc32c::crc32c,
    format::layout::PROFILE_DEFAULT,
    format::metadata,
    format::slot::{choose, order, Identity, Slot, SlotHeader},
    format::update::Key,
    format::PAGE_SIZE,
    policy::merge::Wanted,
    policy::plan::Limits,
    policy::profile,
    policy::profile::Choice,
};

/// `bytes` are flags and a section. With the lowest flag set, the checksums are made right first,
/// which no fuzzer would manage.
pub(crate) fn section(bytes: &[u8]) {
    let Some((flags, section)) = bytes.split_first() else {
        return;
    };
    let mut section = section.to_vec();
    let slot_size = section.len() / 2;
    if flags & 1 != 0 && slot_size != 0 {
        for slot in section.chunks_exact_mut(slot_size).take(2) {
            seal(slot);
        }
    }
    let (first, second) = section.split_at(slot_size);
    let identity = [first, second]
        .into_iter()
        .find_map(|slot| SlotHeader::parse(slot).ok())
        .map_or(Identity::new(0), |header| Identity::new(header.layout_crc));

    let parsed = [first, second].map(|slot| Slot::parse(slot, &identity));
    for slot in parsed.iter().flatten() {
        walk(slot);
        choices(slot);
        // One of them each time, so that replaying takes no minutes.
        let merge = MERGES[crc32c(&section) as usize % MERGES.len()];
        updates(slot, merge, &mut Bytes(second));
    }
    match choose(&section, &identity) {
        Ok((index, slot)) => {
            assert_eq!(section.len() % 2, 0);
            assert_eq!(slot.header().slot_size as usize, slot_size);
            let order = order([first, second], slot_size, &identity).unwrap();
            assert!(order.newest.0 == index || order.older.unwrap().0 == index);
            for (other, parsed) in parsed.iter().enumerate() {
                let Ok(parsed) = parsed else { continue };
                if parsed.header().slot_size as usize == slot_size && other != index {
                    assert!(parsed.header().generation <= slot.header().generation);
                }
            }
        }
        Err(_) => {
            for slot in parsed.iter().flatten() {
                let fits = slot.header().slot_size as usize == slot_size;
                assert!(!fits || section.len() % 2 != 0);
            }
        }
    }
}

/// Makes the checksum of a slot right, if its header says what it covers.
pub(super) fn seal(slot: &mut [u8]) {
    let Some(mut header) = SlotHeader::decode(slot) else {
        return;
    };
    let Some(used) = slot.get_mut(..header.used_bytes as usize) else {
        return;
    };
    header.crc32c = 0;
    if header.encode(used).is_some() {
        header.crc32c = crc32c(used);
        header.encode(used);
    }
}

/// Looks at everything in a slot, and makes sure that this is no more than the slot has.
pub(super) fn walk(slot: &Slot<'_>) {
    let (mut files, mut data) = (0, 0);
    for profile in slot.profiles() {
        assert!(profile.key().len() <= 4095);
        for file in slot.files(&profile) {
            files += 1;
            data += file.path().len();
            assert!(file.path().len() <= 4095);
            if let Some(part) = metadata::part_of(file.path()) {
                let name = metadata::Name::of(part).expect("a part has a name");
                assert_eq!(name.as_bytes(), file.path());
            }
            let _ = (file.build_id(), file.is_truncated());
            for index in 0..usize::from(file.record.plane_count) {
                let plane = file.plane(index).unwrap();
                data += plane.bytes().len();
                bitmap(&plane);
                let limits = Limits {
                    gap_pages: file.record.generation % 64,
                    max_pages: file.record.mtime_nsec % 4096,
                    file_pages: file.record.size / u64::from(PAGE_SIZE),
                };
                compare_plan(plane, file.record.first_page, limits);
            }
            assert!(file.plane(usize::from(file.record.plane_count)).is_none());
        }
    }
    assert!(files <= slot.header().file_count as usize);
    assert!(data <= slot.bytes().len());
}

/// Chooses among the profiles of a slot, and looks at what is chosen.
pub(super) fn choices(slot: &Slot<'_>) {
    let all = model::read(slot);
    let mut keys: Vec<_> = all
        .iter()
        .map(|profile| Key {
            kind: profile.record.kind,
            bytes: &profile.key,
        })
        .collect();
    keys.push(Key::DEFAULT);
    keys.push(Key {
        kind: 1,
        bytes: b"in no slot",
    });
    for key in keys {
        let Some(choice) = profile::choose(slot, &key) else {
            assert!(all
                .iter()
                .all(|profile| profile.record.kind != PROFILE_DEFAULT));
            assert!(all.iter().all(|profile| profile.record.runs == 0));
            continue;
        };
        let first = choice.profile();
        let recorded = |kind: u16, bytes: &[u8]| {
            all.iter().any(|profile| {
                let record = &profile.record;
                record.runs != 0 && record.kind == kind && (kind == 0 || profile.key == bytes)
            })
        };
        if recorded(key.kind, key.bytes) {
            assert!(key.is_of(first) && matches!(choice, Choice::One(_)));
        } else if recorded(PROFILE_DEFAULT, b"") {
            assert!(Key::DEFAULT.is_of(first) && matches!(choice, Choice::One(_)));
        } else if let Choice::Common(first, second) = &choice {
            assert!(first.index != second.index);
            assert!(first.record.runs != 0 && second.record.runs != 0);
            assert!(first.record.last_used >= second.record.last_used);
            let later = |profile: &&model::ProfileModel| {
                profile.record.runs != 0 && profile.record.last_used > second.record.last_used
            };
            assert!(all.iter().filter(later).count() <= 1);
        }
        for (file, wanted) in choice.files(slot) {
            let pages: BTreeSet<u64> = (0..wanted.len() as u64)
                .filter(|page| (wanted.word(*page as usize / 64) >> (page % 64)) & 1 != 0)
                .collect();
            assert_eq!(wanted.count(), pages.len());
            let file = &all.iter().flat_map(|profile| &profile.files).find(|other| {
                other.path == file.path()
                    && other.planes.len() == usize::from(file.record.plane_count)
                    && model::wanted(other, first.record.runs).is_superset(&pages)
            });
            assert!(file.is_some());
            let mut bytes = vec![0xee; wanted.len().div_ceil(8)];
            wanted.write(&mut bytes);
            let written = Bitmap::new(&bytes, usize::MAX);
            assert_eq!(written.count(), pages.len());
        }
    }
    for (profile, expected) in slot.profiles().zip(&all) {
        for (file, expected) in slot.files(&profile).zip(&expected.files) {
            let wanted = Wanted::new(&file, profile.record.runs);
            let expected = model::wanted(expected, profile.record.runs);
            assert_eq!(wanted.count(), expected.len());
            for page in expected {
                assert!((wanted.word(page as usize / 64) >> (page % 64)) & 1 != 0);
            }
        }
    }
}
