// SPDX-License-Identifier: GPL-2.0

//! Tests of [`format::layout`](super::super::format::layout): the fields are where the
//! documentation says.

use super::super::format::{
    error::{
        Error,
        Result, //
    },
    layout::{
        FileRecord,
        ProfileRecord,
        SlotHeader,
        UndoRecord, //
    },
};

/// Bytes that are all different, as far as bytes can be.
fn counting<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    bytes
}

#[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_layout))]
mod tests {
    use super::*;

    #[test]
    fn slot_header_fields() -> Result {
        let header = SlotHeader::decode(&counting::<128>()).ok_or(Error::Truncated)?;
        assert_eq!(header.magic, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(header.version, 0x0908);
        assert_eq!(header.header_size, 0x0b0a);
        assert_eq!(header.page_size, 0x0f0e_0d0c);
        assert_eq!(header.feature_compat, 0x1312_1110);
        assert_eq!(header.feature_incompat, 0x1716_1514);
        assert_eq!(header.generation, 0x1f1e_1d1c_1b1a_1918);
        assert_eq!(header.slot_size, 0x2322_2120);
        assert_eq!(header.used_bytes, 0x2726_2524);
        assert_eq!(header.crc32c, 0x2b2a_2928);
        assert_eq!(header.layout_crc, 0x2f2e_2d2c);
        assert_eq!(header.build_id[0], 0x30);
        assert_eq!(header.build_id_len, 0x44);
        assert_eq!(header.updated, 0x4f4e_4d4c_4b4a_4948);
        assert_eq!(header.profiles_offset, 0x5352_5150);
        assert_eq!(header.profile_count, 0x5554);
        assert_eq!(header.files_offset, 0x5b5a_5958);
        assert_eq!(header.file_count, 0x5f5e_5d5c);
        assert_eq!(header.elf_size, 0x6766_6564_6362_6160);
        Ok(())
    }

    #[test]
    fn profile_record_fields() -> Result {
        let record = ProfileRecord::decode(&counting::<64>()).ok_or(Error::Truncated)?;
        assert_eq!(record.kind, 0x0100);
        assert_eq!(record.flags, 0x0302);
        assert_eq!(record.key_len, 0x0706_0504);
        assert_eq!(record.key_offset, 0x0b0a_0908);
        assert_eq!(record.first_file, 0x0f0e_0d0c);
        assert_eq!(record.file_count, 0x1312_1110);
        assert_eq!(record.runs, 0x1716_1514);
        assert_eq!(record.last_used, 0x1f1e_1d1c_1b1a_1918);
        Ok(())
    }

    #[test]
    fn file_record_fields() -> Result {
        let record = FileRecord::decode(&counting::<128>()).ok_or(Error::Truncated)?;
        assert_eq!(record.kind, 0x0100);
        assert_eq!(record.flags, 0x0302);
        assert_eq!(record.encoding, 0x0504);
        assert_eq!(record.plane_count, 0x0706);
        assert_eq!(record.path_offset, 0x0b0a_0908);
        assert_eq!(record.path_len, 0x0f0e_0d0c);
        assert_eq!(record.first_page, 0x1716_1514_1312_1110);
        assert_eq!(record.page_count, 0x1b1a_1918);
        assert_eq!(record.plane_stride, 0x1f1e_1d1c);
        assert_eq!(record.planes_offset, 0x2322_2120);
        assert_eq!(record.generation, 0x2726_2524);
        assert_eq!(record.dev, 0x2f2e_2d2c_2b2a_2928);
        assert_eq!(record.ino, 0x3736_3534_3332_3130);
        assert_eq!(record.size, 0x3f3e_3d3c_3b3a_3938);
        assert_eq!(record.mtime_sec, 0x4746_4544_4342_4140);
        assert_eq!(record.mtime_nsec, 0x4b4a_4948);
        assert_eq!(record.build_id_len, 0x4f4e_4d4c);
        assert_eq!(record.build_id[0], 0x50);
        Ok(())
    }

    #[test]
    fn records_survive_encoding() -> Result {
        let bytes = counting::<128>();
        let mut copy = [0; 128];
        let header = SlotHeader::decode(&bytes).ok_or(Error::Truncated)?;
        header.encode(&mut copy).ok_or(Error::Truncated)?;
        assert_eq!(bytes, copy);
        copy.fill(0);
        let file = FileRecord::decode(&bytes).ok_or(Error::Truncated)?;
        file.encode(&mut copy).ok_or(Error::Truncated)?;
        assert_eq!(bytes, copy);
        Ok(())
    }

    #[test]
    fn a_record_needs_all_its_bytes() {
        assert_eq!(SlotHeader::decode(&[0; 127]), None);
        assert_eq!(SlotHeader::default().encode(&mut [0; 127]), None);
        assert_eq!(ProfileRecord::decode(&[0; 63]), None);
        assert_eq!(FileRecord::decode(&[]), None);
    }

    #[test]
    fn undo_record_round_trip() -> Result {
        let record = UndoRecord {
            original_size: 123_456,
            shoff: 120_000,
            shnum: 31,
            shstrndx: 30,
            stack_flags: 6,
            stack_index: 9,
            shentsize: 64,
            ..UndoRecord::default()
        };
        let mut file = [0xaa; 100];
        file[36..].copy_from_slice(&record.to_bytes());
        let read = UndoRecord::parse(&file)?;
        assert_eq!(read.original_size, 123_456);
        assert_eq!(read.shoff, 120_000);
        assert_eq!(read.shnum, 31);
        assert_eq!(read.stack_index, 9);
        assert_eq!(read.shentsize, 64);

        assert_eq!(UndoRecord::parse(&file[..99]).err(), Some(Error::BadMagic));
        assert_eq!(UndoRecord::parse(&file[..63]).err(), Some(Error::Truncated));
        file[50] ^= 1;
        assert_eq!(UndoRecord::parse(&file).err(), Some(Error::BadCrc));
        Ok(())
    }

    #[test]
    fn errors_have_their_own_names() {
        let mut unique = true;
        let mut in_order = true;
        for (index, error) in Error::ALL.iter().enumerate() {
            in_order &= error.index() == index;
            for other in Error::ALL.iter().skip(index + 1) {
                unique &= error.as_str() != other.as_str();
            }
        }
        assert!(unique);
        assert!(in_order);
    }
}
