#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory runs out at any moment: at each allocation of the module in turn, while
# it is inserted, in exec, at a program's end, in the workers that read and that
# write. Each exec works as ever, each file stays whole, nothing is lost.
#
# kernel: debug
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 1500

. "$(dirname "$0")/lib.sh"
# shellcheck source=fault-injection.sh
. "$(dirname "$0")/fault-injection.sh"

limit=1000 # of one kind
step=1     # each, or every so manyth
if [ -n "${PBITMAP_QUICK:-}" ]; then step=8; fi
execs=0
broken=0
all=0

# --- insertion ---

inject_into_insertion
n=1
refused=0
inserted=0
while [ $n -le "$limit" ]; do
	before=$(injected)
	fail-nth -i $n "$PBITMAP_KO"
	status=$?
	if [ "$(injected)" = "$before" ]; then break; fi
	all=$((all + 1))
	case $status in
	0) inserted=$((inserted + 1)) ;;
	12) refused=$((refused + 1)) ;;
	*) fail "insertion, allocation $n fails: error $status" ;;
	esac
	if [ $status != 0 ] && [ -n "$(ls -d /proc/sys/vm/pbitmap* /sys/kernel/debug/pbitmap 2>/dev/null)" ]; then
		fail "insertion, allocation $n fails: something is left of the module"
	fi
	if loaded; then rmmod pbitmap || broken 'rmmod'; fi
	n=$((n + step))
done
at_least 'insertions that ran out of memory and were refused' 5 $refused
note "inserted all the same: $inserted"
if [ "$step" = 1 ]; then is 'the last one' 'met no failure, status 0' "met no failure, status $status"; fi
if loaded; then rmmod pbitmap; fi

# --- a program's life ---

module_load
scratch_mount
inject_into_module
template=$WORK/template

# original PROGRAM ROOT NAME LEARNT... - the trials of a kind start with a copy of this: annotated,
# and run once with the arguments LEARNT (unless that is "nothing")
original() {
	root=$2
	name=$3
	file=$root$name
	mkdir -p "${file%/*}"
	cp "$PBITMAP_HELPERS/$1" "$file"
	annotate "$file"
	shift 3
	if [ "$*" != nothing ]; then
		fail-nth -r "$root" 0 "$name" "$@" >/dev/null
		settle
	fi
	cp "$file" "$template"
}

# start HOW N - one cold start, as the user of the trials does it, while the Nth allocation fails of
# HOW: "task", which executes the program and ends, or "worker"
start() {
	local task=0
	rm -f "$file"
	cp "$template" "$file"
	case $1 in
	task) task=$2 ;;
	worker) fail-nth -w "$2" ;;
	esac
	starts -e "$file" -- "$PBITMAP_HELPERS/fail-nth" -r "$root" "$task" "$name" "${arguments[@]}"
	settle
	if [ "$1" = worker ]; then fail-nth -w 0; fi
	execs=$((execs + 1))
}

# trials WHAT HOW ARGUMENT... - until a start meets no failure any more
trials() {
	local what="$1, $2" how=$2 n=1 spared=0 before began expected
	arguments=("${@:3}")
	start task 0
	expected="$output $status"
	began=$(injected)
	while [ $n -le "$limit" ] && [ $spared -lt 2 ]; do
		before=$(injected)
		start "$how" $n
		if [ "$output $status" != "$expected" ]; then
			broken=$((broken + 1))
			fail "$what: allocation $n fails: expected '$expected', got '$output $status'"
		fi
		if [ "$(status_of tool check "$file")" != 0 ]; then
			fail "$what: allocation $n fails: check: $(tool check "$file" 2>&1)"
		fi
		# (once may be chance: workers come and go)
		if [ "$(injected)" = "$before" ]; then spared=$((spared + 1)); else spared=0; fi
		n=$((n + step))
	done
	at_most "$what: allocations" "$limit" $n
	at_least "$what: failures" 1 $(($(injected) - began))
	mark
	start task 0
	is "$what: afterwards, without failures" "$expected" "$output $status"
	at_least "$what: afterwards, recordings" 1 "$(delta recordings)"
}

small=(t:4-15 r:0-7 d:0-3 sum exit:5)
original small / "$MNT/small" nothing
for how in task worker; do trials 'the first start' $how "${small[@]}"; done
original small / "$MNT/small" t:0-9 d:0-7
for how in task worker; do trials 'a start that learns' $how "${small[@]}"; done
set_sysctl window_ms 20
trials 'the window ends' worker "${small[@]:0:4}" msleep:200 exit:5
set_sysctl window_ms 0

# An ordinary program in a root of its own, with its library on the disk.
library=$(ldd "$PBITMAP_HELPERS/dynamic" | sed -n 's,.*=> \(/[^ ]*libc[^ ]*\) .*,\1,p')
loader=$(ldd "$PBITMAP_HELPERS/dynamic" | sed -n 's,^[[:space:]]*\(/[^ ]*\) (.*,\1,p')
for path in "$library" "$loader"; do
	mkdir -p "$MNT/root${path%/*}"
	cp "$(realpath "$path")" "$MNT/root$path"
done
original dynamic "$MNT/root" /bin/dynamic nothing
for how in task worker; do trials 'the first start with a library' $how 3; done
original dynamic "$MNT/root" /bin/dynamic 3
for background in 0 2; do
	set_sysctl background $background
	for how in task worker; do
		if [ "$background $how" = '0 worker' ]; then continue; fi
		trials "a start with a library, background $background" $how 3
	done
done
set_sysctl background 1

# --- nothing is lost ---

all=$((all + $(injected)))
inject_into 0 0
settle
is 'lost while the module is loaded' '' "$(leaked)"
module_unload
is 'lost after it was unloaded' '' "$(leaked)"
holds 'the disk can be unmounted' umount "$MNT"
holds 'the disk is whole' e2fsck -fn "$SCRATCH_DEV"
is 'broken execs' 0 $broken
if [ "$step" = 1 ]; then at_least 'failures' 500 $all; fi
echo "count injected failures: $all"
echo "count execs under injected failures: $execs"
