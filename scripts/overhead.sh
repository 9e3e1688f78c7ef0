#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: overhead.sh [--quick | --profile]
#
# Measures what the module costs programs that gain nothing by it: fork, exec
# and exit of a static `true`, with the module not loaded, loaded, and loaded
# with that program annotated and warm, in a guest whose clock counts
# instructions (bench/README.md). Prints both overheads, writes
# build/overhead.json, and fails if one is over its limit. `make overhead`
# calls this.
#
#   --quick     one round instead of three, and build/overhead.json stays as it is
#   --profile   the same, and by how much each kernel function takes longer
#
# Environment:
#   PBITMAP_MODULE=FILE   a pbitmap.ko to measure instead of building one

. "$(dirname "$0")/lib.sh"
. "$SCRIPTS/bench-lib.sh"

case ${1:-} in
"") options=(--json /src/build/overhead.json) ;;
--quick) options=(--rounds 1) ;;
--profile) options=(--rounds 1 --profile) ;;
*)
	usage "$0"
	exit 2
	;;
esac
if [ "${PBITMAP_MODULE:-}" = none ]; then
	die "there is no overhead without a module"
fi

bench_begin
bench_build
bench_in_root python3 /src/bench/overhead.py --work "$(bench_inside "$work")" "${built[@]}" "${options[@]}"
