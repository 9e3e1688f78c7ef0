#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: fuzz.sh [SECONDS]
#
# Runs every fuzz target for SECONDS (default 60), one after the other, from the
# corpus in fuzz/corpus; fuzz/run.sh says what to do with what is found.

. "$(dirname "$0")/lib.sh"

seconds=${1:-60}
for target in "$SRC"/fuzz/fuzz_targets/*.rs; do
	target=$(basename "$target" .rs)
	say "fuzzing $target for $seconds s"
	"$SRC/fuzz/run.sh" "$target" "$seconds"
done
