// SPDX-License-Identifier: GPL-2.0

//! The command line of pbitmap-tool: parses it and hands over to the subcommands.

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use pbitmap_tool::{annotate, check, remove, show};

/// Gives executables a presence bitmap, in which the kernel notes the pages that a start needs
#[derive(Parser)]
#[command(version, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Give programs an empty bitmap for the kernel to fill
    ///
    /// Works on programs as they are, without linking them again. Each file is replaced by an
    /// edited copy in one step, with its mode, owner, times, access control lists, capabilities
    /// and other attributes. A program that is running goes on with the old file.
    ///
    /// A program that has a bitmap already is left as it is; if strip or objcopy have cleared the
    /// marker that leads to it, the marker is set again.
    #[command(after_long_help = ANNOTATE_HELP)]
    Annotate {
        #[command(flatten)]
        options: annotate::Options,
        #[command(flatten)]
        files: Files,
    },
    /// Show what is in the bitmap of a program
    #[command(after_long_help = SHOW_HELP)]
    Show(show::Options),
    /// Say whether the kernel will use the bitmaps of programs
    #[command(after_long_help = CHECK_HELP)]
    Check {
        #[command(flatten)]
        options: check::Options,
        /// The programs
        #[arg(required = true, value_name = "ELF")]
        paths: Vec<PathBuf>,
    },
    /// Give back the programs as they were before they were annotated, byte for byte
    #[command(after_long_help = REMOVE_HELP)]
    Remove {
        #[command(flatten)]
        options: remove::Options,
        #[command(flatten)]
        files: Files,
    },
}

#[derive(clap::Args)]
struct Files {
    /// Print nothing but errors and warnings
    #[arg(short, long)]
    quiet: bool,

    /// The programs; a symbolic link stands for what it leads to
    #[arg(required = true, value_name = "ELF")]
    paths: Vec<PathBuf>,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well, or there was nothing to do
  1  something failed; the other files on the command line were handled all the same
  2  the command line was wrong
  3 and more: see `pbitmap-tool check --help`

Examples:
  pbitmap-tool annotate /usr/local/bin/*
  pbitmap-tool show /usr/local/bin/program
  pbitmap-tool check --quiet /usr/local/bin/program || echo 'not in use'
  pbitmap-tool remove /usr/local/bin/program";

const ANNOTATE_HELP: &str = "\
Refused, with the reason: what is not a 64-bit little-endian program; shared libraries and the
dynamic loader, whose bitmaps starting a program does not use; programs with data after the ELF
image; files that are immutable, protected by fs-verity or signed for IMA; files with other hard
links. A file that is refused is not touched.

Exit codes:
  0  all files have a bitmap now
  1  some have not; the others were handled all the same
  2  the command line was wrong

Examples:
  pbitmap-tool annotate ./program
  pbitmap-tool annotate --force --capacity 64K ./program";

const SHOW_HELP: &str = "\
Reads only the headers and the bitmap, so that a look does not bring the program into the page
cache.

Exit codes:
  0  there is a bitmap in use, or one that would be
  1  the file cannot be read, or is no program
  2  the command line was wrong
  3  there is no bitmap
  6  there is one, but nothing in it can be read

Examples:
  pbitmap-tool show ./program
  pbitmap-tool show --json ./program
  pbitmap-tool show --pages ./program";

const CHECK_HELP: &str = "\
Exit codes:
  0  valid and armed: the kernel will use it; also if nothing was recorded yet
  1  a file cannot be read, or is no program
  2  the command line was wrong
  3  not annotated: there is no bitmap
  4  disarmed: the bitmap is valid, but strip or objcopy have cleared the marker
  5  stale: the bitmap was made for another version of the file
  6  corrupt: there is a section, but no valid bitmap in it
With several files: that of the first for which it is not 0.

Examples:
  pbitmap-tool check ./program
  pbitmap-tool check --json /usr/local/bin/*";

const REMOVE_HELP: &str = "\
What the kernel has recorded since is lost. The times of the file stay as they are. A file that
another program has rewritten (strip) or edited (patchelf) since it was annotated is refused.

Exit codes:
  0  no file has a bitmap any more
  1  some have; the others were handled all the same
  2  the command line was wrong

Example:
  pbitmap-tool remove ./program";

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    match run(Cli::parse().command, &mut out) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pbitmap-tool: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command, out: &mut dyn io::Write) -> anyhow::Result<u8> {
    match command {
        Command::Annotate { options, files } => each(&files.paths, out, |path| {
            let annotated = annotate::annotate(path, &options)?;
            if let Some(reason) = annotated.never_updated {
                eprintln!(
                    "pbitmap-tool: {}: warning: {reason}: the kernel never stores a recording in it",
                    path.display()
                );
            }
            Ok(line(&files, path, annotated.done))
        }),
        Command::Remove { options, files } => each(&files.paths, out, |path| {
            Ok(line(&files, path, remove::remove(path, &options)?))
        }),
        Command::Show(options) => {
            show::show(&options, out).with_context(|| options.path.display().to_string())
        }
        Command::Check { options, paths } => each(&paths, out, |path| {
            let (state, text) = check::check(path, &options)?;
            Ok((check::exit_code(state), text))
        }),
    }
}

/// Handles all files, also after one that failed. Gives the first exit code that is not 0.
fn each(
    paths: &[PathBuf],
    out: &mut dyn io::Write,
    mut handle: impl FnMut(&Path) -> anyhow::Result<(u8, String)>,
) -> anyhow::Result<u8> {
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

/// What to print of a file that was changed, or was to be.
fn line(files: &Files, path: &Path, done: impl Display) -> (u8, String) {
    let text = match files.quiet {
        true => String::new(),
        false => format!("{}: {done}\n", path.display()),
    };
    (0, text)
}

/// Whether whoever read the output has had enough of it.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
