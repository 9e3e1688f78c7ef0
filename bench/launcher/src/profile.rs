// SPDX-License-Identifier: GPL-2.0

//! Where the kernel spends the time of a program's fork, exec and exit, over and over.
//!
//! The kernel's clock event samples its call chain at a fixed rate, in all tasks, so that what a program leaves to the
//! kernel's workers shows, too. Sampling costs time itself, evenly spread: shares are right, sums a little too large.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context, Result};
use serde_json::json;

use crate::records::{Records, RECORD_SAMPLE};
use crate::{cold, run, sys, Options};

/// A sample costs some 15 us itself: more often, and it would mostly see itself. No divisor of any timer's period.
const PERIOD_NS: u64 = 47_000;
/// Call chain entries from here on are not addresses but say what kind of addresses follow.
const CONTEXT_MARKS: u64 = 0_u64.wrapping_sub(4095);

/// `profile`: one line with the nanoseconds a run by function: its own, and with all that it calls.
pub(crate) fn profiled(options: &Options) -> Result<()> {
    // No limit to how much of the time sampling may take.
    let limit = "/proc/sys/kernel/perf_cpu_time_max_percent";
    fs::write(limit, "0").context(limit)?;
    let command = sys::Command::new(&options.command, options.root.as_deref(), &options.output)?;
    cold::line_up()?;
    let samples = sys::Recording::of_kernel_time(PERIOD_NS)?;
    for _ in 0..options.repeat {
        run::fail_unless_clean(options, &command.fork(None)?.wait()?)?;
    }
    let records = samples.records()?;
    drop(samples);

    // Only now: with all these in its memory, the launcher would take twice as long to fork.
    let symbols = Symbols::read()?;
    let mut own: BTreeMap<&str, u64> = BTreeMap::new();
    let mut whole: BTreeMap<&str, u64> = BTreeMap::new();
    let mut total = 0;
    for record in Records(&records) {
        let record = record?;
        if record.kind()? != RECORD_SAMPLE {
            continue;
        }
        let mut chain = Vec::new();
        for entry in 0..usize::try_from(record.u64(8)?)? {
            let address = record.u64(16 + 8 * entry)?;
            if address < CONTEXT_MARKS {
                chain.push(symbols.name(address));
            }
        }
        total += 1;
        if let Some(innermost) = chain.first() {
            *own.entry(innermost).or_default() += 1;
        }
        for name in chain.into_iter().collect::<BTreeSet<_>>() {
            *whole.entry(name).or_default() += 1;
        }
    }
    let per_run = |count: u64| count * PERIOD_NS / (options.repeat.max(1) as u64);
    let ns = |counts: BTreeMap<&str, u64>| -> BTreeMap<String, u64> {
        counts
            .into_iter()
            .map(|(name, count)| (name.to_owned(), per_run(count)))
            .collect()
    };
    println!(
        "{}",
        json!({ "label": options.label, "ns": per_run(total), "own": ns(own), "whole": ns(whole) })
    );
    Ok(())
}

/// The kernel's functions by address, as `name` or `name [module]`.
struct Symbols(Vec<(u64, String)>);

impl Symbols {
    fn read() -> Result<Self> {
        let path = "/proc/kallsyms";
        Ok(Self::parse(&fs::read_to_string(path).context(path)?))
    }

    fn parse(text: &str) -> Self {
        let mut symbols: Vec<_> = text
            .lines()
            .filter_map(|line| {
                let mut fields = line.split_whitespace();
                let address = u64::from_str_radix(fields.next()?, 16).ok()?;
                if !matches!(fields.next()?, "t" | "T" | "w" | "W") {
                    return None;
                }
                Some((address, fields.collect::<Vec<_>>().join(" ")))
            })
            .collect();
        symbols.sort();
        Self(symbols)
    }

    fn name(&self, address: u64) -> &str {
        let after = self.0.partition_point(|(start, _)| *start <= address);
        after
            .checked_sub(1)
            .and_then(|index| self.0.get(index))
            .map_or("(unknown)", |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_belongs_to_the_function_that_starts_before_it() {
        let text = "ffffffff81000100 T second\nffffffff81000000 t first\n\
                    ffffffff81000080 d data\nffffffffc0000000 t third\t[module]\n";
        let symbols = Symbols::parse(text);
        assert_eq!(symbols.name(0xffff_ffff_8100_0000), "first");
        assert_eq!(symbols.name(0xffff_ffff_8100_00ff), "first");
        assert_eq!(symbols.name(0xffff_ffff_8100_0100), "second");
        assert_eq!(symbols.name(0xffff_ffff_c000_0010), "third [module]");
        assert_eq!(symbols.name(0x1000), "(unknown)");
    }
}
