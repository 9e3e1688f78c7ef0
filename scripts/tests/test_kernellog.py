# SPDX-License-Identifier: GPL-2.0
"""What kernellog.py takes for a complaint."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import kernellog  # noqa: E402

BAD = """\
[   12.3] WARNING: CPU: 0 PID: 77 at mm/filemap.c:140 filemap_unaccount_folio
[   12.3] BUG: unable to handle page fault for address: ffffffffc03dbce0
[   12.3] Oops: Oops: 0000 [#1] PREEMPT SMP NOPTI
[   12.3] WARNING: possible circular locking dependency detected
[   12.3] WARNING: suspicious RCU usage
[   12.3] INFO: task pbitmap:33 blocked for more than 120 seconds.
[   12.3] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!
[   12.3] rcu: INFO: rcu_preempt self-detected stall on CPU
[   12.3] BUG: KASAN: slab-use-after-free in foo
[   12.3] BUG: KFENCE: use-after-free read in foo
[   12.3] refcount_t: underflow; use-after-free.
[   12.3] list_add corruption. prev->next should be next
[   12.3] BUG: Bad rss-counter state mm:00000000 type:MM_FILEPAGES val:1
[   12.3] Kernel panic - not syncing: Fatal exception
[   12.3] EXT4-fs error (device vda): ext4_lookup:1611: inode #2
[   12.3] kmem_cache_destroy pbitmap: Slab cache still has objects when called from __kmem_cache_shutdown
[   12.3] rust_kernel: panicked at rust/pbitmap/exec.rs:3:4
"""

GOOD = """\
[    0.0] Linux version 7.2.12+deb13-amd64 (debian-kernel@lists.debian.org)
[    1.0] Warning: unable to open an initial console.
[    2.0] pbitmap: loading out-of-tree module taints kernel.
[    2.0] pbitmap: module verification failed: signature and/or required key missing - tainting kernel
[    3.0] EXT4-fs (vda): mounted filesystem r/w with ordered data mode.
[    3.0] EXT4-fs error (device vda) in ext4_setattr:6034: Out of memory
[    3.0] PM: genpd: Disabling unused power domains
[    3.0] tsc: Marking TSC unstable due to clocksource watchdog
[    0.0] rcu: 	RCU callback double-/use-after-free debug is enabled.
[    3.0] kfence: initialized - using 2097152 bytes for 255 objects
[    3.0] debug: DEBUG: all is well
"""


class Complaints(unittest.TestCase):
    def test_each_bad_line_is_one(self):
        self.assertEqual(kernellog.complaints(BAD), BAD.splitlines())

    def test_a_good_boot_has_none(self):
        self.assertEqual(kernellog.complaints(GOOD), [])


if __name__ == "__main__":
    unittest.main()
