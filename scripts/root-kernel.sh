#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Usage: root-kernel.sh [KVER]
#
# Runs inside the new root (build-root.sh calls it): chooses the stock kernel,
# installs its source, configuration, headers, image and modules, and writes
# what it chose to /etc/pbitmap-root.
#
# KVER is a series (7.2), a release (7.2.9) or a full name
# (7.2.9+deb13-amd64). Without it: 7.2 while the archive has it, else the
# newest series whose configuration has CONFIG_RUST=y.

set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

want=${1:-}
DEFAULT_SERIES=7.2

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

has_rust() { # SERIES
	local dir
	dir=$(mktemp -d)
	(
		cd "$dir"
		apt-get download -qq "linux-config-$1"
		dpkg-deb -x ./*.deb .
		xz -dc "usr/src/linux-config-$1/config.amd64_none_amd64.xz" | grep -qx CONFIG_RUST=y
	)
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
elif series_list | grep -qxF "$DEFAULT_SERIES"; then
	series=$DEFAULT_SERIES
else
	for series in $(series_list) none; do
		if [ "$series" != none ] && has_rust "$series"; then break; fi
	done
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
	echo "root-kernel.sh: no kernel '${want:-with CONFIG_RUST=y}' in the archive; there are:" >&2
	apt-cache pkgnames linux-headers- | grep -E 'deb[0-9]+-amd64$' | sort -V >&2
	exit 1
fi

# The image without its maintainer scripts' company: linux-image-* would pull
# in an initramfs generator, which the guest does not need.
packages=("linux-source-$series=$version" "linux-config-$series=$version" "linux-headers-$release=$version")
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
