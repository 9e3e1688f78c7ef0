#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Programs that IMA measures or appraises are left alone from the first exec on
# that a policy applies to, although they were updated before.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

IMA=/sys/kernel/security/ima
measured=6d656173-7572-6564-8000-000000000000
appraised=61707072-6169-7365-8000-000000000000

module_load
exact_faults
scratch_mount "-U $measured"
mkfs.ext4 -q -F -U $appraised "$EXTRA_DEV" 128M || broken "mkfs.ext4 $EXTRA_DEV"
mount_at "$WORK/appraised" "$EXTRA_DEV"
work=(t:4-15 r:0-3 sum exit:5)

# refused NAME FILE
refused() {
	local before
	before=$(bytes_of "$2")
	mark
	starts -- "$2" "${work[@]}"
	settle
	is "$1: output and status" '400144 5' "$output $status"
	is "$1: used, written" '1 0' "$(delta used) $(delta writes)"
	is "$1: refused" 1 "$(delta refused_measured)"
	is "$1: the file" "$before" "$(bytes_of "$2")"
}

put_program small
cp "$MNT/small" "$WORK/appraised/small"
cp "$MNT/small" "$WORK/appraised/without"
mark
"$MNT/small" t:0-3
"$WORK/appraised/small" t:0-3
settle
is 'without a policy: writes' 2 "$(delta writes)"
sign() { setfattr -n security.ima -v "0x0402$(sha1sum <"$1" | cut -c1-40)" "$1"; } # (SHA-1, which every kernel with IMA knows)
sign "$WORK/appraised/small"
refused 'a hash, without a policy' "$WORK/appraised/small"

# For these two filesystems only; it stays until the guest ends, and there is but one.
cat >"$WORK/policy" <<POLICY
measure func=BPRM_CHECK fsuuid=$measured
appraise func=BPRM_CHECK fsuuid=$appraised
POLICY
cat "$WORK/policy" >$IMA/policy || broken 'no policy can be loaded'
refused 'measured' "$MNT/small"
# (By the template, a signature follows or not.)
holds 'it is in the list of measurements' grep -qE " $MNT/small( |\$)" $IMA/ascii_runtime_measurements
refused 'measured, again' "$MNT/small"

refused 'appraised' "$WORK/appraised/small"
refused 'appraised, again' "$WORK/appraised/small"
is 'without a hash: status' 126 "$(status_of "$WORK/appraised/without")"

# Other filesystems are none of the policy's business.
umount "$MNT"
scratch_mount
put_program small
mark
"$MNT/small" t:0-3
settle
is 'another filesystem: writes' 1 "$(delta writes)"
