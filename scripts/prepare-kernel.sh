#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: prepare-kernel.sh [--print-source]
#        prepare-kernel.sh --here DIR [RELEASE]
#
# Makes the tree that a Rust module for Debian's stock kernel is built against,
# and prints its path (`make modules` uses it, or give it as KDIR=). Debian's
# header packages lack the Rust metadata (rust/*.rmeta and *.so), so the tree is
# prepared from the same source, configuration and compilers: the result fits
# the stock kernel.
#
# Without options it works in the root (in-root.sh), and the cache keeps the
# tree; a path under /cache is then as seen from inside. --print-source prints
# the unpacked source instead (checkpatch.pl is there).
#
# --here works on this very machine, which must be Debian 13, for RELEASE
# (default: the running kernel), and makes the tree in DIR, with the source in
# DIR-source beside it; both anew when kernel or compiler have changed since. What
# it needs is named when it is missing. Rust code fits only what was compiled by
# the same rustc, and so this must be the one that made the stock kernel.

. "$(dirname "$0")/lib.sh"

OLDEST=7.2

print_source=
here=
case ${1:-} in
--here)
	here=${2:?--here needs a directory}
	release=${3:-$(uname -r)}
	;;
--print-source) print_source=yes ;;
"") ;;
*)
	usage "$0"
	exit 2
	;;
esac

if [ -z "$here" ] && [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	exec "$SCRIPTS/in-root.sh" /src/scripts/prepare-kernel.sh "$@"
fi

# unpack SERIES DIR - the kernel's source
unpack() {
	if [ -e "$2/Makefile" ]; then return; fi
	say "unpacking the source of Linux $1"
	rm -rf "$2.new"
	mkdir -p "$2.new"
	tar -C "$2.new" --strip-components=1 -xf "/usr/src/linux-source-$1.tar.xz"
	mv "$2.new" "$2"
}

# prepare RELEASE SOURCE TREE - configure, and build what modules need.
# Module.symvers is copied last: a tree that has it is whole. (Not made under
# another name and moved: the tree's own files name it.)
prepare() {
	local release=$1 source=$2 tree=$3
	if [ -e "$tree/Module.symvers" ]; then return; fi
	rm -rf "$tree"
	mkdir -p "$tree"
	cp "/usr/src/linux-headers-$release/.config" "$tree/.config"
	say "preparing the tree of Linux $release (about a minute; log: $tree/prepare.log)"
	local version log=$tree/prepare.log args
	version=$(make -s -C "$source" kernelversion)
	args=(-C "$source" O="$tree" HOSTCC=gcc-14 LOCALVERSION="${release#"$version"}")
	case $release,$(uname -m) in
	*arm64*,x86_64) args+=(ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-14) ;;
	*) args+=(CC=gcc-14) ;;
	esac
	logged "$log" make "${args[@]}" olddefconfig ||
		die "the kernel's configuration could not be made"
	grep -qx CONFIG_RUST=y "$tree/.config" ||
		die "Linux $release is configured without Rust here" \
			"'make -C $source O=$tree rustavailable' says what is missing"
	logged "$log" make "${args[@]}" -j"$(nproc)" modules_prepare ||
		die "the kernel tree could not be prepared"
	[ "$(cat "$tree/include/config/kernel.release")" = "$release" ] ||
		die "the prepared tree calls itself $(cat "$tree/include/config/kernel.release"), not $release"
	cp "/usr/src/linux-headers-$release/Module.symvers" "$tree/symvers"
	mv "$tree/symvers" "$tree/Module.symvers"
}

# installed_version PACKAGE - nothing if it is not installed. (While an upgrade runs,
# at the end of which DKMS builds, its files are there before it is configured.)
installed_version() {
	dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null |
		sed -En 's/^(installed|unpacked|half-configured|triggers-[a-z]*) //p'
}

