# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the crash tests share: the filesystems, the programs, the load on them and
# the ledger of what was written (see helpers/check-cut.c). Sourced, after lib.sh.

# The settings of a filesystem that are tried, as small as they can be.
# filesystem NAME - sets type, size (MiB), options, fsck, and mkfs with what
# follows the disk
filesystem() {
	type=${1%%-*} size=64 options= mkfs= mkfs_end= fsck=
	case $type in
	ext4)
		mkfs='mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=1' mkfs_end=64M
		fsck='e2fsck -fn'
		;;
	xfs) size=300 mkfs='mkfs.xfs -q -f -d size=300m' fsck='xfs_repair -n' ;;
	btrfs) size=128 mkfs='mkfs.btrfs -q -f -b 128m' fsck='btrfs check' ;;
	esac
	case $1 in
	ext4-ordered) options=data=ordered ;;
	ext4-writeback) options=data=writeback ;;
	ext4-journal) options=data=journal ;;
	ext4-nodelalloc) options=nodelalloc,nodioread_nolock ;;
	btrfs-nodatacow) options=nodatacow ;;
	xfs | btrfs) ;;
	*) broken "no filesystem $1" ;;
	esac
}

# make_filesystem DISK PLACE - a fresh one of what filesystem() said, mounted,
# with the programs: one with a slot of a few sectors, one with a slot of many
# pages, one with an attribute, one that cannot be written and has its bitmap in a
# folder, and one that has no bitmap yet
make_filesystem() {
	wipefs -qa "$1"
	# shellcheck disable=SC2086 # options are words
	$mkfs "$1" $mkfs_end >"$WORK/mkfs.log" 2>&1 || broken "$mkfs $1: $(tail -n 3 "$WORK/mkfs.log")"
	mkdir -p "$2"
	mount -t "$type" ${options:+-o "$options"} "$1" "$2" || broken "mount -t $type -o $options $1"
	cp "$PBITMAP_HELPERS/small" "$2/small"
	cp "$PBITMAP_HELPERS/small-pie" "$2/large"
	cp "$PBITMAP_HELPERS/small" "$2/attribute"
	cp "$PBITMAP_HELPERS/small-other" "$2/fixed"
	cp "$PBITMAP_HELPERS/small" "$2/late"
	mkdir "$2/bitmaps"
	annotate "$2/small"
	annotate --slot-size 65536 "$2/large"
	annotate --store=xattr "$2/attribute"
	annotate "$2/fixed"
	chattr +i "$2/fixed" || broken chattr
}

# start_programs PLACE ROUND - each is recorded, with other pages than last time
start_programs() {
	set_sysctl dir "$1/bitmaps"
	"$1/small" "t:$(($2 % 8))-15"
	"$1/attribute" "t:$(($2 % 8))-15"
	"$1/fixed" "t:$(($2 % 8))-15"
	"$1/large" "t:$(($2 % 8))-15" "r:0-$(($2 % 7))"
	settle
}

# Those that are recorded from the beginning on.
PROGRAMS='small large attribute fixed'

# What others do to the disk meanwhile: it goes there when the filesystem likes.
# other_work PLACE ROUND
other_work() {
	mkdir -p "$1/other"
	head -c $((RANDOM * 3)) /dev/zero | tr '\0' x >"$1/other/$(($2 % 5))"
	mv "$1/other/$(($2 % 5))" "$1/other/new-$(($2 % 3))"
	case $(($2 % 4)) in
	1) sync "$1/other/new-$(($2 % 3))" ;;
	3) rm "$1/other/new-$(($2 % 3))" ;;
	esac
}

# What the programs of check-cut print.
expected_output() { "$PBITMAP_HELPERS/small" t:0-7 r:3 d:2 sum; }
