// SPDX-License-Identifier: GPL-2.0

//! Which file each major fault was for.
//!
//! `ru_majflt` counts every major fault of a program: those on its own pages, on its libraries, on its copies of
//! anonymous memory. The promise of a bitmap in the executable is about the first kind only, so they are told apart:
//! perf's software event for major faults gives each one's address, and its mmap records say which file was mapped
//! there. That costs time, so it is a run of its own whose time nobody looks at.
//!
//! Faults that the kernel takes on a program's behalf through get_user_pages() count in `ru_majflt` but not here;
//! `total` (from `ru_majflt`) and `seen` are both printed, so that such a difference shows.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{bail, Context, Result};
use serde_json::json;

use crate::records::{
    Records, MISC_COMM_EXEC, RECORD_COMM, RECORD_FORK, RECORD_MMAP2, RECORD_SAMPLE,
};
use crate::{cold, run, sys, Options};

/// `faults`: one line with the number of major faults of each file, and of the program's own.
pub(crate) fn attributed(options: &Options) -> Result<()> {
    let command = sys::Command::new(&options.command, options.root.as_deref(), &options.output)?;
    let program = options.command.first().context("no program")?;
    let program = identity_in(
        options.root.as_deref().unwrap_or(Path::new("/")),
        Path::new(program),
    )?;

    if options.cold {
        cold::make_cold(options)?;
    }
    command.forget_output()?;
    cold::line_up()?;
    let gate = sys::Gate::new()?;
    let child = command.fork(Some(&gate))?;
    let events = sys::Recording::of_major_faults(child.pid())?;
    drop(gate);
    let ended = child.wait()?;
    run::fail_unless_clean(options, &ended)?;

    let faults = Faults::parse(&events.records()?)?;
    let own: u64 = faults
        .by_file
        .iter()
        .filter(|(file, _)| file.identity == program)
        .map(|(_, count)| count)
        .sum();
    let seen: u64 = faults.by_file.values().sum();
    let by_file: BTreeMap<&str, u64> = faults
        .by_file
        .iter()
        .map(|(file, count)| (file.name.as_str(), *count))
        .collect();
    println!(
        "{}",
        json!({
            "label": options.label,
            "total": ended.major_faults,
            "seen": seen,
            "own": own,
            "by_file": by_file,
        })
    );
    Ok(())
}

/// Which file `program` is inside `root`, symbolic links followed as if `root` were the root.
fn identity_in(root: &Path, program: &Path) -> Result<Identity> {
    let mut path = PathBuf::from("/");
    let mut left: Vec<_> = program.iter().rev().map(ToOwned::to_owned).collect();
    for _ in 0..256 {
        let Some(name) = left.pop() else {
            let metadata = fs::metadata(inside(root, &path))?;
            return Ok(Identity {
                device: metadata.dev(),
                inode: metadata.ino(),
            });
        };
        match name.to_str() {
            Some("/") => path = PathBuf::from("/"),
            Some("..") => drop(path.pop()),
            _ => {
                let next = path.join(&name);
                match fs::read_link(inside(root, &next)) {
                    Ok(target) => left.extend(target.iter().rev().map(ToOwned::to_owned)),
                    Err(_) => path = next,
                }
            }
        }
    }
    bail!("{}: too many symbolic links", program.display())
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// What tells files apart, whatever their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    device: u64,
    inode: u64,
}

/// A mapped file, or what the kernel calls a mapping without one (`//anon`, `[stack]`), whose identity is zero.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct MappedFile {
    name: String,
    identity: Identity,
}

#[derive(Clone)]
struct Mapping {
    start: u64,
    length: u64,
    file: MappedFile,
}

#[derive(Default)]
struct Faults {
    by_file: BTreeMap<MappedFile, u64>,
}

impl Faults {
    /// Replays perf's records: what was mapped where in which process, and where it then faulted.
    fn parse(records: &[u8]) -> Result<Self> {
        let mut faults = Self::default();
        let mut processes: BTreeMap<u32, Vec<Mapping>> = BTreeMap::new();
        for record in Records(records) {
            let record = record?;
            match record.kind()? {
                RECORD_COMM if record.misc()? & MISC_COMM_EXEC != 0 => {
                    drop(processes.remove(&record.u32(8)?))
                }
                RECORD_FORK => {
                    let (child, parent) = (record.u32(8)?, record.u32(12)?);
                    if child != parent {
                        let inherited = processes.get(&parent).cloned().unwrap_or_default();
                        processes.insert(child, inherited);
                    }
                }
                RECORD_MMAP2 => {
                    let name = record.0.get(72..).unwrap_or_default();
                    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                    processes.entry(record.u32(8)?).or_default().push(Mapping {
                        start: record.u64(16)?,
                        length: record.u64(24)?,
                        file: MappedFile {
                            name: sys::os_string(name),
                            identity: Identity {
                                device: sys::device_number(record.u32(40)?, record.u32(44)?),
                                inode: record.u64(48)?,
                            },
                        },
                    });
                }
                RECORD_SAMPLE => {
                    let (process, address) = (record.u32(8)?, record.u64(16)?);
                    let file = processes
                        .get(&process)
                        .and_then(|mappings| {
                            mappings.iter().rev().find(|mapping| mapping.holds(address))
                        })
                        .map_or_else(MappedFile::unknown, |mapping| mapping.file.clone());
                    *faults.by_file.entry(file).or_default() += 1;
                }
                _ => {}
            }
        }
        Ok(faults)
    }
}

