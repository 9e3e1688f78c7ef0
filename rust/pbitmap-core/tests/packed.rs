// SPDX-License-Identifier: GPL-2.0

//! Packed slots: what is packed comes back, what does not fit loses as documented, and nothing
//! that anybody makes of the bytes does harm.

use pbitmap_core::{
    format::{
        bitmap,
        crc32c::crc32c,
        layout::{FILE_BY_PATH, FILE_EXECUTABLE, PROFILE_BY_NAME},
        packed::{pack, Loss, Packed, MAX_PACKED},
        slot::{
            BuildId, Builder, FileIdentity, FileInput, Identity, ProfileInput, Slot, SlotHeader,
        },
        turns::Turns,
    },
    policy::merge::Wanted,
};
use proptest::{collection::vec, prelude::*};

const SLOT: usize = 1 << 16;

/// A file: how many pages it has, and the runs of each plane as start and length.
type Planes = Vec<Vec<(u16, u8)>>;

/// A profile: its key, runs, time of its last use, and its files with their numbers of pages.
type MadeProfile = (String, u32, u64, Vec<(u16, Planes)>);

#[derive(Clone, Debug)]
struct Made {
    profiles: Vec<MadeProfile>,
}

fn made() -> impl Strategy<Value = Made> {
    let planes = vec(vec((any::<u16>(), any::<u8>()), 0..20), 0..5);
    let file = (0u16..3000, planes);
    let profile = ("[a-z]{0,12}", 0u32..100, any::<u64>(), vec(file, 0..6));
    vec(profile, 0..4).prop_map(|profiles| Made { profiles })
}

fn build(made: &Made) -> Vec<u8> {
    let mut buffer = vec![0; SLOT];
    let template = SlotHeader {
        profile_by: PROFILE_BY_NAME,
        max_profiles: 4,
        planes: 4,
        ..SlotHeader::template(0x1234_5678, b"build id", 1 << 40)
    };
    let files = made.profiles.iter().map(|profile| profile.3.len()).sum();
    let mut builder = Builder::new(&mut buffer, &template, made.profiles.len(), files).unwrap();
    for (name, runs, last_used, files) in &made.profiles {
        let input = ProfileInput {
            kind: PROFILE_BY_NAME,
            key: name.as_bytes(),
            runs: *runs,
            last_used: *last_used,
        };
        let _ = builder.profile(&input).unwrap();
        for (index, (pages, planes)) in files.iter().enumerate() {
            let planes: Vec<Vec<u8>> = planes
                .iter()
                .map(|runs| {
                    let mut plane = vec![0; usize::from(*pages).div_ceil(8)];
                    for (first, len) in runs {
                        bitmap::set_range(&mut plane, (*first).into(), (*len).into());
                    }
                    plane
                })
                .collect();
            let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
            let path = format!("/usr/lib/{index}.so");
            let own = index == 0;
            let input = FileInput {
                kind: if own { FILE_EXECUTABLE } else { FILE_BY_PATH },
                path: if own { b"" } else { path.as_bytes() },
                identity: if own {
                    FileIdentity::default()
                } else {
                    FileIdentity {
                        dev: 0xfe01,
                        ino: 12345 + index as u64,
                        generation: u32::MAX,
                        size: u64::MAX,
                        mtime_sec: -1,
                        mtime_nsec: 999_999_999,
                        build_id: BuildId::new(b"0123456789abcdefghij"),
                    }
                },
                first_page: 0,
                page_count: (*pages).into(),
                data_page: u32::from(*pages) / 3,
                is_read: index % 3 == 1,
                turns: match index % 4 {
                    0 => Turns::default(),
                    _ => Turns::from_bytes([index as u8; 24]),
                },
                planes: &planes,
            };
            let _ = builder.file(&input).unwrap();
        }
    }
    let used = builder.finish(77, 88).unwrap();
    buffer.truncate(used.max(SLOT));
    buffer
}