# check_packages SERIES RELEASE - is all there that a tree is made from, and of one piece?
check_packages() {
	local series=$1 release=$2 package missing=() has needs
	for package in bc bindgen bison cpio dwarves flex gcc-14 kmod libelf-dev libssl-dev make \
		python3 rsync rust-src rustc xz-utils \
		"linux-source-$series" "linux-headers-$release"; do
		[ -n "$(installed_version "$package")" ] || missing+=("$package")
	done
	if [ ${#missing[@]} -gt 0 ]; then
		# Not with -t trixie-backports, which has a rustc that is too new.
		die "packages are missing on this machine; type" \
			"apt-get install --no-install-recommends ${missing[*]}" \
			"(the kernel's are in trixie-backports, if apt does not find them)"
	fi
	needs=$(installed_version "linux-headers-$release")
	has=$(installed_version "linux-source-$series")
	[ "$has" = "$needs" ] ||
		die "linux-source-$series is of version $has, the kernel $release of $needs" \
			"apt-get install linux-source-$series=$needs" \
			"or, if the archive no longer has that: upgrade the kernel, restart, and try again"
	needs=$(sed -n 's/^CONFIG_RUSTC_VERSION_TEXT="\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' \
		"/usr/src/linux-headers-$release/include/config/auto.conf")
	[ -n "$needs" ] ||
		die "Linux $release is configured without Rust" "Debian's kernels have CONFIG_RUST=y from $OLDEST on"
	has=$(rustc --version)
	[ "${has%% (built*}" = "${needs%% (built*}" ] ||
		die "Linux $release was made by ${needs%% (*}; this machine has ${has%% (*}" \
			"apt-get install --allow-downgrades rustc/trixie libstd-rust-dev/trixie rust-src/trixie"
}

# remove_old DIR MARK STAMP - make way for what is to be made in DIR, unless it has
# this stamp. Only a directory with our MARK in it is removed.
remove_old() {
	if [ "$(cat "$1/.pbitmap" 2>/dev/null)" = "$3" ]; then return; fi
	if [ -n "$(ls -A "$1" 2>/dev/null)" ] && [ ! -e "$1/$2" ]; then
		die "$1 is there already, and this script did not make it" \
			"give --here a directory that does not exist"
	fi
	rm -rf --one-file-system "$1"
}

prepare_here() {
	local series version stamp source
	series=$(echo "$release" | grep -oE '^[0-9]+\.[0-9]+') ||
		die "'$release' is no kernel release" "it should be one like 7.2.12+deb13-amd64"
	printf '%s\n' "$OLDEST" "$series" | sort -VC ||
		die "Linux $release has no Rust that the module could use" \
			"it needs $OLDEST or newer: apt-get install -t trixie-backports linux-image-amd64"
	check_packages "$series" "$release"
	here=$(realpath -m "$here")
	source=$here-source
	version=$(installed_version "linux-source-$series")
	stamp="$release $version $(rustc --version)"
	remove_old "$here" prepare.log "$stamp"
	remove_old "$source" .pbitmap "$version"
	if [ ! -e "$source" ]; then
		rm -rf "$source.part"
		unpack "$series" "$source.part"
		echo "$version" >"$source.part/.pbitmap"
		mv "$source.part" "$source"
	fi
	prepare "$release" "$source" "$here"
	echo "$stamp" >"$here/.pbitmap"
	echo "$here"
}

if [ -n "$here" ]; then
	prepare_here
	exit
fi

. /etc/pbitmap-root
source_version=$(dpkg-query -W -f '${Version}' "linux-source-$KERNEL_SERIES")
source=$CACHE/linux-source-$(key "$source_version" "$(declare -f unpack)")
tree=$CACHE/linux-$KERNEL_RELEASE-$(key "$TOOLCHAIN" "$source" "$(declare -f prepare)")

if [ ! -e "$source/Makefile" ]; then
	with_lock "${source##*/}" unpack "$KERNEL_SERIES" "$source"
	keep_newest 3 'linux-source-*'
fi
touch "$source"
if [ -n "$print_source" ]; then
	echo "$source"
	exit
fi
if [ ! -e "$tree/Module.symvers" ]; then
	with_lock "${tree##*/}" prepare "$KERNEL_RELEASE" "$source" "$tree"
	keep_newest 6 'linux-[0-9]*'
fi
touch "$tree"
echo "$tree"
