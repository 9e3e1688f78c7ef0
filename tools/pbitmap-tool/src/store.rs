// SPDX-License-Identifier: GPL-2.0

//! Where the bitmap of a program is.

use std::fmt;

use clap::{
    builder::{PossibleValuesParser, TypedValueParser},
    ValueEnum,
};
use serde::Serialize;

/// A place for a bitmap.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// A section in the program's file, which goes wherever the file goes
    Section,
    /// An extended attribute of the file, of which no byte and no time changes
    Xattr,
    /// A file in the directory that vm.pbitmap_dir names
    Directory,
}

impl Store {
    /// Parses the name of a place that goes with the file of the program.
    pub fn of_file() -> impl TypedValueParser<Value = Self> {
        let stores = [Self::Section, Self::Xattr];
        let values = stores.iter().filter_map(Self::to_possible_value);
        PossibleValuesParser::new(values).try_map(|name| Self::from_str(&name, false))
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Section => "section",
            Self::Xattr => "xattr",
            Self::Directory => "directory",
        })
    }
}
