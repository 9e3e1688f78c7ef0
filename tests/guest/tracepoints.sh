#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The tracepoints fire, once for each thing that the counters count.
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
T=/sys/kernel/tracing
"$MNT/small" t:0-3
settle

echo >$T/trace
for event in prefetch record write; do echo 1 >$T/events/pbitmap/pbitmap_$event/enable; done
mark
"$MNT/small" t:4-9
settle
"$MNT/small" t:10-15
settle
"$PBITMAP_HELPERS/small" t:0-3
for event in prefetch record write; do echo 0 >$T/events/pbitmap/pbitmap_$event/enable; done
grep -E 'pbitmap_' $T/trace | sed 's/^/        | /' | cut -c1-160 | head -n 8
is 'pbitmap_prefetch' 2 "$(grep -c 'pbitmap_prefetch:' $T/trace)"
is 'recordings and writes' '2 2' "$(delta recordings) $(delta writes)"
is 'pbitmap_record' "$(delta recordings)" "$(grep -c 'pbitmap_record:' $T/trace)"
is 'pbitmap_write' "$(delta writes)" "$(grep -c 'pbitmap_write:' $T/trace)"
mark
"$MNT/small" t:4-9
settle
is 'switched off: still as many' 2 "$(grep -c 'pbitmap_prefetch:' $T/trace)"

# They may be on while the module goes.
for event in prefetch record write; do echo 1 >$T/events/pbitmap/pbitmap_$event/enable; done
"$MNT/small" t:0-9
holds 'rmmod with the tracepoints on' module_unload
is 'events after rmmod' no "$([ -e $T/events/pbitmap ] && echo yes || echo no)"
"$MNT/small" t:0-9
holds 'the trace can still be read' cat $T/trace
echo >$T/trace
