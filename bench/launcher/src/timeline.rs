// SPDX-License-Identifier: GPL-2.0

//! When a launch faulted, when the disk read for it, and when the module asked.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};
use serde_json::{json, Value};

use crate::trace::{Event, Trace};
use crate::Options;

/// `timeline`: one line with all events of a launch, in microseconds from its start.
pub(crate) fn traced(options: &Options) -> Result<()> {
    let disk = options.disk.as_deref().context("--disk is missing")?;
    let device = fs::read_to_string(format!("/sys/block/{disk}/dev"))?;
    let device = device.trim().replace(':', ",");
    let trace = Trace::of_run(
        options,
        &[
            "block/block_rq_issue",
            "block/block_rq_complete",
            "filemap/mm_filemap_fault",
            "pbitmap/pbitmap_prefetch",
        ],
    )?;
    let since = |event: &Event<'_>| event.ns.saturating_sub(trace.start_ns) / 1000;
    let mut issued: BTreeMap<u64, u64> = BTreeMap::new();
    let mut events: Vec<Value> = Vec::new();
    for event in trace.events() {
        match event.name {
            "block_rq_issue" | "block_rq_complete" => {
                let Some((first, sectors)) = request(event.text, &device) else {
                    continue;
                };
                if event.name == "block_rq_issue" {
                    issued.insert(first, since(&event));
                } else if let Some(us) = issued.remove(&first) {
                    events.push(json!({ "kind": "read", "us": us, "end_us": since(&event), "kb": sectors / 2 }));
                }
            }
            "mm_filemap_fault" => events.push(json!({ "kind": "fault", "us": since(&event) })),
            "pbitmap_prefetch" => {
                let pages = event
                    .field("asked=")
                    .and_then(|pages| pages.parse::<u64>().ok());
                let kb = pages.unwrap_or(0) * 4;
                events.push(json!({ "kind": "prefetch", "us": since(&event), "kb": kb }));
            }
            _ => {}
        }
    }
    let end_us = trace.end_ns.saturating_sub(trace.start_ns) / 1000;
    println!(
        "{}",
        json!({ "label": options.label, "end_us": end_us, "events": events })
    );
    Ok(())
}

/// First sector and number of sectors of a read from `device`, out of `252,0 RA 131072 () 1024 + 256 none,0,0 [git]`.
fn request(text: &str, device: &str) -> Option<(u64, u64)> {
    let mut words = text.split_whitespace();
    if words.next()? != device || !words.next()?.starts_with('R') {
        return None;
    }
    let (before, after) = text.split_once(" + ")?;
    let first = before.split_whitespace().last()?.parse().ok()?;
    let sectors = after.split_whitespace().next()?.parse().ok()?;
    Some((first, sectors))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_of_the_disk_has_its_sectors() {
        let issue = "252,0 RA 131072 () 1024 + 256 none,0,0 [git]";
        assert_eq!(request(issue, "252,0"), Some((1024, 256)));
        assert_eq!(request("252,0 WS () 1024 + 8 none,0,0 [0]", "252,0"), None);
        assert_eq!(request(issue, "253,0"), None);
    }
}
