#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Anything is written to the sysctls, in any pieces at any offset, and the
# counters are read in any pieces, while annotated programs start all the time:
# a sysctl takes what the admin guide says and nothing else, the counters remain
# lines, and every start goes well. helpers/fuzz-interface.c
# does it.
#
# FUZZ_CASES and FUZZ_SEED (scripts/soak.sh sets them) say how much, and which.
#
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

cases=${FUZZ_CASES:-20000}
seed=${FUZZ_SEED:-20080318}
guide=$(dirname "$0")/../../Documentation/admin-guide/pbitmap.rst

defaults=yes
module_load
scratch_mount
put_program small
file=$MNT/small
outside=$(elf outside "$file")

# "``vm.pbitmap_gap_pages``  pages  0 .. 1024  0"; a switch has "0, 1"
ranges=$(sed -nE 's/2\^32 - 2/4294967294/
	s/^``vm\.(pbitmap_[a-z_]+)`` .* ([0-9]+)( \.\.|,) ([0-9]+) .*/\1:\2:\4/p
	s/^``vm\.(pbitmap_[a-z_]+)``  +path .*/\1/p' "$guide")
for path in "$VM"/pbitmap_*; do
	holds "the admin guide says what ${path##*/} takes" grep -qE "^${path##*/}(:|\$)" <<<"$ranges"
done
is 'sysctls in the admin guide that are not there' '' \
	"$(for range in $ranges; do [ -e "$VM/${range%%:*}" ] || echo "$range"; done)"

touch "$WORK/go"
load() {
	while [ -e "$WORK/go" ]; do execs loop-or 20 "$file" t:0-7 d:0-7 -- r:0-7 2>&1; done | sort | uniq -c
}
load >"$WORK/load" &
loop=$!
# shellcheck disable=SC2086 # ranges are words
fuzz-interface "$seed" "$cases" "${STATS%/*}" $ranges >"$WORK/result" 2>&1
is 'exit status' 0 $?
rm "$WORK/go"
wait $loop
note "$(tail -n 1 "$WORK/result"), seed $seed"
grep -v '^accesses=' "$WORK/result" | head -n 40 | sed 's/^/        | /'
eval "$(tail -n 1 "$WORK/result" | tr ' ' '\n' | grep '=' | sed 's/^/n_/')"
# shellcheck disable=SC2154 # set by the eval
{
	is 'accesses' "$cases" "${n_accesses:-0}"
	is 'accesses that went wrong' 0 "${n_failed:-all}"
	at_least 'writes that were accepted' $((cases / 10)) "${n_accepted:-0}"
	at_least 'writes that were rejected' $((cases / 10)) "${n_rejected:-0}"
}
is 'starts that went wrong meanwhile' '' "$(grep -v 'ok=20 killed=0 ETXTBSY=0 other=0' "$WORK/load")"
at_least 'starts meanwhile' 100 "$(awk '{ n += $1 * 20 } END { print n + 0 }' "$WORK/load")"
settle
is 'all bytes outside the section' "$outside" "$(elf outside "$file")"
tool check "$file" >"$WORK/check" 2>&1
is 'check' 0 $?
note "$(head -n 3 "$WORK/check")"
