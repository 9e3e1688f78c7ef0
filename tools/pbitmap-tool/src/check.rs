// SPDX-License-Identifier: GPL-2.0

//! `check`: says whether the kernel will use the bitmap of a program, and if not, why.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use pbitmap_core::format::slot::Slot;

use crate::{
    inspect::{Inspection, State},
    report::{Pages, Report, Selection},
    show::gap_pages,
    target::Target,
};

/// What to check and how to say it.
#[derive(Args, Clone, Debug, Default)]
pub struct Options {
    /// Print nothing; the exit code says it
    #[arg(short, long)]
    pub quiet: bool,

    /// Print a JSON object for each file, one a line
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,
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
pub fn check(path: &Path, options: &Options) -> Result<(State, String)> {
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let inspection = Inspection::new(&contents)?;
    let mut text = String::new();
    if options.json {
        let report = Report::new(path, &inspection, Selection::default(), gap_pages());
        text = serde_json::to_string(&report)? + "\n";
    } else if !options.quiet {
        let path = path.display();
        text = format!("{path}: {}\n", describe(&inspection));
        for note in notes(&target, &inspection) {
            text += &format!("{path}: note: {note}\n");
        }
    }
    Ok((inspection.state(), text))
}

/// What the profile that was used last has, in words.
fn recorded(slot: &Slot<'_>) -> String {
    let Some((profile, _)) = Selection::default().find(slot) else {
        return "nothing recorded yet".to_owned();
    };
    let files: Vec<Pages> = slot
        .files(&profile)
        .map(|file| Pages::of(&profile, &file))
        .collect();
    let pages: usize = files.iter().map(|file| file.bitmap().count()).sum();
    match files.len() {
        1 => format!("{pages} pages"),
        files => format!("{pages} pages of {files} files"),
    }
}

/// The state in words, and what to do about it.
pub fn describe(inspection: &Inspection<'_>) -> String {
    let chosen = inspection.section.map(|section| section.chosen);
    match (inspection.state(), chosen) {
        (State::Valid, Some(Ok((index, slot)))) => {
            let header = slot.header();
            let recorded = match header.updated {
                0 => "nothing recorded yet".to_owned(),
                _ => recorded(&slot),
            };
            let generation = header.generation;
            format!("valid and armed: slot {index}, generation {generation}, {recorded}")
        }
        (State::NotAnnotated, _) if inspection.is_armed() => {
            "not annotated: the marker is set, but there is no bitmap; `pbitmap-tool annotate` \
             makes one"
                .to_owned()
        }
        (State::NotAnnotated, _) => "not annotated".to_owned(),
        (State::Disarmed, _) if inspection.is_mapped() => {
            "disarmed: the bitmap is valid, but it was moved to a page that the program maps \
             (llvm-strip does that), so it is not used; `pbitmap-tool annotate` puts it in a place \
             of its own"
                .to_owned()
        }
        (State::Disarmed, _) => {
            "disarmed: the bitmap is valid, but the marker that leads to it is gone (strip and \
             objcopy clear it); `pbitmap-tool annotate` sets it again"
                .to_owned()
        }
        (State::Stale, _) => {
            "stale: the bitmap was made for another version of this file, so it is not used; \
             `pbitmap-tool annotate --force` makes a fresh one"
                .to_owned()
        }
        (_, Some(Err(error))) => {
            format!("corrupt: {error}; `pbitmap-tool annotate --force` makes a fresh one")
        }
        _ => "corrupt".to_owned(),
    }
}

/// What is not wrong but could be better.
pub fn notes(target: &Target, inspection: &Inspection<'_>) -> Vec<&'static str> {
    let mut notes = Vec::new();
    let Some(section) = inspection.section else {
        return notes;
    };
    if inspection.is_armed() && !inspection.has_locator() {
        notes.push(
            "the marker does not say where the bitmap is, which costs a read at every start; \
             `pbitmap-tool annotate` puts that right",
        );
    }
    if target.has_hole(section.offset, section.len) {
        notes.push(
            "the bitmap has holes (from a sparse copy?) that the kernel does not fill, so nothing \
             is recorded; `pbitmap-tool annotate` puts that right",
        );
    }
    notes
}
