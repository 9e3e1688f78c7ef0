#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A bitmap whose list of files nobody recorded, but somebody wrote who wanted to
# have something opened or read: paths that lead out of the root, to devices, to
# what the caller may not read, to nothing, hundreds of them, files that are
# too large. The program runs, what is refused is counted, the budget holds.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
mkdir -p "$MNT/root/folder" "$MNT/root/proc" "$MNT/root/dev"
root=$MNT/root
mount_at "$root/proc" -t proc proc
mount_at "$root/dev" -t tmpfs tmpfs
mknod "$root/dev/zero" c 1 5
mknod "$root/dev/disk" b "$(stat -c '0x%t' "$SCRATCH_DEV")" "$(stat -c '0x%T' "$SCRATCH_DEV")"
mkfifo "$root/fifo"
for name in open folder/inner folder/outer; do head -c 200000 /dev/urandom >"$root/$name"; done
head -c 200000 /dev/urandom >"$root/secret"
head -c 200000 /dev/urandom >"$MNT/outside"
head -c 20000000 /dev/urandom >"$root/large"
chmod 600 "$root/secret"
ln -s /secret "$root/link-to-secret"
ln -s /open "$root/link"
ln -s /link-in-a-ring "$root/link-in-a-ring"
chmod 711 "$root/folder"
long=$(printf 'd%.0s' $(seq 254))

# A new program for each, so that nothing is left of the last.
forge() { # RECORDS-ARGUMENT... -- PATH...
	local options=()
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	rm -f "$root/program"
	cp "$PBITMAP_HELPERS/small" "$root/program"
	annotate --profile-by none --slot-size 1M "$root/program"
	chmod 755 "$root/program"
	records "${options[@]}" "$root/program" "$@" || broken "records $*"
	cold
}

# start UID - it runs as if there were no bitmap, and until the crew has read: what ended is not read for
start() {
	mark
	starts -r "$root" -u "$1" -- /program t:0-3 sum msleep:300 exit:7
	settle
	is "$case: output and status" "$expected" "$output $status"
	is "$case: used" 1 "$(delta used)"
}

starts -- "$PBITMAP_HELPERS/small" t:0-3 sum exit:7
expected="$output $status"

case='an honest path'
forge -- "/open=$root/open"
start 1000
is "$case: refused" 0 "$(delta 'refused_library*')"
is "$case: pages in memory" 49 "$(resident -c "$root/open")"

refused() { # UID COUNTER TIMES PATH...
	local uid=$1 counter=$2 times=$3
	shift 3
	forge -- "$@"
	start "$uid"
	is "$case: refused_$counter" "$times" "$(delta "refused_$counter")"
	is "$case: refused otherwise" "$times" "$(delta 'refused_library*')"
}

case='not for the caller'
refused 1000 library_unreadable 1 "/secret=$root/secret"
is "$case: pages in memory" 0 "$(resident -c "$root/secret")"
case='for root'
refused 0 library_gone 0 "/secret=$root/secret"
is "$case: pages in memory" 49 "$(resident -c "$root/secret")"
case='in a folder that may be searched, but not listed'
refused 1000 library_gone 0 "/folder/inner=$root/folder/inner"
is "$case: pages in memory" 49 "$(resident -c "$root/folder/inner")"

case='out of the root'
refused 0 library_gone 4 "/../outside=$MNT/outside" "../outside=$MNT/outside" \
	"/folder/../../outside=$MNT/outside" "/./../outside=$MNT/outside"
is "$case: pages in memory" 0 "$(resident -c "$MNT/outside")"
# (What the module records is where links have led to.)
case='links at the end'
refused 0 library_changed 2 "/link=$root/open" "/link-to-secret=$root/secret"

# A name that leads somewhere else at every look: to what the caller may read, to what it may not, to a link there.
case='swapped all the time'
ln -s /secret "$root/swap.link"
forge -- "/swap=$root/secret" "/swap=$root/open" "/swap.link=$root/secret"
(
	while :; do
		ln -f "$root/open" "$root/swap.new" && mv -f "$root/swap.new" "$root/swap"
		ln -f "$root/secret" "$root/swap.new" && mv -f "$root/swap.new" "$root/swap"
		ln -sf /secret "$root/swap.new" && mv -f "$root/swap.new" "$root/swap"
	done
) 2>/dev/null &
jobs_started+=($!)
swapper=$!
wrong=0
mark
for i in $(seq 40); do
	resident -e "$root/open" >/dev/null
	[ "$(launch -r "$root" -u 1000 -o /dev/null -- /program t:0-3 sum exit:7)" = "${expected% *}" ] || wrong=$((wrong + 1))
done
kill -9 "$swapper"
wait "$swapper" 2>/dev/null
settle
rm -f "$root/swap" "$root/swap.new"
is "$case: starts that went wrong" 0 $wrong
is "$case: used" 40 "$(delta used)"
is "$case: pages in memory of what the caller may not read" 0 "$(resident -c "$root/secret")"
at_least "$case: refused" 80 "$(delta 'refused_library*')"
note "$(grown)"

case='nothing to read'
forge -- '/' '/nowhere' '/open/below' '/link-in-a-ring' "/$long/$long" "/${long}dd" '//' 'relative' \
	"/folder=$root/folder" "/fifo=$root/fifo" "/dev/zero=$root/dev/zero" "/dev/disk=$root/dev/disk" \
	'/proc/1/mem' '/proc/self/exe' '/proc/kcore' '/proc/self/root/open'
start 0
is "$case: all but the executable are refused" 16 "$(delta 'refused_library*')"
note "$(grown)"

# A thread stops where the program is gone, which here is soon.
set_sysctl background 0

case='far more pages than the file has'
forge -p 10000 -- "/large=$root/large" "/open=$root/open"
start 1000
is "$case: pages of the large one" 4883 "$(resident -c "$root/large")"
case='more than may be read'
set_sysctl max_pages 100
forge -p 10000 -- "/large=$root/large"
start 1000
at_most "$case: pages read" 100 "$(delta pages_read)"
set_sysctl max_pages 65536
set_sysctl background 1

case='five hundred times the same'
forge -n 500 -- "/large=$root/large"
start 1000
at_most "$case: pages in memory" 160 "$(resident -c "$root/large")"
case='five hundred that are not there'
forge -n 500 -- '/folder/nowhere'
start 1000
# (the look-ups end with the program)
at_least "$case: refused" 1 "$(delta refused_library_gone)"
at_most "$case: refused" 500 "$(delta refused_library_gone)"
at_most "$case: pages read, of the executable" 48 "$(delta pages_read)"

case='memory pressure: more than a quarter of what is available'
forge -n 1000 -p 512 -- '/folder/nowhere'
start 1000
is "$case: refused" 1 "$(delta refused_pressure)"
is "$case: pages read" 0 "$(delta pages_read)"

# What was forged is dropped when the program is recorded.
case='and then'
start 0
is "$case: files in the bitmap" '-' "$(recorded_files "$root/program" | cut -d' ' -f1)"
