#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: build-module.sh [--name NAME] [KDIR] [-- MAKE-ARGUMENT...]
#
# Builds pbitmap.ko and prints its path, build/NAME/rust/pbitmap/pbitmap.ko.
#
# Without KDIR it is built for Debian's stock kernel, in the root, and NAME is
# "module". KDIR is any prepared kernel tree with CONFIG_RUST=y; the module is
# then built where this runs, with the compilers found there, which must be
# those that made the tree.
#
# Further arguments go to make: V=1, W=1, CLIPPY=1, rust-analyzer.

. "$(dirname "$0")/lib.sh"

name=module
if [ "${1:-}" = --name ]; then
	name=${2:?}
	shift 2
fi
kdir=
if [ $# -gt 0 ] && [ "$1" != -- ]; then
	kdir=$1
	shift
fi
if [ "${1:-}" = -- ]; then shift; fi

# Our own tree, made in the root, is used in the root.
if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	case $kdir in
	"" | /cache/*) exec "$SCRIPTS/in-root.sh" /src/scripts/build-module.sh --name "$name" $kdir -- "$@" ;;
	"$CACHE"/*)
		exec "$SCRIPTS/in-root.sh" /src/scripts/build-module.sh --name "$name" "/cache/${kdir#"$CACHE"/}" -- "$@"
		;;
	esac
fi

args=()
if [ -z "$kdir" ]; then kdir=$("$SCRIPTS/prepare-kernel.sh"); fi
if [ ! -e "$kdir/Makefile" ]; then
	die "$kdir is no kernel build tree" \
		"KDIR= must name one, such as the one that scripts/prepare-kernel.sh prints"
fi
if ! grep -qsx CONFIG_RUST=y "$kdir/include/config/auto.conf" "$kdir/.config"; then
	die "the kernel of $kdir is configured without Rust" "it needs CONFIG_RUST=y"
fi
if [ ! -e "$kdir/rust/libkernel.rmeta" ]; then
	die "$kdir has no Rust metadata (rust/libkernel.rmeta)" \
		"Distribution packages of kernel headers leave it out." \
		"For Debian's stock kernels scripts/prepare-kernel.sh makes a complete tree:" \
		"  make modules                                   in the project's own root" \
		"  scripts/prepare-kernel.sh --here DIR           on a Debian 13 host; prints the KDIR" \
		"For a kernel of your own: make LLVM=... rustavailable modules_prepare in its tree."
fi

# The compiler that made the tree.
compiler=$(sed -nE 's/^CONFIG_CC_VERSION_TEXT="(Debian )?([^ "]*).*/\2/p' "$kdir/include/config/auto.conf" "$kdir/.config" 2>/dev/null | head -n 1)
case $compiler in
*clang*)
	# (of the version that is in the tools' names: 190107 is clang-19)
	version=$(sed -nE 's/^CONFIG_CLANG_VERSION=([0-9]+)[0-9]{4}$/\1/p' "$kdir/include/config/auto.conf" "$kdir/.config" 2>/dev/null | head -n 1)
	if command -v "clang-$version" >/dev/null; then args+=(LLVM="-$version"); else args+=(LLVM=1); fi
	;;
aarch64-linux-gnu-*) args+=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC="$compiler") ;;
?*) if command -v "$compiler" >/dev/null; then args+=(CC="$compiler"); fi ;;
esac

# One build at a time in a place.
mkdir -p "$SRC/build"
out=$SRC/build/$name
exec 7>"$SRC/build/.lock-$name"
flock 7
# Objects of another tree are of no use.
if [ "$(cat "$out/.kdir" 2>/dev/null)" != "$kdir" ]; then
	rm -rf "$out"
	mkdir -p "$out"
	echo "$kdir" >"$out/.kdir"
fi
make --no-print-directory -C "$kdir" M="$SRC" MO="$out" "${args[@]}" -j"$(nproc)" "$@" >&2 7>&-
case " $* " in
*" clean "* | *" rust-analyzer "*) ;;
*) echo "$out/rust/pbitmap/pbitmap.ko" ;;
esac
