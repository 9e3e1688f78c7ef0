// SPDX-License-Identifier: GPL-2.0

//! `true`, with as little as possible between its first and its last instruction.
//!
//! What `make overhead` measures is the kernel's work for fork, exec and exit. Rust's runtime start (signal
//! handlers, an alternate stack) would add system calls that are none of that, and so make an overhead look smaller
//! than it is: hence a bare C `main`.

#![no_main]

/// The C library's start-up code calls this.
#[no_mangle]
pub extern "C" fn main() -> i32 {
    0
}
