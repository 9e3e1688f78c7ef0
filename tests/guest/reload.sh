#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# rmmod and insmod at the worst moments: under a load of starts, with recorded
# programs that still run, with bitmaps that are still to be written. Every
# program ends as it should, and rmmod waits for what is in flight.
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
put_program pages
file=$MNT/small
outside=$(elf outside "$file")

# Under load: two loops, until the last round is over.
touch "$WORK/go"
load() { # PROGRAM ARGUMENTS...
	while [ -e "$WORK/go" ]; do execs loop-or 50 "$@" 2>&1; done | sort | uniq -c
}
load "$file" t:0-7 d:0-7 -- r:0-7 >"$WORK/one" &
one=$!
load "$MNT/pages" t:0-1500/50 -- r:0 >"$WORK/two" &
two=$!
rounds=10
used=0
for round in $(seq $rounds); do
	sleep "0.0$((round % 10))"
	used=$((used + $(counter used)))
	began=$EPOCHREALTIME
	module_unload || broken "round $round: rmmod"
	note "round $round: rmmod took $(((${EPOCHREALTIME/./} - ${began/./}) / 1000)) ms"
	insmod "$PBITMAP_KO" || broken "round $round: insmod"
	sleep 0.1
done
rm "$WORK/go"
wait $one $two
settle
at_least "bitmaps used in $rounds rounds" $rounds $used
for log in one two; do
	is "starts that went wrong, loop $log" '' "$(grep -v 'ok=50 killed=0 ETXTBSY=0 other=0' "$WORK/$log")"
	at_least "starts, loop $log" 1 "$(awk '{ n += $1 * 50 } END { print n + 0 }' "$WORK/$log")"
done
is 'check' '0 0' "$(status_of tool check "$file") $(status_of tool check "$MNT/pages")"
is 'all bytes outside the section' "$outside" "$(elf outside "$file")"

# With recorded programs that run on.
module_load
running=()
for n in 1 2 3 4 5 6; do
	"$file" "t:0-$n" "msleep:$((1500 * PBITMAP_PATIENCE))" "d:0-$n" "exit:$n" &
	running+=($!)
done
for _ in $(seq 100); do
	[ "$(counter recorders_live)" -ge 6 ] && break
	sleep 0.01
done
at_least 'recorded programs that run' 6 "$(counter recorders_live)"
holds 'rmmod while they run' module_unload
is 'loaded' no "$(loaded && echo yes || echo no)"
statuses=
for n in "${running[@]}"; do
	wait "$n"
	statuses+="$? "
done
is 'their statuses' '1 2 3 4 5 6 ' "$statuses"

# A program that has faulted in a system call and sleeps in it: rmmod says that it waits for it.
module_load
mkfifo "$WORK/full"
exec 8<>"$WORK/full"
"$MNT/pages" t:0 flood exit:5 >"$WORK/full" &
flooding=$!
executes $flooding "$MNT/pages"
sleep 1
module_unload &
removing=$!
for _ in $(seq 300); do
	if log_since_mark | grep -q 'pbitmap: rmmod waits for'; then break; fi
	sleep 0.1
done
is 'what rmmod says, waiting' 1 "$(log_since_mark | grep -c 'pbitmap: rmmod waits for')"
head -c $((768 * 4096)) <&8 | sha256sum >"$WORK/flood" &
wait $flooding
is 'its status' 5 $?
wait $removing
is 'rmmod then' 0 $?
wait
expected=$("$PBITMAP_HELPERS/pages" flood | sha256sum)
is 'what it wrote' "$expected" "$(cat "$WORK/flood")"

# A program that was started before insmod, and ends after it.
mkfifo "$WORK/byte"
exec 7<>"$WORK/byte"
"$file" t:0-3 input exit:4 <&7 &
executes $! "$file"
module_load
echo >&7
wait $!
is 'started before insmod: status' 4 $?
settle
is 'started before insmod: recorded' 0 "$(counter recordings)"

# With bitmaps still to be written.
for round in 1 2 3 4 5 6; do
	is "round $round: starts" 'ok=10 killed=0 ETXTBSY=0 other=0' \
		"$(execs loop-or 10 "$file" t:0-7 d:0-7 -- "r:0-$round")"
	module_unload || broken "round $round: rmmod"
	is "round $round: check after rmmod at once" 0 "$(status_of tool check "$file")"
	module_load
done

# A module that cannot start leaves nothing behind either: a second one.
refuses 'insmod a second time' 'exists' insmod "$PBITMAP_KO"
mark
is 'and now it runs' 5 "$(status_of "$file" t:0-3 exit:5)"
settle
is 'and is recorded' 1 "$(delta recordings)"
