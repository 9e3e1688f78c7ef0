// SPDX-License-Identifier: GPL-2.0

//! `status`: whether the module works, and what it did for the programs that were started.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use serde::Serialize;

use crate::{
    date::date,
    inspect::{Inspection, Outside},
    launch::find,
    printable::printable,
    programs::{Program, Programs},
    system::{Module, System, DEFAULT_FAULT_AROUND},
    table::{self, grouped},
    target::Target,
    train::EXACT_FAULT_AROUND,
};

/// What `--help` says at its end.
pub const HELP: &str = "\
The columns, those from pages to read a start, of those that were recorded:
  bitmap      where it is: section, xattr, or directory, the one of vm.pbitmap_dir
  pages       that the bitmap named, of all files
  precision   how many of those the program then touched, in percent
  waste       how many it did not
  read        pages that were read ahead, because they were not in memory
  last write  when a recording was stored last
  not stored  why the recording of the last start was not, if it was not

Exit codes:
  0  the module is loaded and on
  1  what it shows cannot be read: root may, if debugfs is mounted
  2  the command line was wrong
  3  the module is not loaded
  4  it is loaded and switched off
  5  it is on, but has not seen a start of a program that was named

Examples:
  pbitmap-tool status
  pbitmap-tool status /usr/local/bin/program
  pbitmap-tool status --json";

/// What to say and how.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Print everything as one JSON object, with the sums over all starts
    #[arg(long)]
    pub json: bool,

    /// Only these programs
    #[arg(value_name = "PROGRAM")]
    pub paths: Vec<PathBuf>,
}

/// All there is to say. Later versions only add fields.
#[derive(Clone, Debug, Serialize)]
struct Status {
    /// Whether the module is there and works.
    module: &'static str,
    /// The settings of the module, without what their names start with.
    settings: BTreeMap<String, u64>,
    /// Where bitmaps of programs go that cannot be written; null if nowhere.
    directory: Option<String>,
    /// Settings that look as if training had not put them back.
    left_over: Vec<LeftOver>,
    /// The counters of the module.
    stats: BTreeMap<String, u64>,
    /// The programs that were started.
    programs: Vec<Program>,
    /// Those that were named and were not.
    not_started: Vec<String>,
}

/// A setting that is good for training only.
#[derive(Clone, Debug, Serialize)]
struct LeftOver {
    name: String,
    value: u64,
    /// What it is if nobody changes it.
    usual: u64,
    /// What makes it that.
    command: String,
}

/// Says how things are, and gives the exit code.
pub fn status(options: &Options, system: &System, out: &mut dyn Write) -> Result<u8> {
    let module = system.module()?;
    let mut status = Status {
        module: match module {
            Module::Missing => "missing",
            Module::Off => "off",
            Module::On => "on",
        },
        settings: system.sysctl_values(),
        directory: system
            .directory()
            .map(|directory| directory.to_string_lossy().into_owned()),
        left_over: left_over(system),
        stats: BTreeMap::new(),
        programs: Vec::new(),
        not_started: Vec::new(),
    };
    // What can be said is said, also if the rest cannot be read.
    let known = match module {
        Module::Missing => Ok(()),
        _ => status.read(options, system),
    };
    if options.json {
        known?;
        serde_json::to_writer_pretty(&mut *out, &status)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", status.summary(module))?;
        known?;
        if module != Module::Missing {
            write!(out, "{}", status.table())?;
        }
    }
    Ok(match module {
        Module::Missing => 3,
        Module::Off => 4,
        Module::On if !status.not_started.is_empty() => 5,
        Module::On => 0,
    })
}

/// Settings that look as if training had not put them back.
fn left_over(system: &System) -> Vec<LeftOver> {
    let suspects = [
        (
            system.fault_around(),
            EXACT_FAULT_AROUND,
            DEFAULT_FAULT_AROUND,
        ),
        (system.sysctl("window_ms"), 0, 1),
    ];
    suspects
        .into_iter()
        .filter_map(|(setting, suspect, usual)| {
            let value = setting.read().ok().filter(|value| *value == suspect)?;
            Some(LeftOver {
                command: setting.command(usual),
                name: setting.name,
                value,
                usual,
            })
        })
        .collect()
}

