// SPDX-License-Identifier: GPL-2.0

//! The system calls that the standard library has no safe form of. All of the launcher's `unsafe` is in here.

use std::ffi::{CString, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::ptr;
use std::sync::atomic::{fence, Ordering};

use anyhow::{bail, Context, Result};

/// What a program started by the launcher sees: nothing of the guest's own.
const ENVIRONMENT: [&str; 4] = [
    "PATH=/usr/bin:/bin",
    "HOME=/tmp",
    "LC_ALL=C.UTF-8",
    "TERM=dumb",
];

/// The child could not even start the program.
const EXIT_NOT_STARTED: i32 = 127;

fn last_error(what: &str) -> anyhow::Error {
    anyhow::Error::new(io::Error::last_os_error()).context(what.to_owned())
}

fn c_string(bytes: OsString) -> Result<CString> {
    CString::new(bytes.into_vec()).context("a NUL byte in an argument")
}

/// CLOCK_MONOTONIC in nanoseconds.
pub(crate) fn monotonic_ns() -> Result<u64> {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a valid place for a timespec.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) } != 0 {
        return Err(last_error("clock_gettime"));
    }
    Ok(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
}

/// Sleeps until CLOCK_MONOTONIC says `ns`.
pub(crate) fn sleep_until(ns: u64) -> Result<()> {
    let until = libc::timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    };
    loop {
        // SAFETY: `until` is a valid timespec; the remainder is not asked for with TIMER_ABSTIME.
        let failed = unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &until,
                ptr::null_mut(),
            )
        };
        match failed {
            0 => return Ok(()),
            libc::EINTR => {}
            number => return Err(io::Error::from_raw_os_error(number)).context("clock_nanosleep"),
        }
    }
}

/// Writes everything that is dirty to its disk.
pub(crate) fn sync() {
    // SAFETY: sync() takes nothing and cannot fail.
    unsafe { libc::sync() }
}

/// So many bytes are asked for at a time: the kernel reads no more of a request than the device takes at once, and
/// forgets the rest.
const REQUEST: u64 = 128 * 1024;

/// Has `length` bytes of the file read from `offset` on, without waiting. What can't be read so, the program will read.
pub(crate) fn read_ahead(file: &File, offset: u64, length: u64) {
    let end = offset.saturating_add(length);
    for offset in (offset..end).step_by(REQUEST as usize) {
        let length = REQUEST.min(end - offset) as usize;
        // SAFETY: nothing but numbers goes in.
        unsafe { libc::readahead(file.as_raw_fd(), offset as libc::off64_t, length) };
    }
}

/// Which pages of the first `length` bytes of the file are cached.
pub(crate) fn resident(file: &File, length: u64) -> Result<Vec<bool>> {
    let length = length as usize;
    // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
    let start = unsafe {
        libc::mmap(
            ptr::null_mut(),
            length,
            libc::PROT_READ,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        )
    };
    if start == libc::MAP_FAILED {
        return Err(last_error("mmap"));
    }
    let mut pages = vec![0_u8; length.div_ceil(PAGE)];
    // SAFETY: that range is mapped, and `pages` has a byte for each page of it.
    let failed = unsafe { libc::mincore(start, length, pages.as_mut_ptr()) } != 0;
    let error = last_error("mincore");
    // SAFETY: this is the whole mapping, and nothing points into it.
    unsafe { libc::munmap(start, length) };
    if failed {
        return Err(error);
    }
    Ok(pages.iter().map(|page| page & 1 != 0).collect())
}

/// How a program ended, and what it used.
pub(crate) struct Ended {
    status: ExitStatus,
    pub(crate) major_faults: u64,
    pub(crate) minor_faults: u64,
}

impl Ended {
    pub(crate) fn clean(&self) -> bool {
        self.status.success()
    }

    pub(crate) fn describe(&self) -> String {
        if self.status.code() == Some(EXIT_NOT_STARTED) {
            return "could not be started".to_owned();
        }
        self.status.to_string()
    }
}

