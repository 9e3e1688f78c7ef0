# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the suites share, each of which is run like a guest test (see
# scripts/qemu-test.sh): a Debian on the first disk, made by
# scripts/suites-images.sh, in which it all happens. Sourced, never run.
#
# From the environment: SUITES_MODULE (yes: with the module loaded), QUICK,
# PBITMAP_KO, SCRATCH_DEV (that disk).
#
# A suite prints what is compared, a line each: "RESULT KEY = VALUE". And what is
# only told: "COUNT NAME NUMBER". It fails when the module or the kernel's log say
# that something is wrong; scripts/suites.py compares the results.

set -u
export LC_ALL=C

DEBIAN=/mnt/scratch
STATS=/sys/kernel/debug/pbitmap/stats

# debian COMMAND... - run it in the Debian on the disk
debian() {
	chroot $DEBIAN /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root TERM=dumb LC_ALL=C "$@"
}

result() { printf 'RESULT %s = %s\n' "$1" "$2"; }

suite_ends() {
	local place name value
	trap - EXIT
	if [ "${SUITES_MODULE:-}" = yes ]; then
		while read -r name value; do
			case $name in
			execs | armed | used | recordings | writes | write_failed) echo "COUNT $name $value" ;;
			esac
		done <$STATS
		for _ in $(seq 100); do
			rmmod pbitmap 2>/dev/null && break
			sleep 0.1
		done
	fi
	for place in dev/shm dev/pts dev proc sys run tmp ''; do
		for _ in 1 2 3 4 5; do
			mountpoint -q "$DEBIAN/$place" || break
			umount "$DEBIAN/$place" 2>/dev/null && break
			sleep 0.3
		done
	done
	if mountpoint -q $DEBIAN; then umount --lazy --recursive $DEBIAN; fi
}

trap suite_ends EXIT
mount -t ext4 "$SCRATCH_DEV" $DEBIAN || exit 1
mount -t proc proc $DEBIAN/proc
mount -t sysfs sys $DEBIAN/sys
mount -t debugfs debug $DEBIAN/sys/kernel/debug
mount -t devtmpfs dev $DEBIAN/dev
mount -t devpts pts $DEBIAN/dev/pts -o gid=5,mode=620
mount -t tmpfs shm $DEBIAN/dev/shm -o mode=1777
mount -t tmpfs run $DEBIAN/run -o mode=755
if [ "${SUITES_MODULE:-}" = yes ]; then
	insmod "$PBITMAP_KO" || exit 1
fi
