#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: suites.sh [--quick] [--parallel N] [PART]...
#
# Suites that others wrote, on the stock kernel, in a Debian of their own on a
# disk of the guest's: the kernel's own selftests, the stressors of stress-ng that
# are about exec, fork and memory, and the build of a package with its tests.
# Each is run as it is, and with the module loaded and every program annotated: the
# results must be equal. What differs is run again, both ways: it may be unsteady by
# itself. `make test-suites` calls this; PARTs are those of tests/suites: selftests
# mm stress package. --quick takes a part of selftests and stress; --parallel says
# how many guests run at a time (default: 2).
#
# Prints what was compared and ends with a line "N passed, N failed";
# build/suites.json has all of it, build/logs/suites/ what was printed.

. "$(dirname "$0")/lib.sh"
. "$SCRIPTS/bench-lib.sh"

quick=
args=()
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=--quick ;;
	--parallel)
		args+=("$1" "${2:?}")
		shift
		;;
	-*)
		usage "$0"
		exit 2
		;;
	*) args+=("$1") ;;
	esac
	shift
done

bench_begin
# shellcheck disable=SC2046 # package names are words
tree=$(bench_tree $(sed 's/#.*//;/^[[:space:]]*$/d' "$SCRIPTS/suites-packages.txt")) || exit 1
made=$(bench_in_root --scratch /src/scripts/suites-build.sh $quick "$(bench_inside "$tree")") || exit 1
say "building what changed: module, tool"
logged "$LOGS/module.log" "$SCRIPTS/build-module.sh" 7>&- || die "the module does not build"
logged "$LOGS/tool.log" "$SCRIPTS/build-tool.sh" 7>&- || die "the tool does not build"
images=$work/suites$quick
mkdir -p "$images"
bench_in_root /src/scripts/suites-images.sh "$(bench_inside "$tree")" "$made" "$(bench_inside "$images")" || exit 1
bench_in_root bash -c 'exec python3 /src/scripts/suites.py --accel "$(/src/scripts/accel.sh)" "$@"' suites \
	--images "$(bench_inside "$images")" $quick "${args[@]}"
