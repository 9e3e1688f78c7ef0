#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own selftests of memory management: those that this guest can run,
# and within a minute.
#
# needs: module
# smp: 2
# mem: 2G
# timeout: 1500
# boot: own

. "$(dirname "$0")/lib.sh"

# (not there: modules, NUMA nodes, gigabytes in huge pages; too slow: races, and copies
# of gigabytes)
without='hmm|vmalloc|kmemleak_dedup|ksm_numa|hugevm|hugetlb'
without+='|thp|gup_test|migration|compaction|ksm|soft_dirty|userfaultfd'
# shellcheck disable=SC2046 # words
selftests $(grep '^mm:' $SELFTESTS/kselftest-list.txt | grep -vE "ksft_($without)\.sh")
