// SPDX-License-Identifier: GPL-2.0

//! What starting and ending programs costs that have everything in memory: one, many, and many at a time.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use crate::run::fail_unless_clean;
use crate::{cold, sys, Options};

fn command(options: &Options) -> Result<sys::Command> {
    sys::Command::new(&options.command, options.root.as_deref(), &options.output)
}

fn print(options: &Options, ns: &[u64]) {
    println!("{}", json!({ "label": options.label, "ns": ns }));
}

/// How long one program takes, from fork to its end.
fn time_of(options: &Options, command: &sys::Command) -> Result<u64> {
    let start = sys::monotonic_ns()?;
    let ended = command.fork(None)?.wait()?;
    let end = sys::monotonic_ns()?;
    fail_unless_clean(options, &ended)?;
    Ok(end.saturating_sub(start))
}

/// `loop`: the times of fork, exec and exit, back to back.
pub(crate) fn looped(options: &Options) -> Result<()> {
    let command = command(options)?;
    let mut times = Vec::with_capacity(options.repeat);
    cold::line_up()?;
    for _ in 0..options.repeat {
        times.push(time_of(options, &command)?);
    }
    print(options, &times);
    Ok(())
}

/// `exits`: the times from what `bench-touch` says is its end to when the parent knows of it.
pub(crate) fn exits(options: &Options) -> Result<()> {
    let command = command(options)?;
    let mut times = Vec::with_capacity(options.repeat);
    cold::line_up()?;
    for _ in 0..options.repeat {
        command.forget_output()?;
        let ended = command.fork(None)?.wait()?;
        let end = sys::monotonic_ns()?;
        fail_unless_clean(options, &ended)?;
        let said = fs::read(&options.output)?;
        let last = <[u8; 8]>::try_from(said)
            .ok()
            .context("the program did not say when it ended")?;
        times.push(end.saturating_sub(u64::from_ne_bytes(last)));
    }
    print(options, &times);
    Ok(())
}

/// `crowd`: the time of `repeat` programs that are started at once, as the share of each.
pub(crate) fn crowd(options: &Options) -> Result<()> {
    let command = command(options)?;
    cold::line_up()?;
    let start = sys::monotonic_ns()?;
    let crowd = (0..options.repeat)
        .map(|_| command.fork(None))
        .collect::<Result<Vec<_>>>()?;
    for one in crowd {
        fail_unless_clean(options, &one.wait()?)?;
    }
    let all = sys::monotonic_ns()?.saturating_sub(start);
    print(options, &[all / options.repeat.max(1) as u64]);
    Ok(())
}

/// `copies`: makes copies of the program beside it, `repeat` in all with those that are there, and starts each of them
/// once, so that those before the last are not those that were started last. Prints the times.
pub(crate) fn copies(options: &Options) -> Result<()> {
    let original = options.command.first().context("no program given")?;
    let mut commands = Vec::with_capacity(options.repeat);
    for number in 0..options.repeat {
        let mut copy: OsString = original.clone();
        copy.push(format!(".{number}"));
        if !Path::new(&copy).exists() {
            fs::copy(original, &copy).with_context(|| copy.to_string_lossy().into_owned())?;
        }
        commands.push(copy);
    }
    sys::sync();
    let mut times = Vec::with_capacity(options.repeat);
    cold::line_up()?;
    for copy in commands {
        let command = sys::Command::new(&[copy], None, &options.output)?;
        times.push(time_of(options, &command)?);
    }
    print(options, &times);
    Ok(())
}
