#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What is wanted in one run is read into large folios, and nothing else is: not then,
# and not when the program comes to it.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

T=/sys/kernel/tracing
ADDED=filemap/mm_filemap_add_to_page_cache
work=(t:50-299 t:400-411 t:500-502 t:600 t:700-763 sum)

# cold_start FILE - the orders of its folios that came to memory, in $orders, and how many
# pages those are, in $pages. The first pages come when exec looks at the file, the last
# with the bitmap.
cold_start() {
	local inode
	inode=$(printf '%x' "$(stat -c %i "$1")")
	cold
	echo >$T/trace
	echo 1 >$T/events/$ADDED/enable
	starts -- "$1" "${work[@]}"
	echo 0 >$T/events/$ADDED/enable
	settle
	orders=$(sed -n "s/.*: dev .* ino $inode .*ofs=\([0-9]*\) order=\([0-9]*\).*/\1 \2/p" $T/trace |
		awk '$1 >= 16 * 4096 && $1 < 2800 * 4096 { print $2 }')
	pages=$(awk '{ sum += 2 ^ $1 } END { print sum + 0 }' <<<"$orders")
}

module_load
scratch_mount
put_program pages
file=$MNT/pages
set_sysctl early_fault 0
for round in first second third; do
	cold_start "$file"
	is "$round: status" 0 "$status"
	plain=${plain:-$output}
	is "$round: what it says" "$plain" "$output"
done
wanted=$(tool show --pages "$file" | awk '$1 >= 16 { sum += $2 } END { print sum }')
is 'pages that are wanted' 331 "$wanted"
mark
cold_start "$file"
is 'pages that came to memory' "$wanted" "$pages"
at_most 'folios' 40 "$(wc -l <<<"$orders")"
is 'the largest folio: 64 KiB' 4 "$(sort -n <<<"$orders" | tail -n 1)"
is 'pages that were not needed' 0 "$(delta waste)"
