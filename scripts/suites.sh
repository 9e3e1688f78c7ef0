#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: suites.sh [PART]...
#
# Suites that others wrote, on the stock kernel, in a Debian of their own on a
# disk of the guest's: the kernel's own selftests, the stressors of stress-ng that
# are about exec, fork and memory, and the build of a package with its tests.
# Each is run twice as it is, and once with the module loaded and every program
# annotated: the results must be equal. What differs between the first two runs
# is unsteady by itself and is only named. `make test-suites` calls this; PARTs
# are those of tests/suites: selftests stress package.
#
# Prints what was compared and ends with a line "N passed, N failed";
# build/suites.json has all of it, build/logs/suites/ what was printed.
#
#   QUICK=1   a part of it, in 4 minutes

. "$(dirname "$0")/lib.sh"
. "$SCRIPTS/bench-lib.sh"

case ${1:-} in
-*)
	usage "$0"
	exit 2
	;;
esac

bench_begin
# shellcheck disable=SC2046 # package names are words
tree=$(bench_tree $(sed 's/#.*//;/^[[:space:]]*$/d' "$SCRIPTS/suites-packages.txt")) || exit 1
made=$(bench_in_root --scratch /src/scripts/suites-build.sh "$(bench_inside "$tree")") || exit 1
say "building what changed: module, tool"
logged "$LOGS/module.log" "$SCRIPTS/build-module.sh" 7>&- || die "the module does not build"
logged "$LOGS/tool.log" "$SCRIPTS/build-tool.sh" 7>&- || die "the tool does not build"
bench_in_root /src/scripts/suites-images.sh "$(bench_inside "$tree")" "$made" "$(bench_inside "$work")" || exit 1
bench_in_root --env QUICK="${QUICK:-}" bash -c '
	exec python3 /src/scripts/suites.py --accel "$(/src/scripts/accel.sh)" "$@"' suites \
	--images "$(bench_inside "$work")" "$@"
