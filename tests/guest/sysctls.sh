#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The sysctls take what they document and refuse everything else with EINVAL;
# vm.pbitmap_enabled turns everything off, or makes it talk.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults

write_sysctl() { (echo "$2" >"$VM/pbitmap_$1"); }

takes() { # NAME VALUE...
	local name=$1 value
	shift
	for value in "$@"; do
		if echo "$value" >"$VM/pbitmap_$name" && [ "$(get_sysctl "$name")" = "$value" ]; then
			pass "vm.pbitmap_$name takes $value"
		else
			fail "vm.pbitmap_$name does not take $value: $(get_sysctl "$name")"
		fi
	done
}

not() { # NAME VALUE...
	local name=$1 value before
	shift
	before=$(get_sysctl "$name")
	for value in "$@"; do
		refuses "vm.pbitmap_$name refuses '$value'" 'Invalid argument' \
			write_sysctl "$name" "$value"
	done
	is "vm.pbitmap_$name is as before" "$before" "$(get_sysctl "$name")"
}

takes enabled 0 2 1
not enabled 3 -1 abc 1x 4294967296 4294967297 99999999999999999999
takes early_fault 0 1
not early_fault 2 -1 x
takes update_interval 1 2592000 0
not update_interval 2592001 -1 4294967296 1.5
takes gap_pages 0 1024 1
not gap_pages 1025 -1
takes max_pages 0 1048576 1024
not max_pages 1048577 -1 4294967297
takes update_policy 0 1 2
not update_policy 3 -1
takes update_gid 0 1000 4294967294
not update_gid 4294967295 -1
takes reads 0 1
not reads 2 -1
takes slurp 1 0
not slurp 2 -1
takes dir /var/lib/pbitmap '/with a blank' "/$(printf '%0254d' 0)" ''
set_sysctl dir /here
not dir relative ./here "/$(printf '%0255d' 0)" "/$(printf '%04000d' 0)"
for name in enabled gap_pages dir; do
	refuses "nobody else may set vm.pbitmap_$name" 'denied' \
		setpriv --reuid 1000 --regid 1000 --clear-groups bash -c "echo 1 >$VM/pbitmap_$name"
done

module_load # the defaults again
put_program small
set_sysctl enabled 0
mark
is 'a program runs with enabled=0' 3 "$(status_of "$MNT/small" t:0-7 exit:3)"
settle
is 'enabled=0: armed, used, recorded' '0 0 0' "$(delta armed) $(delta used) $(delta recordings)"
is 'enabled=0: the file is as annotated' 1 "$(slot_field "$MNT/small" generation)"
mark
set_sysctl enabled 1
"$MNT/small" t:0-9 msleep:2000 exit:4 &
executes $! "$MNT/small"
set_sysctl enabled 0
wait $!
is 'switched off while it runs: status' 4 $?
settle
is 'switched off while it runs: used, recorded' '1 0' "$(delta used) $(delta recordings)"
set_sysctl enabled 1
mark
run_and_settle() { "$MNT/small" "$1" && settle; }
said=$(log_lines run_and_settle t:0-7)
is 'enabled=1: recorded' 1 "$(delta recordings)"
is 'enabled=1: lines in the log' '' "$said"
set_sysctl enabled 2
said=$(log_lines run_and_settle t:8-15)
at_least 'enabled=2: lines in the log' 1 "$(echo "$said" | grep -c .)"
note "$(echo "$said" | head -n 3)"
