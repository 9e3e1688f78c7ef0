#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm.pbitmap_update_interval: a bitmap is written again only when it is that
# many seconds old. 0 is no limit; the first recording is always written.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program small
file=$MNT/small

set_sysctl update_interval 3600
mark
"$file" t:0-3
settle
is 'the first recording: writes' 1 "$(delta writes)"
before=$(bytes_of "$file")

mark
"$file" t:4-9
"$file" t:10-15
settle
is 'too early: writes' 0 "$(delta writes)"
is 'too early: counted' 2 "$(delta rate_limited)"
is 'too early: the file' "$before" "$(bytes_of "$file")"
mark
"$file" t:4-9
is 'too early: prefetch goes on' 1 "$(delta used)"

set_sysctl update_interval 0
mark
"$file" t:4-9
settle
"$file" t:10-15
settle
is 'no limit: writes' 2 "$(delta writes)"
is 'no limit: counted' 0 "$(delta rate_limited)"

set_sysctl update_interval 6
mark
"$file" t:0-3
settle
is '6 s, at once: writes, limited' '0 1' "$(delta writes) $(delta rate_limited)"
sleep 7.1
mark
"$file" t:0-3
settle
is '6 s, after 7 s: writes, limited' '1 0' "$(delta writes) $(delta rate_limited)"

# A clock that went backwards must not stop updates for ever.
now=$(date +%s)
date -s "@$((now + 1000000))" >/dev/null
"$file" t:4-9
settle
date -s "@$now" >/dev/null
set_sysctl update_interval 5
mark
"$file" t:10-15
settle
is 'written in the future: writes now' 1 "$(delta writes)"
