#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Looking for the bitmap of a cold file costs one read of the disk: the section
# and the section headers are in one block, and the hint in PT_GNU_STACK says
# where.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

disk=/sys/block/$(basename "$SCRATCH_DEV")/stat
cold_reads() { # FILE - how many reads the disk serves for a cold start, in $reads: the least of three
	local before after rest
	reads=1000000
	for _ in 1 2 3; do
		read -r before rest <"$disk"
		starts -d -- "$1" exit:0
		read -r after rest <"$disk"
		if [ $((after - before)) -lt $reads ]; then reads=$((after - before)); fi
	done
}

module_load
scratch_mount
put_program pages
put_program pages-pie
# So the bitmaps stay empty, and nothing but the starts reads.
holds 'the disk is read-only now' mount -o remount,ro "$MNT"
for program in pages pages-pie; do
	file=$MNT/$program
	set_sysctl enabled 0
	cold_reads "$file"
	without=$reads
	at_least "$program: reads without the module" 1 "$without"
	set_sysctl enabled 1
	mark
	cold_reads "$file"
	is "$program: bitmaps used" 3 "$(delta used)"
	is "$program: pages asked for" 0 "$(delta pages_read)"
	at_most "$program: reads more than without the module, $without" 1 $((reads - without))
done
