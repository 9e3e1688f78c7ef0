#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Whatever is in the section, in its headers or left of the file, the program
# runs as if it were not annotated, nothing but a valid section is written, and
# the counters say what happened. helpers/hostile.c makes some hundreds of files.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 180

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
cases=0

for program in small small-pie; do
	file=$MNT/$program
	cp "$PBITMAP_HELPERS/$program" "$file"
	# Small enough to fit where the program does not look.
	annotate --capacity 4K "$file"
	"$file" t:0-3 r:0
	settle
	"$file" t:0-5 r:0-2
	settle
	"$file" t:2-7 r:0-3
	settle
	at_least "$program: generation after training" 3 "$(slot_field "$file" generation)"
	hostile "$STATS" "$PBITMAP_HELPERS/$program" "$file" "$MNT/damaged" >"$WORK/result" 2>&1
	is "$program: exit status" 0 $?
	grep -E '^(FAIL|bad)|hostile:' "$WORK/result" | head -n 60 | sed 's/^/        | /'
	result=$(grep '^cases=' "$WORK/result" || echo 'cases=0 failed=all used=0 refused=0')
	note "$result"
	case $result in
	*' failed=0 '*) pass "$program: no damage changed anything" ;;
	*) fail "$program: $result" ;;
	esac
	eval "$(echo "$result" | tr ' ' '\n' | grep -E '^(cases|used|refused)=' | sed 's/^/this_/')"
	cases=$((cases + this_cases))
	at_least "$program: cases that were refused" 100 "$this_refused"
	at_least "$program: cases that were used" 50 "$this_used"
	is "$program: check of the undamaged file" 0 "$(status_of tool check "$file")"
done
at_least 'damaged files' 400 $cases
