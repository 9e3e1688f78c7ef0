// SPDX-License-Identifier: GPL-2.0

//! The files of a command line, handled one after the other.

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// From so many files on it is shown how far it is.
const MANY: usize = 16;

/// The programs that are to be changed, and how much to say of it.
#[derive(Args, Clone, Debug)]
pub struct Files {
    /// Print nothing but errors and warnings
    #[arg(short, long)]
    pub quiet: bool,

    /// Print a JSON object for each file, one a line
    #[arg(long, conflicts_with = "quiet")]
    pub json: bool,

    /// The programs; a symbolic link stands for what it leads to
    #[arg(required = true, value_name = "ELF")]
    pub paths: Vec<PathBuf>,
}

/// What was done to a file, for machines.
#[derive(Serialize)]
struct Line<'a, T> {
    file: String,
    #[serde(flatten)]
    done: &'a T,
}

impl Files {
    /// What to print of a file: `text` for people, `done` for machines.
    pub fn line(&self, path: &Path, text: impl Display, done: &impl Serialize) -> Result<String> {
        if self.json {
            let file = path.to_string_lossy().into_owned();
            return Ok(serde_json::to_string(&Line { file, done })? + "\n");
        }
        Ok(match self.quiet {
            true => String::new(),
            false => format!("{}: {text}\n", path.display()),
        })
    }
}

/// Handles all files, also after one that failed. Gives the first exit code that is not 0.
pub fn each(
    paths: &[PathBuf],
    out: &mut dyn io::Write,
    mut handle: impl FnMut(&Path) -> Result<(u8, String)>,
) -> Result<u8> {
    let mut first = 0;
    let progress = progress(paths.len());
    for path in paths {
        let handled = handle(path);
        let code = progress.suspend(|| match handled {
            Ok((code, text)) => out.write_all(text.as_bytes()).map(|()| code),
            Err(error) => {
                eprintln!("pbitmap-tool: {}: {error:#}", path.display());
                Ok(1)
            }
        })?;
        progress.inc(1);
        if first == 0 {
            first = code;
        }
    }
    progress.finish_and_clear();
    Ok(first)
}

/// How far it is, on a terminal, if that may take a while.
fn progress(count: usize) -> ProgressBar {
    if count < MANY {
        return ProgressBar::hidden();
    }
    let progress = ProgressBar::with_draw_target(Some(count as u64), ProgressDrawTarget::stderr());
    match ProgressStyle::with_template("file {pos} of {len} {bar:30} {eta}") {
        Ok(style) => progress.with_style(style),
        Err(_) => progress,
    }
}
