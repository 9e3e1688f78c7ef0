// SPDX-License-Identifier: GPL-2.0

//! A program with a working set of a known size: maps a file, reads a byte of each of its first pages, waits, and says
//! on its standard output what the clock says right before its end.

#![no_main]

use std::ffi::{c_char, c_int, CStr};
use std::ptr;

const PAGE: usize = 4096;

/// The number in an argument, 0 if it is none.
///
/// # Safety
///
/// `argument` is a string of the C library's start-up code.
unsafe fn number(argument: *const c_char) -> usize {
    // SAFETY: by the contract.
    let text = unsafe { CStr::from_ptr(argument) };
    text.to_str()
        .ok()
        .and_then(|it| it.parse().ok())
        .unwrap_or(0)
}

/// `bench-touch FILE PAGES SECONDS`.
///
/// # Safety
///
/// The C library's start-up code calls this, with so many arguments.
#[no_mangle]
pub unsafe extern "C" fn main(count: c_int, arguments: *const *const c_char) -> c_int {
    if count != 4 {
        return 2;
    }
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: there are four arguments. The pages that are read are mapped; whoever calls this names a file that has
    // so many. `now` and the text are valid places for what the kernel reads and writes.
    unsafe {
        let pages = number(*arguments.add(2));
        let file = libc::open(*arguments.add(1), libc::O_RDONLY | libc::O_CLOEXEC);
        let start = libc::mmap(
            ptr::null_mut(),
            pages * PAGE,
            libc::PROT_READ,
            libc::MAP_PRIVATE,
            file,
            0,
        );
        if start == libc::MAP_FAILED {
            return 1;
        }
        for page in 0..pages {
            start.cast::<u8>().add(page * PAGE).read_volatile();
        }
        libc::sleep(number(*arguments.add(3)) as libc::c_uint);
        libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now);
        let ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
        let text = ns.to_ne_bytes();
        libc::write(1, text.as_ptr().cast(), text.len());
        libc::_exit(0)
    }
}
