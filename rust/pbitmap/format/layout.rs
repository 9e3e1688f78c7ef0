// SPDX-License-Identifier: GPL-2.0

//! The records of the format, byte by byte.
//!
//! Fields named `reserved` are written as zero and not looked at by a reader.

use super::record::record;

/// The feature bits of INCOMPAT that this code knows.
pub const KNOWN_INCOMPAT: u32 = 0;

/// [`ProfileRecord::kind`]: used when no other profile matches.
pub const PROFILE_DEFAULT: u16 = 0;
/// [`ProfileRecord::kind`]: the key is the name the program was started under.
pub const PROFILE_BY_NAME: u16 = 1;
/// [`ProfileRecord::kind`]: the key is the path of the script that is run.
pub const PROFILE_BY_SCRIPT: u16 = 2;
/// [`ProfileRecord::kind`]: the key is the first argument.
pub const PROFILE_BY_ARGUMENT: u16 = 3;

/// [`FileRecord::kind`]: the executable that holds the section.
pub const FILE_EXECUTABLE: u16 = 0;
/// [`FileRecord::kind`]: another file, by its path, or [metadata](super::metadata).
pub const FILE_BY_PATH: u16 = 1;

/// [`FileRecord::flags`]: pages were dropped because they did not fit.
pub const FILE_TRUNCATED: u16 = 1;

/// [`FileRecord::flags`]: the program read the file, and mapped nothing of it.
pub const FILE_READ: u16 = 2;
/// [`FileRecord::flags`] in a [packed slot](super::packed) only: a [`FileRecord::data_page`] follows.
pub const FILE_DATA: u16 = 4;
/// [`FileRecord::flags`] in a [packed slot](super::packed) only: [`FileRecord::turns`] follow.
pub const FILE_TURNS: u16 = 8;

/// [`FileRecord::encoding`]: one bit a page.
pub const ENCODING_RAW: u16 = 0;

record! {
    /// The start of a slot.
    pub struct SlotHeader: 128 {
        /// [`MAGIC`](super::MAGIC).
        0x00 magic: [u8; 8],
        /// [`VERSION`](super::VERSION).
        0x08 version: u16,
        /// [`SlotHeader::SIZE`].
        0x0a header_size: u16,
        /// Bytes in a page.
        0x0c page_size: u32,
        /// Features that a reader may ignore and a writer must keep.
        0x10 feature_compat: u32,
        /// Features without which the slot must not be read.
        0x14 feature_incompat: u32,
        /// Counts the writes; the slot with the higher one is in force. Never 0.
        0x18 generation: u64,
        /// Bytes of the slot.
        0x20 slot_size: u32,
        /// Bytes of the slot that are in use; what the CRC covers.
        0x24 used_bytes: u32,
        /// CRC32C of the used bytes, this field taken as zero.
        0x28 crc32c: u32,
        /// Identity of the ELF file: [`layout_crc`](super::elf::layout_crc).
        0x2c layout_crc: u32,
        /// The first bytes of the build id, GNU's or Go's, padded with zeroes.
        0x30 build_id: [u8; 20],
        /// Bytes of the build id, at most 20; 0 if there is none.
        0x44 build_id_len: u8,
        /// Zero.
        0x45 reserved0: [u8; 3],
        /// When the last recording was stored, in seconds since the epoch; 0 for never.
        0x48 updated: u64,
        /// Where the profile records start.
        0x50 profiles_offset: u32,
        /// How many profile records there are.
        0x54 profile_count: u16,
        /// What tells the ways apart in which the program is used: the `PROFILE_BY_*` of the
        /// profiles that are made; 0 makes none but the default.
        0x56 profile_by: u16,
        /// Where the file records start.
        0x58 files_offset: u32,
        /// How many file records there are, those of all profiles together.
        0x5c file_count: u32,
        /// Bytes of the ELF file before it was annotated.
        0x60 elf_size: u64,
        /// Most profiles that are kept, the default one counted.
        0x68 max_profiles: u16,
        /// Planes that each file gets: how many recordings are remembered.
        0x6a planes: u16,
        /// Zero.
        0x6c reserved1: [u8; 20],
    }
}

