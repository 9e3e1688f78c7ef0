#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What the module shows is there while it is loaded, and gone afterwards: the
# sysctls, the counters, the tracepoints.
#
# needs: module
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

TRACING=/sys/kernel/tracing/events/pbitmap
SYSCTLS='enabled early_fault update_interval gap_pages max_pages window_ms merge background backoff update_policy
	update_gid dir reads slurp'

names() { ls -d /proc/sys/vm/pbitmap* /sys/kernel/debug/pbitmap $TRACING /sys/module/pbitmap 2>/dev/null; }

for round in 1 2 3; do
	is "round $round: before insmod" '' "$(names)"
	module_load
	for name in $SYSCTLS; do
		is "round $round: vm.pbitmap_$name" 'root 644' "$(stat -c '%U %a' /proc/sys/vm/pbitmap_$name)"
	done
	module_unload
done
is 'after rmmod' '' "$(names)"

module_load
is 'defaults that users rely on' '1 1 0 0 ' \
	"$(get_sysctl enabled) $(get_sysctl early_fault) $(get_sysctl update_interval) $(get_sysctl update_policy) $(get_sysctl dir)"
for name in execs armed used pages_wanted pages_cached pages_read runs early_faulted recordings \
	recorded_pages unchanged writes write_failed rate_limited recorders_live work_pending faults_watched reads_watched; do
	grep -qE "^$name [0-9]+\$" "$STATS" && pass "counter $name" || fail "no counter $name"
done
is 'lines of stats that are no counter' 0 "$(grep -cvE '^[a-z0-9_]+ -?[0-9]+$' "$STATS")"
at_least 'reasons to refuse' 10 "$(grep -c '^refused_' "$STATS")"
for name in pbitmap_prefetch pbitmap_record pbitmap_write; do
	holds "tracepoint $name" test -e "$TRACING/$name/enable"
done
refuses 'insmod a second time' 'exists' insmod "$PBITMAP_KO"

# With the counters held open: rmmod may refuse or not, but nothing breaks.
exec 7<"$STATS"
if rmmod pbitmap 2>"$WORK/rmmod.log"; then
	pass 'rmmod with the counters open: done'
else
	holds 'rmmod with the counters open says why not' grep -qiE 'in use|busy|unavailable' "$WORK/rmmod.log"
fi
cat <&7 >/dev/null 2>&1
exec 7<&-
module_unload
is 'after they were closed' '' "$(names)"
