#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Files that a program reads, rather than maps, are recorded with it: those that
# everybody may read, the pages that were read; and so is the metadata that has to
# be read for it. The next cold start has all of that in memory before it asks. A
# machine on which nothing is recorded is not looked at.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 200

. "$(dirname "$0")/lib.sh"

module_load
set_sysctl reads 1
# (An access time is written when the program was, which a new bitmap does, and then the block with
# the inode is needed once more.)
scratch_mount '' noatime
mkdir -p "$MNT/data/deep/er"
mount_at "$MNT/proc" -t proc none
files=$MNT/data
d=/data

# As cold, and the journal is empty: what it still has to write stays in memory.
colder() {
	fsfreeze -f "$MNT"
	fsfreeze -u "$MNT"
	cold
}

put_file() { # NAME PAGES
	dd if=/dev/urandom of="$files/$1" bs=4096 count="$2" status=none
}

put_reader() { # NAME
	cp "$PBITMAP_HELPERS/reads" "$MNT/$1"
	annotate "$MNT/$1"
	program=$MNT/$1
}

pages_of() { # NAME - how many pages of the file the next start wants
	recorded_files "$program" | sed -n "s,^/data/$1 ,,p"
}

run() { # ITEM... - $fetched bytes came from the disk
	starts -r "$MNT" -- "${program#"$MNT"}" "$@"
	fetched=$output
	settle
	is "$case: status" 0 "$status"
}

put_file whole 64
put_file part 200
put_file deep/er/small 1
items=("$d/whole" "$d/part@100+3" "$d/part@190+1" "$d/deep/er/small")

is 'nothing is recorded: reads are looked at' 0 "$(counter reads_watched)"
cp "$PBITMAP_HELPERS/reads" "$MNT/plain"
chroot "$MNT" /plain "${items[@]}" >/dev/null
is 'a program without a bitmap runs: reads are looked at' 0 "$(counter reads_watched)"

case=first
put_reader reader
colder
mark
run "${items[@]}"
first=$fetched
at_least "$case: bytes that came from the disk" $((68 * 4096)) "$fetched"
is "$case: pages of what was read whole" 64 "$(pages_of whole)"
is "$case: pages of what was read in part" 4 "$(pages_of part)"
is "$case: the runs" '100 3 190 1' "$(tool show --pages --file "$d/part" "$program" | xargs)"
is "$case: pages of a small file" 1 "$(pages_of deep/er/small)"
is "$case: check" 0 "$(status_of tool check "$program")"

metadata_of() { recorded_files "$program" | awk '/^metadata:/ { sum += $2 } END { print sum + 0 }'; }

is "$case: show" 0 "$(status_of tool show "$program")"
at_least "$case: pages of metadata" 3 "$(metadata_of)"
at_most "$case: pages of metadata" 200 "$(metadata_of)"
for round in second third; do
	case=$round
	colder
	mark
	run "${items[@]}"
	at_most "$case: bytes that came from the disk, $first before" 4096 "$fetched"
	is "$case: refused" 0 "$(delta 'refused_*')"
done
is "$case: of the pages that were wanted, not touched" 0 "$(delta waste)"
note "pages of metadata: $(metadata_of)"

case='all in memory'
mark
run "${items[@]}"
is "$case: bytes that came from the disk" 0 "$fetched"
is "$case: pages asked for" 0 "$(delta pages_read)"
is "$case: unchanged" 1 "$(delta unchanged)"
at_least "$case: pages of metadata, as before" 3 "$(metadata_of)"

forget() {
	sync "$1"
	dd if="$1" iflag=nocache count=0 status=none
}

case='all in memory but one file'
forget "$files/part"
mark
run "${items[@]}"
is "$case: bytes that came from the disk" 0 "$fetched"
is "$case: pages asked for" 4 "$(delta pages_read)"

case='metadata alone'
put_reader names
names=()
for i in $(seq 0 15 285); do
	mkdir -p "$files/folders/$i"
	touch "$files/folders/$i/file"
	names+=("s:$d/folders/$i/file")
