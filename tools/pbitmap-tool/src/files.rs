// SPDX-License-Identifier: GPL-2.0

//! The files of a command line, handled one after the other.

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

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
    for path in paths {
        let code = match handle(path) {
            Ok((code, text)) => {
                out.write_all(text.as_bytes())?;
                code
            }
            Err(error) => {
                eprintln!("pbitmap-tool: {}: {error:#}", path.display());
                1
            }
        };
        if first == 0 {
            first = code;
        }
    }
    Ok(first)
}