/// A program that runs now.
pub(crate) struct Child {
    pid: libc::pid_t,
}

impl Child {
    pub(crate) fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// Tells it to end.
    pub(crate) fn terminate(&self) -> Result<()> {
        // SAFETY: nothing but numbers goes in; the child was not waited for, so that the number is its own.
        if unsafe { libc::kill(self.pid, libc::SIGTERM) } != 0 {
            return Err(last_error("kill"));
        }
        Ok(())
    }

    pub(crate) fn wait(self) -> Result<Ended> {
        let mut status = 0;
        // SAFETY: an all-zero rusage is a valid one.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        loop {
            // SAFETY: `status` and `usage` are valid places for what the kernel writes.
            if unsafe { libc::wait4(self.pid, &mut status, 0, &mut usage) } == self.pid {
                break;
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return Err(last_error("wait4"));
            }
        }
        Ok(Ended {
            status: ExitStatus::from_raw(status),
            major_faults: usage.ru_majflt as u64,
            minor_faults: usage.ru_minflt as u64,
        })
    }
}

/// Everything a child needs, made before the clock is read: between fork and exec it allocates nothing.
pub(crate) struct Command {
    /// Owns what `argv` points to.
    _strings: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
    root: Option<CString>,
    null: File,
    output: File,
}

impl Command {
    pub(crate) fn new(command: &[OsString], root: Option<&Path>, output: &Path) -> Result<Self> {
        let arguments = command.iter().cloned();
        let environment = ENVIRONMENT.iter().map(OsString::from);
        let strings = arguments
            .chain(environment)
            .map(c_string)
            .collect::<Result<Vec<_>>>()?;
        let (arguments, environment) = strings.split_at(command.len());
        let pointers = |of: &[CString]| {
            // A CString's bytes stay where they are when the CString moves, so these hold as long as `_strings`.
            of.iter()
                .map(|string| string.as_ptr())
                .chain([ptr::null()])
                .collect::<Vec<_>>()
        };
        Ok(Self {
            argv: pointers(arguments),
            envp: pointers(environment),
            root: root
                .map(|path| c_string(path.as_os_str().to_owned()))
                .transpose()?,
            null: File::open("/dev/null").context("/dev/null")?,
            output: OpenOptions::new()
                .create(true)
                .append(true)
                .open(output)
                .with_context(|| output.display().to_string())?,
            _strings: strings,
        })
    }

    /// Throws away what an earlier run printed.
    pub(crate) fn forget_output(&self) -> Result<()> {
        if self.output.metadata()?.is_file() {
            self.output.set_len(0)?;
        }
        Ok(())
    }

    /// Starts the program. With a gate, the child waits until the gate's other end is closed before it goes on.
    pub(crate) fn fork(&self, gate: Option<&Gate>) -> Result<Child> {
        self.fork_to(&self.output, gate)
    }

    /// Starts the program with what it prints going to `output`.
    pub(crate) fn fork_to(&self, output: &impl AsRawFd, gate: Option<&Gate>) -> Result<Child> {
        let root = self.root.as_ref().map_or(ptr::null(), |root| root.as_ptr());
        let program = self.argv.first().copied().unwrap_or(ptr::null());
        // SAFETY: the launcher has one thread, so the child finds every lock of the C library free.
        match unsafe { libc::fork() } {
            -1 => Err(last_error("fork")),
            0 => {
                // SAFETY: the child only makes system calls on descriptors and strings that the parent made before
                // the fork (`argv` and `envp` end with a null pointer and point into `_strings`), and never returns.
                unsafe {
                    if let Some(gate) = gate {
                        let mut byte = 0_u8;
                        libc::close(gate.opener.as_raw_fd());
                        libc::read(gate.waiter.as_raw_fd(), ptr::from_mut(&mut byte).cast(), 1);
                    }
                    if (root.is_null()
                        || (libc::chroot(root) == 0 && libc::chdir(c"/".as_ptr()) == 0))
                        && libc::dup2(self.null.as_raw_fd(), 0) == 0
                        && libc::dup2(output.as_raw_fd(), 1) == 1
                        && libc::dup2(output.as_raw_fd(), 2) == 2
                    {
                        libc::execve(program, self.argv.as_ptr(), self.envp.as_ptr());
                    }
                    libc::_exit(EXIT_NOT_STARTED)
                }
            }
            pid => Ok(Child { pid }),
        }
    }
}

