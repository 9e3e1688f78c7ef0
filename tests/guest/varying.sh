#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What vm.pbitmap_merge is for: a program whose starts are alike, and one whose
# starts differ, in one profile. Ageing, the default, is to read about as little
# as replacing and to miss about as little as keeping all. Prints the figures
# from which the default was chosen (Documentation/admin-guide/pbitmap.rst). In the
# debug kernel it takes half an hour and does nothing that `merge` does not.
#
# needs: module tool
# smp: 1
# mem: 1G
# kernel: stock
# timeout: 400

defaults=yes
. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
use_real_files "$MNT"
python=$(realpath /usr/bin/python3)
cp "$MNT$python" "$WORK/python"
set_sysctl backoff 0
set_sysctl window_ms 0

alike=('json, sqlite3' 'json, sqlite3' 'json, sqlite3' 'json, sqlite3' 'json, sqlite3' 'json, sqlite3' 'json, sqlite3' 'json, sqlite3')
# Most starts need json, half of them sqlite3, and each something that few need.
differing=('json, sqlite3' 'json, decimal' 'json, lzma, sqlite3' 'ctypes' 'json, sqlite3' 'json, hashlib' 'sqlite3, bz2' 'json, readline'
	'json, sqlite3' 'json, uuid, sqlite3' 'decimal' 'json, sqlite3, curses')

declare -A faults waste
printf '        %-10s %-8s %14s %12s %12s\n' starts merge 'major faults' 'pages read' 'not touched'
for kind in alike differing; do
	declare -n imports=$kind
	for merge in 0 1 2; do
		set_sysctl merge $merge
		cp "$WORK/python" "$MNT$python"
		annotate --profile-by none "$MNT$python"
		sum=0
		read=0
		waste[$kind$merge]=0
		for i in "${!imports[@]}"; do
			cold
			chroot "$MNT" /usr/bin/true
			mark
			starts -r "$MNT" -- "$python" -I -B -c "import ${imports[i]}"
			settle
			[ "$status" = 0 ] || fail "import ${imports[i]}: status $status"
			[ "$i" -lt 3 ] && continue
			sum=$((sum + majflt))
			read=$((read + $(delta pages_read)))
			waste[$kind$merge]=$((waste[$kind$merge] + $(delta waste)))
		done
		faults[$kind$merge]=$sum
		printf '        %-10s %-8s %14d %12d %12d\n' $kind $merge $sum $read "${waste[$kind$merge]}"
	done
done
for merge in 0 1; do
	most_faults=${faults[alike$merge]}
	most_waste=${waste[alike$merge]}
	at_most "alike: major faults with ageing, against merge $merge" $((most_faults + 10)) "${faults[alike2]}"
	at_most "alike: pages not touched with ageing, against merge $merge" $((most_waste + 100)) "${waste[alike2]}"
done
most_faults=${faults[differing0]}
most_waste=${waste[differing1]}
at_most 'differing: major faults with ageing, against replacing' $((most_faults * 9 / 10)) "${faults[differing2]}"
at_most 'differing: pages not touched with ageing, against keeping all' $((most_waste * 7 / 10)) "${waste[differing2]}"
