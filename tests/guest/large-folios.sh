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
# may-skip: with PREEMPT_RT there are no huge pages, and so no large folios

. "$(dirname "$0")/lib.sh"

[ -e /sys/kernel/mm/transparent_hugepage ] || skip 'this kernel has no large folios'

work=(t:50-299 t:400-411 t:500-502 t:600 t:700-763 sum)

# start_program - cold: the orders of its folios that came to memory, in $orders, and how many
# pages those are, in $pages. The first pages come when exec looks at the file, the last
# with the bitmap.
start_program() {
	cold_start "$file" starts -- "$file" "${work[@]}"
	orders=$(awk '$1 >= 16 * 4096 && $1 < 2800 * 4096 { print $2 }' "$WORK/added")
	pages=$(awk '{ sum += 2 ^ $1 } END { print sum + 0 }' <<<"$orders")
}

module_load
scratch_mount
put_program pages
file=$MNT/pages
set_sysctl early_fault 0
for round in first second third; do
	start_program
	is "$round: status" 0 "$status"
	plain=${plain:-$output}
	is "$round: what it says" "$plain" "$output"
done
wanted=$(tool show --pages "$file" | awk '$1 >= 16 { sum += $2 } END { print sum }')
is 'pages that are wanted' 331 "$wanted"
mark
start_program
is 'pages that came to memory' "$wanted" "$pages"
at_most 'folios' 40 "$(wc -l <<<"$orders")"
is 'the largest folio: 64 KiB' 4 "$(sort -n <<<"$orders" | tail -n 1)"
is 'pages that were not needed' 0 "$(delta waste)"
