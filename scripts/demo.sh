#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: demo.sh
#
# Starts real programs from a cold disk, without and with the module, in a guest
# whose clock counts instructions (bench/README.md), prints what came of it, and
# writes build/demo.json. Fails if one of the usual programs does not start
# faster, still takes more than a tenth of the major faults on its own pages, or
# reads more than half of the bytes of whole files.
# `make demo` calls this; make passes the variables:
#
#   PROGRAM='/usr/bin/gawk' ARGS='--version' PACKAGES='gawk'
#                    a program of Debian instead of the usual ones, its
#                    arguments (quoted as for a shell), and the packages to
#                    install for it (default: the one with the program's name)
#   PROGRAMS=bench/modes.toml
#                    other programs than the usual ones, described as those are
#   ONLY='git perl'  only some of the usual ones (bench/programs.toml)
#   LATENCY_US=500 MB_PER_S=200 READ_AHEAD_KB=128
#                    the disk
#   REPEAT=3         cold and warm starts of each kind; the median is shown
#   PBITMAP_MODULE=none
#                    measure only the side without the module

. "$(dirname "$0")/lib.sh"
. "$SCRIPTS/bench-lib.sh"

case ${1:-} in
"") ;;
*)
	usage "$0"
	exit 2
	;;
esac

bench_begin
programs=$(realpath "${PROGRAMS:-$SRC/bench/programs.toml}") || exit 2
case $programs in
"$SRC"/*) ;;
*) die "$programs is not below $SRC" "move it there" ;;
esac
gain=(--require-gain)
if [ -n "${PROGRAM:-}" ]; then
	case $PROGRAM in
	/*) ;;
	*) die "PROGRAM has to be a whole path" "make demo PROGRAM=/usr/bin/${PROGRAM##*/}" ;;
	esac
	gain=()
	packages=${PACKAGES:-$(basename "$PROGRAM")}
elif [ -n "${ARGS:-}${PACKAGES:-}" ]; then
	die "ARGS and PACKAGES need a PROGRAM" "make demo PROGRAM=/usr/bin/gawk ARGS=--version PACKAGES=gawk"
else
	packages=$(sed -n 's/^packages = \[\(.*\)\]$/\1/p' "$programs" | tr -d '",')
fi
tree=$(bench_tree $packages) || exit 1
bench_build

if [ -n "${PROGRAM:-}" ]; then
	programs=$work/programs.toml
	bench_in_root python3 /src/bench/any_program.py "$(bench_inside "$tree")" "$PROGRAM" "${ARGS:-}" >"$programs"
fi

bench_in_root python3 /src/bench/demo.py \
	--tree "$(bench_inside "$tree")" --work "$(bench_inside "$work")" --programs "$(bench_inside "$programs")" \
	"${built[@]}" --kernel-source "$(bench_in_root /src/scripts/prepare-kernel.sh --print-source)" \
	--only "${ONLY:-}" --json /src/build/demo.json \
	--latency-us "${LATENCY_US:-500}" --mb-per-s "${MB_PER_S:-200}" --read-ahead-kb "${READ_AHEAD_KB:-128}" \
	--repeat "${REPEAT:-3}" "${gain[@]}"
