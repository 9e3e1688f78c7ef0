#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: build.sh OUTDIR
#
# Compiles the helper programs of the guest tests into OUTDIR: static, so that
# they start fast and bring no library into the page cache. What is newer than
# its sources stays.

set -euo pipefail

if [ $# != 1 ]; then
	sed -n '4s/^# //p' "$0" >&2
	exit 2
fi
mkdir -p "$1"
exec make --no-print-directory -s -C "$(dirname "$0")/helpers" OUT="$(realpath "$1")"
