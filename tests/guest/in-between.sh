#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What becomes of a file after its program has ended and before the recording of
# it is written: whatever it is, the recording is dropped with the reason, and
# the file is left as it is.
#
# needs: module tool loop
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount '-O verity'
exact_faults
chmod 755 "$WORK" "$MNT"
work=(t:4-15 r:0-3 sum exit:5)
expected='400144 5'

# Recordings are written one after the other. This one cannot be: its file lies
# on a disk that is a file on a filesystem that is frozen.
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=1 "$EXTRA_DEV" 256M || broken "mkfs.ext4 $EXTRA_DEV"
mount_at "$WORK/below" "$EXTRA_DEV"
truncate -s 64M "$WORK/below/disk"
mkfs.ext4 -q -F "$WORK/below/disk" || broken 'mkfs.ext4 on a file'
mount_at "$WORK/slow" -o loop,noatime "$WORK/below/disk"
cp "$PBITMAP_HELPERS/small" "$WORK/slow/small"
annotate "$WORK/slow/small"
at_the_end "fsfreeze -u '$WORK/below' 2>/dev/null"

waiting() { # N - so many recordings are in the queue
	for _ in $(seq 500); do
		[ "$(counter work_pending)" = "$1" ] && return
		sleep 0.01
	done
	broken "there are not $1 recordings in the queue: $(grown)"
}

held=0
hold_the_writer() {
	held=$((held + 1))
	sync
	# Something to wait for.
	printf '\x7f' | dd of="$WORK/slow/small" bs=1 conv=notrunc status=none
	fsfreeze -f "$WORK/below" || broken 'fsfreeze'
	"$WORK/slow/small" "t:$((held % 16))"
	waiting 1
}

# in_between WHAT REASON COMMAND... - with $file, which is afterwards as COMMAND
# leaves it
in_between() {
	local what=$1 reason=$2 before
	shift 2
	hold_the_writer
	mark
	starts "${launch[@]}" -- "$file" "${work[@]}"
	waiting 2
	"$@" || broken "$what: $*"
	before=$(bytes_of "$file")
	fsfreeze -u "$WORK/below"
	settle
	is "$what: output and status" "$expected" "$output $status"
	is "$what: writes, but for the one before" 0 $(($(delta writes) - 1))
	is "$what: dropped with the reason" 1 "$(delta "refused_$reason")"
	is "$what: the file" "$before" "$(bytes_of "$file")"
	note "$(grown)"
}

launch=() offset='' size='' slot=''
file=$MNT/program
new_file() {
	rm -f "$file"
	cp "$PBITMAP_HELPERS/small" "$file"
	annotate "$file"
	"$file" t:0-3
	settle
	is 'a new file: generation' 2 "$(slot_field "$file" generation)"
}

# works_again - a start is recorded, and differs from those before
works=0
works_again() {
	works=$((works + 1))
	mark
	starts -- "$file" t:0-$((works % 4)) exit:6
	settle
	is 'and then: status and writes' '6 1' "$status $(delta writes)"
}

new_file
in_between 'chattr +i' immutable chattr +i "$file"
chattr -i "$file"
works_again
in_between 'chattr +a' immutable chattr +a "$file"
chattr -a "$file"

# What a write would take away.
in_between 'set-user-id' setid chmod 4755 "$file"
chmod 755 "$file"
in_between 'set-group-id without execution by the group' setid chmod 2745 "$file"
is 'its mode' 2745 "$(stat -c %a "$file")"
chmod 755 "$file"
in_between 'file capabilities' capabilities setcap cap_net_raw+ep "$file"
is 'file capabilities are still there' "$file cap_net_raw=ep" "$(getcap "$file")"
setcap -r "$file"
works_again

# A hash for IMA, here and where no policy asks for it.
# (SHA-1, which every kernel with IMA knows)
in_between 'a hash for IMA' measured setfattr -n security.ima -v "0x0402$(sha1sum <"$file" | cut -c1-40)" "$file"
setfattr -x security.ima "$file"

# The user who ran it is asked again.
chown 1000 "$file"
launch=(-u 1000)
in_between 'taken away from its user' not_writable chown 0 "$file"
chown 1000 "$file"
in_between 'only to be read by its user' not_writable chmod 555 "$file"
chown 0 "$file"
chmod 755 "$file"
launch=()
works_again

