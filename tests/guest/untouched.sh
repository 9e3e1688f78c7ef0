#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Programs that are not annotated are seen and nothing else: no look at their
# sections, no recorder, no byte of them changed.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
cp "$PBITMAP_HELPERS/small" "$PBITMAP_HELPERS/dynamic" "$MNT"
put_program small-pie
elf unmark "$MNT/small-pie" # as strip does: a section, but no marker
cd "$MNT" || broken "$MNT"
before=$(cat small dynamic small-pie | sha256sum)

mark
is '200 starts of a static program' 'ok=200 killed=0 ETXTBSY=0 other=0' "$(execs loop 200 ./small t:0-7)"
is 'an ordinary program' dynamic "$(./dynamic)"
is 'a disarmed program' 3 "$(status_of ./small-pie t:0-7 exit:3)"
is 'a program of the system' 0 "$(status_of /bin/true)"
settle
at_least 'execs seen' 200 "$(delta execs)"
is 'armed, used, recorded, refused' '0 0 0 0' \
	"$(delta armed) $(delta used) $(delta recordings) $(delta 'refused_*')"
is 'the files' "$before" "$(cat small dynamic small-pie | sha256sum)"
is 'check of the disarmed file' 4 "$(status_of tool check small-pie)"
annotate small-pie
mark
is 'armed again: status' 3 "$(status_of ./small-pie t:0-7 exit:3)"
is 'armed again: armed, used' '1 1' "$(delta armed) $(delta used)"
