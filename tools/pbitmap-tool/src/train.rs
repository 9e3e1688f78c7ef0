// SPDX-License-Identifier: GPL-2.0

//! `train`: runs a program a few times while the kernel records as exactly as it can.

use std::{
    ffi::OsString,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, ensure, Context as _, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rustix::fs::{flock, FlockOperation};
use serde::Serialize;

use crate::{
    check::{describe, exit_code, notes},
    inspect::{Inspection, Outside, State},
    interrupt::Interrupt,
    launch::{Launch, POLL},
    programs::{Program, Programs},
    report::Report,
    settings::Changed,
    system::{Module, System},
    table::{self, grouped},
    target::Target,
};

/// Bytes that a page fault maps around its page when only that page is to be mapped.
pub const EXACT_FAULT_AROUND: u64 = 4096;

/// The value of `vm.pbitmap_merge` with which pages that are no longer used leave.
const MERGE_AGE: u64 = 2;

/// How long the module may take to store a recording.
const SETTLING: Duration = Duration::from_secs(10);

/// The same once the bitmap has been written, when others may be what it is busy with.
const SETTLED: Duration = Duration::from_millis(500);

/// What `--help` says at its end.
pub const HELP: &str = "\
A bitmap is recorded in normal runs too. Training is for exact ones at once: a page fault maps one
page instead of sixteen, so that what is mapped in the end is what was touched, and several runs
tell what every start needs from what one of them happened to touch.

For that time these settings are changed, for the whole machine, and then put back, also after an
error, SIGHUP, SIGINT, SIGQUIT or SIGTERM:
  fault_around_bytes           4096
  vm.pbitmap_window_ms         0, until the program ends; or what --window says
  vm.pbitmap_update_interval   0
  vm.pbitmap_merge             2, ageing
  vm.pbitmap_backoff           0, so that each run is recorded
SIGKILL leaves them changed; `pbitmap-tool status` names the first two and how to put them back.

The program is started as the user who trains, root, with root's environment, and must end by
itself or be ended: `timeout` does that.

Exit codes:
  0  trained: what the last run touched is stored
  1  something failed
  2  the command line was wrong
  3  the program is not annotated
  4  its bitmap is disarmed, 5 stale, 6 corrupt: see `pbitmap-tool check`
  7  the module is not loaded, or switched off
  8  what the last run touched is not stored; the table says why
  128 and more: a signal came, the one with the number after 128

Examples:
  pbitmap-tool train -- git status
  pbitmap-tool train --cold -n 5 -- /usr/local/bin/program --help
  pbitmap-tool train --program /usr/sbin/nginx -- timeout 5 nginx";

/// What to train and how.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Run it so many times
    #[arg(short = 'n', long, value_name = "RUNS", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: u32,

    /// Have the kernel forget all cached files before each run
    #[arg(long)]
    pub cold: bool,

    /// Show what the command prints, and let it read standard input
    #[arg(long)]
    pub output: bool,

    /// Record the first so many milliseconds of each run, not all of it
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(2..=3_600_000))]
    pub window: Option<u32>,

    /// The program to train, if it is not the command itself but something that this starts
    #[arg(long, value_name = "ELF")]
    pub program: Option<PathBuf>,

    /// Print the results as one JSON object
    #[arg(long, conflicts_with = "output")]
    pub json: bool,

    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// What came of it. Later versions only add fields.
#[derive(Clone, Debug, Default, Serialize)]
struct Results {
    program: String,
    command: String,
    runs: Vec<Run>,
    /// The precision of the bitmap that was there before: how much of it the first run touched, in
    /// percent.
    precision_before: Option<f64>,
    /// How much of it the last run touched.
    precision_after: Option<f64>,
}

/// One run.
#[derive(Clone, Debug, Serialize)]
struct Run {
    /// How the command ended.
    status: String,
    /// Whether the bitmap was written.
    stored: bool,
    /// Why not.
    reason: Option<String>,
    /// Pages that the next start will want.
    pages: u64,
    /// Files that they are in.
    files: usize,
    /// Pages that the bitmap named for this run, and how many of them it touched.
    wanted: u64,
    hits: u64,
    waste: u64,
    /// Pages that were read ahead.
    read: u64,
}

/// What is known of a program at a moment.
#[derive(Clone, Debug, Default)]
struct Known {
    generation: Option<u64>,
    pages: u64,
    files: usize,
    /// What the module knows, if it has seen a start.
    program: Option<Program>,
    /// Programs that run and will be recorded.
    live: u64,
    /// Recordings that wait to be written.
    pending: u64,
}

