# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every guest test shares. A test is a bash script that starts with
#
#	# needs: module tool	what must be there (scripts/qemu-test.sh reads it)
#	# smp: 2		processors of the guest
#	# mem: 1G		its memory
#	# timeout: 60		seconds that it may take under software emulation
#	. "$(dirname "$0")/lib.sh"
#
# asserts with the functions below and simply ends: the exit status is 0 when
# every assertion held. On the way out the module is unloaded, and what was mounted
# is unmounted. (The kernel's log is looked at by scripts/guest.py.)
#
# From the environment: PBITMAP_KO (the module), PBITMAP_TOOL (pbitmap-tool),
# PBITMAP_HELPERS (what build.sh made), SCRATCH_DEV (a disk that may be wiped),
# PBITMAP_PATIENCE (2 to 10: how slow the machine is, as guest-run.sh sees it).

set -u

: "${PBITMAP_KO:?the path of pbitmap.ko}"
: "${PBITMAP_TOOL:?the path of pbitmap-tool}"
: "${PBITMAP_HELPERS:?the directory that tests/guest/build.sh filled}"
: "${SCRATCH_DEV:?a disk that may be wiped}"
export LC_ALL=C

# What runs most is run from memory.
# shellcheck source=hot-files.sh
. "$(dirname "${BASH_SOURCE[0]}")/hot-files.sh"
use_hot_files "$PBITMAP_HELPERS/hot-files.tar"
# shellcheck source=real-files.sh
. "$(dirname "${BASH_SOURCE[0]}")/real-files.sh"
PBITMAP_TARS=${PBITMAP_TARS:-$PBITMAP_HELPERS}
if [ ! -d /tmp/pbitmap-programs ]; then
	mkdir /tmp/pbitmap-programs
	cp "$PBITMAP_TOOL" "$PBITMAP_KO" "$PBITMAP_HELPERS"/[!.]* /tmp/pbitmap-programs
	rm -f /tmp/pbitmap-programs/*.tar*
fi
PBITMAP_HELPERS=/tmp/pbitmap-programs
PBITMAP_TOOL=$PBITMAP_HELPERS/${PBITMAP_TOOL##*/}
PBITMAP_KO=$PBITMAP_HELPERS/${PBITMAP_KO##*/}
PATH=$PBITMAP_HELPERS:$PATH:/usr/local/sbin:/usr/sbin:/sbin

TEST=${0##*/}
TEST=${TEST%.sh}
WORK=$(mktemp -d "/tmp/$TEST.XXXXXX") # in memory, not on the disk under test
MNT=$WORK/mnt                         # where scratch_mount puts the disk
STATS=/sys/kernel/debug/pbitmap/stats
VM=/proc/sys/vm
skipped=no
mounted=()
jobs_started=()
at_end=()
exact=no

# --- assertions ------------------------------------------------------------

# They are kept in a file, since one may be made in a subshell.
: >"$WORK/asserted"
pass() {
	echo ok >>"$WORK/asserted"
	printf '  ok    %s\n' "$*"
}

fail() {
	echo "FAIL  $*" >>"$WORK/asserted"
	printf '  FAIL  %s\n' "$*"
}

note() { printf '        %s\n' "$*"; }

# Something that the test stands on is not as it must be: no point in going on.
broken() {
	fail "$*"
	exit 1
}

# is WHAT EXPECTED ACTUAL
is() {
	if [ "$2" = "$3" ]; then pass "$1: $3"; else fail "$1: expected '$2', got '$3'"; fi
}

at_least() { # WHAT MINIMUM ACTUAL
	if [ "$3" -ge "$2" ]; then pass "$1: $3 (at least $2)"; else fail "$1: $3, expected at least $2"; fi
}

at_most() { # WHAT MAXIMUM ACTUAL
	if [ "$3" -le "$2" ]; then pass "$1: $3 (at most $2)"; else fail "$1: $3, expected at most $2"; fi
}

# holds WHAT COMMAND... - the command succeeds
holds() {
	local what=$1
	shift
	if "$@" >"$WORK/holds.log" 2>&1; then
		pass "$what"
	else
		fail "$what (status $? of: $*)"
		sed 's/^/        | /' "$WORK/holds.log" | tail -n 8
	fi
}

# refuses WHAT PATTERN COMMAND... - the command fails and says PATTERN
refuses() {
	local what=$1 pattern=$2
	shift 2
	if "$@" >"$WORK/refuses.log" 2>&1; then
		fail "$what: it succeeded: $*"
	elif grep -qiE -- "$pattern" "$WORK/refuses.log"; then
		pass "$what"
	else
		fail "$what: expected '$pattern', got '$(tail -n 1 "$WORK/refuses.log")'"
	fi
}

# skip REASON - the test is over: it can assert nothing on this kernel. Its header says
# so, too (may-skip).
skip() {
	skipped=yes
	echo "SKIP $*"
	exit
}

# percent PART WHOLE - rounded down; 0 of nothing
percent() { echo $(($2 ? $1 * 100 / $2 : 0)); }

# status_of COMMAND... - its exit status, as the shell gives it
status_of() {
	"$@" >/dev/null 2>&1
	echo $?
}

# --- the module ------------------------------------------------------------

loaded() { grep -q '^pbitmap ' /proc/modules; }

module_load() {
	if loaded; then module_unload; fi
	insmod "$PBITMAP_KO" || broken "insmod $PBITMAP_KO"
	[ -r "$STATS" ] || broken "$STATS does not exist after insmod"
	if [ $exact = yes ]; then set_sysctl early_fault 0; fi
	if [ "${defaults:-no}" = no ]; then plain_recording; fi
}

# What most tests stand on: each run is recorded until its end and takes the
# place of the one before, no start is treated otherwise than the first, and what
# is recorded is what was mapped. A
# test of the defaults says `defaults=yes`.
plain_recording() {
	set_sysctl window_ms 0
	set_sysctl merge 0
	set_sysctl backoff 0
	set_sysctl reads 0
}

# An exec that is inside the hook holds the module for a moment: try again.
module_unload() {
	local i
	for i in $(seq 200); do
		if rmmod pbitmap 2>"$WORK/rmmod.log"; then return 0; fi
		loaded || return 0
		grep -qiE 'temporarily unavailable|in use|busy' "$WORK/rmmod.log" || break
		sleep 0.05
	done
	fail "rmmod pbitmap: $(cat "$WORK/rmmod.log")"
	return 1
}

set_sysctl() { echo "$2" >"$VM/pbitmap_$1" || broken "vm.pbitmap_$1=$2"; }
get_sysctl() { cat "$VM/pbitmap_$1"; }

# counters - all of them, as they are at one moment. (The shell itself reads a file a
# line at a time, and then the kernel makes it anew for each: once a number has grown
# by a digit, the next line begins in the middle.)
counters() { cat "$STATS"; }

# counter NAME - its value now
counter() {
	local name value
	while read -r name value; do
		if [ "$name" = "$1" ]; then
			echo "$value"
			return
		fi
	done < <(counters)
	echo "no-such-counter:$1"
}

# mark, then delta NAME... - by how much (the sum of) these counters grew.
# A name may be a pattern as in case: 'refused_*'.
declare -A marked
mark() {
	local name value
	marked=()
	while read -r name value; do marked[$name]=$value; done < <(counters)
}

delta() {
	local name value pattern sum=0 known=no
	while read -r name value; do
		for pattern in "$@"; do
			# shellcheck disable=SC2254 # a pattern on purpose
			case $name in $pattern) known=yes sum=$((sum + value - ${marked[$name]:-0})) ;; esac
		done
	done < <(counters)
	if [ $known = yes ]; then echo $sum; else echo "no-such-counter:$*"; fi
}

# grown - the counters that changed since mark, on one line
grown() {
	local name value
	while read -r name value; do
		[ "$value" = "${marked[$name]:-0}" ] || printf '%s+%s ' "$name" $((value - ${marked[$name]:-0}))
	done < <(counters)
	echo
}

# settle [LIVE] - everything recorded has been written or dropped, but for LIVE
# programs that still run
# shellcheck disable=SC2120 # tests pass arguments
settle() {
	settle-counters "$STATS" "${1:-0}" ||
		fail "the module does not settle: $(grep -E 'recorders_live|work_pending' "$STATS" | tr '\n' ' ')"
}

tool() { "$PBITMAP_TOOL" "$@"; }

# annotate FILE... - or the test is over
annotate() {
	tool annotate "$@" >"$WORK/annotate.log" 2>&1 ||
		broken "pbitmap-tool annotate $*: $(cat "$WORK/annotate.log")"
}

# --- disks -----------------------------------------------------------------

# Read ahead as an SSD's file system does. (On a disk that calls itself rotational
# the kernel takes 8 MiB, and a page fault reads nearly all of a program.)
like_an_ssd() {
	local queue=/sys/block/${SCRATCH_DEV##*/}/queue
	echo 0 >"$queue/rotational"
	echo 128 >"$queue/read_ahead_kb"
}

# scratch_mount [MKFS-OPTIONS [MOUNT-OPTIONS]] - a fresh ext4 at $MNT
scratch_mount() {
	like_an_ssd
	# shellcheck disable=SC2086 # options are words
	mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=1 ${1:-} "$SCRATCH_DEV" ${SCRATCH_SIZE:-512M} >"$WORK/mkfs.log" 2>&1 ||
		broken "mkfs.ext4: $(cat "$WORK/mkfs.log")"
	mount_at "$MNT" -t ext4 ${2:+-o "$2"} "$SCRATCH_DEV"
}

# mount_at PLACE MOUNT-ARGUMENTS... - unmounted again at the end of the test
mount_at() {
	local place=$1
	shift
	mkdir -p "$place"
	mount "$@" "$place" || broken "mount $* $place"
	mounted=("$place" "${mounted[@]}")
}

# A fault maps one page, not its neighbours in the cache as well, and nothing is
# mapped early: what is present at the end is what was touched, and who touches
# other pages makes another bitmap.
exact_faults() {
	local around=/sys/kernel/debug/fault_around_bytes
	exact=yes
	if loaded; then set_sysctl early_fault 0; fi
	put_back $around
	echo 4096 >$around || broken "$around"
}

# huge_pages always|never - whether khugepaged looks at programs. An exec wakes it,
# and of a file's 2 MiB range that has one page mapped it reads in all 512 and maps
# them: no test can then tell which pages are there, and why. So it is off, but in
# its own test. A kernel with PREEMPT_RT has no such thing.
huge_pages() {
	local setting=/sys/kernel/mm/transparent_hugepage/enabled
	[ -e $setting ] || return 0
	grep -q "\\[$1\\]" $setting || echo "$1" >$setting || broken "$setting"
}

# From here on nothing of any disk is in memory, as far as the kernel can.
cold() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# --- programs --------------------------------------------------------------

# put_program NAME - the helper program NAME on the scratch disk, annotated
put_program() {
	cp "$PBITMAP_HELPERS/$1" "$MNT/$1"
	chmod 755 "$MNT/$1"
	annotate "$MNT/$1"
}

# starts LAUNCH-OPTIONS -- COMMAND: one run by `launch`; its counts are then in
# $majflt and $minflt, its exit status in $status (128 + signal, as in the
# shell), what it printed in $output
starts() {
	majflt= minflt= status= output=
	output=$(launch -o "$WORK/launch" "$@")
	# shellcheck disable=SC1091 # written by launch
	. "$WORK/launch"
}

# cold_start FILE COMMAND... - with nothing in memory; which folios of the file come there
# is in $WORK/added then: the offset in bytes and the order of each, a line
cold_start() {
	local inode tracing=/sys/kernel/tracing
	local added=$tracing/events/filemap/mm_filemap_add_to_page_cache/enable
	inode=$(printf '%x' "$(stat -c %i "$1")")
	cold
	echo >$tracing/trace
	echo 1 >$added
	"${@:2}"
	echo 0 >$added
	settle
	sed -n "s/.*: dev .* ino $inode .*ofs=\([0-9]*\) order=\([0-9]*\).*/\1 \2/p" $tracing/trace >"$WORK/added"
}

# recorded FILE - the pages in its bitmap, a number a line, as the tool shows them
recorded() {
	local first count
	tool show --pages "$1" | while read -r first count; do seq "$first" $((first + count - 1)); done
}

# recorded_files FILE - the paths of the files in its bitmap, with the number of
# pages that are wanted of each; the executable is called "-"
recorded_files() {
	tool show --json "$1" | python3 -c '
import json, sys
for profile in json.load(sys.stdin)["profiles"]:
    for file in profile["files"]:
        print(file["path"] or "-", file["wanted"])'
}

# recorded_pages FILE - all that is wanted of all files, a line a page: its file and number
recorded_pages() {
	tool show --json "$1" | python3 -c '
import json, sys
for profile in json.load(sys.stdin)["profiles"]:
    for file in profile["files"]:
        for first, count in file["wanted_runs"]:
            for page in range(first, first + count):
                print(file["path"] or "-", page)' | sort -u
}

# slot_field FILE NAME - generation, updated, runs, pages or slot
slot_field() {
	local slot generation updated runs pages
	eval "$(elf slot "$1")"
	echo "${!2}"
}

# background COMMAND... - killed at the end of the test
background() {
	"$@" &
	jobs_started+=($!)
}

# executes PID FILE - wait until the process runs it: a shell that has just forked
# may not have come to its exec
executes() {
	local i
	for i in $(seq $((250 * PBITMAP_PATIENCE))); do
		[ "/proc/$1/exe" -ef "$2" ] && return
		sleep 0.02
	done
	fail "process $1 does not run $2"
}

# at_the_end COMMAND - a line of shell to be run when the test is over
at_the_end() { at_end=("$1" "${at_end[@]}"); }

# put_back FILE - a setting of the kernel that is as before when the test is over
put_back() { at_the_end "echo $(cat "$1") >$1"; }

bytes_of() { sha256sum <"$1" | cut -c1-16; }

# --- the end ---------------------------------------------------------------

log_mark() { echo "pbitmap test $TEST starts, pid $$" >/dev/kmsg; }

# log_lines COMMAND... - what the kernel says while it runs, about the module
log_lines() {
	local before
	before=$(dmesg | wc -l)
	"$@"
	dmesg | tail -n +$((before + 1)) | grep -i pbitmap
}

log_since_mark() { dmesg | sed "1,/pbitmap test $TEST starts, pid $$\$/d"; }

finish() {
	local status=$? job place i asserted failures
	trap - EXIT
	for job in "${jobs_started[@]}"; do
		kill -9 "$job" 2>/dev/null
		wait "$job" 2>/dev/null
	done
	cd /
	for job in "${at_end[@]}"; do eval "$job"; done
	if loaded; then module_unload; fi
	if loaded; then fail "the module is still loaded"; fi
	for place in "${mounted[@]}"; do
		if mountpoint -q "$place"; then
			for i in 1 2 3 4 5; do
				umount "$place" 2>/dev/null && break
				sleep 0.1
			done
			mountpoint -q "$place" && fail "$place is still busy at the end"
		fi
	done
	if [ $skipped = no ] && [ ! -s "$WORK/asserted" ]; then fail "nothing was asserted"; fi
	if [ $status != 0 ] && ! grep -q ^FAIL "$WORK/asserted"; then fail "it ended early, with status $status"; fi
	asserted=$(wc -l <"$WORK/asserted")
	failures=$(grep -c ^FAIL "$WORK/asserted")
	grep ^FAIL "$WORK/asserted" | sed 's/^/  /' >&2
	rm -rf --one-file-system "$WORK"
	printf '%s: %d assertions, %d failed\n' "$TEST" "$asserted" "$failures"
	exit $((failures != 0))
}

mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing 2>/dev/null
if loaded; then rmmod pbitmap; fi
huge_pages never
log_mark
trap finish EXIT
