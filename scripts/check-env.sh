#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: check-env.sh
#
# Is this machine able to build and test the project? It has to be Debian 12 or
# 13 on x86-64 with apt configured; compilers, kernel and QEMU are all in the
# root that build-root.sh makes, so that hardly anything is needed here. What is
# missing is installed if root runs this; anyone else is told what to type.
# Says nothing when all is there.

. "$(dirname "$0")/lib.sh"

NEED_GIB=12

if [ -n "${PBITMAP_IN_ROOT:-}" ]; then exit; fi

[ "$(uname -m)" = x86_64 ] ||
	die "this machine is $(uname -m); the module and its tests are for x86-64"
command -v apt-get >/dev/null ||
	die "this machine has no apt" "the scripts need Debian 12 or 13, or a container of one"

# command:package
missing=()
for pair in make:make mmdebstrap:mmdebstrap unshare:util-linux flock:util-linux mount:mount gpgv:gpgv; do
	command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)

if [ ${#missing[@]} -gt 0 ]; then
	# shellcheck disable=SC2207 # package names are words
	missing=($(printf '%s\n' "${missing[@]}" | sort -u))
	install=(apt-get install --yes --no-install-recommends "${missing[@]}")
	if [ "$(id -u)" != 0 ]; then
		die "packages are missing on this machine; type" \
			"sudo apt-get update && sudo ${install[*]}"
	fi
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	logged "$LOGS/check-env.log" apt-get update ||
		die "apt-get update failed" "the project needs this machine's apt to work"
	logged "$LOGS/check-env.log" "${install[@]}" ||
		die "'${install[*]}' failed"
fi

if [ "$(id -u)" != 0 ]; then
	die "only root can make and enter the build root" "run the same command with sudo, or as root"
fi
unshare --mount true 2>/dev/null ||
	die "this machine does not let root make a mount namespace" \
		"in a container: start it with --privileged, or at least --cap-add SYS_ADMIN" \
		"and without seccomp and AppArmor profiles"

mkdir -p "$CACHE"
if [ -z "$(find "$CACHE" -maxdepth 1 -name 'root-*' -print -quit)" ]; then
	free=$(df --output=avail -B1G "$CACHE" | tail -n 1)
	if [ "$free" -lt "$NEED_GIB" ]; then
		die "$CACHE has $((free)) GiB free; the root, the kernel and their builds take $NEED_GIB" \
			"XDG_CACHE_HOME=DIR puts them elsewhere"
	fi
fi

# What checkouts left that nobody has built in for a month (in-root.sh touches
# what it uses).
find "$CACHE/target" -mindepth 1 -maxdepth 1 -mtime +30 -exec rm -rf {} + 2>/dev/null || true
