// SPDX-License-Identifier: GPL-2.0

//! Replays what was kept from fuzzing: seeds that say by their names what is wrong with them, and
//! whatever libFuzzer found worth keeping. Each input is also tried cut short, with a byte changed
//! and with bytes added, so that a change to the reader meets more than the files themselves.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pbitmap_core::format::{
    crc32c::crc32c,
    error::Error,
    packed::{pack, Loss, Packed},
    slot::{choose, Identity, Slot},
};

#[path = "../../../fuzz/checks/mod.rs"]
mod checks;

/// The files of one target's corpus, of which there must be at least `minimum`.
fn corpus(target: &str, minimum: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut inputs: Vec<_> = fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    assert!(
        inputs.len() >= minimum,
        "{} has {} inputs, {minimum} are expected",
        dir.display(),
        inputs.len()
    );
    inputs.sort();
    inputs
}

/// Runs `check` on every input and its variations; says which one failed.
fn replay(target: &str, minimum: usize, check: fn(&[u8])) {
    struct Name<'a>(&'a Path, String);
    impl Drop for Name<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the input was {} {}", self.0.display(), self.1);
            }
        }
    }
    for (path, bytes) in corpus(target, minimum) {
        let mut name = Name(&path, String::new());
        check(&bytes);
        // Enough of them to be of use, and few enough that large inputs do not take minutes.
        let step = bytes.len().div_ceil(24).max(1);
        for at in (0..bytes.len()).step_by(step) {
            name.1 = format!("cut to {at} bytes");
            check(&bytes[..at]);
            for change in [0x01, 0x80, 0xff] {
                name.1 = format!("with {change:#x} flipped at {at}");
                let mut changed = bytes.clone();
                changed[at] ^= change;
                check(&changed);
            }
        }
        name.1 = "with bytes added".to_owned();
        let mut longer = bytes.clone();
        longer.extend([0xff; 64]);
        check(&longer);
    }
}

#[test]
fn elf() {
    replay("elf", 10, checks::elf);
}

#[test]
fn section() {
    replay("section", 30, checks::section);
}

#[test]
fn plan() {
    replay("plan", 5, checks::plan);
}

#[test]
fn round_trip() {
    replay("round_trip", 5, checks::round_trip);
}

#[test]
fn update() {
    replay("update", 5, checks::update);
}

#[test]
fn packed() {
    replay("packed", 10, checks::packed);
}

#[test]
fn packed_seeds_are_what_their_names_say() {
    let sound = [
        "sound",
        "checksum-made-right",
        "no-plane",
        "largest-parameters",
    ];
    let broken = [
        ("magic-wrong", Error::BadMagic),
        ("checksum-wrong", Error::BadCrc),
        ("nothing", Error::Truncated),
        ("head-only", Error::Truncated),
        ("slot-too-small", Error::BadRecord),
        ("slot-size-odd", Error::BadHeader),
        ("slot-size-huge", Error::BadRecord),
        ("room-too-small", Error::BadHeader),
        ("room-huge", Error::BadRecord),
        ("build-id-long", Error::BadRecord),
        ("generation-zero", Error::BadHeader),
        ("fewer-profiles-than-said", Error::Truncated),
        ("more-files-than-said", Error::BadRecord),
        ("profiles-too-many", Error::BadRecord),
        ("nine-planes", Error::BadRecord),
        ("page-count-huge", Error::BadRecord),
        ("path-long", Error::BadRecord),
        ("run-past-the-end", Error::BadRecord),
        ("gap-huge", Error::BadRecord),
        ("code-too-long", Error::BadRecord),
        ("runs-without-end", Error::BadRecord),
    ];
    let inputs = corpus("packed", sound.len() + broken.len());
    let unpack = |name: &str| {
        let input = inputs.iter().find(|(path, _)| path.ends_with(name));
        let (_, bytes) = input.unwrap_or_else(|| panic!("no seed {name}"));
        let mut bytes = bytes[2..].to_vec();
        if name == "checksum-made-right" {
            let crc = crc32c(&bytes[8..]).to_le_bytes();
            bytes[4..8].copy_from_slice(&crc);
        }
        let packed = Packed::parse(&bytes)?;
        let mut slot = vec![0; packed.slot_size];
        packed.unpack(&mut slot)?;
        Ok(slot)
    };
    for (name, error) in broken {
        assert_eq!(unpack(name), Err(error), "{name}");
    }
    for name in sound {
        let bytes = unpack(name).unwrap();
        let slot = Slot::parse(&bytes, &Identity::new(0x1234_5678)).unwrap();
        assert_eq!(slot.verify(), Ok(()));
        let profiles: Vec<_> = slot.profiles().collect();
        assert_eq!(
            (profiles.len(), profiles[0].key(), profiles[0].record.hits),
            (2, &b"vi"[..], 9)
        );
        let files: Vec<_> = slot.files(&profiles[0]).collect();
        if name != "no-plane" {
            let planes = [0, 1].map(|plane| files[0].plane(plane).unwrap());
            let runs = planes.map(|plane| plane.runs().collect::<Vec<_>>());
            assert_eq!(runs[0], [(0, 3), (12, 1), (113, 64)]);
            assert_eq!(runs[1], [(0, 3), (12, 1), (113, 64), (290, 2)]);
        }
        assert_eq!(
            (files[1].path(), files[1].record.mtime_sec),
            (&b"/a/lib"[..], -5)
        );
        assert_eq!(files[1].build_id().as_bytes(), b"abcd");
    }
}

