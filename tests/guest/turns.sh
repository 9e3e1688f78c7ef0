#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What a program needs first is read first, wherever it lies in the file, if the
# device takes many requests at once. A rotational disk is asked in the order of
# the pages.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

# The upper pages come first, in many runs. (They lie behind a quarter of the file.)
work=(t:760-1400/8 t:40-600/8 sum)

# first_half FILE - of the pages of a cold start that are read first, half of all, how many in
# a hundred are upper ones
first_half() {
	cold_start "$1" "$1" "${work[@]}" >/dev/null
	awk '{ at[NR] = $1; if ($1 > most) most = $1 }
			END { if (NR < 2) { print "nothing was read"; exit }
				for (i = 1; i <= NR / 2; i++) upper += at[i] > most / 4
				print int(upper * 100 / int(NR / 2)) }' "$WORK/added"
}

module_load
scratch_mount
like_an_ssd
put_program pages
file=$MNT/pages
"$file" "${work[@]}" >/dev/null
settle
at_least 'many requests at once: of the first half, per cent needed first' 60 "$(first_half "$file")"
shown=$(tool show --json "$file" | python3 -c '
import json, sys
profile, = json.load(sys.stdin)["profiles"]
own = profile["files"][0]
print(own["wanted"] - sum(own["wanted_by_turn"]), min(own["wanted_by_turn"]) * 100 // own["wanted"])')
is 'pages that are wanted in no turn' 0 "${shown% *}"
at_least 'pages that are wanted in each turn, per cent' 10 "${shown#* }"
at_least 'and again' 60 "$(first_half "$file")"

# Stored with the file, wherever the bitmap is.
put_program pages
annotate --force --store=xattr "$file"
"$file" "${work[@]}" >/dev/null
settle
at_least 'the bitmap in an attribute: per cent' 60 "$(first_half "$file")"

queue=/sys/block/$(basename "$SCRATCH_DEV")/queue
put_back "$queue/nr_requests"
echo 1 >"$queue/rotational"
echo 4 >"$queue/nr_requests" || broken "$queue/nr_requests"
at_most 'a rotational disk: of the first half, per cent needed first' 40 "$(first_half "$file")"
