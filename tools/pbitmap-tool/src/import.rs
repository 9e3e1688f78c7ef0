// SPDX-License-Identifier: GPL-2.0

//! `import`: gives a program a bitmap that was recorded on another machine.

use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::OsStr,
    fmt,
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{bail, ensure, Context as _, Result};
use clap::Args;
use object::ReadCache;
use pbitmap_core::format::{
    copy::Copy,
    metadata::part_of,
    packed::Loss,
    slot::{BuildId, File, FileIdentity, Identity, Slot, SlotHeader},
    MAX_SLOT, PAGE_SIZE,
};
use serde::Serialize;

use crate::{
    annotate::{check_appended, check_purpose, original, Options as AnnotateOptions},
    attribute,
    directory::{self, hex, two_slots, BitmapFile},
    elf_edit,
    export::{anywhere, extent, NO_BUILD_ID},
    image::{self, Image},
    inspect::{Inspection, Outside, State},
    libraries::Root,
    replace::replace,
    store::Store,
    target::Target,
};

/// What `--help` says at its end.
pub const HELP: &str = "\
A bitmap goes to a program of the same build: build id and layout must be the same. A program that
is not annotated is annotated. One that is keeps the size of its bitmap, and how many profiles and
recordings it remembers, if it tells profiles apart by the same; what was recorded in it is replaced
if it is older than the bitmap, or with --force.

Files that the program maps, such as libraries, are looked for where they were. Those that are there
in the same build are taken for the same, whatever their time of modification; those that are not
there, or have changed, are left out.

Exit codes:
  0  all programs have the bitmap, or a later one
  1  some have not; the others were handled all the same
  2  the command line was wrong
  3  there is no bitmap for a program

