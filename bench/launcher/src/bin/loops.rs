// SPDX-License-Identifier: GPL-2.0

//! What a program does that goes on to run: maps, writes and unmaps memory, forks, and has its child write what they
//! share. Prints the time of each turn, as `bench-launcher loop` does.
//!
//! It waits first, so that with the module its startup window has closed.

use std::{env, process::ExitCode, ptr};

use serde_json::json;

/// Pages that are mapped, written and unmapped in a turn.
const PAGES: usize = 256;

/// Pages that parent and child share and the child writes.
const SHARED: usize = 64;

const PAGE: usize = 4096;

fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` may be written.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Writes one byte in each of `count` pages.
///
/// # Safety
///
/// They are mapped for writing.
unsafe fn touch(start: *mut u8, count: usize) {
    for page in 0..count {
        // SAFETY: By the contract.
        unsafe { start.add(page * PAGE).write_volatile(1) };
    }
}

fn map(count: usize) -> *mut u8 {
    // SAFETY: Asks for new memory somewhere.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            count * PAGE,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(start, libc::MAP_FAILED, "mmap");
    start.cast()
}

fn turn(shared: *mut u8) {
    let memory = map(PAGES);
    // SAFETY: It was mapped just now, and `shared` by `main`; both as long as that.
    unsafe {
        touch(memory, PAGES);
        libc::mprotect(memory.cast(), PAGES * PAGE, libc::PROT_READ);
        libc::munmap(memory.cast(), PAGES * PAGE);
        touch(shared, SHARED);
        let child = libc::fork();
        if child == 0 {
            touch(shared, SHARED);
            libc::_exit(0);
        }
        assert!(child > 0, "fork");
        libc::waitpid(child, ptr::null_mut(), 0);
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().collect();
    let [_, label, turns, seconds] = arguments.as_slice() else {
        eprintln!("usage: bench-loops LABEL TURNS SECONDS");
        return ExitCode::from(2);
    };
    let (Ok(turns), Ok(seconds)) = (turns.parse::<u32>(), seconds.parse::<u64>()) else {
        return ExitCode::from(2);
    };
    std::thread::sleep(std::time::Duration::from_secs(seconds));
    let shared = map(SHARED);
    for _ in 0..10 {
        turn(shared);
    }
    let ns: Vec<u64> = (0..turns)
        .map(|_| {
            let start = now();
            turn(shared);
            now() - start
        })
        .collect();
    println!("{}", json!({"label": label, "ns": ns}));
    ExitCode::SUCCESS
}
