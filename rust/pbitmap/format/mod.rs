// SPDX-License-Identifier: GPL-2.0

//! The on-disk format of a presence bitmap, version 1, and the little of ELF that is needed to
//! find it.
//!
//! The same files are compiled into the kernel module and into the tool. Nothing here allocates,
//! nothing here is `unsafe`, and nothing here panics whatever bytes it is given: every length and
//! offset comes from a file that anybody may have written.
//!
//! # Where it is
//!
//! A section `.pbitmap` of type [`SHT_PRESENT_BITMAP`] holds two *slots* of the same size, each
//! complete in itself. The valid slot with the higher generation is in force; the next recording
//! goes to the other one with the generation after it, so a write that is torn or lost leaves the
//! older slot as it was.
//!
//! `p_flags` bit [`PF_PBITMAP`] of the program header `PT_GNU_STACK` says that it is worth looking.
//! Its `p_offset` and `p_filesz`, which no kernel and no loader uses, may hold a hint of where the
//! section is; the section headers are the truth.
//!
//! # A slot
//!
//! All numbers are little-endian, all structures are aligned to 8 bytes, and all offsets in a slot
//! count from its start.
//!
//! ```text
//! 0          SlotHeader     128 bytes
//!            ProfileRecord   64 bytes each: default, by name, by script, by first argument
//!            FileRecord     128 bytes each: the executable itself, files by path
//!            keys, paths and planes, each padded to 8 bytes
//! used_bytes
//!            unused, zero
//! slot_size
//! ```
//!
//! A *plane* is a bitmap of file pages: bit `b` of byte `n` stands for page
//! `first_page + 8 * n + b`. Plane 0 is the newest recording.
//!
//! A slot is valid for an executable if its magic, version, INCOMPAT bits, page size, sizes and
//! offsets, layout CRC (the identity of the ELF file) and CRC32C are right, and if its records
//! together claim no more files and no more data than there are. Of a valid slot, a record of an
//! unknown kind or encoding, or with offsets that lead outside, is skipped alone.
//!
//! # Recordings
//!
//! A *recording* is what a run of the program touched, file by file, with the *key* of the profile
//! that it belongs to. [`update::update`] makes the slot that follows another of it: the recorded
//! profile comes first, with its older recordings in the planes after the new one, and the other
//! profiles behind it. [`merge`](super::policy::merge) says which of the pages are worth
//! prefetching, [`profile`](super::policy::profile) which of the profiles.
//!
//! # What does not fit
//!
//! The size of a slot is fixed when a file is annotated. First the profiles go that were not used
//! for the longest time, then what is last in the recorded one: whole files, and the highest pages
//! of the last one that is left, which is marked [`layout::FILE_TRUNCATED`]. The executable is the
//! first file, and without it nothing is written.
//!
//! The fields, byte by byte, are in [`layout`] and in `Documentation/format.rst`.

#![forbid(unsafe_code)]
#![deny(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod bitmap;
pub mod builder;
pub mod copy;
pub mod crc32c;
pub mod elf;
pub mod error;
pub mod layout;
pub mod metadata;
pub mod near;
pub mod packed;
mod record;
pub mod slot;
pub mod turns;
pub mod undo;
pub mod update;

/// The first bytes of a slot.
pub const MAGIC: [u8; 8] = *b"PBITMAP\0";

/// The version of the format that this code reads and writes.
pub const VERSION: u16 = 1;

/// Bytes in a page, the unit of the bitmap.
pub const PAGE_SIZE: u32 = 4096;

/// `sh_type` of the section that holds the slots.
pub const SHT_PRESENT_BITMAP: u32 = 0x6fff_fc18;

/// Name of the section that holds the slots.
pub const SECTION_NAME: &[u8] = b".pbitmap";

/// `p_flags` bit of `PT_GNU_STACK`: this file has a bitmap.
pub const PF_PBITMAP: u32 = 0x8;

/// Most profiles in a slot.
pub const MAX_PROFILES: usize = 64;

/// Most file records in a slot.
pub const MAX_FILES: usize = 1024;

/// Most planes in a file record.
pub const MAX_PLANES: usize = 8;

/// Longest path in a file record, and longest key of a profile.
pub const MAX_PATH: usize = 4095;

/// Largest slot, in bytes.
pub const MAX_SLOT: usize = 1 << 20;

/// Most program headers that are looked at; files with more are left alone.
pub const MAX_PHNUM: u16 = 128;

/// Most section headers that are looked at; files with more are left alone.
pub const MAX_SHNUM: u16 = 4096;
