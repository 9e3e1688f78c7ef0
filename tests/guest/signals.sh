#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Signals around execve(): killed, stopped, interrupted, raced by threads. A
# start that is not killed always ends well, and nothing is left behind.
#
# needs: module tool
# smp: 2
# mem: 1G
# timeout: 90

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
put_program small
put_program pages
cd "$MNT" || broken "$MNT"
./small t:0-7 r:0-7 d:0-7
./pages t:0-1500/50
settle
mark

storm() { # WHAT PATTERN COMMAND...
	local what=$1 pattern=$2 result
	shift 2
	local began=$EPOCHSECONDS
	result=$("$@" 2>"$WORK/errors")
	note "$((EPOCHSECONDS - began)) s"
	# shellcheck disable=SC2053 # a pattern
	if [[ $result == $pattern ]]; then pass "$what: $result"; else fail "$what: $result"; fi
	case $what in
	SIGKILL*)
		[[ $result =~ ok=([0-9]*)\ killed=([0-9]*) ]]
		at_least "$what: ran to their end" 1 "${BASH_REMATCH[1]}"
		at_least "$what: killed" 1 "${BASH_REMATCH[2]}"
		;;
	esac
	sort "$WORK/errors" | uniq -c | head -n 5 | sed 's/^/        | /'
	settle
}

storm 'SIGKILL at any moment' 'ok=* killed=* ETXTBSY=0 other=0' execs kill-storm 200 ./small t:0-7 d:0-7
storm 'SIGKILL at any moment, a large program' 'ok=* killed=* ETXTBSY=0 other=0' \
	execs kill-storm 60 ./pages t:0-1500/50
storm 'SIGSTOP and SIGCONT' 'ok=40 killed=0 ETXTBSY=0 other=0' execs stop-storm 40 ./small t:0-7 d:0-7
storm 'a caught signal' 'ok=60 killed=0 ETXTBSY=0 other=0' execs winch-storm 60 ./small t:0-7 d:0-7
storm 'four threads call execve() at once' 'ok=40 killed=0 ETXTBSY=0 other=0' \
	execs thread-race 40 ./small t:0-7 d:0-7
at_least 'bitmaps used meanwhile' 200 "$(delta used)"
note "$(grown)"
is 'recorders and work that are left' '0 0' "$(counter recorders_live) $(counter work_pending)"
is 'check' '0 0' "$(status_of tool check small) $(status_of tool check pages)"
is 'it still runs' 5 "$(status_of ./small t:0-7 exit:5)"
