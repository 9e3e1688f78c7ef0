#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Annotated programs that are damaged at random, in any of their headers, slots
# and records, or whose attribute is: each behaves as the same file does while vm.pbitmap_enabled is 0,
# and no byte outside of its section changes. helpers/fuzz-exec.c makes them.
#
# FUZZ_CASES and FUZZ_SEED (scripts/soak.sh sets them) say how many, and which.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

cases=${FUZZ_CASES:-600}
seed=${FUZZ_SEED:-20080318}

module_load
scratch_mount
chmod 755 "$WORK" "$MNT"
bases=()
for program in small small-pie; do
	file=$MNT/$program
	cp "$PBITMAP_HELPERS/$program" "$file"
	annotate --capacity 4K "$file"
	"$file" t:0-3 r:0
	settle
	"$file" t:0-5 r:0-2
	settle
	at_least "$program: generation after training" 2 "$(slot_field "$file" generation)"
	bases+=("$file")
done
file=$MNT/by-attribute
cp "$PBITMAP_HELPERS/small" "$file"
annotate --store=xattr "$file"
for pages in 0-3 0-5; do
	mark
	"$file" "t:$pages" r:0
	settle
	is "by-attribute: writes with t:$pages" 1 "$(delta writes)"
done
bases+=("$file")

# Programs that crash are no news.
put_back /proc/sys/debug/exception-trace
echo 0 >/proc/sys/debug/exception-trace
note "seed $seed; one case again: scripts/qemu-test.sh --set FUZZ_SEED=... --set FUZZ_CASES=1 fuzz-exec"
fuzz-exec "$STATS" "$VM/pbitmap_enabled" "$seed" "$cases" "$MNT/damaged" "${bases[@]}" >"$WORK/result" 2>&1
is 'exit status' 0 $?
grep -vE '^cases=' "$WORK/result" | head -n 40 | sed 's/^/        | /'
result=$(grep '^cases=' "$WORK/result" ||
	echo 'cases=0 failed=all unsteady=0 used=0 refused=0')
note "$result"
eval "$(echo "$result" | tr ' ' '\n' | sed 's/^/n_/')"
# shellcheck disable=SC2154 # set by the eval
{
	is 'damaged programs executed' "$cases" "$n_cases"
	is 'those that behaved differently, or changed' 0 "$n_failed"
	# Only then all of this means something.
	if [ "$cases" -ge 100 ]; then
		at_least 'bitmaps used' $((cases / 10)) "$n_used"
		at_least 'bitmaps refused' $((cases / 10)) "$n_refused"
		at_most 'unsteady ones' $((cases / 50)) "$n_unsteady"
	fi
}
for program in small small-pie by-attribute; do
	is "$program: check of the undamaged file" 0 "$(status_of tool check "$MNT/$program")"
done
