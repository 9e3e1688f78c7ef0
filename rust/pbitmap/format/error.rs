// SPDX-License-Identifier: GPL-2.0

//! What can be wrong with an ELF file, a slot, or a request to write one.

use core::fmt;

/// The result of this crate's functions.
pub type Result<T = ()> = core::result::Result<T, Error>;

/// Declares [`Error`] with the two texts of each reason in one place.
macro_rules! errors {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $message:literal;)+) => {
        /// A reason not to use, or not to write, a bitmap.
        ///
        /// The variants are ordered by how far the check came: of two slots that are both refused,
        /// the greater reason is the more telling one.
        #[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub enum Error {
            $($(#[$doc])* $variant,)+
        }

        impl Error {
            /// All reasons, for tables of counters.
            pub const ALL: &'static [Error] = &[$(Error::$variant,)+];

            /// A short name, as the counters show it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Error::$variant => $name,)+
                }
            }

            /// A sentence for people, without a full stop.
            pub const fn message(self) -> &'static str {
                match self {
                    $(Error::$variant => $message,)+
                }
            }
        }
    };
}

errors! {
    /// The bytes end before the structure does.
    Truncated = "truncated", "the file ends before the structure does";
    /// No ELF magic.
    NotElf = "not_elf", "not an ELF file";
    /// Not `ELFCLASS64`.
    NotElf64 = "not_elf64", "not a 64-bit ELF file";
    /// Not `ELFDATA2LSB`.
    NotLittleEndian = "not_little_endian", "not a little-endian ELF file";
    /// Not `EV_CURRENT`.
    BadElfVersion = "bad_elf_version", "unknown ELF version";
    /// Neither `ET_EXEC` nor `ET_DYN`.
    NotExecutable = "not_executable", "neither an executable nor a shared object";
    /// No program headers, of the wrong size, too many, or out of range.
    BadProgramHeaders = "bad_program_headers", "the program headers are missing or malformed";
    /// No section headers.
    NoSectionHeaders = "no_section_headers", "the file has no section headers";
    /// Section headers of the wrong size, too many, or out of range.
    BadSectionHeaders = "bad_section_headers", "the section headers are malformed";
    /// No magic at the start of the slot: it was never written.
    BadMagic = "bad_magic", "there is no bitmap in the slot";
    /// A version that this code does not know.
    BadVersion = "bad_version", "the bitmap is of an unknown version";
    /// An INCOMPAT feature that this code does not know.
    Incompatible = "incompatible", "the bitmap uses a feature that is not known here";
    /// A size, count or offset in the slot header is impossible.
    BadHeader = "bad_header", "the slot header is malformed";
    /// The slot's size is not half of the section's.
    BadSlotSize = "bad_slot_size", "the slot is not half of its section";
    /// The bitmap counts pages of another size.
    BadPageSize = "bad_page_size", "the bitmap was made for another page size";
    /// The bitmap was made for another ELF file.
    Stale = "stale", "the bitmap was made for another version of this file";
    /// The checksum does not match.
    BadCrc = "bad_crc", "the checksum of the bitmap does not match";
    /// A record leads outside the slot, or contradicts itself.
    BadRecord = "bad_record", "a record of the bitmap is malformed";
    /// What must be stored does not fit.
    NoRoom = "no_room", "the slot is too small";
    /// The generation cannot be counted up any more.
    GenerationExhausted = "generation_exhausted", "the generation cannot be counted up";
}

impl Error {
    /// The index of this reason in [`Error::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl core::error::Error for Error {}
