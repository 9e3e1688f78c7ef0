#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Power cuts at every step. dm-log-writes records all that a filesystem has its
# disk write while programs are started and recorded, and the flushes; then the
# disk is rebuilt as it could have been after each of them, and looked at.
# (scripts/crash-test.sh runs this, once for each filesystem.)
#
# needs: module tool loop dm-log-writes dmsetup ext4 xfs btrfs
# smp: 1
# mem: 1G
# disk: 512M
# timeout: 900

# shellcheck source=../lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=common.sh
. "$(dirname "$0")/common.sh"

filesystem "${PBITMAP_TEST#log-}"
export DM_DISABLE_UDEV=1 # there is none

make_filesystem "$SCRATCH_DEV" "$MNT"
check-cut describe "$MNT" late >"$WORK/facts"
umount "$MNT" || broken umount
dd if="$SCRATCH_DEV" of="$WORK/state" bs=1M count=$size conv=sparse status=none
truncate -s ${size}M "$WORK/state"

# The recording. A mark says in the log what the user could know by then.
dmsetup create recorded --table "0 $((size * 2048)) log-writes $SCRATCH_DEV $EXTRA_DEV" || broken 'dmsetup create'
at_the_end 'if [ -e /dev/mapper/recorded ]; then dmsetup remove recorded; fi'
mount_at "$MNT" -t "$type" ${options:+-o "$options"} /dev/mapper/recorded
module_load

# mark_all WHAT NAME... - the generations that these programs have now
mark_all() {
	local what=$1 line
	shift
	check-cut describe "$MNT" "$@" >"$WORK/described"
	grep -v :written: "$WORK/described" >>"$WORK/facts"
	while read -r line; do
		dmsetup message recorded 0 mark "${line/:written:/:$what:}" || broken 'dmsetup message'
	done < <(grep :written: "$WORK/described")
}

names=$PROGRAMS
# shellcheck disable=SC2086 # names are words
mark_all synced $names
for ((round = 1; round <= PBITMAP_ROUNDS; round++)); do
	start_programs "$MNT" "$round"
	# shellcheck disable=SC2086 # names are words
	mark_all written $names
	other_work "$MNT" "$round"
	case $((round % 6)) in
	2)
		if [ "$names" = "$PROGRAMS" ]; then
			tool annotate "$MNT/late" >"$WORK/annotate.log" 2>&1 || broken "$(cat "$WORK/annotate.log")"
			names+=' late'
			mark_all synced late
		fi
		;;
	3) "$MNT/late" "t:$((round % 5))-15" ;;
	5)
		sync "$MNT/small" "$MNT/attribute" "$MNT/bitmaps/"*
		mark_all synced small attribute fixed
		;;
	0)
		sync
		# shellcheck disable=SC2086 # names are words
		mark_all synced $names
		;;
	esac
done
settle
umount "$MNT" || broken umount
dmsetup status recorded | grep -q logging_disabled && broken 'the log has ended early'
dmsetup remove recorded

# The cuts.
truncate -s ${size}M "$WORK/image"
: >"$WORK/marks"
loop=$(losetup --find --show "$WORK/image") || broken losetup
at_the_end "losetup -d $loop"
replay-log -n "$PBITMAP_CUTS" -s "$PBITMAP_SEED" "$EXTRA_DEV" "$WORK/state" "$WORK/image" "$WORK/marks" \
	check-cut -n "$PBITMAP_TEST" -d "$loop" -m "$MNT" -t "$type" -o "$options" -f "$fsck" \
	-e "$(expected_output)" "$WORK/facts" "$WORK/marks"
is 'replaying the log' 0 $?
if [ -e "$WORK/image.failed" ]; then
	cp --sparse=always "$WORK/image.failed" "/mnt/host/$PBITMAP_TEST.image"
	cat "$WORK/facts" "$WORK/marks.failed" >"/mnt/host/$PBITMAP_TEST.ledger"
	note "the first disk that was found wrong, and what was known: $PBITMAP_TEST.image, .ledger"
fi
