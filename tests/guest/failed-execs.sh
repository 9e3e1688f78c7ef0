#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An execve() that fails, early or late, fails as it does without the module,
# and nothing is recorded of it.
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
cp "$PBITMAP_HELPERS/dynamic" "$MNT/plain-dynamic"
cp "$PBITMAP_HELPERS/small-pie" "$MNT/plain-pie"
cp "$PBITMAP_HELPERS/small" "$MNT/plain-small"
put_program dynamic
put_program small
put_program small-pie
cd "$MNT" || broken "$MNT"
./dynamic >/dev/null
./small t:0
./small-pie t:0
settle

# as_without WHAT FILE PLAIN-FILE [LAUNCH-OPTIONS]
as_without() {
	local what=$1 file=$2 plain=$3 expected before
	shift 3
	before=$(bytes_of "$file")
	mark
	starts "$@" -- "$plain" t:0-3 exit:5 2>"$WORK/expected"
	expected=$status
	starts "$@" -- "$file" t:0-3 exit:5 2>"$WORK/got"
	settle
	is "$what: status" "$expected" "$status"
	is "$what: message" "$(sed "s,$plain,FILE," "$WORK/expected")" "$(sed "s,$file,FILE," "$WORK/got")"
	is "$what: recorded, written" '0 0' "$(delta recordings) $(delta writes)"
	is "$what: the file" "$before" "$(bytes_of "$file")"
	note "$(grown)"
}

for f in dynamic plain-dynamic; do
	cp $f $f-lost
	elf interp $f-lost /nonexistent
done
as_without 'an interpreter that does not exist' ./dynamic-lost ./plain-dynamic-lost
echo 'not an ELF file, but longer than an ELF header needs to be, so that it is read' >"$MNT/n"
chmod 755 "$MNT/n"
ln -sfn "$MNT" /tmp/pbt-x
at_the_end 'rm -f /tmp/pbt-x'
for f in dynamic plain-dynamic; do elf interp $f-lost /tmp/pbt-x/n; done
as_without 'an interpreter that is not ELF' ./dynamic-lost ./plain-dynamic-lost
: >"$MNT/n"
as_without 'an interpreter that is empty' ./dynamic-lost ./plain-dynamic-lost

# Late: the old memory is gone already when the new cannot be mapped.
for f in small plain-small small-pie plain-pie; do
	cp $f $f-bad
	elf load-at $f-bad 0x7ffffffff000
	elf fix $f-bad
done
as_without 'a segment that cannot be mapped' ./small-bad ./plain-small-bad
as_without 'a segment that cannot be mapped, PIE' ./small-pie-bad ./plain-pie-bad
at_least 'the same: the bitmap was found valid' 1 "$(delta used)"

for f in small plain-small; do
	head -c 5000 $f >$f-short
	chmod 755 $f-short
done
is 'a file that ends in its code: status as without a section' \
	"$(status_of ./plain-small-short t:0-3)" "$(status_of ./small-short t:0-3)"
settle

chmod 644 small plain-small
as_without 'not executable' ./small ./plain-small
chmod 755 small plain-small
mount -o remount,noexec "$MNT"
as_without 'mounted noexec' "$MNT/small" "$MNT/plain-small"
mount -o remount,exec "$MNT"
mark
is 'too many arguments' E2BIG "$(execs e2big "$MNT/small")"
is 'too many arguments: armed' 0 "$(delta armed)"
chmod 700 "$MNT"
as_without 'a directory that the user may not enter' "$MNT/small" "$MNT/plain-small" -u 1000
chmod 755 "$MNT"

# No memory for the new program: RLIMIT_AS, seen after the hook.
mark
is 'not enough address space: status as without a section' \
	"$(ulimit -v 64; status_of ./plain-small t:0-3)" "$(ulimit -v 64; status_of ./small t:0-3)"
settle
is 'not enough address space: recorded' 0 "$(delta recordings)"

mark
is 'and now it runs' 5 "$(status_of ./small t:0-3 exit:5)"
settle
is 'and is recorded' 1 "$(delta recordings)"
