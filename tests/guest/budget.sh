#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm.pbitmap_max_pages bounds what one start reads, and vm.pbitmap_gap_pages
# says which holes are read as well: fewer, larger requests.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program pages
file=$MNT/pages
set_sysctl gap_pages 0
set_sysctl early_fault 0
# 40 single pages with holes of 9 pages between them, all in one field
cold
"$file" t:200-590/10
settle
set_sysctl update_interval 2592000
"$file" list t:190-600 | sort >"$WORK/field"

# run - drop the file, start it without touching anything
run() {
	resident -e "$file" || fail 'could not be dropped from the cache'
	mark
	"$file"
	settle
	in_field=$(resident "$file" | sort | comm -12 - "$WORK/field" | wc -l)
}

run
is 'no gap: pages of the field in memory' 40 "$in_field"
at_least 'no gap: runs' 40 "$(delta runs)"
runs=$(delta runs)
set_sysctl gap_pages 8
run
is 'gap 8 is less than the holes: pages in memory' 40 "$in_field"
set_sysctl gap_pages 9
run
is 'gap 9 fills them: pages in memory' 391 "$in_field"
at_most 'gap 9 fills them: runs' $((runs - 39)) "$(delta runs)"
set_sysctl gap_pages 0

wanted=$(recorded "$file" | wc -l)
for budget in 0 1 10 25; do
	set_sysctl max_pages $budget
	run
	at_most "budget $budget: pages read" $budget "$(delta pages_read)"
	at_least "budget $budget: pages read" $((budget / 2)) "$(delta pages_read)"
	at_most "budget $budget: pages of the field in memory" $budget "$in_field"
	# The program's one page of code may be among those that were read.
	at_least "budget $budget: pages of the field in memory" $(($(delta pages_read) - 2)) "$in_field"
	note "$(grown)"
done
set_sysctl max_pages 1024
set_sysctl gap_pages 9
set_sysctl max_pages 100
run
at_most 'budget 100 with holes: pages read, holes counted' 100 "$(delta pages_read)"
at_least 'budget 100 with holes: pages read' 50 "$(delta pages_read)"
set_sysctl max_pages 1048576
set_sysctl gap_pages 0
run
is 'a large budget: pages wanted' "$wanted" "$(delta pages_wanted)"
is 'a large budget: pages in memory' 40 "$in_field"

# Under pressure and without a budget nothing changes what the program does.
is 'output' "$("$PBITMAP_HELPERS/pages" t:200-590/10 sum)" "$("$file" t:200-590/10 sum)"
