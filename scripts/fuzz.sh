#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: fuzz.sh [SECONDS [SEED]]
#
# Runs every fuzz target for SECONDS (default 60), one after the other, with SEED
# (default: another one each time), from the corpus in fuzz/corpus; fuzz/run.sh says
# what to do with what is found. Prints how often each was executed, then all
# executions, and ends with a line "N passed, N failed"; what libFuzzer said is in
# build/logs/fuzz/.

. "$(dirname "$0")/lib.sh"

seconds=${1:-60}
executions=0
passed=0
failed=0
for target in "$SRC"/fuzz/fuzz_targets/*.rs; do
	target=$(basename "$target" .rs)
	log=$LOGS/fuzz/$target.log
	if LOG_TAIL=60 logged "$log" "$SRC/fuzz/run.sh" "$target" "$seconds" "${2:-0}"; then
		verdict='no crash'
		passed=$((passed + 1))
	else
		verdict='CRASH, or it could not be built'
		failed=$((failed + 1))
	fi
	count=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	say "$target: ${count:=0} executions in $seconds s, $verdict"
	executions=$((executions + count))
done
echo "$executions executions"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$executions" != 0 ]