done
names+=("n:$d/folders/0" "n:$d/folders")
colder
run "${names[@]}"
before=$fetched
at_least "$case: bytes that came from the disk" $((20 * 4096)) "$before"
colder
run "${names[@]}"
at_most "$case: bytes that came from the disk the second time, $before before" 4096 "$fetched"
set_sysctl background 2
colder
run "${names[@]}"
at_most "$case: bytes that came from the disk, if threads read, $before before" $((before / 4)) "$fetched"
set_sysctl background 1
colder
set_sysctl reads 0
run "${names[@]}"
set_sysctl reads 1
at_least "$case: bytes that came from the disk when it is switched off" $((before / 2)) "$fetched"

case='in threads'
put_reader threads
names=()
for i in $(seq 8); do
	put_file "thread-$i" 20
	names+=("t:$d/thread-$i")
done
run "${names[@]}"
at_least "$case: pages, of 160" 100 "$(recorded_files "$program" | sed -n 's,.*/thread-[0-9]* ,,p' | awk '{ sum += $1 } END { print sum }')"

case='in threads, more than may be read'
set_sysctl background 2
set_sysctl max_pages 30
colder
mark
run "${names[@]}"
at_most "$case: pages asked for" 30 "$(delta pages_read)"
at_least "$case: pages asked for" 20 "$(delta pages_read)"
set_sysctl max_pages 65536
set_sysctl background 1

case='private'
put_reader private
put_file secret 10
chmod 600 "$files/secret"
mkdir -p "$files/closed/open"
put_file closed/open/bound 10
chmod 700 "$files/closed"
mount_at "$files/mounted" --bind "$files/closed/open"
run "M:$d/secret" "$d/secret" "M:$d/mounted/bound" "$d/mounted/bound" "M:$d/part@20+1"
is "$case: what everybody may read" 1 "$(pages_of part)"
is "$case: a file that not everybody may read" '' "$(pages_of secret)"
is "$case: a file in a folder that is closed elsewhere" '' "$(pages_of mounted/bound)"
chmod 700 "$program"
run "M:$d/secret" "M:$d/mounted/bound"
is "$case: a program that not everybody may read: mapped" '10 10' "$(pages_of secret) $(pages_of mounted/bound)"

case='mapped for a while'
put_reader maps
put_file mapped 1000
maps=("m:$d/mapped@96+1" "m:$d/mapped@500+40")
colder
run "${maps[@]}"
before=$fetched
at_least "$case: bytes that came from the disk" $((41 * 4096)) "$before"
is "$case: the runs, of what the kernel maps around a fault" '96 16 496 48' "$(tool show --pages --file "$d/mapped" "$program" | xargs)"
for round in second third; do
	case="mapped for a while, $round"
	colder
	mark
	run "${maps[@]}"
	at_most "$case: bytes that came from the disk, $before before" 4096 "$fetched"
	is "$case: of the pages that were wanted, not touched" 0 "$(delta waste)"
done
case='a small file, mapped for a while, wherever'
put_reader small-maps
put_file few 100
colder
run "m:$d/few@40+1"
at_least "$case: pages" 16 "$(pages_of few)"
at_most "$case: pages" 32 "$(pages_of few)"
for round in second third; do
	colder
	run "m:$d/few@40+1"
	at_most "$case: bytes that came from the disk, $round" 4096 "$fetched"
done

case='mapped until the end'
put_reader stays
colder
run "M:$d/mapped@96+1" "M:$d/part@20+1"
is "$case: the runs" '96 1' "$(tool show --pages --file "$d/mapped" "$program" | xargs)"
is "$case: the runs of another file" '20 1' "$(tool show --pages --file "$d/part" "$program" | xargs)"

case='many files'
put_reader many
names=()
mkdir "$files/many"
for i in $(seq 300); do
	echo "$i" >"$files/many/$i"
	names+=("$d/many/$i")
done
run "${names[@]}"
at_least "$case: files recorded, as far as there is room" 10 "$(recorded_files "$program" | grep -c /many/)"
at_most "$case: files recorded" 256 "$(recorded_files "$program" | grep -c /many/)"

case='many files, one of them not in memory and none of those that are looked at'
forget "$files/many/1"
mark
run "${names[@]}"
is "$case: pages asked for" 0 "$(delta pages_read)"
is "$case: bytes that came from the disk" 4096 "$fetched"

case='many files, cold'
colder
mark
run "${names[@]}"
at_least "$case: pages asked for" 10 "$(delta pages_read)"

