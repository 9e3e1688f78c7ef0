#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# `pbitmap-tool train` makes an exact bitmap in a few runs, puts all settings
# back, whatever ends it, and `pbitmap-tool status` says what the module knows.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

defaults=yes
. "$(dirname "$0")/lib.sh"

around=/sys/kernel/debug/fault_around_bytes

# settings - what training changes, and all other knobs, in one line
settings() { tail -qn 1 $around "$VM"/pbitmap_* | tr '\n' ' '; }

module_load
scratch_mount
before=$(settings)

is 'status: no program yet' 0 "$(status_of tool status)"
cp "$PBITMAP_HELPERS/pages" "$MNT/plain"
is 'train: not annotated' 3 "$(status_of tool train -- "$MNT/plain" t:0-9)"
put_program pages
is 'status of a program that was not started' 5 "$(status_of tool status "$MNT/pages")"

tool train --json -n 3 -- "$MNT/pages" t:0-49 t:100-119 >"$WORK/trained"
is 'train: exit code' 0 $?
note "$(tr -d '\n' <"$WORK/trained")"
is 'train: settings' "$before" "$(settings)"
is 'train: precision' '100.0' "$(sed -n 's/.*"precision_after": \(.*[0-9]\).*/\1/p' "$WORK/trained")"
tool train -n 2 -- "$MNT/pages" t:0-49 t:100-119 >"$WORK/again"
is 'train again: exit code' 0 $?
while read -r line; do note "$line"; done <"$WORK/again"

is 'status of the program' 0 "$(status_of tool status "$MNT/pages")"
tool status >"$WORK/status"
while read -r line; do note "$line"; done <"$WORK/status"
is 'status: it is listed' 1 "$(grep -c "^$MNT/pages " "$WORK/status")"
is 'status: nothing is left over' 0 "$(grep -c '^note' "$WORK/status")"

for code in 130 143; do
	signal=$(kill -l $((code - 128)))
	"$PBITMAP_TOOL" train -n 5 -- "$MNT/pages" t:0-49 pause >"$WORK/stopped" 2>&1 &
	train=$!
	for _ in $(seq 100); do
		[ "$(cat $around)" = 4096 ] && break
		sleep 0.1
	done
	is "SIG$signal: settings meanwhile" 4096 "$(cat $around)"
	kill -"$signal" $train
	wait $train
	is "SIG$signal: exit code" $code $?
	is "SIG$signal: settings" "$before" "$(settings)"
done
