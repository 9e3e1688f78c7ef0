#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Stressors of stress-ng, each for a while with two workers: those that start
# programs, fork, and map memory. What they check themselves (--verify) and their
# exit status must be right.
#
# needs: module
# smp: 2
# mem: 2G
# timeout: 400
# boot: own

. "$(dirname "$0")/lib.sh"

stressors='exec fork vfork vforkmany clone mmap mmapfork mmapmany vm file-ioctl sigsegv'
seconds=10
if [ -n "${QUICK:-}" ]; then
	stressors='exec fork vfork mmapfork'
	seconds=4
fi
mkdir -p $DEBIAN/stress
for stressor in $stressors; do
	debian stress-ng --temp-path /stress --"$stressor" 2 --vm-bytes 64M --timeout $seconds \
		--verify --oomable --metrics --log-brief >/tmp/stress.log 2>&1
	status=$?
	if [ $status != 0 ]; then sed 's/^/# /' /tmp/stress.log; fi
	result "$stressor" "status $status"
	# "stress-ng: metrc: [123] exec  4567  10.01 ..."
	echo "COUNT operations-$stressor $(awk -v name="$stressor" '
		{ for (i = 1; i < NF; i++) if ($i == name && $(i + 1) ~ /^[0-9]+$/) n = $(i + 1) }
		END { print n + 0 }' /tmp/stress.log)"
done
