#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: bench.sh [--quick | --take | --report | --publish]
#
# Measures cold starts of many programs on several devices with the module, with
# nothing, and with every rival (bench/bench.toml), and how what the module costs
# grows (bench/costs.py), in a guest whose clock counts instructions
# (bench/README.md). `make bench` calls this. What is measured is kept
# in build/bench/cells, so that a run that was cut off goes on where it was; the
# results are build/bench/results.json and report.md and report.html beside it.
#
#   --quick   three programs, one device, three rivals, once each
#   --take    what is in Documentation/benchmarks counts as measured here, as far as it
#             would be measured the same now; only the rest is measured
#   --report  measures nothing: the report of what there is
#   --publish likewise, and leaves it in Documentation/benchmarks
#
#   BENCH_PROGRAMS='git perl' BENCH_DEVICES=network BENCH_RIVALS='none pbitmap'
#             only these; all of everything takes hours. BENCH_RIVALS='none
#             network:preload' has preload on that device only
#   BENCH_PARTS=costs   only the costs; BENCH_PARTS=starts only the starts
#   REPEAT=3  cold starts of each cell; the median counts
#   CLOCK=real   the machine's own time, with KVM (then REPEAT is 15)
#   JOBS=2    guests at a time (default: one for each processor, two at most, as
#             each has its disk in memory: 1 GB and the program's packages)

. "$(dirname "$0")/lib.sh"
. "$SCRIPTS/bench-lib.sh"

what=()
case ${1:-} in
"") ;;
--quick) what=(--quick) ;;
--take) what=(--take /src/Documentation/benchmarks) ;;
--report) what=(--no-measuring) ;;
--publish) what=(--no-measuring --publish /src/Documentation/benchmarks) ;;
*)
	usage "$0"
	exit 2
	;;
esac

bench_begin
bench_build
say "building the report"
# shellcheck disable=SC2016 # expanded inside
report=$(bench_in_root bash -euc '
	cargo build --quiet --locked -p bench-report >&2
	echo "$CARGO_TARGET_DIR/debug/bench-report"')
if [ "${CLOCK:-virtual}" = real ] && [ "$("$SCRIPTS/accel.sh")" != kvm ]; then
	die "CLOCK=real needs KVM" "without it 'make bench' counts instructions, which holds on any machine"
fi
options=("${what[@]}" --parts "${BENCH_PARTS:-}" --programs "${BENCH_PROGRAMS:-}" --devices "${BENCH_DEVICES:-}" --rivals "${BENCH_RIVALS:-}"
	--clock "${CLOCK:-virtual}" --commit "$(git -C "$SRC" rev-parse --short HEAD 2>/dev/null)" --identity "$(key "$(sha256sum <"$work/pbitmap.ko")")")
if [ -n "${REPEAT:-}" ]; then options+=(--repeat "$REPEAT"); fi
bench() { bench_in_root python3 /src/bench/bench.py "${options[@]}" "$@"; }

trees=()
missing=$(bench --missing)
while read -r name packages; do
	if [ -z "$name" ]; then continue; fi
	# shellcheck disable=SC2086 # words
	tree=$(bench_tree $packages) || exit 1
	trees+=(--tree "$name=$(bench_inside "$tree")")
done <<<"$missing"
command=
for name in BENCH_PARTS BENCH_PROGRAMS BENCH_DEVICES BENCH_RIVALS REPEAT CLOCK; do
	if [ -n "${!name:-}" ]; then command+="$name='${!name}' "; fi
done
command+="make bench"
if [ "${1:-}" = --quick ]; then command+=" QUICK=1"; fi
jobs=$(nproc)
bench "${trees[@]}" "${built[@]}" --work "$(bench_inside "$work")" \
	--kernel-source "$(bench_in_root /src/scripts/prepare-kernel.sh --print-source)" \
	--report "$report" --parallel "${JOBS:-$((jobs > 2 ? 2 : jobs))}" --command "$command"
