#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A bitmap in the attribute user.pbitmap: it is found, used and updated, and the
# file itself, its size and its times stay as they are; what stands in the attribute
# may be anything.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 180

. "$(dirname "$0")/lib.sh"

module_load
exact_faults
like_an_ssd
chmod 755 "$WORK"
work=(t:0-1500/50 r:0-700/50 d:0-200/50 sum exit:7)
touched=46

value_of() { getfattr --only-values -n user.pbitmap "$1" 2>/dev/null | md5sum; }
as_it_is() { stat -c '%s %y %a %U' "$1"; }

# trains NAME MKFS TYPE
trains() {
	local name=$1 mkfs=$2 type=$3 file=$MNT/pages before times first
	wipefs -qa "$SCRATCH_DEV"
	$mkfs "$SCRATCH_DEV" >"$WORK/mkfs.log" 2>&1 || broken "$name: $mkfs"
	mount_at "$MNT" -t "$type" "$SCRATCH_DEV"
	chmod 755 "$MNT"
	cp "$PBITMAP_HELPERS/pages" "$file"
	chmod 755 "$file"
	before=$(bytes_of "$file")
	times=$(as_it_is "$file")
	annotate --store=xattr "$file"
	is "$name: bytes, size, time and mode after annotate" "$before $times" "$(bytes_of "$file") $(as_it_is "$file")"
	mark
	starts -d -e "$file" -- "$file" "${work[@]}"
	first=$majflt
	settle
	is "$name: output and status" "$("$PBITMAP_HELPERS/pages" "${work[@]}") 7" "$output $status"
	is "$name: found in the attribute, recorded, written, refused" '1 1 1 0' \
		"$(delta used_attribute) $(delta recordings) $(delta writes) $(delta 'refused_*')"
	is "$name: bytes, size, time and mode after a write" "$before $times" "$(bytes_of "$file") $(as_it_is "$file")"
	mark
	starts -d -e "$file" -- "$file" "${work[@]}"
	settle
	is "$name: output and status of the second run" "$("$PBITMAP_HELPERS/pages" "${work[@]}") 7" "$output $status"
	at_most "$name: major faults of the second cold start, $first before" $((first / 10 + 2)) "$majflt"
	# (the program may be first at some of them)
	at_least "$name: pages read ahead" $((touched * 9 / 10)) "$(delta pages_read)"
	is "$name: written again, unchanged" '0 1' "$(delta writes) $(delta unchanged)"
	is "$name: check" 0 "$(status_of tool check "$file")"
	umount "$MNT"
	mount -t "$type" "$SCRATCH_DEV" "$MNT"
	mark
	starts -d -e "$file" -- "$file" "${work[@]}"
	settle
	at_most "$name: major faults after mounting it again" $((first / 10 + 2)) "$majflt"
	holds "$name: remove" tool remove "$file"
	is "$name: the file without it" "$before $times" "$(bytes_of "$file") $(as_it_is "$file")"
	mark
	"$file" t:0-3
	is "$name: without it, armed" 0 "$(delta armed)"
	umount "$MNT"
}

trains xfs 'mkfs.xfs -q -f' xfs
trains btrfs 'mkfs.btrfs -q -f' btrfs
trains ext4 'mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=1' ext4

scratch_mount '-O verity'
chmod 755 "$MNT"
file=$MNT/small
cp "$PBITMAP_HELPERS/small" "$file"
chmod 755 "$file"
annotate --store=xattr "$file"
sum=$("$file" t:4-15 r:0-3 sum)
settle

# A section beside it: the attribute is in force.
put_program small-pie
annotate --store=xattr "$MNT/small-pie"
section=$(elf slot "$MNT/small-pie")
mark
"$MNT/small-pie" t:0-5
settle
is 'a section beside it: found in the attribute, written' '1 1' "$(delta used_attribute) $(delta writes)"
is 'a section beside it is as it was' "$section" "$(elf slot "$MNT/small-pie")"
setfattr -n user.pbitmap -v nonsense "$MNT/small-pie"
mark
"$MNT/small-pie" t:0-5
settle
is 'nonsense in the attribute: the section is used, and written' '1 0 1' \
	"$(delta used) $(delta used_attribute) $(delta writes)"
is 'nonsense in the attribute: counted' 1 "$(delta refused_bad_magic)"

# Who may update it.
may_not() { # WHAT REASON [LAUNCH-OPTIONS]
	local what=$1 reason=$2 before
	shift 2
	before=$(value_of "$file")
	mark
	starts "$@" -- "$file" t:4-15 r:0-3 sum exit:5
	settle
	is "$what: output and status" "$sum 5" "$output $status"
	is "$what: used, written, refused with the reason" '1 0 1' \
		"$(delta used_attribute) $(delta writes) $(delta "refused_$reason")"
	is "$what: the attribute" "$before" "$(value_of "$file")"
}
may() { # WHAT WORK [LAUNCH-OPTIONS]
	local what=$1 pages=$2
	shift 2
	mark
	starts "$@" -- "$file" "$pages"
	settle
	is "$what: written" 1 "$(delta writes)"
}

