// SPDX-License-Identifier: GPL-2.0

//! `show`: what is in the bitmap of a program, for people and for machines.

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Result;
use clap::Args;

use crate::{
    check::{describe, exit_code, notes},
    inspect::{Inspection, State},
    page_map::{self, Style},
    report::{Pages, ProfileReport, Report, Selection},
    target::Target,
};

/// Where the kernel says which holes it reads.
const GAP_SYSCTL: &str = "/proc/sys/vm/pbitmap_gap_pages";

/// What is assumed where the kernel does not say.
const DEFAULT_GAP_PAGES: u32 = 0;

/// Columns of a picture that does not go to a terminal.
const DEFAULT_WIDTH: usize = 80;

/// The last second that can be written as a date, at the end of the year 9999.
const LAST_DATE: u64 = 253_402_300_799;

/// What to show and how.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Print everything as one JSON object
    #[arg(long)]
    pub json: bool,

    /// Print only the recorded pages: a line "FIRST COUNT" for each run, in pages of 4096 bytes
    /// from the start of the file
    #[arg(long, conflicts_with = "json")]
    pub pages: bool,

    /// Draw with ASCII characters, as is also done where the locale is not UTF-8
    #[arg(long)]
    pub ascii: bool,

    /// Columns to draw in [default: those of the terminal]
    #[arg(long, value_name = "COLUMNS")]
    pub width: Option<usize>,

    /// Plan with holes of up to so many pages read as well [default: vm.pbitmap_gap_pages]
    #[arg(long, value_name = "PAGES")]
    pub gap: Option<u32>,

    /// The profile to look at, by its key [default: the one that was used last]
    #[arg(long, value_name = "KEY")]
    pub profile: Option<String>,

    /// The file to look at, by its path [default: the program itself]
    #[arg(long, value_name = "PATH")]
    pub file: Option<String>,

    /// The program
    #[arg(value_name = "ELF")]
    pub path: PathBuf,
}

impl Options {
    fn selection(&self) -> Selection<'_> {
        Selection {
            profile: self.profile.as_deref(),
            file: self.file.as_deref(),
        }
    }
}

/// Shows the bitmap of a program and returns the exit code.
pub fn show(options: &Options, out: &mut dyn Write) -> Result<u8> {
    let path = options.path.as_path();
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let inspection = Inspection::new(&contents)?;
    let selection = options.selection();
    if options.json {
        let gap = options.gap.unwrap_or_else(gap_pages);
        let report = Report::new(path, &inspection, selection, gap);
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else if options.pages {
        let slot = inspection.slot().map(|(_, slot)| slot);
        if let Some((profile, file)) = slot.and_then(|slot| selection.find(&slot)) {
            for (first, count) in Pages::of(&profile, &file).bitmap().runs() {
                writeln!(out, "{first} {count}")?;
            }
        }
    } else {
        summary(path, &target, &inspection, options, out)?;
    }
    Ok(match inspection.slot() {
        Some(_) => 0,
        None => exit_code(inspection.state()),
    })
}

fn summary(
    path: &Path,
    target: &Target,
    inspection: &Inspection<'_>,
    options: &Options,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}", path.display())?;
    let mut line = |name: &str, text: String| writeln!(out, "  {name:<10} {text}");
    match inspection.state() {
        State::Valid => line("state", "valid and armed".to_owned())?,
        _ => line("state", describe(inspection))?,
    }
    for note in notes(target, inspection) {
        line("note", note.to_owned())?;
    }
    let Some((index, slot)) = inspection.slot() else {
        return Ok(());
    };
    let header = slot.header();
    let selection = options.selection();
    let gap = options.gap.unwrap_or_else(gap_pages);
    let report = Report::new(path, inspection, selection, gap);
    line(
        "slot",
        format!(
            "{index}, generation {}, {} of {} bytes used",
            header.generation, header.used_bytes, header.slot_size
        ),
    )?;
    line(
        "recorded",
        match (header.updated, report.runs.unwrap_or(0)) {
            (0, _) => "never: run the program once while the kernel module is loaded".to_owned(),
            (updated, 1) => format!("once, on {}", date(updated)),
            (updated, runs) => format!("{runs} times, last on {}", date(updated)),
        },
    )?;
    let dropped = match report.truncated {
        true => "; more did not fit, `annotate --force --capacity` makes room",
        false => "",
    };
    line(
        "pages",
        format!(
            "{} of {} ({} %, {} KiB){dropped}",
            report.pages_set,
            report.pages_total,
            report.percent,
            report.pages_set.saturating_mul(4)
        ),
    )?;
    let planned = report.planned;
    line(
        "planned",
        format!(
            "{} reads of {} pages, with holes of up to {} pages",
            planned.runs, planned.pages, planned.gap_pages
        ),
    )?;
    let build_id = report
        .identity
        .as_ref()
        .and_then(|identity| identity.build_id.as_ref())
        .map_or_else(String::new, |id| format!(", build id {id}"));
    line(
        "identity",
        format!("layout {:08x}{build_id}", header.layout_crc),
    )?;
    let selected = selection.find(&slot);
    if report.profiles.iter().any(|profile| profile.runs != 0) {
        writeln!(out)?;
        for row in table(&report.profiles) {
            writeln!(out, "  {row}")?;
        }
    }
    if let Some((profile, file)) = selected.filter(|_| report.pages_set != 0) {
        let pages = Pages::of(&profile, &file);
        let style = match options.ascii || !has_utf8() {
            true => page_map::ASCII,
            false => page_map::UNICODE,
        };
        let total = usize::try_from(report.pages_total).unwrap_or(usize::MAX);
        writeln!(out)?;
        write!(out, "{}", picture(&pages, total, options.width, &style))?;
    }
    Ok(())
}

