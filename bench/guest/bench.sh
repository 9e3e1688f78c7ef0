# SPDX-License-Identifier: GPL-2.0
#
# The benchmark's job in the guest: one program on each device, with each rival.
#
# /bench/programs has the program (`name`, `executable`, `until`, `display`, program(), which runs the launcher that it
# is given with the program's command line behind), /bench/devices what set_disk takes and the FILESYSTEM, /bench/rivals the
# `options`, `module` and setup() of each, and /bench/cells the pairs of a device and a rival that are wanted.

places="--root /mnt --disk bench --output /run/printed"
cold="--cold --settle /usr/bin/true"
on_disk=none # the filesystem whose image the disk has
trained=     # the filesystems on which the program has run with the module
files_kb=    # of all files that it maps or reads

# measure WHAT SUBCOMMAND [OPTION]...: hands the launcher's lines to the host
measure() {
	local what="$1" subcommand="$2"
	shift 2
	report_output "$subcommand" launch "$subcommand" --label "$what" "$@"
}

# launch SUBCOMMAND [OPTION]...
launch() {
	local subcommand="$1"
	shift
	if [ -n "$until" ]; then set -- --until "$until" "$@"; fi
	program bench-launcher "$subcommand" $places "$@"
}

# The disk as one of the devices.
change_disk() {
	. "/bench/devices/$1"
	if [ "$on_disk" != none ]; then
		stop_display
		unmount_disk || fail "the disk is in use"
	fi
	if [ "$on_disk" != "$FILESYSTEM" ]; then
		case $FILESYSTEM in
		ext4) fill_disk /dev/vda "$IMAGE_MB" ;;
		*) fill_disk /dev/vdb "$SQUASHFS_MB" ;;
		esac || fail "the disk could not be filled"
	fi
	on_disk=$FILESYSTEM
	set_disk && mount_disk "$FILESYSTEM" || fail "the disk could not be made $1"
	mkdir -p /mnt/dev/shm # as every Debian has it
	start_display
}

# The X server is part of the system in which the program starts: its pages stay when the caches are emptied.
start_display() {
	local turn
	if [ -z "$display" ]; then return; fi
	chroot /mnt /usr/bin/Xvfb :1 -screen 0 1280x800x24 -nolisten tcp >/run/display 2>&1 &
	display_server=$!
	for turn in 1 2 3 4 5 6 7 8 9 10; do
		sleep 1
		if [ -e /mnt/tmp/.X11-unix/X1 ]; then return; fi
	done
	fail "no X server: $(tail -n 3 /run/display)"
}

stop_display() {
	if [ -z "$display" ]; then return; fi
	kill $display_server
	wait $display_server
	true
}

# What the program costs on this device whatever is done: warm, and the bytes that it cannot do without, which are the
# same on all devices.
base() {
	# Some programs leave something behind when they first run (python its compiled modules), and the first to read
	# the disk's metadata finds some of it still cached from mounting. LibreOffice even asks to be started again.
	launch run $cold >/run/first 2>&1 || launch run $cold >/run/first 2>&1 || fail "$name, first start: $(tail -n 3 /run/first)"
	if [ -z "$files_kb" ]; then
		files_kb=$(kb_of_cached_files) || fail "the program's files could not be told"
		report files "$files_kb"
	fi
	case "$BASED" in *" $device "*) return ;; esac # the host knows it from an earlier run
	measure "$device warm" run --repeat "$REPEAT"
	if [ ! -e "/run/needed.$on_disk" ]; then
		without_readahead
		launch run $cold >"/run/needed.$on_disk" 2>/run/first || fail "$name, without readahead: $(tail -n 3 /run/first)"
		default_readahead
	fi
	report run "$(sed "s/\"label\":\"\"/\"label\":\"$device needed\"/" "/run/needed.$on_disk")"
}

# What the files together have of which anything is cached.
kb_of_cached_files() {
	bench-launcher residents /mnt >/run/list && cut -d ' ' -f 3- /run/list | sort -u | tr '\n' '\0' |
		xargs -0 stat -c %s | awk '{ bytes += $1 } END { printf "%d\n", bytes / 1024 }'
}

# Nothing is read but what is asked for.
without_readahead() {
	echo 0 >/sys/block/bench/queue/read_ahead_kb
	[ $on_disk != ext4 ] || echo 0 >/sys/fs/ext4/bench/inode_readahead_blks
}

