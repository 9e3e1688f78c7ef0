#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# After 2000 recorded starts and rmmod, the kernel's memory is as before: no
# slab object, page, per-CPU or vmalloc memory a start is left.
#
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

starts=2000
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
	echo "used $(counter used) recordings $(counter recordings) writes $(counter writes)"
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

slab() { awk -v n="$1" '$1 == n { print $2; found = 1 } END { if (!found) print 0 }' /proc/slabinfo; }
meminfo() { awk -v n="$1:" '$1 == n { print $2 }' /proc/meminfo; }
largest_growth() { # BEFORE AFTER: the slab cache with the most new objects
	awk 'NR > 2 && FNR == NR { n[$1] = $2; next } FNR > 2 && $2 - n[$1] > m { m = $2 - n[$1]; c = $1 } END { print m + 0, c }' "$1" "$2"
}

round 400 >/dev/null # what is allocated once and kept
kinds='mm_struct task_struct signal_cache vm_area_struct files_cache filp dentry ext4_inode_cache cred pid'
names='SUnreclaim PageTables KernelStack Percpu VmallocUsed'
cat /proc/slabinfo >"$WORK/slab"
for name in $kinds; do declare "before_$name=$(slab "$name")"; done
for name in $names; do declare "before_$name=$(meminfo "$name")"; done
free=$(meminfo MemFree)

note "$(round $starts)"
cat /proc/slabinfo >"$WORK/slab-after"
# A tenth of what one object a start would be.
for name in $kinds; do
	before=before_$name
	at_most "$name: objects more than before, of ${!before}" $((starts / 10)) $(($(slab "$name") - ${!before}))
done
note "largest growth of a slab cache: $(largest_growth "$WORK/slab" "$WORK/slab-after")"
read -r most _ < <(largest_growth "$WORK/slab" "$WORK/slab-after")
at_most 'any slab cache: objects more than before' $((starts / 2)) "$most"
for name in $names; do
	before=before_$name
	at_most "$name: KiB more than before, of ${!before}" 1000 $(($(meminfo "$name") - ${!before}))
done
at_most 'KiB of free memory less than before' 6000 $((free - $(meminfo MemFree)))
is 'the module' gone "$(loaded && echo loaded || echo gone)"
