#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The whole way round: annotate, run once, and the second cold start has at
# least 90 % fewer major faults on the executable's own pages. A static and a
# position-independent program that have no other file's pages.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 90

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
work=(t:0-1500/50 r:0-700/50 d:0-200/50 D:25-225/50 sum exit:7)

for program in pages pages-pie; do
	original=$PBITMAP_HELPERS/$program
	file=$MNT/$program
	expected=$("$original" "${work[@]}")
	"$original" list "${work[@]}" | sort -n >"$WORK/touched"
	touched=$(wc -l <"$WORK/touched")
	put_program $program
	is "$program: check of a fresh file" 0 "$(status_of tool check "$file")"
	is "$program: pages recorded before the first run" 0 "$(recorded "$file" | wc -l)"

	mark
	starts -d -e "$file" -- "$file" "${work[@]}"
	first=$majflt
	settle
	is "$program: output and status of the first run" "$expected 7" "$output $status"
	at_least "$program: major faults of the first cold start" $((touched * 9 / 10)) "$first"
	is "$program: recordings, writes" '1 1' "$(delta recordings) $(delta writes)"
	is "$program: check after the first run" 0 "$(status_of tool check "$file")"
	recorded "$file" >"$WORK/recorded"
	is "$program: touched pages that are not recorded" '' "$(comm -23 <(sort "$WORK/touched") <(sort "$WORK/recorded") | tr '\n' ' ')"
	is "$program: another reader of the format agrees" "$(elf pages "$file" | md5sum)" "$(md5sum <"$WORK/recorded")"

	mark
	starts -d -e "$file" -- "$file" "${work[@]}"
	settle
	is "$program: output and status of the second run" "$expected 7" "$output $status"
	at_most "$program: major faults of the second cold start, $first before" $((first / 10)) "$majflt"
	is "$program: bitmap used" 1 "$(delta used)"
	at_least "$program: pages read ahead" $((touched * 9 / 10)) "$(delta pages_read)"
	is "$program: refused" 0 "$(delta 'refused_*')"
	note "$(grown)"

	# What is in memory already is not read again.
	mark
	starts -- "$file" "${work[@]}"
	settle
	is "$program: pages read at a warm start" 0 "$(delta pages_read)"
	at_least "$program: pages found in the cache" "$touched" "$(delta pages_cached)"
	is "$program: output and status of the warm run" "$expected 7" "$output $status"

	# Back to the file as it was.
	holds "$program: remove" tool remove "$file"
	holds "$program: the original again, byte for byte" cmp "$original" "$file"
	mark
	starts -d -e "$file" -- "$file" "${work[@]}"
	is "$program: without the bitmap, armed" 0 "$(delta armed)"
	at_least "$program: without the bitmap, major faults" $((touched * 9 / 10)) "$majflt"
done
