// SPDX-License-Identifier: GPL-2.0

//! `bench-report` turns what the benchmark measured into a report for people: `report.md` with its plots beside it, to
//! be read in a tree, and `report.html`, one file with everything in it.
//!
//! | file | what it holds |
//! |---|---|
//! | `results.rs` | what the benchmark wrote, and how one start compares with another |
//! | `summary.rs` | what the figures come to, beside what was asked of them |
//! | `report.rs` | what the report says, in order |
//! | `table.rs` | tables, and how figures are written |
//! | `plot.rs` | plots |
//! | `page.rs` | the two forms of the report |
//!
//! The same results give the same bytes.
//!
//! Exit codes: 0 done; 1 it failed; 2 wrong usage.

mod page;
mod plot;
mod report;
mod results;
mod summary;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use lexopt::prelude::*;

const USAGE: &str = "\
usage: bench-report RESULTS-DIRECTORY [--out DIR]

Writes report.md, its plots and report.html into DIR (default: the results' directory)
";

struct Options {
    results: PathBuf,
    out: PathBuf,
}

/// What the command line asks for; nothing if that is the usage.
fn parse() -> Result<Option<Options>, lexopt::Error> {
    let mut parser = lexopt::Parser::from_env();
    let (mut results, mut out) = (None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Value(directory) if results.is_none() => results = Some(PathBuf::from(directory)),
            other => return Err(other.unexpected()),
        }
    }
    let results = results.ok_or("no directory given")?;
    let out = out.unwrap_or_else(|| results.clone());
    Ok(Some(Options { results, out }))
}

fn main() -> ExitCode {
    match parse() {
        Ok(Some(options)) => match run(&options) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("bench-report: {error:#}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("bench-report: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let results = results::Results::read(&options.results)?;
    let page = report::page(&results)?;

    fs::create_dir_all(&options.out).with_context(|| options.out.display().to_string())?;
    for plot in page.plots() {
        write(
            &options.out.join(format!("{}.svg", plot.name)),
            &plot.file(),
        )?;
    }
    write(&options.out.join("report.md"), &page.markdown())?;
    write(&options.out.join("report.html"), &page.html())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| path.display().to_string())
}
