// SPDX-License-Identifier: GPL-2.0

//! Slots packed into little room, and copied.

use super::{model, section::choices, section::seal, section::walk};
use pbitmap_core::{
    format::copy::Copy,
    format::crc32c::crc32c,
    format::error::Error,
    format::layout::{
        FileRecord, ProfileRecord, FILE_DATA, FILE_EXECUTABLE, FILE_READ, FILE_TURNS,
    },
    format::packed::{pack, Loss, Packed, MAX_PACKED, MIN_PACKED},
    format::slot::{file_bytes, profile_bytes, File, FileIdentity, Identity, Slot, SlotHeader},
    format::MAX_SLOT,
};

/// `bytes` are flags, a number, and a packed slot, or an ordinary one if flag 1 is set. With flag 0
/// set, the checksum is made right first.
pub(crate) fn packed(bytes: &[u8]) {
    let Some(([flags, room], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let room = MIN_PACKED + usize::from(*room) * 16;
    let mut bytes = bytes.to_vec();
    if flags & 2 != 0 {
        if flags & 1 != 0 {
            seal(&mut bytes);
        }
        if let Ok(slot) = parse_any(&bytes) {
            packs(&slot, room);
            copies(&slot);
        }
        return;
    }
    if let Some((head, stream)) = bytes.split_at_mut_checked(8).filter(|_| flags & 1 != 0) {
        head.copy_from_slice(b"PBM1\0\0\0\0");
        head[4..].copy_from_slice(&crc32c(stream).to_le_bytes());
    }
    let Ok(packed) = Packed::parse(&bytes) else {
        return;
    };
    assert!((SlotHeader::SIZE..=MAX_SLOT).contains(&packed.slot_size));
    assert!((MIN_PACKED..=MAX_PACKED).contains(&packed.room));
    let mut slot = vec![0xee; packed.slot_size];
    let Ok(used) = packed.unpack(&mut slot) else {
        return;
    };
    assert!(slot[used..].iter().all(|byte| *byte == 0));
    // What was accepted is a slot like any other.
    let slot = parse_any(&slot).unwrap();
    assert_eq!(slot.verify(), Ok(()));
    assert_eq!(slot.bytes().len(), used);
    walk(&slot);
    choices(&slot);
    packs(&slot, room);
}

/// The slot in `bytes`, whatever it was made for.
fn parse_any(bytes: &[u8]) -> Result<Slot<'_>, Error> {
    let header = SlotHeader::parse(bytes)?;
    let identity = Identity {
        layout_crc: header.layout_crc,
        page_size: header.page_size,
    };
    Slot::parse(bytes, &identity)
}

/// Packs a slot, with all the room there can be and with little, and compares what comes back.
fn packs(slot: &Slot<'_>, room: usize) {
    for room in [MAX_PACKED, room] {
        let mut buffer = vec![0xee; MAX_PACKED];
        let (len, loss) = match pack(slot, room, &mut buffer) {
            Ok(packed) => packed,
            Err(error) => {
                assert_eq!(error, Error::NoRoom);
                continue;
            }
        };
        assert!(len <= room);
        let packed = Packed::parse(&buffer[..len]).unwrap();
        assert_eq!(packed.room, room);
        assert_eq!(packed.slot_size, slot.header().slot_size as usize);
        let mut bytes = vec![0xee; packed.slot_size];
        let Ok(used) = packed.unpack(&mut bytes) else {
            // In a slot that this code has not written, keys can lie over one another.
            assert!(needed(slot) > packed.slot_size);
            continue;
        };
        let again = parse_any(&bytes).unwrap();
        assert_eq!(again.verify(), Ok(()));
        let expected = SlotHeader {
            used_bytes: used as u32,
            crc32c: again.header().crc32c,
            ..*again.header()
        };
        let (old, new) = (slot.header(), again.header());
        assert_eq!(*new, expected);
        assert_eq!(
            (
                new.layout_crc,
                new.page_size,
                new.elf_size,
                new.feature_compat
            ),
            (
                old.layout_crc,
                old.page_size,
                old.elf_size,
                old.feature_compat
            )
        );
        assert_eq!(
            (
                new.generation,
                new.updated,
                new.profile_by,
                new.max_profiles,
                new.planes
            ),
            (
                old.generation,
                old.updated,
                old.profile_by,
                old.max_profiles,
                old.planes
            )
        );
        assert_eq!(new.build_id().as_bytes(), old.build_id().as_bytes());
        compare_packed(&by_use(slot), &by_use(&again), loss);
    }
}

/// Copies a slot, all of it and parts, and compares with what it was.
fn copies(slot: &Slot<'_>) {
    let wanted = |path: &[u8]| path.last().is_none_or(|last| last % 4 != 0);
    for (max_profiles, planes, all) in [(64, 8, true), (1, 8, true), (64, 1, false)] {
        let template = SlotHeader {
            max_profiles,
            planes,
            elf_size: 12 * 4096 + 1,
            ..*slot.header()
        };
        let copy = Copy {
            old: slot,
            template: &template,
            identify: |file: &File<'_>| {
                (all || wanted(file.path())).then(|| FileIdentity {
                    ino: 0,
                    size: 7,
                    ..file.identity()
                })
            },
        };
        let bytes = copy.bytes();
        if bytes > MAX_SLOT {
            continue;
        }
        let mut out = vec![0xee; bytes];
        assert_eq!(copy.write(&mut out, 5, 6), Ok(bytes));
        let again = parse_any(&out).unwrap();
        assert_eq!(again.verify(), Ok(()));
        assert_eq!((again.header().generation, again.header().updated), (5, 6));

        let mut expected = by_use(slot);
        expected.truncate(max_profiles.into());
        for profile in &mut expected {
            profile
                .files
                .retain(|file| file.record.kind == FILE_EXECUTABLE || all || wanted(&file.path));
            profile.record.file_count = profile.files.len() as u32;
            for file in &mut profile.files {
                file.planes.truncate(planes.into());
                let own = file.record.kind == FILE_EXECUTABLE;
                let old = file.record;
                file.record = FileRecord {
                    kind: old.kind,
                    flags: old.flags,
                    plane_count: file.planes.len() as u16,
                    first_page: old.first_page,
                    page_count: if own { 13 } else { old.page_count },
                    data_page: old.data_page,
                    turns: old.turns,
                    ..FileRecord::default()
                };
                if own {
                    for plane in &mut file.planes {
                        plane.retain(|page| *page < 13);
                    }
                } else {
                    file.record = FileRecord {
                        generation: old.generation,
                        dev: old.dev,
                        size: 7,
                        mtime_sec: old.mtime_sec,
                        mtime_nsec: old.mtime_nsec,
                        build_id: old.build_id,
                        build_id_len: old.build_id_len,
                        ..file.record
                    };
                }
            }
        }
        assert_eq!(by_use(&again), expected);
        let files: usize = expected.iter().map(|profile| profile.files.len()).sum();
        assert_eq!(copy.file_count(), files);
        if bytes - 8 >= SlotHeader::SIZE {
            let error = copy.write(&mut out[8..], 5, 6).unwrap_err();
            assert_eq!(error, Error::NoRoom);
        }
    }
}

