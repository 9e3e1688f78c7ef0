// SPDX-License-Identifier: GPL-2.0

//! Lists of pages of files: what a launch brought into the page cache, and what is read before or beside the next.
//!
//! A line is a run of pages: the first, how many, and the file's path up to the end of the line. The disk's own path
//! stands for its metadata.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::sys;

/// Bytes of a page.
pub(crate) const PAGE: u64 = 4096;

/// Pages of a file, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Run {
    pub(crate) path: PathBuf,
    pub(crate) first: u64,
    pub(crate) pages: u64,
}

impl Run {
    fn parse(line: &str) -> Option<Self> {
        let (first, rest) = line.split_once(' ')?;
        let (pages, path) = rest.split_once(' ')?;
        Some(Self {
            path: path.into(),
            first: first.parse().ok()?,
            pages: pages.parse().ok()?,
        })
    }
}

/// Adds a run, to the last one if it goes on there.
pub(crate) fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        Some(last) if last.path == run.path && last.first + last.pages == run.first => {
            last.pages += run.pages;
        }
        _ => runs.push(run),
    }
}

/// A page once, files in the order of their paths, pages in theirs; `metadata` before all.
pub(crate) fn sorted(mut runs: Vec<Run>, metadata: &Path) -> Vec<Run> {
    runs.sort_by(|a, b| {
        (a.path != metadata, &a.path, a.first).cmp(&(b.path != metadata, &b.path, b.first))
    });
    let mut joined: Vec<Run> = Vec::new();
    for run in runs {
        match joined.last_mut() {
            Some(last) if last.path == run.path && run.first <= last.first + last.pages => {
                last.pages = last.pages.max(run.first + run.pages - last.first);
            }
            _ => joined.push(run),
        }
    }
    joined
}

/// Prints the list.
pub(crate) fn print(runs: &[Run]) {
    for run in runs {
        println!("{} {} {}", run.first, run.pages, run.path.display());
    }
}

/// `replay`: asks for all pages of the list in its order, and waits for nothing but the look-ups.
pub(crate) fn replay(list: &Path) -> Result<()> {
    let text = fs::read_to_string(list).with_context(|| list.display().to_string())?;
    let mut open: BTreeMap<PathBuf, Option<File>> = BTreeMap::new();
    for line in text.lines() {
        let run = Run::parse(line).with_context(|| format!("not a run of pages: {line}"))?;
        let file = open
            .entry(run.path.clone())
            .or_insert_with(|| File::open(&run.path).ok());
        // What cannot be opened any more, the program will not miss here.
        if let Some(file) = file {
            sys::read_ahead(file, run.first * PAGE, run.pages * PAGE);
        }
    }
    Ok(())
}

/// Calls `visit` for each regular file below `root` that is on its filesystem.
pub(crate) fn each_file(
    root: &Path,
    visit: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<()>,
) -> Result<()> {
    let device = fs::symlink_metadata(root)?.dev();
    let mut left = vec![root.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(&directory).with_context(|| directory.display().to_string())? {
            let path = entry?.path();
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.dev() != device || path.as_os_str().as_bytes().contains(&b'\n') {
                continue;
            }
            if metadata.is_dir() {
                left.push(path);
            } else if metadata.is_file() {
                visit(&path, &metadata)?;
            }
        }
    }
    Ok(())
}

/// `residents`: prints which pages of which files are cached now, as mincore(2) tells, in the order of [`sorted`].
pub(crate) fn residents(root: &Path) -> Result<()> {
    let mut runs = Vec::new();
    each_file(root, &mut |path, metadata| {
        if metadata.len() == 0 {
            return Ok(());
        }
        let file = File::open(path).with_context(|| path.display().to_string())?;
        for (page, cached) in sys::resident(&file, metadata.len())?.iter().enumerate() {
            if *cached {
                let first = page as u64;
                push(
                    &mut runs,
                    Run {
                        path: path.to_owned(),
                        first,
                        pages: 1,
                    },
                );
            }
        }
        Ok(())
    })?;
    print(&sorted(runs, Path::new("")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(path: &str, first: u64, pages: u64) -> Run {
        Run {
            path: path.into(),
            first,
            pages,
        }
    }

    #[test]
    fn a_line_is_a_run_and_a_path_with_blanks() {
        assert_eq!(Run::parse("3 2 /a b"), Some(run("/a b", 3, 2)));
        assert_eq!(Run::parse("3 /a"), None);
    }

    #[test]
    fn sorting_puts_the_metadata_first_and_joins_what_meets() {
        let runs = vec![
            run("/b", 4, 2),
            run("/a", 9, 1),
            run("/b", 0, 5),
            run("/dev", 7, 1),
            run("/b", 6, 1),
        ];
        assert_eq!(
            sorted(runs, Path::new("/dev")),
            [run("/dev", 7, 1), run("/a", 9, 1), run("/b", 0, 7)]
        );
    }

    #[test]
    fn a_run_that_goes_on_is_one() {
        let mut runs = vec![run("/a", 0, 2)];
        push(&mut runs, run("/a", 2, 1));
        push(&mut runs, run("/a", 1, 1));
        assert_eq!(runs, [run("/a", 0, 3), run("/a", 1, 1)]);
    }
}
