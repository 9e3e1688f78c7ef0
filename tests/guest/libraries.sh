#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The whole program: what an ordinary run touches of its loader, its libraries
# and the other files that it maps is recorded with it, and is read before the
# next start asks for it. Real programs, in a root of their own.
#
# needs: module tool
# smp: 1
# mem: 2G
# timeout: 240

defaults=yes
. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
use_real_files "$MNT"

# try NAME FILES PROGRAM ARGUMENT... - at least so many files are recorded
try() {
	local name=$1 files=$2 program=$MNT$3 expected first_majflt round faults=()
	local command=("${@:3}")
	shift 2
	starts -r "$MNT" -- "${command[@]}"
	expected="$output $status"
	annotate "$program"
	cold
	chroot "$MNT" /usr/bin/true
	starts -r "$MNT" -- "${command[@]}"
	settle
	first_majflt=$majflt
	is "$name: output and status of the first run" "$expected" "$output $status"
	at_least "$name: major faults of the first run" 10 "$majflt"
	at_least "$name: files recorded" "$files" "$(recorded_files "$program" | wc -l)"
	for round in second third; do
		cold
		chroot "$MNT" /usr/bin/true
		mark
		starts -r "$MNT" -- "${command[@]}"
		settle
		is "$name: output and status of the $round run" "$expected" "$output $status"
		at_most "$name: major faults of the $round run, $first_majflt before" $((first_majflt / 5 + 1)) "$majflt"
		is "$name: refused" 0 "$(delta 'refused_*')"
	done
	at_least "$name: of 100 pages that were wanted, touched" 85 "$(percent "$(delta hits)" "$(delta hits waste)")"
	note "$(grown)"
	mark
	starts -r "$MNT" -- "${command[@]}"
	settle
	is "$name: pages read when all is in memory" 0 "$(delta pages_read)"
	is "$name: check" 0 "$(status_of tool check "$program")"

	# Mapped in batches, where a library is as well.
	for round in 0 1; do
		set_sysctl early_fault $round
		starts -r "$MNT" -- "${command[@]}"
		settle
		faults[round]=$minflt
	done
	at_most "$name: minor faults with early fault, ${faults[0]} without" $((faults[0] * 19 / 20)) "${faults[1]}"
}

try git 4 /usr/bin/git --version
try perl 5 /usr/bin/perl -e 'use POSIX; print floor(2.5)'
try python3 6 "$(realpath /usr/bin/python3)" -I -B -c 'import json, sqlite3; print(json.dumps([1]))'
try vim 4 /usr/bin/vim.tiny --version
try busybox 1 /usr/bin/busybox echo static

# Its main thread has ended, and has no root any more, when its page tables are read.
case='a thread that ends last'
threads=$MNT/usr/bin/threads
cp -p "$MNT$(realpath /usr/bin/python3)" "$threads"
annotate "$threads"
starts -r "$MNT" -- /usr/bin/threads -I -B -c 'import os, threading, time
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
os._exit(0)'
settle
at_least "$case: files recorded" 6 "$(recorded_files "$threads" | wc -l)"
is "$case: those by a path that is not from its root" 0 "$(recorded_files "$threads" | grep -c "^$MNT")"

recorded_files "$MNT/usr/bin/git" | sed 's/^/        /'
holds 'the loader is recorded' grep -q ld-linux <(recorded_files "$MNT/usr/bin/git")
holds 'the C library is recorded' grep -q libc.so.6 <(recorded_files "$MNT/usr/bin/git")

# What identifies a library, wherever it lies.
id=$(readelf -n "$MNT/usr/lib/x86_64-linux-gnu/libc.so.6" | sed -n 's/.*Build ID: //p')
at_least 'digits of the build id of the C library' 40 ${#id}
is 'its build id in the bitmap' "$id" "$(tool show --json "$MNT/usr/bin/git" | python3 -c '
import json, sys
for file in json.load(sys.stdin)["profiles"][0]["files"]:
    if file["path"].endswith("/libc.so.6"):
        print(file["build_id"])')"

# A setuid program: what was recorded before it became one is used, whoever runs it, and stays as it is.
case='setuid, by a user'
chmod 4755 "$MNT/usr/bin/git"
before=$(bytes_of "$MNT/usr/bin/git")
cold
chroot "$MNT" /usr/bin/true
mark
starts -r "$MNT" -u 1000 -- /usr/bin/git --version
settle
is "$case: status" 0 "$status"
at_most "$case: major faults" 3 "$majflt"
is "$case: libraries that are refused" 0 "$(delta 'refused_library*')"
is "$case: refused an update" 1 "$(delta refused_setid)"
is "$case: the file" "$before" "$(bytes_of "$MNT/usr/bin/git")"
