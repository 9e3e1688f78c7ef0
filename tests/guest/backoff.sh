#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A program that gains nothing pays nothing: mostly waste is not prefetched for a
# while, what is in memory time after time is not recorded each time, and both
# are tried again later. The counters of each program tell.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

defaults=yes
. "$(dirname "$0")/lib.sh"

PROGRAMS=/sys/kernel/debug/pbitmap/programs
module_load
scratch_mount
exact_faults
put_program pages

# column NAME - of the only program
column() {
	awk -F '\t' -v name="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i } NR == 2 { print $at }' $PROGRAMS
}

# Recorded pages that later runs do not touch, and are not recorded to tell.
"$MNT/pages" t:0-199
settle
set_sysctl update_interval 2592000
mark
for i in 1 2 3 4 5 6 7 8; do
	resident -e "$MNT/pages"
	"$MNT/pages"
	settle
done
note "$(grown)"
at_least 'wasteful: starts that were not prefetched' 4 "$(delta backed_off)"
at_least 'wasteful: tried again' 2 "$(delta runs)"
at_least 'wasteful: waste of the program' 200 "$(column waste)"
is 'wasteful: starts of the program' 9 "$(column runs)"
is 'wasteful: why the last run was not stored' rate_limited "$(column reason)"
is 'wasteful: its path' "$MNT/pages" "$(column path)"

# It is used again: prefetched again, from the next try on.
for i in $(seq 70); do "$MNT/pages" t:0-199; done
settle
resident -e "$MNT/pages"
mark
"$MNT/pages" t:0-199
settle
at_least 'useful again: pages read' 200 "$(delta pages_read)"
is 'useful again: backed off' 0 "$(delta backed_off)"
set_sysctl update_interval 0

# All in memory and nothing new, time after time.
"$MNT/pages" t:0-199
settle
for i in $(seq 10); do
	"$MNT/pages" t:0-199
	settle
done
mark
for i in $(seq 32); do "$MNT/pages" t:0-199; done
settle
note "$(grown)"
at_least 'calm: starts that were not recorded' 24 "$(delta calm)"
at_least 'calm: recorded from time to time' 3 "$(delta recordings)"
# It is prefetched all the same when it is not in memory, and recorded.
resident -e "$MNT/pages"
mark
"$MNT/pages" t:0-99
settle
at_least 'calm, then cold: pages read' 200 "$(delta pages_read)"
is 'calm, then cold: recorded' 1 "$(delta recordings)"

# Without backing off each start is like the first.
set_sysctl backoff 0
mark
for i in $(seq 12); do "$MNT/pages" t:0-199; done
settle
is 'backoff 0: recordings' 12 "$(delta recordings)"
refuses 'backoff 2' 'invalid' bash -c "echo 2 >$VM/pbitmap_backoff"
