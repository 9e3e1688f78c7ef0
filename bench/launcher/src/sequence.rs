// SPDX-License-Identifier: GPL-2.0

//! What a cold launch brings into the page cache, in that order, metadata among it: what FAST (Joo et al., FAST '11)
//! finds out from the requests to the disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::list::{self, Run, PAGE};
use crate::trace::Trace;
use crate::Options;

/// `sequence`: prints the list, in the launch's order or in that of [`list::sorted`].
pub(crate) fn traced(options: &Options, sorted: bool) -> Result<()> {
    let disk = options.disk.as_deref().context("--disk is missing")?;
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    let device = fs::read_to_string(format!("/sys/block/{disk}/dev"))?;
    let metadata = PathBuf::from(format!("/dev/{disk}"));
    let own_inode = inode_of_disk(device.trim()).context("no device number")?;

    let trace = Trace::of_run(options, &["filemap/mm_filemap_add_to_page_cache"])?;
    let mut paths = BTreeMap::new();
    list::each_file(root, &mut |path, metadata| {
        paths.insert(metadata.ino(), path.to_owned());
        Ok(())
    })?;

    let mut runs = Vec::new();
    for event in trace.events() {
        let number = |key| event.field(key).and_then(|value| value.parse::<u64>().ok());
        let (Some(of), Some(inode), Some(offset), Some(order)) = (
            event.field("dev "),
            event
                .field("ino ")
                .and_then(|value| u64::from_str_radix(value, 16).ok()),
            number("ofs="),
            number("order="),
        ) else {
            continue;
        };
        let path = if inode == own_inode && of.starts_with("0:") {
            &metadata
        } else if of == device.trim() {
            match paths.get(&inode) {
                Some(path) => path,
                None => continue, // a directory, or gone
            }
        } else {
            continue;
        };
        let (first, pages) = (offset / PAGE, 1 << order.min(20));
        list::push(
            &mut runs,
            Run {
                path: path.clone(),
                first,
                pages,
            },
        );
    }
    if sorted {
        runs = list::sorted(runs, &metadata);
    }
    list::print(&runs);
    Ok(())
}

/// The inode number of a block device, which is its number as the kernel keeps it.
fn inode_of_disk(device: &str) -> Option<u64> {
    let (major, minor) = device.split_once(':')?;
    Some((major.parse::<u64>().ok()? << 20) | minor.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inode_of_a_disk_is_its_number() {
        assert_eq!(inode_of_disk("252:3"), Some((252 << 20) | 3));
        assert_eq!(inode_of_disk("sda"), None);
    }
}
