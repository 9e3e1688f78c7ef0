// SPDX-License-Identifier: GPL-2.0

//! The timed run: nothing is traced, and nothing but the program runs between the two looks at the clock.

use anyhow::{bail, Context, Result};
use serde_json::json;

use crate::disk::Counters;
use crate::{cold, sys, whole, Options};

/// `run`: one line with times and counts for each of `repeat` runs.
pub(crate) fn timed(options: &Options) -> Result<()> {
    let command = sys::Command::new(&options.command, options.root.as_deref(), &options.output)?;
    let files = match &options.whole {
        Some(list) => whole::files(list, options.root.as_deref())?,
        None => Vec::new(),
    };
    for number in 0..options.repeat {
        if options.cold {
            cold::empty_caches(options.settle.as_deref(), options.root.as_deref())?;
        }
        command.forget_output()?;
        cold::line_up()?;

        let disk_before = Counters::now(options.disk.as_deref())?;
        let start = sys::monotonic_ns()?;
        whole::read(&files)?;
        let ended = command.fork(None)?.wait()?;
        let elapsed = sys::monotonic_ns()?.saturating_sub(start);
        let disk = Counters::now(options.disk.as_deref())?.since(disk_before);

        fail_unless_clean(options, &ended)?;
        println!(
            "{}",
            json!({
                "label": options.label,
                "run": number,
                "ns": elapsed,
                "majflt": ended.major_faults,
                "minflt": ended.minor_faults,
                "reads": disk.reads,
                "kb_read": disk.sectors_read / 2,
                "writes": disk.writes,
                "kb_written": disk.sectors_written / 2,
                "output": output_checksum(options)?,
            })
        );
    }
    Ok(())
}

/// `loop`: one line with the times of all runs, back to back.
pub(crate) fn looped(options: &Options) -> Result<()> {
    let command = sys::Command::new(&options.command, options.root.as_deref(), &options.output)?;
    let mut times = Vec::with_capacity(options.repeat);
    cold::line_up()?;
    for _ in 0..options.repeat {
        let start = sys::monotonic_ns()?;
        let ended = command.fork(None)?.wait()?;
        times.push(sys::monotonic_ns()?.saturating_sub(start));
        fail_unless_clean(options, &ended)?;
    }
    println!("{}", json!({ "label": options.label, "ns": times }));
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
