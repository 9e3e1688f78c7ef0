#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: build-tool.sh [--host]
#
# Builds pbitmap-tool and prints its path, build/bin/pbitmap-tool: in the root,
# or with --host by this machine's cargo.

. "$(dirname "$0")/lib.sh"

case ${1:-} in
--host) ;;
"")
	if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
		exec "$SCRIPTS/in-root.sh" /src/scripts/build-tool.sh
	fi
	;;
*)
	usage "$0"
	exit 2
	;;
esac

cd "$SRC"
cargo build --locked --release --package pbitmap-tool >&2
mkdir -p build/bin
target=${CARGO_TARGET_DIR:-$SRC/target}
# Replaced, not written into: a guest may be running the old one.
if ! cmp -s "$target/release/pbitmap-tool" build/bin/pbitmap-tool; then
	cp "$target/release/pbitmap-tool" build/bin/.pbitmap-tool.new
	mv build/bin/.pbitmap-tool.new build/bin/pbitmap-tool
fi
echo "$SRC/build/bin/pbitmap-tool"