/// Trains a program and gives the exit code.
pub fn train(options: &Options, system: &System, out: &mut dyn Write) -> Result<u8> {
    let launch = Launch::find(&options.command)?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => launch.program()?,
    };
    let program = program
        .canonicalize()
        .with_context(|| program.display().to_string())?;
    if let Some(code) = refuse(&program, system)? {
        return Ok(code);
    }
    ensure!(
        system.is_fake() || rustix::process::geteuid().is_root(),
        "only root can train, for settings of the kernel are changed meanwhile"
    );
    // Before anything is changed, and until all of it is put back.
    let interrupt = Interrupt::catch()?;
    let _lock = lock(system)?;

    let mut results = Results {
        program: program.display().to_string(),
        command: launch.line(),
        ..Results::default()
    };
    let mut changed = Changed::default();
    change(&mut changed, options, system)?;
    if !options.json {
        announce(&results, options, &changed, out)?;
    }
    let progress = progress(options);
    for _ in 0..options.runs {
        if interrupt.signal().is_some() {
            break;
        }
        let run = one_run(&launch, &program, options, system, &interrupt)?;
        results.runs.push(run);
        progress.inc(1);
    }
    progress.finish_and_clear();
    changed.restore()?;

    if let Some(signal) = interrupt.signal() {
        eprintln!("pbitmap-tool: stopped by signal {signal}; all settings are as they were");
        return Ok(128u8.saturating_add(signal));
    }
    results.finish();
    if options.json {
        serde_json::to_writer_pretty(&mut *out, &results)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", results.text())?;
    }
    Ok(match results.is_stored() {
        true => 0,
        false => 8,
    })
}

/// Says what is in the way of training, if it is not a failure, and gives the exit code.
fn refuse(program: &Path, system: &System) -> Result<Option<u8>> {
    let shown = program.display();
    let target = Target::open(program).with_context(|| shown.to_string())?;
    let contents = target.contents()?;
    let outside = Outside::of(&target, &contents, Some(system))?;
    let inspection = Inspection::new(&contents).with_context(|| shown.to_string())?;
    let inspection = inspection.with(&outside);
    let state = inspection.state();
    if state == State::NotAnnotated {
        eprintln!(
            "pbitmap-tool: {shown}: not annotated, so that there is nothing to train; \
             `pbitmap-tool annotate {shown}` gives it a bitmap. If this is not the program you \
             mean, name that with --program"
        );
        return Ok(Some(exit_code(state)));
    }
    if state != State::Valid {
        eprintln!("pbitmap-tool: {shown}: {}", describe(&inspection, &outside));
        return Ok(Some(exit_code(state)));
    }
    for note in notes(&target, &inspection, &outside) {
        eprintln!("pbitmap-tool: {shown}: warning: {note}");
    }
    if let Some(reason) = target.facts()?.never_updated() {
        bail!("{shown}: {reason}: the kernel never stores a recording in it");
    }
    let in_the_way = match system.module()? {
        Module::On => return Ok(None),
        Module::Missing => "the module is not loaded; `modprobe pbitmap` loads it",
        Module::Off => "the module is switched off; `sysctl vm.pbitmap_enabled=1` switches it on",
    };
    eprintln!("pbitmap-tool: {in_the_way}");
    Ok(Some(7))
}

