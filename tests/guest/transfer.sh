#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A bitmap that was recorded on one machine serves another that has the same
# packages, installed at another time: it goes there in a file, and into an
# attribute that fits one block of ext4, clang with its libraries included. The
# first start there is prefetched.
#
# needs: module tool
# smp: 1
# mem: 2G
# timeout: 500

defaults=yes
. "$(dirname "$0")/lib.sh"

SCRATCH_SIZE=1G
module_load
scratch_mount
use_real_files "$MNT"
use_real_files "$MNT" clang
echo 'int main(void) { return 0; }' >"$MNT/tmp/empty.c"

# field NAME... - of the JSON on standard input
field() {
	python3 -c '
import json, sys
value = json.load(sys.stdin)
for name in sys.argv[1:]:
    value = value[name]
print(value)' "$@"
}

# train NAME PROGRAM ARGUMENT... - and export what five ordinary starts record
train() {
	local name=$1 program=$MNT$2 round
	shift
	cp -p "$program" "$WORK/original-$name"
	annotate "$program"
	for round in 1 2 3 4 5; do
		starts -r "$MNT" -- "$@"
		settle
	done
	is "$name: status" 0 "$status"
	recorded_pages "$program" | grep -v ^metadata: >"$WORK/trained-$name"
	is "$name: export" 0 "$(status_of tool export -o "$WORK/archive/" "$program")"
}

# use NAME MISSING PROGRAM ARGUMENT... - on the other machine, where so many of 100
# pages may be missing because there is no room for all files
use() {
	local name=$1 missing=$2 program=$MNT$3 before size trained there both
	shift 2
	cp -p "$WORK/original-$name" "$program"
	before=$(bytes_of "$program")
	note "$(tool import --store=xattr --root "$MNT" "$WORK/archive" "$program")"
	is "$name: the file" "$before" "$(bytes_of "$program")"
	is "$name: check" 0 "$(status_of tool check "$program")"
	size=$(tool check --json "$program" | field attribute size)
	at_most "$name: bytes of the attribute" 4000 "$size"

	recorded_pages "$program" >"$WORK/there"
	trained=$(wc -l <"$WORK/trained-$name")
	there=$(wc -l <"$WORK/there")
	both=$(comm -12 "$WORK/trained-$name" "$WORK/there" | wc -l)
	note "$name: $trained pages recorded, $there in $size bytes, $both of them recorded"
	at_most "$name: pages that are missing" $((trained * missing / 100)) $((trained - both))
	at_least "$name: precision in percent" 80 "$(percent "$both" "$there")"

	cold
	chroot "$MNT" /usr/bin/true
	mark
	starts -r "$MNT" -- "$@"
	settle
	is "$name: status there" 0 "$status"
	is "$name: attribute used" 1 "$(delta used_attribute)"
	is "$name: libraries that are refused" 0 "$(delta 'refused_library*')"
	# (of more than 1,100; the program may be first where its later turns are)
	at_most "$name: major faults of the first start" 30 "$majflt"
	note "$(grown)"
	for _ in 1 2 3 4; do
		starts -r "$MNT" -- "$@"
		settle
	done
	is "$name: the file after five starts" "$before" "$(bytes_of "$program")"
	note "$name: $(tool show "$program" | grep -E '^ *(store|slot|recorded|precision)' | tr -s ' \n' ' ')"
	cold
	chroot "$MNT" /usr/bin/true
	starts -r "$MNT" -- "$@"
	settle
	at_most "$name: major faults when it has recorded itself" 20 "$majflt"
}

python=$(realpath /usr/bin/python3)
clang=(/usr/lib/llvm-19/bin/clang -O2 -c /tmp/empty.c -o /tmp/empty.o)
train git /usr/bin/git --version
train python3 "$python" -I -B -c 'import json, sqlite3, asyncio'
train clang "${clang[@]}"
is 'files in the archive' 3 "$(find "$WORK/archive" -name '*.pbitmap' | wc -l)"

# Another machine: packages have the same builds there, but were unpacked later.
find "$MNT/usr" -name '*.so*' -type f -exec touch -d '2001-01-01 00:00:01' {} +

use git 0 /usr/bin/git --version
use python3 25 "$python" -I -B -c 'import json, sqlite3, asyncio'
use clang 0 "${clang[@]}"
