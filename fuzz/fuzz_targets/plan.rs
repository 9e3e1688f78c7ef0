// SPDX-License-Identifier: GPL-2.0

//! Feeds libFuzzer's bytes to `checks::plan`.

#![no_main]

#[path = "../checks/mod.rs"]
#[allow(dead_code, reason = "the other targets use the rest")]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::plan(bytes));
