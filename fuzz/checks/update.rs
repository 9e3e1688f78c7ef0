// SPDX-License-Identifier: GPL-2.0

//! What a recording makes of a slot.

use std::collections::BTreeSet;

use super::{bytes::Bytes, model, section::choices, MERGES};
use pbitmap_core::{
    format::bitmap::Bitmap,
    format::error::Error,
    format::layout::FILE_EXECUTABLE,
    format::slot::{
        BuildId, Builder, FileIdentity, FileInput, Identity, ProfileInput, Slot, SlotHeader,
    },
    format::turns::Turns,
    format::update::{is_stored, update as update_slot, Key, Run as Recording, Seen},
    policy::merge::Merge,
};

/// Stores recordings of all kinds in a slot: of what it has already and of what it has not.
pub(super) fn updates(slot: &Slot<'_>, merge: Merge, bytes: &mut Bytes<'_>) {
    let other = Key {
        kind: 1,
        bytes: b"vi",
    };
    let keys = slot.profiles().take(2).map(|profile| Key {
        kind: profile.record.kind,
        bytes: profile.key(),
    });
    for key in keys.chain([other]) {
        let run = Recording {
            key,
            merge,
            wanted: 5,
            hits: 4,
            now: u64::from(bytes.byte()) << (bytes.byte() % 57),
            saw_reads: slot.header().generation % 2 == 0,
        };
        let mut seen = vec![Seen {
            path: b"",
            identity: FileIdentity::default(),
            pages: Bitmap::new(bytes.take(40), usize::MAX),
            data_page: 0,
            is_read: false,
            turns: turns(slot.header().generation as u8),
        }];
        let files: Vec<_> = slot
            .profiles()
            .flat_map(|profile| slot.files(&profile))
            .take(20)
            .collect();
        for file in &files {
            let op = bytes.byte();
            if op & 1 != 0 {
                continue;
            }
            let record = &file.record;
            let len = usize::from(op & 0x3e);
            seen.push(Seen {
                path: file.path(),
                identity: FileIdentity {
                    dev: 1,
                    ino: record.ino,
                    generation: record.generation,
                    size: record.size ^ u64::from(op >> 7),
                    mtime_sec: record.mtime_sec,
                    mtime_nsec: record.mtime_nsec,
                    build_id: BuildId::new(bytes.take(usize::from(op >> 6))),
                },
                pages: match file.plane(0) {
                    Some(plane) if op & 0x40 != 0 => plane,
                    _ => Bitmap::new(bytes.take(len), usize::MAX),
                },
                data_page: u32::from(op >> 3),
                is_read: op & 4 != 0,
                turns: turns(op),
            });
        }
        check_update(slot, &run, &seen);
    }
}

/// Some turns, or none.
fn turns(seed: u8) -> Turns {
    match seed % 3 {
        0 => Turns::default(),
        _ => Turns::from_bytes([seed; 24]),
    }
}

