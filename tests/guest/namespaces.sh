#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Who could write a file is judged as the filesystem judges it: through an
# idmapped mount by the owner that it shows, in a user namespace by whom it maps.
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
put_program small
put_program small-pie
chown 1000:1000 "$MNT/small" # small-pie is root's
page=0

# run WHAT WRITES REASON FILE COMMAND... - COMMAND followed by the program and what it
# shall do: with so many writes, or the reason why not
run() {
	local what=$1 writes=$2 reason=$3 file=$4 before expected
	shift 4
	page=$(((page + 1) % 16))
	before=$(bytes_of "$file")
	expected=$("$PBITMAP_HELPERS/small" t:$page d:0-7 sum)
	mark
	is "$what: output and status" "$expected 7" "$("$@" "$file" t:$page d:0-7 sum exit:7) $?"
	settle
	is "$what: writes" "$writes" "$(delta writes)"
	if [ "$writes" = 0 ]; then
		is "$what: refused" 1 "$(delta "refused_$reason")"
		is "$what: the file" "$before" "$(bytes_of "$file")"
	else
		is "$what: check" 0 "$(status_of tool check "$file")"
	fi
	note "$(grown)"
}
# (env, because setpriv and nsenter keep capabilities until they execute something)
as() { # USER COMMAND...
	local user=$1
	shift
	setpriv --reuid "$user" --regid "$user" --clear-groups env "$@"
}

mapped=$WORK/mapped
mount_at "$mapped" --bind -o X-mount.idmap=b:1000:2000:1 "$MNT"
is 'owners through the idmapped mount' '2000 65534' "$(stat -c %u "$mapped/small" "$mapped/small-pie" | paste -sd' ')"
run 'idmapped: its owner there' 1 - "$mapped/small" as 2000
run 'idmapped: its owner on disk' 0 not_writable "$mapped/small" as 1000
run 'not idmapped: its owner on disk' 1 - "$MNT/small" as 1000
run 'not idmapped: its owner elsewhere' 0 not_writable "$MNT/small" as 2000
run 'idmapped: root' 1 - "$mapped/small" env
run 'idmapped: root, a file without an owner there' 0 not_writable "$mapped/small-pie" env
run 'not idmapped: root, the same file' 1 - "$MNT/small-pie" env

# Root of a namespace of one's own, who has the file and who has not.
run 'user namespace: its own file' 1 - "$MNT/small" as 1000 unshare -r
run 'user namespace: a file of root' 0 not_writable "$MNT/small-pie" as 1000 unshare -r

# One that an administrator has set up, with 0 and 1 in it for 3000 and 3001.
background unshare -U sleep 1000
inside=${jobs_started[-1]}
for _ in $(seq 200); do
	[ "$(readlink "/proc/$inside/ns/user")" != "$(readlink /proc/self/ns/user)" ] && break
	sleep 0.01
done
echo 0 3000 2 >"/proc/$inside/uid_map"
echo 0 3000 2 >"/proc/$inside/gid_map"
within() { # USER COMMAND...
	local user=$1
	shift
	nsenter -t "$inside" -U --setuid "$user" --setgid "$user" -- env "$@"
}
chown 3001:3001 "$MNT/small"
run 'container: its root, a file of its user' 1 - "$MNT/small" within 0
run 'container: its user, the same file' 1 - "$MNT/small" within 1
chown 3002:3002 "$MNT/small"
run 'container: its root, a file of nobody in it' 0 not_writable "$MNT/small" within 0
chown 3000:3000 "$MNT/small"
run 'container: its user, a file of its root' 0 not_writable "$MNT/small" within 1

# By both: what is 1000 on disk is 3001 through the mount, and so 1 in the namespace.
both=$WORK/both
mount_at "$both" --bind -o X-mount.idmap=b:1000:3001:1 "$MNT"
run 'container and idmapped: a file of nobody in either' 0 not_writable "$both/small" within 0
chown 1000:1000 "$MNT/small"
run 'container and idmapped: its user' 1 - "$both/small" within 1
run 'container, not idmapped: its user' 0 not_writable "$MNT/small" within 1

run 'and root, as ever' 1 - "$MNT/small" env
is 'owner and mode' '1000 1000 755' "$(stat -c '%u %g %a' "$MNT/small")"
