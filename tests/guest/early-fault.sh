#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# With vm.pbitmap_early_fault the recorded pages are mapped before the program's
# first instruction: its minor faults fall. Without it, they do not.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
set_sysctl gap_pages 0
work=(t:0-1500/50 r:0-700/50 sum)
touched=46

for program in pages pages-pie; do
	file=$MNT/$program
	put_program $program
	expected=$("$PBITMAP_HELPERS/$program" "${work[@]}")
	set_sysctl update_interval 0
	starts -d -e "$file" -- "$file" "${work[@]}"
	settle
	set_sysctl update_interval 2592000 # one bitmap for both
	"$file" "${work[@]}" >"$WORK/warm"

	set_sysctl early_fault 0
	mark
	starts -- "$file" "${work[@]}"
	settle
	off=$minflt
	is "$program: output, switched off" "$expected" "$output"
	is "$program: pages mapped early, switched off" 0 "$(delta early_faulted)"

	set_sysctl early_fault 1
	mark
	starts -- "$file" "${work[@]}"
	settle
	is "$program: output, switched on" "$expected" "$output"
	at_least "$program: pages mapped early" $touched "$(delta early_faulted)"
	at_most "$program: minor faults with early fault, $off without" $((off - touched * 8 / 10)) "$minflt"

	# From cold: mapped as well, and no major fault instead.
	mark
	starts -d -e "$file" -- "$file" "${work[@]}"
	settle
	is "$program: output from cold" "$expected" "$output"
	at_most "$program: major faults from cold" 4 "$majflt"
	note "from cold: majflt $majflt minflt $minflt $(grown)"
done