fn unpacked(packed: &[u8]) -> Vec<u8> {
    let packed = Packed::parse(packed).unwrap();
    let mut slot = vec![0xaa; packed.slot_size];
    packed.unpack(&mut slot).unwrap();
    slot
}

const IDENTITY: Identity = Identity::new(0x1234_5678);

/// Profiles by use, each with its files: everything that a reader sees.
fn seen(slot: &Slot<'_>) -> Vec<String> {
    slot.profiles_by_use()
        .flat_map(|profile| {
            let record = &profile.record;
            let head = format!(
                "{} {:?} {} {} {} {}",
                record.kind,
                profile.key(),
                record.runs,
                record.last_used,
                record.wanted,
                record.hits
            );
            let files = slot.files(&profile).map(|file| {
                let planes: Vec<Vec<(usize, usize)>> = (0..usize::from(file.record.plane_count))
                    .map(|index| file.plane(index).unwrap().runs().collect())
                    .collect();
                format!(
                    "  {} {} {:?} {:?} {} {} {:?} {planes:?}",
                    file.record.kind,
                    file.record.flags,
                    file.path(),
                    file.identity(),
                    file.record.page_count,
                    file.record.data_page,
                    file.turns()
                )
            });
            [head].into_iter().chain(files).collect::<Vec<_>>()
        })
        .collect()
}

