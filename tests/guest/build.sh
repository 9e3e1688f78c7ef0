#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: build.sh OUTDIR
#
# Compiles the helper programs of the guest tests into OUTDIR: static, so that
# they start fast and bring no library into the page cache; and packs the
# programs that the guest is to have in memory (see hot-files.sh). What is newer
# than its sources stays.

set -euo pipefail

if [ $# != 1 ]; then
	sed -n '4s/^# //p' "$0" >&2
	exit 2
fi
here=$(dirname "$(realpath "$0")")
mkdir -p "$1"
out=$(realpath "$1")
make --no-print-directory -s -C "$here/helpers" OUT="$out"

# shellcheck source=hot-files.sh
. "$here/hot-files.sh"
hot=$out/hot-files.tar
if [ ! -e "$hot" ] || [ "$here/hot-files.sh" -nt "$hot" ] || [ /var/lib/dpkg/status -nt "$hot" ]; then
	pack_hot_files "$hot"
fi

# shellcheck source=real-files.sh
. "$here/real-files.sh"
real=$out/real-programs.tar
if [ ! -e "$real" ] || [ "$here/real-files.sh" -nt "$real" ] || [ /var/lib/dpkg/status -nt "$real" ]; then
	pack_real_files "$out"
fi
