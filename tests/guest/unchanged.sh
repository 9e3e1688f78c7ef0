#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A program that always touches the same pages soon causes no write any more,
# and one that touches others is written again.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
put_program pages
file=$MNT/pages
work=(t:0-1500/50 r:0-700/50 d:0-9)

starts -d -e "$file" -- "$file" "${work[@]}"
settle
cat "$file" >"$WORK/copy" # all of it is cached: fault-around adds what is beside
for round in 1 2 3; do
	mark
	"$file" "${work[@]}"
	settle
	[ "$(delta unchanged)" = 0 ] || break
done
is 'of three runs one is unchanged' 1 "$(delta unchanged)"

sync
before=$(bytes_of "$file")
generation=$(slot_field "$file" generation)
mark
for _ in 1 2 3 4 5; do "$file" "${work[@]}"; done
settle
is 'recordings, unchanged, writes' '5 5 0' "$(delta recordings) $(delta unchanged) $(delta writes)"
is 'the file, byte for byte' "$before" "$(bytes_of "$file")"
is 'its generation' "$generation" "$(slot_field "$file" generation)"

mark
"$file" t:5-1500/100
settle
is 'other pages: writes' 1 "$(delta writes)"
is 'other pages: generation' $((generation + 1)) "$(slot_field "$file" generation)"
is 'check' 0 "$(status_of tool check "$file")"

exact_faults
slots=
for n in 1 2 3 4; do
	"$file" "t:$((20 + n))-1000/100"
	settle
	slots+=$(slot_field "$file" slot)
done
case $slots in
0101 | 1010) pass "slots written in turn: $slots" ;;
*) fail "slots written in turn: $slots" ;;
esac
