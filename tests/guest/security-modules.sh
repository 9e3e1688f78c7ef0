#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A user whom a security module keeps from writing a program does not have its
# bitmap written, although mode and owner allow it: AppArmor by path, Landlock
# by what a process has forbidden itself.
#
# needs: module tool apparmor_parser
# smp: 1
# mem: 1G
# timeout: 60

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program small
file=$MNT/small
work=(t:4-15 r:0-3 sum exit:5)
"$file" t:0-3
settle

# refused WHAT REASON COMMAND... - COMMAND followed by a program and its arguments
refused() {
	local what=$1 reason=$2 before
	shift 2
	refuses "$what: it may not be opened for writing" 'Permission denied' "$@" bash -c ": >>'$file'"
	before=$(bytes_of "$file")
	mark
	starts -- "$@" "$file" "${work[@]}"
	settle
	is "$what: output and status" '400144 5' "$output $status"
	is "$what: used, written" '1 0' "$(delta used) $(delta writes)"
	is "$what: refused" 1 "$(delta "refused_$reason")"
	is "$what: the file" "$before" "$(bytes_of "$file")"
	note "$(grown)"
}

# allowed WHAT PAGES COMMAND...
allowed() {
	local what=$1 pages=$2
	shift 2
	mark
	"$@" "$file" "t:$pages"
	settle
	is "$what: writes" 1 "$(delta writes)"
}

cat >"$WORK/profiles" <<PROFILES
profile pbitmap-reader { capability, signal, ptrace, /** rmix, /dev/** rw, /proc/** rw, }
profile pbitmap-writer { capability, signal, ptrace, /** rwmix, }
PROFILES
at_the_end "apparmor_parser -R '$WORK/profiles' >/dev/null 2>&1"
apparmor_parser -rK "$WORK/profiles" >"$WORK/parser.log" 2>&1 || broken "apparmor_parser: $(cat "$WORK/parser.log")"
refused 'AppArmor' denied aa-exec -ip pbitmap-reader --
allowed 'AppArmor, a profile that lets it be written' 0-9 aa-exec -ip pbitmap-writer --
allowed 'no profile' 1-9

sandbox=(setpriv --no-new-privs --landlock-access fs --landlock-rule 'path-beneath:execute,read-file,read-dir:/')
refused 'Landlock' sandboxed "${sandbox[@]}"
allowed 'no sandbox' 2-9
