#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm.pbitmap_merge: what becomes of earlier runs. Replace: nothing stays. Or: all
# does. Age: what several of the last runs had, so that what is not used any more
# is forgotten, also when it is mapped early at each start.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

defaults=yes
. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
set_sysctl backoff 0
field() { "$PBITMAP_HELPERS/small" list t:0-15 r:0-7 | sort; }
list() { "$PBITMAP_HELPERS/small" list "$@" | sort | tr '\n' ' '; }
# of_the_field - what is recorded of the pages that the program touches on demand
of_the_field() { recorded "$MNT/small" | sort | comm -12 - <(field) | tr '\n' ' '; }
run() {
	"$MNT/small" "$@"
	settle
}

for merge in 0 1; do
	put_program small
	set_sysctl merge $merge
	run t:0-3
	is "merge $merge: after one run" "$(list t:0-3)" "$(of_the_field)"
	run t:8-11
	case $merge in
	0) is 'replace: after another' "$(list t:8-11)" "$(of_the_field)" ;;
	1) is 'or: after another' "$(list t:0-3 t:8-11)" "$(of_the_field)" ;;
	esac
done

put_program small
set_sysctl merge 2
run t:0-3
is 'age: after one run' "$(list t:0-3)" "$(of_the_field)"
run t:0-3 r:0-1
is 'age: after two runs, what either had' "$(list t:0-3 r:0-1)" "$(of_the_field)"
run t:0-3
is 'age: after three, what two had' "$(list t:0-3)" "$(of_the_field)"
for i in 1 2 3 4; do run t:8-11; done
is 'age: what is not used any more is forgotten' "$(list t:8-11)" "$(of_the_field)"
is 'age: early fault was on' 1 "$(get_sysctl early_fault)"
mark
run t:8-11
is 'age: nothing new, nothing written' '1 0' "$(delta unchanged) $(delta writes)"

# Pages that one run in four needs are not what every start waits for.
put_program small
for i in 1 2 3 4 5 6 7 8; do
	if [ $((i % 4)) = 0 ]; then run t:0-3 r:0-7; else run t:0-3; fi
done
is 'age: what one run in four has is not wanted' "$(list t:0-3)" "$(of_the_field)"
is 'check' 0 "$(status_of tool check "$MNT/small")"
