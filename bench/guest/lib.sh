# SPDX-License-Identifier: GPL-2.0
#
# What both jobs (demo and overhead) do in the guest. Sourced by init, run by busybox's sh.

# report KIND [JSON]: one line to the host.
report() {
	echo "$1 ${2-}" >/dev/ttyS1
}

fail() {
	report failed "$(echo "$*" | tr '\n' ' ')"
	poweroff -f
}

# Hands each line that a command prints to the host; fails the whole job if the command does.
report_output() {
	local kind="$1"
	shift
	"$@" >/run/reported 2>/run/complaint || fail "$* : $(cat /run/complaint)"
	while read -r line; do
		report "$kind" "$line"
	done </run/reported
}

# What the module counted since it was loaded.
report_counters() {
	local counter
	while read -r counter; do
		report counter "$counter"
	done </sys/kernel/debug/pbitmap/stats
}

# The disk under test is null_blk, whose latency and bandwidth pass in the guest's own (virtual) time. It is filled
# from the virtio disk that holds the image while it is still infinitely fast, then switched off, slowed down and
# switched on again: its memory survives that.
make_disk() {
	load_modules && fill_disk /dev/vda $IMAGE_MB && set_disk && mount_disk ext4 ||
		fail "the disk under test could not be made"
	report kernel "$(uname -r)"
}

load_modules() {
	local module
	# (Every ten seconds khugepaged would read 2 MiB of a file that has a page mapped, during whichever start is on.)
	echo 0 >/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none
	mkdir -p /run /disk /mnt
	mount -t tmpfs run /run
	for module in /modules/*.ko; do
		# shellcheck disable=SC2046 # options are words
		insmod "$module" $(cat "${module%.ko}.options" 2>/dev/null) || return 1
	done
	mount -t configfs config /sys/kernel/config
	disk=/sys/kernel/config/nullb/bench
}

# fill_disk IMAGE MB: a new disk with that image
fill_disk() {
	local setting
	if [ -d $disk ]; then
		echo 0 >$disk/power && rmdir $disk || return 1
	fi
	mkdir $disk
	for setting in memory_backed=1 blocksize=4096 size="$2" submit_queues=1; do
		echo "${setting#*=}" >"$disk/${setting%=*}" || return 1
	done
	echo 1 >$disk/power
	bench-launcher fill "$1" /dev/bench
}

# As slow as LATENCY_US, MB_PER_S, and if they are set DEPTH (requests in flight), MAX_REQUEST_KB and ROTATIONAL say.
set_disk() {
	local setting
	echo 0 >$disk/power || return 1
	for setting in irqmode=2 completion_nsec=$((LATENCY_US * 1000)) mbps=$MB_PER_S \
		hw_queue_depth=${DEPTH:-64} max_sectors=$((${MAX_REQUEST_KB:-256} * 2)) rotational=${ROTATIONAL:-0}; do
		echo "${setting#*=}" >"$disk/${setting%=*}" || return 1
	done
	# Its bandwidth timer starts now: on the same grid on which the launcher starts its runs.
	bench-launcher align 20
	echo 1 >$disk/power
	echo $READ_AHEAD_KB >/sys/block/bench/queue/read_ahead_kb
}

# mount_disk FILESYSTEM
mount_disk() {
	mount -t "$1" -o noatime /dev/bench /mnt || return 1
	mount -t devtmpfs dev /mnt/dev
	mount -t proc proc /mnt/proc
	mount -t tmpfs tmp /mnt/tmp
}

# What a program left running may have files open for a moment.
unmount_disk() {
	local place turn
	for place in /mnt/tmp /mnt/proc /mnt/dev /mnt; do
		for turn in 1 2 3 4 5 6 7 8 9 10; do
			if umount $place; then continue 2; fi
			sleep 1
		done
		return 1
	done
}
