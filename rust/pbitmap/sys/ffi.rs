// SPDX-License-Identifier: GPL-2.0

//! The functions of `shim/*.c`, as `shim.h` declares them.

// The kernel's structures are passed by pointer and never looked into here; without lockdep some
// of them have members without a size. With it they do not, so that `expect` would not hold.
#![allow(improper_ctypes)]

use kernel::{
    bindings,
    ffi::{
        c_char,
        c_int,
        c_uint,
        c_ulong,
        c_void, //
    },
};

/// `struct pbm_inode`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct Inode {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) generation: u32,
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) flags: u32,
    pub(super) mtime_nsec: u32,
    pub(super) mtime_sec: i64,
}

pub(super) const INODE_IMMUTABLE: u32 = 1 << 0;
pub(super) const INODE_APPEND: u32 = 1 << 1;
pub(super) const INODE_VERITY: u32 = 1 << 2;
pub(super) const INODE_SWAPFILE: u32 = 1 << 3;
pub(super) const INODE_IMA: u32 = 1 << 4;
pub(super) const INODE_DAX: u32 = 1 << 5;
pub(super) const INODE_ENCRYPTED: u32 = 1 << 6;
pub(super) const INODE_UNLINKED: u32 = 1 << 7;

/// `struct pbm_area`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Area {
    pub(super) start: c_ulong,
    pub(super) end: c_ulong,
    pub(super) first_page: c_ulong,
    pub(super) file: *mut bindings::file,
    pub(super) flags: u32,
}

pub(super) const AREA_MAPPABLE: u32 = 1 << 0;
pub(super) const AREA_SHARED_WRITE: u32 = 1 << 1;
pub(super) const AREA_PRIVATE_PAGES: u32 = 1 << 2;

/// `struct pbm_read`.
#[repr(C)]
pub(super) struct Read {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) generation: u32,
    pub(super) first: c_ulong,
    pub(super) last: c_ulong,
}

/// `struct pbm_device`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Device {
    pub(super) file: *mut bindings::file,
    pub(super) mapping: *mut bindings::address_space,
    pub(super) size: u64,
    pub(super) uuid: [u8; 16],
}

/// `struct pbm_payer`.
#[repr(C)]
pub(super) struct Payer {
    pub(super) memcg: *mut c_void,
    pub(super) blkcg: *mut c_void,
    pub(super) ioprio: c_int,
}

/// `struct pbm_exec`.
#[repr(C)]
pub(super) struct Exec {
    pub(super) file: *mut bindings::file,
    pub(super) mm: *mut bindings::mm_struct,
    pub(super) head: *const u8,
    pub(super) filename: *const c_char,
    pub(super) interp: *const c_char,
    pub(super) argc: c_int,
    pub(super) bprm: *mut c_void,
}

