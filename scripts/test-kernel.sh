#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: test-kernel.sh kunit|debug
#
# Builds a kernel of our own for tests, from the stock kernel's source, and
# prints its build tree (as seen in the root). The cache keeps it until its
# source, compilers or configuration change. Minutes on 2 cores:
#
#   kunit   5: scripts/kunit.config, made by gcc: small, for the KUnit tests
#   debug  15: scripts/debug.config on top of that, made by clang: KASAN, lockdep,
#              kmemleak, injected failures. DIR/modules holds its /lib/modules.

. "$(dirname "$0")/lib.sh"

kernel=${1:-}
case $kernel in
kunit | debug) ;;
*)
	usage "$0"
	exit 2
	;;
esac

if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	exec "$SCRIPTS/in-root.sh" /src/scripts/test-kernel.sh "$@"
fi

. /etc/pbitmap-root
source=$("$SCRIPTS/prepare-kernel.sh" --print-source)
case $kernel in
kunit)
	fragments=("$SCRIPTS/kunit.config")
	compiler=(CC=gcc-14 HOSTCC=gcc-14)
	;;
debug)
	fragments=("$SCRIPTS/kunit.config" "$SCRIPTS/debug.config")
	compiler=(LLVM=-19)
	TOOLCHAIN+=$(dpkg-query -W -f '${Package}=${Version} ' clang-19 lld-19 llvm-19)
	;;
esac
# (an option that two fragments name is as the later says)
config=$(cat "${fragments[@]}" | awk -F = '/^CONFIG_/ { line[$1] = $0 } END { for (name in line) print line[name] }' | sort)

# every line of the fragments must have survived, or a test would be missing
check_config() {
	local line bad=0
	while read -r line; do
		case $line in
		CONFIG_*=n) if ! grep -q "^${line%=n}=" "$1"; then continue; fi ;;
		*) if grep -qx -- "$line" "$1"; then continue; fi ;;
		esac
		echo "test-kernel.sh: ${fragments[*]} ask for $line, but the kernel's configuration has not got it" >&2
		bad=1
	done <<<"$config"
	return $bad
}

build() {
	local tree=$1 log=$1/build.log
	if [ -e "$tree/complete" ]; then return; fi
	rm -rf "$tree"
	mkdir -p "$tree"
	say "building the $kernel kernel (5 to 15 minutes on 2 cores; log: $log)"
	local args=(-C "$source" O="$tree" "${compiler[@]}" LOCALVERSION="-$kernel")
	echo "$config" >"$tree/wanted.config"
	logged "$log" make "${args[@]}" KCONFIG_ALLCONFIG="$tree/wanted.config" allnoconfig ||
		die "the $kernel kernel's configuration could not be made"
	check_config "$tree/.config" ||
		die "options are asked for that cannot be set" \
			"see what they depend on: make -C $source O=$tree ${compiler[*]} menuconfig"
	logged "$log" make "${args[@]}" -j"$(nproc)" bzImage modules ||
		die "the $kernel kernel could not be built"
	logged "$log" make "${args[@]}" INSTALL_MOD_PATH="$tree/modules" modules_install ||
		die "the $kernel kernel's modules could not be installed"
	touch "$tree/complete"
	say "the $kernel kernel is ready"
}

tree=$CACHE/$kernel-$KERNEL_SERIES-$(key "$TOOLCHAIN" "$source" "$(declare -f build)" "${compiler[*]}" "$config")
if [ ! -e "$tree/complete" ]; then
	with_lock "${tree##*/}" build "$tree"
	keep_newest 3 "$kernel-*"
fi
touch "$tree"
echo "$tree"
