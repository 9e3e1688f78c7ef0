#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Starts, starts, starts: of programs whose bitmaps change and are written each
# time, while the module is removed and loaded again all the while. Not one start
# goes wrong, and nothing but the sections changes.
#
# LOAD_STARTS (scripts/soak.sh sets it) says how many.
#
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

starts=${LOAD_STARTS:-2000}
loops=2
batch=50

module_load
scratch_mount
put_program small
put_program small-pie
declare -A outside
for program in small small-pie; do outside[$program]=$(elf outside "$MNT/$program"); done

# Every second run touches other pages, so that the bitmap always changes.
load() { # PROGRAM - its share of the starts
	local left=$((starts / loops / batch))
	while [ $left -gt 0 ]; do
		execs loop-or $batch "$1" t:0-7 d:0-7 -- r:0-7 2>&1
		left=$((left - 1))
	done | sort | uniq -c
}
began=${EPOCHREALTIME/./}
load "$MNT/small" >"$WORK/small" &
loop_one=$!
load "$MNT/small-pie" >"$WORK/small-pie" &
loop_two=$!
reloads=0 used=0 recordings=0 writes=0 failures=0
while kill -0 $loop_one 2>/dev/null || kill -0 $loop_two 2>/dev/null; do
	sleep "$((RANDOM % 3 + 1)).$((RANDOM % 10))"
	while read -r name value; do
		case $name in
		used | recordings | writes) ((${name} += value)) ;;
		write_failed) ((failures += value)) ;;
		esac
	done < <(counters)
	module_unload || broken "reload $reloads: rmmod"
	insmod "$PBITMAP_KO" || broken "reload $reloads: insmod"
	plain_recording
	reloads=$((reloads + 1))
done
wait $loop_one $loop_two
seconds=$(((${EPOCHREALTIME/./} - began) / 1000000 + 1))
settle

done_starts=$(cat "$WORK/small" "$WORK/small-pie" | awk -v batch=$batch '{ n += $1 * batch } END { print n + 0 }')
note "$done_starts starts in $seconds s, $writes bitmaps written, $reloads times removed and loaded"
is 'starts' $((starts / loops / batch * batch * loops)) "$done_starts"
is 'starts that went wrong' '' "$(cat "$WORK/small" "$WORK/small-pie" | grep -v "ok=$batch killed=0 ETXTBSY=0 other=0")"
at_least 'times that the module was removed and loaded' $((starts / 1000)) $reloads
at_least 'bitmaps used' $((starts / 10)) $used
at_least 'recordings' $((starts / 10)) $recordings
at_least 'bitmaps written' $((starts / 50)) $writes
is 'writes that failed' 0 $failures
for program in small small-pie; do
	is "$program: check" 0 "$(status_of tool check "$MNT/$program")"
	is "$program: all bytes outside the section" "${outside[$program]}" "$(elf outside "$MNT/$program")"
done
