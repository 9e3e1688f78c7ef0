// SPDX-License-Identifier: GPL-2.0

//! Replays what was kept from fuzzing: seeds that say by their names what is wrong with them, and
//! whatever libFuzzer found worth keeping. Each input is also tried cut short, with a byte changed
//! and with bytes added, so that a change to the reader meets more than the files themselves.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pbitmap_core::format::{
    error::Error,
    slot::{choose, Identity, Slot},
};

#[path = "../../../fuzz/checks.rs"]
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

#[test]
fn the_example_in_the_documentation_is_a_slot() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Documentation/format.rst");
    let text = fs::read_to_string(path).unwrap();
    let (_, example) = text.split_once("An example\n").unwrap();
    let mut slot = vec![0; 4096];
    for line in example.lines().filter(|line| line.starts_with("    ")) {
        let mut words = line.split_whitespace();
        let offset = usize::from_str_radix(words.next().unwrap(), 16).unwrap();
        for (byte, word) in slot[offset..offset + 16].iter_mut().zip(words) {
            *byte = u8::from_str_radix(word, 16).unwrap();
        }
    }
    let slot = Slot::parse(&slot, &Identity::new(0x5eed_1234)).unwrap();
    assert_eq!(slot.verify(), Ok(()));
    assert_eq!(slot.header().generation, 2);
    assert_eq!(slot.bytes().len(), 0x168);
    let profile = slot.default_profile().unwrap();
    assert_eq!(profile.record.runs, 1);
    let plane = slot.executable(&profile).unwrap().plane(0).unwrap();
    assert_eq!(plane.len(), 300);
    assert_eq!(plane.runs().collect::<Vec<_>>(), [(1, 3)]);
}
