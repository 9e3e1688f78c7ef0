# SPDX-License-Identifier: GPL-2.0
#
# The demo's job in the guest: every program cold and warm, first without the module, then with it.
#
# Each file of /bench/programs sets `name`, `executable` and `profile_by`, and defines program(), which runs the launcher that it is
# given with the program's command line behind.

launcher="bench-launcher"
places="--root /mnt --disk bench --output /run/printed"
cold="--cold --settle /usr/bin/true"
annotated=

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
	# Some programs leave something behind when they first run (python its compiled modules), and the first to read
	# the disk's metadata finds some of it still cached from mounting.
	measure first run $cold
	measure cold_without run $cold --repeat $REPEAT
	measure warm run --repeat $REPEAT
	measure without faults $cold
}

# From here on the program is an annotated copy of itself, under the same name. Several modes of one have one bitmap.
annotate() {
	case " $annotated " in *" $executable "*) return ;; esac
	annotated="$annotated $executable"
	cp -a "/mnt$executable" "/mnt$executable.copy" &&
		chroot /mnt /bench/pbitmap-tool annotate --profile-by $profile_by "$executable.copy" &&
		mv "/mnt$executable.copy" "/mnt$executable" || fail "$executable could not be annotated"
}

unloaded() {
	measure cold_unloaded run $cold
}

# A few ordinary runs are all the training there is. What they wrote is checked before anything is made of it.
train() {
	local run
	for run in 1 2 3; do
		measure train run $cold
		sleep 1
		sync
	done
	report_counters
	chroot /mnt /bench/pbitmap-tool show --json "$executable" | tr -d '\n' >"/run/$name.json"
	report trained "$name $(cat "/run/$name.json")"
	# The files of the bitmap, the executable among them.
	{
		echo "$executable"
		tr ',{' '\n\n' <"/run/$name.json" | sed -n 's/^ *"path": *"\(\/.*\)".*/\1/p'
	} >"/run/$name.files"
}

with() {
	measure cold_with run $cold --repeat $REPEAT
	measure warm_with run
	measure with faults $cold
}

# What can be had at most: a bitmap of exactly what is touched, in the launcher's environment (its sys.rs).
exactly() {
	env -i PATH=/usr/bin:/bin HOME=/tmp LC_ALL=C.UTF-8 TERM=dumb \
		"$(command -v chroot)" /mnt /bench/pbitmap-tool train --cold -- "$@" >/run/trained 2>&1 || fail "$name: $(tail -n 3 /run/trained)"
	sync
}

exact() {
	program exactly
	measure cold_exact run $cold --repeat $REPEAT
}

# What is simplest: all of these files, whole.
whole() {
	measure cold_whole run $cold --whole "/run/$name.files"
}

make_disk
each without
if [ -e /bench/pbitmap.ko ]; then
	each annotate
	sync
	each unloaded
	mount -t debugfs debug /sys/kernel/debug 2>/dev/null
	mount -o bind /sys /mnt/sys
	mount -o bind /sys/kernel/debug /mnt/sys/kernel/debug
	insmod /bench/pbitmap.ko || fail "pbitmap.ko did not load: $(dmesg | tail -n 3)"
	each train
	each with
	each exact
	report_counters
	rmmod pbitmap || fail "pbitmap could not be unloaded"
	each whole
fi
dmesg | grep -E 'WARNING:|BUG:|Oops|EXT4-fs (error|warning)' && fail "the kernel complained"
