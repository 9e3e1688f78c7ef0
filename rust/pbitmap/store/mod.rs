// SPDX-License-Identifier: GPL-2.0

//! Where bitmaps live. So far there is one place: a section of the ELF file itself.

pub(crate) mod section;