may root t:0-1
may_not 'another user' not_writable -u 1000
chown 1000 "$file"
may 'its owner' t:0-2 -u 1000
chattr +i "$file"
may_not immutable immutable
chattr -i "$file"
chattr +a "$file"
may_not append-only immutable
chattr -a "$file"
chmod 4755 "$file"
may_not setuid setid
chmod 755 "$file"
setcap cap_net_raw+ep "$file"
may_not 'file capabilities' capabilities
setcap -r "$file"
sync
mount -o remount,ro "$MNT"
may_not 'a read-only filesystem' read_only
mount -o remount,rw "$MNT"
mkfifo "$WORK/go"
background bash -c "read -r _ <'$WORK/go'; exec '$file' t:0-9 r:0-3"
fsfreeze -f "$MNT"
mark
echo go >"$WORK/go"
for _ in $(seq 100); do
	[ "$(delta refused_frozen)" = 0 ] || break
	sleep 0.1
done
is 'a frozen filesystem: refused with the reason' 1 "$(delta refused_frozen)"
fsfreeze -u "$MNT"
holds 'turn on fs-verity' verity "$file"
may 'fs-verity guards the content alone' t:0-11

# Starts beside constant updates.
mark
execs loop-or 300 "$file" t:0-7 -- d:0-7 >"$WORK/loop"
settle
is 'a loop of starts' 'ok=300 killed=0 ETXTBSY=0 other=0' "$(cat "$WORK/loop")"
at_least 'a loop of starts: written' 20 "$(delta writes)"

# Anything may stand in it.
cp "$PBITMAP_HELPERS/small" "$MNT/hostile"
chmod 755 "$MNT/hostile"
annotate --store=xattr "$MNT/hostile"
"$MNT/hostile" t:0-15
settle
getfattr --only-values -n user.pbitmap "$MNT/hostile" >"$WORK/value"
mark
count=0
try() { # HEX
	setfattr -n user.pbitmap -v "0x$1" "$MNT/hostile" || return
	count=$((count + 1))
	output=$("$MNT/hostile" t:4-15 r:0-3 sum exit:5)
	[ "$output $?" = "$sum 5" ] || fail "value $1: output '$output'"
	settle
}
hex=$(od -An -v -tx1 "$WORK/value" | tr -d ' \n')
for cut in 0 2 6 8 16 24 $((${#hex} / 4 * 2)) $((${#hex} - 2)); do try "${hex:0:cut}"; done
for at in 0 4 8 16 18 20 30 40 60 $((${#hex} - 2)); do
	at=$((at / 2 * 2))
	try "${hex:0:at}$(printf '%02x' $((0x${hex:at:2} ^ 0x41)))${hex:at+2}"
done
try "$(head -c 3000 /dev/urandom | od -An -v -tx1 | tr -d ' \n')"
try "$hex$(printf '00%.0s' {1..800})"
at_least 'hostile values' 15 $count
is 'hostile values: used' 0 "$(delta used_attribute)"
is 'hostile values: each is counted' $count "$(delta 'refused_*')"
note "$(grown)"
# (that of another program is for that one)
getfattr -d -m user.pbitmap -e hex --absolute-names "$file" | sed "s,^# file: .*,# file: $MNT/hostile," >"$WORK/dump"
cp "$PBITMAP_HELPERS/small-pie" "$MNT/hostile"
setfattr --restore="$WORK/dump"
mark
"$MNT/hostile" t:0-1
settle
is "another program's bitmap: used, stale" '0 1' "$(delta used) $(delta refused_stale)"

# Who was promised to be told of changes, and does not answer, is not waited for.
file=$MNT/delegated
cp "$PBITMAP_HELPERS/small" "$file"
tool annotate --store=xattr "$file" >"$WORK/out" 2>&1 || fail "annotate: $(cat "$WORK/out")"
sync
background python3 -c '
import fcntl, os, signal, struct, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
file = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(file, 1024 + 16, struct.pack("IHH", 0, fcntl.F_RDLCK, 0)) # F_SETDELEG
open(sys.argv[2], "w").close()
signal.pause()' "$file" "$WORK/has-delegation"
for _ in $(seq 500); do
	[ -e "$WORK/has-delegation" ] && break
	sleep 0.02
done
holds 'a delegation was granted' test -e "$WORK/has-delegation"
mark
starts -- "$file" t:0-3 exit:3
settle
is 'a delegation: status, written' '3 0' "$status $(delta writes)"
is 'a delegation: refused with the reason' 1 "$(delta refused_busy)"
kill "${jobs_started[-1]}"

# Not everywhere are there attributes.
mount_at "$WORK/ramfs" -t ramfs ramfs
cp "$PBITMAP_HELPERS/small" "$WORK/ramfs/small"
refuses 'annotate where there are no attributes names the section' 'store=section' \
	tool annotate --store=xattr "$WORK/ramfs/small"
