// SPDX-License-Identifier: GPL-2.0

//! How the guest is made cold before a run, and how a run is lined up with the disk.

use std::fs;
use std::path::Path;

use anyhow::{bail, Context, Result};

use crate::{sys, Options};

/// null_blk hands out its bandwidth in helpings, one every 20 ms, on a grid that starts when the disk is switched on.
/// A run that starts anywhere else on that grid gets a helping more or less, which would be up to 20 ms of noise.
const BANDWIDTH_TICK_MS: u64 = 20;

/// Longer than the kernel takes to finish what a sync, an exit or a writeback left for its workers.
const QUIET_MS: u64 = 100;

/// Empties the page cache and the caches of inodes and names, and runs `--settle` once below the root, so that what every
/// program of a running system has had read, the loader and the C library, is there as it always is.
///
/// Then it rests, so that whoever works in the background can.
pub(crate) fn make_cold(options: &Options) -> Result<()> {
    // What an earlier program left to the kernel's workers may still make pages dirty.
    quiet()?;
    sys::sync();
    fs::write("/proc/sys/vm/drop_caches", "3").context("/proc/sys/vm/drop_caches")?;
    if let Some(program) = &options.settle {
        let root = options.root.as_deref();
        let settled = sys::Command::new(&[program.into()], root, Path::new("/dev/null"))?;
        if !settled.fork(None)?.wait()?.clean() {
            bail!("{} failed", program.display());
        }
    }
    sys::sleep_until(
        sys::monotonic_ns()?.saturating_add(options.rest.saturating_mul(1_000_000_000)),
    )
}

/// What the page cache holds, in KiB.
pub(crate) fn cached_kb() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let (files, metadata) = (of("Cached:"), of("Buffers:"));
    Ok(files.context("no line Cached in /proc/meminfo")? + metadata.unwrap_or(0))
}

/// Sleeps until the guest is quiet and the disk begins a new helping of bandwidth.
pub(crate) fn line_up() -> Result<()> {
    quiet()?;
    align(BANDWIDTH_TICK_MS)
}

fn quiet() -> Result<()> {
    sys::sleep_until(sys::monotonic_ns()?.saturating_add(QUIET_MS * 1_000_000))
}

/// Sleeps until the clock is at a multiple of `milliseconds`.
pub(crate) fn align(milliseconds: u64) -> Result<()> {
    let step = milliseconds.saturating_mul(1_000_000).max(1);
    sys::sleep_until((sys::monotonic_ns()? / step + 1).saturating_mul(step))
}
