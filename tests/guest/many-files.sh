#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# A program that maps ninety files, and some that are not for a bitmap: deleted,
# in memory, mapped for writing. In a mount namespace where the paths are others,
# nothing is found and nothing goes wrong.
#
# needs: module tool
# smp: 1
# mem: 1G
# timeout: 120

. "$(dirname "$0")/lib.sh"

module_load
scratch_mount
use_real_files "$MNT"
mkdir -p "$MNT/files" "$MNT/dev/shm"
for i in $(seq 90); do head -c 40000 /dev/urandom >"$MNT/files/$i"; done
head -c 40000 /dev/urandom >"$MNT/files/shared"
head -c 40000 /dev/urandom >"$MNT/files/deleted"
mount_at "$MNT/dev/shm" -t tmpfs tmpfs
head -c 40000 /dev/urandom >"$MNT/dev/shm/memory"
cat >"$MNT/files/map.py" <<'P'
import mmap, os

def touch(path, mode=os.O_RDONLY, **how):
    file = os.open(path, mode)
    mapped = mmap.mmap(file, 0, **how)
    mapped[0], mapped[20000]
    return mapped

kept = [touch(f"/files/{i}", prot=mmap.PROT_READ) for i in range(1, 91)]
kept.append(touch("/files/shared", os.O_RDWR, flags=mmap.MAP_SHARED))
kept.append(touch("/dev/shm/memory", prot=mmap.PROT_READ))
if os.path.exists("/files/deleted"):
    kept.append(touch("/files/deleted", prot=mmap.PROT_READ))
    os.unlink("/files/deleted")
print(len(kept) > 91, flush=True)
os._exit(0)
P
python=$(realpath /usr/bin/python3)
annotate --profile-by script --slot-size 256K "$MNT$python"
starts -r "$MNT" -- "$python" -B /files/map.py
settle
is 'output and status' 'True 0' "$output $status"
files=$(recorded_files "$MNT$python")
is 'files of the ninety that are recorded' 90 "$(grep -cE '^/files/[0-9]+ ' <<<"$files")"
is 'pages of one of them' '/files/7 2' "$(grep '^/files/7 ' <<<"$files")"
for not in shared deleted memory; do
	is "recorded of the file $not" 0 "$(grep -c "/$not " <<<"$files")"
done
cold
chroot "$MNT" /usr/bin/true
mark
starts -r "$MNT" -- "$python" -B /files/map.py
settle
is 'second start: output and status' 'True 0' "$output $status"
at_most 'second start: major faults' 6 "$majflt"
is 'second start: refused' 0 "$(delta 'refused_*')"
note "$(grown)"

# The same executable where the libraries' paths lead nowhere: outside of its root.
cold
mark
starts -- "$MNT$python" -I -S -B -c 'print(1)'
settle
is 'outside of its root: output and status' '1 0' "$output $status"
at_least 'outside of its root: nothing is read' 1 "$(delta 'refused_library_*')"

# A mount namespace whose paths differ.
mkdir "$MNT/other"
echo 'print(2)' >"$MNT/other/map.py"
cold
mark
# shellcheck disable=SC2016 # expanded inside
output=$(unshare -m bash -c 'mount --bind "$1/other" "$1/files" && chroot "$1" "$2" -B /files/map.py' - "$MNT" "$python")
settle
is 'in another mount namespace: output' 2 "$output"
note "$(grown)"
at_least 'in another mount namespace: refused' 1 "$(delta refused_library_gone)"
is 'check' 0 "$(status_of tool check "$MNT$python")"
