// SPDX-License-Identifier: GPL-2.0

//! The knobs `vm.pbitmap_*`. `Documentation/admin-guide/pbitmap.rst` describes them for users.

use super::sys::sysctl::{
    self,
    Knob,
    Registration,
    PATH_LEN, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Declares the knobs: an accessor, the name, the default, the least and the greatest value.
macro_rules! knobs {
    ($($(#[$doc:meta])* $get:ident: $name:literal = $default:literal in $min:literal..=$max:literal;)+) => {
        $(
            $(#[$doc])*
            pub(crate) fn $get() -> u32 {
                values::$get.load(Relaxed)
            }
        )+

        /// Where the values are kept.
        #[allow(non_upper_case_globals)]
        mod values {
            use super::*;
            $(pub(super) static $get: Atomic<u32> = Atomic::new($default);)+
        }

        /// Shows the knobs in `/proc/sys/vm`.
        pub(crate) fn register() -> Result<Registration> {
            Registration::new(c"vm", &[$(
                Knob {
                    name: $name,
                    value: &values::$get,
                    min: const { &($min as u32) },
                    max: const { &($max as u32) },
                },
            )+], c"pbitmap_dir")
        }
    };
}

knobs! {
    /// 0: off. 1: on. 2: on, and each step of an annotated program is logged.
    enabled: c"pbitmap_enabled" = 1 in 0..=2;
    /// 1: map the recorded pages before the first instruction; 0: only have them read.
    early_fault: c"pbitmap_early_fault" = 1 in 0..=1;
    /// Seconds between two updates of a bitmap; 0: no limit.
    update_interval: c"pbitmap_update_interval" = 0 in 0..=2592000;
    /// A hole of so many pages between two recorded runs is read as well. 0: by the device.
    gap_pages: c"pbitmap_gap_pages" = 0 in 0..=1024;
    /// Most pages that one exec reads ahead.
    max_pages: c"pbitmap_max_pages" = 65536 in 0..=1048576;
    /// When a recording ends. 0: with the program. 1: when the start seems over. Else after so many
    /// milliseconds.
    window_ms: c"pbitmap_window_ms" = 1 in 0..=3600000;
    /// How a recording and earlier ones are merged. 0: it replaces them. 1: what any had.
    /// 2: the last ones are kept, and what several had is prefetched.
    merge: c"pbitmap_merge" = 2 in 0..=2;
    /// 0: all is read inline, at exec. 1: what suits the device is. 2: nothing is.
    background: c"pbitmap_background" = 1 in 0..=2;
    /// Who may have a bitmap updated. 0: who could write the file. 1: also the members of
    /// `update_gid`. 2: whoever may execute it.
    update_policy: c"pbitmap_update_policy" = 0 in 0..=2;
    /// The group of `update_policy` 1.
    update_gid: c"pbitmap_update_gid" = 0 in 0..=4294967294;
    /// 1: programs that gain nothing are left alone for a while; 0: each start is treated alike.
    backoff: c"pbitmap_backoff" = 1 in 0..=1;
    /// 1: files that a program reads, and metadata, are recorded beside what it maps; 0: they are not.
    reads: c"pbitmap_reads" = 1 in 0..=1;
    /// 1: of each file that a bitmap knows all pages are read, for comparisons.
    slurp: c"pbitmap_slurp" = 0 in 0..=1;
}

/// A path.
pub(crate) struct Text([u8; PATH_LEN]);

impl Text {
    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.starts_with(&[0])
    }

    /// It with its end.
    pub(crate) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

/// The folder for bitmaps of programs that cannot be written.
pub(crate) fn dir() -> Text {
    Text(sysctl::path())
}

/// Logs a line if `vm.pbitmap_enabled` is 2.
macro_rules! log {
    ($($arg:tt)*) => {
        if $crate::sysctl::enabled() >= 2 {
            kernel::pr_info!($($arg)*);
        }
    };
}
pub(crate) use log;
