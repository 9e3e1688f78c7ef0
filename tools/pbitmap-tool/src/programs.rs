// SPDX-License-Identifier: GPL-2.0

//! What the module knows of the programs that were started: `programs` in debugfs, one a line.

use std::{
    collections::HashMap,
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::{store::Store, system::System, target::Target};

/// A program and the sums over its recorded starts since the module was loaded. Pages are those of
/// all files that its bitmap names.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Program {
    /// The path that it was started by last.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// The filesystem, as major and minor number.
    pub dev: String,
    /// The file.
    pub ino: u64,
    /// Starts.
    pub runs: u64,
    /// Those of them that were recorded, of which the pages are.
    pub recorded: u64,
    /// Pages that the bitmap named.
    pub wanted: u64,
    /// Those that were in memory.
    pub cached: u64,
    /// Pages that were read.
    pub read: u64,
    /// Those that were named, and touched.
    pub hits: u64,
    /// Those that were named, and not touched.
    pub waste: u64,
    /// Bitmaps written.
    pub written: u64,
    /// Starts that will still be left alone because the bitmap was of no use.
    pub backoff: u64,
    /// When a bitmap was written last, in seconds since the epoch; 0 for never.
    pub last_write: u64,
    /// Why the recording of the last start was not stored.
    pub reason: Option<String>,
    /// Where its bitmap is, as the file at that path has it now.
    pub store: Option<Store>,
}

impl Program {
    /// The hits in percent of what can be told to be a hit or not; [`None`] if that is nothing.
    pub fn precision(&self) -> Option<f64> {
        precision(self.hits, self.waste)
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let more = |now: u64, before: u64| now.saturating_sub(before);
        Self {
            runs: more(self.runs, before.runs),
            recorded: more(self.recorded, before.recorded),
            wanted: more(self.wanted, before.wanted),
            cached: more(self.cached, before.cached),
            read: more(self.read, before.read),
            hits: more(self.hits, before.hits),
            waste: more(self.waste, before.waste),
            written: more(self.written, before.written),
            ..self.clone()
        }
    }
}

/// The share of `hits` in percent, to one decimal.
pub fn precision(hits: u64, waste: u64) -> Option<f64> {
    let all = hits.saturating_add(waste);
    (all != 0).then(|| (hits as f64 * 1000.0 / all as f64).round() / 10.0)
}

/// All programs that the module knows, those that were started last first.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Programs(pub Vec<Program>);

impl Programs {
    /// Reads what the module shows.
    pub fn read(system: &System) -> Result<Self> {
        Self::parse(&system.read_debugfs("programs")?)
    }

    /// Reads the table: a line with the names of the columns, then one a program.
    ///
    /// Columns are found by their names, so that later versions of the module can have more.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let parse = |line: &str| {
            let columns: HashMap<&str, &str> = names
                .iter()
                .copied()
                // The path is the rest of the line.
                .zip(line.splitn(names.len(), '\t'))
                .collect();
            program(&columns).with_context(|| format!("the list of programs has a line {line:?}"))
        };
        lines.map(parse).collect::<Result<_>>().map(Self)
    }

    /// The program that `target` is.
    pub fn find(&self, target: &Target) -> Option<&Program> {
        let dev = target.stat.st_dev;
        let dev = format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev));
        let ino = target.stat.st_ino;
        let file = |program: &&Program| program.dev == dev && program.ino == ino;
        // Some filesystems show programs other numbers than they have for the kernel.
        let path = |program: &&Program| program.path == target.path;
        self.0
            .iter()
            .find(file)
            .or_else(|| self.0.iter().find(path))
    }
}

fn program(columns: &HashMap<&str, &str>) -> Option<Program> {
    let text = |name: &str| columns.get(name).copied();
    let number = |name: &str| text(name)?.parse().ok();
    Some(Program {
        path: unescape(text("path")?),
        dev: text("dev")?.to_owned(),
        ino: number("ino")?,
        runs: number("runs")?,
        recorded: number("recorded")?,
        wanted: number("wanted")?,
        cached: number("cached")?,
        read: number("read")?,
        hits: number("hits")?,
        waste: number("waste")?,
        written: number("written")?,
        backoff: number("backoff")?,
        last_write: number("last_write")?,
        reason: text("reason")
            .filter(|reason| *reason != "-")
            .map(str::to_owned),
        store: None,
    })
}

/// A path as the kernel writes it, with `\012` for a byte that would make two lines of it.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let octal = after.first_chunk::<3>().filter(|_| *byte == b'\\');
        let escaped = octal.and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        rest = match escaped {
            Some(_) => after.get(3..).unwrap_or_default(),
            None => after,
        };
        bytes.push(escaped.unwrap_or(*byte));
    }
    OsString::from_vec(bytes).into()
}

fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}
