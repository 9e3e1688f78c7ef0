// SPDX-License-Identifier: GPL-2.0

//! `show`: what is in the bitmap of a program, for people and for machines.

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;
use pbitmap_core::{format::slot::SlotHeader, policy::profile::Choice};

use crate::{
    capacity::ProfileBy,
    check::{describe, exit_code, notes, place},
    date::date,
    inspect::{Inspection, Outside, State},
    page_map,
    printable::printable,
    report::{percent, ProfileReport, Report},
    selection::{self, Selection},
    store::Store,
    system::System,
    table::{self, grouped},
    target::Target,
};

/// Columns of a picture that does not go to a terminal.
const DEFAULT_WIDTH: usize = 80;

/// What `--help` says at its end.
pub const HELP: &str = "\
Reads only the headers and the bitmap, so that a look does not bring the program into the page
cache. Pages that are wanted are those that the next start will have in memory: with more than two
recordings, those that at least two of them have.

Exit codes:
  0  there is a bitmap in use, or one that would be
  1  the file cannot be read, or is no program
  2  the command line was wrong
  3  there is no bitmap
  6  there is one, but nothing in it can be read

Examples:
  pbitmap-tool show ./program
  pbitmap-tool show --json ./program
  pbitmap-tool show --pages ./program
  pbitmap-tool show --profile git-upload-pack --file /usr/lib/libz.so.1 ./git";

/// What to show and how.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Print everything, of all profiles and files, as one JSON object
    #[arg(long, conflicts_with_all = ["profile", "file"])]
    pub json: bool,

    /// Print only the pages that the next start wants: a line "FIRST COUNT" for each run, in pages
    /// of 4096 bytes from the start of the file
    #[arg(long, conflicts_with = "json")]
    pub pages: bool,

    /// Show what a start with this key would use, such as the program's name; "default" is the
    /// profile without a key [default: the profile that was used last]
    #[arg(long, value_name = "KEY")]
    pub profile: Option<String>,

    /// Show the pages of this file of the profile [default: the program itself]
    #[arg(long, value_name = "PATH")]
    pub file: Option<String>,

    /// Look only there [default: where the kernel takes it from]
    #[arg(long, value_name = "WHERE", value_enum)]
    pub store: Option<Store>,

    /// Draw with ASCII characters, as is also done where the locale is not UTF-8
    #[arg(long)]
    pub ascii: bool,

    /// Columns to draw in [default: those of the terminal]
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,

    /// Plan with holes of up to so many pages read as well [default: vm.pbitmap_gap_pages; its 0,
    /// by device, counts as none]
    #[arg(long, value_name = "PAGES")]
    pub gap: Option<u32>,

    /// The program
    #[arg(value_name = "ELF")]
    pub path: PathBuf,
}

