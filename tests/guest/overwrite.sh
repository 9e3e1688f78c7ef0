#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The user puts a new program into the file the moment the old one has ended:
# what was recorded of the old one must not get into the new one.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 90

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program small
put_program small-pie
cp "$PBITMAP_HELPERS/small" "$MNT/plain"

mark
is 'another annotated program' 'rounds=120 spoiled=0 failed=0' \
	"$(overwrite "$STATS" 120 "$MNT/file" "$MNT/small" "$MNT/small-pie" t:0-9 2>"$WORK/log")"
sed 's/^/        | /' "$WORK/log" | head -n 5
settle
at_least 'programs recorded' 100 "$(delta recordings)"
note "$(grown)"
is 'a program without a section' 'rounds=80 spoiled=0 failed=0' \
	"$(overwrite "$STATS" 80 "$MNT/file" "$MNT/small-pie" "$MNT/plain" t:0-9 2>"$WORK/log")"
sed 's/^/        | /' "$WORK/log" | head -n 5
settle
