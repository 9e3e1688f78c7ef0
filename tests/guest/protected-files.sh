#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Files that must not be written although root runs them: each is run as
# before, left byte for byte, and counted with its reason.
#
# needs: module tool btrfs
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount '-O verity,encrypt'
exact_faults
chmod 755 "$WORK" "$MNT"
mkdir "$MNT/safe" # a directory to mount read-only elsewhere

trained() { # PLACE
	cp "$PBITMAP_HELPERS/small" "$1"
	chmod 755 "$1"
	annotate "$1"
	"$1" t:0-3
	settle
	is "$1: trained" 0 "$(status_of tool check "$1")"
}

# refused NAME REASON FILE [LAUNCH-OPTIONS]
refused() {
	local name=$1 reason=$2 file=$3 before
	shift 3
	before=$(bytes_of "$file")
	mark
	starts "$@" -- "$file" t:4-15 r:0-3 sum exit:5
	settle
	is "$name: output and status" '400144 5' "$((output + 0)) $status"
	is "$name: writes" 0 "$(delta writes)"
	at_least "$name: refused with the reason" 1 "$(delta "refused_$reason")"
	note "$(grown)"
	is "$name: the file" "$before" "$(bytes_of "$file")"
}

file=$MNT/program
trained "$file"
sum=$("$PBITMAP_HELPERS/small" t:4-15 r:0-3 sum)
is 'what the program prints' 400144 "$sum"

chattr +i "$file"
refused immutable immutable "$file"
refuses 'immutable: annotate' 'chattr -i' tool annotate --force "$file"
chattr -i "$file"
chattr +a "$file"
refused append-only immutable "$file"
chattr -a "$file"

chmod 4755 "$file"
refused setuid setid "$file"
refused 'setuid, run by a user' setid "$file" -u 1000
is 'setuid: effective user of its process' 0 "$(setpriv --reuid 1000 --regid 1000 --clear-groups "$file" euid)"
chmod 2755 "$file"
refused setgid setid "$file"
chmod 755 "$file"
setcap cap_net_raw+ep "$file"
refused 'file capabilities' capabilities "$file"
is 'file capabilities are still there' "$file cap_net_raw=ep" "$(getcap "$file")"
setcap -r "$file"

trained "$MNT/verity"
sync
holds 'turn on fs-verity' verity "$MNT/verity"
refused fs-verity verity "$MNT/verity"
refuses 'fs-verity: annotate' 'fs-verity' tool annotate --force "$MNT/verity"
holds 'fs-verity: it still runs' "$MNT/verity"

mkdir "$MNT/secret"
holds 'turn on fscrypt' fscrypt "$MNT/secret"
cp "$MNT/program" "$MNT/secret"
refused fscrypt encrypted "$MNT/secret/program"

trained "$MNT/safe/program"
mount_at "$WORK/ro" --bind -o ro "$MNT/safe"
mount -o remount,bind,ro "$WORK/ro"
refused 'a read-only mount' read_only "$WORK/ro/program"
mark
"$MNT/safe/program" t:4-9
settle
is 'the same file through the writable mount: writes' 1 "$(delta writes)"

sync
mount -o remount,ro "$MNT"
refused 'a read-only filesystem' read_only "$MNT/safe/program"
mount -o remount,rw "$MNT"

# btrfs: read-only by the subvolume; and where it writes in place, a snapshot has
# the same blocks.
mkfs.btrfs -q -f "$EXTRA_DEV" >"$WORK/mkfs.log" 2>&1 || broken "mkfs.btrfs: $(tail -n 3 "$WORK/mkfs.log")"
mount_at "$WORK/btrfs" "$EXTRA_DEV"
sub=$WORK/btrfs/sub
btrfs -q subvolume create "$sub"
mkdir "$sub/in-place"
chattr +C "$sub/in-place"
trained "$sub/in-place/program"
holds 'chattr +C' grep -q '^[^ ]*C' <(lsattr "$sub/in-place/program")
btrfs -q subvolume snapshot -r "$sub" "$WORK/btrfs/snapshot"
refused 'a read-only snapshot' read_only "$WORK/btrfs/snapshot/in-place/program"
before=$(bytes_of "$WORK/btrfs/snapshot/in-place/program")
mark
"$sub/in-place/program" t:4-9
settle
is 'chattr +C, beside a snapshot: writes' 1 "$(delta writes)"
is 'the snapshot' "$before" "$(bytes_of "$WORK/btrfs/snapshot/in-place/program")"
btrfs -q property set -ts "$sub" ro true
refused 'a read-only subvolume' read_only "$sub/in-place/program"
btrfs -q property set -ts "$sub" ro false
mark
"$sub/in-place/program" t:5-9
settle
is 'a subvolume that is not read-only any more: writes' 1 "$(delta writes)"

# Nothing of that lasts.
mark
"$file" t:9-15
settle
is 'afterwards: writes' 1 "$(delta writes)"
