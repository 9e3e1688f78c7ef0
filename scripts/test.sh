#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test.sh [PART]...
#
# Runs all tests (`make test`), or only the parts named:
#
#   cargo         unit, property, golden and command line tests of core and tool
#   clippy        the workspace, warnings are errors
#   rustfmt       every Rust file
#   module        the module with clippy as the kernel sets it, and W=1
#   checkpatch    --strict, the module's C
#   (shellcheck)  every shell script
#   scripts       the unit tests of the Python scripts
#   fuzz          each fuzz target for 12 seconds
#   kunit         the core's tests and the module's in a small kernel
#   guest         tests/guest on the stock kernel
#
# in two lanes, as there is mostly work for two processors. A part that ran no
# test has failed. Each part's output is build/logs/PART.log. The last line is
# "N passed, N failed"; the exit status is 0 only if nothing failed.

. "$(dirname "$0")/lib.sh"

all=(shellcheck checkpatch rustfmt scripts fuzz cargo clippy module kunit guest)
for part; do
	case " ${all[*]} " in
	*" $part "*) ;;
	*)
		usage "$0"
		exit 2
		;;
	esac
done

if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	"$SCRIPTS/check-env.sh"
	exec "$SCRIPTS/in-root.sh" /src/scripts/test.sh "$@"
fi
chosen=" ${*:-${all[*]}} "

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
mkdir -p "$LOGS"
cd "$SRC"

# --- the parts: each prints what it likes and at the end "N passed, N failed" -

# verdict STATUS - a part that is one check
verdict() {
	if [ "$1" = 0 ]; then echo "1 passed, 0 failed"; else echo "0 passed, 1 failed"; fi
	return "$1"
}

part_shellcheck() {
	local status=0
	source_files '*.sh' | xargs -n 8 -P 2 shellcheck --shell=bash --severity=warning --external-sources --source-path=SCRIPTDIR .ci/run scripts/guest-shell.rc || status=1
	verdict $status
}

part_checkpatch() {
	local source status=0 file ignore passed=0 failed=0
	source=$("$SCRIPTS/prepare-kernel.sh" --print-source)
	for file in rust/pbitmap/shim/*.[ch]; do
		ignore=NONE
		case $file in
		# TRACE_EVENT() is written as in every header of include/trace/events.
		*/trace.h) ignore=OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT ;;
		esac
		if perl "$source/scripts/checkpatch.pl" --strict --no-tree --terse --show-types --ignore $ignore --file "$file"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			status=1
		fi
	done
	echo "$passed passed, $failed failed"
	return $status
}

part_rustfmt() {
	local status=0
	"$SCRIPTS/rustfmt.sh" --check || status=1
	verdict $status
}

part_scripts() {
	local status=0 passed failed
	python3 -m unittest discover --verbose --start-directory scripts/tests >"$results/scripts.out" 2>&1 || status=1
	cat "$results/scripts.out"
	passed=$(grep -c ' \.\.\. ok$' "$results/scripts.out" || true)
	failed=$(grep -cE ' \.\.\. (FAIL|ERROR)$' "$results/scripts.out" || true)
	if [ $status = 1 ] && [ "$failed" = 0 ]; then failed=1; fi
	echo "$passed passed, $failed failed"
	return $status
}

part_cargo() {
	local status=0
	INSTA_UPDATE=no cargo test --locked --workspace --no-fail-fast 2>&1 | tee "$results/cargo.out" || status=1
	awk -v status=$status '
		/^test result: / {
			for (i = 1; i < NF; i++) {
				if ($(i + 1) ~ /^passed/) passed += $i
				if ($(i + 1) ~ /^failed/) failed += $i
			}
		}
		END {
			# it did not compile, or a test program crashed
			if (status && !failed) failed = 1
			printf "%d passed, %d failed\n", passed, failed
		}' "$results/cargo.out"
	return $status
}

# The same seed each time: what is found here was brought by a change.
part_fuzz() { "$SCRIPTS/fuzz.sh" 12 1; }

part_clippy() {
	local status=0
	cargo clippy --locked --workspace --all-targets -- --deny warnings 2>&1 || status=1
	verdict $status
}

part_module() {
	local status=0
	"$SCRIPTS/build-module.sh" --name module-clippy -- CLIPPY=1 W=1 KRUSTFLAGS=-Dwarnings KCFLAGS=-Werror 2>&1 || status=1
	verdict $status
}

part_kunit() { "$SCRIPTS/kunit-test.sh" 2>&1; }

part_guest() { "$SCRIPTS/qemu-test.sh" 2>&1; }

# --- running them -------------------------------------------------------------

# part NAME - run it if it was chosen, note its counts
part() {
	local name=$1 log=$LOGS/$1.log began passed failed status=0
	case $chosen in
	*" $name "*) ;;
	*) return 0 ;;
	esac
	began=$(date +%s)
	say "$name ..."
	if [ "$name" = guest ]; then
		# The longest of them: show it as it goes.
		part_guest </dev/null 2>&1 | tee "$log" || status=1
	else
		"part_$name" </dev/null >"$log" 2>&1 || status=1
	fi
	read -r passed failed < <(sed -n 's/^\([0-9]\+\) passed, \([0-9]\+\) failed$/\1 \2/p' "$log" | tail -n 1) ||
		passed=0 failed=0
	passed=${passed:-0} failed=${failed:-0}
	if [ $((passed + failed)) = 0 ] || { [ $status != 0 ] && [ "$failed" = 0 ]; }; then
		failed=$((failed + 1))
	fi
	echo "$passed $failed $(($(date +%s) - began))" >"$results/$name.counts"
	say "$name: $passed passed, $failed failed ($(($(date +%s) - began)) s)"
	if [ "$failed" != 0 ] && [ "$name" != guest ]; then
		sed 's/^/    /' "$log" | tail -n 40 >&2
		say "$name: the whole of it is build/logs/$name.log"
	fi
}

want() {
	case $chosen in
	*" $1 "*) return 0 ;;
	*) return 1 ;;
	esac
}

say "Linux $(. /etc/pbitmap-root && echo "$KERNEL_RELEASE"), $(rustc --version | cut -d' ' -f1,2), $(nproc) processors"

# The guest tests take the longest and only need the module and the tool; the
# other lane gives way to them, as emulated processors feel every delay.
{
	part shellcheck
	part checkpatch
	part rustfmt
	part scripts
	part fuzz
	if want kunit; then "$SCRIPTS/test-kernel.sh" kunit >/dev/null || true; fi
	part kunit
} &
lane=$!
part module
part cargo
part clippy
part guest
wait $lane || true

# --- the end ------------------------------------------------------------------

passed=0
failed=0
{
	echo
	printf '%-12s %7s %7s %7s\n' part passed failed seconds
	for name in "${all[@]}"; do
		want "$name" || continue
		if ! read -r p f s <"$results/$name.counts"; then p=0 f=1 s=0; fi
		passed=$((passed + p))
		failed=$((failed + f))
		printf '%-12s %7d %7d %7d\n' "$name" "$p" "$f" "$s"
	done
	printf '%-12s %7d %7d %7d\n' all "$passed" "$failed" $(($(date +%s) - PBITMAP_START))
	echo
	echo "$passed passed, $failed failed"
}
[ "$failed" = 0 ] && [ "$passed" != 0 ]
