#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Where a bitmap may be written: ext4 in its modes, xfs and btrfs, each clean
# afterwards and with the bitmap still there when mounted again. Elsewhere a
# program runs as before, and the refusal is counted.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
exact_faults
like_an_ssd

# allowed NAME MKFS FSCK TYPE [MOUNT-OPTIONS]
allowed() {
	local name=$1 mkfs=$2 fsck=$3 type=$4 options=${5:-} n pages outside times before file=$MNT/small
	wipefs -qa "$SCRATCH_DEV"
	$mkfs "$SCRATCH_DEV" >"$WORK/mkfs.log" 2>&1 || broken "$name: $mkfs: $(tail -n 3 "$WORK/mkfs.log")"
	mkdir -p "$MNT"
	mount -t "$type" ${options:+-o "$options"} "$SCRATCH_DEV" "$MNT" || broken "$name: mount"
	mounted=("$MNT")
	put_program small
	sync # allocated on disk
	outside=$(elf outside "$file")
	times=$(stat -c '%y %z' "$file")
	mark
	for n in 1 2 3 4 5 6; do
		"$file" "t:$n-15/$n"
		settle
	done
	is "$name: writes" 6 "$(delta writes)"
	is "$name: refused" 0 "$(delta 'refused_*')"
	is "$name: times of modification and change" "$times" "$(stat -c '%y %z' "$file")"
	note "$(grown)"
	mark
	execs loop-or 60 "$file" t:0-7 -- d:0-7 >"$WORK/loop"
	settle
	is "$name: a loop of starts" 'ok=60 killed=0 ETXTBSY=0 other=0' "$(cat "$WORK/loop")"
	if [ "$type" != ext4 ]; then # extents that two files share
		cp --reflink=always "$file" "$MNT/clone" || fail "$name: reflink"
		before=$(bytes_of "$MNT/clone")
		mark
		"$file" t:1-15/7
		settle
		is "$name: writes beside a reflinked copy" 1 "$(delta writes)"
		is "$name: the reflinked copy" "$before" "$(bytes_of "$MNT/clone")"
	fi
	pages=$(recorded "$file" | md5sum)
	umount "$MNT" || broken "$name: umount"
	$fsck "$SCRATCH_DEV" >"$WORK/fsck.log" 2>&1 && pass "$name: $fsck" || fail "$name: $fsck: $(tail -n 3 "$WORK/fsck.log")"
	mount -t "$type" ${options:+-o "$options"} "$SCRATCH_DEV" "$MNT"
	is "$name: check after mounting it again" 0 "$(status_of tool check "$file")"
	is "$name: the pages are as recorded" "$pages" "$(recorded "$file" | md5sum)"
	is "$name: all bytes outside the section" "$outside" "$(elf outside "$file")"
	mark
	starts -e "$file" -- "$file" t:0-7 r:3 d:2 sum exit:4
	settle
	is "$name: bitmap used" 1 "$(delta used)"
	is "$name: output and status" "$("$PBITMAP_HELPERS/small" t:0-7 r:3 d:2 sum) 4" "$output $status"
	umount "$MNT"
}

# refused NAME FILE
refused() {
	local before
	cp "$PBITMAP_HELPERS/small" "$2"
	chmod 755 "$2"
	if ! tool annotate "$2" >"$WORK/annotate.log" 2>&1; then
		note "$1: annotated elsewhere: $(cat "$WORK/annotate.log")"
		cp "$PBITMAP_HELPERS/small" "$WORK/annotated"
		annotate "$WORK/annotated"
		cat "$WORK/annotated" >"$2"
	fi
	before=$(bytes_of "$2")
	mark
	starts -- "$2" t:0-7 r:3 d:2 sum exit:4
	settle
	is "$1: output and status" "$("$PBITMAP_HELPERS/small" t:0-7 r:3 d:2 sum) 4" "$output $status"
	is "$1: writes" 0 "$(delta writes)"
	at_least "$1: refused because of the filesystem" 1 "$(delta refused_filesystem)"
	note "$(grown)"
	is "$1: the file" "$before" "$(bytes_of "$2")"
}

ext4='mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=1'
e2fsck='e2fsck -fn'
allowed 'ext4' "$ext4" "$e2fsck" ext4
allowed 'ext4 nodelalloc,nodioread_nolock' "$ext4" "$e2fsck" ext4 nodelalloc,nodioread_nolock
allowed 'ext4 data=journal' "$ext4" "$e2fsck" ext4 data=journal
allowed 'ext4 with 1 KiB blocks, no journal' "$ext4 -b 1024 -O ^has_journal" "$e2fsck" ext4
allowed 'xfs' 'mkfs.xfs -q -f' 'xfs_repair -n' xfs
allowed 'btrfs' 'mkfs.btrfs -q -f' 'btrfs check' btrfs
allowed 'btrfs compress-force' 'mkfs.btrfs -q -f' 'btrfs check' btrfs compress-force=zstd

mount_at "$WORK/tmpfs" -t tmpfs tmpfs
refused tmpfs "$WORK/tmpfs/small"
mount_at "$WORK/ramfs" -t ramfs ramfs
refused ramfs "$WORK/ramfs/small"

scratch_mount
mkdir "$MNT/lower" "$MNT/upper" "$MNT/work"
put_program small
mv "$MNT/small" "$MNT/lower/lower"
before=$(bytes_of "$MNT/lower/lower")
mount_at "$WORK/overlay" -t overlay -o "lowerdir=$MNT/lower,upperdir=$MNT/upper,workdir=$MNT/work" overlay
refused 'overlay, upper layer' "$WORK/overlay/small"
mark
is 'overlay, lower layer: status' 4 "$(status_of "$WORK/overlay/lower" t:0-7 exit:4)"
settle
is 'overlay, lower layer: writes' 0 "$(delta writes)"
is 'overlay, lower layer: not copied up' no "$([ -e "$MNT/upper/lower" ] && echo yes || echo no)"
is 'overlay, lower layer: the file' "$before" "$(bytes_of "$MNT/lower/lower")"
at_least 'overlay, lower layer: refused' 1 "$(delta refused_filesystem)"
