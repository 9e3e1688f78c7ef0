#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The startup window: a program that never ends is recorded when its start is
# over, and pays nothing from then on; one that ends earlier is recorded then.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

defaults=yes
. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
set_sysctl merge 0
put_program small

# wait_for COUNTER VALUE SECONDS - until the counter has grown by so much
wait_for() {
	local i
	for i in $(seq $(($3 * 20))); do
		[ "$(delta "$1")" -ge "$2" ] && return
		sleep 0.05
	done
	return 1
}

# Adaptive, the default: pages that it touches after the start do not count.
mark
began=$EPOCHREALTIME
"$MNT/small" t:0-7 msleep:12000 r:0-3 &
executes $! "$MNT/small"
early="$(delta recordings) $(counter recorders_live)"
if [ $(((${EPOCHREALTIME/./} - ${began/./}) / 1000)) -lt 1400 ]; then
	is 'adaptive: recorded, and live, while it starts' '0 1' "$early"
else
	note 'adaptive: the start was over before anybody could look' # (by its second sample, after 1.5 s)
fi
holds 'adaptive: the window closes by itself' wait_for writes 1 10
is 'adaptive: live when it has closed' 0 "$(counter recorders_live)"
is 'adaptive: pages recorded' "$("$PBITMAP_HELPERS/small" list t:0-7 | sort | tr '\n' ' ')" \
	"$(recorded "$MNT/small" | sort | comm -12 - <("$PBITMAP_HELPERS/small" list t:0-15 r:0-7 d:0-7 | sort) | tr '\n' ' ')"
wait $!
is 'adaptive: status of the program' 0 $?
settle
is 'adaptive: recorded once' 1 "$(delta recordings)"

# One that goes on to touch pages is sampled for longer.
mark
"$MNT/small" t:0-3 msleep:800 t:4-7 msleep:900 t:8-11 msleep:1200 r:0-7 msleep:8000 &
holds 'adaptive: a longer start' wait_for writes 1 14
is 'adaptive: pages of a longer start' yes "$(recorded "$MNT/small" | grep -qxF "$("$PBITMAP_HELPERS/small" list t:11)" && echo yes)"
kill $!
wait $! 2>/dev/null

# A program that ends earlier is recorded at its end.
mark
"$MNT/small" t:0-3
settle
is 'ended early: recorded' 1 "$(delta recordings)"

# So many milliseconds.
set_sysctl window_ms 2000
mark
"$MNT/small" t:0-5 msleep:9000 r:0-7 &
sleep 0.3
is '2 s: recorded after 300 ms' 0 "$(delta recordings)"
holds '2 s: recorded' wait_for recordings 1 6
kill $!
wait $! 2>/dev/null

# Until its end.
set_sysctl window_ms 0
mark
"$MNT/small" t:0-5 "msleep:$((2500 * PBITMAP_PATIENCE))" r:0-7 &
executes $! "$MNT/small"
sleep 3
is 'until exit: recorded after 3 s' 0 "$(delta recordings)"
is 'until exit: live' 1 "$(counter recorders_live)"
wait $!
settle
is 'until exit: recorded' 1 "$(delta recordings)"
is 'until exit: pages of the end' yes "$(recorded "$MNT/small" | grep -qxF "$("$PBITMAP_HELPERS/small" list r:7)" && echo yes)"

# The module goes, and the disk, while windows are open.
set_sysctl window_ms 1
for i in 1 2 3 4; do "$MNT/small" t:0-5 msleep:9000 & done
sleep 0.1
holds 'rmmod while windows are open' module_unload
is 'programs that go on' 4 "$(jobs -r | wc -l)"
# shellcheck disable=SC2046 # numbers
kill $(jobs -p)
wait 2>/dev/null
