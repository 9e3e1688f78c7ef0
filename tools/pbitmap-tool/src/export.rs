// SPDX-License-Identifier: GPL-2.0

//! `export`: writes the bitmap of a program to a file that can go to other machines.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{ensure, Context as _, Result};
use clap::Args;
use pbitmap_core::format::{
    copy::Copy,
    metadata::part_of,
    slot::{File, FileIdentity, Slot},
};
use serde::Serialize;

use crate::{
    directory::{self, hex, two_slots},
    files::Files,
    inspect::{Inspection, Outside, State},
    selection::Selection,
    store::Store,
    system::System,
    target::Target,
};

/// What `--help` says at its end.
pub const HELP: &str = "\
The file is called by the build id of the program: BUILD-ID.pbitmap. Two things can be done with it
on a machine that has the same build of the program: `pbitmap-tool import` gives the program the
bitmap, and in the directory that vm.pbitmap_dir names the kernel finds it by itself, if the program
is annotated. A library counts as the same there if size and time of modification are the same, as
they are in what packages and images have; `import` looks at the build ids and puts the rest right.

Exit codes:
  0  all were exported
  1  some were not; the others were all the same
  2  the command line was wrong
  3  a program has no bitmap that is in use, or nothing is recorded in it

Examples:
  pbitmap-tool export -o /srv/bitmaps /usr/bin/git /usr/bin/python3.13
  pbitmap-tool export -o git.pbitmap /usr/bin/git";

/// What to export and where to.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// A directory for the files, which is made if it is not there; with one program, it can be
    /// the name of the file [default: the working directory]
    #[arg(short, long, value_name = "DIR|FILE")]
    pub output: Option<PathBuf>,

    /// Take the bitmap from there [default: from where the kernel takes it]
    #[arg(long, value_name = "WHERE", value_enum)]
    pub store: Option<Store>,
}

/// What became of a program.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "done")]
pub enum Done {
    /// There is a file with its bitmap.
    Exported {
        /// The file.
        output: String,
        /// The build id, in hexadecimal.
        build_id: String,
        /// Pages that the next start wants, of all files, by the profile that was used last.
        pages: u64,
        /// How many files those are.
        files: usize,
    },
    /// Nothing: it has no bitmap.
    NotAnnotated,
    /// Nothing: nothing was recorded yet.
    NothingRecorded,
}

impl std::fmt::Display for Done {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exported {
                output,
                pages,
                files,
                ..
            } => write!(f, "exported to {output}: {pages} pages in {files} files"),
            Self::NotAnnotated => write!(f, "not annotated: nothing to export"),
            Self::NothingRecorded => write!(f, "nothing recorded yet: nothing to export"),
        }
    }
}

impl Options {
    /// Makes the directory if there is to be one.
    pub fn prepare(&self, files: &Files) -> Result<()> {
        match &self.output {
            Some(output) if self.is_directory(files) => fs::create_dir_all(output)
                .with_context(|| format!("cannot make the directory {}", output.display())),
            _ => Ok(()),
        }
    }

    fn is_directory(&self, files: &Files) -> bool {
        self.output.as_ref().is_none_or(|output| {
            let slash = output.as_os_str().as_encoded_bytes().ends_with(b"/");
            files.paths.len() > 1 || slash || output.is_dir()
        })
    }
}

/// Exports the bitmap of the program at `path`; gives the exit code too.
pub fn export(
    path: &Path,
    options: &Options,
    files: &Files,
    system: &System,
) -> Result<(u8, Done)> {
    let target = Target::open(path)?;
    let contents = target.contents()?;
    let outside = Outside::of(&target, &contents, Some(system))?;
    let mut inspection = Inspection::new(&contents)?.with(&outside);
    if let Some(store) = options.store {
        inspection = inspection.only(store);
    }
    let slot = match (inspection.state(), inspection.chosen()) {
        (State::Valid | State::Disarmed, Some(Ok((_, slot)))) => slot,
        // Asked for, it is there even if the kernel would not look for it.
        (_, Some(Ok((_, slot)))) if options.store.is_some() => slot,
        (_, Some(Err(error))) => return Err(error.into()),
        _ => return Ok((3, Done::NotAnnotated)),
    };
    if slot.header().updated == 0 {
        return Ok((3, Done::NothingRecorded));
    }
    let build_id = slot.header().build_id();
    let name = directory::name(&build_id).context(NO_BUILD_ID)?;
    let output = match &options.output {
        Some(output) if options.is_directory(files) => output.join(name),
        Some(output) => output.clone(),
        None => name.into(),
    };
    directory::write(&output, &two_slots(portable(&slot)?))?;
    let (pages, files) = extent(&slot);
    Ok((
        0,
        Done::Exported {
            output: output.to_string_lossy().into_owned(),
            build_id: hex(&build_id).unwrap_or_default(),
            pages,
            files,
        },
    ))
}

/// Why a program cannot be matched with a bitmap.
pub const NO_BUILD_ID: &str =
    "has no build id, by which bitmaps are matched with programs; linking it with `--build-id` \
     gives it one";

/// How many pages the profile that was used last wants, and of how many files.
pub fn extent(slot: &Slot<'_>) -> (u64, usize) {
    let choice = Selection::of(slot).choice;
    choice.map_or((0, 0), |choice| {
        let wanted = choice.files(slot).map(|(_, wanted)| wanted.count() as u64);
        wanted.fold((0, 0), |(pages, files), wanted| (pages + wanted, files + 1))
    })
}

/// What a file is on any machine.
pub fn anywhere(file: &File<'_>) -> FileIdentity {
    FileIdentity {
        dev: 0,
        ino: 0,
        generation: 0,
        ..file.identity()
    }
}

/// A slot without what is only true on this machine.
fn portable(slot: &Slot<'_>) -> Result<Vec<u8>> {
    let copy = Copy {
        old: slot,
        template: slot.header(),
        identify: |file: &File<'_>| part_of(file.path()).is_none().then(|| anywhere(file)),
    };
    let mut bytes = vec![0; usize::try_from(slot.header().slot_size)?];
    ensure!(copy.bytes() <= bytes.len(), "the bitmap contradicts itself");
    let (generation, updated) = (slot.header().generation, slot.header().updated);
    copy.write(&mut bytes, generation, updated)?;
    Ok(bytes)
}
