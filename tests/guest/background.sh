#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm.pbitmap_background: whoever reads, the program runs the same, and what is
# wanted is read once. The threads read on account of the caller's cgroup and with
# its I/O priority; they stop when the program is gone, and hold nothing up. (Memory pressure is in
# hostile-records.sh, since an honest bitmap needs a machine without memory.)
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
root=$MNT/root
library=$(ldd "$PBITMAP_HELPERS/dynamic" | sed -n 's,.*=> \(/[^ ]*libc[^ ]*\) .*,\1,p')
loader=$(ldd "$PBITMAP_HELPERS/dynamic" | sed -n 's,^[[:space:]]*\(/[^ ]*\) (.*,\1,p')
mkdir -p "$root$(dirname "$library")" "$root$(dirname "$loader")" "$root/bin"
cp "$(realpath "$library")" "$root$library"
cp "$(realpath "$loader")" "$root$loader"
cp "$PBITMAP_HELPERS/dynamic" "$root/bin/dynamic"
annotate "$root/bin/dynamic"

# start - from cold
start() {
	cold
	mark
	starts -r "$root" -- /bin/dynamic 3
	settle
	is "$case: output and status" 'dynamic 3' "$output $status"
	is "$case: refused" 0 "$(delta 'refused_*')"
}

case='first'
start
for background in 0 1 2; do
	case="background $background"
	set_sysctl background $background
	start
	at_least "$case: pages read" 50 "$(delta pages_read)"
	at_most "$case: pages read, of those wanted" $(($(delta pages_wanted) + 8)) "$(delta pages_read)"
	at_most "$case: major faults" 3 "$majflt"
	note "$(grown)"
	mark
	starts -r "$root" -- /bin/dynamic 3
	settle
	is "$case: pages read when all is in memory" 0 "$(delta pages_read)"
done

# The caller's cgroup pays.
echo '+memory +io' >/sys/fs/cgroup/cgroup.subtree_control
group=/sys/fs/cgroup/pbitmap-test
mkdir -p $group
at_the_end "rmdir $group"
set_sysctl background 2
cold
mark
(
	echo "$BASHPID" >$group/cgroup.procs
	exec launch -r "$root" -o /dev/null -- /bin/dynamic 3
) >"$WORK/said"
is 'in a cgroup: output' dynamic "$(cat "$WORK/said")"
settle
at_least 'in a cgroup: pages read' 50 "$(delta pages_read)"
file=$(sed -n 's/^file //p' $group/memory.stat)
at_least 'pages of files that the cgroup pays for' $(($(delta pages_read) * 9 / 10)) $((file / 4096))
bytes=$(sed -n 's/.* rbytes=\([0-9]*\) .*/\1/p' $group/io.stat | sort -n | tail -n 1)
at_least 'KiB that the cgroup reads' $(($(delta pages_read) * 4 * 9 / 10)) $((${bytes:-0} / 1024))
set_sysctl background 1

# So does its I/O priority: of reads by the threads none has another.
T=/sys/kernel/tracing
set_sysctl background 2
cold
echo >$T/trace
echo 1 >$T/events/block/block_rq_issue/enable
ionice -c 2 -n 7 launch -r "$root" -o /dev/null -- /bin/dynamic 3 >/dev/null
settle
echo 0 >$T/events/block/block_rq_issue/enable
grep -E 'kworker.* block_rq_issue: .* RA?M? ' $T/trace >"$WORK/reads"
at_least 'reads by the threads' 5 "$(wc -l <"$WORK/reads")"
is 'reads by the threads with another priority' 0 "$(grep -vc ' be,0,7 ' "$WORK/reads")"
set_sysctl background 1

# The program is killed, the disk goes and the module goes while threads read.
set_sysctl background 2
for i in 1 2 3 4 5; do
	cold
	launch -r "$root" -o /dev/null -- /bin/dynamic 3 >/dev/null &
	sleep 0.0$i
	kill -9 $! 2>/dev/null
	wait $! 2>/dev/null
done
wait
settle
cold
launch -r "$root" -o /dev/null -- /bin/dynamic 3 >/dev/null
holds 'rmmod right after a start in the background' module_unload
holds 'umount right after' umount "$MNT"
