// SPDX-License-Identifier: GPL-2.0

//! The tool as its users see it: the command line, files on a disk, and programs that go on
//! running.

#[path = "../support/mod.rs"]
mod support;

mod annotate;
mod capacity;
mod check;
mod kernel;
mod other_tools;
mod remove;
mod show;
mod status;
mod stores;
mod train;
mod world;
