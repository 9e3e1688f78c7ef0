// SPDX-License-Identifier: GPL-2.0

//! The command line of pbitmap-tool: parses it and hands over to the subcommands.

use std::{io, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use pbitmap_tool::{
    annotate, check, export,
    files::{each, Files},
    import::{self, Importer},
    remove, show, status,
    system::System,
    train,
};

/// Gives executables a presence bitmap, in which the kernel notes the pages that a start needs
#[derive(Parser)]
#[command(version, after_long_help = EXIT_CODES)]
struct Cli {
    /// Take the kernel's files from below this directory; for tests
    #[arg(long, global = true, hide = true, value_name = "DIR")]
    system_root: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Give programs an empty bitmap for the kernel to fill
    ///
    /// Works on programs as they are, without linking them again. The bitmap is a section of the
    /// file, or with --store=xattr an attribute of it.
    ///
    /// For a section, each file is replaced by an edited copy in one step, with its mode, owner,
    /// times, access control lists, capabilities and other attributes. A program that is running
    /// goes on with the old file.
    ///
    /// A program that has a bitmap already is left as it is; if another tool, such as strip, has
    /// cleared the marker that leads to it or the hint where it is, both are set again.
    #[command(after_long_help = annotate::HELP)]
    Annotate {
        #[command(flatten)]
        options: annotate::Options,
        #[command(flatten)]
        files: Files,
    },
    /// Show what is in the bitmap of a program
    #[command(after_long_help = show::HELP)]
    Show(show::Options),
    /// Say whether the kernel will use the bitmaps of programs
    #[command(after_long_help = check::HELP)]
    Check {
        #[command(flatten)]
        options: check::Options,
        /// The programs
        #[arg(required = true, value_name = "ELF")]
        paths: Vec<PathBuf>,
    },
    /// Say whether the kernel module works, and what it did for the programs that were started
    #[command(after_long_help = status::HELP)]
    Status(status::Options),
    /// Run a program a few times while the kernel records as exactly as it can
    #[command(after_long_help = train::HELP)]
    Train(train::Options),
    /// Write the bitmaps of programs to files that other machines can use
    #[command(after_long_help = export::HELP)]
    Export {
        #[command(flatten)]
        options: export::Options,
        #[command(flatten)]
        files: Files,
    },
    /// Give programs the bitmaps that were recorded on another machine
    #[command(after_long_help = import::HELP)]
    Import {
        #[command(flatten)]
        options: import::Options,
        #[command(flatten)]
        files: Files,
    },
    /// Give back the programs as they were before they were annotated, byte for byte
    #[command(after_long_help = remove::HELP)]
    Remove {
        #[command(flatten)]
        options: remove::Options,
        #[command(flatten)]
        files: Files,
    },
}

const EXIT_CODES: &str = "\
Exit codes:
  0  all is well, or there was nothing to do
  1  something failed; the other files on the command line were handled all the same
  2  the command line was wrong
  3 and more: see the command's own --help

Examples:
  pbitmap-tool annotate /usr/local/bin/*
  pbitmap-tool train -- /usr/local/bin/program
  pbitmap-tool show /usr/local/bin/program
  pbitmap-tool status
  pbitmap-tool export -o /srv/bitmaps /usr/local/bin/program
  pbitmap-tool check --quiet /usr/local/bin/program || echo 'not in use'
  pbitmap-tool remove /usr/local/bin/program";

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    match run(Cli::parse(), &mut out) {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pbitmap-tool: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli, out: &mut dyn io::Write) -> anyhow::Result<u8> {
    let system = System::new(cli.system_root.as_deref());
    match cli.command {
        Command::Annotate { options, files } => each(&files.paths, out, |path| {
            let annotated = annotate::annotate(path, &options)?;
            if let Some(reason) = annotated.never_updated {
                eprintln!(
                    "pbitmap-tool: {}: warning: {reason}: the kernel never stores a recording in it",
                    path.display()
                );
            }
            Ok((0, files.line(path, annotated, &annotated)?))
        }),
        Command::Remove { options, files } => each(&files.paths, out, |path| {
            let removed = remove::remove(path, &options)?;
            Ok((0, files.line(path, removed, &removed)?))
        }),
        Command::Show(options) => {
            show::show(&options, &system, out).with_context(|| options.path.display().to_string())
        }
        Command::Check { options, paths } => each(&paths, out, |path| {
            let (state, text) = check::check(path, &options, &system)?;
            Ok((check::exit_code(state), text))
        }),
        Command::Export { options, files } => {
            options.prepare(&files)?;
            each(&files.paths, out, |path| {
                let (code, done) = export::export(path, &options, &files, &system)?;
                Ok((code, files.line(path, &done, &done)?))
            })
        }
        Command::Import { options, files } => {
            let importer = Importer::new(&options)?;
            each(&files.paths, out, |path| {
                let (code, done) = importer.import(path)?;
                Ok((code, files.line(path, &done, &done)?))
            })
        }
        Command::Status(options) => status::status(&options, &system, out),
        Command::Train(options) => train::train(&options, &system, out),
    }
}

/// Whether whoever read the output has had enough of it.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}