extern "C" {
    /// The unbound workqueue, which the bindings know by a name that is going away.
    pub(super) static system_dfl_wq: *mut bindings::workqueue_struct;

    /// `<linux/crc32.h>`, which the bindings leave out.
    pub(super) fn crc32c(crc: u32, data: *const c_void, len: usize) -> u32;

    pub(super) fn pbm_raw_lock_init(
        lock: *mut bindings::raw_spinlock_t,
        name: *const c_char,
        key: *mut bindings::lock_class_key,
    );
    pub(super) fn pbm_raw_lock(lock: *mut bindings::raw_spinlock_t);
    pub(super) fn pbm_raw_trylock(lock: *mut bindings::raw_spinlock_t) -> bool;
    pub(super) fn pbm_raw_unlock(lock: *mut bindings::raw_spinlock_t);
    pub(super) fn pbm_raw_assert_held(lock: *mut bindings::raw_spinlock_t);

    pub(super) fn pbm_binfmt_register();
    pub(super) fn pbm_binfmt_unregister();

    pub(super) fn pbm_exec_arguments(bprm: *mut c_void, to: *mut c_void, len: usize) -> usize;

    pub(super) fn pbm_inode_read(path: *const bindings::path, out: *mut Inode);
    pub(super) fn pbm_data_filesystem(path: *const bindings::path) -> *const c_char;
    pub(super) fn pbm_mapping(path: *const bindings::path) -> *mut bindings::address_space;
    pub(super) fn pbm_user_path(file: *const bindings::file) -> *const bindings::path;
    pub(super) fn pbm_read_cached(
        file: *mut bindings::file,
        to: *mut c_void,
        len: usize,
        pos: bindings::loff_t,
    ) -> bool;
    pub(super) fn pbm_last_change(file: *mut bindings::file) -> u64;
    pub(super) fn pbm_may_write(path: *const bindings::path) -> c_int;
    pub(super) fn pbm_may_read(path: *const bindings::path) -> c_int;
    pub(super) fn pbm_is_owner(path: *const bindings::path) -> bool;
    pub(super) fn pbm_is_users(path: *const bindings::path) -> bool;
    pub(super) fn pbm_is_member(gid: u32) -> bool;
    pub(super) fn pbm_user(cred: *const bindings::cred) -> u32;
    pub(super) fn pbm_attribute_get(
        path: *const bindings::path,
        name: *const c_char,
        to: *mut c_void,
        len: usize,
    ) -> c_int;
    pub(super) fn pbm_has_attribute(path: *const bindings::path, name: *const c_char) -> bool;
    pub(super) fn pbm_lookup(
        from: *const bindings::path,
        name: *const c_char,
        cached: bool,
        out: *mut bindings::path,
    ) -> c_int;
    pub(super) fn pbm_path_name(
        path: *const bindings::path,
        root: *const bindings::path,
        buffer: *mut u8,
        len: c_int,
        is_public: *mut bool,
    ) -> c_int;
    pub(super) fn pbm_open_file(dev: u64, ino: u64, generation: u32) -> *mut bindings::file;
    pub(super) fn kernel_file_open(
        path: *const bindings::path,
        flags: c_int,
        cred: *const bindings::cred,
    ) -> *mut bindings::file;

    pub(super) fn pbm_payer_get(payer: *mut Payer);
    pub(super) fn pbm_payer_put(payer: *mut Payer);
    pub(super) fn pbm_payer_assume(payer: *const Payer, old: *mut Payer);
    pub(super) fn pbm_payer_leave(payer: *const Payer, old: *const Payer);
    pub(super) fn pbm_override_creds(cred: *const bindings::cred) -> *const bindings::cred;
    pub(super) fn pbm_revert_creds(old: *const bindings::cred);
    pub(super) fn pbm_gave_up_privileges() -> bool;
    pub(super) fn pbm_task_root(
        task: *mut bindings::task_struct,
        root: *mut bindings::path,
    ) -> bool;

    pub(super) fn pbm_readahead_limit(file: *mut bindings::file) -> c_ulong;
    pub(super) fn pbm_is_cached(
        mapping: *mut bindings::address_space,
        first: c_ulong,
        pages: c_ulong,
    ) -> bool;
    pub(super) fn pbm_cached_pages(
        mapping: *mut bindings::address_space,
        first: c_ulong,
        last: c_ulong,
    ) -> c_ulong;
    pub(super) fn pbm_read_large_folios(
        file: *mut bindings::file,
        first: c_ulong,
        pages: c_ulong,
    ) -> bool;
    pub(super) fn pbm_is_ready(file: *mut bindings::file, page: c_ulong) -> bool;
    pub(super) fn pbm_cached_head(file: *mut bindings::file, to: *mut c_void, len: usize) -> usize;
    pub(super) fn pbm_queue_depth(file: *mut bindings::file, rotational: *mut bool) -> c_uint;
    pub(super) fn pbm_available_pages() -> c_ulong;

    pub(super) fn pbm_device(path: *const bindings::path, out: *mut Device) -> bool;
    pub(super) fn pbm_is_used_by_filesystem(device: *const Device, page: c_ulong) -> bool;

    pub(super) fn pbm_fault_find() -> bool;
    pub(super) fn pbm_fault_register() -> bool;
    pub(super) fn pbm_fault_unregister();

    pub(super) fn pbm_read_find() -> bool;
    pub(super) fn pbm_read_register() -> bool;
    pub(super) fn pbm_read_unregister();

    pub(super) fn pbm_mm_ran(
        mm: *mut bindings::mm_struct,
        task: *const bindings::task_struct,
    ) -> bool;
    pub(super) fn pbm_areas(
        mm: *mut bindings::mm_struct,
        from: c_ulong,
        out: *mut Area,
        max: c_uint,
    ) -> c_uint;
    pub(super) fn pbm_area_at(mm: *mut bindings::mm_struct, addr: c_ulong, out: *mut Area) -> bool;
    pub(super) fn pbm_mark_touched(
        mm: *mut bindings::mm_struct,
        start: c_ulong,
        end: c_ulong,
        bits: *mut u64,
        bit: c_ulong,
    );
    pub(super) fn pbm_settle(
        mm: *mut bindings::mm_struct,
        start: c_ulong,
        end: c_ulong,
        addr: c_ulong,
        known: *mut u64,
        forget: bool,
    );
    pub(super) fn pbm_has_table(mm: *mut bindings::mm_struct, addr: c_ulong) -> bool;
    pub(super) fn pbm_fault_in(mm: *mut bindings::mm_struct, addr: c_ulong) -> bool;
    pub(super) fn pbm_map_cached(
        mm: *mut bindings::mm_struct,
        file: *mut bindings::file,
        start: c_ulong,
        end: c_ulong,
    );

    pub(super) fn pbm_hold_off_writers(file: *mut bindings::file) -> c_int;
    pub(super) fn pbm_let_writers_in(file: *mut bindings::file);
    pub(super) fn pbm_write_in_place(
        file: *mut bindings::file,
        data: *const c_void,
        len: usize,
        pos: bindings::loff_t,
    ) -> isize;

    pub(super) fn pbm_attribute_set(
        path: *const bindings::path,
        name: *const c_char,
        data: *const c_void,
        len: usize,
    ) -> c_int;

    pub(super) fn pbm_folder_open(
        folder: *const c_char,
        name: *const c_char,
        flags: c_int,
    ) -> *mut bindings::file;

    pub(super) fn pbm_debugfs_folder() -> *mut bindings::dentry;
    pub(super) fn pbm_debugfs_file(
        folder: *mut bindings::dentry,
        name: *const c_char,
        data: *const c_void,
    );
    pub(super) fn pbm_debugfs_remove(folder: *mut bindings::dentry);

    pub(super) fn pbm_trace_prefetch(
        dev: u64,
        ino: u64,
        wanted: u64,
        cached: u64,
        asked: u64,
        runs: u64,
    );
    pub(super) fn pbm_trace_record(dev: u64, ino: u64, pages: u64, changed: bool);
    pub(super) fn pbm_trace_write(dev: u64, ino: u64, generation: u64, pages: u64, error: c_int);
}
