# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What every script here shares: where things are kept, how progress and
# errors are said, locks and keys. Sourced, never run.
#
# Environment:
#   XDG_CACHE_HOME   the cache is $XDG_CACHE_HOME/pbitmap (default ~/.cache/pbitmap)
#   KVER             kernel series, release or flavour: 7.2, 7.3, 7.2.9, 7.2-rt (default: see
#                    root-kernel.sh)

set -euo pipefail

SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
SRC=$(dirname "$SCRIPTS")

# Inside the root the same directories are always found at the same places, so
# that what is built there does not depend on where the checkout lies.
if [ -n "${PBITMAP_IN_ROOT:-}" ]; then
	CACHE=/cache
else
	CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/pbitmap
fi

: "${PBITMAP_START:=$(date +%s)}"
export PBITMAP_START

# say TEXT... - one progress line with the time since the first script began
say() {
	printf '[%4ds] %s\n' "$(($(date +%s) - PBITMAP_START))" "$*" >&2
}

# die TEXT [WHAT TO DO NEXT]... - the first line says what is wrong
die() {
	printf '%s: error: %s\n' "${0##*/}" "$1" >&2
	shift
	for line in "$@"; do printf '  %s\n' "$line" >&2; done
	exit 1
}

# usage SCRIPT - print the comment block at its head
usage() {
	sed -n '2,/^[^#]/{/^#/!q;s/^# \{0,1\}//;/SPDX/d;p}' "$1"
}

# key TEXT... - a short hash of its arguments
key() {
	printf '%s\0' "$@" | sha256sum | cut -c1-12
}

# with_lock NAME CMD... - run CMD while no one else holds NAME
with_lock() {
	local name=$1
	shift
	mkdir -p "$CACHE/locks"
	(
		if ! flock -n 9; then
			say "waiting for another run that is busy with $name"
			flock 9
		fi
		"$@" 9>&-
	) 9>"$CACHE/locks/$name"
}

# logged LOG CMD... - run CMD with its output in LOG; show the end if it fails
logged() {
	local log=$1
	shift
	mkdir -p "$(dirname "$log")"
	if ! "$@" >"$log" 2>&1 </dev/null; then
		printf -- '--- the last lines of %s ---\n' "$log" >&2
		tail -n "${LOG_TAIL:-30}" "$log" >&2
		return 1
	fi
}

# keep_newest COUNT PATTERN - of the cache's directories of that name, remove all
# but those used last. (Whoever uses one touches it.)
keep_newest() {
	find "$CACHE" -maxdepth 1 -name "$2" -type d -printf '%T@ %p\n' | sort -rn |
		awk -v keep="$1" 'NR > keep { print $2 }' |
		while read -r old; do
			say "removing what was not used for long: $old"
			flock -n "$old" rm -rf --one-file-system "$old" || true
		done
}

# The log directory: beside the checkout's other results.
LOGS=$SRC/build/logs

# source_files PATTERN - the checkout's files of that name, without what was built
source_files() {
	find . \( -name build -o -name target -o -name .git -o -name work \) -prune \
		-o -name "$1" -type f -print | sort
}
