#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Stressors of stress-ng, each for a while with two workers: those that start
# programs, fork, and map memory. Compared are their exit statuses, which tell what
# they check themselves (--verify), and whether they did anything.
#
# needs: module
# smp: 2
# mem: 2G
# timeout: 400
# boot: own

. "$(dirname "$0")/lib.sh"

stressors='exec fork vfork vforkmany clone mmap mmapfork mmapmany vm file-ioctl sigsegv'
seconds=10
if [ "${PBITMAP_QUICK:-}" = yes ]; then
	stressors='exec fork vfork mmap'
	seconds=4
fi
mkdir -m 777 $DEBIAN/stress
output=$(mktemp)
for stressor in $stressors; do
	# (as a user: its exec stressor does nothing as root)
	debian setpriv --reuid=1000 --regid=1000 --clear-groups stress-ng --temp-path /stress --"$stressor" 2 \
		--vm-bytes 64M --mmap-bytes 64M --mmapfork-bytes 16M --timeout $seconds \
		--verify --oomable --metrics --log-brief >"$output" 2>&1
	status=$?
	# "exec  4567  10.01 ..."
	operations=$(awk -v name="$stressor" '$1 == name && $2 ~ /^[0-9]+$/ { n = $2 } END { print n + 0 }' "$output")
	if [ $status != 0 ] || [ "$operations" = 0 ]; then sed 's/^/# /' "$output"; fi
	result "$stressor" "status $status, $([ "$operations" = 0 ] && echo 'did nothing' || echo 'worked')"
	echo "COUNT operations-$stressor $operations"
done
