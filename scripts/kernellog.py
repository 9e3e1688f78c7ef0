#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: kernellog.py FILE...

Prints the lines of a kernel log that no good run has: warnings, oopses,
lockdep, hung tasks, and what the sanitizers say. Exits with 1 if there is one.
"""

import re
import sys

COMPLAINTS = re.compile(
    r"""
    \bBUG: | \bWARNING: | \bOops\b | general\ protection\ fault | Kernel\ panic
    | possible\ (circular|recursive|irq)\ lock | inconsistent\ lock\ state
    | suspicious\ RCU\ usage | bad\ unlock\ balance | held\ lock\ freed
    | INFO:\ task\ .*\ blocked\ for | soft\ lockup | hard\ LOCKUP | rcu.*detected.*stall
    | scheduling\ while\ atomic | sleeping\ function\ called
    | KASAN: | KFENCE: | KCSAN: | UBSAN: | kmemleak:.*new\ suspected
    | refcount_t: | list_(add|del)\ corruption | [Bb]ad\ (page|rss-counter)
    | __kmem_cache_shutdown | rust_kernel:\ panicked | double\ free
    | (?<!double-/)use-after-free  # (RCU says at boot that it looks for "double-/use-after-free")
    | EXT4-fs\ error(?!.*Out\ of\ memory)  # (its answer to an allocation that was made to fail)
    | XFS.*([Cc]orruption|metadata\ I/O\ error) | BTRFS\ (error|critical)
    """,
    re.VERBOSE,
)


def complaints(log):
    """The lines of LOG (text) that a good run does not have."""
    return [line.rstrip() for line in log.splitlines() if COMPLAINTS.search(line)]


def main():
    bad = False
    for name in sys.argv[1:]:
        with open(name, encoding="utf-8", errors="replace") as log:
            for line in complaints(log.read()):
                print(line)
                bad = True
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
