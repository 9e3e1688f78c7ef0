#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: debug-test.sh [--quick] [TEST]...
#
# The KUnit tests and the guest tests in the debug kernel (test-kernel.sh debug),
# with failing allocations: `make test-debug`. Any report of the kernel fails the
# test that ran. --quick takes a few guest tests and a part of the failures.
#
# Prints what was counted and "N passed, N failed"; the exit status is 0 only if
# nothing failed. The results are in build/logs/guest-debug/.

. "$(dirname "$0")/lib.sh"

# Allocations that fail, a bitmap's way round, all ends of a program.
QUICK=(failed-allocations train-and-prefetch endings)

quick=
if [ "${1:-}" = --quick ]; then
	quick=--quick
	shift
fi
tests=("$@")
if [ -n "$quick" ] && [ $# = 0 ]; then tests=("${QUICK[@]}"); fi

if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	exec "$SCRIPTS/in-root.sh" /src/scripts/debug-test.sh $quick "${tests[@]}"
fi

mkdir -p "$LOGS"
"$SCRIPTS/test-kernel.sh" debug >/dev/null
status=0
kunit=$LOGS/debug-kunit.log
guest=$LOGS/debug-guest.log
say "the KUnit tests ..."
"$SCRIPTS/kunit-test.sh" debug >"$kunit" 2>&1 </dev/null || {
	status=1
	sed 's/^/    /' "$kunit" | tail -n 40 >&2
}
"$SCRIPTS/qemu-test.sh" --debug $quick "${tests[@]}" 2>&1 </dev/null | tee "$guest" || status=1

# counts LOG - "PASSED FAILED" of its last line of that kind
counts() { sed -n 's/^\([0-9]\+\) passed, \([0-9]\+\) failed$/\1 \2/p' "$1" | tail -n 1; }
read -r kunit_passed kunit_failed < <(counts "$kunit"; echo 0 1)
read -r guest_passed guest_failed < <(counts "$guest"; echo 0 1)
passed=$((kunit_passed + guest_passed))
failed=$((kunit_failed + guest_failed))
if [ $status != 0 ] && [ $failed = 0 ]; then failed=1; fi
echo
printf '%-34s %7s\n' 'KUnit tests' $((kunit_passed + kunit_failed)) 'guest tests' $((guest_passed + guest_failed))
sed -n 's/^count \(.*\): \([0-9]*\)$/\1\t\2/p' "$LOGS"/guest-debug/*.log |
	while IFS=$'\t' read -r what count; do printf '%-34s %7d\n' "$what" "$count"; done
printf '%-34s %7d\n' 'reports of the kernel' "$(cat "$LOGS"/guest-debug/*.dmesg "$LOGS/kunit-debug.log" |
	python3 "$SCRIPTS/kernellog.py" /dev/stdin | wc -l)"
echo
echo "$passed passed, $failed failed"
[ $status = 0 ] && [ $failed = 0 ]
