#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: soak.sh [STARTS [CASES]]
#
# The long forms of three guest tests: STARTS (default 100,000) starts of programs
# whose bitmaps change each time, while the module is removed and loaded again and
# again (tests/guest/load.sh); CASES (default 50,000) damaged programs
# executed (fuzz-exec.sh), and as many accesses to the sysctls and counters
# (fuzz-interface.sh), both from a seed that is another one each time and is in
# build/logs/guest/. Ends with what each counted and a line "N passed, N failed".

. "$(dirname "$0")/lib.sh"

starts=${1:-100000}
cases=${2:-50000}
case $starts$cases in
*[!0-9]*)
	usage "$0"
	exit 2
	;;
esac
tests=(load fuzz-exec fuzz-interface)
status=0
mkdir -p "$LOGS"
# (hours under software emulation, at worst)
"$SCRIPTS/qemu-test.sh" --timeout 20000 --set "LOAD_STARTS=$starts" --set "FUZZ_CASES=$cases" \
	--set "FUZZ_SEED=$(date +%s)" "${tests[@]}" | tee "$LOGS/soak.log" || status=$?
for name in "${tests[@]}"; do
	sed -nE "s/^ +(.*(starts in|cases=|accesses=).*)/$name: \1/p" "$LOGS/guest/$name.log"
done
tail -n 1 "$LOGS/soak.log"
exit $status
