#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A recorded program does not keep its filesystem busy: not after it has ended,
# not when it was deleted while it ran.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program small
put_program small-pie

# At once: a write that is queued may take a moment, an umount must not fail.
busy=0
for n in $(seq 25); do
	"$MNT/small" "t:$((n % 8))-15"
	umount "$MNT" 2>/dev/null || {
		busy=$((busy + 1))
		settle
		umount "$MNT" || broken "round $n: busy although nothing runs any more"
	}
	mount "$SCRATCH_DEV" "$MNT" || broken "round $n: mount"
done
is 'umount at once after the end: busy' 0 $busy
is 'check' 0 "$(status_of tool check "$MNT/small")"
at_least 'generation' 2 "$(slot_field "$MNT/small" generation)"

# Deleted while it runs.
cp "$MNT/small" "$MNT/gone"
"$MNT/gone" t:0-7 "msleep:$((300 * PBITMAP_PATIENCE))" t:8-15 exit:6 &
executes $! "$MNT/gone"
rm "$MNT/gone"
wait $!
is 'deleted while it ran: status' 6 $?
settle
holds 'deleted while it ran: umount' umount "$MNT"
e2fsck -fn "$SCRATCH_DEV" >"$WORK/fsck.log" 2>&1 && pass 'e2fsck' || fail "e2fsck: $(tail -n 3 "$WORK/fsck.log")"

# Replaced while it runs: the new file must not get the old one's pages.
mount "$SCRATCH_DEV" "$MNT"
cp "$MNT/small" "$MNT/replaced"
"$MNT/replaced" t:0-7 "msleep:$((300 * PBITMAP_PATIENCE))" exit:6 &
executes $! "$MNT/replaced"
cp "$MNT/small-pie" "$MNT/new"
mv "$MNT/new" "$MNT/replaced"
wait $!
is 'replaced while it ran: status' 6 $?
settle
is 'replaced while it ran: the new file' "$(bytes_of "$MNT/small-pie")" "$(bytes_of "$MNT/replaced")"

# Unmounted lazily while it runs.
"$MNT/small" t:0-3 msleep:300 t:4-15 exit:6 &
executes $! "$MNT/small"
holds 'lazy umount while it runs' umount -l "$MNT"
wait $!
is 'lazy umount: status' 6 $?
settle
mount "$SCRATCH_DEV" "$MNT"
is 'lazy umount: check' 0 "$(status_of tool check "$MNT/small")"

umount "$MNT"
e2fsck -fn "$SCRATCH_DEV" >"$WORK/fsck.log" 2>&1 && pass 'e2fsck' || fail "e2fsck: $(tail -n 3 "$WORK/fsck.log")"
