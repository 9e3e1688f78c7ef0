#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vm.pbitmap_update_policy: who may have a bitmap updated of a file that they may not
# write. The kernel then writes on its own account, once a minute and program, says so
# in its log, and only to files that it may write.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
chmod 755 "$WORK" "$MNT"
user=1000
gid=2000

# as_user GROUPS COMMAND... - (setpriv itself still has root's capabilities when it calls exec)
as_user() { setpriv --reuid $user --regid $user --groups "$1" env "${@:2}"; }

# run GROUPS WORK... - the program, as the user and a member of the groups
run() {
	as_user "$1" "$file" "${@:2}"
	settle
}

no_update() { # WHAT GROUPS WORK
	mark
	before=$(bytes_of "$file")
	run "$2" "$3"
	is "$1: used, written, refused with the reason" '1 0 1' \
		"$(delta used) $(delta writes) $(delta refused_not_writable)"
	is "$1: the file" "$before" "$(bytes_of "$file")"
}

update() { # WHAT GROUPS WORK
	local log
	mark
	log=$(log_lines run "$2" "$3")
	is "$1: written, on behalf of others" '1 1' "$(delta writes) $(delta writes_for_others)"
	is "$1: refused" 0 "$(delta 'refused_*')"
	is "$1: the log names the file and the user" 1 \
		"$(grep -c "inode $(stat -c %i "$file") on device .* updated on behalf of user $user\$" <<<"$log")"
	is "$1: check, owner and mode" '0 root root 755' "$(status_of tool check "$file") $(stat -c '%U %G %a' "$file")"
}

later() {
	date -s '+61 seconds' >/dev/null
	at_the_end "date -s '-61 seconds' >/dev/null"
}

for store in section xattr; do
	file=$MNT/$store
	cp "$PBITMAP_HELPERS/small" "$file"
	chmod 755 "$file"
	annotate --store=$store "$file"
	set_sysctl update_policy 0
	set_sysctl update_gid $gid
	no_update "$store, policy 0, a member" $gid t:0-3
	set_sysctl update_policy 1
	no_update "$store, policy 1, no member" 2001 t:0-3
	update "$store, policy 1, a member" 2001,$gid t:0-3
	mark
	run $gid t:0-7
	is "$store, at once again: written, held off" '0 1' "$(delta writes) $(delta rate_limited)"
	later
	update "$store, a minute later" $gid t:0-7
	later
	set_sysctl update_policy 2
	update "$store, policy 2, anybody" 3000 t:0-9
	# What the owner does is the owner's.
	mark
	"$file" t:0-11
	settle
	is "$store, policy 2, root: written at once, for others" '1 0' "$(delta writes) $(delta writes_for_others)"

	# The rest is as for everybody.
	later
	refused() { # WHAT REASON
		mark
		run $gid t:3-14
		is "$store, policy 2, $1: written, refused with the reason" '0 1' "$(delta writes) $(delta "refused_$2")"
	}
	chmod 4755 "$file"
	refused setuid setid
	chmod 755 "$file"
	setcap cap_net_raw+ep "$file"
	refused 'file capabilities' capabilities
	setcap -r "$file"
	chattr +i "$file"
	refused immutable immutable
	chattr -i "$file"
	chmod 700 "$file"
	is "$store, policy 2, no right to execute" 126 "$(status_of as_user $gid "$file" t:0-1)"
	chmod 755 "$file"
done

# The worst that a user can do to others: reads that are of no use, within bounds.
file=$MNT/big
cp "$PBITMAP_HELPERS/pages" "$file"
chmod 755 "$file"
annotate "$file"
later
mark
run 3000 t:0-1535 r:0-767
is 'a bitmap that somebody else filled: written for them' 1 "$(delta writes_for_others)"
later
set_sysctl max_pages 64
cold
mark
starts -d -e "$file" -- "$file" t:0-1 sum
settle
is 'a bitmap that somebody else filled: status' 0 "$status"
at_least 'a bitmap that somebody else filled: pages read' 50 "$(delta pages_read)"
at_most 'a bitmap that somebody else filled: pages read' 64 "$(delta pages_read)"

set_sysctl update_policy 0
later
no_update 'policy 0 again' $gid t:0-5
