// SPDX-License-Identifier: GPL-2.0

//! `bench-launcher` starts one program in the bench's guest and says what that cost, one JSON object a line.
//!
//! It is linked statically and lives in the guest's initramfs, so nothing of itself is ever on the disk under test:
//! what a run reads from that disk, the program read.
//!
//! | file | what it holds |
//! |---|---|
//! | `run.rs` | the timed run: clock, resource usage and the disk's counters around fork, chroot, exec, wait |
//! | `cost.rs` | starts and ends of programs that are warm: one, many, many at a time |
//! | `faults.rs` | the untimed twin of a run that says which file each major fault was for |
//! | `profile.rs` | where the kernel spends the time of a loop of execs |
//! | `records.rs` | what perf recorded for these two |
//! | `disk.rs` | the counters of one disk |
//! | `list.rs` | lists of pages of files, and how they are read ahead |
//! | `sequence.rs` | what a cold launch brought into the page cache, as such a list |
//! | `timeline.rs` | when a launch faulted, and when the disk read for it |
//! | `trace.rs` | what the kernel's tracepoints said for these two |
//! | `whole.rs` | reading whole files before the program asks for parts of them |
//! | `fill.rs` | copying the image to the disk under test |
//! | `cold.rs` | how the guest is made cold, and how a run is lined up with the disk's bandwidth timer |
//! | `sys.rs` | every system call that the standard library has no safe form of |
//!
//! Exit codes: 0 done; 1 the measurement failed; 2 wrong usage.

mod cold;
mod cost;
mod disk;
mod faults;
mod fill;
mod list;
mod processor;
mod profile;
mod records;
mod run;
mod sequence;
mod sys;
mod timeline;
mod trace;
mod whole;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{bail, Context, Result};
use lexopt::prelude::*;

const USAGE: &str = "\
usage: bench-launcher run    [OPTION]... PROGRAM [ARGUMENT]...   time a program, one JSON line a run
       bench-launcher faults [OPTION]... PROGRAM [ARGUMENT]...   one untimed run: major faults by file
       bench-launcher loop   [OPTION]... PROGRAM [ARGUMENT]...   fork, exec, wait in a loop: one JSON line of times
       bench-launcher exits  [OPTION]... PROGRAM [ARGUMENT]...   the same, times from what bench-touch says to its end
       bench-launcher crowd  [OPTION]... PROGRAM [ARGUMENT]...   all at once: the time, divided by how many
       bench-launcher copies [OPTION]... PROGRAM                 makes copies, starts each once: one JSON line of times
       bench-launcher profile [OPTION]... PROGRAM [ARGUMENT]...  the same loop: the kernel's time by function
       bench-launcher sequence [--sorted] [OPTION]... PROGRAM [ARGUMENT]...   one traced run: what pages it brought in
       bench-launcher timeline [OPTION]... PROGRAM [ARGUMENT]... one traced run: faults and reads
       bench-launcher residents DIR                              what pages below DIR are cached
       bench-launcher replay LIST                                have the pages of such a list read
       bench-launcher fill   IMAGE DISK                          copy a disk image to a disk
       bench-launcher align  MILLISECONDS                        sleep to the next multiple of that on the clock

  --root DIR         the program's root directory (default: the launcher's)
  --disk NAME        count the requests of /sys/block/NAME
  --output FILE      where the program's output goes (default /dev/null)
  --cold             empty the caches before each run
  --settle PROGRAM   run this once after emptying the caches
  --rest SECONDS     sleep after that
  --whole LIST       have the files that LIST names, one a line, read whole before the program, in its time
  --before COMMAND   run this (words, no shell) first, in the program's time, outside of its root
  --beside COMMAND   start this then, too, and do not wait for it
  --until TEXT       the launch is over when the program has printed that; it is told to end then
  --repeat N         how often (default 1)
  --label TEXT       copied into each line
";

/// What the subcommands that start a program have in common.
pub(crate) struct Options {
    pub(crate) root: Option<PathBuf>,
    pub(crate) disk: Option<String>,
    pub(crate) output: PathBuf,
    pub(crate) cold: bool,
    pub(crate) settle: Option<PathBuf>,
    pub(crate) rest: u64,
    pub(crate) whole: Option<PathBuf>,
    pub(crate) before: Option<String>,
    pub(crate) beside: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) sorted: bool,
    pub(crate) repeat: usize,
    pub(crate) label: String,
    pub(crate) command: Vec<OsString>,
}

