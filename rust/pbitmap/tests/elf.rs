// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::elf`](super::super::format::elf).

use super::{
    super::format::{
        elf::{
            build_id,
            build_id_in,
            find_section,
            gnu_stack,
            go_action,
            is_section_name,
            layout_crc,
            overlaps_load,
            section_alignment,
            Header,
            ProgramHeader,
            RawHeader,
            EM_X86_64,
            ET_EXEC, //
        },
        error::{
            Error,
            Result, //
        },
        MAX_PHNUM,
        MAX_SHNUM, //
    },
    sample::{
        elf_header,
        encode,
        program_headers,
        section_headers, //
    },
};

/// What the parser says to the sample header after a change.
fn refused(change: impl FnOnce(&mut RawHeader)) -> Option<Error> {
    let mut header = elf_header();
    change(&mut header);
    Header::parse(&encode(&header)).err()
}

/// What the parser says to the sample header's section headers after a change.
fn sections_refused(change: impl FnOnce(&mut RawHeader)) -> Option<Error> {
    let mut header = elf_header();
    change(&mut header);
    Header::parse(&encode(&header))
        .and_then(|header| header.section_headers())
        .err()
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_elf))]
mod tests {
    use super::*;

    #[test]
    fn a_sound_header_is_read() -> Result {
        let header = Header::parse(&encode(&elf_header()))?;
        assert_eq!(header.machine, EM_X86_64);
        assert_eq!(header.entry, 0x1040);
        assert_eq!(header.phnum, 3);
        let phdrs = header.program_headers()?;
        assert_eq!(phdrs.offset, 64);
        assert_eq!(phdrs.len, 3 * 56);
        assert_eq!(phdrs.end(), 232);
        let shdrs = header.section_headers()?;
        assert_eq!(shdrs.offset, 0x9000);
        assert_eq!(shdrs.len, 128);
        assert_eq!(refused(|header| header.e_type = ET_EXEC), None);
        Ok(())
    }

    #[test]
    fn other_files_are_refused_by_their_kind() {
        assert_eq!(Header::parse(b"").err(), Some(Error::NotElf));
        assert_eq!(Header::parse(b"#!/bin/sh\n").err(), Some(Error::NotElf));
        assert_eq!(Header::parse(b"\x7fELF").err(), Some(Error::Truncated));
        let bytes = encode(&elf_header());
        assert_eq!(Header::parse(&bytes[..63]).err(), Some(Error::Truncated));
        assert_eq!(refused(|header| header.e_ident[0] = 0), Some(Error::NotElf));
        assert_eq!(
            refused(|header| header.e_ident[4] = 1),
            Some(Error::NotElf64)
        );
        assert_eq!(
            refused(|header| header.e_ident[5] = 2),
            Some(Error::NotLittleEndian)
        );
        assert_eq!(
            refused(|header| header.e_ident[6] = 0),
            Some(Error::BadElfVersion)
        );
        assert_eq!(
            refused(|header| header.e_version = 2),
            Some(Error::BadElfVersion)
        );
        assert_eq!(
            refused(|header| header.e_type = 1),
            Some(Error::NotExecutable)
        );
        assert_eq!(
            refused(|header| header.e_type = 4),
            Some(Error::NotExecutable)
        );
    }

    #[test]
    fn program_headers_are_bounded() {
        let bad = Some(Error::BadProgramHeaders);
        assert_eq!(refused(|header| header.e_phnum = 0), bad);
        assert_eq!(refused(|header| header.e_phnum = MAX_PHNUM), None);
        assert_eq!(refused(|header| header.e_phnum = MAX_PHNUM + 1), bad);
        assert_eq!(refused(|header| header.e_phnum = 0xffff), bad);
        assert_eq!(refused(|header| header.e_phentsize = 55), bad);
        assert_eq!(refused(|header| header.e_phentsize = 0), bad);
    }

    #[test]
    fn program_headers_cannot_be_where_no_file_reaches() -> Result {
        for offset in [u64::MAX, u64::MAX - 100, i64::MAX as u64, 1 << 63] {
            let mut header = elf_header();
            header.e_phoff = offset;
            let header = Header::parse(&encode(&header))?;
            let range = header.program_headers();
            assert_eq!(range, Err(Error::BadProgramHeaders));
        }
        Ok(())
    }

    #[test]
    fn section_headers_are_bounded() {
        let none = Some(Error::NoSectionHeaders);
        let bad = Some(Error::BadSectionHeaders);
        assert_eq!(sections_refused(|header| header.e_shoff = 0), none);
        assert_eq!(sections_refused(|header| header.e_shnum = 0), none);
        assert_eq!(sections_refused(|header| header.e_shnum = MAX_SHNUM), None);
        assert_eq!(
            sections_refused(|header| header.e_shnum = MAX_SHNUM + 1),
            bad
        );
        assert_eq!(sections_refused(|header| header.e_shentsize = 40), bad);
        assert_eq!(sections_refused(|header| header.e_shoff = u64::MAX), bad);
    }