/// The seeds are written by a script of their own from the documentation alone, so this is where
/// reader and documentation would be seen to differ.
#[test]
fn seeds_are_what_their_names_say() {
    let expected = [
        ("fresh", Ok(0)),
        ("two-slots", Ok(1)),
        ("same-generation", Ok(0)),
        ("last-generation", Ok(0)),
        ("two-files", Ok(0)),
        ("eight-planes", Ok(0)),
        ("no-plane", Ok(0)),
        ("slots-swapped", Ok(1)),
        ("torn-newer-slot", Ok(0)),
        ("torn-header", Ok(0)),
        ("both-torn", Err(Error::BadCrc)),
        ("empty", Err(Error::BadMagic)),
        ("odd-length", Err(Error::BadSlotSize)),
        // These have a sound slot of generation 1 beside the one that the name is about.
        ("compat-unknown", Ok(0)),
        ("incompat-unknown", Ok(1)),
        ("generation-zero", Ok(1)),
        ("stale", Ok(1)),
        ("used-huge", Ok(1)),
        ("files-over-profiles", Ok(1)),
        ("profile-files-huge", Ok(1)),
        ("planes-too-many", Ok(1)),
        ("file-kind-unknown", Ok(0)),
        ("encoding-unknown", Ok(0)),
        ("plane-outside", Ok(0)),
    ];
    let inputs = corpus("section", expected.len());
    for (name, expected) in expected {
        let input = inputs.iter().find(|(path, _)| path.ends_with(name));
        let (_, bytes) = input.unwrap_or_else(|| panic!("no seed {name}"));
        let chosen = choose(&bytes[1..], &Identity::new(0x1234_5678));
        let chosen = chosen.map(|(index, _)| index);
        assert_eq!(chosen, expected, "{name}");
    }
    let (_, bytes) = inputs
        .iter()
        .find(|(path, _)| path.ends_with("two-files"))
        .unwrap();
    let (_, slot) = choose(&bytes[1..], &Identity::new(0x1234_5678)).unwrap();
    assert_eq!(slot.verify(), Ok(()));
    assert_eq!(slot.header().build_id().as_bytes(), b"build id");
    let profiles: Vec<_> = slot.profiles().collect();
    assert_eq!(profiles[1].key(), b"vi");
    let library = slot.files(&profiles[1]).next().unwrap();
    assert_eq!(library.path(), b"/a/lib");
    assert_eq!(library.record.first_page, 7);
    assert_eq!(library.record.mtime_sec, -5);
    assert_eq!(library.build_id().as_bytes(), b"abcd");
    assert_eq!(library.plane(1).unwrap().count(), 32);
}

/// The bytes of a dump, into `bytes`; how many there are up to the last line.
fn undump(dump: &str, bytes: &mut [u8]) -> usize {
    let mut end = 0;
    for line in dump.lines().filter(|line| line.starts_with("    ")) {
        let mut words = line.split_whitespace();
        let offset = usize::from_str_radix(words.next().unwrap(), 16).unwrap();
        let hex = words.take_while(|word| word.len() == 2).take(16);
        for (byte, word) in bytes[offset..].iter_mut().zip(hex) {
            *byte = u8::from_str_radix(word, 16).unwrap();
            end += 1;
        }
    }
    end
}

#[test]
fn the_example_in_the_documentation_is_a_slot() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Documentation/format.rst");
    let text = fs::read_to_string(path).unwrap();
    let (_, example) = text.split_once("An example\n").unwrap();
    let (example, packed_example) = example.split_once("\nPacked, ").unwrap();
    let mut bytes = vec![0; 4096];
    undump(example, &mut bytes);
    let slot = Slot::parse(&bytes, &Identity::new(0x5eed_1234)).unwrap();
    assert_eq!(slot.verify(), Ok(()));
    assert_eq!(slot.header().generation, 2);
    assert_eq!(slot.bytes().len(), 0x168);
    let profile = slot.default_profile().unwrap();
    assert_eq!(profile.record.runs, 1);
    let plane = slot.executable(&profile).unwrap().plane(0).unwrap();
    assert_eq!(plane.len(), 300);
    assert_eq!(plane.runs().collect::<Vec<_>>(), [(1, 3)]);

    let mut expected = vec![0; 4096];
    let len = undump(packed_example, &mut expected);
    assert!(packed_example.contains(&format!("it has {len}::")));
    let mut packed = vec![0; 4096];
    assert_eq!(pack(&slot, 4000, &mut packed), Ok((len, Loss::None)));
    assert_eq!(packed[..len], expected[..len]);
    let packed = Packed::parse(&expected[..len]).unwrap();
    let mut again = vec![0xee; 4096];
    packed.unpack(&mut again).unwrap();
    let again = Slot::parse(&again, &Identity::new(0x5eed_1234)).unwrap();
    assert_eq!(again.bytes().len(), slot.bytes().len());
    assert_eq!(again.header().updated, slot.header().updated);
    let profile = again.default_profile().unwrap();
    let plane = again.executable(&profile).unwrap().plane(0).unwrap();
    assert_eq!(plane.runs().collect::<Vec<_>>(), [(1, 3)]);
}
