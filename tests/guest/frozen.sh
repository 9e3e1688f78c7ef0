#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A frozen filesystem: neither execve(), nor the program, nor its end, nor rmmod
# waits for the thaw, and what is recorded meanwhile is dropped and counted. No
# recording keeps a freeze waiting.
#
# needs: module tool xfs btrfs
# smp: 1
# mem: 1G
# timeout: 90

. "$(dirname "$0")/lib.sh"

module_load
exact_faults
like_an_ssd

# frozen TYPE MKFS FSCK
frozen() {
	local type=$1 before n file=$MNT/small
	wipefs -qa "$SCRATCH_DEV"
	$2 "$SCRATCH_DEV" >"$WORK/mkfs.log" 2>&1 || broken "$2: $(tail -n 3 "$WORK/mkfs.log")"
	mount_at "$MNT" -t "$type" "$SCRATCH_DEV"
	put_program small
	"$file" t:0-3
	settle
	before=$(bytes_of "$file")
	fsfreeze -f "$MNT" || broken "$type: fsfreeze"
	mark
	for n in 5 6; do
		starts -- "$file" "t:$n-9" d:0-7 sum "exit:$n"
		settle
		is "$type: output and status of run $n" "$("$PBITMAP_HELPERS/small" "t:$n-9" d:0-7 sum) $n" "$output $status"
	done
	is "$type: dropped because it is frozen" 2 "$(delta refused_frozen)"
	note "$(grown)"
	"$file" t:7-9
	module_unload && pass "$type: the module can be unloaded"
	module_load
	fsfreeze -u "$MNT"
	is "$type: the file" "$before" "$(bytes_of "$file")"

	execs loop-or 100 "$file" t:0-7 -- d:0-7 >"$WORK/loop" &
	for n in 1 2 3 4 5 6 7 8; do
		fsfreeze -f "$MNT" || fail "$type: freeze $n"
		fsfreeze -u "$MNT"
	done
	wait $!
	settle
	is "$type: a loop of starts beside a loop of freezes" 'ok=100 killed=0 ETXTBSY=0 other=0' "$(cat "$WORK/loop")"
	mark
	"$file" t:1-9/2
	settle
	is "$type: and then: writes" 1 "$(delta writes)"
	is "$type: check" 0 "$(status_of tool check "$file")"
	umount "$MNT" || broken "$type: umount"
	holds "$type: $3" $3 "$SCRATCH_DEV"
}

frozen ext4 'mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=1' 'e2fsck -fn'
frozen xfs 'mkfs.xfs -q -f' 'xfs_repair -n'
frozen btrfs 'mkfs.btrfs -q -f' 'btrfs check'
