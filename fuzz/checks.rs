// SPDX-License-Identifier: GPL-2.0

//! What must hold for any bytes whatever: one function for each fuzz target.
//!
//! libFuzzer calls them with what it makes up, `rust/pbitmap-core/tests` with what is kept in
//! `corpus/` and with what proptest makes up. They panic if something does not hold. Where there
//! is a simple and slow way to say what is right, they compare with that.

use std::collections::BTreeSet;

use pbitmap_core::{
    format::{
        bitmap::Bitmap,
        copy::Copy,
        crc32c::crc32c,
        elf::{self, Header, PT_LOAD},
        error::Error,
        layout::{FileRecord, ProfileRecord, FILE_BY_PATH, FILE_EXECUTABLE, PROFILE_DEFAULT},
        metadata,
        packed::{pack, Loss, Packed, MAX_PACKED, MIN_PACKED},
        slot::{
            choose, file_bytes, order, profile_bytes, BuildId, Builder, File, FileIdentity,
            FileInput, Identity, Outcome, ProfileInput, Slot, SlotHeader,
        },
        update::{is_stored, update as update_slot, Key, Run as Recording, Seen},
        MAX_PHNUM, MAX_SHNUM, MAX_SLOT, PAGE_SIZE,
    },
    policy::{
        merge::{Merge, Wanted},
        plan::{Limits, Plan, Run},
        profile::{self, Choice},
    },
};

#[path = "model.rs"]
mod model;

const MERGES: [Merge; 3] = [Merge::Replace, Merge::Or, Merge::Age];

/// `bytes` are a file.
pub(crate) fn elf(bytes: &[u8]) {
    notes(bytes);
    let Ok(header) = Header::parse(bytes) else {
        return;
    };
    assert!((1..=MAX_PHNUM).contains(&header.phnum));
    let slice = |range: elf::FileRange| {
        assert!(i64::try_from(range.end()).is_ok());
        let start = usize::try_from(range.offset).ok()?;
        bytes.get(start..start.checked_add(range.len)?)
    };
    if let Some(phdrs) = header.program_headers().ok().and_then(slice) {
        assert_eq!(phdrs.len(), usize::from(header.phnum) * 56);
        assert_eq!(elf::program_headers(phdrs).count(), phdrs.len() / 56);
        if let Some(marker) = elf::gnu_stack(phdrs) {
            if let Some((offset, len)) = marker.locator {
                assert!(marker.armed && offset != 0 && len != 0);
                assert!(offset.checked_add(len).is_some());
            }
        }
        let identity = elf::layout_crc(&header, phdrs);
        assert_eq!(identity, elf::layout_crc(&header, phdrs));
        for page_size in [4096, 65536] {
            for phdr in elf::program_headers(phdrs) {
                let (offset, len) = (phdr.p_paddr, phdr.p_memsz);
                assert_eq!(
                    elf::overlaps_load(phdrs, offset, len, page_size),
                    shares_a_page(phdrs, offset, len, page_size),
                );
            }
        }
    }
    if let Some(shdrs) = header.section_headers().ok().and_then(slice) {
        assert!((1..=MAX_SHNUM).contains(&header.shnum));
        for (index, section) in elf::find_section(shdrs) {
            assert!(index < usize::from(header.shnum));
            let start = usize::try_from(section.sh_offset).unwrap_or(usize::MAX);
            elf::is_section_name(bytes.get(start..).unwrap_or_default());
        }
        assert_eq!(elf::section_headers(shdrs).count(), shdrs.len() / 64);
    }
}

/// `bytes` are notes, or the beginning of a file.
pub(crate) fn notes(bytes: &[u8]) {
    if let Some(id) = elf::build_id_in(bytes) {
        assert!(!id.is_empty());
    }
    if let Some(id) = elf::build_id(bytes) {
        assert!(!id.is_empty());
        let start = id.as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(bytes[start - 4..start], *b"GNU\0");
        assert_eq!(bytes[start - 8..start - 4], 3u32.to_le_bytes());
    }
}

