// SPDX-License-Identifier: GPL-2.0

//! The timed run: nothing is traced, and nothing but the program runs between the two looks at the clock.

use std::ffi::OsString;
use std::fs::File;
use std::io;

use anyhow::{bail, Context, Result};
use serde_json::json;

use crate::disk::Counters;
use crate::{cold, processor, sys, whole, Options};

/// A launch: from the first of what is done for the program to its end, or to what it says when it is up.
pub(crate) struct Launch {
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    disk: Counters,
    /// When nothing could run.
    idle_ns: Option<u64>,
    ended: sys::Ended,
}

/// Starts the program once, as `options` say.
pub(crate) fn launch(options: &Options, command: &sys::Command) -> Result<Launch> {
    let files = match &options.whole {
        Some(list) => whole::files(list, options.root.as_deref())?,
        None => Vec::new(),
    };
    let helper = |words: &Option<String>| -> Result<Option<sys::Command>> {
        let Some(words) = words else { return Ok(None) };
        let words: Vec<_> = words.split_whitespace().map(OsString::from).collect();
        Ok(Some(sys::Command::new(&words, None, &options.output)?))
    };
    let (before, beside) = (helper(&options.before)?, helper(&options.beside)?);

    let disk_before = Counters::now(options.disk.as_deref())?;
    let busy_before = processor::busy_ns();
    let start_ns = sys::monotonic_ns()?;
    whole::read(&files)?;
    if let Some(before) = before {
        fail_unless_clean(options, &before.fork(None)?.wait()?)?;
    }
    let beside = beside.map(|beside| beside.fork(None)).transpose()?;
    let (end_ns, disk, ended) = match &options.until {
        None => {
            let ended = command.fork(None)?.wait()?;
            let end_ns = sys::monotonic_ns()?;
            let disk = Counters::now(options.disk.as_deref())?;
            fail_unless_clean(options, &ended)?;
            (end_ns, disk, ended)
        }
        Some(text) => {
            let (reader, writer) = sys::pipe()?;
            let child = command.fork_to(&writer, None)?;
            drop(writer);
            read_until(File::from(reader), text)?;
            let end_ns = sys::monotonic_ns()?;
            let disk = Counters::now(options.disk.as_deref())?;
            child.terminate()?;
            (end_ns, disk, child.wait()?)
        }
    };
    let busy_ns = processor::busy_ns()
        .zip(busy_before)
        .map(|(after, before)| after.saturating_sub(before));
    if let Some(beside) = beside {
        fail_unless_clean(options, &beside.wait()?)?;
    }
    Ok(Launch {
        start_ns,
        end_ns,
        disk: disk.since(disk_before),
        idle_ns: busy_ns.map(|busy| end_ns.saturating_sub(start_ns).saturating_sub(busy)),
        ended,
    })
}

/// Waits until a program has printed `text`.
fn read_until(mut output: impl io::Read, text: &str) -> Result<()> {
    let mut printed = Vec::new();
    let mut part = [0; 4096];
    loop {
        let length = output.read(&mut part)?;
        if length == 0 {
            let printed = String::from_utf8_lossy(&printed);
            bail!("the program ended without having printed \"{text}\", but:\n{printed}");
        }
        printed.extend_from_slice(part.get(..length).unwrap_or_default());
        if printed
            .windows(text.len())
            .any(|window| window == text.as_bytes())
        {
            return Ok(());
        }
    }
}

/// `run`: one line with times and counts for each of `repeat` runs.
pub(crate) fn timed(options: &Options) -> Result<()> {
    let command = sys::Command::new(&options.command, options.root.as_deref(), &options.output)?;
    for number in 0..options.repeat {
        if options.cold {
            cold::make_cold(options)?;
        }
        command.forget_output()?;
        cold::line_up()?;
        let cached_before = cold::cached_kb()?;
        let launch = launch(options, &command)?;
        println!(
            "{}",
            json!({
                "label": options.label,
                "run": number,
                "ns": launch.end_ns.saturating_sub(launch.start_ns),
                "idle_ns": launch.idle_ns,
                "majflt": launch.ended.major_faults,
                "minflt": launch.ended.minor_faults,
                "reads": launch.disk.reads,
                "kb_read": launch.disk.sectors_read / 2,
                "writes": launch.disk.writes,
                "kb_written": launch.disk.sectors_written / 2,
                "cached_kb": cold::cached_kb()?.saturating_sub(cached_before),
                "output": output_checksum(options)?,
            })
        );
    }
    Ok(())
}

/// A program that failed may have failed early, and then its time means nothing.
pub(crate) fn fail_unless_clean(options: &Options, ended: &sys::Ended) -> Result<()> {
    if ended.clean() {
        return Ok(());
    }
    let said = std::fs::read(&options.output).unwrap_or_default();
    bail!(
        "{}: {}; its last words:\n{}",
        options
            .command
            .first()
            .map_or_else(String::new, |p| p.to_string_lossy().into_owned()),
        ended.describe(),
        String::from_utf8_lossy(
            said.get(said.len().saturating_sub(2000)..)
                .unwrap_or_default()
        )
    );
}

/// Tells whether two runs printed the same, without keeping what they printed (64-bit FNV-1a).
fn output_checksum(options: &Options) -> Result<String> {
    let bytes = if options.output.as_os_str() == "/dev/null" {
        Vec::new()
    } else {
        std::fs::read(&options.output).with_context(|| options.output.display().to_string())?
    };
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(format!("{}:{hash:016x}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_up_when_it_says_so() {
        assert!(read_until("starting\nready".as_bytes(), "ready").is_ok());
        let error = read_until("starting\nno disk".as_bytes(), "ready").unwrap_err();
        assert!(error.to_string().contains("no disk"), "{error}");
    }
}
