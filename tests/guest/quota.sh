#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A user whose quota is used up: where the section is written in place that needs
# no block, elsewhere the filesystem refuses, and the bitmap in force stays.
#
# needs: module tool quota_v2 xfs btrfs
# smp: 1
# mem: 1G
# timeout: 90

. "$(dirname "$0")/lib.sh"

module_load
exact_faults
like_an_ssd
chmod 755 "$WORK"
user=1000

# on NAME MKFS MOUNT-ARGUMENTS... - with a program of the user's
on() {
	local name=$1 mkfs=$2
	shift 2
	if mountpoint -q "$MNT"; then umount "$MNT" || broken "$name: umount"; fi
	wipefs -qa "$SCRATCH_DEV"
	$mkfs "$SCRATCH_DEV" >"$WORK/mkfs.log" 2>&1 || broken "$name: $mkfs: $(tail -n 3 "$WORK/mkfs.log")"
	mount_at "$MNT" "$@" "$SCRATCH_DEV"
	home=$MNT
}

own() {
	chmod 755 "$MNT"
	cp "$PBITMAP_HELPERS/small" "$home/small"
	annotate "$home/small"
	chown $user:$user "$home" "$home/small"
	file=$home/small
	"$file" t:0-3
	settle
	sync
}

fill() { # NAME - until there is nothing left for the user, not even what was kept ready
	# shellcheck disable=SC2016 # for the other shell
	setpriv --reuid $user --regid $user --clear-groups sh -c 'cd "$1" && dd if=/dev/zero of=fill bs=64K
		for n in 1 2 3 4 5 6; do sync fill; dd if=/dev/zero of=fill.$n bs=4K; done' sh "$home" >"$WORK/dd.log" 2>&1
	sync
	holds "$1: nothing is left" grep -qE 'quota exceeded|No space left' "$WORK/dd.log"
}

# runs NAME all|some|any - three runs, of which all, or not all, are stored
runs() {
	local name=$1 n before
	mark
	for n in 4 5 6; do
		page=$(((page + 1) % 8))
		before=$(bytes_of "$file") writes=$(delta writes)
		starts -u $user -- "$file" "t:$n-9" r:$page d:0-7 sum "exit:$n"
		settle
		is "$name: output and status of run $n" \
			"$("$PBITMAP_HELPERS/small" "t:$n-9" r:$page d:0-7 sum) $n" "$output $status"
		if [ "$(delta writes)" = "$writes" ]; then
			is "$name: the file after run $n, which was not stored" "$before" "$(bytes_of "$file")"
		fi
	done
	note "$(grown)"
	is "$name: writes, or refused because it is full" 3 "$(delta writes refused_full)"
	case $2 in
	all) is "$name: writes" 3 "$(delta writes)" ;;
	some) at_least "$name: refused because it is full" 1 "$(delta refused_full)" ;;
	esac
	is "$name: check" 0 "$(status_of tool check "$file")"
}
page=0

on ext4 'mkfs.ext4 -q -F -O quota,project -E lazy_itable_init=0,lazy_journal_init=1,quotatype=usrquota:prjquota' \
	-t ext4 -o usrquota,prjquota
own
xfs_quota -x -f -c "limit -u bhard=2m $user" "$MNT" >"$WORK/quota.log" 2>&1 || broken "xfs_quota: $(cat "$WORK/quota.log")"
fill 'ext4, of a user'
runs 'ext4, of a user' all
xfs_quota -x -f -c "limit -u bhard=0 $user" "$MNT"
rm "$home"/fill*
chattr -p 7 "$file" "$home"
chattr +P "$home"
xfs_quota -x -f -c "limit -p bhard=2m 7" "$MNT"
fill 'ext4, of a project'
runs 'ext4, of a project' all

on xfs 'mkfs.xfs -q -f' -t xfs -o uquota
own
xfs_quota -x -c "limit -u bhard=2m $user" "$MNT"
fill xfs
runs xfs all
# Extents that two files share are copied before they are written.
cp --reflink=always "$file" "$MNT/copy"
before=$(bytes_of "$file")
runs 'xfs, shared extents' any
is 'xfs, shared extents: the copy' "$before" "$(bytes_of "$MNT/copy")"

on btrfs 'mkfs.btrfs -q -f' -t btrfs
btrfs -q subvolume create "$MNT/home" || broken 'btrfs subvolume create'
home=$MNT/home
own
btrfs -q quota enable "$MNT" || broken 'btrfs quota enable'
btrfs -q quota rescan -w "$MNT"
btrfs -q qgroup limit 2M "$MNT/home" || broken 'btrfs qgroup limit'
fill btrfs
runs btrfs some
btrfs -q qgroup limit none "$MNT/home"
runs 'btrfs, without the limit' all
umount "$MNT"
holds 'btrfs check' btrfs check "$SCRATCH_DEV"