/// [`elf::overlaps_load`] with numbers that cannot overflow.
fn shares_a_page(phdrs: &[u8], offset: u64, len: u64, page_size: u32) -> bool {
    let pages = |offset: u64, len: u64| {
        let (offset, len, page) = (offset as i128, len as i128, page_size as i128);
        (offset + len <= i64::MAX as i128)
            .then(|| (offset / page, (offset + len + page - 1) / page))
    };
    let Some((start, end)) = pages(offset, len) else {
        return true;
    };
    elf::program_headers(phdrs)
        .filter(|phdr| phdr.p_type == PT_LOAD && phdr.p_filesz != 0)
        .any(|phdr| match pages(phdr.p_offset, phdr.p_filesz) {
            Some((load_start, load_end)) => start < load_end && load_start < end,
            None => true,
        })
}

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
fn seal(slot: &mut [u8]) {
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
fn walk(slot: &Slot<'_>) {
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
    if slot.verify().is_ok() {
        assert_eq!(slot.header().version, 1);
    }
}

/// Chooses among the profiles of a slot, and looks at what is chosen.
fn choices(slot: &Slot<'_>) {
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
            if let Some(bitmap) = wanted.as_bitmap() {
                assert!(bitmap.same_bits(&written));
            }
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

/// Stores recordings of all kinds in a slot: of what it has already and of what it has not.
fn updates(slot: &Slot<'_>, merge: Merge, bytes: &mut Bytes<'_>) {
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
        };
        let mut seen = vec![Seen {
            path: b"",
            identity: FileIdentity::default(),
            pages: Bitmap::new(bytes.take(40), usize::MAX),
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
            });
        }
        check_update(slot, &run, &seen);
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

/// Compares what a bitmap says about itself with its bits.
fn bitmap(bitmap: &Bitmap<'_>) {
    let bits: Vec<bool> = (0..bitmap.len()).map(|bit| bitmap.get(bit)).collect();
    assert_eq!(bitmap.count(), bits.iter().filter(|bit| **bit).count());
    let mut covered = 0;
    let mut total = 0;
    for (first, len) in bitmap.runs() {
        assert!(first >= covered && len != 0);
        assert!(bits[covered..first].iter().all(|bit| !bit));
        assert!(bits[first..first + len].iter().all(|bit| *bit));
        assert!(bits.get(first + len) != Some(&true));
        assert_eq!(bitmap.next_set(covered), Some(first));
        assert_eq!(bitmap.next_clear(first), first + len);
        covered = first + len;
        total += len;
    }
    assert!(bits[covered..].iter().all(|bit| !bit));
    assert_eq!(bitmap.next_set(covered), None);
    assert_eq!(total, bitmap.count());
}

/// `bytes` are limits and a bitmap.
pub(crate) fn plan(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let limits = Limits {
        gap_pages: u32::from(bytes.byte()),
        max_pages: u32::from(bytes.byte()) << (bytes.byte() % 24),
        file_pages: u64::from(bytes.byte()) << (bytes.byte() % 56),
    };
    let first_page = u64::from(bytes.byte()) << (bytes.byte() % 57);
    let cut = usize::from(bytes.byte());
    let len = (bytes.0.len() * 8).saturating_sub(cut);
    let whole = Bitmap::new(bytes.0, len);
    bitmap(&whole);
    compare_plan(whole, first_page, limits);
}

/// Compares a plan with one that is made page by page.
fn compare_plan(bitmap: Bitmap<'_>, first_page: u64, limits: Limits) {
    let mut expected: Vec<Run> = Vec::new();
    let mut budget = limits.max_pages;
    for bit in (0..bitmap.len()).filter(|bit| bitmap.get(*bit)) {
        let Some(page) = first_page.checked_add(bit as u64) else {
            break;
        };
        if page >= limits.file_pages {
            break;
        }
        if let Some(run) = expected.last_mut() {
            let hole = page - run.first - u64::from(run.pages);
            let pages = page - run.first + 1;
            if hole <= u64::from(limits.gap_pages) && pages <= u64::from(budget) {
                run.pages = u32::try_from(pages).unwrap();
                run.wanted += 1;
                continue;
            }
            budget -= run.pages;
        }
        if budget == 0 {
            break;
        }
        expected.push(Run {
            first: page,
            pages: 1,
            wanted: 1,
        });
    }
    let plan: Vec<Run> = Plan::new(bitmap, first_page, limits).collect();
    assert_eq!(plan, expected);
    let pages: u64 = plan.iter().map(|run| u64::from(run.pages)).sum();
    assert!(pages <= u64::from(limits.max_pages));
}

/// What was stored, to be found again.
struct Stored<'a> {
    profile: usize,
    input: FileInput<'a>,
    outcome: Outcome,
}