Examples:
  pbitmap-tool import /srv/bitmaps /usr/bin/git /usr/bin/python3.13
  pbitmap-tool import --store=xattr git.pbitmap /usr/bin/git
  pbitmap-tool import --root /srv/image /srv/bitmaps /srv/image/usr/bin/*
  pbitmap-tool import --dir /var/lib/pbitmap /srv/bitmaps /usr/bin/git";

/// What to import and where to.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Where to put the bitmap [default: where the program has one already, or else the section]
    #[arg(long, value_name = "WHERE", value_parser = Store::of_file())]
    pub store: Option<Store>,

    /// Write it to a file in this directory, for vm.pbitmap_dir, and leave the program alone
    #[arg(long, value_name = "DIR", conflicts_with = "store")]
    pub dir: Option<PathBuf>,

    /// Also if what the program has is later
    #[arg(short, long)]
    pub force: bool,

    /// Look for the program's libraries below this directory, where the system is that the program
    /// will run on
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,

    /// Replace a file that has other hard links; those keep the old file
    #[arg(long)]
    pub break_hard_links: bool,

    /// A file that `export` made, or a directory with such files
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
}

/// What became of a program.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case", tag = "done")]
pub enum Done {
    /// It has the bitmap.
    Imported(Imported),
    /// Nothing: what it has is as late, or later.
    Nothing,
    /// Nothing: there is no bitmap for it.
    Missing {
        /// Its build id, in hexadecimal.
        build_id: String,
    },
}

/// What was imported.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// The file it came from.
    from: String,
    /// Where it went.
    store: Store,
    /// Pages that the next start wants, of all files, by the profile that was used last.
    pages: u64,
    /// How many files those are.
    files: usize,
    /// Files of all profiles that were left out, for they are not what was recorded.
    files_dropped: usize,
    /// What was left out to make the rest fit.
    loss: Option<String>,
    /// Whether the program is one that the kernel looks for a bitmap of.
    annotated: bool,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imported(imported) => {
                let Imported {
                    from, pages, files, ..
                } = imported;
                write!(f, "imported from {from}: {pages} pages in {files} files")?;
                match imported.files_dropped {
                    0 => (),
                    1 => write!(f, "; 1 file is not the one that was recorded")?,
                    count => write!(f, "; {count} files are not those that were recorded")?,
                }
                if let Some(loss) = &imported.loss {
                    write!(f, "; {loss}")?;
                }
                match imported.annotated {
                    true => Ok(()),
                    false => write!(
                        f,
                        "; not annotated, so that the kernel will not look for it"
                    ),
                }
            }
            Self::Nothing => write!(f, "has this bitmap, or a later one; `--force` replaces it"),
            Self::Missing { build_id } => write!(f, "no bitmap for the build {build_id}"),
        }
    }
}

/// Imports bitmaps.
pub struct Importer<'o> {
    options: &'o Options,
    root: Root,
    /// What the files are that were looked at.
    known: RefCell<HashMap<Vec<u8>, Option<Found>>>,
}

/// A file as it is here.
#[derive(Clone, Copy)]
struct Found {
    build_id: BuildId,
    size: u64,
    mtime: (i64, u32),
}

/// What a program has in the place that a bitmap goes to.
struct There<'d> {
    /// The slot that is in force there.
    slot: Option<Slot<'d>>,
    /// Bytes of the program's file before the bitmap went there.
    elf_size: u64,
    /// What the size of a slot is a multiple of.
    alignment: u64,
}

impl<'o> Importer<'o> {
    /// Gets ready.
    pub fn new(options: &'o Options) -> Result<Self> {
        let root = Root::new(options.root.as_deref()).context("the root cannot be opened")?;
        ensure!(
            options.from.exists(),
            "{}: no such file or directory",
            options.from.display()
        );
        Ok(Self {
            options,
            root,
            known: RefCell::default(),
        })
    }

    /// Imports the bitmap of the program at `path`; gives the exit code too.
    pub fn import(&self, path: &Path) -> Result<(u8, Done)> {
        let target = Target::open(path)?;
        let contents = target.contents()?;
        let image = original(&contents)?;
        let outside = Outside::of(&target, &contents, None)?;
        let inspection = Inspection::new(&contents)?.with(&outside);
        let build_id = hex(&image.build_id).context(NO_BUILD_ID)?;
        let Some(file) = self.find(&image.build_id)? else {
            return Ok((3, Done::Missing { build_id }));
        };
        let slot = matching(&file, &image)?;

        let annotated = matches!(inspection.state(), State::Valid | State::Disarmed);
        let imported = |store, (copied, loss): (Copied, Option<Loss>)| {
            let done = Done::Imported(Imported {
                from: file.path.to_string_lossy().into_owned(),
                store,
                pages: copied.pages,
                files: copied.files,
                files_dropped: copied.dropped,
                loss: loss.and_then(describe),
                annotated: annotated || store != Store::Directory,
            });
            Ok((0, done))
        };
        if let Some(directory) = &self.options.dir {
            let old = BitmapFile::find(directory, &image.build_id)?;
            let there = There {
                slot: old
                    .as_ref()
                    .and_then(|old| old.slot(&inspection.identity).ok())
                    .map(|(_, slot)| slot),
                elf_size: slot.header().elf_size,
                alignment: 8,
            };
            let Some(copied) = self.copy(&slot, &there)? else {
                return Ok((0, Done::Nothing));
            };
            let name = directory::name(&image.build_id).context(NO_BUILD_ID)?;
            directory::write(&directory.join(name), &two_slots(copied.slot.clone()))?;
            return imported(Store::Directory, (copied, None));
        }

        let store = self.options.store.unwrap_or_else(|| {
            let in_use = inspection.attribute.is_some() && inspection.store() == Some(Store::Xattr);
            match in_use || inspection.section.is_none() && inspection.attribute.is_some() {
                true => Store::Xattr,
                false => Store::Section,
            }
        });
        let there = There {
            slot: match inspection.only(store).chosen() {
                Some(Ok((_, slot))) => Some(slot),
                _ => None,
            },
            elf_size: match store {
                Store::Xattr => Image::parse(&contents)?.size,
                _ => image.size,
            },
            alignment: match store {
                Store::Xattr => 8,
                _ => image.alignment().max(u64::from(PAGE_SIZE)),
            },
        };
        check_purpose(&image, &AnnotateOptions::default())?;
        let Some(copied) = self.copy(&slot, &there)? else {
            return Ok((0, Done::Nothing));
        };
        let facts = target.facts()?;
        let loss = if store == Store::Xattr {
            facts.check_attributes()?;
            let room = outside.attribute.as_ref().and_then(|old| old.room());
            let slot = Slot::parse(&copied.slot, &inspection.identity)?;
            let (_, loss) = attribute::write(&target.file, &slot, room)?;
            Some(loss)
        } else {
            if inspection.section.is_none() {
                check_appended(&image, &AnnotateOptions::default())?;
            }
            let edit = elf_edit::annotate(&image, two_slots(copied.slot.clone()))?;
            facts.check(self.options.break_hard_links)?;
            replace(&target, &facts, &edit)?;
            None
        };
        imported(store, (copied, loss))
    }

    /// The file with the bitmap for `build_id`.
    fn find(&self, build_id: &BuildId) -> Result<Option<BitmapFile>> {
        let from = &self.options.from;
        let found = match from.is_dir() {
            true => BitmapFile::find(from, build_id),
            false => BitmapFile::open(from).map(Some),
        };
        found.with_context(|| format!("cannot read {}", from.display()))
    }

    /// Makes a slot for this program of one that was exported; [`None`] if what there is counts
    /// more.
    fn copy(&self, slot: &Slot<'_>, there: &There<'_>) -> Result<Option<Copied>> {
        let new = slot.header();
        let old = there.slot.as_ref().map(|slot| slot.header());
        if old.is_some_and(|old| old.updated >= new.updated) && !self.options.force {
            return Ok(None);
        }
        // What tells profiles apart goes with them, and how many there are with that.
        let remembers = old.filter(|old| old.profile_by == new.profile_by);
        let remembers = remembers.unwrap_or(new);
        let template = SlotHeader {
            profile_by: new.profile_by,
            max_profiles: remembers.max_profiles,
            planes: remembers.planes,
            elf_size: there.elf_size,
            ..SlotHeader::template(new.layout_crc, new.build_id().as_bytes(), there.elf_size)
        };
        let copy = Copy {
            old: slot,
            template: &template,
            identify: |file: &File<'_>| self.identify(file),
        };
        let size = match old {
            Some(old) => old.slot_size,
            None => new.slot_size,
        };
        let size = u64::from(size)
            .max(copy.bytes() as u64)
            .next_multiple_of(there.alignment);
        ensure!(
            size <= MAX_SLOT as u64,
            "the bitmap is too large for a slot"
        );
        let mut bytes = vec![0; usize::try_from(size)?];
        let generation = old.map_or(0, |old| old.generation).saturating_add(1);
        copy.write(&mut bytes, generation, new.updated)?;

        let all = Copy {
            old: slot,
            template: &template,
            identify: |file: &File<'_>| Some(anywhere(file)),
        };
        let dropped = all.file_count().saturating_sub(copy.file_count());
        let (pages, files) = extent(&Slot::parse(&bytes, &Identity::new(new.layout_crc))?);
        Ok(Some(Copied {
            slot: bytes,
            pages,
            files,
            dropped,
        }))
    }

    /// What a file is that was recorded on another machine, if it is here.
    fn identify(&self, file: &File<'_>) -> Option<FileIdentity> {
        if part_of(file.path()).is_some() {
            // Nor is the disk the one that it was recorded on.
            return None;
        }
        let mut known = self.known.borrow_mut();
        let found = known
            .entry(file.path().to_vec())
            .or_insert_with(|| self.look(Path::new(OsStr::from_bytes(file.path()))));
        let found = (*found)?;
        let recorded = anywhere(file);
        let now = FileIdentity {
            size: found.size,
            mtime_sec: found.mtime.0,
            mtime_nsec: found.mtime.1,
            ..recorded
        };
        let same = match recorded.build_id.as_bytes() {
            [] => now == recorded,
            build_id => build_id == found.build_id.as_bytes(),
        };
        same.then_some(now)
    }

    fn look(&self, path: &Path) -> Option<Found> {
        let file = self.root.open(path).ok()?;
        let metadata = file.metadata().ok()?;
        Some(Found {
            build_id: image::build_id(&ReadCache::new(file)),
            size: metadata.size(),
            mtime: (
                metadata.mtime(),
                u32::try_from(metadata.mtime_nsec()).unwrap_or(0),
            ),
        })
    }
}

/// A slot that was made for this machine.
struct Copied {
    slot: Vec<u8>,
    pages: u64,
    files: usize,
    dropped: usize,
}

/// The slot of a file if it is for this program.
fn matching<'f>(file: &'f BitmapFile, image: &Image) -> Result<Slot<'f>> {
    let from = file.path.display();
    let theirs = file.any_slot().map(|(_, slot)| slot.header().build_id());
    if let Some(theirs) = theirs.filter(|id| id.as_bytes() != image.build_id.as_bytes()) {
        bail!(
            "the bitmap in {from} is for the build {}, and this is {}",
            hex(&theirs).unwrap_or_else(|| "without an id".to_owned()),
            hex(&image.build_id).unwrap_or_default()
        );
    }
    let slot = file.slot(&Identity::new(image.layout_crc));
    let (_, slot) = slot.with_context(|| format!("cannot use {from}"))?;
    ensure!(slot.header().updated != 0, "nothing is recorded in {from}");
    Ok(slot)
}

/// What was left out, in words.
fn describe(loss: Loss) -> Option<String> {
    Some(match loss {
        Loss::None => return None,
        Loss::Planes(planes) => format!("packed without all but the last {planes} recordings"),
        Loss::Holes(0) => "packed without what each recording had".to_owned(),
        Loss::Holes(widest) => format!("packed with holes of up to {widest} pages filled"),
        Loss::Reads(_) => "packed without some of the files that are read".to_owned(),
        Loss::Wide(widest) => format!(
            "packed without the files that are read, and with holes of up to {widest} pages filled"
        ),
        Loss::Profiles(count) => format!("packed with {count} profiles, and with holes filled"),
        Loss::Files(sixteenths) => {
            format!("packed with the first {sixteenths} of 16 files, and with holes filled")
        }
    })
}