impl MappedFile {
    fn unknown() -> Self {
        Self {
            name: "(not mapped by the program)".into(),
            identity: Identity::default(),
        }
    }
}

impl Mapping {
    fn holds(&self, address: u64) -> bool {
        address
            .checked_sub(self.start)
            .is_some_and(|offset| offset < self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::RECORD_LOST;

    fn record(kind: u32, misc: u16, body: &[u8]) -> Vec<u8> {
        let size = (8 + body.len()) as u16;
        [
            &kind.to_le_bytes()[..],
            &misc.to_le_bytes(),
            &size.to_le_bytes(),
            body,
        ]
        .concat()
    }

    fn mmap(process: u32, start: u64, length: u64, inode: u64, name: &str) -> Vec<u8> {
        let mut body = [process.to_le_bytes(), process.to_le_bytes()].concat();
        for field in [start, length, 0, 0, inode, 0, 0] {
            body.extend(field.to_le_bytes());
        }
        body.extend(name.as_bytes());
        body.extend(vec![0; 8 - name.len() % 8]);
        record(RECORD_MMAP2, 0, &body)
    }

    fn sample(process: u32, address: u64) -> Vec<u8> {
        let ids = [process.to_le_bytes(), process.to_le_bytes()].concat();
        record(
            RECORD_SAMPLE,
            0,
            &[ids, address.to_le_bytes().to_vec()].concat(),
        )
    }

    fn counts(records: &[Vec<u8>]) -> Vec<(String, u64)> {
        let faults = Faults::parse(&records.concat()).unwrap();
        faults
            .by_file
            .into_iter()
            .map(|(file, count)| (file.name, count))
            .collect()
    }

    #[test]
    fn a_fault_belongs_to_what_is_mapped_at_its_address() {
        let records = [
            mmap(7, 0x1000, 0x2000, 11, "/bin/program"),
            mmap(7, 0x9000, 0x1000, 12, "/lib/library"),
            sample(7, 0x1000),
            sample(7, 0x2fff),
            sample(7, 0x9800),
            sample(7, 0x3000),
        ];
        assert_eq!(
            counts(&records),
            [
                ("(not mapped by the program)".into(), 1),
                ("/bin/program".into(), 2),
                ("/lib/library".into(), 1)
            ]
        );
    }

    #[test]
    fn the_newest_mapping_of_an_address_wins() {
        let records = [
            mmap(7, 0x1000, 0x4000, 11, "/bin/program"),
            mmap(7, 0x2000, 0x1000, 0, "//anon"),
            sample(7, 0x2000),
        ];
        assert_eq!(counts(&records), [("//anon".into(), 1)]);
    }

    #[test]
    fn a_forked_child_has_its_parents_mappings_until_it_execs() {
        let fork = record(
            RECORD_FORK,
            0,
            &[8_u32, 7, 8, 7, 0, 0].map(u32::to_le_bytes).concat(),
        );
        let comm = record(
            RECORD_COMM,
            MISC_COMM_EXEC,
            &[8_u32, 8, 0, 0].map(u32::to_le_bytes).concat(),
        );
        let records = [
            mmap(7, 0x1000, 0x1000, 11, "/bin/program"),
            fork,
            sample(8, 0x1000),
            comm,
            sample(8, 0x1000),
        ];
        assert_eq!(
            counts(&records),
            [
                ("(not mapped by the program)".into(), 1),
                ("/bin/program".into(), 1)
            ]
        );
    }

    #[test]
    fn lost_records_are_an_error_and_not_a_low_count() {
        assert!(Faults::parse(&record(RECORD_LOST, 0, &[0; 16])).is_err());
    }

    #[test]
    fn links_are_followed_inside_the_root() {
        let root =
            std::env::temp_dir().join(format!("bench-launcher-links-{}", std::process::id()));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/real"), "").unwrap();
        std::os::unix::fs::symlink("/usr/bin/real", root.join("usr/bin/absolute")).unwrap();
        std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
        let wanted = identity_in(Path::new("/"), &root.join("usr/bin/real")).unwrap();
        assert_eq!(
            identity_in(&root, Path::new("/bin/absolute")).unwrap(),
            wanted
        );
        fs::remove_dir_all(root).unwrap();
    }
}
