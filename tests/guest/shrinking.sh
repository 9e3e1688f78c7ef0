#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A mapped file that is cut to nothing while it is read ahead and mapped early,
# and a program that is replaced while it is started: every start goes well, and
# no file has a bitmap of another.
#
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 90

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
put_program shrink
program=$MNT/shrink
dd if=/dev/urandom of="$MNT/data" bs=64K count=16 status=none
sync

"$program" touch "$MNT/data"
settle
is 'recorded pages of the data' "$MNT/data 256" "$(recorded_files "$program" | grep /data)"
# Starts that do not touch them have the same name: let them find it as it is.
chattr +i "$program"
at_the_end "chattr -i '$program' 2>/dev/null"

read=0
for early in 0 1; do
	set_sysctl early_fault $early
	for background in 0 1 2; do
		set_sysctl background $background
		mark
		is "cut, early_fault=$early, background=$background" 'ok=60 failed=0' \
			"$(shrink cut 60 "$MNT/data" "$program" 2>"$WORK/log")"
		settle
		note "$(tail -n 1 "$WORK/log") $(grown)"
		read=$((read + $(delta pages_read)))
	done
done
at_least 'pages that were read ahead, of a file that was then cut' 256 $read

chattr -i "$program"
cp "$program" "$MNT/one"
cp "$program" "$MNT/two"
mark
is 'replaced' 'ok=150 failed=0' "$(shrink replace 150 "$program" "$MNT/one" "$MNT/two" 2>"$WORK/log")"
settle
note "$(tail -n 1 "$WORK/log") $(grown)"
is 'replaced: used' 150 "$(delta used)"
for file in "$MNT/one" "$MNT/two"; do
	is "$file: check" 0 "$(status_of tool check "$file")"
	is "$file: all bytes outside the section" "$(elf outside "$program")" "$(elf outside "$file")"
done
