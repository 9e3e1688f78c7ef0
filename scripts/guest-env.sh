# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# The guest as tests and the shell find it. Sourced by guest-run.sh and
# guest-shell.rc.

mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=700 tmpfs /root
modprobe virtio_blk
mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing
# A warning must be seen, and a hung task reported while the test still runs.
echo 5 >/proc/sys/kernel/printk
export SCRATCH_DEV=/dev/vda EXTRA_DEV=/dev/vdb