fn parse_options(parser: &mut lexopt::Parser) -> Result<Options> {
    let mut options = Options {
        root: None,
        disk: None,
        output: PathBuf::from("/dev/null"),
        cold: false,
        settle: None,
        rest: 0,
        whole: None,
        before: None,
        beside: None,
        until: None,
        sorted: false,
        repeat: 1,
        label: String::new(),
        command: Vec::new(),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("root") => options.root = Some(parser.value()?.into()),
            Long("disk") => options.disk = Some(parser.value()?.string()?),
            Long("output") => options.output = parser.value()?.into(),
            Long("cold") => options.cold = true,
            Long("settle") => options.settle = Some(parser.value()?.into()),
            Long("rest") => options.rest = parser.value()?.parse()?,
            Long("whole") => options.whole = Some(parser.value()?.into()),
            Long("before") => options.before = Some(parser.value()?.string()?),
            Long("beside") => options.beside = Some(parser.value()?.string()?),
            Long("until") => options.until = Some(parser.value()?.string()?),
            Long("sorted") => options.sorted = true,
            Long("repeat") => options.repeat = parser.value()?.parse()?,
            Long("label") => options.label = parser.value()?.string()?,
            // The program's own options are its own.
            Value(program) => {
                options.command.push(program);
                options.command.extend(parser.raw_args()?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if options.command.is_empty() {
        bail!("no program given");
    }
    Ok(options)
}

fn align(parser: &mut lexopt::Parser) -> Result<u64> {
    match parser.next()? {
        Some(Value(milliseconds)) => Ok(milliseconds.parse()?),
        _ => bail!("align needs a number of milliseconds"),
    }
}

fn path(parser: &mut lexopt::Parser) -> Result<PathBuf> {
    match parser.next()? {
        Some(Value(path)) => Ok(path.into()),
        _ => bail!("a path is missing"),
    }
}

fn main() -> ExitCode {
    enum Work {
        Run(Options),
        Faults(Options),
        Loop(Options),
        Exits(Options),
        Crowd(Options),
        Copies(Options),
        Profile(Options),
        Sequence(Options),
        Timeline(Options),
        Residents(PathBuf),
        Replay(PathBuf),
        Fill(PathBuf, PathBuf),
        Align(u64),
    }
    let parse = || -> Result<Work> {
        let mut parser = lexopt::Parser::from_env();
        let Some(Value(subcommand)) = parser.next()? else {
            bail!("no subcommand given");
        };
        Ok(match subcommand.to_str() {
            Some("run") => Work::Run(parse_options(&mut parser)?),
            Some("faults") => Work::Faults(parse_options(&mut parser)?),
            Some("loop") => Work::Loop(parse_options(&mut parser)?),
            Some("exits") => Work::Exits(parse_options(&mut parser)?),
            Some("crowd") => Work::Crowd(parse_options(&mut parser)?),
            Some("copies") => Work::Copies(parse_options(&mut parser)?),
            Some("profile") => Work::Profile(parse_options(&mut parser)?),
            Some("sequence") => Work::Sequence(parse_options(&mut parser)?),
            Some("timeline") => Work::Timeline(parse_options(&mut parser)?),
            Some("residents") => Work::Residents(path(&mut parser)?),
            Some("replay") => Work::Replay(path(&mut parser)?),
            Some("fill") => Work::Fill(path(&mut parser)?, path(&mut parser)?),
            Some("align") => Work::Align(align(&mut parser)?),
            _ => bail!("no such subcommand: {}", subcommand.to_string_lossy()),
        })
    };
    let work = match parse() {
        Ok(work) => work,
        Err(error) => {
            eprint!("bench-launcher: {error:#}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let outcome = match work {
        Work::Run(options) => run::timed(&options).context("timed run"),
        Work::Faults(options) => faults::attributed(&options).context("fault-counting run"),
        Work::Loop(options) => cost::looped(&options).context("loop"),
        Work::Exits(options) => cost::exits(&options).context("loop of exits"),
        Work::Crowd(options) => cost::crowd(&options).context("crowd"),
        Work::Copies(options) => cost::copies(&options).context("copies"),
        Work::Profile(options) => profile::profiled(&options).context("profile"),
        Work::Sequence(options) => sequence::traced(&options, options.sorted).context("traced run"),
        Work::Timeline(options) => timeline::traced(&options).context("traced run"),
        Work::Residents(root) => list::residents(&root).context("looking at the page cache"),
        Work::Replay(list) => list::replay(&list).context("replaying"),
        Work::Fill(image, disk) => fill::fill(&image, &disk).context("filling the disk"),
        Work::Align(milliseconds) => cold::align(milliseconds),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-launcher: {error:#}");
            ExitCode::from(1)
        }
    }
}
