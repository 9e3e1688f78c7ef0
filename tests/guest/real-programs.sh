#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Real programs, with libraries: the major faults on their own pages fall by at
# least 90 % on the second cold start. Only the executable is dropped from the
# cache, so that all major faults are its own.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount

try() { # PROGRAM ARGUMENT...
	local file=$MNT/${1##*/} name=${1##*/} first expected round
	cp "$(realpath "$1")" "$file"
	shift
	expected=$("$file" "$@") # also brings the libraries into the cache
	annotate "$file"
	starts -e "$file" -- "$file" "$@"
	settle
	first=$majflt
	is "$name: output and status" "$expected 0" "$output $status"
	at_least "$name: major faults of the first cold start" 10 "$first"
	mark
	starts -e "$file" -- "$file" "$@"
	settle
	is "$name: output and status" "$expected 0" "$output $status"
	at_most "$name: major faults of the second cold start, $first before" $((first / 5)) "$majflt"
	is "$name: bitmap used" 1 "$(delta used)"
	note "$(grown)"
	is "$name: check" 0 "$(status_of tool check "$file")"
}

try /usr/bin/perl -e 'print join(",", map { $_ * $_ } 1 .. 9)'
try /usr/bin/python3 -I -S -c 'print(sum(range(1000)))'