record! {
    /// One way in which the program is used, and the file records that belong to it.
    pub struct ProfileRecord: 64 {
        /// What the key is compared with: `PROFILE_*`.
        0x00 kind: u16,
        /// Zero.
        0x02 flags: u16,
        /// Bytes of the key.
        0x04 key_len: u32,
        /// Where the key is.
        0x08 key_offset: u32,
        /// Index of the first file record.
        0x0c first_file: u32,
        /// How many file records follow it, itself counted.
        0x10 file_count: u32,
        /// How many recordings went into it; stays at its highest value.
        0x14 runs: u32,
        /// When it was last recorded, in seconds since the epoch.
        0x18 last_used: u64,
        /// Pages that were prefetched, or found in memory, for the last recording.
        0x20 wanted: u32,
        /// Those of them that the program then touched.
        0x24 hits: u32,
        /// Zero.
        0x28 reserved: [u8; 24],
    }
}

record! {
    /// The pages of one file.
    pub struct FileRecord: 128 {
        /// Which file: `FILE_*`.
        0x00 kind: u16,
        /// [`FILE_TRUNCATED`].
        0x02 flags: u16,
        /// How the planes are written: `ENCODING_*`.
        0x04 encoding: u16,
        /// How many planes there are.
        0x06 plane_count: u16,
        /// Where the path is.
        0x08 path_offset: u32,
        /// Bytes of the path; 0 for the executable.
        0x0c path_len: u32,
        /// The page that bit 0 stands for; 0 for the executable.
        0x10 first_page: u64,
        /// Bits in a plane.
        0x18 page_count: u32,
        /// Bytes from one plane to the next, a multiple of 8.
        0x1c plane_stride: u32,
        /// Where the first plane is.
        0x20 planes_offset: u32,
        /// Generation of the inode.
        0x24 generation: u32,
        /// Device number.
        0x28 dev: u64,
        /// Inode number.
        0x30 ino: u64,
        /// Bytes of the file.
        0x38 size: u64,
        /// When the file was modified, seconds since the epoch.
        0x40 mtime_sec: i64,
        /// When the file was modified, nanoseconds of the second.
        0x48 mtime_nsec: u32,
        /// Bytes of the build id, at most 20; 0 if there is none.
        0x4c build_id_len: u32,
        /// The first bytes of the build id, GNU's or Go's, padded with zeroes.
        0x50 build_id: [u8; 20],
        /// The first page that is private memory of each program that maps it, as data that a loader
        /// relocates is: from there on it is needed first. 0 if there is none.
        0x64 data_page: u32,
        /// When its parts are needed: [`Turns`](super::turns::Turns).
        0x68 turns: [u8; 24],
    }
}

record! {
    /// The last bytes of an annotated file: what `remove` needs to give the original back.
    pub struct UndoRecord: 64 {
        /// [`UndoRecord::MAGIC`].
        0x00 magic: [u8; 8],
        /// Bytes of the original file.
        0x08 original_size: u64,
        /// `e_shoff` of the original.
        0x10 shoff: u64,
        /// `e_shnum` of the original.
        0x18 shnum: u16,
        /// `e_shstrndx` of the original.
        0x1a shstrndx: u16,
        /// `p_flags` of the original's `PT_GNU_STACK`.
        0x1c stack_flags: u32,
        /// `p_offset` of the original's `PT_GNU_STACK`.
        0x20 stack_offset: u64,
        /// `p_filesz` of the original's `PT_GNU_STACK`.
        0x28 stack_filesz: u64,
        /// Index of `PT_GNU_STACK` among the program headers.
        0x30 stack_index: u32,
        /// `e_shentsize` of the original, which can be anything if it has no section headers.
        0x34 shentsize: u16,
        /// Zero.
        0x36 reserved: [u8; 6],
        /// CRC32C of the bytes before this field.
        0x3c crc32c: u32,
    }
}