case='a large file'
put_reader large
dd if=/dev/zero of="$files/large" bs=1M count=24 status=none
run "$d/large"
at_least "$case: pages" 2048 "$(pages_of large)"
at_most "$case: pages" 2080 "$(pages_of large)"

case='not for others'
put_reader others
put_file written 8
put_file secret 8
chmod 600 "$files/secret"
mkdir -m 700 "$files/private"
put_file private/open 8
run "w:$d/written" "$d/secret" "$d/private/open" "$d/whole"
is "$case: pages of a file that is open for writing" '' "$(pages_of written)"
is "$case: pages of a file that only its owner may read" '' "$(pages_of secret)"
is "$case: pages of a file in a folder that only its owner may enter" '' "$(pages_of private/open)"
is "$case: pages of another one" 64 "$(pages_of whole)"

case='changed'
put_reader changed
run "$d/whole"
put_file whole 70
colder
mark
run "$d/whole"
is "$case: refused, as another file" 1 "$(delta refused_library_changed)"
is "$case: pages afterwards" 70 "$(pages_of whole)"

case='after the window'
put_reader late
# (on a slow machine a start takes longer)
set_sysctl window_ms $((250 * PBITMAP_PATIENCE))
run "$d/whole" "msleep:$((1250 * PBITMAP_PATIENCE))" "$d/part"
set_sysctl window_ms 0
is "$case: pages of what was read before" 70 "$(pages_of whole)"
is "$case: pages of what was read after" '' "$(pages_of part)"

case='switched off'
put_reader off
set_sysctl reads 0
run "${items[@]}"
set_sysctl reads 1
is "$case: files recorded" '-' "$(recorded_files "$program" | cut -d' ' -f1 | xargs)"

# What somebody wrote who may write the program.
forge() { # RECORDS-ARGUMENT...
	cp "$PBITMAP_HELPERS/reads" "$MNT/forged"
	annotate --profile-by none --slot-size 1M "$MNT/forged"
	records "${@:1:$#-1}" "$MNT/forged" "${@: -1}" || broken "records $*"
	program=$MNT/forged
	colder
	mark
}
last=$(($(blockdev --getsize64 "$SCRATCH_DEV") / 4096 / 512 - 1))
case='forged: a part of the device'
forge -p 512 "metadata:1=$SCRATCH_DEV"
run s:/data
is "$case: refused" 0 "$(delta 'refused_*')"
at_least "$case: pages in memory" 512 "$(resident -c "$SCRATCH_DEV")"
case='forged: its end'
forge -p 512 "metadata:$last=$SCRATCH_DEV"
run s:/data
is "$case: refused" 0 "$(delta 'refused_*')"
case='forged: after its end'
forge -p 512 "metadata:9999999999999=$SCRATCH_DEV"
run s:/data
is "$case: refused" 0 "$(delta 'refused_*')"
at_most "$case: pages in memory" 300 "$(resident -c "$SCRATCH_DEV")"
case='forged: a hundred times the same'
forge -n 100 -p 512 "metadata:1=$SCRATCH_DEV"
run s:/data
at_most "$case: pages in memory" $((1024 + 300)) "$(resident -c "$SCRATCH_DEV")"
case='forged: larger than a part'
forge -p 1024 "metadata:1=$SCRATCH_DEV"
run s:/data
at_most "$case: pages in memory" 300 "$(resident -c "$SCRATCH_DEV")"
case='forged: another filesystem'
mkfs.ext4 -q -F "$EXTRA_DEV" 64M
forge -p 512 "metadata:1=$EXTRA_DEV"
run s:/data
is "$case: refused" 1 "$(delta refused_metadata_changed)"
at_most "$case: pages in memory" 300 "$(resident -c "$SCRATCH_DEV")"

case='at rest'
is "$case: reads are looked at right after a recording" 1 "$(counter reads_watched)"
for _ in $(seq $((90 * PBITMAP_PATIENCE))); do
	[ "$(counter reads_watched)" = 1 ] || break
	sleep 0.1
done
is "$case: reads are looked at" 0 "$(counter reads_watched)"

case='the module goes meanwhile'
put_reader loops
background chroot "$MNT" /loops "${items[@]}" loop:1000000
executes $! "$program"
is "$case: reads are looked at" 1 "$(counter reads_watched)"
sleep 0.3
holds "$case: rmmod" module_unload
