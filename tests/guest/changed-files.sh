#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The paths of libraries in a bitmap lead to what they lead to now: a library
# that was replaced, also while it is mapped, one that is gone, a FIFO, a device,
# a folder, a symbolic link, and what the caller may not read. None of it changes
# how the program runs, and each is skipped and counted.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
library=$(ldd "$PBITMAP_HELPERS/dynamic" | sed -n 's,.*=> \(/[^ ]*libc[^ ]*\) .*,\1,p')
loader=$(ldd "$PBITMAP_HELPERS/dynamic" | sed -n 's,^[[:space:]]*\(/[^ ]*\) .*,\1,p')
root=$MNT/root
mkdir -p "$root$(dirname "$library")" "$root$(dirname "$loader")" "$root/bin" "$root/tmp"
cp "$(realpath "$library")" "$root$library"
cp "$(realpath "$loader")" "$root$loader"
cp "$PBITMAP_HELPERS/dynamic" "$root/bin/dynamic"
annotate "$root/bin/dynamic"
cp "$root$library" "$WORK/library"

# start - one run that must go well
start() {
	mark
	starts -r "$root" -- /bin/dynamic 3
	settle
	[ "$output $status" = 'dynamic 3' ] || fail "$case: output and status: '$output $status'"
}

# changed WHAT COUNTER - after this a start refuses so
changed() {
	case=$1
	start
	is "$1: runs, and is counted" 1 "$(delta "refused_$2")"
}

back() {
	rm -rf "$root$library"
	cp -p "$WORK/library" "$root$library"
	for i in 1 2; do
		case=back
		start
	done
	is 'recorded again' 0 "$(delta 'refused_*')"
	holds 'the library is recorded' grep -q libc <(recorded_files "$root/bin/dynamic")
}

back
cp "$WORK/library" "$root$library.new"
mv "$root$library.new" "$root$library"
changed 'another file in its place' library_changed
start
is 'recorded anew: refused' 0 "$(delta 'refused_*')"
touch "$root$library"
changed 'another time of modification' library_changed

# Not with a program behind it: what exec resolves is not what the loader finds.
case='replaced while it is mapped'
cp "$WORK/library" "$root$library.new"
mkfifo "$WORK/input"
exec 7<>"$WORK/input"
chroot "$root" /bin/dynamic 0 wait <&7 >/dev/null &
jobs_started+=($!)
executes $! "$root/bin/dynamic"
for _ in $(seq $((100 * PBITMAP_PATIENCE))); do
	grep -q "$(basename "$library")" /proc/$!/maps && break
	sleep 0.02
done
mv "$root$library.new" "$root$library"
is "$case: it is" 1 "$(grep "$(basename "$library") (deleted)" /proc/$!/maps | head -n 1 | wc -l)"
echo >&7
wait $!
is "$case: status" 0 $?
settle
start
start
is "$case: settled" 0 "$(delta 'refused_*')"

# The loader looks in ld.so.cache or elsewhere; a second place keeps the program running.
mkdir -p "$root/usr/lib/x86_64-linux-gnu" "$root/lib64"
elsewhere=$root/lib64/$(basename "$library")
back
for what in gone fifo device folder link; do
	cp "$WORK/library" "$elsewhere"
	rm -rf "$root$library"
	case $what in
	fifo) mkfifo "$root$library" ;;
	device) mknod "$root$library" c 1 5 ;;
	folder) mkdir "$root$library" ;;
	link) ln -s "$elsewhere" "$root$library" ;;
	esac
	case="a $what in its place"
	mark
	# (What the loader makes of it is its own affair: of a FIFO it waits for the other end.)
	timeout 3 launch -r "$root" -o "$WORK/launch" -- /bin/dynamic 3 >/dev/null 2>&1
	pkill -KILL -x dynamic
	settle
	at_least "$case: counted" 1 "$(delta refused_library_gone refused_library_changed refused_library_filesystem)"
	rm -rf "$root$library" "$elsewhere"
	back
done

# Whom the library is not for.
chmod 711 "$root/bin"
back
chmod 600 "$root$library"
case='not readable for the caller'
mark
launch -r "$root" -u 1000 -o "$WORK/launch" -- /bin/dynamic 3 >/dev/null 2>&1
settle
at_least "$case: counted" 1 "$(delta refused_library_unreadable)"
chmod 755 "$root$library"

# Somebody wants to be asked before it is opened, and does not answer: the loader
# waits for that, the module does not.
back
put_back /proc/sys/fs/lease-break-time
echo 2 >/proc/sys/fs/lease-break-time
cold
background lease write "$root$library" keep >"$WORK/lease"
for _ in $(seq 200); do
	grep -q held "$WORK/lease" && break
	sleep 0.01
done
changed 'under a lease' busy
kill -9 "${jobs_started[-1]}"

# Unmounting and unloading in between.
back
cold
start
holds 'umount right after a cold start' umount "$MNT"