/// Makes the slot that follows `slot`, and compares it with the one that is expected.
fn check_update(slot: &Slot<'_>, run: &Recording<'_>, seen: &[Seen<'_>]) -> Option<Vec<u8>> {
    let size = slot.header().slot_size as usize;
    let identity = Identity {
        layout_crc: slot.header().layout_crc,
        page_size: slot.header().page_size,
    };
    let files = seen.iter().copied();
    let mut out = vec![0xee; size + 8];
    let unchanged = is_stored(slot, run, files.clone());
    let report = match update_slot(slot, &mut out, run, files.clone()) {
        Ok(report) => report,
        Err(Error::GenerationExhausted) => {
            assert_eq!(slot.header().generation, u64::MAX);
            return None;
        }
        Err(error) => {
            assert_eq!(error, Error::NoRoom);
            assert!(model::expect(slot, run, seen).is_none());
            return None;
        }
    };
    assert_eq!(out[size..], [0xee; 8], "wrote past the slot");
    assert!(report.used <= size);
    assert!(out[report.used..size].iter().all(|byte| *byte == 0));
    out.truncate(size);

    let next = Slot::parse(&out, &identity).unwrap();
    assert_eq!(next.verify(), Ok(()));
    let expected = SlotHeader {
        generation: slot.header().generation + 1,
        updated: run.now,
        used_bytes: report.used as u32,
        crc32c: next.header().crc32c,
        profiles_offset: next.header().profiles_offset,
        profile_count: next.header().profile_count,
        files_offset: next.header().files_offset,
        file_count: next.header().file_count,
        ..*slot.header()
    };
    assert_eq!(*next.header(), expected);
    let stored = model::read(&next);
    let files_stored: usize = stored.iter().map(|profile| profile.files.len()).sum();
    assert_eq!(stored.len(), usize::from(expected.profile_count));
    assert_eq!(files_stored, expected.file_count as usize);

    // Of two records of one file it is not said which one counts.
    let old = slot.profiles().find(|profile| run.key.is_of(profile));
    let mut paths = BTreeSet::new();
    let is_clear = old.is_none_or(|old| {
        slot.files(&old)
            .all(|file| paths.insert((file.record.kind, file.path())))
    });
    if is_clear {
        let expected = model::expect(slot, run, seen).unwrap();
        assert_eq!(stored, expected.profiles);
        assert_eq!(report, expected.report);
        assert!(unchanged || !expected.is_stored);
        if unchanged && !expected.is_stored {
            is_close_enough(slot, run, &stored);
        }
    }
    Some(out)
}

/// Makes sure that a recording may be taken for stored although it would change something.
fn is_close_enough(slot: &Slot<'_>, run: &Recording<'_>, next: &[model::ProfileModel]) {
    assert_eq!(run.merge, Merge::Age);
    let old = slot.profiles().find(|profile| run.key.is_of(profile));
    let index = slot
        .profiles()
        .position(|profile| run.key.is_of(&profile))
        .unwrap();
    let runs = old.unwrap().record.runs;
    assert!(runs >= u32::from(slot.header().planes.clamp(1, 8)));
    // What was recorded of a file is in the next slot, where there is a record of it.
    let (mut pages, mut wanted) = (0, 0);
    let mut each = [0; 8];
    for old in &model::read(slot)[index].files {
        let file = next[0]
            .files
            .iter()
            .find(|file| file.record.kind == old.record.kind && file.path == old.path);
        let new = file.map(|file| file.planes[0].clone()).unwrap_or_default();
        assert!(old.path.is_empty() || new.is_empty() == old.planes[0].is_empty());
        pages += new.len();
        for (plane, each) in old.planes.iter().zip(&mut each) {
            *each += new.symmetric_difference(plane).count();
        }
        wanted += new.symmetric_difference(&model::wanted(old, runs)).count();
    }
    assert!(wanted <= pages / 128 && each.iter().all(|each| *each <= pages / 128));
}

/// `bytes` are a slot as the tool makes it and recordings that go to it one after the other.
pub(crate) fn update(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let size = 336 + usize::from(bytes.byte()) * 16;
    let header = SlotHeader {
        planes: u16::from(bytes.byte() % 10),
        max_profiles: u16::from(bytes.byte() % 6),
        ..SlotHeader::template(7, b"id", u64::from(bytes.byte()) * 2000)
    };
    let mut slot = vec![0; size];
    let mut builder = Builder::new(&mut slot, &header, 1, 1).unwrap();
    let _ = builder.profile(&ProfileInput::default()).unwrap();
    let own = FileInput {
        kind: FILE_EXECUTABLE,
        page_count: header.elf_size.div_ceil(4096) as u32,
        planes: &[&[]],
        ..FileInput::default()
    };
    let _ = builder.file(&own).unwrap();
    builder.finish(1, 0).unwrap();

    let paths: [&[u8]; 8] = [
        b"",
        b"/a",
        b"/b",
        b"/lib/c",
        b"/lib/d",
        b"/eeeeeeeee",
        b"/f",
        b"/g",
    ];
    let keys: [&[u8]; 4] = [b"", b"vi", b"a longer key", b"git"];
    let mut now = 0u64;
    for _ in 0..16 {
        if bytes.0.is_empty() {
            break;
        }
        let op = bytes.byte();
        let run = Recording {
            key: Key {
                kind: u16::from((op >> 2) & 3),
                bytes: keys[usize::from((op >> 4) & 3)],
            },
            merge: MERGES[usize::from(op & 3).min(2)],
            wanted: u32::from(op),
            hits: 1,
            now,
            saw_reads: op & 8 == 0,
        };
        now += u64::from(op >> 6) * 30_000;
        let mut seen = Vec::new();
        for _ in 0..bytes.byte() % 10 {
            let op = bytes.byte();
            seen.push(Seen {
                path: paths[usize::from(op & 7)],
                identity: FileIdentity {
                    dev: u64::from(op),
                    ino: u64::from(op == 0xff),
                    ..FileIdentity::default()
                },
                pages: Bitmap::new(bytes.take(usize::from(op >> 3)), usize::MAX),
                data_page: u32::from(op & 3),
                is_read: op & 4 != 0,
                turns: turns(op),
            });
        }
        let old = Slot::parse(&slot, &Identity::new(7)).unwrap();
        let Some(mut next) = check_update(&old, &run, &seen) else {
            return;
        };
        // The same again and again changes nothing in the end. Where there is little room, one
        // file after the other may find some, when pages of those before it are forgotten.
        for _ in 0..usize::from(header.planes.clamp(1, 8)) * (seen.len() + 1) {
            let old = Slot::parse(&next, &Identity::new(7)).unwrap();
            if is_stored(&old, &run, seen.iter().copied()) {
                break;
            }
            // More planes may leave no room for the executable.
            match check_update(&old, &run, &seen) {
                Some(slot) => next = slot,
                None => return,
            }
        }
        let last = Slot::parse(&next, &Identity::new(7)).unwrap();
        assert!(is_stored(&last, &run, seen.iter().copied()));
        // Mostly one recording comes after the other.
        slot = if op & 0x80 == 0 {
            check_update(&old, &run, &seen).unwrap()
        } else {
            next
        };
    }
    choices(&Slot::parse(&slot, &Identity::new(7)).unwrap());
}