default_readahead() {
	echo "$READ_AHEAD_KB" >/sys/block/bench/queue/read_ahead_kb
	[ $on_disk != ext4 ] || echo 32 >/sys/fs/ext4/bench/inode_readahead_blks
}

# The executable and its libraries.
needed_files() {
	echo "/mnt$executable"
	chroot /mnt /usr/bin/ldd "$executable" 2>/dev/null | sed -n 's:^[^/]*\(/[^ ]*\) (0x.*:/mnt\1:p'
}

# What is cached after a cold start, what a cold start brings in, and what it cannot do without.
list_cached() {
	launch run $cold >/run/first && bench-launcher residents /mnt >/run/list
}

list_sequence() {
	launch sequence $cold >/run/list
}

# (the same on all devices)
list_exact() {
	if [ ! -e "/run/exact.$on_disk" ]; then
		without_readahead
		launch sequence --sorted $cold >/run/exact && mv /run/exact "/run/exact.$on_disk" || return 1
		default_readahead
	fi
	cp "/run/exact.$on_disk" /run/list
}

# Debian's daemon, which looks every 20 s at what runs.
start_preload() {
	local start
	/bench/preload -f -c /bench/preload.conf -s /run/preload.state -l /run/preload.log &
	daemon=$!
	for start in 1 2 3; do
		sleep 30
		launch run $cold >/run/first || return 1
	done
}

# The program is an annotated copy of itself, under the same name. On a filesystem that cannot be written it was
# annotated before the image was made, and its bitmap is kept in a folder.
begin_module() {
	if [ $on_disk = ext4 ]; then
		if [ ! -e "/mnt$executable.annotated" ]; then
			cp -pL "/mnt$executable" "/mnt$executable.annotated" &&
				chroot /mnt /bench/pbitmap-tool annotate --profile-by "$profile_by" "$executable.annotated" >/run/said 2>&1 ||
				fail "$executable could not be annotated: $(tail -n 2 /run/said)"
		fi
		mv "/mnt$executable" "/mnt$executable.plain" && mv "/mnt$executable.annotated" "/mnt$executable" || return 1
	fi
	insmod /bench/pbitmap.ko || return 1
	if [ $on_disk != ext4 ]; then
		mkdir -p /run/pbitmap
		echo /run/pbitmap >/proc/sys/vm/pbitmap_dir
	fi
	case " $trained " in *" $on_disk "*) return 0 ;; esac
	trained="$trained $on_disk"
	local start
	for start in 1 2 3; do
		launch run $cold >/run/first || return 1
		sleep 1
		sync
	done
}

end_module() {
	report_counters
	rmmod pbitmap || fail "pbitmap could not be unloaded"
	if [ $on_disk = ext4 ]; then
		mv "/mnt$executable" "/mnt$executable.annotated" && mv "/mnt$executable.plain" "/mnt$executable"
	fi
}

# knobs NAME=VALUE...: of vm.pbitmap_*
knobs() {
	local knob
	for knob; do
		echo "${knob#*=}" >"/proc/sys/vm/pbitmap_${knob%=*}" || return 1
	done
}

# One rival on one device.
cell() {
	local rival="$2"
	options='' module='' daemon=''
	setup() { :; }
	. "/bench/rivals/$rival"
	if [ -n "$module" ]; then
		begin_module >/run/setup 2>&1 || fail "$name, $device, $rival: $(tail -n 3 /run/setup)"
	fi
	if setup >/run/said 2>&1; then
		eval "measure \"\$device \$rival\" run $cold --repeat $REPEAT $options"
		case "$TIMELINES" in *" $device.$rival "*) eval "measure \"\$device \$rival\" timeline $cold $options" ;; esac
	else
		report broken "$device $rival $(tail -n 2 /run/said | tr '\n' ' ')"
	fi
	if [ -n "$daemon" ]; then kill "$daemon"; fi
	default_readahead
	if [ -n "$module" ]; then end_module; fi
}

load_modules || fail "the kernel's modules could not be loaded"
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
mount -t debugfs debug /sys/kernel/debug 2>/dev/null
report kernel "$(uname -r)"
ifconfig lo up
. /bench/programs/*
while read -r device rivals <&3; do
	change_disk "$device"
	base
	for rival in $rivals; do
		cell "$device" "$rival"
	done
done 3</bench/cells
dmesg | grep -E 'WARNING:|BUG:|Oops|EXT4-fs (error|warning)' && fail "the kernel complained"
