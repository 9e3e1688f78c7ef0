#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Of a program that is in memory in part, the rest is read: also where the part in
# memory is in large folios, and a run of recorded pages begins inside of one.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program pages
file=$MNT/pages

# Pages of the field from the middle of 64 aligned ones to the first of the next 64.
base=$("$file" list t:0)
next=$(((base + 300) / 64 * 64))
"$file" "t:$((next - 27 - base))-$((next + 2 - base))"
settle
set_sysctl update_interval 2592000

# of_the_run - how many of its pages are in memory
of_the_run() { resident "$file" | awk -v first=$((next - 27)) -v last=$((next + 2)) '$1 >= first && $1 <= last' | wc -l; }

# In memory as they were written: the first 64 pages in pieces of 16.
head -c $((next * 4096)) "$file" | tail -c $((64 * 4096)) >"$WORK/part"
sync
resident -e "$file" || fail 'could not be dropped from the cache'
dd if="$WORK/part" of="$file" bs=64K seek=$((next / 16 - 4)) conv=notrunc,fsync 2>"$WORK/dd.log" ||
	broken "dd: $(cat "$WORK/dd.log")"
is 'pages of the run in memory' 27 "$(of_the_run)"
mark
"$file"
settle
note "$(grown)"
is 'bitmap used' 1 "$(delta used)"
is 'pages of the run in memory after a start' 30 "$(of_the_run)"
