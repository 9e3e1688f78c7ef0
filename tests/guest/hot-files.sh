# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The guest's root is a directory of the host, and each file that is opened
# there costs several requests to a process of the host: under software
# emulation `bash -c :` takes 0.4 s. So build.sh packs the programs that tests
# use all the time, with their libraries, into one archive, and the first test
# of a boot lays them over /usr, from memory: then it takes 0.03 s. Sourced.

HOT_PROGRAMS='awk bash basename btrfs cat chattr chmod chown cmp comm cp cut date dirname dmesg
dmsetup e2fsck env expr fsfreeze getcap grep head insmod kill ln ls lsmod md5sum mkdir mkfs.btrfs mkfs.ext4
mkfs.xfs mktemp modprobe mount mountpoint mv od paste readlink realpath rm rmdir rmmod sed seq
setcap setfacl setpriv setsid sh sha256sum sleep sort stat strip sync tail tar tee test timeout
touch tr true umount uname uniq unshare wc wipefs xargs xfs_repair dd'

# pack_hot_files TAR
pack_hot_files() {
	local program path
	for program in $HOT_PROGRAMS; do
		path=$(PATH=/usr/bin:/usr/sbin type -P "$program") || continue
		echo "$path"
		# "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)"
		ldd "$path" 2>/dev/null | sed -n 's,.*[[:space:]]/\(lib[^ ]*\).*,/usr/\1,p'
	done | sort -u | sed 's,^/,,' >"$1.list"
	# Symbolic links as what they lead to.
	tar -C / --dereference -cf "$1.new" -T "$1.list"
	mv "$1.new" "$1"
}

# use_hot_files TAR - once a boot
use_hot_files() {
	local place=/run/pbitmap-hot
	if [ -e $place ] || [ ! -e "$1" ]; then return; fi
	mkdir $place
	mount -t tmpfs -o mode=755 tmpfs $place
	mkdir $place/upper $place/work
	tar -C $place/upper -xf "$1"
	mount -t overlay -o "lowerdir=/usr,upperdir=$place/upper/usr,workdir=$place/work" overlay /usr
	# (guest-init.sh mounted them below /usr, which is hidden now)
	if [ -n "${PBITMAP_MODULES:-}" ]; then mount --bind "$PBITMAP_MODULES" /lib/modules; fi
}