    #[test]
    fn the_marker_is_read() -> Result {
        let phdrs = program_headers();
        let marker = gnu_stack(&phdrs).ok_or(Error::BadProgramHeaders)?;
        assert!(marker.armed);
        assert_eq!(marker.locator, Some((0x8000, 0x2000)));
        Ok(())
    }

    #[test]
    fn without_the_bit_the_locator_means_nothing() -> Result {
        let mut phdrs = program_headers();
        phdrs[2 * 56 + 4] = 6;
        let marker = gnu_stack(&phdrs).ok_or(Error::BadProgramHeaders)?;
        assert!(!marker.armed);
        assert_eq!(marker.locator, None);
        Ok(())
    }

    #[test]
    fn a_wild_locator_is_none() -> Result {
        let mut phdrs = program_headers();
        phdrs[2 * 56 + 8..2 * 56 + 16].fill(0xff);
        let marker = gnu_stack(&phdrs).ok_or(Error::BadProgramHeaders)?;
        assert!(marker.armed);
        assert_eq!(marker.locator, None);
        phdrs[2 * 56 + 8..2 * 56 + 16].fill(0);
        let marker = gnu_stack(&phdrs).ok_or(Error::BadProgramHeaders)?;
        assert!(marker.armed);
        assert_eq!(marker.locator, None);
        Ok(())
    }

    #[test]
    fn no_stack_no_marker() {
        let phdrs = program_headers();
        assert_eq!(gnu_stack(&phdrs[..2 * 56]), None);
        assert_eq!(gnu_stack(&phdrs[..3 * 56 - 1]), None);
        assert_eq!(gnu_stack(&[]), None);
    }

    #[test]
    fn the_identity_is_the_layout_and_not_the_marker() -> Result {
        let header = Header::parse(&encode(&elf_header()))?;
        let phdrs = program_headers();
        let identity = layout_crc(&header, &phdrs);

        let mut unmarked = phdrs;
        unmarked[2 * 56 + 4..].fill(0);
        assert_eq!(layout_crc(&header, &unmarked), identity);

        let mut moved = phdrs;
        moved[8] ^= 1;
        assert!(layout_crc(&header, &moved) != identity);

        let mut other = header;
        other.entry += 1;
        assert!(layout_crc(&other, &phdrs) != identity);
        other = header;
        other.kind = ET_EXEC;
        assert!(layout_crc(&other, &phdrs) != identity);
        other = header;
        other.machine += 1;
        assert!(layout_crc(&other, &phdrs) != identity);
        // Where the section headers are does not matter: annotating moves them.
        other = header;
        other.shoff += 1;
        other.shnum += 1;
        assert_eq!(layout_crc(&other, &phdrs), identity);
        Ok(())
    }

    #[test]
    fn the_section_is_found_by_its_type() {
        let shdrs = section_headers();
        let mut found = find_section(&shdrs);
        let section = found
            .next()
            .map(|(index, section)| (index, section.sh_size));
        assert_eq!(section, Some((1, 0x2000)));
        assert_eq!(found.next().map(|(index, _)| index), None);
        assert_eq!(find_section(&shdrs[..127]).count(), 0);
        assert_eq!(find_section(&[]).count(), 0);
    }

    #[test]
    fn the_name_is_compared_whole() {
        assert!(is_section_name(b".pbitmap\0"));
        assert!(is_section_name(b".pbitmap\0.text\0"));
        assert!(!is_section_name(b".pbitmap"));
        assert!(!is_section_name(b".pbitmaps\0"));
        assert!(!is_section_name(b".pbit\0"));
        assert!(!is_section_name(b""));
    }

    #[test]
    fn pages_shared_with_a_segment_are_noticed() {
        let phdrs = program_headers();
        // The segments map the pages 0, 1 and 3, 4.
        assert!(overlaps_load(&phdrs, 0, 1, 4096));
        assert!(overlaps_load(&phdrs, 0x1fff, 1, 4096));
        assert!(!overlaps_load(&phdrs, 0x2000, 0x1000, 4096));
        assert!(overlaps_load(&phdrs, 0x2000, 0x1001, 4096));
        assert!(overlaps_load(&phdrs, 0x1fff, 0x1000, 4096));
        assert!(overlaps_load(&phdrs, 0x4fff, 1, 4096));
        assert!(!overlaps_load(&phdrs, 0x5000, 0x10_0000, 4096));
        // With larger pages they reach further.
        assert!(overlaps_load(&phdrs, 0x5000, 1, 65536));
        assert!(!overlaps_load(&phdrs, 0x1_0000, 1, 65536));
    }

    #[test]
    fn ranges_that_no_file_has_count_as_shared() {
        let mut phdrs = program_headers();
        assert!(overlaps_load(&phdrs, u64::MAX, 1, 4096));
        assert!(overlaps_load(&phdrs, 1 << 63, 1, 4096));
        assert!(overlaps_load(&phdrs, 0x8000, 1, 0));
        assert!(!overlaps_load(&phdrs, 0x8000, 1, 4096));
        phdrs[8..16].fill(0xff);
        assert!(overlaps_load(&phdrs, 0x8000, 1, 4096));
    }

