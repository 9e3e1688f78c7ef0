#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The recorder sees the pages that were touched: of all mappings of the file,
# private and written ones too. And `pbitmap-tool show` lists what is then read:
# after a cold start of a run that touches nothing itself, exactly these pages are
# in memory.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
set_sysctl gap_pages 0
exact_faults

work=(t:3 t:100-120 t:640-1400/76 r:0 r:200-230/3 r:767 d:0-9 d:64-128/16 D:200 D:255)
fields=(t:0-1535 r:0-767 d:0-255) # what the program touches only when told

for program in pages pages-pie; do
	file=$MNT/$program
	put_program $program
	"$file" list "${work[@]}" | sort >"$WORK/touched"
	"$file" list "${fields[@]}" | sort >"$WORK/fields"
	touched=$(wc -l <"$WORK/touched")
	set_sysctl update_interval 0
	cold
	"$file" "${work[@]}"
	settle

	recorded "$file" | sort >"$WORK/recorded"
	comm -12 "$WORK/recorded" "$WORK/fields" >"$WORK/recorded-fields"
	is "$program: pages touched and not recorded" '' "$(comm -23 "$WORK/touched" "$WORK/recorded-fields" | tr '\n' ' ')"
	is "$program: pages recorded and not touched" '' "$(comm -13 "$WORK/touched" "$WORK/recorded-fields" | tr '\n' ' ')"
	at_most "$program: pages recorded of headers, code, stack" $((touched + 12)) "$(wc -l <"$WORK/recorded")"
	is "$program: pages in the JSON" "$(wc -l <"$WORK/recorded")" \
		"$(tool show --json "$file" | sed -n 's/.*"pages_set": *\([0-9]*\).*/\1/p' | head -n 1)"

	# No update any more: the bitmap stays that of the run above.
	set_sysctl update_interval 2592000
	for early in 0 1; do
		set_sysctl early_fault $early
		resident -e "$file" || fail "$program: could not be dropped from the cache"
		mark
		"$file" exit:0
		settle
		# What a worker asks for may come later.
		for _ in $(seq 100); do
			resident "$file" | sort >"$WORK/resident"
			comm -12 "$WORK/resident" "$WORK/fields" >"$WORK/resident-fields"
			[ "$(wc -l <"$WORK/resident-fields")" -lt "$touched" ] || break
			sleep 0.02
		done
		is "$program, early_fault=$early: recorded, not in memory" '' \
			"$(comm -13 "$WORK/resident-fields" "$WORK/recorded-fields" | tr '\n' ' ')"
		is "$program, early_fault=$early: in memory, not recorded" '' \
			"$(comm -23 "$WORK/resident-fields" "$WORK/recorded-fields" | tr '\n' ' ')"
		is "$program, early_fault=$early: pages wanted" "$(wc -l <"$WORK/recorded")" "$(delta pages_wanted)"
		is "$program, early_fault=$early: wanted = cached + read" "$(delta pages_wanted)" "$(delta pages_cached pages_read)"
	done

	set_sysctl slurp 1
	resident -e "$file" || fail "$program: could not be dropped from the cache"
	mark
	"$file" exit:0
	settle
	is "$program, slurp: pages wanted" "$(tool show --json "$file" | sed -n 's/.*"pages_total": *\([0-9]*\).*/\1/p' | head -n 1)" \
		"$(delta pages_wanted)"
	set_sysctl slurp 0
done
