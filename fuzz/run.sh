#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Fuzzes the core with libFuzzer. Needs cargo and a C++ compiler, but neither nightly nor
# cargo-fuzz: the code has no unsafe, so coverage is wanted and no sanitizer.
#
#	fuzz/run.sh TARGET [SECONDS [SEED]]	fuzz one target (default: 60 seconds, any seed)
#	fuzz/run.sh --minimize		add to the corpus what reaches more than it does
#
# An input that breaks something ends up in fuzz/artifacts/TARGET. Move it to fuzz/corpus/TARGET
# under a name that says what it is: cargo test replays all of them.
set -eu

cd "$(dirname "$0")"
# shellcheck disable=SC2046 # names are words
targets=$(basename -s .rs $(ls fuzz_targets/*.rs) | tr '\n' ' ')
host=$(rustc -vV | sed -n 's/^host: //p')

build()
{
	if ! command -v c++ >/dev/null; then
		echo "fuzz/run.sh: libFuzzer needs a C++ compiler: apt-get install g++" >&2
		exit 1
	fi
	# With --target the flags are not used for build scripts, which have no fuzzer to report to.
	RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module \
		-Cllvm-args=-sanitizer-coverage-level=4 \
		-Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
		-Cllvm-args=-sanitizer-coverage-pc-table \
		-Cllvm-args=-sanitizer-coverage-trace-compares" \
		cargo build --quiet --release --target "$host"
	bin=${CARGO_TARGET_DIR:-target}/$host/release
}

case ${1:-} in
--minimize)
	build
	for target in $targets; do
		# What is there counts as reached already; of the work only what adds to it is copied.
		[ -d "work/$target" ] || continue
		"$bin/$target" -set_cover_merge=1 -max_len=1100 "corpus/$target" "work/$target"
	done
	;;
"" | -*)
	sed -n 's/^#	//p' "$0" >&2
	echo "TARGET is one of: $targets" >&2
	exit 2
	;;
*)
	if [ ! -e "fuzz_targets/$1.rs" ]; then
		echo "fuzz/run.sh: there is no target $1, only: $targets" >&2
		exit 2
	fi
	build
	mkdir -p "work/$1" "artifacts/$1"
	exec "$bin/$1" -max_total_time="${2:-60}" -seed="${3:-0}" -max_len=4096 -use_value_profile=1 \
		-print_final_stats=1 -artifact_prefix="artifacts/$1/" "work/$1" "corpus/$1"
	;;
esac