/// Holds a child back between fork and exec. Dropping `opener` lets it go.
pub(crate) struct Gate {
    pub(crate) opener: OwnedFd,
    waiter: OwnedFd,
}

impl Gate {
    pub(crate) fn new() -> Result<Self> {
        let (waiter, opener) = pipe()?;
        Ok(Self { opener, waiter })
    }
}

/// The end to read from and the end to write to. No program that is started inherits them.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(last_error("pipe2"));
    }
    // SAFETY: the kernel just made both descriptors, and nobody else owns them.
    let [reader, writer] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    Ok((reader, writer))
}

/// `struct perf_event_attr` up to and including `sample_max_stack` (PERF_ATTR_SIZE_VER5).
#[repr(C)]
struct PerfEventAttr {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    config1: u64,
    config2: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_interrupt: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved: u16,
}

const _: () = assert!(size_of::<PerfEventAttr>() == 112);

impl Default for PerfEventAttr {
    fn default() -> Self {
        Self {
            kind: PERF_TYPE_SOFTWARE,
            size: size_of::<Self>() as u32,
            config: 0,
            sample_period: 0,
            sample_type: 0,
            read_format: 0,
            flags: 0,
            wakeup_events: 0,
            breakpoint_type: 0,
            config1: 0,
            config2: 0,
            branch_sample_type: 0,
            sample_regs_user: 0,
            sample_stack_user: 0,
            clockid: 0,
            sample_regs_interrupt: 0,
            aux_watermark: 0,
            sample_max_stack: 0,
            reserved: 0,
        }
    }
}

const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_CPU_CLOCK: u64 = 0;
const PERF_COUNT_SW_PAGE_FAULTS_MAJ: u64 = 6;
const PERF_SAMPLE_TID: u64 = 1 << 1;
const PERF_SAMPLE_ADDR: u64 = 1 << 3;
const PERF_SAMPLE_CALLCHAIN: u64 = 1 << 5;
const FLAG_DISABLED: u64 = 1 << 0;
const FLAG_INHERIT: u64 = 1 << 1;
const FLAG_EXCLUDE_USER: u64 = 1 << 4;
const FLAG_EXCLUDE_IDLE: u64 = 1 << 7;
const FLAG_MMAP: u64 = 1 << 8;
const FLAG_COMM: u64 = 1 << 9;
const FLAG_ENABLE_ON_EXEC: u64 = 1 << 12;
const FLAG_TASK: u64 = 1 << 13;
const FLAG_MMAP_DATA: u64 = 1 << 17;
const FLAG_EXCLUDE_CALLCHAIN_USER: u64 = 1 << 22;
const FLAG_MMAP2: u64 = 1 << 23;
const FLAG_COMM_EXEC: u64 = 1 << 24;

/// Where the header page of a perf buffer says how far the kernel has written (`data_head`).
const DATA_HEAD_OFFSET: usize = 1024;

const PAGE: usize = 4096;
const BUFFER_PAGES: usize = 8192;
const BUFFER_SIZE: usize = BUFFER_PAGES * PAGE;
/// The largest record, roughly. When less room than this is left, records may have been lost.
const BUFFER_MARGIN: usize = 64 << 10;

/// A perf event with the buffer of what it recorded.
///
/// # Invariants
///
/// `pages` is a shared mapping of `1 + BUFFER_PAGES` pages that lasts until drop.
pub(crate) struct Recording {
    pages: *mut u8,
    _event: OwnedFd,
}