/// Keeps others from training at the same time: they would take the settings that are changed for
/// those to put back.
fn lock(system: &System) -> Result<File> {
    let path = system.debugfs_file("stats");
    let file = File::open(&path)
        .with_context(|| format!("cannot read {}: is debugfs mounted?", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .context("somebody else trains a program just now; try again later")?;
    Ok(file)
}

/// Sets what makes recordings exact.
fn change(changed: &mut Changed, options: &Options, system: &System) -> Result<()> {
    let window = options.window.unwrap_or(0).into();
    changed.change(system.sysctl("window_ms"), window)?;
    changed.change(system.sysctl("update_interval"), 0)?;
    changed.change(system.sysctl("merge"), MERGE_AGE)?;
    // With this, starts that seem to gain nothing are not recorded.
    let backoff = system.sysctl("backoff");
    if backoff.read_if_there()?.is_some() {
        changed.change(backoff, 0)?;
    }
    let fault_around = system.fault_around();
    if let Err(error) = changed.change(fault_around, EXACT_FAULT_AROUND) {
        // A kernel that is locked down does not allow it.
        eprintln!("pbitmap-tool: warning: {error:#}: recordings may be less exact");
    }
    Ok(())
}

fn announce(
    results: &Results,
    options: &Options,
    changed: &Changed,
    out: &mut dyn Write,
) -> Result<()> {
    let cold = match options.cold {
        true => ", each with cold caches",
        false => "",
    };
    let Results {
        program, command, ..
    } = results;
    let runs = options.runs;
    writeln!(out, "training {program}: {runs} runs of `{command}`{cold}")?;
    for change in changed.changes() {
        let (name, old, new) = (&change.setting.name, change.old, change.new);
        writeln!(out, "meanwhile {name} is {new}, afterwards {old} again")?;
    }
    out.flush()?;
    Ok(())
}

fn progress(options: &Options) -> ProgressBar {
    let target = match options.output {
        // They would write over each other.
        true => ProgressDrawTarget::hidden(),
        false => ProgressDrawTarget::stderr(),
    };
    let progress = ProgressBar::with_draw_target(Some(options.runs.into()), target);
    match ProgressStyle::with_template("run {pos} of {len} {bar:30} {elapsed}") {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}

/// Runs the command once and waits until what was recorded is stored.
fn one_run(
    launch: &Launch,
    program: &Path,
    options: &Options,
    system: &System,
    interrupt: &Interrupt,
) -> Result<Run> {
    let before = Known::look(program, system)?;
    if options.cold {
        system.drop_caches()?;
    }
    let status = launch.run(options.output, interrupt)?;
    let after = settle(program, system, &before, interrupt)?;

    let started = after.program.clone().unwrap_or_default();
    let started = started.since(&before.program.clone().unwrap_or_default());
    let stored = after.generation != before.generation;
    let reason = match (stored, started.runs) {
        (true, _) => None,
        (false, 0) => Some("not started".to_owned()),
        (false, _) => started.reason.clone().or(Some("not stored yet".to_owned())),
    };
    Ok(Run {
        status: match status.code() {
            Some(code) => code.to_string(),
            None => status.to_string(),
        },
        stored,
        reason,
        pages: after.pages,
        files: after.files,
        wanted: started.wanted,
        hits: started.hits,
        waste: started.waste,
        read: started.read,
    })
}

/// Waits until the module is done with a run.
fn settle(program: &Path, system: &System, before: &Known, interrupt: &Interrupt) -> Result<Known> {
    let start = Instant::now();
    loop {
        let known = Known::look(program, system)?;
        let stored = known.generation != before.generation;
        let idle = known.pending == 0 && known.live <= before.live;
        let enough = match stored {
            true => SETTLED,
            false => SETTLING,
        };
        if idle || start.elapsed() > enough || interrupt.signal().is_some() {
            return Ok(known);
        }
        thread::sleep(POLL);
    }
}

impl Known {
    fn look(program: &Path, system: &System) -> Result<Self> {
        // The numbers of the module first: what they say is done is then in the bitmap.
        let stats = system.stats()?;
        let gauge = |name: &str| stats.get(name).copied().unwrap_or(0);
        let target = Target::open(program).with_context(|| program.display().to_string())?;
        let programs = Programs::read(system)?;
        let contents = target.contents()?;
        let outside = Outside::of(&target, &contents, Some(system))?;
        let inspection = Inspection::new(&contents)?.with(&outside);
        let report = Report::new(program, &inspection, &outside, system.gap_pages());
        // Of those with the same time, the first in the table.
        let used_last = report
            .profiles
            .iter()
            .rev()
            .max_by_key(|profile| profile.last_used);
        Ok(Self {
            generation: report.generation,
            pages: used_last.map_or(0, |profile| profile.pages),
            files: used_last.map_or(0, |profile| profile.files.len()),
            program: programs.find(&target).cloned(),
            live: gauge("recorders_live"),
            pending: gauge("work_pending"),
        })
    }
}

impl Results {
    /// Compares the first run with the last.
    fn finish(&mut self) {
        self.precision_before = self.runs.first().and_then(Run::precision);
        self.precision_after = match self.runs.len() {
            0 | 1 => None,
            _ => self.runs.last().and_then(Run::precision),
        };
    }

    /// Whether what the last run touched is in the bitmap.
    fn is_stored(&self) -> bool {
        let unchanged = |run: &Run| run.reason.as_deref() == Some("unchanged");
        self.runs
            .last()
            .is_some_and(|run| run.stored || unchanged(run))
    }

    fn text(&self) -> String {
        let mut table = table::new(&[
            ("run", true),
            ("exit", true),
            ("stored", false),
            ("pages", true),
            ("files", true),
            ("precision", true),
            ("read", true),
        ]);
        for (index, run) in self.runs.iter().enumerate() {
            let stored = run.reason.as_deref().unwrap_or("yes").replace('_', " ");
            table.add_row([
                (index + 1).to_string(),
                run.status.clone(),
                stored,
                grouped(run.pages),
                run.files.to_string(),
                table::percent(run.precision()),
                grouped(run.read),
            ]);
        }
        let mut text = format!("\n{}\n", table::lines(&table, ""));
        match (self.precision_before, self.precision_after) {
            (Some(before), Some(after)) => {
                text += &format!("precision: {before} % in the first run, {after} % in the last\n");
            }
            (None, Some(after)) => {
                text += &format!("precision: nothing was recorded before, {after} % in the last\n");
            }
            _ => (),
        }
        text + "all settings are as they were\n"
    }
}

impl Run {
    fn precision(&self) -> Option<f64> {
        crate::programs::precision(self.hits, self.waste)
    }
}
