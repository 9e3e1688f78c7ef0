# SPDX-License-Identifier: GPL-2.0
#
# The job in the guest that says how the module's costs grow: with the pages that are recorded, with the number of
# annotated programs, with the programs that are started at once. Everything is in memory, so that nothing is gained.
#
# Labels are what is measured, the curve, and the place on it: "exit recorded 1000".

# measure WHAT SUBCOMMAND [OPTION]...
measure() {
	local what="$1" subcommand="$2"
	shift 2
	report_output cost bench-launcher "$subcommand" --label "$what" "$@"
}

# annotate FILE COPY [OPTION]...: the copy has a bitmap
annotate() {
	local file="$1" copy="$2"
	shift 2
	cp "/mnt/$file" "/mnt/$copy" && chroot /mnt /bench/pbitmap-tool annotate "$@" "/$copy" >/run/said 2>&1 ||
		fail "$file could not be annotated: $(cat /run/said)"
}

load() {
	insmod /bench/pbitmap.ko || fail "pbitmap.ko did not load: $(dmesg | tail -n 3)"
}

unload() {
	rmmod pbitmap || fail "pbitmap could not be unloaded"
}

set_knob() {
	echo "$2" >"/proc/sys/vm/pbitmap_$1"
}

# warm COMMAND...: the first starts read, map and allocate what later ones find. With the module, nothing new is
# recorded after them, and it looks at every eighth start only.
warm() {
	local start
	for start in 1 2 3 4 5 6 7 8 9 10 11 12; do
		"$@" >/run/printed || fail "$* does not run"
		sleep 1
		sync
	done
}

# execs CURVE PLACE: programs with next to nothing in them
execs() {
	measure "exec $1 $2" loop --repeat "$REPEAT" "/mnt/$3"
}

exits() {
	measure "exit $1 $2" exits --output /run/printed --repeat $((REPEAT / 10)) "/mnt/touch.$2" "/mnt/data.$2" "$2" 0
}

# crowds CURVE
crowds() {
	local count
	for count in $CROWDS; do
		# Three times, as the first of all finds nothing prepared.
		for turn in 1 2 3; do
			measure "crowd $1 $count" crowd --repeat "$count" /mnt/touch.1000 /mnt/data.1000 1000 0
		done
	done
}

# Free memory, with the pages that a processor keeps for itself. Slabs without an object in use are given back first.
free_kb() {
	local cache
	for cache in /sys/kernel/slab/*/shrink; do echo 1 >"$cache"; done
	awk '
		$1 == "nr_free_pages" { pages += $2 }
		$1 == "count:" { pages += $2 }
		END { print pages * 4 }
	' /proc/zoneinfo
}

# memory CURVE: what a program takes that runs, of MEMORY_COUNT that do; the first time the kernel's caches fill
memory() {
	local pages turn number before
	for pages in $PAGES; do
		for turn in 1 2 3; do
			sleep 1
			before=$(free_kb)
			number=0
			while [ $number -lt "$MEMORY_COUNT" ]; do
				"/mnt/touch.$pages" "/mnt/data.$pages" "$pages" 20 >/dev/null &
				number=$((number + 1))
			done
			sleep 10
			echo "{\"label\": \"memory $1 $pages\", \"bytes\": [$(((before - $(free_kb)) * 1024 / MEMORY_COUNT))]}" >/run/memory
			if [ $turn != 1 ]; then report cost "$(cat /run/memory)"; fi
			wait
		done
	done
}

# writes: from when the page tables were read to when the bitmap is on the disk, by the module's own tracepoints
writes() {
	local pages turn
	cd /sys/kernel/tracing || fail "tracing cannot be had"
	echo mono >trace_clock
	set_knob merge 0
	for pages in $PAGES; do
		echo >trace
		echo 1 >events/pbitmap/pbitmap_record/enable
		echo 1 >events/pbitmap/pbitmap_write/enable
		for turn in 1 2 3 4 5; do
			# One that differs comes between, so that each is worth writing.
			"/mnt/touch.$pages" "/mnt/data.$pages" $((pages / 2)) 0 >/dev/null
			sleep 1
			"/mnt/touch.$pages" "/mnt/data.$pages" "$pages" 0 >/dev/null
			sleep 1
		done
		echo 0 >events/pbitmap/enable
		awk -v pages="$pages" '
			function us() { match($0, /[0-9]+\.[0-9]+: /); return substr($0, RSTART, RLENGTH - 2) * 1000000 }
			/pbitmap_record:/ { start = us(); number++ }
			/pbitmap_write:/ && start { if (number % 2 == 0) times = times (times ? "," : "") int((us() - start) * 1000); start = 0 }
			END { printf "{\"label\": \"write write %d\", \"ns\": [%s]}\n", pages, times }
		' trace >/run/writes
		report cost "$(cat /run/writes)"
	done
	set_knob merge 2
	cd /
}

make_disk
mount -t tracefs trace /sys/kernel/tracing 2>/dev/null
# Where things land at random decides how many page tables a fork copies: 1 % of an exec, the same for a whole turn.
echo 0 >/proc/sys/kernel/randomize_va_space
# Files without blocks: they are in memory, and hold zeros.
for pages in $PAGES; do truncate -s $((pages * 4))K "/mnt/data.$pages"; done
annotate true true.annotated
annotate small small.annotated
for pages in $PAGES; do annotate touch "touch.$pages" --slot-size 128K; done
# What is read and mapped in large pieces costs less, and becomes so as time goes by.
echo never >/sys/kernel/mm/transparent_hugepage/enabled
sync
echo 3 >/proc/sys/vm/drop_caches

# Without the module.
warm /mnt/true
for pages in $PAGES; do warm "/mnt/touch.$pages" "/mnt/data.$pages" "$pages" 0; done
execs unloaded 1 true
for pages in $PAGES; do exits unloaded "$pages"; done
crowds unloaded
memory unloaded

# With it: exec beside more and more annotated programs.
load
warm /mnt/true.annotated
warm /mnt/small.annotated
for pages in $PAGES; do warm "/mnt/touch.$pages" "/mnt/data.$pages" "$pages" 0; done
for pages in $PAGES; do exits calm "$pages"; done
crowds calm
set_knob backoff 0
for pages in $PAGES; do exits recorded "$pages"; done
crowds recorded
set_knob window_ms 0 # recorded until the end
memory recorded
set_knob window_ms 1
writes
unload

load
for count in $PROGRAMS; do
	bench-launcher copies --repeat "$count" /mnt/small.annotated >/run/said || fail "no $count programs"
	measure "again annotated $count" copies --repeat "$count" /mnt/small.annotated
	warm /mnt/true.annotated
	execs unannotated "$count" true
	execs annotated "$count" true.annotated
done
report_counters
unload
execs unloaded "$count" true
dmesg | grep -E 'WARNING:|BUG:|Oops' && fail "the kernel complained"