fn wanted(slot: &Slot<'_>) -> Vec<(Vec<u8>, Vec<usize>)> {
    slot.profiles_by_use()
        .flat_map(|profile| {
            slot.files(&profile)
                .map(|file| {
                    let wanted = Wanted::new(&file, profile.record.runs);
                    let pages = (0..wanted.len())
                        .filter(|page| (wanted.word(page / 64) >> (page % 64)) & 1 != 0)
                        .collect();
                    (file.path().to_vec(), pages)
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What is mapped is worth more than what is read.
#[test]
fn files_that_are_read_go_first() {
    const MAPPED: usize = 6;
    const READ: usize = 20;
    let template = SlotHeader::template(0x1234_5678, b"", 4096 * 64);
    let mut buffer = vec![0; 1 << 16];
    let mut builder = Builder::new(&mut buffer, &template, 1, 1 + MAPPED + READ).unwrap();
    let _ = builder
        .profile(&ProfileInput {
            runs: 1,
            ..ProfileInput::default()
        })
        .unwrap();
    for index in 0..=MAPPED + READ {
        let is_read = index % 4 == 1 && index / 4 < READ || index > 4 * MAPPED;
        let own = index == 0;
        let path = format!("/usr/lib/{}-{index}", if is_read { "read" } else { "map" });
        // Every other page: holes that can be filled.
        let input = FileInput {
            kind: if own { FILE_EXECUTABLE } else { FILE_BY_PATH },
            path: if own { b"" } else { path.as_bytes() },
            page_count: 64,
            planes: &[&[0x55; 8]],
            is_read: is_read && !own,
            ..FileInput::default()
        };
        let _ = builder.file(&input).unwrap();
    }
    let used = builder.finish(1, 1).unwrap();
    let slot = Slot::parse(&buffer[..used], &IDENTITY).unwrap();
    let count = |slot: &Slot<'_>| {
        let profile = slot.default_profile().unwrap();
        let read = slot.files(&profile).filter(|file| file.is_read()).count();
        (read, slot.files(&profile).count() - read)
    };
    let (all_read, all_others) = count(&slot);
    let mut losses = Vec::new();
    for room in (256..1500).rev() {
        let mut packed = vec![0; MAX_PACKED];
        let Ok((len, loss)) = pack(&slot, room, &mut packed) else {
            break;
        };
        let again = unpacked(&packed[..len]);
        let (read, others) = count(&Slot::parse(&again, &IDENTITY).unwrap());
        assert!(read == 0 || others == all_others, "{loss:?}");
        if read == all_read && others == all_others {
            assert!(matches!(
                loss,
                Loss::None | Loss::Planes(_) | Loss::Holes(_)
            ));
        }
        losses.push((read, others));
    }
    assert_eq!(losses.first(), Some(&(all_read, all_others)));
    assert!(losses.contains(&(0, all_others)));
    assert!(losses.iter().any(|(_, others)| *others < all_others));
}

proptest! {
    #[test]
    fn what_is_packed_comes_back(made in made()) {
        let bytes = build(&made);
        let slot = Slot::parse(&bytes, &IDENTITY).unwrap();
        let mut packed = vec![0; MAX_PACKED];
        let (len, loss) = pack(&slot, MAX_PACKED, &mut packed).unwrap();
        prop_assert_eq!(loss, Loss::None);
        let again = unpacked(&packed[..len]);
        let again = Slot::parse(&again, &IDENTITY).unwrap();
        prop_assert!(again.verify().is_ok());
        prop_assert_eq!(seen(&again), seen(&slot));
        let (one, other) = (*again.header(), *slot.header());
        prop_assert_eq!(
            (one.generation, one.updated, one.elf_size, one.slot_size, one.profile_by),
            (other.generation, other.updated, other.elf_size, other.slot_size, other.profile_by)
        );
        prop_assert_eq!((one.max_profiles, one.planes), (other.max_profiles, other.planes));
        prop_assert_eq!(one.build_id(), other.build_id());
    }

    #[test]
    fn what_does_not_fit_loses_precision_but_no_page(made in made(), room in 256usize..2000) {
        let bytes = build(&made);
        let slot = Slot::parse(&bytes, &IDENTITY).unwrap();
        let mut packed = vec![0; MAX_PACKED];
        let Ok((len, loss)) = pack(&slot, room, &mut packed) else { return Ok(()) };
        prop_assert!(len <= room);
        let again = unpacked(&packed[..len]);
        let again = Slot::parse(&again, &IDENTITY).unwrap();
        prop_assert!(again.verify().is_ok());
        let (before, after) = (wanted(&slot), wanted(&again));
        match loss {
            Loss::None | Loss::Holes(0) => prop_assert_eq!(before, after),
            // Files are missing, at the end of the profile.
            Loss::Planes(_) | Loss::Files(_) => {}
            Loss::Holes(_) | Loss::Reads(_) | Loss::Wide(_) | Loss::Profiles(_) => {
                // The profiles that are left are the first ones; files that were read may be missing.
                let mut before = before.iter();
                for (path, after) in &after {
                    let (_, before) = before.find(|(other, _)| path == other).unwrap();
                    prop_assert!(before.iter().all(|page| after.contains(page)));
                }
            }
        }
    }

    #[test]
    fn any_bytes_do_no_harm(mut bytes in vec(any::<u8>(), 0..600)) {
        try_any(&mut bytes);
    }

    #[test]
    fn damage_does_no_harm(made in made(), damage in vec((any::<u16>(), any::<u8>()), 1..8)) {
        let bytes = build(&made);
        let slot = Slot::parse(&bytes, &IDENTITY).unwrap();
        let mut packed = vec![0; MAX_PACKED];
        let (len, _) = pack(&slot, MAX_PACKED, &mut packed).unwrap();
        packed.truncate(len);
        for (at, value) in damage {
            let at = 8 + usize::from(at) % (len - 8);
            packed[at] = value;
        }
        try_any(&mut packed);
    }
}

/// With a checksum that is right whatever `bytes` are.
fn try_any(bytes: &mut Vec<u8>) {
    bytes.splice(..8.min(bytes.len()), *b"PBM1\0\0\0\0");
    let crc = crc32c(&bytes[8..]).to_le_bytes();
    bytes[4..8].copy_from_slice(&crc);
    if let Ok(packed) = Packed::parse(bytes) {
        let mut slot = vec![0; packed.slot_size];
        if packed.unpack(&mut slot).is_ok() {
            // What was accepted is a slot like any other.
            let slot = Slot::checked_before(&slot).unwrap();
            let _ = (slot.verify(), wanted(&slot));
        }
    }
}
