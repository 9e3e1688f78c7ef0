#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# However a recorded program ends, its status is the same as without the
# module, its core file is written, and what is recorded is a valid bitmap.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program pages
cd "$MNT" || broken "$MNT"
plain=$PBITMAP_HELPERS/pages
work=(t:0-1500/50 d:0-200/10)
ulimit -c 0

same() { # WHAT ARGUMENT...
	local what=$1 expected
	shift
	expected=$(status_of "$plain" "${work[@]}" "$@")
	mark
	is "$what: status" "$expected" "$(status_of ./pages "${work[@]}" "$@")"
	settle
	is "$what: check" 0 "$(status_of tool check pages)"
	note "$(grown)"
}

for code in 0 1 42 127 255; do
	same "status $code" exit:$code
	is "status $code: recorded" 1 "$(delta recordings)"
done
for signal in 1 2 6 9 11 15; do
	same "signal $signal" kill:$signal
	case $signal in 6 | 11) ;; *) is "signal $signal: recorded" 1 "$(delta recordings)" ;; esac
done
same 'a thread ends the process' thread-exit
same 'no such argument' nonsense

put_back /proc/sys/kernel/core_pattern
echo "$MNT/core.%e" >/proc/sys/kernel/core_pattern
ulimit -c unlimited
same 'core dump' kill:11
is 'core dump: not recorded' '0 1' "$(delta recordings) $(delta refused_not_run)"
# Whichever thread is the last to go: what the dump touched is not what a start needs.
for round in 1 2 3 4 5 6; do
	recordings=$(counter recordings)
	same "core dump of threads, $round" in-thread kill:11 pause
	is "core dump of threads, $round: recordings" "$recordings" "$(counter recordings)"
done
ulimit -c 0
is 'the core file is an ELF file' ELF "$(head -c 4 core.pages | tail -c 3)"
rm -f core.*

# Killed because its memory control group is full: the reaper takes its pages.
mkdir -p "$WORK/cgroup"
mount_at "$WORK/cgroup" -t cgroup2 none
echo +memory >"$WORK/cgroup/cgroup.subtree_control" 2>/dev/null
mkdir -p "$WORK/cgroup/tight" 2>/dev/null
at_the_end "rmdir $WORK/cgroup/tight"
if echo 400K >"$WORK/cgroup/tight/memory.max"; then
	tight() { bash -c 'echo $$ >"$1/cgroup.procs"; shift; exec "$@"' bash "$WORK/cgroup/tight" "$@"; }
	mark
	is 'out of memory: status' 137 "$(status_of tight ./pages d:0-255 t:0-1500/3)"
	settle
	note "$(grown)"
	is 'out of memory: check' 0 "$(status_of tool check pages)"
else
	fail 'no memory control group'
fi

mark
is 'and now it runs' 5 "$(status_of ./pages "${work[@]}" exit:5)"
settle
is 'and is recorded' 1 "$(delta recordings)"