/// Bytes of a slot that this code would write.
fn needed(slot: &Slot<'_>) -> usize {
    let mut sum = SlotHeader::SIZE;
    for profile in slot.profiles() {
        sum += profile_bytes(profile.key().len());
        for file in slot.files(&profile) {
            let planes = usize::from(file.record.plane_count);
            sum += file_bytes(file.path().len(), file.record.page_count, planes);
        }
    }
    sum
}

/// What is in a slot, the profile that was used last first, without what nobody has defined.
fn by_use(slot: &Slot<'_>) -> Vec<model::ProfileModel> {
    let mut profiles = model::read(slot);
    profiles.sort_by_key(|profile| std::cmp::Reverse(profile.record.last_used));
    for profile in &mut profiles {
        profile.record = ProfileRecord {
            flags: 0,
            file_count: profile.files.len() as u32,
            reserved: [0; 24],
            ..profile.record
        };
        for file in &mut profile.files {
            let record = &mut file.record;
            record.build_id[record.build_id_len as usize..].fill(0);
            *record = FileRecord {
                flags: record.flags & !(FILE_DATA | FILE_TURNS),
                turns: match record.turns[0] {
                    0 => [0; 24],
                    _ => record.turns,
                },
                ..*record
            };
        }
    }
    profiles
}

/// Compares what was packed with what came back.
fn compare_packed(old: &[model::ProfileModel], new: &[model::ProfileModel], loss: Loss) {
    let (profiles, planes) = match loss {
        Loss::None => {
            assert_eq!(old, new);
            return;
        }
        Loss::Planes(planes) => (old.len(), planes),
        _ => (old.len().min(loss.profiles()), 1),
    };
    assert_eq!(new.len(), profiles);
    for (old, new) in old.iter().zip(new) {
        let is_read = |file: &&model::FileModel| file.record.flags & FILE_READ != 0;
        let read = old.files.iter().filter(is_read).count();
        let (mut read, mut others) = loss.keeps(read, old.files.len() - read);
        let files = read + others;
        assert_eq!(new.files.len(), files);
        let record = ProfileRecord {
            file_count: files as u32,
            ..old.record
        };
        assert_eq!((&new.key, new.record), (&old.key, record));
        let kept = old.files.iter().filter(|file| {
            let left = if is_read(file) {
                &mut read
            } else {
                &mut others
            };
            let is_kept = *left != 0;
            *left = left.saturating_sub(1);
            is_kept
        });
        for (old, file) in kept.zip(&new.files) {
            assert_eq!(
                (&file.path, file.planes.len()),
                (&old.path, planes.min(old.planes.len()))
            );
            let runs = new.record.runs;
            let (before, after) = (model::wanted(old, runs), model::wanted(file, runs));
            match loss {
                Loss::Planes(planes) => {
                    assert_eq!(file.planes, old.planes[..file.planes.len().min(planes)])
                }
                Loss::Holes(0) => assert_eq!(before, after),
                _ => assert!(after.is_superset(&before)),
            }
        }
    }
}
