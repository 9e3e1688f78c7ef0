# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
#
# What demo.sh and overhead.sh share: what they build, and where. Sourced after
# lib.sh, never run.

# How many unpacked Debians are kept for later demos.
KEEP_TREES=24

# bench_begin - the root, and a directory of this checkout's own for images.
# Sets: root work
bench_begin() {
	if [ "$(id -u)" != 0 ]; then
		die "the bench has to be run as root" "run the same command with sudo, or as root"
	fi
	root=$("$SCRIPTS/build-root.sh")
	work=$CACHE/bench/work-$(key "$SRC")
	mkdir -p "$work" "$SRC/build"
	# One run at a time: they share that directory, and would share the processors.
	exec 7>"$work/lock"
	if ! flock -n 7; then
		say "waiting for another bench of this checkout"
		flock 7
	fi
}

# bench_inside PATH - the same path as seen inside the root
bench_inside() {
	case $1 in
	"$CACHE"/*) echo "/cache/${1#"$CACHE"/}" ;;
	"$SRC"/*) echo "/src/${1#"$SRC"/}" ;;
	*) die "$1 is neither in the cache nor in the checkout" ;;
	esac
}

bench_in_root() {
	"$SCRIPTS/in-root.sh" "$@" 7>&-
}

# bench_build - the launcher, and unless PBITMAP_MODULE=none the tool and the
# module. PBITMAP_MODULE may name another pbitmap.ko.
# Sets: built (options for demo.py and overhead.py)
bench_build() {
	say "building the launcher"
	# shellcheck disable=SC2016 # expanded inside
	bench_in_root bash -euc '
		RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static" \
			cargo build --quiet --release --locked --target x86_64-unknown-linux-gnu -p pbitmap-bench >&2
		echo "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release"' >"$work/binaries"
	built=(--binaries "$(cat "$work/binaries")")
	if [ "${PBITMAP_MODULE:-}" = none ]; then return; fi
	say "building the tool"
	logged "$LOGS/bench-tool.log" "$SCRIPTS/build-tool.sh" 7>&- ||
		die "the tool could not be built" "the whole log is $LOGS/bench-tool.log"
	built+=(--tool /src/build/bin/pbitmap-tool)
	if [ -z "${PBITMAP_MODULE:-}" ]; then
		say "building the module"
		logged "$LOGS/bench-module.log" "$SCRIPTS/build-module.sh" 7>&- ||
			die "the module could not be built" "the whole log is $LOGS/bench-module.log"
		PBITMAP_MODULE=$SRC/build/module/rust/pbitmap/pbitmap.ko
	fi
	# As it is now: whoever rebuilds the module meanwhile does not disturb.
	cp "$PBITMAP_MODULE" "$work/pbitmap.ko"
	built+=(--module "$(bench_inside "$work/pbitmap.ko")")
}

# bench_tree PACKAGE... - prints where the cache has a minimal Debian 13 with
# these packages, unpacked and configured
bench_tree() {
	local packages tree
	packages=$(printf '%s\n' "$@" | sort -u)
	tree=$CACHE/bench/tree-$(key "$packages" "$(cat "$SCRIPTS/bench-lib.sh")")
	if [ ! -e "$tree" ]; then
		with_lock "${tree##*/}" bench_make_tree "$tree" $packages 7>&- || return 1
	fi
	touch "$tree" # used now
	find "$CACHE/bench" -maxdepth 1 -name 'tree-*' -type d -printf '%T@ %p\n' | sort -rn |
		awk -v keep="$KEEP_TREES" 'NR > keep { print $2 }' | xargs -r rm -rf --one-file-system
	echo "$tree"
}

bench_make_tree() {
	local tree=$1 new=$CACHE/tmp/${1##*/} log=$CACHE/logs/${1##*/}.log directory packages options=()
	shift
	packages=$(printf '%s,' "$@")
	if [ -e "$tree" ]; then return; fi # another run made it while we waited
	say "unpacking a Debian with $* (about a minute; log: $log)"
	for directory in doc man locale info lintian bug help gtk-doc; do
		options+=(--dpkgopt="path-exclude=/usr/share/$directory/*")
	done
	# The root's own archive and settings, so that both are from the same place.
	if [ -e "$root/etc/apt/apt.conf.d/99mmdebstrap" ]; then
		options+=(--aptopt="$root/etc/apt/apt.conf.d/99mmdebstrap")
	fi
	rm -rf --one-file-system "$new"
	mkdir -p "$CACHE/tmp" "$CACHE/logs"
	# (java's packages fail where they cannot link their manual pages)
	# shellcheck disable=SC2016 # expanded by mmdebstrap
	if ! mmdebstrap --variant=essential --mode=root --include="${packages%,}" \
		--dpkgopt=force-unsafe-io "${options[@]}" \
		--essential-hook='mkdir -p "$1/usr/share/man/man1"' \
		trixie "$new" "$root/etc/apt/sources.list" >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		rm -rf --one-file-system "$new"
		die "the packages ($*) could not be installed" "the whole log is $log" \
			"is each one the name of a package in Debian 13?"
	fi
	mv "$new" "$tree"
}
