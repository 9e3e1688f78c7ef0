#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# An overlay that a user has put together, in namespaces of his own: its files may
# have their data in another layer, where it is missing. Looking for it the kernel
# complains, or waits for who does not answer; the module does not look.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 100

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
mkdir "$MNT/names" "$MNT/data" "$MNT/layers"
dd if=/dev/urandom of="$MNT/data/elsewhere" bs=4096 count=64 status=none
dd if=/dev/urandom of="$MNT/names/plain" bs=4096 count=64 status=none
truncate -s $((64 * 4096)) "$MNT/names/split"
setfattr -n user.overlay.metacopy -v '' "$MNT/names/split"
setfattr -n user.overlay.redirect -v /elsewhere "$MNT/names/split"
cp "$PBITMAP_HELPERS/reads" "$MNT/reader"
annotate "$MNT/reader"

# run ITEM... - in the namespaces, where the names of the layers are known already
run() {
	mark
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare -Urm bash -c '
		mount -t overlay -o "lowerdir=$1/names::$1/data,userxattr" overlay "$1/layers" || exit 101
		stat "$1/layers/plain" "$1/layers/split" >/dev/null
		exec "${@:2}"' - "$MNT" "$MNT/reader" "$@" >"$WORK/out" 2>&1
	status=$?
	settle
}

items=("M:$MNT/layers/plain" "M:$MNT/layers/split")
for round in first second third; do
	run "${items[@]}"
	is "$round: status" 0 "$status"
done
is 'used' 1 "$(delta used)"
is 'recorded: a file of one layer' 64 "$(recorded_files "$MNT/reader" | sed -n "s,$MNT/layers/plain ,,p")"
is 'recorded: a file of two layers' 64 "$(recorded_files "$MNT/reader" | sed -n "s,$MNT/layers/split ,,p")"

# (The kernel complains here if its data is looked for.)
mv "$MNT/data/elsewhere" "$MNT/data/gone"
run "msleep:1"
is 'no data: status' 0 "$status"
is 'no data: used' 1 "$(delta used)"
run "M:$MNT/layers/split"
at_least 'no data, and it is used: status' 1 "$status"
