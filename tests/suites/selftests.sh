#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own selftests. SUITES_ONLY may name some as "COLLECTION:TEST"; else
# they are all those that were built, without those that cannot pass in this
# guest or would take longer than a test may here.
#
# needs: module
# smp: 2
# mem: 2G
# timeout: 1500
# boot: own

. "$(dirname "$0")/lib.sh"

tests=$DEBIAN/suites/selftests
limit=90 # seconds for a test: many wait, as if this were a fast machine

if [ -n "${SUITES_ONLY:-}" ]; then
	chosen=$SUITES_ONLY
elif [ -n "${QUICK:-}" ]; then
	chosen=$(grep -E '^(exec|clone3|timens|coredump):' "$tests/kselftest-list.txt")
else
	chosen=$(cat "$tests/kselftest-list.txt")
fi
options=()
for test in $chosen; do options+=(-t "$test"); done
debian /suites/selftests/run_kselftest.sh --override-timeout $limit "${options[@]}"
true
