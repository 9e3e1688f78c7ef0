// SPDX-License-Identifier: GPL-2.0

//! `check`: says whether the kernel will use the bitmap of a program, and if not, why.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use pbitmap_core::format::packed::ATTRIBUTE;

use crate::{
    inspect::{Inspection, Outside, State},
    printable::printable,
    report::Report,
    selection::Selection,
    store::Store,
    system::System,
    target::Target,
};

/// What `--help` says at its end.
pub const HELP: &str = "\
Exit codes:
  0  valid and armed: the kernel will use it; also if nothing was recorded yet
  1  a file cannot be read, or is no program
  2  the command line was wrong
  3  not annotated: there is no bitmap
  4  disarmed: the bitmap is valid, but another tool has cleared the marker that leads to it
  5  stale: the bitmap was made for another version of the file
  6  corrupt: there is a section or an attribute, but no valid bitmap in it
With several files: that of the first for which it is not 0.

A program can have a bitmap in its attribute, in a section, and in the directory that
vm.pbitmap_dir names. A valid attribute goes before a section, and a file in the directory before
both, unless that was updated earlier. This is about the one that the kernel uses.

Examples:
  pbitmap-tool check ./program
  pbitmap-tool check --json /usr/local/bin/*";

/// What to check and how to say it.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Print nothing; the exit code says it
    #[arg(short, long)]
    pub quiet: bool,

    /// Print a JSON object for each file, one a line
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,

    /// Look only there [default: where the kernel takes it from]
    #[arg(long, value_name = "WHERE", value_enum)]
    pub store: Option<Store>,
}

/// The exit code for a state.
pub fn exit_code(state: State) -> u8 {
    match state {
        State::Valid => 0,
        State::NotAnnotated => 3,
        State::Disarmed => 4,
        State::Stale => 5,
        State::Corrupt => 6,
    }
}

/// Checks the program at `path`; gives its state, and the text to print.
pub fn check(path: &Path, options: &Options, system: &System) -> Result<(State, String)> {
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let outside = Outside::of(&target, &contents, Some(system))?;
    let mut inspection = Inspection::new(&contents)?.with(&outside);
    if let Some(store) = options.store {
        inspection = inspection.only(store);
    }
    let mut text = String::new();
    if options.json {
        let report = Report::new(path, &inspection, &outside, system.gap_pages());
        text = serde_json::to_string(&report)? + "\n";
    } else if !options.quiet {
        let path = path.display();
        text = format!("{path}: {}\n", describe(&inspection, &outside));
        for note in notes(&target, &inspection, &outside) {
            text += &format!("{path}: note: {note}\n");
        }
    }
    Ok((inspection.state(), text))
}

/// The state in words, and what to do about it.
pub fn describe(inspection: &Inspection<'_>, outside: &Outside) -> String {
    let state = inspection.state();
    let what = place(inspection.store(), outside);
    match (state, inspection.chosen()) {
        (State::Valid, Some(Ok((index, slot)))) => {
            let pages = Selection::of(&slot).pages();
            let header = slot.header();
            let recorded = match header.updated {
                0 => "nothing recorded yet".to_owned(),
                _ => format!("{} of {} pages", pages.count(), pages.total),
            };
            let generation = header.generation;
            let found = match inspection.store() {
                Some(Store::Xattr) => format!("valid: {what}"),
                Some(Store::Directory) => format!("valid: {what}, slot {index}"),
                _ => format!("valid and armed: slot {index}"),
            };
            format!("{found}, generation {generation}, {recorded}")
        }
        (State::NotAnnotated, _) if inspection.is_armed() => {
            "not annotated: the marker is set, but there is no bitmap; `pbitmap-tool annotate` \
             makes one"
                .to_owned()
        }
        (State::NotAnnotated, Some(_)) => format!(
            "not annotated, so that {what} is not looked for; `pbitmap-tool annotate` changes that"
        ),
        (State::NotAnnotated, _) => "not annotated".to_owned(),
        (State::Disarmed, _) if inspection.is_mapped() => {
            "disarmed: the bitmap is valid, but it was moved to a page that the program maps \
             (llvm-strip does that), so it is not used; `pbitmap-tool annotate` puts it in a place \
             of its own"
                .to_owned()
        }
        (State::Disarmed, _) => {
            "disarmed: the bitmap is valid, but the marker that leads to it is gone (some tools \
             clear it when they write the file anew); `pbitmap-tool annotate` sets it again"
                .to_owned()
        }
        (State::Stale, _) => {
            "stale: the bitmap was made for another version of this file, so it is not used; \
             `pbitmap-tool annotate --force` makes a fresh one"
                .to_owned()
        }
        (_, Some(Err(error))) => {
            let what = match inspection.store() {
                Some(Store::Section) | None => String::new(),
                _ => format!("{what}: "),
            };
            format!("corrupt: {what}{error}; `pbitmap-tool annotate --force` makes a fresh one")
        }
        _ => "corrupt".to_owned(),
    }
}

/// Which bitmap it is, in words.
pub fn place(store: Option<Store>, outside: &Outside) -> String {
    match (store, &outside.attribute, &outside.file) {
        (Some(Store::Xattr), Some(attribute), _) => {
            let room = attribute.room().map(|room| format!(" of {room}"));
            let (len, room) = (attribute.len, room.unwrap_or_default());
            format!("the attribute {ATTRIBUTE}, {len}{room} bytes")
        }
        (Some(Store::Directory), _, Some(file)) => printable(&file.path.to_string_lossy()),
        _ => "the section".to_owned(),
    }
}

/// What is not wrong but could be better, or might not be expected.
pub fn notes(target: &Target, inspection: &Inspection<'_>, outside: &Outside) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: &str| notes.push(text.to_owned());
    let store = inspection.store();
    if let Some(section) = inspection.section.filter(|_| store == Some(Store::Section)) {
        if inspection.is_armed() && !inspection.has_locator() {
            note(
                "the marker does not say where the bitmap is, which costs a read at every start; \
                 `pbitmap-tool annotate` puts that right",
            );
        }
        if target.has_hole(section.offset, section.len) {
            note(
                "the bitmap has holes (from a sparse copy?) that the kernel does not fill, so \
                 nothing is recorded; `pbitmap-tool annotate` puts that right",
            );
        }
    }
    let states = [
        (
            Store::Xattr,
            inspection.attribute.map(|attribute| attribute.state()),
        ),
        (
            Store::Section,
            inspection.section.map(|_| inspection.section_state()),
        ),
        (
            Store::Directory,
            inspection.directory.map(|directory| directory.state()),
        ),
    ];
    for (other, state) in states {
        let Some(state) = state.filter(|_| store != Some(other)) else {
            continue;
        };
        let state = match state {
            State::Valid => "is valid",
            State::NotAnnotated => continue,
            State::Disarmed => "is disarmed",
            State::Stale => "is for another version of this file",
            State::Corrupt => "cannot be read",
        };
        let what = place(Some(other), outside);
        note(&format!(
            "there is a bitmap in {what} too, which {state} and not used"
        ));
    }
    notes
}
