// SPDX-License-Identifier: GPL-2.0

//! What must hold for any bytes whatever: one function for each fuzz target.
//!
//! libFuzzer calls them with what it makes up, `rust/pbitmap-core/tests` with what is kept in
//! `corpus/` and with what proptest makes up. They panic if something does not hold. Where there
//! is a simple and slow way to say what is right, they compare with that.

use pbitmap_core::{
    format::{
        bitmap::Bitmap,
        crc32c::crc32c,
        elf::{self, Header, PT_LOAD},
        error::Error,
        layout::{FILE_BY_PATH, FILE_EXECUTABLE, PROFILE_BY_NAME, PROFILE_DEFAULT},
        slot::{
            choose, order, BuildId, Builder, FileIdentity, FileInput, Identity, Outcome,
            ProfileInput, Slot, SlotHeader,
        },
        update::{self, Key, Seen},
        MAX_PHNUM, MAX_SHNUM, PAGE_SIZE,
    },
    policy::{
        merge::Merge,
        plan::{Limits, Plan, Run},
        profile,
    },
};

/// `bytes` are a file.
pub(crate) fn elf(bytes: &[u8]) {
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
        rewrite(slot, first);
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

/// Makes slots that follow `slot`: runs of each kind, in a mode that it has and in one that it may
/// not have.
fn rewrite(slot: &Slot<'_>, pages: &[u8]) {
    let pages = pages.get(..512).unwrap_or(pages);
    let known = slot.profiles().last();
    let keys = [
        known.map_or(&b""[..], |profile| profile.key()),
        pages.get(..3).unwrap_or_default(),
    ];
    // One way of merging an input, so that a corpus is soon gone through.
    let ways = [Merge::Replace, Merge::Or, Merge::Age];
    let way = slot.header().crc32c as usize % ways.len();
    for merge in ways.into_iter().skip(way).take(1) {
        for bytes in keys {
            let kind = match (known, bytes) {
                (_, b"") => PROFILE_DEFAULT,
                (Some(profile), bytes) if profile.key() == bytes => profile.record.kind,
                _ => PROFILE_BY_NAME,
            };
            follow(slot, pages, merge, Key { kind, bytes });
        }
    }
}

fn follow(slot: &Slot<'_>, pages: &[u8], merge: Merge, key: Key<'_>) {
    let size = slot.header().slot_size as usize;
    let identity = Identity {
        layout_crc: slot.header().layout_crc,
        page_size: slot.header().page_size,
    };
    let run = update::Run {
        key,
        merge,
        wanted: 5,
        hits: 4,
        now: 77,
    };
    // What the program has itself, a library that the slot knows, and one that it may not know.
    let known = slot
        .profiles()
        .flat_map(|profile| slot.files(&profile))
        .find(|file| !file.path().is_empty());
    let touched = Bitmap::new(pages, usize::MAX);
    let own = Seen {
        path: b"",
        identity: FileIdentity::default(),
        pages: touched,
    };
    let library = Seen {
        path: known.map_or(b"/lib/a", |file| file.path()),
        identity: known.map_or(FileIdentity::default(), |file| file.identity()),
        pages: touched,
    };
    let other = Seen {
        path: b"/lib/b",
        ..own
    };
    let files = [own, library, other];
    let seen = || files.iter().copied();
    let stored = update::is_stored(slot, &run, seen());

    let mut out = vec![0xee; size];
    let report = match update::update(slot, &mut out, &run, seen()) {
        Ok(report) => report,
        Err(Error::NoRoom | Error::GenerationExhausted | Error::BadSlotSize | Error::BadRecord) => {
            return
        }
        Err(error) => panic!("an update says {error:?}"),
    };
    assert!(report.used <= size);
    assert!(out[report.used..].iter().all(|byte| *byte == 0));
    let next = Slot::parse(&out, &identity).unwrap();
    assert_eq!(next.verify(), Ok(()));
    assert_eq!(next.header().generation, slot.header().generation + 1);
    assert_eq!(next.header().updated, 77);
    assert!(next.profiles().count() <= usize::from(slot.header().max_profiles.max(1)));

    let profile = next.profiles().next().unwrap();
    assert!(key.is_of(&profile));
    assert_eq!((profile.record.wanted, profile.record.hits), (5, 4));
    assert_eq!(profile.record.last_used, 77);
    if let Some(file) = next.executable(&profile) {
        let plane = file.plane(0).unwrap();
        let newest = Bitmap::new(pages, plane.len());
        for page in newest.runs().map(|(first, _)| first) {
            assert!(plane.get(page), "a page that was touched is not there");
        }
        if merge != Merge::Or {
            assert!(plane.same_bits(&newest));
        }
    }
    let whole = report
        == update::Report {
            used: report.used,
            ..update::Report::default()
        };
    if merge != Merge::Age && whole && touched.len() <= 1 << 20 {
        assert!(
            update::is_stored(&next, &run, seen()),
            "what was stored is not"
        );
    }
    let _ = stored;
    let mut wanted = 0;
    if let Some(choice) = profile::choose(&next, &key) {
        for (_, pages) in choice.files(&next) {
            assert_eq!(
                pages.count(),
                (0..pages.len().div_ceil(64))
                    .map(|index| pages.word(index).count_ones() as usize)
                    .sum()
            );
            wanted += pages.count();
        }
    }
    assert!(wanted <= out.len() * 8);
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
    rewrite(&slot, bytes.0);
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
