// SPDX-License-Identifier: GPL-2.0

//! What is built is what is read.

use super::{bytes::Bytes, section::choices, section::walk, update::updates, MERGES};
use pbitmap_core::{
    format::bitmap::Bitmap,
    format::error::Error,
    format::layout::{FILE_BY_PATH, FILE_EXECUTABLE, PROFILE_DEFAULT},
    format::slot::{
        BuildId, Builder, FileIdentity, FileInput, Identity, Outcome, ProfileInput, Slot,
        SlotHeader,
    },
    format::turns::Turns,
};

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
            data_page: u32::from(*op) << 7,
            is_read: op & 4 != 0,
            turns: Turns::from_bytes([*op; 24]),
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
            assert_eq!(file.record.data_page, stored.input.data_page);
            assert_eq!(file.turns(), stored.input.turns);
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
