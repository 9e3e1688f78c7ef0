#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What ordinary runs record is what a program touches: against the exact set,
# which a run gives that has each page mapped by a fault of its own. And how much of
# that is left when it has to fit into an attribute, one block of ext4.
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

# learns NAME PRECISION RECALL PROGRAM ARGUMENT... - five ordinary runs, and then at least
# so many percent of the pages that are in $WORK/exact
learns() {
	local name=$1 least_precision=$2 least_recall=$3 program=$MNT$4 exact ordinary both
	shift 3
	for _ in 1 2 3 4 5; do
		starts -r "$MNT" -- "$@"
		settle
	done
	recorded_pages "$program" >"$WORK/ordinary"
	exact=$(wc -l <"$WORK/exact")
	ordinary=$(wc -l <"$WORK/ordinary")
	both=$(comm -12 "$WORK/exact" "$WORK/ordinary" | wc -l)
	note "$name: $exact pages touched, $ordinary recorded, $both of them touched"
	at_least "$name: pages touched" 100 "$exact"
	at_least "$name: precision in percent" "$least_precision" "$(percent "$both" "$ordinary")"
	at_least "$name: recall in percent" "$least_recall" "$(percent "$both" "$exact")"
}

# try NAME PROGRAM ARGUMENT...
try() {
	local name=$1 program=$MNT$2
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
	recorded_pages "$program" >"$WORK/exact"
	echo "$usual" >$around
	set_sysctl early_fault 1
	set_sysctl merge 2

	# Anew, with all defaults, and ageing on stable runs.
	cp "$WORK/original" "$program"
	annotate "$program"
	learns "$name" 80 97 "$@"
}

try git /usr/bin/git --version
try perl /usr/bin/perl -e 'use POSIX'
try python3 "$(realpath /usr/bin/python3)" -I -B -c 'import json, sqlite3, asyncio'
try gcc /usr/libexec/gcc/x86_64-linux-gnu/14/cc1 -quiet -fpreprocessed /tmp/empty.c -o /dev/null
try clang /usr/lib/llvm-19/bin/clang -O2 -c /tmp/empty.c -o /tmp/empty.o

# What does not fit is left out by the rule of Documentation/format.rst.
clang=$MNT/usr/lib/llvm-19/bin/clang
tool remove "$clang" >"$WORK/remove.log" || broken "remove: $(cat "$WORK/remove.log")"
annotate --store=xattr "$clang"
learns 'clang, in an attribute' 75 97 /usr/lib/llvm-19/bin/clang -O2 -c /tmp/empty.c -o /tmp/empty.o
at_most 'clang: bytes of the attribute' 4000 "$(getfattr --only-values --absolute-names -n user.pbitmap "$clang" | wc -c)"
at_least 'clang: files in the attribute' 10 "$(recorded_files "$clang" | wc -l)"
