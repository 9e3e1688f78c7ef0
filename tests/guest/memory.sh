#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Recorded starts and rmmod leave the kernel's memory as it was: no slab object,
# page, per-CPU or vmalloc memory a start is left.
#
# The debug kernel keeps much of what was freed for a while, and has kmemleak.
#
# The same round three times: a leak shows in each of them, what the kernel itself
# keeps or frees does not. So the least growth of a round counts.
#
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 120
# kernel: stock

. "$(dirname "$0")/lib.sh"

rounds=3
starts=480 # a round
scratch_mount
exact_faults
put_program small
file=$MNT/small

round() { # COUNT - starts with the module, then everything that can be freed is
	module_load
	execs loop-or $(($1 * 3 / 4)) "$file" t:0-7 d:0-7 -- r:0-7
	execs kill-storm $(($1 / 8)) "$file" t:0-7 d:0-7 # ends in the middle
	execs loop $(($1 / 8)) "$file" t:0-7 thread-exit 2>/dev/null
	settle
	used="used $(counter used) recordings $(counter recordings) writes $(counter writes)"
	for count in used recordings; do
		at_least "of $1 starts: $count" $(($1 / 2)) "$(counter $count)"
	done
	# (A later recording takes the place of one that waits.)
	at_least "of $1 starts: writes" $(($1 / 8)) "$(counter writes)"
	module_unload
	umount "$MNT"
	mount "$SCRATCH_DEV" "$MNT"
	sync
	for _ in 1 2 3; do
		echo 3 >/proc/sys/vm/drop_caches
		for cache in /sys/kernel/slab/*/shrink; do echo 1 >"$cache" 2>/dev/null; done
		sleep 0.2
	done
}

# measure - "NAME VALUE" lines: KiB of each kind of the kernel's memory, objects of
# each slab cache. `nobody` is what belongs to no program, file or kind: pages that
# somebody took and nobody counts. Free pages that a processor keeps at hand are
# free, though MemFree leaves them out.
measure() {
	awk '
		FILENAME ~ /zoneinfo/ && $1 == "count:" { kept += $2 * 4 }
		FILENAME ~ /meminfo/ { sub(":", "", $1); kib[$1] = $2 }
		FILENAME ~ /slabinfo/ && FNR > 2 { print "slab:" $1, $2 }
		END {
			nobody = kib["MemTotal"] - kib["MemFree"] - kept
			split("Buffers Cached SwapCached AnonPages Slab KernelStack PageTables SecPageTables " \
				"Percpu VmallocUsed", counted)
			for (i in counted) nobody -= kib[counted[i]]
			print "nobody", nobody
			split("SUnreclaim PageTables KernelStack Percpu VmallocUsed", asked)
			for (i in asked) print asked[i], kib[asked[i]]
		}' /proc/zoneinfo /proc/meminfo /proc/slabinfo
}

round 240 # what is allocated once and kept
measure >"$WORK/measure0"
for number in $(seq $rounds); do
	round $starts
	note "round $number: $used"
	measure >"$WORK/measure$number"
done
# NAME BEFORE LEAST-GROWTH, of all that was there from the beginning to the end
awk -v rounds=$rounds '
	FNR == 1 { round++ }
	round == 1 { before[$1] = $2 }
	round > 1 {
		growth = $2 - last[$1]
		if (round == 2 || growth < least[$1]) least[$1] = growth
		if (round == rounds + 1) print $1, before[$1] + 0, least[$1]
	}
	{ last[$1] = $2 }' $(seq -f "$WORK/measure%g" 0 $rounds) >"$WORK/growth"

# A sixteenth of what one object a start would be; a sixteenth of one page a start.
objects=$((starts / 16))
kib=$((starts * 4 / 16))
while read -r name before growth; do
	case $name in
	slab:mm_struct | slab:task_struct | slab:signal_cache | slab:vm_area_struct | slab:files_cache | slab:filp | \
		slab:dentry | slab:ext4_inode_cache | slab:cred | slab:pid)
		at_most "${name#slab:}: objects more a round, of $before" $objects "$growth"
		;;
	slab:*)
		if [ "$growth" -gt $objects ]; then fail "${name#slab:}: $growth objects more a round, of $before"; fi
		;;
	*) at_most "$name: KiB more a round, of $before" $kib "$growth" ;;
	esac
done <"$WORK/growth"
note "slab caches that grew in each round: $(awk '/^slab:/ && $3 > 0 { printf "%s+%s ", substr($1, 6), $3 }' "$WORK/growth")"
at_least 'slab caches that were looked at' 50 "$(grep -c ^slab: "$WORK/growth")"
for number in $(seq 0 $rounds); do
	note "after round $number: $(grep -v ^slab: "$WORK/measure$number" | tr '\n' ' ')"
done
is 'the module' gone "$(loaded && echo loaded || echo gone)"
