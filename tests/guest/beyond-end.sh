#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A program may map far more than a file has, at any offset, and touch it: what the
# module allocates and looks at follows from the size of the files, and is bounded.
# With an allocation by what is mapped the kernel complains, or has no memory.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
set_sysctl reads 1
scratch_mount
files=$MNT/data
mkdir "$files"
mount_at "$MNT/proc" -t proc none
program=$MNT/reader
cp "$PBITMAP_HELPERS/reads" "$program"
for number in $(seq 8); do touch "$files/empty$number"; done
dd if=/dev/urandom of="$files/whole" bs=4096 count=40 status=none

last=$((1 << 33)) # more than can be counted in one allocation, 16 pages by 16
all=$((1 << 34)) # pages: 64 TiB, half of what there are addresses for

# recorded ITEM... - and nothing is lost by what the items do besides
recorded() {
	tool remove "$program" >"$WORK/out" 2>&1
	annotate "$program"
	mark
	starts -r "$MNT" -- /reader /data/whole "$@"
	settle
	is "$case: status" 0 "$status"
	is "$case: recordings" 1 "$(delta recordings)"
	is "$case: writes" 1 "$(delta writes)"
	is "$case: refused" 0 "$(delta 'refused_*')"
	is "$case: pages of what was read" 40 "$(recorded_files "$program" | sed -n "s,^/data/whole ,,p")"
	is "$case: files that are empty" 0 "$(recorded_files "$program" | grep -c empty)"
}

for window in 0 1; do
	set_sysctl window_ms $window
	case="faults beyond the end, window_ms $window"
	items=()
	for number in $(seq 8); do items+=("b:/data/empty$number@$((last - number * 100))+1"); done
	recorded "${items[@]}" msleep:400
	case="more than there are addresses for the counts, window_ms $window"
	recorded "b:/data/empty1@$((1 << 40))+1" msleep:400
	case="mapped beyond the end, window_ms $window"
	recorded "b:/data/whole@0+$all" msleep:400
done
