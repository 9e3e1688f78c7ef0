#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Memory runs out at any moment: at each allocation of the module in turn, while
# it is inserted, in exec, at a program's end, in the workers that read and that
# write, wherever the bitmap is. Each exec works as ever, each file stays whole,
# no bitmap is lost, and no memory.
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
shopt -s extglob nullglob
n=1
refused=0
inserted=0
while [ $n -le "$limit" ]; do
	count_injected
	before=$injected
	fail-nth -i $n "$PBITMAP_KO" pbitmap
	status=$?
	count_injected
	if [ "$injected" = "$before" ]; then break; fi
	all=$((all + 1))
	case $status in
	0) inserted=$((inserted + 1)) ;;
	12) refused=$((refused + 1)) ;;
	*) fail "insertion, allocation $n fails: error $status" ;;
	esac
	left=(/proc/sys/vm/pbitmap* /sys/kernel/debug/pbitmap* /sys/module/pbitmap*)
	if [ ${#left[@]} != 0 ]; then fail "insertion, allocation $n fails: something is left of the module"; fi
	n=$((n + step))
done
at_least 'insertions that ran out of memory and were refused' $((step == 1 ? 5 : 1)) $refused
note "inserted all the same: $inserted"
if [ "$step" = 1 ]; then is 'the last one' 'met no failure, status 0' "met no failure, status $status"; fi

# --- a program's life ---

# New processes are slow in this kernel: these do without where they can.

module_load
settle
scratch_mount
inject_into_module

# put PROGRAM FILE [OPTION] - annotated
put() {
	mkdir -p "${2%/*}"
	cp "$PBITMAP_HELPERS/$1" "$2"
	annotate ${3:-} "$2"
}

# subject ROOT NAME WHERE [LEARNT]... - trials start the program NAME below ROOT, and find the file
# WHERE, in which its bitmap is, as it is now, after a run with these arguments if there are any
subject() {
	root=$1
	name=$2
	file=$root$name
	where=$3
	shift 3
	template=
	if [ $# != 0 ]; then
		arguments=("$@")
		start task 0
	fi
	template=$WORK/template
	rm -f "$template"
	if [ -e "$where" ]; then cp --preserve=xattr "$where" "$template"; fi
}

# anew - the bitmap is as it was before the trials
anew() {
	rm -f "$where"
	if [ -e "$template" ]; then cp --preserve=xattr "$template" "$where"; fi
}

# start HOW N - one cold start, as the user of the trials does it, while the Nth allocation fails of
# HOW: "task", which executes the program and ends, or "worker". The bitmap is as it was before the
# trials, in a file that the module does not remember.
writes=
cold=() # what else is dropped from memory
start() {
	local options=() tries result before new
	if [ "$template" ]; then options=(-t "$template" "$where"); fi
	if [ "$1" = worker ]; then options+=(-w); fi
	for tries in 1 2 3 4 5; do
		before=$writes
		result=$(fail-nth "${options[@]}" "${cold[@]/#/-e}" -e "$file" -r "$root" -s "$STATS" "$2" "$name" "${arguments[@]}") ||
			broken "fail-nth, $1 $2"
		output=${result%$'\n'*}
		output=${output%%+($'\n')}
		result=${result##*$'\n'}
		new=${result##* }
		result=${result% *}
		status=${result%% *}
		writes=${result#* }
		# (in the folder a file may have come without a write)
		changed=yes
		if [ "$writes" = "$before" ] && [ "$where" = "$file" ]; then changed=no; fi
		execs=$((execs + 1))
		if [ "$new" = 0 ]; then return; fi
	done
	note "$1 $2: workers come and go"
}

# bitmap - what the tool says of the one in force; its generation is then in $generation
bitmap() {
	if [ "$changed" = no ]; then
		bitmap=$known
		generation=$known_generation
		return
	fi
	bitmap=$(tool check "$file" 2>&1) || bitmap="status $?: $bitmap"
	# (after the first line: what else there is, such as a file that was only begun)
	bitmap=${bitmap%%$'\n'*}
	generation=
	if [[ $bitmap =~ 'generation '([0-9]+) ]]; then generation=${BASH_REMATCH[1]}; fi
}

# trials WHAT HOW ARGUMENT... - until a start meets no failure any more
trials() {
	local what="$1, $2" how=$2 n=1 spared=0 before began expected known next learnt
	arguments=("${@:3}")
	changed=yes
	anew
	bitmap
	known=$bitmap
	known_generation=$generation
	next=$((generation + 1))
	start task 0
	expected="$output $status"
	bitmap
	learnt=$generation
	count_injected
	began=$injected
	while [ $n -le "$limit" ] && [ $spared -lt 2 ]; do
		count_injected
		before=$injected
		start "$how" $n
		count_injected
		if [ "$output $status" != "$expected" ]; then
			broken=$((broken + 1))
			fail "$what: allocation $n fails: expected '$expected', got '$output $status'"
		fi
		bitmap
		if [ "$bitmap" != "$known" ] && [ "$generation" != "$next" ]; then
			fail "$what: allocation $n fails: expected '$known' or the one after it, got '$bitmap'"
		fi
		# (once may be chance: workers come and go)
		if [ "$injected" = "$before" ]; then spared=$((spared + 1)); else spared=0; fi
		n=$((n + step))
	done
	at_most "$what: allocations" "$limit" $n
	at_least "$what: failures" 1 $((injected - began))
	mark
	start task 0
	is "$what: afterwards, without failures" "$expected" "$output $status"
	at_least "$what: afterwards, recordings" 1 "$(delta recordings)"
	bitmap
	is "$what: afterwards, generation" "$learnt" "$generation"
}

small=(t:4-15 r:0-7 d:0-3 sum exit:5)
other=(t:0-9 d:0-7)
put small "$MNT/small"
subject / "$MNT/small" "$MNT/small"
for how in task worker; do trials 'the first start' $how "${small[@]}"; done
subject / "$MNT/small" "$MNT/small" "${other[@]}"
for how in task worker; do trials 'a start that learns' $how "${small[@]}"; done
set_sysctl window_ms 20
trials 'the window ends' worker "${small[@]:0:4}" msleep:200 exit:5
set_sysctl window_ms 0

put small "$MNT/attribute" --store=xattr
subject / "$MNT/attribute" "$MNT/attribute" "${other[@]}"
for how in task worker; do trials 'an attribute' $how "${small[@]}"; done

put small "$MNT/tree/small"
mkdir -m 755 "$MNT/bitmaps"
mount_at "$MNT/read-only" --bind "$MNT/tree"
mount -o remount,bind,ro "$MNT/read-only"
set_sysctl dir "$MNT/bitmaps"
id=$(readelf -n "$MNT/tree/small" | sed -n 's/.*Build ID: //p')
subject / "$MNT/read-only/small" "$MNT/bitmaps/$id.pbitmap"
trials 'the first in the folder' worker "${small[@]}"
subject / "$MNT/read-only/small" "$MNT/bitmaps/$id.pbitmap" "${other[@]}"
for how in task worker; do trials 'the folder' $how "${small[@]}"; done
set_sysctl dir ''

# An ordinary program in a root of its own, with its library on the disk.
library=$(ldd "$PBITMAP_HELPERS/dynamic" | sed -n 's,.*=> \(/[^ ]*libc[^ ]*\) .*,\1,p')
loader=$(ldd "$PBITMAP_HELPERS/dynamic" | sed -n 's,^[[:space:]]*\(/[^ ]*\) (.*,\1,p')
for path in "$library" "$loader"; do
	mkdir -p "$MNT/root${path%/*}"
	cp "$(realpath "$path")" "$MNT/root$path"
done
put dynamic "$MNT/root/bin/dynamic"
subject "$MNT/root" /bin/dynamic "$MNT/root/bin/dynamic"
for how in task worker; do trials 'the first start with a library' $how 3; done
subject "$MNT/root" /bin/dynamic "$MNT/root/bin/dynamic" 3
for background in 0 2; do
	set_sysctl background $background
	for how in task worker; do
		if [ "$background $how" = '0 worker' ]; then continue; fi
		# (in the task each page of the library would be a trial: those of the program are enough)
		if [ $how = worker ]; then cold=("$MNT/root$library" "$MNT/root$loader"); fi
		trials "a start with a library, background $background" $how 3
		cold=()
	done
done
set_sysctl background 1

# --- nothing is lost ---

count_injected
all=$((all + injected))
inject_into 0 0
settle
is 'lost while the module is loaded' '' "$(leaked)"
module_unload
is 'lost after it was unloaded' '' "$(leaked)"
holds 'the disk can be unmounted' umount "$MNT/read-only" "$MNT"
# (ext4 marks a disk as in error when it runs out of memory)
debugfs -w -R 'set_super_value state 1' "$SCRATCH_DEV" 2>/dev/null
holds 'the disk is whole' e2fsck -fn "$SCRATCH_DEV"
is 'broken execs' 0 $broken
if [ "$step" = 1 ]; then at_least 'failures' 500 $all; fi
echo "count injected failures: $all"
echo "count execs under injected failures: $execs"
