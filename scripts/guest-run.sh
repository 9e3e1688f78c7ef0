#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: guest-run.sh GUEST
#
# Runs in the guest, as its only program: the tests of the plan, one after the
# other, each a process of its own with a timeout. guest.py wrote the plan
# (NAME TIMEOUT PATH NEEDS...) into the share's directory GUEST and reads there
#
#   current        the test that runs
#   NAME.claimed   this guest, and no other, runs it
#   NAME.log       what it printed
#   NAME.dmesg     what the kernel said meanwhile
#   NAME.result    SECONDS ok | SECONDS FAIL REASON | SECONDS SKIP REASON
#   patience       by what it multiplies every timeout
#   leaks          what the kernel's leak detector found, if it has one
#   finished       the guest ended on purpose

set -u
claims=/mnt/host/claims
share=/mnt/host/$1
# How much slower is this machine, or busier, than one that boots in 8 seconds?
read -r patience _ </proc/uptime
patience=$((${patience%.*} / 4))
patience=$((patience < 2 ? 2 : patience > 10 ? 10 : patience))
echo $patience >"$share/patience"

finish() {
	local leaks=/sys/kernel/debug/kmemleak
	if [ -e $leaks ]; then
		# What is not found twice is no leak, nor what is younger than 5 seconds.
		sleep 6
		echo scan >$leaks
		echo scan >$leaks
		cat $leaks >"$share/leaks"
	fi
	echo yes >$share/finished
	sync
	# Off at once: there is nothing to shut down.
	echo o >/proc/sysrq-trigger
	sleep 60
}

put() { # FILE TEXT - whole, or not at all
	printf '%s\n' "$2" >"$share/.new"
	mv "$share/.new" "$share/$1"
}

run() { # NAME TIMEOUT PATH NEEDS...
	local name=$1 limit=$(($2 * patience)) path=$3 need began status verdict="" unfit="" lacks=()
	local log=/tmp/$name.log dmesg=$share/$name.dmesg
	shift 3
	mkdir "$claims/$name" 2>/dev/null || return # another guest has it
	: >"$share/$name.claimed"
	put current "$name"
	began=$EPOCHREALTIME
	echo "guest-run: $name begins" >/dev/kmsg

	for need in "$@"; do
		case $need in
		module) [ -e "$PBITMAP_KO" ] || lacks+=("$PBITMAP_KO") ;;
		tool) [ -x "$PBITMAP_TOOL" ] || lacks+=("$PBITMAP_TOOL") ;;
		*) command -v "$need" >/dev/null || modprobe -q "$need" || lacks+=("the command or kernel module $need") ;;
		esac
	done
	if [ ${#lacks[@]} != 0 ]; then verdict="FAIL it needs $(printf '%s, ' "${lacks[@]}" | sed 's/, $//'), not found here"; fi

	if [ -z "$verdict" ]; then
		# A session of its own, so that what it leaves behind can be found. (The
		# share is slow: the output is written there at the end, but for a copy
		# each second, for the case of a crash.)
		(while sleep 1; do cp "$log" "$share/$name.log" 2>/dev/null; done) &
		local copier=$!
		PBITMAP_TEST=$name PBITMAP_PATIENCE=$patience setsid --wait timeout --kill-after=10 "$limit" bash "$path" >"$log" 2>&1 </dev/null
		status=$?
		{
			kill $copier
			wait $copier
		} 2>/dev/null
		cp "$log" "$share/$name.log"
		if [ $status = 124 ] || ((status == 137 && ${EPOCHREALTIME%.*} - ${began%.*} >= limit)); then
			verdict="FAIL it took longer than $limit s"
		elif [ $status = 137 ]; then
			verdict="FAIL it was killed"
		elif [ $status != 0 ]; then
			verdict="FAIL exit status $status"
		elif grep -q '^SKIP' "$log"; then
			verdict=$(grep -m1 '^SKIP' "$log")
		else
			verdict=ok
		fi
	fi

	if grep -q '^pbitmap ' /proc/modules && ! rmmod pbitmap 2>/dev/null; then
		[ "$verdict" = ok ] && verdict="FAIL it left the module loaded, and rmmod cannot remove it"
		unfit=yes
	fi
	dmesg | awk -v mark="guest-run: $name begins" 'index($0, mark) { on = 1; next } on' >"$dmesg"
	if grep -q "^/dev/vd[ab] " /proc/mounts; then
		case $verdict in
		FAIL*) ;;
		*) verdict="FAIL it left its disk mounted" ;;
		esac
		unfit=yes
	fi
	put "$name.result" "$((${EPOCHREALTIME%.*} - ${began%.*})) $verdict"
	# In a guest that something went wrong in, a later failure means nothing.
	if [ -n "$unfit" ]; then finish; fi
}

while read -r name limit path needs; do
	# shellcheck disable=SC2086 # needs are words
	run "$name" "$limit" "$path" $needs
done <$share/plan
finish
