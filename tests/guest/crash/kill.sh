#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Programs that are recorded all the time, on one disk for each filesystem, until
# somebody kills QEMU. The next boot looks at the disks, and then goes on. (Run by
# scripts/crash-test.sh: crash.py kills, and says why that cuts anything.)
#
# The directory PBITMAP_KILL of the host has
#
#	filesystems	which, a word for each disk
#	NAME.ledger	what was known of a filesystem when the power went
#	cuts		what check-cut said, a line for each
#	writing		made when the disks are written to
#	last		if it is there: look, and do not go on
#
# needs: module tool ext4 xfs btrfs
# smp: 1
# mem: 1G
# timeout: 300

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

export CUT_KIND='kill'
module_load
read -ra names <"$PBITMAP_KILL/filesystems"
disks=(/dev/vd?)
expected=$(expected_output)

# write_down NAME [WHAT] - the generations that its programs have now
write_down() {
	# shellcheck disable=SC2086 # names are words
	check-cut describe "$WORK/$1" $PROGRAMS | sed "s/:written:/:${2:-written}:/" >>"$PBITMAP_KILL/$1.ledger"
}

for i in "${!names[@]}"; do
	name=${names[i]} ledger=$PBITMAP_KILL/${names[i]}.ledger
	filesystem "$name"
	if [ -e "$ledger" ]; then
		mkdir -p "$WORK/$name"
		check-cut -n "kill-$name" -d "${disks[i]}" -m "$WORK/$name" -t "$type" -o "$options" -f "$fsck" \
			-e "$expected" "$ledger" >"$WORK/cut"
		is "$name" 0 $?
		cat "$WORK/cut"
		cat "$WORK/cut" >>"$PBITMAP_KILL/cuts"
		if [ -e "$PBITMAP_KILL/last" ]; then continue; fi
		mount -t "$type" ${options:+-o "$options"} "${disks[i]}" "$WORK/$name" || broken "$name: mount"
	else
		make_filesystem "${disks[i]}" "$WORK/$name"
	fi
	mounted+=("$WORK/$name")
	# The bitmaps of check-cut are not to be there after the next cut: it would record the same.
	start_programs "$WORK/$name" 0
	sync -f "$WORK/$name"
	: >"$ledger"
	write_down "$name" written
	write_down "$name" synced
done
if [ -e "$PBITMAP_KILL/last" ]; then exit; fi

touch "$PBITMAP_KILL/writing"
round=$RANDOM
while :; do
	round=$((round + 1))
	for name in "${names[@]}"; do
		start_programs "$WORK/$name" "$round"
		other_work "$WORK/$name" "$round"
	done
	for name in "${names[@]}"; do write_down "$name"; done
done
