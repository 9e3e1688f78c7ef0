#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# On a filesystem without a free block a program runs as before, and what cannot
# be written is counted; on ext4, which writes in place, it can be.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
exact_faults
like_an_ssd

try() { # NAME MKFS TYPE
	local n file=$MNT/small expected
	wipefs -qa "$SCRATCH_DEV"
	$2 >"$WORK/mkfs.log" 2>&1 || broken "$1: $2: $(tail -n 3 "$WORK/mkfs.log")"
	mount_at "$MNT" -t "$3" "$SCRATCH_DEV"
	put_program small
	"$file" t:0-3
	settle
	sync
	expected=$("$PBITMAP_HELPERS/small" t:4-9 d:0-7 sum)
	dd if=/dev/zero of="$MNT/fill" bs=1M >"$WORK/dd.log" 2>&1
	dd if=/dev/zero of="$MNT/fill2" bs=4K >>"$WORK/dd.log" 2>&1
	sync
	holds "$1: full" grep -q 'No space left' "$WORK/dd.log"
	mark
	for n in 4 5 6 7; do
		starts -- "$file" "t:$n-9" d:0-7 sum exit:$n
		is "$1: status of run $n" "$n" "$status"
		settle
	done
	starts -- "$file" t:4-9 d:0-7 sum
	is "$1: output" "$expected" "$output"
	settle
	note "$(grown)"
	if [ "$3" = ext4 ]; then is "$1: writes while it is full" 5 "$(delta writes)"; fi
	is "$1: recordings that are accounted for" "$(delta recordings)" \
		"$(delta writes unchanged write_failed rate_limited superseded 'refused_*')"
	is "$1: check" 0 "$(status_of tool check "$file")"
	rm -f "$MNT/fill" "$MNT/fill2"
	sync
	mark
	"$file" t:10-15
	settle
	is "$1: with room again: writes" 1 "$(delta writes)"
	umount "$MNT"
}

try ext4 'mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=1 '"$SCRATCH_DEV 160M" ext4
try btrfs 'mkfs.btrfs -q -f --mixed -b 160M '"$SCRATCH_DEV" btrfs
