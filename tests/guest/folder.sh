#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Programs that cannot be written, on read-only, compressed and stacked filesystems:
# the bitmap that came with them is used, and what is recorded goes to the folder
# vm.pbitmap_dir, or nowhere; nothing is ever copied up.
#
# needs: module tool loop squashfs erofs overlay
# smp: 1
# mem: 1G
# timeout: 180

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
exact_faults
chmod 755 "$WORK" "$MNT"
DIR=$MNT/bitmaps
mkdir -m 755 "$DIR" "$MNT/tree" "$MNT/tree/bin" "$MNT/upper" "$MNT/work"
work=(t:0-1500/50 r:0-700/50 sum exit:7)
other=(t:1-1400/40 sum exit:7)
touched=46
expected="$("$PBITMAP_HELPERS/pages" "${work[@]}") 7"
build_id=$(readelf -n "$PBITMAP_HELPERS/pages" | sed -n 's/.*Build ID: //p')

cp "$PBITMAP_HELPERS/pages" "$MNT/tree/bin/pages"
annotate "$MNT/tree/bin/pages"
cp "$PBITMAP_HELPERS/pages" "$MNT/tree/bin/attribute"
annotate --store=xattr "$MNT/tree/bin/attribute"

# where NAME FILE - on a filesystem that cannot be written
where() {
	local name=$1 file=$2 before first
	before=$(bytes_of "$file")
	rm -f "$DIR"/*

	set_sysctl dir ''
	mark
	starts -- "$file" "${work[@]}"
	settle
	is "$name: output and status" "$expected" "$output $status"
	is "$name, no folder: used, written" '1 0' "$(delta used) $(delta writes)"
	at_least "$name, no folder: refused" 1 "$(delta refused_read_only refused_filesystem)"

	set_sysctl dir "$DIR"
	cold
	mark
	starts -- "$file" "${work[@]}"
	first=$majflt
	settle
	is "$name: output and status of the first run" "$expected" "$output $status"
	is "$name: recorded, written to the folder, refused" '1 1 0' \
		"$(delta recordings) $(delta writes_folder) $(delta 'refused_*')"
	is "$name: the folder" "root root 600 $build_id.pbitmap" "$(stat -c '%U %G %a %n' "$DIR"/* | sed "s,$DIR/,,")"
	cold
	mark
	starts -- "$file" "${work[@]}"
	settle
	is "$name: output and status of the second run" "$expected" "$output $status"
	is "$name: found in the folder" 1 "$(delta used_folder)"
	at_least "$name: pages read ahead" $touched "$(delta pages_read)"
	at_most "$name: major faults of the second run, $first before" $((first / 10)) "$majflt"
	is "$name: written again, unchanged" '0 1' "$(delta writes) $(delta unchanged)"
	# In turns, each time the other slot.
	for _ in 1 2 3; do
		mark
		"$file" "${other[@]}" >/dev/null
		settle
		is "$name: other pages: written to the folder" 1 "$(delta writes_folder)"
		mark
		"$file" "${work[@]}" >/dev/null
		settle
		is "$name: and back: written to the folder" 1 "$(delta writes_folder)"
	done
	is "$name: the file" "$before" "$(bytes_of "$file")"
}

mount_at "$WORK/ro" --bind "$MNT/tree"
mount -o remount,bind,ro "$WORK/ro"
where 'a read-only mount' "$WORK/ro/bin/pages"
where 'a read-only mount, attribute' "$WORK/ro/bin/attribute"

mksquashfs "$MNT/tree" "$MNT/squashfs" -quiet -no-progress >"$WORK/mk.log" 2>&1 || broken "mksquashfs: $(tail -n 2 "$WORK/mk.log")"
mount_at "$WORK/squashfs" -t squashfs -o loop,ro "$MNT/squashfs"
where squashfs "$WORK/squashfs/bin/pages"
where 'squashfs, attribute' "$WORK/squashfs/bin/attribute"

mkfs.erofs --quiet "$MNT/erofs" "$MNT/tree" >"$WORK/mk.log" 2>&1 || broken "mkfs.erofs: $(tail -n 2 "$WORK/mk.log")"
mount_at "$WORK/erofs" -t erofs -o loop,ro "$MNT/erofs"
where erofs "$WORK/erofs/bin/pages"

mount_at "$WORK/overlay" -t overlay -o "lowerdir=$WORK/squashfs:$MNT/tree,upperdir=$MNT/upper,workdir=$MNT/work" overlay
where 'overlay over squashfs' "$WORK/overlay/bin/pages"
where 'overlay over squashfs, attribute' "$WORK/overlay/bin/attribute"
is 'overlay: nothing was copied up' '' "$(find "$MNT/upper" -mindepth 1)"

# Without a build id there is no name for it.
cp "$PBITMAP_HELPERS/pages" "$MNT/tree/bin/nameless"
objcopy --remove-section=.note.gnu.build-id "$MNT/tree/bin/nameless"
annotate "$MNT/tree/bin/nameless"
mark
starts -- "$WORK/ro/bin/nameless" "${work[@]}"
settle
is 'no build id: output and status' "$expected" "$output $status"
is 'no build id: written, refused with the reason' '0 1' "$(delta writes) $(delta refused_no_build_id)"

# Who may.
file=$WORK/ro/bin/pages
mark
starts -u 1000 -- "$file" "${other[@]}"
settle
is 'another user: used from the folder, written' '1 0' "$(delta used_folder) $(delta writes)"
is 'another user: refused with the reason' 1 "$(delta refused_not_writable)"

# A folder or file that somebody else could have written is not read.
unsafe() { # WHAT
	mark
	starts -- "$file" "${other[@]}"
	settle
	is "$1: used from the folder, written" '0 0' "$(delta used_folder) $(delta writes)"
	at_least "$1: refused with the reason" 1 "$(delta refused_folder_unsafe)"
}
chmod 777 "$DIR"
unsafe 'a folder that all may write'
chmod 755 "$DIR"
chown 1000 "$DIR"
unsafe "a user's folder"
chown 0 "$DIR"
chmod 666 "$DIR/$build_id.pbitmap"
unsafe 'a file that all may write'
chmod 600 "$DIR/$build_id.pbitmap"
mv "$DIR/$build_id.pbitmap" "$WORK/kept"
ln -s "$WORK/kept" "$DIR/$build_id.pbitmap"
unsafe 'a link'
rm "$DIR/$build_id.pbitmap"
mkdir "$DIR/$build_id.pbitmap"
mark
starts -- "$file" "${work[@]}"
settle
is 'a folder in its place: output and status, written' "$expected 0" "$output $status $(delta writes)"
rmdir "$DIR/$build_id.pbitmap"

# Anything may stand in it; then it is made anew.
anew() { # WHAT
	mark
	starts -- "$file" "${work[@]}"
	settle
	is "$1: output and status" "$expected" "$output $status"
	is "$1: used from the folder, written" '0 1' "$(delta used_folder) $(delta writes_folder)"
	mark
	"$file" "${work[@]}" >/dev/null
	settle
	is "$1: and then used" 1 "$(delta used_folder)"
}
: >"$DIR/$build_id.pbitmap"
anew 'an empty file'
head -c 5000 /dev/urandom >"$DIR/$build_id.pbitmap"
anew 'random bytes'
truncate -s 3M "$DIR/$build_id.pbitmap"
anew 'a file that is too long'
truncate -s 100 "$DIR/$build_id.pbitmap"
anew 'a file that was cut off'

# A later bitmap that travels with the program.
date -s '+1 hour' >/dev/null
"$MNT/tree/bin/pages" "${other[@]}" >/dev/null
settle
mark
starts -- "$file" "${work[@]}"
settle
is 'a later bitmap travels with the program: used from the folder' 0 "$(delta used_folder)"
mark
starts -- "$file" "${work[@]}"
settle
is 'and what is then recorded is the latest again' 1 "$(delta used_folder)"
date -s '-1 hour' >/dev/null

# Folders that are not there, or are none.
for dir in /nowhere /proc/self "$DIR/$build_id.pbitmap" /dev/null; do
	set_sysctl dir "$dir"
	mark
	starts -- "$file" "${other[@]}"
	settle
	is "vm.pbitmap_dir=$dir: status, used from there, written" '7 0 0' "$status $(delta used_folder) $(delta writes)"
done
