#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Writing into a file that is executed all the time: execve() never says
# ETXTBSY because of it, and opening a running program for writing says ETXTBSY
# as ever. Nothing but the section changes, not even the modification time.
#
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program small
file=$MNT/small
touch -d '2008-03-18 12:34:56.789' "$file"
mtime=$(stat -c %y "$file")
outside=$(elf outside "$file")

# Every second run touches other pages, so that the bitmap always changes.
mark
execs loop-or 1000 "$file" t:0-7 -- r:0-7 >"$WORK/one" 2>&1 &
execs loop-or 1000 "$file" t:8-15 -- r:0-7 >"$WORK/two" 2>&1 &
wait
settle
is 'first loop' 'ok=1000 killed=0 ETXTBSY=0 other=0' "$(cat "$WORK/one")"
is 'second loop' 'ok=1000 killed=0 ETXTBSY=0 other=0' "$(cat "$WORK/two")"
at_least 'bitmaps used' 1990 "$(delta used)"
at_least 'writes meanwhile' 100 "$(delta writes)"
is 'writes that failed' 0 "$(delta write_failed)"
note "$(grown)"
is 'modification time' "$mtime" "$(stat -c %y "$file")"
is 'all bytes outside the section' "$outside" "$(elf outside "$file")"
is 'check' 0 "$(status_of tool check "$file")"

# The other way round: the file of a program that has just ended can be opened
# for writing at once, although its bitmap is still to be written.
is 'run, then open for writing' 'ok=300 killed=0 ETXTBSY=0 other=0' \
	"$(execs loop-open 300 "$file" t:0-7 -- r:0-7 2>&1)"
settle
is 'run, then open for writing without waiting' 'ok=300 killed=0 ETXTBSY=0 other=0' \
	"$(execs loop-try 300 "$file" t:0-7 -- r:0-7 2>&1)"
settle

# A running program cannot be opened for writing, and a write of its bitmap in
# between does not change that.
background "$file" t:0 pause
executes "${jobs_started[0]}" "$file"
busy() { refuses "$1" 'Text file busy' bash -c ": >>'$file'"; }
busy 'opening the running program for writing'
for round in 1 2 3; do
	mark
	"$file" "t:$round-$((round * 4))"
	settle 1
	is "round $round: writes meanwhile" 1 "$(delta writes)"
	busy "round $round: opening the running program for writing"
done
kill -9 "${jobs_started[0]}"
wait "${jobs_started[0]}" 2>/dev/null
settle
holds 'opening it after its end' bash -c ": >>'$file'"

# Whoever holds the file open for writing gets what the kernel always said.
exec 8>>"$file"
is 'execve() while a user has it open for writing' 126 "$(status_of "$file")"
exec 8>&-
is 'execve() afterwards' 0 "$(status_of "$file")"
is 'all bytes outside the section, at the end' "$outside" "$(elf outside "$file")"
