#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What ordinary runs record is what a program touches: against the exact set,
# which a run gives that has each page mapped by a fault of its own.
#
# needs: module tool
# smp: 1
# mem: 2G
# timeout: 400

defaults=yes
. "$(dirname "$0")/lib.sh"

SCRATCH_SIZE=1G
module_load
scratch_mount
use_real_files "$MNT"
use_real_files "$MNT" clang
echo 'int main(void) { return 0; }' >"$MNT/tmp/empty.c"
around=/sys/kernel/debug/fault_around_bytes
put_back $around
usual=$(cat $around)

# pages FILE - all that is wanted, a line a page
pages() {
	tool show --json "$1" | python3 -c '
import json, sys
for profile in json.load(sys.stdin)["profiles"]:
    for file in profile["files"]:
        for first, count in file["wanted_runs"]:
            for page in range(first, first + count):
                print(file["path"] or "-", page)' | sort -u
}

# try NAME PROGRAM ARGUMENT...
try() {
	local name=$1 program=$MNT$2 exact ordinary both round precision recall
	shift
	cp "$program" "$WORK/original"
	starts -r "$MNT" -- "$@"
	is "$name: status" 0 "$status"

	annotate "$program"
	echo 4096 >$around
	set_sysctl early_fault 0
	set_sysctl merge 0
	starts -r "$MNT" -- "$@"
	settle
	pages "$program" >"$WORK/exact"
	echo "$usual" >$around
	set_sysctl early_fault 1
	set_sysctl merge 2

	# Anew, with all defaults, and ageing on stable runs.
	cp "$WORK/original" "$program"
	annotate "$program"
	for round in 1 2 3 4 5; do
		starts -r "$MNT" -- "$@"
		settle
	done
	pages "$program" >"$WORK/ordinary"
	exact=$(wc -l <"$WORK/exact")
	ordinary=$(wc -l <"$WORK/ordinary")
	both=$(comm -12 "$WORK/exact" "$WORK/ordinary" | wc -l)
	precision=$((both * 100 / (ordinary ? ordinary : 1)))
	recall=$((both * 100 / (exact ? exact : 1)))
	note "$name: $exact pages touched, $ordinary recorded, $both of them touched"
	at_least "$name: pages touched" 100 "$exact"
	at_least "$name: precision in percent" 80 $precision
	at_least "$name: recall in percent" 97 $recall
}

try git /usr/bin/git --version
try perl /usr/bin/perl -e 'use POSIX'
try python3 "$(realpath /usr/bin/python3)" -I -B -c 'import json, sqlite3, asyncio'
try gcc /usr/libexec/gcc/x86_64-linux-gnu/14/cc1 -quiet -fpreprocessed /tmp/empty.c -o /dev/null
try clang /usr/lib/llvm-19/bin/clang -O2 -c /tmp/empty.c -o /tmp/empty.o
