#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: suites-images.sh TREE BUILT DIRECTORY
#
# Makes the disks of suites.sh, as DIRECTORY/plain.img and annotated.img: the
# Debian in TREE with what suites-build.sh made in BUILT, as it is and with every
# program in it annotated. Runs inside the root. What is newer than what it is
# made from stays.

. "$(dirname "$0")/lib.sh"

tree=${1:?}
built=${2:?}
images=${3:?}
tool=/src/build/bin/pbitmap-tool
base=/run/suites
stamp=$(key "$tree" "$built" "$(sha256sum <$tool)" "$(cat "${BASH_SOURCE[0]}")")
if [ "$(cat "$images/stamp" 2>/dev/null)" = "$stamp" ]; then exit; fi

mkdir -p $base
mount -t tmpfs tmpfs $base
mkdir -p $base/root $base/upper/suites $base/work
cp -a "$built"/. $base/upper/suites/
mount -t overlay -o "lowerdir=$tree,upperdir=$base/upper,workdir=$base/work" overlay $base/root

image() { # NAME
	rm -f "$images/$1.img"
	truncate -s 4G "$images/$1.img"
	logged "$LOGS/suites-$1.log" mkfs.ext4 -q -F -O ^has_journal -d $base/root "$images/$1.img" ||
		die "the disk $1.img could not be made"
}

rm -f "$images/stamp"
say "making the guest's disks (half a minute)"
image plain
# Shared libraries and 32-bit programs are none of the module's.
find $base/root -xdev -type f -perm -100 -size +0 -print0 | xargs -0 file --no-pad --separator '|' |
	sed -nE 's/^([^|]*)\|.*ELF 64-bit LSB (pie )?executable.*/\1/p' >$base/programs
# (what it refuses it says in the log)
xargs -d '\n' $tool annotate --root $base/root --break-hard-links <$base/programs \
	>"$LOGS/suites-annotate.log" 2>&1 || true
annotated=0
while read -r program; do
	if $tool check "$program" >/dev/null 2>&1; then annotated=$((annotated + 1)); fi
done <$base/programs
say "annotated $annotated of $(wc -l <$base/programs) programs"
[ $annotated -ge 300 ] || die "too few programs could be annotated" "the whole log is $LOGS/suites-annotate.log"
echo "$annotated" >"$images/annotated"
sed "s|^$base/root||" $base/programs >$base/root/suites/programs
image annotated
echo "$stamp" >"$images/stamp"
