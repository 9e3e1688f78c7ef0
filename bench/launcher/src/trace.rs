// SPDX-License-Identifier: GPL-2.0

//! What the kernel's tracepoints say while one program is started.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::{cold, run, sys, Options};

const TRACEFS: &str = "/sys/kernel/tracing";
/// Larger than any launch needs; a launch that fills it is an error.
const BUFFER_KB: &str = "65536";

/// One line of the kernel's trace.
pub(crate) struct Event<'a> {
    pub(crate) ns: u64,
    pub(crate) name: &'a str,
    /// What stands behind the name.
    pub(crate) text: &'a str,
}

impl<'a> Event<'a> {
    /// A line such as `  git-88    [000] .....    12.345678: mm_filemap_fault: dev 252:0 ino c ofs=0`.
    fn parse(line: &'a str) -> Option<Self> {
        let (_, rest) = line.split_once("] ")?;
        let (_, rest) = rest.trim_start().split_once(' ')?;
        let (time, rest) = rest.trim_start().split_once(": ")?;
        let (name, text) = rest.split_once(": ")?;
        let (seconds, micros) = time.split_once('.')?;
        let ns = seconds.parse::<u64>().ok()? * 1_000_000_000 + micros.parse::<u64>().ok()? * 1000;
        Some(Self { ns, name, text })
    }

    /// The word behind `key`, which ends in a blank or an equals sign.
    pub(crate) fn field(&self, key: &str) -> Option<&'a str> {
        let at = self.text.find(key)? + key.len();
        self.text.get(at..)?.split_whitespace().next()
    }
}

/// When a traced launch began and ended, and all that was traced.
pub(crate) struct Trace {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    text: String,
}

impl Trace {
    /// Starts the program once, cold if that was asked for, with these events (`filemap/mm_filemap_fault`) on. Those
    /// that this kernel does not have are left out.
    pub(crate) fn of_run(options: &Options, events: &[&str]) -> Result<Self> {
        let command =
            sys::Command::new(&options.command, options.root.as_deref(), &options.output)?;
        set("tracing_on", "0")?;
        set("trace_clock", "mono")?;
        set("buffer_size_kb", BUFFER_KB)?;
        set("trace", "")?;
        let there = |event: &&&str| Path::new(TRACEFS).join("events").join(event).exists();
        let events: Vec<_> = events.iter().filter(there).collect();
        if options.cold {
            cold::make_cold(options)?;
        }
        command.forget_output()?;
        for event in &events {
            set(&format!("events/{event}/enable"), "1")?;
        }
        cold::line_up()?;
        set("tracing_on", "1")?;
        let launch = run::launch(options, &command)?;
        set("tracing_on", "0")?;
        for event in &events {
            set(&format!("events/{event}/enable"), "0")?;
        }
        let text =
            fs::read_to_string(Path::new(TRACEFS).join("trace")).context("reading the trace")?;
        set("trace", "")?;
        let counted = text
            .lines()
            .find_map(|line| line.split_once("entries-in-buffer/entries-written: "));
        if let Some((kept, written)) =
            counted.and_then(|(_, counts)| counts.split_whitespace().next()?.split_once('/'))
        {
            if kept != written {
                bail!("of {written} traced events only {kept} were kept");
            }
        }
        Ok(Self {
            start_ns: launch.start_ns,
            end_ns: launch.end_ns,
            text,
        })
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(Event::parse)
    }
}

fn set(name: &str, value: &str) -> Result<()> {
    let path = Path::new(TRACEFS).join(name);
    fs::write(&path, value).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_time_a_name_and_fields() {
        let line = "  bench-launcher-71      [000] d..1.    12.000345: mm_filemap_add_to_page_cache: dev 252:0 ino 1f pfn=0x77 ofs=8192 order=1";
        let event = Event::parse(line).unwrap();
        assert_eq!(
            (event.ns, event.name),
            (12_000_345_000, "mm_filemap_add_to_page_cache")
        );
        assert_eq!(event.field("ino "), Some("1f"));
        assert_eq!(event.field("ofs="), Some("8192"));
        assert_eq!(event.field("page="), None);
    }
}