impl Status {
    /// Reads what only root may read.
    fn read(&mut self, options: &Options, system: &System) -> Result<()> {
        self.stats = system.stats()?;
        let programs = Programs::read(system)?;
        if options.paths.is_empty() {
            self.programs = programs.0;
            self.find_bitmaps(system);
            return Ok(());
        }
        for path in &options.paths {
            let named = path.display().to_string();
            let found = match path.try_exists() {
                Ok(false) => find(path.as_os_str())?,
                _ => path.clone(),
            };
            let target = Target::open(&found).with_context(|| named.clone())?;
            match programs.find(&target) {
                Some(program) => self.programs.push(program.clone()),
                None => self.not_started.push(named),
            }
        }
        self.find_bitmaps(system);
        Ok(())
    }

    /// Looks where the bitmaps of the programs are, as far as they are where they were started.
    fn find_bitmaps(&mut self, system: &System) {
        for program in &mut self.programs {
            let look = || {
                let target = Target::open(&program.path)?;
                let contents = target.contents()?;
                let outside = Outside::of(&target, &contents, Some(system))?;
                Ok::<_, anyhow::Error>(Inspection::new(&contents)?.with(&outside).store())
            };
            program.store = look().ok().flatten();
        }
    }

    fn summary(&self, module: Module) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| text += &format!("{name:<9} {value}\n");
        line(
            "module",
            match module {
                Module::Missing => "not loaded: `modprobe pbitmap` loads it",
                Module::Off => "loaded, switched off: `sysctl vm.pbitmap_enabled=1` switches it on",
                Module::On => "loaded and on",
            },
        );
        let settings: Vec<String> = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if !settings.is_empty() {
            line("settings", &settings.join(" "));
        }
        if let Some(directory) = &self.directory {
            line("directory", &printable(directory));
        }
        for left in &self.left_over {
            let LeftOver {
                name,
                value,
                usual,
                command,
            } = left;
            line(
                "note",
                &format!(
                    "{name} is {value}, not {usual}: left over from training? `{command}` puts it \
                     back"
                ),
            );
        }
        let count = |name: &str| grouped(self.stats.get(name).copied().unwrap_or(0));
        if !self.stats.is_empty() {
            line(
                "done",
                &format!(
                    "{} starts with a bitmap, {} pages read ahead, {} bitmaps written",
                    count("used"),
                    count("pages_read"),
                    count("writes")
                ),
            );
        }
        text
    }

    fn table(&self) -> String {
        let mut text = "\n".to_owned();
        if self.programs.is_empty() && self.not_started.is_empty() {
            return text + "No program with a bitmap was started since the module was loaded.\n";
        }
        let mut table = table::new(&[
            ("program", false),
            ("bitmap", false),
            ("starts", true),
            ("pages", true),
            ("precision", true),
            ("waste", true),
            ("read", true),
            ("last write", false),
            ("not stored", false),
        ]);
        for program in &self.programs {
            // Rounded up, so that what is seldom is not nothing.
            let a_start = |sum: u64| {
                grouped(
                    sum.checked_div(program.recorded)
                        .map_or(0, |_| sum.div_ceil(program.recorded)),
                )
            };
            table.add_row([
                printable(&program.path.to_string_lossy()),
                program
                    .store
                    .map_or_else(|| "-".to_owned(), |store| store.to_string()),
                grouped(program.runs),
                a_start(program.wanted),
                table::percent(program.precision()),
                a_start(program.waste),
                a_start(program.read),
                match program.last_write {
                    0 => "never".to_owned(),
                    seconds => date(seconds),
                },
                not_stored(program),
            ]);
        }
        if !self.programs.is_empty() {
            text += &table::lines(&table, "");
        }
        for path in &self.not_started {
            text += &format!("{path}: not started since the module was loaded\n");
        }
        text
    }
}

/// Why the last recording was not stored, and whether the bitmap is used at all.
fn not_stored(program: &Program) -> String {
    let reason = program.reason.as_deref().unwrap_or("-").replace('_', " ");
    match program.backoff {
        0 => reason,
        starts => format!("{reason} (no prefetch for {starts} starts: it did not pay)"),
    }
}
