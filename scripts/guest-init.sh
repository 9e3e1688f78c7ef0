#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The first program of the guest (process 1). virtme-run has mounted the root
# in which we were built, read-only; this makes it usable and runs guest-run.sh
# or, without PBITMAP_GUEST (a kernel option), a shell.
#
# It stands in for virtme-ng's own init, which does much more and takes three
# times as long under software emulation: every exec counts there, and so these
# are few, and of a static program.

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
unset "${!virtme_@}"

busybox=/usr/bin/busybox
mnt() { $busybox mount -t "$@"; }

mnt proc proc /proc
mnt sysfs sys /sys
mnt devtmpfs dev /dev
mnt tmpfs run /run -o mode=755
mnt tmpfs tmp /tmp -o mode=1777
mnt tmpfs tmp /var/tmp -o mode=1777
mnt tmpfs root /root -o mode=700
mnt debugfs debug /sys/kernel/debug
mnt tracefs trace /sys/kernel/tracing
mnt securityfs security /sys/kernel/security
mnt cgroup2 cgroup /sys/fs/cgroup
$busybox mkdir /dev/pts /dev/shm
mnt devpts pts /dev/pts -o gid=5,mode=620
mnt tmpfs shm /dev/shm -o mode=1777
mnt 9p virtme.initmount0 /mnt/host -o version=9p2000.L,trans=virtio,msize=262144
$busybox ln -s /proc/self/fd /dev/fd
$busybox ln -s /proc/self/fd/0 /dev/stdin
$busybox ln -s /proc/self/fd/1 /dev/stdout
$busybox ln -s /proc/self/fd/2 /dev/stderr
$busybox ifconfig lo 127.0.0.1 up
echo pbitmap >/proc/sys/kernel/hostname
# Another kernel than the root's brings its modules along.
if [ -n "${PBITMAP_MODULES:-}" ]; then $busybox mount -o bind "$PBITMAP_MODULES" /lib/modules; fi
modprobe -a virtio_blk ext4
# A warning must be seen on the console.
echo 5 >/proc/sys/kernel/printk

set -a
# shellcheck disable=SC1091 # written by guest.py
. /mnt/host/env
set +a
export SCRATCH_DEV=/dev/vda EXTRA_DEV=/dev/vdb HOME=/root USER=root LOGNAME=root SHELL=/bin/bash

if [ -n "${PBITMAP_GUEST:-}" ]; then
	bash /src/scripts/guest-run.sh "$PBITMAP_GUEST" </dev/null
else
	# A session of its own, with the console as its terminal.
	$busybox stty -F /dev/ttyS0 ${PBITMAP_STTY:+${PBITMAP_STTY//,/ }} sane 2>/dev/null
	$busybox setsid bash --rcfile /src/scripts/guest-shell.rc -i </dev/ttyS0 >/dev/ttyS0 2>&1
fi
$busybox sync
$busybox poweroff -f
