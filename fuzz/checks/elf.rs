// SPDX-License-Identifier: GPL-2.0

//! Files, and what is in their headers.

use pbitmap_core::{
    format::elf::{self, Header, PT_LOAD},
    format::{MAX_PHNUM, MAX_SHNUM},
};

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
    if let Some(part) = elf::go_action(bytes) {
        assert_eq!(part, &bytes[..20]);
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