    #[test]
    fn a_segment_without_bytes_of_the_file_shares_nothing() {
        let mut phdrs = program_headers();
        phdrs[8] = 0x10;
        phdrs[32..40].fill(0);
        assert!(!overlaps_load(&phdrs, 0, 0x3000, 4096));
    }

    #[test]
    fn the_alignment_covers_the_largest_page() {
        assert_eq!(section_alignment(EM_X86_64), 4096);
        assert_eq!(section_alignment(183), 65536);
        assert_eq!(ProgramHeader::SIZE, 56);
    }

    #[test]
    fn the_build_id_is_the_note_of_gnu_with_type_3() {
        let note = *b"\x04\0\0\0\x03\0\0\0\x03\0\0\0GNU\0abc\0";
        assert_eq!(build_id(&note), Some(&b"abc"[..]));
        // The padding of the last one may be missing.
        assert_eq!(build_id(&note[..19]), Some(&b"abc"[..]));
        assert_eq!(build_id(&note[..18]), None);
        assert_eq!(build_id(&note[..11]), None);
        assert_eq!(build_id(b""), None);
        for (offset, value) in [(0, 3), (4, 0), (8, 1), (12, b'g'), (15, b'x')] {
            let mut other = note;
            other[offset] = value;
            assert_eq!(build_id(&other), None);
        }
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        let mut notes = *b"\x04\0\0\0\x05\0\0\0\x01\0\0\0GNU\0abcde\0\0\0\
            \0\0\0\0\0\0\0\0\x03\0\0\0\
            \x06\0\0\0\0\0\0\0\x03\0\0\0Linux\0\0\0\
            \x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0abcdefghij0123456789\
            \x04\0\0\0\x03\0\0\0\x03\0\0\0GNU\0abc\0";
        assert_eq!(build_id(&notes), Some(&b"abcdefghij0123456789"[..]));
        // Lengths that lead outside, or around.
        for len in [u32::MAX, u32::MAX - 3, i32::MAX as u32, 200] {
            notes[..4].copy_from_slice(&len.to_le_bytes());
            assert_eq!(build_id(&notes), None);
            notes[..8].copy_from_slice(b"\x04\0\0\0\x05\0\0\0");
            notes[4..8].copy_from_slice(&len.to_le_bytes());
            assert_eq!(build_id(&notes), None);
        }
    }

    #[test]
    fn of_the_id_of_go_the_first_part_counts() {
        let id =
            b"z1S4xxQZRn8LyntX85uc/rOBMvL37lNw6Z7jnzVqw/WmJfxkxYrHVD0TggvQ2r/2hPlkw9Q5fQ8cBqW1dZx";
        assert_eq!(go_action(id), Some(&id[..20]));
        assert_eq!(go_action(&id[..21]), Some(&id[..20]));
        for other in [
            &id[..20],
            &id[1..],
            b"redacted",
            b"a/b/c/d/e/f/g/h/i/j//",
            b"",
        ] {
            assert_eq!(go_action(other), None);
        }
    }

    #[test]
    fn the_build_id_is_found_in_the_head() {
        const NOTES: usize = 64 + 2 * 56;
        let mut head = [0; 256];
        head[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        for (at, value) in [
            (16, 3u16),
            (18, EM_X86_64),
            (52, 64),
            (54, 56),
            (56, 2),
            (58, 64),
        ] {
            head[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        head[20] = 1;
        head[32] = 64;
        // Of two segments the second one is of notes.
        let phdr = &mut head[64 + 56..];
        phdr[..4].copy_from_slice(&4u32.to_le_bytes());
        phdr[8..16].copy_from_slice(&(NOTES as u64).to_le_bytes());
        phdr[32..40].copy_from_slice(&20u64.to_le_bytes());
        head[NOTES..NOTES + 20].copy_from_slice(b"\x04\0\0\0\x03\0\0\0\x03\0\0\0GNU\0abc\0");
        assert_eq!(build_id_in(&head), Some(&b"abc"[..]));
        // The notes, the program headers or the header are not all there.
        for len in [NOTES + 19, NOTES - 1, 63, 0] {
            assert_eq!(build_id_in(&head[..len]), None);
        }
        // Go's, unless there is one of GNU in another segment.
        let mut go = [0; 320];
        go[..NOTES + 20].copy_from_slice(&head[..NOTES + 20]);
        go[64..64 + 56].copy_from_slice(&head[64 + 56..NOTES]);
        go[64 + 8..64 + 16].copy_from_slice(&256u64.to_le_bytes());
        go[64 + 32..64 + 40].copy_from_slice(&37u64.to_le_bytes());
        go[256..256 + 37]
            .copy_from_slice(b"\x04\0\0\0\x15\0\0\0\x04\0\0\0Go\0\x000123456789abcdefghij/");
        assert_eq!(build_id_in(&go), Some(&b"abc"[..]));
        go[NOTES + 8] = 1;
        assert_eq!(build_id_in(&go), Some(&b"0123456789abcdefghij"[..]));
        for offset in [u64::MAX, u64::MAX - 19, 237] {
            head[64 + 56 + 8..64 + 56 + 16].copy_from_slice(&offset.to_le_bytes());
            assert_eq!(build_id_in(&head), None);
        }
    }
}