/// `bytes` say what to build: a size, then profiles and files.
pub(crate) fn round_trip(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let size = usize::from(bytes.byte()) * 64 + usize::from(bytes.byte() % 65) * 8;
    let (profiles, files) = (usize::from(bytes.byte()), usize::from(bytes.byte()));
    let layout_crc = u32::from(bytes.byte());
    let template = SlotHeader::template(layout_crc, bytes.take(21), 12345);
    let mut buffer = vec![0xee; size];
    let mut builder = match Builder::new(&mut buffer, &template, profiles, files) {
        Ok(builder) => builder,
        Err(error) => {
            assert_eq!(error, Error::BadSlotSize);
            assert!(size < SlotHeader::SIZE || size % 8 != 0);
            return;
        }
    };

    // All planes are made before the first file borrows one.
    let ops: Vec<u8> = bytes.take(64).to_vec();
    let planes: Vec<Vec<&[u8]>> = ops
        .iter()
        .map(|op| (0..op >> 5).map(|_| bytes.take(24)).collect())
        .collect();
    let (mut keys, mut stored) = (Vec::new(), Vec::new());
    let mut in_profile = false;
    for (op, planes) in ops.iter().zip(&planes) {
        if op & 1 == 0 {
            let input = ProfileInput {
                kind: u16::from((op >> 1) & 7),
                key: bytes.take(usize::from(op >> 4)),
                runs: 5,
                last_used: 6,
            };
            match builder.profile(&input) {
                Ok(Outcome::Stored) => {
                    keys.push(input);
                    in_profile = true;
                }
                Ok(outcome) => {
                    assert_eq!(outcome, Outcome::Dropped);
                    in_profile = false;
                }
                Err(error) => {
                    assert_eq!(error, Error::BadRecord);
                    assert!(input.kind > 3);
                }
            }
            continue;
        }
        let own = op & 2 == 0;
        let input = FileInput {
            kind: if own { FILE_EXECUTABLE } else { FILE_BY_PATH },
            path: if own { b"" } else { bytes.take(30) },
            identity: FileIdentity {
                ino: 3,
                build_id: BuildId::new(bytes.take(usize::from(op >> 3))),
                ..FileIdentity::default()
            },
            first_page: if own {
                0
            } else {
                u64::from(bytes.byte()) << 40
            },
            page_count: u32::from(bytes.byte()) << ((op >> 3) & 3),
            planes,
        };
        let outcome = builder.file(&input).unwrap();
        if outcome == Outcome::Dropped {
            continue;
        }
        assert!(in_profile);
        stored.push(Stored {
            profile: keys.len() - 1,
            input,
            outcome,
        });
    }
    let used = builder.finish(9, 10).unwrap();
    assert!(used <= size && used % 8 == 0);
    assert!(buffer[used..].iter().all(|byte| *byte == 0));

    let slot = Slot::parse(&buffer, &Identity::new(layout_crc)).unwrap();
    assert_eq!(slot.verify(), Ok(()));
    assert_eq!(slot.header().generation, 9);
    assert_eq!(slot.header().updated, 10);
    assert_eq!(slot.header().build_id(), template.build_id());
    assert_eq!(slot.profiles().count(), keys.len());
    let mut stored = stored.iter();
    for (index, (profile, key)) in slot.profiles().zip(&keys).enumerate() {
        assert_eq!(profile.record.kind, key.kind);
        assert_eq!(profile.key(), key.key);
        for file in slot.files(&profile) {
            let stored = stored.next().unwrap();
            assert_eq!(stored.profile, index);
            assert_eq!(file.record.kind, stored.input.kind);
            assert_eq!(file.path(), stored.input.path);
            assert_eq!(file.build_id(), stored.input.identity.build_id);
            assert_eq!(file.record.first_page, stored.input.first_page);
            assert_eq!(file.is_truncated(), stored.outcome == Outcome::Truncated);
            assert_eq!(
                file.record.page_count < stored.input.page_count,
                file.is_truncated()
            );
            for (index, input) in stored.input.planes.iter().enumerate() {
                let plane = file.plane(index).unwrap();
                assert_eq!(plane.len(), file.record.page_count as usize);
                assert!(plane.same_bits(&Bitmap::new(input, plane.len())));
            }
        }
    }
    assert!(stored.next().is_none());
    assert_eq!(
        slot.default_profile().is_some(),
        keys.iter().any(|key| key.kind == PROFILE_DEFAULT)
    );
    walk(&slot);
    choices(&slot);
    updates(&slot, MERGES[used / 8 % 3], &mut bytes);
}

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
                reserved: [0; 28],
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
        Loss::Holes(_) | Loss::Files(_) => (old.len(), 1),
        Loss::Profiles(profiles) => (profiles, 1),
    };
    assert_eq!(new.len(), profiles);
    for (old, new) in old.iter().zip(new) {
        let files = loss.files(old.files.len());
        assert_eq!(new.files.len(), files);
        let record = ProfileRecord {
            file_count: files as u32,
            ..old.record
        };
        assert_eq!((&new.key, new.record), (&old.key, record));
        for (old, file) in old.files.iter().zip(&new.files) {
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

/// Bytes that are used up from the front, and zeroes after them.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
