# SPDX-License-Identifier: GPL-2.0
#
# The demo's job in the guest: every program cold and warm, first without the module, then with it.
#
# Each file of /bench/programs sets `name` and `executable`, and defines program(), which runs the launcher that it is
# given with the program's command line behind.

launcher="bench-launcher"
places="--root /mnt --disk bench --output /run/printed"
cold="--cold --settle /bench/bench-true"

# each FUNCTION: calls it once for every program
each() {
	local file
	for file in /bench/programs/*; do
		. "$file"
		"$1"
	done
}

# measure WHAT SUBCOMMAND [OPTION]...: hands the launcher's lines to the host
measure() {
	local what="$1" subcommand="$2"
	shift 2
	report_output "$subcommand" program $launcher $subcommand $places --label "$name $what" "$@"
}

without() {
	measure cold_without run $cold --repeat $REPEAT
	measure warm run --repeat $REPEAT
	measure without faults $cold
}

# From here on each program is the annotated copy, under the same name.
swap() {
	mv "/mnt$executable" "/mnt$executable.plain" && mv "/mnt$executable.annotated" "/mnt$executable" ||
		fail "no annotated copy of $executable"
}

unloaded() {
	measure cold_unloaded run $cold
}

# One ordinary run is all the training there is. What it wrote is checked before anything is made of it.
train() {
	measure train run $cold
	sleep 1
	sync
	report_output trained chroot /mnt /bench/pbitmap-tool show --json "$executable"
}

with() {
	measure cold_with run $cold --repeat $REPEAT
	measure warm_with run --repeat $REPEAT
	measure with faults $cold
}

each without
if [ -e /modules/pbitmap ]; then
	each swap
	each unloaded
	insmod /modules/pbitmap || fail "pbitmap.ko did not load: $(dmesg | tail -n 3)"
	each train
	each with
	while read -r counter; do
		report counter "$counter"
	done </sys/kernel/debug/pbitmap/stats
	rmmod pbitmap || fail "pbitmap could not be unloaded"
fi
dmesg | grep -E 'WARNING:|BUG:|Oops|EXT4-fs (error|warning)' && fail "the kernel complained"
