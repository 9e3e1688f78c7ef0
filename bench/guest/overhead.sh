# SPDX-License-Identifier: GPL-2.0
#
# The overhead's job in the guest: fork, exec and exit of a static `true` on the disk, over and over, without the
# module and with it, in turns, so that whatever changes as the guest grows older changes for all of them.

# measure WHAT FILE
measure() {
	report_output loop bench-launcher loop --label "$1" --repeat $REPEAT "$2"
}

make_disk
cp -a /mnt/true /mnt/true.annotated
chroot /mnt /bench/pbitmap-tool annotate /true.annotated || fail "true could not be annotated"
chroot /mnt /bench/pbitmap-tool annotate /loops || fail "loops could not be annotated"
sync

# profile WHAT FILE
profile() {
	if [ "$PROFILE" = 1 ]; then
		report_output profile bench-launcher profile --label "$1" --repeat $((5 * REPEAT)) "$2"
	fi
}

# warm FILE: what is measured is not the first time that things are mapped, cached, allocated
warm() {
	bench-launcher loop --repeat 10 "$1" >/dev/null || fail "$1 does not run"
	sleep 1
	sync
}

# loops WHAT: a program that goes on to run, after twenty seconds: its window is closed then, and the probe on page
# faults has gone
loops() {
	report_output loop /mnt/loops "$1" $REPEAT 20
}

# Where things land at random decides how many page tables a fork copies: 1 % of an exec, the same for a whole turn.
echo 0 >/proc/sys/kernel/randomize_va_space

round=0
while [ $round -lt $ROUNDS ]; do
	# A file just written has larger folios in the page cache than one that was read from the disk, and maps faster:
	# 5 % of an exec. Both files are to be in the cache as reading leaves them.
	sync
	echo 3 >/proc/sys/vm/drop_caches
	warm /mnt/true
	warm /mnt/true.annotated
	measure unloaded /mnt/true
	measure unloaded_annotated /mnt/true.annotated
	profile unloaded_annotated /mnt/true.annotated
	loops unloaded_loops
	insmod /bench/pbitmap.ko || fail "pbitmap.ko did not load: $(dmesg | tail -n 3)"
	warm /mnt/true
	warm /mnt/true.annotated
	measure unannotated /mnt/true
	measure annotated_warm /mnt/true.annotated
	profile annotated_warm /mnt/true.annotated
	loops after_window
	# Where it comes from.
	echo 0 >/proc/sys/vm/pbitmap_early_fault
	measure no_early_fault /mnt/true.annotated
	echo 0 >/proc/sys/vm/pbitmap_enabled
	measure disabled /mnt/true.annotated
	report_counters
	rmmod pbitmap || fail "pbitmap could not be unloaded"
	round=$((round + 1))
done