impl Recording {
    /// Each major fault of `pid` and its children from its next exec on, with its address, and what they mapped where.
    pub(crate) fn of_major_faults(pid: libc::pid_t) -> Result<Self> {
        Self::start(
            pid,
            &PerfEventAttr {
                config: PERF_COUNT_SW_PAGE_FAULTS_MAJ,
                sample_period: 1,
                sample_type: PERF_SAMPLE_TID | PERF_SAMPLE_ADDR,
                flags: FLAG_DISABLED
                    | FLAG_INHERIT
                    | FLAG_MMAP
                    | FLAG_MMAP_DATA
                    | FLAG_MMAP2
                    | FLAG_COMM
                    | FLAG_COMM_EXEC
                    | FLAG_TASK
                    | FLAG_ENABLE_ON_EXEC,
                ..PerfEventAttr::default()
            },
        )
    }

    /// Where the kernel is, every `period_ns` from now on, whatever task runs.
    pub(crate) fn of_kernel_time(period_ns: u64) -> Result<Self> {
        Self::start(
            -1,
            &PerfEventAttr {
                config: PERF_COUNT_SW_CPU_CLOCK,
                sample_period: period_ns,
                sample_type: PERF_SAMPLE_CALLCHAIN,
                flags: FLAG_EXCLUDE_USER | FLAG_EXCLUDE_IDLE | FLAG_EXCLUDE_CALLCHAIN_USER,
                ..PerfEventAttr::default()
            },
        )
    }

    /// Only CPU 0 is looked at: the bench's guest has no other.
    fn start(pid: libc::pid_t, attr: &PerfEventAttr) -> Result<Self> {
        // SAFETY: `attr` is a perf_event_attr of the size that it says.
        let event = unsafe { libc::syscall(libc::SYS_perf_event_open, attr, pid, 0, -1, 0) };
        if event < 0 {
            return Err(last_error("perf_event_open"));
        }
        // SAFETY: the kernel just made this descriptor, and nobody else owns it.
        let event = unsafe { OwnedFd::from_raw_fd(event as i32) };
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let pages = unsafe {
            libc::mmap(
                ptr::null_mut(),
                PAGE + BUFFER_SIZE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                event.as_raw_fd(),
                0,
            )
        };
        if pages == libc::MAP_FAILED {
            return Err(last_error("mmap of the perf buffer"));
        }
        // INVARIANT: just mapped, and unmapped only in drop.
        Ok(Self {
            pages: pages.cast(),
            _event: event,
        })
    }

    /// The records so far, one after the other. The buffer never wraps: nothing is ever marked as read, so the kernel
    /// drops what comes when it is full.
    pub(crate) fn records(&self) -> Result<Vec<u8>> {
        // SAFETY: by the invariant the header page is mapped; data_head is an aligned u64 in it that the kernel
        // updates.
        let head = unsafe {
            self.pages
                .add(DATA_HEAD_OFFSET)
                .cast::<u64>()
                .read_volatile()
        };
        // The kernel's own rule: data may be read only after data_head was.
        fence(Ordering::Acquire);
        let length = head as usize;
        if length > BUFFER_SIZE - BUFFER_MARGIN {
            bail!("the buffer for perf's records is too small");
        }
        // SAFETY: by the invariant that many bytes are mapped after the header page, and the kernel does not write
        // again what it has written below data_head.
        Ok(unsafe { std::slice::from_raw_parts(self.pages.add(PAGE), length) }.to_vec())
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // SAFETY: by the invariant this is the whole mapping, and no slice of it is left.
        unsafe { libc::munmap(self.pages.cast(), PAGE + BUFFER_SIZE) };
    }
}

/// The bytes of a path, as the kernel gives them.
pub(crate) fn os_string(bytes: &[u8]) -> String {
    std::ffi::OsStr::from_bytes(bytes)
        .to_string_lossy()
        .into_owned()
}

/// A device's number as stat() gives it.
pub(crate) fn device_number(major: u32, minor: u32) -> u64 {
    libc::makedev(major, minor)
}
