// SPDX-License-Identifier: GPL-2.0

//! `check`: says whether the kernel will use the bitmap of a program, and if not, why.

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::{
    inspect::{Inspection, State},
    report::Report,
    selection::Selection,
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
  6  corrupt: there is a section, but no valid bitmap in it
With several files: that of the first for which it is not 0.

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
    let inspection = Inspection::new(&contents)?;
    let mut text = String::new();
    if options.json {
        let report = Report::new(path, &inspection, system.gap_pages());
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

/// The state in words, and what to do about it.
pub fn describe(inspection: &Inspection<'_>) -> String {
    let chosen = inspection.section.map(|section| section.chosen);
    match (inspection.state(), chosen) {
        (State::Valid, Some(Ok((index, slot)))) => {
            let pages = Selection::of(&slot).pages();
            let header = slot.header();
            let recorded = match header.updated {
                0 => "nothing recorded yet".to_owned(),
                _ => format!("{} of {} pages", pages.count(), pages.total),
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