/// A line for each profile and each of its files, aligned.
fn table(profiles: &[ProfileReport]) -> Vec<String> {
    let mut rows = vec![["pages".to_owned(), "hits".to_owned(), "file".to_owned()]];
    for profile in profiles.iter().filter(|profile| profile.runs != 0) {
        let wanted: u64 = profile.files.iter().map(|file| file.wanted).sum();
        let hits = match profile.wanted {
            0 => "-".to_owned(),
            wanted => format!("{} %", u64::from(profile.hits) * 100 / u64::from(wanted)),
        };
        let name = match profile.key.as_str() {
            "" => profile.kind.to_owned(),
            key => format!("{} {key}", profile.kind),
        };
        let runs = profile.runs;
        let recordings = if runs == 1 { "recording" } else { "recordings" };
        rows.push([
            wanted.to_string(),
            hits,
            format!("{name}, {runs} {recordings}"),
        ]);
        for file in &profile.files {
            let path = match file.path.as_str() {
                "" => "the program itself",
                path => path,
            };
            rows.push([file.wanted.to_string(), String::new(), format!("  {path}")]);
        }
    }
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column).map(String::len))
            .max()
            .unwrap_or(0)
    };
    let (pages, hits) = (width(0), width(1));
    rows.iter()
        .map(|[count, rate, what]| format!("{count:>pages$}  {rate:>hits$}  {what}"))
        .collect()
}

fn picture(pages: &Pages, total: usize, width: Option<usize>, style: &Style) -> String {
    let width = width.unwrap_or_else(terminal_width);
    page_map::draw(&pages.bitmap(), total, width, style)
}

/// How large a hole the kernel reads, as far as it says.
pub fn gap_pages() -> u32 {
    std::fs::read_to_string(GAP_SYSCTL)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(DEFAULT_GAP_PAGES)
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

/// A time in seconds since the epoch as a date; as a number where no date fits.
fn date(seconds: u64) -> String {
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds.min(LAST_DATE))) {
        Some(time) if seconds <= LAST_DATE => humantime::format_rfc3339_seconds(time).to_string(),
        _ => format!("second {seconds}"),
    }
}
