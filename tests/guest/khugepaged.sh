#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# khugepaged makes huge pages of a program's file while it runs, as it does on every
# stock kernel: the program runs on, what it touches then is recorded, and the
# module can go meanwhile. (khugepaged takes away the page tables: what is touched
# before, and never again, can be missing.)
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60
# may-skip: with PREEMPT_RT there are no huge pages

. "$(dirname "$0")/lib.sh"

eager=/sys/kernel/mm/transparent_hugepage/khugepaged
[ -e $eager ] || skip 'this kernel has no khugepaged'
for setting in scan_sleep_millisecs alloc_sleep_millisecs; do
	put_back $eager/$setting
	echo 10 >$eager/$setting
done
at_the_end 'huge_pages never'
huge_pages always

huge_kib() { awk '$1 == "FileHugePages:" { print $2 }' /proc/meminfo; }
becomes_huge() { # part of what is cached, within 20 s
	local i
	for i in $(seq 400); do
		[ "$(huge_kib)" -gt 0 ] && return
		sleep 0.05
	done
	return 1
}

module_load
scratch_mount
put_program pages
file=$MNT/pages
work=(t:0-1500/50 r:0-700/50 d:0-9)
later=(t:7-1507/50 r:9)
expected=$("$PBITMAP_HELPERS/pages" "${work[@]}" "${later[@]}" sum)
"$file" list "${work[@]}" | sort >"$WORK/touched-before"
"$file" list "${later[@]}" | sort >"$WORK/touched-then"
mkfifo "$WORK/go"
exec 8<>"$WORK/go"

# run WHAT COMMAND... - COMMAND is run while part of the program's text is huge
run() {
	local what=$1 program
	shift
	cold
	is "$what: KiB of huge pages at first" 0 "$(huge_kib)"
	"$file" "${work[@]}" input "${later[@]}" sum exit:5 <&8 >"$WORK/output" 2>&1 &
	program=$!
	holds "$what: there are huge pages" becomes_huge
	"$@"
	echo >&8
	wait $program
	is "$what: status and output" "5 $expected" "$? $(cat "$WORK/output")"
}

mark
run 'the first run' true
settle
is 'recordings' 1 "$(delta recordings)"
recorded "$file" | sort >"$WORK/recorded"
is 'pages touched then that are not recorded' '' "$(comm -23 "$WORK/touched-then" "$WORK/recorded" | tr '\n' ' ')"
note "pages touched before: $(wc -l <"$WORK/touched-before"), not recorded: $(comm -23 "$WORK/touched-before" "$WORK/recorded" | wc -l)"
mark
run 'with a bitmap' true
settle
is 'bitmap used' 1 "$(delta used)"
is 'check' 0 "$(status_of tool check "$file")"
run 'rmmod meanwhile' module_unload