# Somebody writes it.
edit() { printf x | dd of="$file" bs=1 seek=$((4096 * 3)) conv=notrunc status=none; }
in_between 'edited' changed edit
new_file
in_between 'cut to half' changed truncate -s $(($(stat -c %s "$file") / 2)) "$file"
new_file
in_between 'cut to nothing' changed truncate -s 0 "$file"
new_file
in_between 'longer' changed truncate -s +1M "$file"
new_file
cp "$file" "$MNT/another"
in_between 'replaced' changed mv "$MNT/another" "$file"
new_file
in_between 'moved' changed mv "$file" "$MNT/elsewhere"
mv "$MNT/elsewhere" "$file"
works_again
eval "$(elf where "$file")"
in_between 'a hole in the section' changed fallocate -p -o "$offset" -l "$size" "$file"
new_file

# Somebody may write it, or wants to be told of who does.
open_it() { exec 8>>"$file"; }
in_between 'open for writing' busy open_it
exec 8>&-
works_again
lease() { # KIND [keep]
	: >"$WORK/lease"
	background command lease "$1" "$file" ${2:+"$2"} >"$WORK/lease"
	for _ in $(seq 200); do
		grep -q held "$WORK/lease" && return
		sleep 0.01
	done
	return 1
}
in_between 'a read lease' busy lease read
is 'a read lease: its owner was not asked' held "$(paste -sd, "$WORK/lease")"
kill -9 "${jobs_started[-1]}"
works_again
# (Reading the file would wait for this one.)
before=$(bytes_of "$file")
hold_the_writer
mark
starts -- "$file" "${work[@]}"
waiting 2
lease write keep || broken 'a write lease'
fsfreeze -u "$WORK/below"
settle
is 'a write lease that is not given back: writes, busy' '1 1' "$(delta writes) $(delta refused_busy)"
is 'a write lease: its owner was asked' held,asked "$(paste -sd, "$WORK/lease")"
kill -9 "${jobs_started[-1]}"
is 'a write lease: the file' "$before" "$(bytes_of "$file")"
works_again

# More than wait their turn: each first argument is a recording of its own.
rm -f "$file"
cp "$PBITMAP_HELPERS/small" "$file"
annotate --profile-by=arg1 --profiles=64 "$file"
hold_the_writer
mark
for step in $(seq 270); do "$file" "t:0-3/$step"; done
is 'too many recordings: those that wait' 257 "$(counter work_pending)"
is 'too many recordings: dropped' 14 "$(delta refused_backlog)"
fsfreeze -u "$WORK/below"
settle
is 'too many recordings: check' 0 "$(status_of tool check "$file")"
new_file

# It becomes something else.
# (On ext4 turning on fs-verity changes the file's time of modification.)
in_between 'fs-verity' changed verity "$file"
new_file
# (A program with a header of swap: a number at byte 1024, a word at the end of the page.)
swap_header() {
	local at=1024 byte
	for byte in '\x01' '\0' '\0' '\0' '\x0a'; do
		printf "$byte" | dd of="$file" bs=1 seek=$at conv=notrunc status=none
		at=$((at + 1))
	done
	printf SWAPSPACE2 | dd of="$file" bs=1 seek=4086 conv=notrunc status=none
}
swap_header
"$file" t:0-3
settle
put_back /proc/sys/vm/swappiness
echo 0 >/proc/sys/vm/swappiness
at_the_end "swapoff '$file' 2>/dev/null"
in_between 'used for swap' swapfile swapon "$file"
is 'used for swap: execution' 126 "$(status_of "$file")"
swapoff "$file"
works_again

# Its filesystem does.
in_between 'a frozen filesystem' frozen fsfreeze -f "$MNT"
fsfreeze -u "$MNT"
in_between 'a read-only filesystem' read_only mount -o remount,ro "$MNT"
mount -o remount,rw "$MNT"
works_again
file=$WORK/bind/program
mount_at "$WORK/bind" --bind "$MNT"
in_between 'a read-only mount' read_only mount -o remount,bind,ro "$WORK/bind"
mount -o remount,bind,rw "$WORK/bind"
works_again

# A hole that was there before: the slot in force is used, the other one not filled.
file=$MNT/program
for which in first second; do
	eval "$(elf where "$file")"
	eval "$(elf slot "$file")"
	fallocate -p -o $((offset + size / 2 * (1 - slot))) -l $((size / 2)) "$file"
	before=$(bytes_of "$file")
	mark
	starts -- "$file" t:1-5 exit:3
	settle
	is "a hole in the other slot: status, used, hole" '3 1 1' "$status $(delta used) $(delta refused_hole)"
	is 'a hole in the other slot: the file' "$before" "$(bytes_of "$file")"
	annotate --force "$file"
	"$file" t:0-3
	settle
	if [ $which = first ]; then
		"$file" t:0-4
		settle
	fi
done
is 'annotated again: check' 0 "$(status_of tool check "$file")"
