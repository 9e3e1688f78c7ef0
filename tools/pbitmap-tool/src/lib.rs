// SPDX-License-Identifier: GPL-2.0

//! Gives executables a presence bitmap, shows it, checks it and takes it away again.
//!
//! [`image`] reads an ELF file and says whether it can have a bitmap, [`elf_edit`] says what has to
//! change in it, [`target`] knows the file on the disk and [`replace`](mod@replace) puts the new
//! one in its place. [`inspect`] sees a file as the kernel does. Each subcommand is a module.

#![forbid(unsafe_code)]
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod annotate;
pub mod attribute;
pub mod capacity;
pub mod check;
pub mod date;
pub mod directory;
pub mod elf_edit;
pub mod files;
pub mod image;
pub mod inspect;
pub mod interrupt;
pub mod launch;
pub mod ld_cache;
pub mod libraries;
pub mod page_map;
pub mod pages;
pub mod printable;
pub mod programs;
pub mod remove;
pub mod replace;
pub mod report;
pub mod selection;
pub mod settings;
pub mod show;
pub mod status;
pub mod store;
pub mod system;
pub mod table;
pub mod target;
pub mod train;