/// Shows the bitmap of a program and returns the exit code.
pub fn show(options: &Options, system: &System, out: &mut dyn Write) -> Result<u8> {
    let path = options.path.as_path();
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let outside = Outside::of(&target, &contents, Some(system))?;
    let mut inspection = Inspection::new(&contents)?.with(&outside);
    if let Some(store) = options.store {
        inspection = inspection.only(store);
    }
    let selection = match inspection.slot() {
        Some((_, slot)) => {
            let (profile, file) = (options.profile.as_deref(), options.file.as_deref());
            Some(Selection::find(&slot, profile, file)?)
        }
        None => None,
    };
    let gap_pages = options.gap.unwrap_or_else(|| system.gap_pages());
    if options.json {
        let report = Report::new(path, &inspection, &outside, gap_pages);
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else if options.pages {
        if let Some(selection) = selection {
            for (first, count) in selection.pages().runs() {
                writeln!(out, "{first} {count}")?;
            }
        }
    } else {
        writeln!(out, "{}", path.display())?;
        let mut line = |name: &str, text: &str| writeln!(out, "  {name:<10} {text}");
        let store = inspection.store().filter(|store| *store != Store::Section);
        match (inspection.state(), store) {
            (State::Valid, None) => line("state", "valid and armed")?,
            (State::Valid, Some(_)) => line("state", "valid")?,
            _ => line("state", &describe(&inspection, &outside))?,
        }
        if store.is_some() {
            line("store", &place(store, &outside))?;
        }
        for note in notes(&target, &inspection, &outside) {
            line("note", &note)?;
        }
        if let Some(selection) = selection {
            let report = Report::new(path, &inspection, &outside, gap_pages);
            write!(out, "{}", summary(&report, &selection, options, gap_pages))?;
        }
    }
    Ok(match inspection.slot() {
        Some(_) => 0,
        None => exit_code(inspection.state()),
    })
}

/// What is in a slot, for people.
fn summary(
    report: &Report,
    selection: &Selection<'_>,
    options: &Options,
    gap_pages: u32,
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text += &format!("  {name:<10} {value}\n");
    let header = selection.slot.header();
    line(
        "slot",
        &format!(
            "{}, generation {}, {} of {} bytes used",
            report.slot.unwrap_or(0),
            header.generation,
            header.used_bytes,
            header.slot_size
        ),
    );
    line("remembers", &remembers(header));
    let profile = selection.profile().and_then(|profile| {
        let index = selection
            .slot
            .profiles()
            .position(|other| other.index == profile.index)?;
        Some((profile, report.profiles.get(index)?))
    });
    let several = report.profiles.len() > 1;
    match selection.choice {
        Some(Choice::One(profile)) if several => line("profile", &selection::name(&profile)),
        Some(Choice::Common(first, second)) => {
            let (first, second) = (selection::name(&first), selection::name(&second));
            line(
                "profile",
                &format!("none like that: the pages that {first} and {second} both want"),
            );
        }
        _ => (),
    }
    let runs = profile.map_or(0, |(profile, _)| profile.record.runs);
    let last_used = profile.map_or(0, |(profile, _)| profile.record.last_used);
    line(
        "recorded",
        &match (last_used, runs) {
            (0, _) => "never: run the program once while the kernel module is loaded".to_owned(),
            (time, 1) => format!("once, on {}", date(time)),
            (time, runs) => format!("{runs} times, last on {}", date(time)),
        },
    );
    if let Some((_, profile)) = profile.filter(|(_, profile)| profile.precision.is_some()) {
        line(
            "precision",
            &format!(
                "{}: the last recorded run touched {} of {} prefetched pages",
                table::percent(profile.precision),
                grouped(profile.hits.into()),
                grouped(profile.wanted.into())
            ),
        );
    }
    if let Some((file, _)) = selection.file.filter(|_| options.file.is_some()) {
        line("file", &printable(&String::from_utf8_lossy(file.path())));
    }
    let pages = selection.pages();
    let dropped = match selection.file.is_some_and(|(file, _)| file.is_truncated()) {
        true => "; more did not fit, `annotate --force --slot-size` makes room",
        false => "",
    };
    line(
        "pages",
        &format!(
            "{} of {} ({} %, {} KiB){dropped}",
            pages.count(),
            pages.total,
            percent(pages.count(), pages.total),
            pages.count().saturating_mul(4)
        ),
    );
    let planned = pages.plan(gap_pages);
    line(
        "planned",
        &format!(
            "{} reads of {} pages, with holes of up to {} pages",
            planned.runs, planned.pages, planned.gap_pages
        ),
    );
    let build_id = report
        .identity
        .as_ref()
        .and_then(|identity| identity.build_id.as_ref())
        .map_or_else(String::new, |id| format!(", build id {id}"));
    line(
        "identity",
        &format!("layout {:08x}{build_id}", header.layout_crc),
    );
    if several {
        text += &profile_table(report, selection);
    }
    if let Some((_, profile)) = profile.filter(|(_, profile)| profile.files.len() > 1) {
        text += &file_table(profile);
    }
    if pages.count() != 0 {
        let style = match options.ascii || !has_utf8() {
            true => page_map::ASCII,
            false => page_map::UNICODE,
        };
        let width = options.width.unwrap_or_else(terminal_width);
        let total = usize::try_from(pages.total).unwrap_or(usize::MAX);
        text += "\n";
        text += &page_map::draw(&pages.bitmap(), total, width, &style);
    }
    text
}

/// How much a slot is made to remember.
fn remembers(header: &SlotHeader) -> String {
    let recordings = match header.planes {
        0 | 1 => "the last recording".to_owned(),
        planes => format!("the last {planes} recordings"),
    };
    let what = match ProfileBy::name(header.profile_by) {
        "name" => "names",
        "script" => "scripts",
        "arg1" => "first arguments",
        _ => return format!("{recordings} of all starts"),
    };
    match header.max_profiles {
        0 | 1 => format!("{recordings} of the last of its {what}"),
        profiles => format!("{recordings} of each of the last {profiles} {what}"),
    }
}

fn profile_table(report: &Report, selection: &Selection<'_>) -> String {
    let mut table = table::new(&[
        ("profile", false),
        ("by", false),
        ("runs", true),
        ("files", true),
        ("pages", true),
        ("precision", true),
        ("last used", false),
    ]);
    let names = selection
        .slot
        .profiles()
        .map(|profile| selection::name(&profile));
    for (name, profile) in names.zip(&report.profiles) {
        table.add_row([
            name,
            profile.kind.to_owned(),
            grouped(profile.runs.into()),
            grouped(profile.files.len() as u64),
            grouped(profile.pages),
            table::percent(profile.precision),
            profile.last_used.map_or_else(|| "never".to_owned(), date),
        ]);
    }
    format!("\n{}", table::lines(&table, "  "))
}

/// The files of a profile: pages that are wanted, and those of each recording, the newest first.
fn file_table(profile: &ProfileReport) -> String {
    let mut table = table::new(&[
        ("pages", true),
        ("of", true),
        ("recordings", false),
        ("file", false),
    ]);
    for file in &profile.files {
        let planes: Vec<String> = file.planes.iter().map(|pages| grouped(*pages)).collect();
        let cut = match file.truncated {
            true => " (not all of it fits)",
            false => "",
        };
        let name = match file.kind {
            "executable" => "the program itself".to_owned(),
            _ => printable(&file.path),
        };
        table.add_row([
            grouped(file.wanted),
            grouped(file.pages_total),
            planes.join(" "),
            format!("{name}{cut}"),
        ]);
    }
    format!("\n{}", table::lines(&table, "  "))
}

fn terminal_width() -> usize {
    let columns = |text: String| text.parse().ok();
    rustix::termios::tcgetwinsize(io::stdout())
        .ok()
        .map(|size| usize::from(size.ws_col))
        .or_else(|| env::var("COLUMNS").ok().and_then(columns))
        .filter(|width| *width != 0)
        .unwrap_or(DEFAULT_WIDTH)
}

/// Whether the locale says that output is UTF-8.
fn has_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(|name| env::var(name).ok())
        .find(|value| !value.is_empty())
        .unwrap_or_default()
        .to_ascii_uppercase();
    locale.contains("UTF-8") || locale.contains("UTF8")
}
