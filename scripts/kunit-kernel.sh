#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: kunit-kernel.sh
#
# Builds the kernel that runs the KUnit tests, from the stock kernel's source
# and scripts/kunit.config, and prints its build tree (as seen in the root).
# The cache keeps it until its source, compilers or configuration change:
# 5 minutes on 2 cores.

. "$(dirname "$0")/lib.sh"

if [ -z "${PBITMAP_IN_ROOT:-}" ]; then
	exec "$SCRIPTS/in-root.sh" /src/scripts/kunit-kernel.sh "$@"
fi

config=$SCRIPTS/kunit.config
. /etc/pbitmap-root
source=$("$SCRIPTS/prepare-kernel.sh" --print-source)

# every line of the fragment must have survived, or a test would be missing
check_config() {
	local line bad=0
	while read -r line; do
		case $line in
		CONFIG_*=n) if ! grep -q "^${line%=n}=" "$1"; then continue; fi ;;
		CONFIG_*) if grep -qx -- "$line" "$1"; then continue; fi ;;
		*) continue ;;
		esac
		echo "kunit-kernel.sh: $config asks for $line, but the kernel's configuration has not got it" >&2
		bad=1
	done <"$config"
	return $bad
}

build() {
	local tree=$1 log=$1/build.log
	if [ -e "$tree/complete" ]; then return; fi
	rm -rf "$tree"
	mkdir -p "$tree"
	say "building the KUnit kernel (5 minutes on 2 cores; log: $log)"
	local args=(-C "$source" O="$tree" CC=gcc-14 HOSTCC=gcc-14 LOCALVERSION=-kunit)
	logged "$log" make "${args[@]}" KCONFIG_ALLCONFIG="$config" allnoconfig ||
		die "the KUnit kernel's configuration could not be made"
	check_config "$tree/.config" ||
		die "scripts/kunit.config names options that cannot be set" \
			"see what they depend on: make -C $source O=$tree menuconfig"
	logged "$log" make "${args[@]}" -j"$(nproc)" bzImage modules ||
		die "the KUnit kernel could not be built"
	touch "$tree/complete"
	say "the KUnit kernel is ready"
}

tree=$CACHE/kunit-$KERNEL_SERIES-$(key "$TOOLCHAIN" "$source" "$(declare -f build)" \
	"$(grep '^CONFIG_' "$config" | sort)")
if [ ! -e "$tree/complete" ]; then
	with_lock "${tree##*/}" build "$tree"
	keep_newest 3 'kunit-*'
fi
touch "$tree"
echo "$tree"
