#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Whoever may only read and execute a program gets its prefetch, and never an
# update: that needs the permission to write the file.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
chmod 755 "$WORK" "$MNT"
put_program pages
file=$MNT/pages
work=(t:0-1500/50 r:0-700/50 sum)
touched=46
user=1000

starts -d -e "$file" -- "$file" "${work[@]}"
settle
expected=$output
before=$(bytes_of "$file")

mark
starts -d -e "$file" -u $user -- "$file" "${work[@]}"
settle
is 'another user: output and status' "$expected 0" "$output $status"
is 'another user: bitmap used' 1 "$(delta used)"
at_least 'another user: pages read ahead' $touched "$(delta pages_read)"
at_most 'another user: major faults' 5 "$majflt"

run_as_user() { launch -o "$WORK/launch" -u $user -- "$file" "$1"; settle; }

no_update() { # WHAT
	mark
	run_as_user t:1-1000/37
	is "$1: writes" 0 "$(delta writes)"
	is "$1: refused" 1 "$(delta refused_not_writable)"
	note "$(grown)"
	is "$1: the file" "$before" "$(bytes_of "$file")"
}

update() { # WHAT
	mark
	run_as_user "$2"
	is "$1: writes" 1 "$(delta writes)"
	is "$1: check" 0 "$(status_of tool check "$file")"
	before=$(bytes_of "$file")
}

no_update 'mode 755, owner root'
chmod 701 "$file" # execute only
no_update 'execute only'
chmod 755 "$file"
chown $user:$user "$file"
update 'mode 755, owner is the user' t:1-1000/41
chmod 555 "$file"
no_update 'mode 555, owner is the user'
chown root:$user "$file"
chmod 775 "$file"
update 'mode 775, group is the user'\''s' t:1-1000/43
chmod 757 "$file"
chown root:root "$file"
update 'mode 757' t:1-1000/45
chmod 755 "$file"
holds 'setfacl' setfacl -m u:$user:rwx "$file"
update 'an access control list' t:1-1000/47
holds 'setfacl, taken back' setfacl -b "$file"
no_update 'and without it'

# Root of a user namespace of one's own is still that user.
mark
setpriv --reuid $user --regid $user --clear-groups unshare -r "$file" t:1-1000/51
is 'root of a user namespace: status' 0 $?
settle
is 'root of a user namespace: writes' 0 "$(delta writes)"
is 'root of a user namespace: refused' 1 "$(delta refused_not_writable)"

# What matters is who ran it, not who is looking at it: root's runs go on.
mark
"$file" t:1-1000/49
settle
is 'root: writes' 1 "$(delta writes)"
is 'owner and mode' 'root root 755' "$(stat -c '%U %G %a' "$file")"
