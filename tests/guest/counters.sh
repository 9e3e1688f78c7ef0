#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The counters add up: each start of an annotated program is used or refused,
# each page wanted was cached or read, each recording has one fate.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program small
put_program small-pie
cp "$MNT/small-pie" "$MNT/protected"
"$MNT/protected" t:0
settle
chattr +i "$MNT/protected"
at_the_end "chattr -i $MNT/protected"

mark
is 'starts' 'ok=60 killed=0 ETXTBSY=0 other=0' "$(execs loop-or 60 "$MNT/small" t:0-7 -- d:0-7 2>&1)"
is 'starts of the PIE' 'ok=30 killed=0 ETXTBSY=0 other=0' "$(execs loop 30 "$MNT/small-pie" t:0-7)"
execs loop 10 "$MNT/protected" t:2 >/dev/null
cold
"$MNT/small" t:0-3
"$MNT/small-pie" t:0-3
set_sysctl update_interval 3600
"$MNT/small" t:3-11
settle
set_sysctl update_interval 0
note "$(grown)"
# The 5 that execs starts to see how long it takes count as well.
armed=$((65 + 35 + 15 + 3))
is 'armed' $armed "$(delta armed)"
is 'used' $armed "$(delta used)"
at_least 'execs seen' $armed "$(delta execs)"
is 'pages wanted that were cached or read' yes \
	"$([ "$(delta pages_cached pages_read)" -ge "$(delta pages_wanted)" ] && echo yes || echo no)"
is 'recordings: written, unchanged, too early, superseded, failed or refused' "$(delta recordings)" \
	"$(delta writes unchanged rate_limited superseded write_failed 'refused_*')"
is 'starts that were recorded' "$(delta used)" "$(delta recordings)"
is 'pages wanted by recorded starts: touched or not' "$(delta pages_wanted)" "$(delta hits waste)"
at_least 'pages a recording' $(($(delta recordings) * 2)) "$(delta recorded_pages)"
is 'live, pending' '0 0' "$(counter recorders_live) $(counter work_pending)"

# A gauge: what runs is counted while it runs.
"$MNT/small" t:0-7 msleep:2000 &
for _ in $(seq 100); do
	[ "$(counter recorders_live)" = 1 ] && break
	sleep 0.01
done
is 'live while a program runs' 1 "$(counter recorders_live)"
wait $!
settle
is 'live after it' 0 "$(counter recorders_live)"
write_stats() { (echo 0 >"$STATS"); }
refuses 'nobody writes the counters' 'denied|permitted|invalid' write_stats
