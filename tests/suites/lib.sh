# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What the suites share, each of which is run like a guest test (see
# scripts/qemu-test.sh): a Debian on the first disk, made by
# scripts/suites-images.sh, in which it all happens. Sourced, never run.
#
# From the environment: SUITES_MODULE (yes: with the module loaded), PBITMAP_QUICK
# (yes: only a part), SUITES_ONLY (selftests to run again), PBITMAP_KO, SCRATCH_DEV
# (that disk).
#
# A suite prints what is compared, a line each: "RESULT KEY = VALUE". And what is
# only told: "COUNT NAME NUMBER". It fails when the module or the kernel's log say
# that something is wrong; scripts/suites.py compares the results.

set -u
export LC_ALL=C

DEBIAN=/mnt/scratch
SELFTESTS=$DEBIAN/suites/selftests
STATS=/sys/kernel/debug/pbitmap/stats

# debian COMMAND... - run it in the Debian on the disk
debian() {
	chroot $DEBIAN /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		HOME=/root TERM=dumb LC_ALL=C "$@"
}

result() { printf 'RESULT %s = %s\n' "$1" "$2"; }

# end_all - what still runs in the Debian
end_all() {
	local process
	for process in /proc/[0-9]*; do
		if [ "$process/root" -ef $DEBIAN ]; then kill -9 "${process#/proc/}"; fi
	done 2>/dev/null
}

# selftests COLLECTION:TEST... - or SUITES_ONLY instead. Each may take a minute: some
# wait, as if this were a fast machine, and some leave children that hold their output.
# (What is not builtin is slow to start, as the guest's root is the host's.)
selftests() {
	local test output text ended late limit=60
	output=$(mktemp)
	exec {ended}<> <(:)
	# shellcheck disable=SC2086 # words
	if [ -n "${SUITES_ONLY:-}" ]; then set -- $SUITES_ONLY; fi
	for test; do
		: >"$output"
		(
			# These write all stacks of 128 threads through a socket.
			if [[ $test == coredump:* ]]; then ulimit -Ss 128; fi
			debian $SELFTESTS/run_kselftest.sh --override-timeout $limit --test "$test" >>"$output" 2>&1
			echo >&"$ended"
		) &
		late=
		read -rt $((limit + 5)) -u "$ended" || late=yes
		end_all
		wait $!
		if [ -n "$late" ]; then read -r -u "$ended"; fi
		text=$(<"$output")
		printf '%s\n' "$text"
		if ! [[ $text =~ ok\ [0-9]+\ selftests:\  ]]; then
			echo "not ok 1 selftests: ${test/:/: } # TIMEOUT"
		fi
		echo "# $SECONDS s have passed"
	done
}

# mkfs leaves holes where nothing but zeros is, as in a new section; and to these
# the module does not write.
fill_holes() {
	python3 -c '
import os
for program in open("'$DEBIAN'/suites/programs"):
    file = os.open("'$DEBIAN'" + program.rstrip("\n"), os.O_RDWR)
    size, at = os.fstat(file).st_size, 0
    while (hole := os.lseek(file, at, os.SEEK_HOLE)) < size:
        try:
            at = os.lseek(file, hole, os.SEEK_DATA)
        except OSError:
            at = size
        os.pwrite(file, bytes(at - hole), hole)
    os.close(file)' && sync
}

suite_ends() {
	local place name value
	trap - EXIT
	if [ "${SUITES_MODULE:-}" = yes ]; then
		while read -r name value; do
			case $name in
			execs | armed | used | recordings | writes | write_failed) echo "COUNT $name $value" ;;
			esac
		done < <(cat $STATS)
		for _ in $(seq 100); do
			rmmod pbitmap 2>/dev/null && break
			sleep 0.1
		done
	fi
	end_all
	for place in dev/shm dev/pts dev proc sys/kernel/debug sys run tmp "$DEBIAN" ''; do
		for _ in 1 2 3 4 5; do
			mountpoint -q "$DEBIAN/$place" || break
			umount "$DEBIAN/$place" 2>/dev/null && break
			sleep 0.3
		done
	done
	# (Compared as every result is: with the module it must be as without.)
	if mountpoint -q $DEBIAN; then
		umount --lazy --recursive $DEBIAN
		result unmounted lazily
	else
		result unmounted yes
	fi
}

trap suite_ends EXIT
ulimit -c unlimited
# Programs that crash on purpose are no news.
echo 0 >/proc/sys/debug/exception-trace
mount -t ext4 "$SCRATCH_DEV" $DEBIAN || exit 1
mount -t proc proc $DEBIAN/proc
mount -t sysfs sys $DEBIAN/sys
mount -t debugfs debug $DEBIAN/sys/kernel/debug
mount -t devtmpfs dev $DEBIAN/dev
mount -t devpts pts $DEBIAN/dev/pts -o gid=5,mode=620
mount -t tmpfs shm $DEBIAN/dev/shm -o mode=1777
mount -t tmpfs run $DEBIAN/run -o mode=755
# What the kernel is told to call or to connect to when a core is dumped, it looks
# for outside: so its path is the same inside.
mkdir -p $DEBIAN$DEBIAN
mount --bind $DEBIAN $DEBIAN$DEBIAN
mount --bind /tmp $DEBIAN/tmp
if [ "${SUITES_MODULE:-}" = yes ]; then
	fill_holes || exit 1
	insmod "$PBITMAP_KO" || exit 1
fi
