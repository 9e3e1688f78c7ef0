#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: root-kernel.sh [KVER]
#
# Runs inside the new root (build-root.sh calls it): chooses the stock kernel,
# installs its source, headers, image and modules, and writes what it chose to
# /etc/pbitmap-root.
#
# KVER is a series (7.2), a release (7.2.9) or a full name
# (7.2.9+deb13-amd64), of a kernel with CONFIG_RUST=y: 7.2 or newer. Without it:
# 7.2 while the archive has it, else the newest series.

set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

want=${1:-}
OLDEST_SERIES=7.2

install() {
	apt-get install -qq --yes --no-install-recommends -o Dpkg::Use-Pty=0 "$@"
}

# all versions of a package, newest first
versions() {
	apt-cache madison "$1" | awk -F ' *\\| *' '{print $2}' | sort -Vru
}

series_list() {
	apt-cache pkgnames linux-source- | sed -n 's/^linux-source-\([0-9]\+\.[0-9]\+\)$/\1/p' | sort -Vr
}

# the release (7.2.12+deb13-amd64) whose packages have version VERSION
release_of() { # SERIES VERSION
	local package
	for package in $(apt-cache pkgnames "linux-headers-$1." |
		grep -E -- "-$1\.[0-9]+\+deb[0-9]+-amd64\$" | sort -Vr); do
		if versions "$package" | grep -qxF -- "$2"; then
			echo "${package#linux-headers-}"
			return
		fi
	done
	return 1
}

if [[ $want =~ ^([0-9]+\.[0-9]+) ]]; then
	series=${BASH_REMATCH[1]}
elif series_list | grep -qxF "$OLDEST_SERIES"; then
	series=$OLDEST_SERIES
else
	series=$(series_list | head -n 1)
fi
if ! printf '%s\n' "$OLDEST_SERIES" "$series" | sort -VC; then
	echo "root-kernel.sh: Linux ${series:-} is configured without Rust; the module needs $OLDEST_SERIES or newer" >&2
	exit 1
fi

release=
for version in $(versions "linux-source-$series"); do
	release=$(release_of "$series" "$version") || continue
	case $want in
	"" | "$series" | "${release%%+*}" | "$release") break ;;
	esac
	release=
done
if [ -z "$release" ]; then
	echo "root-kernel.sh: no kernel '${want:-of $OLDEST_SERIES or newer}' in the archive; there are:" >&2
	apt-cache pkgnames linux-headers- | grep -E 'deb[0-9]+-amd64$' | sort -V >&2
	exit 1
fi

# The image without its maintainer scripts' company: linux-image-* would pull
# in an initramfs generator, which the guest does not need.
packages=("linux-source-$series=$version" "linux-headers-$release=$version")
for binary in "linux-binary-$release" "linux-binary-unsigned-$release" "linux-image-$release"; do
	if versions "$binary" | grep -qxF -- "$version"; then
		packages+=("$binary=$version")
		break
	fi
done
if versions "linux-modules-$release" | grep -qxF -- "$version"; then
	packages+=("linux-modules-$release=$version")
fi

echo "root-kernel.sh: Linux $release from ${packages[*]}"
# shellcheck disable=SC1091 # the root's own file
. /etc/os-release
install -t "$VERSION_CODENAME-backports" "${packages[@]}"

vmlinuz=
for file in "/boot/vmlinuz-$release" "/usr/lib/modules/$release"/vmlinuz{,.unsigned}; do
	if [ -e "$file" ]; then vmlinuz=$file; fi
done
if [ -z "$vmlinuz" ]; then
	echo "root-kernel.sh: the packages of $release hold no vmlinuz" >&2
	exit 1
fi

if [ ! -e "/lib/modules/$release/modules.dep" ]; then
	depmod "$release"
fi

{
	echo "KERNEL_SERIES=$series"
	echo "KERNEL_RELEASE=$release"
	echo "KERNEL_IMAGE=$vmlinuz"
	# What a prepared kernel tree is made from: another version of any of
	# these means another tree.
	echo "TOOLCHAIN='$(dpkg-query -W -f '${Package}=${Version} ' \
		"linux-source-$series" gcc-14 rustc bindgen binutils libelf-dev)'"
} >/etc/pbitmap-root
