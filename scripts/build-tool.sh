#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: build-tool.sh [--host]
#
# Builds pbitmap-tool and prints its path, build/bin/pbitmap-tool: in the root,
# or with --host by this machine's cargo if that is new enough. Linked
# statically, so that it runs on any Debian, whatever built it.

. "$(dirname "$0")/lib.sh"

TARGET=x86_64-unknown-linux-gnu
OLDEST_RUST=1.85

host_cargo() {
	local version
	version=$(cd "$SRC" && cargo --version 2>/dev/null | cut -d' ' -f2) || return 1
	[ -n "$version" ] && printf '%s\n' "$OLDEST_RUST" "$version" | sort -VC
}

case ${1:-} in
--host)
	if [ -z "${PBITMAP_IN_ROOT:-}" ] && ! host_cargo; then
		say "no cargo of $OLDEST_RUST or newer here, so the tool is built in the project's root ('apt-get install cargo' does without)"
		"$SCRIPTS/check-env.sh"
		exec "$SCRIPTS/in-root.sh" /src/scripts/build-tool.sh
	fi
	;;
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
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
	cargo build --locked --release --package pbitmap-tool --target $TARGET >&2
mkdir -p build/bin
built=${CARGO_TARGET_DIR:-$SRC/target}/$TARGET/release/pbitmap-tool
# Replaced, not written into: a guest may be running the old one.
if ! cmp -s "$built" build/bin/pbitmap-tool; then
	cp "$built" build/bin/.pbitmap-tool.new
	mv build/bin/.pbitmap-tool.new build/bin/pbitmap-tool
fi
echo "$SRC/build/bin/pbitmap-tool"
