#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: suites-build.sh [--quick] TREE
#
# Makes what suites.sh runs in the guest, unless the cache has it, and prints
# its directory: the kernel's selftests (built in TREE, a Debian that has
# compilers and libraries for them, from the stock kernel's source) and the
# source of a package of Debian; with --quick, only a few selftests. Runs inside the
# root, which must be changeable (in-root.sh --scratch), since apt takes a source
# package only of archives that its configuration names.

. "$(dirname "$0")/lib.sh"

# Those about exec, fork, memory, signals and /proc.
SELFTESTS='exec clone3 coredump ptrace timens proc sched vDSO mm pidfd signal rlimits splice core
	prctl mincore membarrier rseq seccomp syscall_user_dispatch kcmp fchmodat2 pid_namespace ipc futex'
PACKAGE=gzip

if [ "${1:-}" = --quick ]; then
	SELFTESTS='exec clone3 coredump timens'
	PACKAGE=
	shift
fi
tree=${1:?}
source=$("$SCRIPTS/prepare-kernel.sh" --print-source)
built=$CACHE/suites-$(key "$tree" "$source" "$PACKAGE" "$(cat "${BASH_SOURCE[0]}")")

build() {
	if [ -e "$built" ]; then return; fi
	local new=$CACHE/tmp/${built##*/} log=$CACHE/logs/${built##*/}.log base=/run/suites
	say "building the kernel's selftests (${PACKAGE:+2 minutes; }log: $log)"
	rm -rf "$new"
	mkdir -p "$new/source" "$base"
	# Both trees stay as they are: what is written goes to memory.
	mount -t tmpfs tmpfs "$base"
	mkdir "$base"/{root,upper,work,source-upper,source-work}
	mount -t overlay -o "lowerdir=$tree,upperdir=$base/upper,workdir=$base/work" overlay "$base/root"
	mkdir -p "$base/root/linux" "$base/root/out"
	mount -t overlay -o "lowerdir=$source,upperdir=$base/source-upper,workdir=$base/source-work" \
		overlay "$base/root/linux"
	mount -t proc proc "$base/root/proc"
	mount --rbind /dev "$base/root/dev"
	# (some need what this Debian has not got; the rest is installed)
	logged "$log" chroot "$base/root" bash -euc '
		make -s -C /linux headers
		make -C /linux/tools/testing/selftests -j"$(nproc)" TARGETS="$*" FORCE_TARGETS= \
			INSTALL_PATH=/out install' selftests $SELFTESTS ||
		die "the kernel's selftests could not be built" "the whole log is $log"
	cp -a "$base/root/out" "$new/selftests"
	if [ -n "$PACKAGE" ]; then source_package "$new/source" "$log.apt"; fi
	mv "$new" "$built"
}

source_package() { # DIRECTORY LOG
	sed 's/^deb /deb-src /' /etc/apt/sources.list >/etc/apt/sources.list.d/sources.list
	logged "$2" apt-get update || die "apt-get update failed" "the whole log is $2"
	(cd "$1" && logged "$2" apt-get source --download-only -t trixie $PACKAGE) ||
		die "the source of $PACKAGE could not be had" "the whole log is $2"
}

if [ ! -e "$built" ]; then
	with_lock "${built##*/}" build
	keep_newest 3 'suites-*'
fi
touch "$built"
echo "$built"
